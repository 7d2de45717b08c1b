package fleet

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// Check returns an error if a node differs from its start: a fault that was not
// undone, or a node that does not answer. It ignores profiles, and all that
// [Fleet.Reset] resets. It waits for running activations.
func (f *Fleet) Check() error {
	return f.each(func(n *Node) error { return n.check() })
}

func (n *Node) check() error {
	if err := n.relay.check(); err != nil {
		return err
	}
	if !testenv.Poll(func() bool { return !n.activates() }) {
		return fmt.Errorf("an activation did not finish within %v", testenv.Patience)
	}
	command := "nix-store --version"
	if path := n.someActive(); path != "" {
		command = "nix-store --check-validity " + path
	}
	ssh := exec.Command(n.fleet.program("ssh"), "-T", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", DeployUser+"@"+n.Address, command)
	ssh.Env = n.fleet.environment(os.Getenv("PATH"))
	if _, err := output(ssh); err != nil {
		return err
	}
	now, err := n.snapshot()
	if err != nil {
		return err
	}
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(n.began)) {
		if now[name] != n.began[name] {
			wrong = append(wrong, fmt.Sprintf("%s is %q, and was %q", name, now[name], n.began[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if _, ok := n.began[name]; !ok {
			wrong = append(wrong, name+" is new")
		}
	}
	if wrong != nil {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

func (r *relay) check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listener == nil || r.hole != nil || r.cut != 0 || r.resume != nil {
		return errors.New("connections to it are still refused, cut or frozen")
	}
	return nil
}

// activates reports whether an activation is running.
func (n *Node) activates() bool {
	processes, _ := n.processes()
	for _, command := range processes {
		if strings.Contains(command, "/activate-rs activate ") || strings.Contains(command, "/activate-rs revoke ") || strings.Contains(command, "/deploy-rs-activate") {
			return true
		}
	}
	return false
}

// someActive returns the path of any active profile, or "".
func (n *Node) someActive() string {
	for _, profile := range n.Profiles() {
		if path, err := n.active(profile); err == nil && path != "" {
			return path
		}
	}
	return ""
}

// snapshot returns all that faults change: the settings, the folders of canaries,
// the programs, and the mounts with their options.
func (n *Node) snapshot() (map[string]string, error) {
	all := map[string]string{}
	root := filepath.Join(n.dir, "root")
	for _, dir := range []string{"etc", "run/hostenv/deploy", "run/current-system", "run/wrappers"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || strings.HasPrefix(entry.Name(), "deploy-rs-canary-") {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			is := fmt.Sprintf("%v of %d", info.Mode(), info.Sys().(*syscall.Stat_t).Uid)
			switch {
			case info.Mode().IsRegular():
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				is += fmt.Sprintf(" with %x", sha256.Sum256(text))
			case info.Mode()&fs.ModeSymlink != 0:
				to, err := os.Readlink(path)
				if err != nil {
					return err
				}
				is += " to " + to
			}
			all[strings.TrimPrefix(path, root)] = is
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mounts", n.init.Process.Pid))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 3 {
			all["the mount at "+fields[1]] = fields[2] + " " + fields[3]
		}
	}
	return all, nil
}
