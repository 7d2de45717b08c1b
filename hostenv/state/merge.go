package state

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Merge returns the state of two branches together. base is the state where they
// part, without entries if there is none.
//
// A UID that both branches gave out stays with one environment: the one that was
// deployed, or else the one that base or the branch earlier has. The other gets a
// new UID, above every UID of the three states. A UID of an environment that was
// deployed never changes. If an environment has two UIDs, and was deployed with
// neither, it keeps the higher one.
//
// A host name goes to the environment to which a branch gave it. A field goes to the
// value to which a branch changed it.
//
// Merge refuses two deployed environments with one UID, an environment that was
// deployed with two UIDs, and fields and host names that both branches changed, each
// to another value. The error holds every refusal, see [problem.Leaves].
//
// The two branches in the other order give the same state, but for who keeps a UID.
// What a merge took in, a second merge does not change.
func Merge(base, earlier, later State) (State, error) {
	m := merger{sides: [3]State{base, earlier, later}}
	var errs problem.List
	for _, side := range m.sides {
		problems, _ := side.problems(nil, nil)
		errs.Add(problems...)
	}
	if err := errs.Err(); err != nil {
		return State{}, err
	}
	m.align()
	merged := State{Entries: map[string]Entry{}, LastAllocated: m.lastAllocated()}
	merged.Description, _ = three(base.Description, earlier.Description, later.Description)
	m.entries()
	m.hostnames()
	m.uids()
	for _, r := range m.rows {
		if r.gone {
			continue
		}
		if other, taken := merged.Entries[r.merged.UserName]; taken {
			m.errs.Addf("the user "+r.merged.UserName, "give the environment of one branch another name, or take the UID of one of the two entries and remove the other",
				"has the UID %d in one branch and %d in the other: one renamed an environment to the name that the other gave to a new one", other.UID, r.merged.UID)
		}
		merged.Entries[r.merged.UserName] = r.merged
	}
	if err := m.errs.Err(); err != nil {
		return State{}, err
	}
	if merged.LastAllocated.UID != 0 || merged.HighestUID() > m.highestUID() {
		merged.allocated()
	}
	return merged, merged.Validate()
}

// The sides of a merge.
const (
	inBase = iota
	inEarlier
	inLater
)

// A merger is the work of one call of Merge.
type merger struct {
	sides [3]State
	rows  []*row
	errs  problem.List
}

// A row is one environment in the three states, under any of its names.
type row struct {
	on     [3]*Entry // nil where the state does not have it
	merged Entry
	gone   bool // a branch removed the entry
}

// align makes a row for each environment. It finds an environment of base in a
// branch by its UID and its names: a branch may have renamed it, and an earlier merge
// may have given it another UID.
func (m *merger) align() {
	base := m.sides[inBase]
	names := base.names()
	rows := make([]*row, len(names))
	for i, name := range names {
		e := base.Entries[name]
		rows[i] = &row{on: [3]*Entry{inBase: &e}}
	}
	fresh := map[string]*row{} // by user name
	for _, side := range []int{inEarlier, inLater} {
		entries := m.sides[side].Entries
		left := map[string]bool{}
		byUID, byFormer := map[int]string{}, map[string]string{}
		for name, e := range entries {
			left[name] = true
			byUID[e.UID] = name
			for _, former := range e.FormerNames {
				byFormer[former] = name
			}
		}
		take := func(r *row, name string) {
			if e, ok := entries[name]; ok && left[name] && r.on[side] == nil {
				delete(left, name)
				r.on[side] = &e
			}
		}
		for _, r := range rows {
			name := byUID[r.on[inBase].UID]
			if name == r.on[inBase].UserName || slices.Contains(entries[name].FormerNames, r.on[inBase].UserName) {
				take(r, name)
			}
		}
		for _, r := range rows {
			take(r, r.on[inBase].UserName)
			take(r, byFormer[r.on[inBase].UserName])
		}
		for name := range left {
			if fresh[name] == nil {
				fresh[name] = &row{}
			}
			take(fresh[name], name)
		}
	}
	m.rows = rows
	for _, name := range slices.Sorted(maps.Keys(fresh)) {
		m.rows = append(m.rows, fresh[name])
	}
}

// three returns the value that a branch changed; ok is false if both changed it, each
// to another one.
func three[T comparable](base, a, b T) (_ T, ok bool) {
	if a == base {
		return b, true
	}
	return a, b == base || a == b
}

