package deploy

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// log opens a log file of the run: one for each profile, and for each step of a
// node, whose name begins with _ as no user's does. A run that keeps no files
// has none.
func (r *run) log(n *nodeRun, name string) (*os.File, error) {
	if r.Journal.Dir == "" {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	dir := filepath.Join(r.Journal.Dir, n.Name)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
}

// StatusFile is where the activation of a profile leaves its exit status.
func StatusFile(dir, node, profile string) string {
	return filepath.Join(dir, node, profile+".exit")
}

// ExitStatus reads what an activation left; nil if it left nothing.
func ExitStatus(dir, node, profile string) *int {
	text, err := os.ReadFile(StatusFile(dir, node, profile))
	if err != nil {
		return nil
	}
	status, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil
	}
	return &status
}
