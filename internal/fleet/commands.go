package fleet

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Programs whose starts are counted.
var counted = []string{
	"nix", "nix-store", "nix-env", "nix-build", "nix-instantiate", "nix-copy-closure", "nix-daemon", "nix-hash",
	"ssh", "scp", "sftp", "ssh-keyscan", "git",
}

// program returns the path of a program on the deploying machine.
func (f *Fleet) program(name string) string {
	if f.options.Nix != "" {
		if path := filepath.Join(filepath.Dir(f.options.Nix), name); strings.HasPrefix(name, "nix") && isFile(path) {
			return path
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return path
}

// nodeNixDir returns the folder of the nodes' Nix if it is below /tmp, where a node has
// files of its own.
func (f *Fleet) nodeNixDir() string {
	dir := filepath.Dir(filepath.Dir(f.options.NodeNix))
	if strings.HasPrefix(dir, "/tmp/") {
		return dir
	}
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// shims puts programs in front of PATH that log their command line and then run
// the real ones.
func (f *Fleet) shims() error {
	dir := filepath.Join(f.dir, "bin")
	f.journal = filepath.Join(f.dir, "commands")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, name := range counted {
		real := f.program(name)
		if real == "" {
			continue
		}
		// The number of words, then the words, each with a NUL. The lock keeps the
		// several writes of a long command together.
		text := fmt.Sprintf("#!/bin/sh\n(flock 9 && printf '%%s\\0' \"$#\" %s \"$@\" >&9) 9>>%s\nexec %s \"$@\"\n", name, f.journal, real)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	f.env = f.environment(dir + ":" + os.Getenv("PATH"))
	return nil
}

// Commands returns the command lines of Nix, ssh and git that were started with
// [Fleet.Env], in order, including those that other programs started.
func (f *Fleet) Commands(t testing.TB) [][]string {
	t.Helper()
	data, err := f.readJournal()
	if err != nil {
		t.Fatal(err)
	}
	var commands [][]string
	for words := strings.Split(string(data), "\x00"); len(words) > 1; {
		n, err := strconv.Atoi(words[0])
		if err != nil || len(words) < n+2 {
			t.Fatalf("the journal of commands is broken at %q", words)
		}
		commands = append(commands, words[1:n+2])
		words = words[n+2:]
	}
	return commands
}

// readJournal reads the journal when no program is writing to it.
func (f *Fleet) readJournal() ([]byte, error) {
	file, err := os.Open(f.journal)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		err = unix.Flock(int(file.Fd()), unix.LOCK_SH)
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(file)
}

// Counts returns how often each program was started, see [Fleet.Commands].
func (f *Fleet) Counts(t testing.TB) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, argv := range f.Commands(t) {
		counts[argv[0]]++
	}
	return counts
}

// ResetCounts empties the journal of commands.
func (f *Fleet) ResetCounts(t testing.TB) {
	t.Helper()
	if err := os.RemoveAll(f.journal); err != nil {
		t.Fatal(err)
	}
}