// entries merges all fields but UIDs and host names.
func (m *merger) entries() {
	for _, r := range m.rows {
		base, a, b := r.on[inBase], r.on[inEarlier], r.on[inLater]
		switch {
		case base == nil && (a == nil || b == nil):
			r.merged = *present(a, b)
		case base != nil && a == nil && b == nil:
			r.gone = true
		case base != nil && (a == nil || b == nil):
			kept := present(a, b)
			if r.gone = string(canonjson.Marshal(kept.document())) == string(canonjson.Marshal(base.document())); !r.gone {
				m.errs.Addf(fmt.Sprintf("entry %q:", base.UserName), "restore the entry: an entry is never removed by hand", "was removed in one branch, and changed in the other")
			}
		default:
			if base == nil {
				base = &Entry{UserName: a.UserName, Retired: a.Retired || b.Retired} // live, if it is in one
			}
			m.fields(r, base, a, b)
		}
	}
}

func present(a, b *Entry) *Entry {
	if a != nil {
		return a
	}
	return b
}

// fields merges the fields of an environment that both branches have.
func (m *merger) fields(r *row, base, a, b *Entry) {
	text := func(field, base, a, b string) string {
		v, ok := three(base, a, b)
		if !ok {
			m.differ(r, field, fmt.Sprintf("%q", a), fmt.Sprintf("%q", b))
		}
		return v
	}
	e := &r.merged
	e.UserName = text("userName", base.UserName, a.UserName, b.UserName)
	e.Node = text("node", base.Node, a.Node, b.Node)
	e.DeployedNode = text("deployedNode", base.DeployedNode, a.DeployedNode, b.DeployedNode)
	e.Organisation = text("organisation", base.Organisation, a.Organisation, b.Organisation)
	e.Project = text("project", base.Project, a.Project, b.Project)
	e.Environment = text("environment", base.Environment, a.Environment, b.Environment)
	e.Retired, _ = three(base.Retired, a.Retired, b.Retired)
	e.FormerNames = slices.DeleteFunc(mergeSets(base.FormerNames, a.FormerNames, b.FormerNames), func(name string) bool { return name == e.UserName })
	e.Domains = mergeDates(base.Domains, a.Domains, b.Domains)
	e.extra = nil
	for name, values := range mergeKeys(base.extra, a.extra, b.extra) {
		v, ok := three(values[inBase], values[inEarlier], values[inLater])
		if !ok {
			m.differ(r, name, values[inEarlier], values[inLater])
		}
		if v != "" {
			e.extra = e.extra.With(name, []byte(v))
		}
	}
}

func (m *merger) differ(r *row, field, a, b string) {
	user := present(r.on[inBase], present(r.on[inEarlier], r.on[inLater])).UserName
	m.errs.Addf(fmt.Sprintf("entry %q: %s", user, field), "decide which of them is right, and keep that one",
		"is %s in one branch, and %s in the other", a, b)
}

// mergeSets returns, sorted, what a or b added to base, and what both kept of it.
func mergeSets(base, a, b []string) []string {
	var merged []string
	for _, s := range slices.Concat(a, b) {
		if in := slices.Contains(base, s); !in || slices.Contains(a, s) && slices.Contains(b, s) {
			merged = append(merged, s)
		}
	}
	slices.Sort(merged)
	return slices.Compact(merged)
}

// mergeDates merges domains with the dates of their proofs. Of two dates the earlier
// one holds.
func mergeDates(base, a, b map[string]string) map[string]string {
	merged := map[string]string{}
	keys := maps.Clone(a)
	if keys == nil {
		keys = map[string]string{}
	}
	maps.Copy(keys, b)
	for domain := range keys {
		date, ok := three(base[domain], a[domain], b[domain])
		if !ok && a[domain] != "" && b[domain] != "" {
			date = min(a[domain], b[domain])
		}
		if date != "" {
			merged[domain] = date
		}
	}
	if len(merged) == 0 {
		return nil
	}
	return merged
}

// mergeKeys returns the text of every member on each side, "" for none.
func mergeKeys(sides ...canonjson.Object) map[string][3]string {
	all := map[string][3]string{}
	for side, object := range sides {
		for _, member := range object {
			values := all[member.Name]
			values[side] = string(member.Value)
			all[member.Name] = values
		}
	}
	return all
}

