package plan

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// WarnRenamed: the plan retires an environment, and has a new one in the same project
// that looks like it under another name.
const WarnRenamed = "renamed"

// Renamed returns a warning for each environment that a plan makes new and that looks
// like one that it retires, with the line of provider.moved that keeps UID, data and
// names: a host name goes from one to the other, or both have the same git ref. last is
// the plan before, nil if there is none.
//
// It warns only if no other environment is in question on either side.
func Renamed(last *Document, result *Result) []state.Warning {
	entry := func(user string) state.Entry { return result.State.Entries[user] }
	var retired, created []string
	names := map[[2]string][]string{} // host names that move from one to the other
	for _, c := range result.Changes {
		switch {
		case c.Kind == state.KindEnvironment && c.Action == state.Retire:
			retired = append(retired, c.Key)
		case c.Kind == state.KindEnvironment && c.Action == state.Create:
			created = append(created, c.Key)
		case c.Kind == state.KindHostname && c.Action == state.Move:
			from, _ := c.Before["owner"].(string)
			to, _ := c.After["owner"].(string)
			names[[2]string{from, to}] = append(names[[2]string{from, to}], c.Key)
		}
	}
	signs := map[[2]string]string{}
	from, to := map[string]int{}, map[string]int{} // how many pairs each is in
	for _, old := range retired {
		for _, fresh := range created {
			a, b := entry(old), entry(fresh)
			if a.Organisation == "" || a.Organisation != b.Organisation || a.Project != b.Project {
				continue
			}
			pair := [2]string{old, fresh}
			switch {
			case len(names[pair]) > 0:
				slices.Sort(names[pair])
				signs[pair] = "has now " + problem.Join(names[pair])
			case last != nil && sameRef(last.Environments[old], result.Plan.Environments[fresh]):
				signs[pair] = "has the same git ref"
			default:
				continue
			}
			from[old]++
			to[fresh]++
		}
	}
	var warnings []state.Warning
	for _, old := range retired {
		for _, fresh := range created {
			if sign := signs[[2]string{old, fresh}]; sign != "" && from[old] == 1 && to[fresh] == 1 {
				warnings = append(warnings, state.Warning{
					Subject: fresh, Reason: WarnRenamed,
					Message: fmt.Sprintf("is new and %s, and %s is retired: it may be the same environment under another name", sign, old),
					Hint:    fmt.Sprintf("if it is, restore generated/ (git checkout HEAD -- generated), and plan again with provider.moved = [ { from = %q; to = %q; } ]: it then keeps its UID, its data and its names", old, fresh),
				})
			}
		}
	}
	return warnings
}

// sameRef reports whether two environments come from the same ref of the same input.
func sameRef(a, b Environment) bool { return len(a.Repo) > 0 && bytes.Equal(a.Repo, b.Repo) }
