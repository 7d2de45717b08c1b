package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// Changes holds the changes that a plan makes in the state, in the order of
// [state.CompareChanges].
type Changes struct{ List []state.Change }

// Encode returns the changes, and warnings beside them, as a JSON document:
// {"formatVersion", "changes": [{kind, key, action, reason, before, after}],
// "warnings": [{subject, message, reason, hint}]}, where a warning may lack the
// last two. Kinds, actions and reasons may be added.
func (c Changes) Encode(warnings []state.Warning) []byte {
	list := make([]any, len(c.List))
	for i, change := range c.List {
		list[i] = change.Value()
	}
	return canonjson.Encode(map[string]any{"formatVersion": FormatVersion, "changes": list, "warnings": warnings})
}

// marks are the signs in front of a line. They make a long list quick to read.
var marks = map[state.Action]string{
	state.Create: "+", state.Revive: "+", state.Retire: "-", state.Release: "-",
	state.Move: "~", state.HandOver: "~", state.Update: "~",
}

// Text returns the changes for people: a line for each and a count, or one line
// for no changes.
func (c Changes) Text() string {
	if len(c.List) == 0 {
		return "no changes to UIDs, host names or nodes\n"
	}
	var b strings.Builder
	counts := map[string]int{}
	for _, change := range c.List {
		mark := marks[change.Action]
		if mark == "" {
			mark = "?"
		}
		fmt.Fprintf(&b, "%s %-11s %-8s %s%s (%s)\n", mark, change.Kind, change.Action, problem.Line(change.Key), values(change), change.Reason)
		counts[fmt.Sprintf("%s %s", change.Kind, change.Action)]++
	}
	var total []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		total = append(total, fmt.Sprintf("%d %s", counts[what], what))
	}
	noun := "changes"
	if len(c.List) == 1 {
		noun = "change"
	}
	fmt.Fprintf(&b, "%d %s: %s\n", len(c.List), noun, strings.Join(total, ", "))
	return b.String()
}

// values writes the values of a change, before and after.
func values(c state.Change) string {
	var b strings.Builder
	fields := slices.Concat(slices.Collect(maps.Keys(c.Before)), slices.Collect(maps.Keys(c.After)))
	slices.Sort(fields)
	for _, field := range slices.Compact(fields) {
		before, hadBefore := c.Before[field]
		after, hasAfter := c.After[field]
		switch {
		case hadBefore && hasAfter && before != after:
			fmt.Fprintf(&b, " %s %v -> %v", field, before, after)
		case hasAfter:
			fmt.Fprintf(&b, " %s %v", field, after)
		default:
			fmt.Fprintf(&b, " %s was %v", field, before)
		}
	}
	return problem.Line(b.String())
}