// hostnames gives each host name to one environment.
func (m *merger) hostnames() {
	owners := map[string][3]*row{}
	for _, r := range m.rows {
		r.merged.VirtualHosts = nil
		for side, e := range r.on {
			if e == nil {
				continue
			}
			for _, host := range e.VirtualHosts {
				owner := owners[host]
				owner[side] = r
				owners[host] = owner
			}
		}
	}
	for _, host := range slices.Sorted(maps.Keys(owners)) {
		of := owners[host]
		owner, ok := three(of[inBase], of[inEarlier], of[inLater])
		switch {
		case ok:
		case of[inEarlier] == nil: // one branch freed the name, the other gave it away
			owner = of[inLater]
		case of[inLater] == nil:
			owner = of[inEarlier]
		default:
			m.errs.Addf(fmt.Sprintf("the host name %q", host), "decide which environment owns it, and remove it from virtualHosts of the other entry",
				"belongs to %s in one branch, and to %s in the other", of[inEarlier].on[inEarlier].UserName, of[inLater].on[inLater].UserName)
		}
		if owner != nil {
			owner.merged.VirtualHosts = append(owner.merged.VirtualHosts, host)
		}
	}
}

// deployed reports whether the environment of an entry may have files on a node. The
// legacy generator did not write it down.
func (e *Entry) deployed() bool { return e != nil && (e.DeployedNode != "" || e.Environment == "") }

// uids decides the UID of each environment.
func (m *merger) uids() {
	holders := map[int][]*row{}
	for _, r := range m.rows {
		if r.gone {
			continue
		}
		a, b := r.on[inEarlier], r.on[inLater]
		switch {
		case a == nil || b == nil:
			r.merged.UID = present(a, b).UID
		case a.UID == b.UID:
			r.merged.UID = a.UID
		case a.deployed() && b.deployed():
			m.errs.Addf(fmt.Sprintf("entry %q: uid", r.merged.UserName), "run `id` on the node for the user, and keep the UID that it has there",
				"is %d in one branch and %d in the other, and was deployed with both", a.UID, b.UID)
		case a.deployed():
			r.merged.UID = a.UID
		case b.deployed():
			r.merged.UID = b.UID
		default:
			r.merged.UID = max(a.UID, b.UID)
		}
		holders[r.merged.UID] = append(holders[r.merged.UID], r)
	}
	var losers []*row
	for _, uid := range slices.Sorted(maps.Keys(holders)) {
		rows := holders[uid]
		if len(rows) < 2 {
			continue
		}
		slices.SortStableFunc(rows, func(a, b *row) int { return b.claim(uid) - a.claim(uid) })
		if rows[1].claim(uid) >= claimDeployed {
			m.errs.Addf(fmt.Sprintf("the UID %d", uid), "on its node, give the files of one to a new UID (chown), write that UID into its entry, above all others, and into _lastAllocated",
				"belongs to %s in one branch and to %s in the other, and both were deployed", rows[0].merged.UserName, rows[1].merged.UserName)
		}
		losers = append(losers, rows[1:]...)
	}
	slices.SortFunc(losers, func(a, b *row) int { return strings.Compare(a.merged.UserName, b.merged.UserName) })
	next := m.highestUID()
	for _, r := range losers {
		for next++; next == 65534 || next == 65535; next++ {
		}
		r.merged.UID = next
	}
}

func (m *merger) highestUID() (highest int) {
	for _, side := range m.sides {
		highest = max(highest, side.HighestUID())
	}
	return highest
}

// How strong the claim of an environment to a UID is.
const (
	claimLater = iota
	claimEarlier
	claimBase
	claimDeployed
)

func (r *row) claim(uid int) int {
	on := func(side int) bool { return r.on[side] != nil && r.on[side].UID == uid }
	switch {
	case on(inEarlier) && r.on[inEarlier].deployed(), on(inLater) && r.on[inLater].deployed():
		return claimDeployed
	case on(inBase):
		return claimBase
	case on(inEarlier):
		return claimEarlier
	}
	return claimLater
}

// lastAllocated returns the newest allocation of the three states.
func (m *merger) lastAllocated() (last Allocation) {
	for _, side := range m.sides {
		if side.LastAllocated.UID > last.UID || side.LastAllocated.UID == last.UID && side.LastAllocated.UserName < last.UserName {
			last = side.LastAllocated
		}
	}
	return last
}

// givenUp stands in _lastAllocated for an environment that was never deployed, and
// whose UID a merge gave up: the UID is not used again. No environment has the name.
const givenUp = "given-up"

// allocated makes LastAllocated fit the entries, see checkLastAllocated.
func (s *State) allocated() {
	for _, name := range s.names() {
		if uid := s.Entries[name].UID; uid >= s.LastAllocated.UID {
			s.LastAllocated = Allocation{name, uid}
		}
	}
	if own, ok := s.Entries[s.LastAllocated.UserName]; ok && own.UID != s.LastAllocated.UID {
		s.LastAllocated.UserName = givenUp
	}
}
