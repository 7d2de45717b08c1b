package deploy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// How much of a log goes into a message.
const (
	maxFailedUnits = 5
	maxLogLines    = 12
	maxLogWidth    = 200 // in characters
	maxLog         = 256 << 10
)

// activationLog holds what the log of an activation shows about its failure. It
// is for people only: customers' programs write to that log too, so no decision
// depends on it.
type activationLog struct {
	// units failed while the planned path was activated.
	units []failedUnit
	// checks are what the node found not to work after the activation of its system.
	checks []string
	// last holds the last lines of the planned path's activation, or those of
	// deploy-rs if that activation did not begin.
	last []string
	// status is the activation's exit status, nil if it did not end, or if the
	// log was cut off before its end.
	status *int
	// began is true if the activation of the planned path began. back is true if
	// another path was activated after it: a node goes back if deploy-rs does not
	// confirm over a new connection.
	began, back bool
	// over is why the node ended the activation: "took longer than 900 seconds".
	over string
	late bool // whether that is its time
	// hanging are units that the activation waited for then.
	hanging []string
}

// A failedUnit is a systemd unit that failed, with the end of its journal.
type failedUnit struct {
	name  string
	lines []string
}

// The lines that the scripts of nix/lib/activation print.
var (
	beginLine = regexp.MustCompile(`^activating ([a-z0-9_-]+): (/\S+)$`)
	endLine   = regexp.MustCompile(`^activation of ([a-z0-9_-]+) ended with exit status ([0-9]{1,3})$`)
	overLine  = regexp.MustCompile(`^activation of ([a-z0-9_-]+) ((took longer) than [0-9]{1,6} seconds|printed more than [0-9]{1,4} MiB), and was ended$`)
	unitLine  = regexp.MustCompile(`^(failed|hanging) unit: ([A-Za-z0-9:_.@\\-]{1,255})$`)
	checkLine = regexp.MustCompile(`^failed check: (.{1,200})$`)
)

const unitLogPrefix = "failed unit|"

func readActivationLog(text string, p Profile) activationLog {
	var l activationLog
	var own, all []string
	inside := false
	for line := range strings.Lines(text) {
		line = plain(line, maxLogWidth)
		if line == "" {
			continue
		}
		if m := beginLine.FindStringSubmatch(line); m != nil && m[1] == p.Name {
			inside = m[2] == p.Path
			if inside {
				l, own = activationLog{began: true}, nil
			} else {
				l.back = l.began
			}
			continue
		}
		if inside && (l.readUnit(line) || p.IsSystem() && l.readCheck(line)) {
			continue
		}
		if m := overLine.FindStringSubmatch(line); m != nil && m[1] == p.Name && inside {
			l.over, l.late = m[2], m[3] != ""
			continue
		}
		if m := endLine.FindStringSubmatch(line); m != nil && m[1] == p.Name {
			if inside {
				status, _ := strconv.Atoi(m[2]) // digits
				l.status = &status
			}
			inside = false
			continue
		}
		all = append(all, line)
		if inside {
			own = append(own, line)
		}
	}
	l.last = own
	if !l.began {
		l.last = all
	}
	l.last = l.last[max(0, len(l.last)-maxLogLines):]
	return l
}

// readCheck reads a line about something that does not work, and reports whether the
// line was one.
func (l *activationLog) readCheck(line string) bool {
	m := checkLine.FindStringSubmatch(line)
	if m != nil && len(l.checks) < maxFailedUnits {
		l.checks = append(l.checks, m[1])
	}
	return m != nil
}

// readUnit reads a line that names a failed unit, or a line of its journal. It
// reports whether the line was one of these.
func (l *activationLog) readUnit(line string) bool {
	if m := unitLine.FindStringSubmatch(line); m != nil && m[1] == "hanging" {
		if len(l.hanging) < maxFailedUnits {
			l.hanging = append(l.hanging, m[2])
		}
		return true
	} else if m != nil {
		if len(l.units) < maxFailedUnits && !slices.ContainsFunc(l.units, func(u failedUnit) bool { return u.name == m[2] }) {
			l.units = append(l.units, failedUnit{name: m[2]})
		}
		return true
	}
	text, ok := strings.CutPrefix(line, unitLogPrefix)
	if !ok || len(l.units) == 0 {
		return false
	}
	text = strings.TrimPrefix(text, " ")
	if u := &l.units[len(l.units)-1]; text != "" && len(u.lines) < maxLogLines {
		u.lines = append(u.lines, text)
	}
	return true
}

// ActivationFailure explains err, an error of the [Activator], by the log of the
// activation. The log does not show which path the node has now.
func ActivationFailure(p Profile, log string, err error) error {
	l := readActivationLog(log, p)
	return l.failure(p, err)
}

func (l *activationLog) failure(p Profile, err error) error {
	return problem.New("", l.explain(err), l.fix(p, err))
}

// unconfirmed reports whether only the confirmation failed, for which deploy-rs
// opens a new connection.
func (l *activationLog) unconfirmed() bool { return l.status != nil && *l.status == 0 && l.back }

func (l *activationLog) explain(err error) string {
	var lines []string
	for _, line := range l.last {
		lines = append(lines, "\n| "+line)
	}
	text := err.Error()
	switch {
	case errors.As(err, new(*overError)):
	case l.over != "":
		text = "its activation " + l.over + ", and the node ended it"
		if len(l.hanging) > 0 {
			text += "; it waited for " + strings.Join(l.hanging, ", ")
		}
	case len(l.units) == 0 && len(l.checks) > 0:
		return "it started, but " + problem.Join(l.checks)
	case len(l.units) > 0:
		var names []string
		lines = nil
		for _, u := range l.units {
			names = append(names, u.name)
			for _, line := range u.lines {
				lines = append(lines, "\n| "+u.name+": "+line)
			}
		}
		text = strings.Join(names, ", ") + " failed"
		if len(names) > 1 {
			text = "units " + text
		} else {
			text = "unit " + text
		}
	case l.unconfirmed():
		return "it started, but no new connection reached the node, so the node went back by itself"
	case l.status != nil && *l.status != 0:
		text = fmt.Sprintf("its activation ended with exit status %d", *l.status)
	case l.began && l.status == nil:
		text = "its activation was cut off: the connection was lost before it ended"
	}
	return text + strings.Join(lines, "")
}

func (l *activationLog) fix(p Profile, err error) string {
	switch {
	case errors.As(err, new(*overError)):
	case l.over != "":
		return tooMuchHint(p)
	case l.unconfirmed() && p.IsSystem():
		return "check what the new system changes in sshd, its port, the firewall or the network; if it changes the port, set provider.nodes." + p.Node + ".sshPort"
	case len(l.units) == 0 && len(l.checks) > 0:
		return "correct the node's configuration, then deploy again; the log of the activation has more"
	case len(l.units) > 0 && p.IsSystem():
		return "fix the unit, then deploy again; `journalctl --unit=NAME` on the node shows more"
	case len(l.units) > 0:
		return "the customer must fix it; `journalctl --user-unit=NAME` as the environment's user on the node shows more"
	case l.began && l.status == nil:
		return "check whether the node restarted during the activation; its own log is in " + ActivationLogs
	}
	return problem.Hint(err)
}
