package deploy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// How much of a log goes into a message.
const (
	maxSaidUnits = 5
	maxSaidLines = 12
	maxSaidWidth = 200 // in characters
	maxSaid      = 256 << 10
)

// Said is what the log of an activation says about its failure. It is for people
// only: customers' programs write to that log too, so no decision depends on it.
type Said struct {
	// Units failed while the planned path was activated.
	Units []FailedUnit
	// Last holds the last lines of the planned path's activation, or those of
	// deploy-rs if that activation did not begin.
	Last []string
	// Status is the activation's exit status, nil if it did not end, or if the
	// log was cut off before its end.
	Status *int
	// Began is true if the activation of the planned path began. Back is true if
	// another path was activated after it: a node goes back if deploy-rs does not
	// confirm over a new connection.
	Began, Back bool
}

// A FailedUnit is a systemd unit that failed, with the end of its journal.
type FailedUnit struct {
	Name  string
	Lines []string
}

// The lines that the scripts of nix/lib/activation print.
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

// readUnit reads a line that names a failed unit, or a line of its journal. It
// reports whether the line was one of these.
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

// An ActivationError describes why an activation failed, as far as its log shows
// it. The log does not show which path the node has now.
type ActivationError struct {
	Profile Profile
	Said    Said
	Err     error // from deploy-rs
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
		return "it started, but no new connection reached the node, so the node went back by itself"
	case s.Status != nil && *s.Status != 0:
		return fmt.Sprintf("its activation ended with exit status %d", *s.Status)
	case s.Began && s.Status == nil:
		return "its activation was cut off: the connection was lost before it ended"
	default:
		return e.Err.Error()
	}
}

// cameUp reports whether only the confirmation failed, for which deploy-rs opens
// a new connection.
func (e *ActivationError) cameUp() bool {
	return e.Said.Status != nil && *e.Said.Status == 0 && e.Said.Back
}

// Hint returns what to do about the failure.
func (e *ActivationError) Hint() string {
	s := e.Said
	switch {
	case e.cameUp() && e.Profile.IsSystem():
		return "check what the new system changes in sshd, its port, the firewall or the network; if it changes the port, set provider.nodes." + e.Profile.Node + ".sshPort"
	case len(s.Units) > 0 && e.Profile.IsSystem():
		return "fix the unit, then deploy again; `journalctl --unit=NAME` on the node shows more"
	case len(s.Units) > 0:
		return "the customer must fix it; `journalctl --user-unit=NAME` as the environment's user on the node shows more"
	case s.Began && s.Status == nil:
		return "check whether the node restarted during the activation; its own log is in " + ActivationLogs
	}
	return problem.Hint(e.Err)
}
