// Package report shows the events of a deploy to people: as one line for each
// event, as a few live lines on a terminal, and as the summary of a run. It shows
// only what the events hold.
package report

import (
	"fmt"
	"path"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Line returns an event as text without a final line break, "" if people need not
// see it. The text begins with the node and the profile of the event.
func Line(e deploy.Event) string {
	text := ""
	switch e.Type {
	case deploy.TypeResume:
		text = "resuming run " + e.Run
	case deploy.TypeNode:
		switch e.State {
		case deploy.StateReached:
			text = "reached"
		case deploy.StateWaiting:
			text = "waiting: " + e.Error
		case deploy.StateRetrying:
			text = "trying again: " + e.Error
		default: // a finding has the details
		}
	case deploy.TypeWave:
		text = wave(e)
	case deploy.TypeFinding:
		return finding(e)
	case deploy.TypeProfile:
		text = profile(e)
	case deploy.TypeBaseline:
		if n := failing(*e.Verification); n > 0 {
			text = fmt.Sprintf("before the activation %d of %d checks fail", n, len(e.Verification.Checks))
		}
	case deploy.TypeVerification:
		text = verification(*e.Verification)
	case deploy.TypeRecheck:
		text = "back at the version before: " + verification(*e.Verification)
	case deploy.TypeMove:
		text = fmt.Sprintf("moves its data from %s (%d snapshots)", e.Moved.From, len(e.Moved.Snapshots))
	case deploy.TypeDiff:
		text = fmt.Sprintf("%d packages added, %d removed, %d changed, %s to copy", len(e.Diff.Added), len(e.Diff.Removed), len(e.Diff.Changed), Size(e.Diff.Copy))
	default:
	}
	if text == "" {
		return ""
	}
	return problem.Line(prefix(e) + text)
}

// wave says that a wave begins or has failed. The first events of waves only list them.
func wave(e deploy.Event) string {
	switch e.State {
	case deploy.StateActivating:
		return e.Wave.String() + " begins"
	case deploy.StateFailed:
		return e.Error
	default:
		return ""
	}
}

func prefix(e deploy.Event) string {
	switch {
	case e.Node == "":
		return ""
	case e.Profile == "":
		return e.Node + ": "
	}
	return e.Node + " " + e.Profile + ": "
}

func finding(e deploy.Event) string {
	text := string(e.Finding.Level) + ": " + problem.Indented(e.Finding.Message)
	if e.Finding.Hint != "" {
		text += "\nhint: " + problem.Indented(e.Finding.Hint)
	}
	return text
}

// states are the words for the states of a profile.
var states = map[deploy.State]string{
	deploy.StateWaiting: "waiting for an earlier activation", deploy.StateBuilding: "building", deploy.StateSigning: "signing",
	deploy.StatePushing: "copying", deploy.StatePushed: "copied", deploy.StateMoving: "backing up on its old node", deploy.StateActivating: "activating",
	deploy.StateVerifying: "checking",
	deploy.StateRestoring: "going back to the previous path",
	deploy.StateInSync:    "in sync", deploy.StateActive: "active", deploy.StateUnreachable: "unreachable", deploy.StateUnknown: "unknown",
}

// reasons are the words for why a profile is in its state.
var reasons = map[deploy.Reason]string{
	deploy.ReasonNew: "new", deploy.ReasonReturned: "back from another node", deploy.ReasonChanged: "changed", deploy.ReasonDoubtful: "again: the result of its last activation is unknown",
	deploy.ReasonNotRunning: "the node runs another system",
	deploy.ReasonAdopted:    "an interrupted run activated it", deploy.ReasonSystemFailed: "its node's system failed",
	deploy.ReasonHealth:      "its checks fail",
	deploy.ReasonWave:        "a wave before failed",
	deploy.ReasonMovePending: "an environment has not left the node yet", deploy.ReasonInterrupted: "interrupted",
}

func profile(e deploy.Event) string {
	why := reasons[e.Reason]
	switch e.State {
	case deploy.StatePending:
		return "to be activated (" + why + ")"
	case deploy.StateActive:
		if why != "" {
			return "active (" + why + ")"
		}
		return "active"
	case deploy.StateSkipped:
		return "skipped: " + why
	case deploy.StateFailed, deploy.StateUnknown, deploy.StateUnreachable:
		text := "failed"
		if e.State != deploy.StateFailed {
			text = string(e.State)
		}
		if e.Reason != "" && e.State == deploy.StateFailed {
			text = string(e.Reason) + " failed"
		}
		if e.Error != "" {
			text += ": " + firstLine(e.Error)
		}
		return text
	case deploy.StateRestoring:
		if why != "" {
			return states[e.State] + ": " + why
		}
		return states[e.State]
	default:
		return states[e.State]
	}
}

func verification(v deploy.Verification) string {
	failed, before, unknown := failing(v), 0, 0
	for _, c := range v.Checks {
		switch {
		case c.FailedBefore:
			before++
		case !c.OK && c.Unknown:
			unknown++
		}
	}
	if failed == 0 {
		return fmt.Sprintf("works: %d checks passed", len(v.Checks))
	}
	text := fmt.Sprintf("%d of %d checks failed", failed, len(v.Checks))
	switch {
	case !v.Enforce:
		text += ", which is not enforced"
	case before == failed:
		text += ", as before the activation"
	case before > 0:
		text += fmt.Sprintf(", %d of them before the activation as well", before)
	case unknown == failed:
		text += ", which shows nothing about the version"
	}
	return text
}

func failing(v deploy.Verification) int {
	failed := 0
	for _, c := range v.Checks {
		if !c.OK {
			failed++
		}
	}
	return failed
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// Short returns a store path without the store's folder, and with the first seven
// characters of its hash.
func Short(storePath string) string {
	base := path.Base(storePath)
	hash, name, found := strings.Cut(base, "-")
	if storePath == "" {
		return "nothing"
	}
	if !found || len(hash) != 32 {
		return storePath
	}
	return hash[:7] + "-" + name
}

// Size returns a number of bytes with a unit, for people.
func Size(bytes int64) string {
	if bytes < 0 {
		return "-" + Size(-bytes)
	}
	value, unit := float64(bytes), "B"
	for _, larger := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if value < 1024 {
			break
		}
		value, unit = value/1024, larger
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}
