package deploy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// What is taken from a log into a message.
const (
	maxSaidUnits = 5
	maxSaidLines = 12
	maxSaidWidth = 200 // in characters
	maxSaid      = 256 << 10
)

// Said is what the log of an activation says of how it failed. It is for people:
// nothing is decided by it, for customers' programs write to that log, too.
type Said struct {
	// Units failed while the planned path was activated.
	Units []FailedUnit
	// Last are the last lines: of the activation of the planned path, or of
	// deploy-rs where it did not get as far.
	Last []string
	// Status is the activation's exit status, nil where it did not end, or its
	// end did not reach us.
	Status *int
	// Began says that the planned path was being activated, and Back that another
	// one was after it, as the node does that is not reached over a new connection.
	Began, Back bool
}

// A FailedUnit is a unit of systemd, with the end of its journal.
type FailedUnit struct {
	Name  string
	Lines []string
}

// How the scripts of nix/lib/activation put it.
var (
	saidBegin = regexp.MustCompile(`^activating ([a-z0-9_-]+): (/\S+)$`)
	saidEnd   = regexp.MustCompile(`^activation of ([a-z0-9_-]+) ended with exit status ([0-9]{1,3})$`)
	saidUnit  = regexp.MustCompile(`^failed unit: ([A-Za-z0-9:_.@\\-]{1,255})$`)
	unitLine  = "failed unit|"
)

// ReadSaid reads the log of a profile's activation.
func ReadSaid(log string, p Profile) Said {
	var s Said
	var own, all []string
	inside := false
	for line := range strings.Lines(log) {
		line = plain(line, maxSaidWidth)
		if line == "" {
			continue
		}
		if m := saidBegin.FindStringSubmatch(line); m != nil && m[1] == p.Name {
			inside = m[2] == p.Path
			if inside {
				s, own = Said{Began: true}, nil
			} else {
				s.Back = s.Began
			}
			continue
		}
		if inside && s.readUnit(line) {
			continue
		}
		if m := saidEnd.FindStringSubmatch(line); m != nil && m[1] == p.Name {
			if inside {
				status := 0
				_, _ = fmt.Sscan(m[2], &status) // digits
				s.Status = &status
			}
			inside = false
			continue
		}
		all = append(all, line)
		if inside {
			own = append(own, line)
		}
	}
	s.Last = own
	if !s.Began {
		s.Last = all
	}
	s.Last = s.Last[max(0, len(s.Last)-maxSaidLines):]
	return s
}

// readUnit reads a line that names a failed unit, or is of its journal.
func (s *Said) readUnit(line string) bool {
	if m := saidUnit.FindStringSubmatch(line); m != nil {
		if len(s.Units) < maxSaidUnits && !slices.ContainsFunc(s.Units, func(u FailedUnit) bool { return u.Name == m[1] }) {
			s.Units = append(s.Units, FailedUnit{Name: m[1]})
		}
		return true
	}
	text, of := strings.CutPrefix(line, unitLine)
	if !of || len(s.Units) == 0 {
		return false
	}
	text = strings.TrimPrefix(text, " ")
	if u := &s.Units[len(s.Units)-1]; text != "" && len(u.Lines) < maxSaidLines {
		u.Lines = append(u.Lines, text)
	}
	return true
}

// An ActivationError says what went wrong in an activation, as far as its log
// does. What became of the node the log does not know.
type ActivationError struct {
	Profile Profile
	Said    Said
	Err     error // deploy-rs's
}

func (e *ActivationError) Unwrap() error { return e.Err }

func (e *ActivationError) Error() string {
	lines := []string{e.what()}
	for _, u := range e.Said.Units {
		for _, line := range u.Lines {
			lines = append(lines, "| "+u.Name+": "+line)
		}
	}
	if len(e.Said.Units) == 0 && !e.cameUp() {
		for _, line := range e.Said.Last {
			lines = append(lines, "| "+line)
		}
	}
	return strings.Join(lines, "\n")
}

func (e *ActivationError) what() string {
	switch s := e.Said; {
	case len(s.Units) == 1:
		return "unit " + s.Units[0].Name + " failed"
	case len(s.Units) > 1:
		var names []string
		for _, u := range s.Units {
			names = append(names, u.Name)
		}
		return "units " + strings.Join(names, ", ") + " failed"
	case e.cameUp():
		return "it came up, and no new connection reached the node: it went back by itself"
	case s.Status != nil && *s.Status != 0:
		return fmt.Sprintf("its activation ended with exit status %d", *s.Status)
	case s.Began && s.Status == nil:
		return "its activation was cut off: the connection was lost before it ended"
	default:
		return e.Err.Error()
	}
}

// cameUp reports whether all went well but for the confirmation, for which
// deploy-rs connects once more.
func (e *ActivationError) cameUp() bool {
	return e.Said.Status != nil && *e.Said.Status == 0 && e.Said.Back
}

// Hint says what to do.
func (e *ActivationError) Hint() string {
	s := e.Said
	switch {
	case e.cameUp() && e.Profile.IsSystem():
		return "see what the new system changes of sshd, its port, the firewall or the network; a port that it moves to belongs into provider.nodes." + e.Profile.Node + ".sshPort"
	case len(s.Units) > 0 && e.Profile.IsSystem():
		return "mend the unit, and deploy again; on the node `journalctl --unit=NAME` has more of it"
	case len(s.Units) > 0:
		return "it is the customer's to mend; as the environment's user on the node `journalctl --user-unit=NAME` has more of it"
	case s.Began && s.Status == nil:
		return "see whether the node restarted in the middle; its own log of the activation is in " + ActivationLogs
	}
	return problem.Hint(e.Err)
}
