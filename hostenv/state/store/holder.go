package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// maxHolder bounds how much we read of a lock file, which other programs may have
// written.
const maxHolder = 4 << 10

// Holder is the process that holds a lock, as it wrote itself into the lock file.
// The zero Holder is unknown.
type Holder struct {
	PID  int    `json:"pid"`
	Host string `json:"host"`
	User string `json:"user"`
	// Command is the program's name and the targets it was called with. Flags
	// and their values are left out: they may be secret.
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// String describes the holder in one line, safe for a terminal.
func (h Holder) String() string {
	if h.PID == 0 {
		return "an unknown process"
	}
	return fmt.Sprintf("process %d (%s) of %s on %s since %s", h.PID,
		printable(h.Command), printable(h.User), printable(h.Host), h.Since.Format(time.RFC3339))
}

// self returns this process's Holder without Since. It runs once, because looking
// up the user may ask a directory server.
var self = sync.OnceValue(func() Holder {
	h := Holder{PID: os.Getpid(), Command: command(os.Args)}
	h.Host, _ = os.Hostname()
	if u, err := user.Current(); err == nil {
		h.User = u.Username
	} else {
		h.User = strconv.Itoa(os.Getuid())
	}
	return h
})

// target is the shape of a target's name: plan, dnsGate, state:list, dns-gate.
var target = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*([:-][A-Za-z0-9]+)*$`)

// command returns the program's name and the targets of args. It stops at the
// first word that is not a target's name, because a word after a flag may be the
// flag's value. It skips mage's -v at the front, which has no value.
func command(args []string) string {
	if len(args) == 0 {
		return ""
	}
	words := []string{filepath.Base(args[0])}
	for _, arg := range args[1:] {
		if arg == "-v" && len(words) == 1 {
			continue
		}
		if !target.MatchString(arg) {
			break
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

// writeHolder writes this process's Holder into the lock file, which the caller
// has locked. It writes in place, because a rename would replace the locked file.
// A concurrent reader may see torn text, and then reports an unknown holder.
// writeHolder ignores errors, such as a full disk: the flock is the lock.
func writeHolder(path string) {
	h := self()
	h.Since = time.Now().UTC().Truncate(time.Second)
	text, _ := json.Marshal(h) // it has only strings, a number and a time
	overwrite(path, append(text, '\n'))
}

// clearHolder empties the lock file, which the caller has locked.
func clearHolder(path string) { overwrite(path, nil) }

func overwrite(path string, text []byte) {
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if f.Truncate(0) == nil && len(text) > 0 {
		_, _ = f.Write(text)
	}
}

// readHolder returns the Holder in the lock file. It returns the zero Holder if the
// text is torn, or if its process ran on this machine and has ended.
func readHolder(path string) Holder {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return Holder{}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxHolder))
	if err != nil {
		return Holder{}
	}
	var h Holder
	if err := json.Unmarshal(text, &h); err != nil || h.PID <= 0 {
		return Holder{}
	}
	if h.Host == self().Host && syscall.Kill(h.PID, 0) == syscall.ESRCH {
		return Holder{}
	}
	return h
}

// printable returns s as a terminal can show it, or "?" for no text.
func printable(s string) string { return cmp.Or(problem.Visible(s), "?") }
