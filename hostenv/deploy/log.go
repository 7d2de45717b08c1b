package deploy

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// log opens a log file of the run: one for each profile of a node, and one for each step
// of a node, or of the run if node is "". The name of a step begins with _, unlike the
// name of a user. A run without files has no logs.
func (r *run) log(node, name string) (*os.File, error) {
	if r.Journal.Dir == "" {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	dir := filepath.Join(r.Journal.Dir, node)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
}

// StatusFile returns the file in which the activation of a profile leaves its exit
// status.
func StatusFile(dir, node, profile string) string {
	return filepath.Join(dir, node, profile+".exit")
}

// ExitStatus reads the exit status that an activation left in a file, nil if it left
// none. As in a shell, a signal is 128 plus its number.
func ExitStatus(file string) *int {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	status, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || status < 0 || status > 255 {
		return nil
	}
	return &status
}
