package plan_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// A version is a commit of a customer's repository.
type version struct {
	customer customer
	failed   error // why it does not evaluate
}

// A commit is one of the provider's repository: flake.lock, state and plan.
type commit struct {
	locks       map[string]int // the version of each project
	holds       map[string]any // provider.hold
	state, plan []byte
	// behind are the projects that the next plan may change without an update: they
	// went back, or were updated while they were on hold.
	behind  map[string]bool
	parents []*commit
}

func (c *commit) has(other *commit) bool {
	return c == other || slices.ContainsFunc(c.parents, func(p *commit) bool { return p.has(other) })
}

// forkOf returns a newest commit that both have.
func forkOf(a, b *commit) *commit {
	queue := []*commit{a}
	for ; !b.has(queue[0]); queue = queue[1:] {
		queue = append(queue, queue[0].parents...)
	}
	return queue[0]
}

// A clone is an operator's checkout.
type clone struct {
	commit
	head *commit
	// touched are the projects whose environments may change in the next plan.
	touched map[string]bool
}

// A machine is a node, with what the deploys of all clones left on it.
type machine struct {
	serial plan.Serial
	uids   map[int]string
}

// A provider's history: customers and three clones.
type clones struct {
	t        *testing.T
	random   *rand.Rand
	where    string
	versions map[string][]version
	clones   []*clone
	hub      *commit
	machines map[string]*machine
	counts   map[string]int
}

// TestClones lets three operators update, plan, merge and deploy, while customers
// change, fail and are mended; they hold projects, and take them back to an earlier
// commit. After each plan:
//
//   - plan and state are consistent, and no UID is given twice;
//   - nothing changes of a project that fails or is on hold, or that the clone neither
//     updated nor took back and no merge brought;
//   - the plan after a merge has all environments of both branches, and no lower serial
//     than either: no node refuses it as older. What one branch alone changed is as
//     there, in whichever order they are merged.
//
// A UID of a deployed environment never changes, and no node gets a UID for two users.
func TestClones(t *testing.T) {
	counts := map[string]int{}
	for seed := range uint64(15) {
		c := &clones{t: t, random: rand.New(rand.NewPCG(seed, 7)), where: fmt.Sprint("seed ", seed), versions: map[string][]version{}, machines: map[string]*machine{}, counts: counts}
		c.begin()
		for step := range 80 {
			c.where = fmt.Sprintf("seed %d, step %d", seed, step)
			c.step(c.clones[c.random.IntN(len(c.clones))])
			if t.Failed() {
				return
			}
		}
	}
	t.Log(counts)
	for what, least := range map[string]int{"customer changes": 100, "customer fails": 30, "customer is mended": 30, "plan": 100, "held back": 30, "on hold": 30, "back": 30, "merge": 30, "deploy": 50, "deploy of an old plan": 3, "deploy of a merged plan": 3} {
		if counts[what] < least {
			t.Errorf("%s: %d times, want %d", what, counts[what], least)
		}
	}
}

func (c *clones) begin() {
	for _, customer := range newWorld().customers {
		c.versions[customer.input()] = []version{{customer: *customer}}
	}
	first := &clone{commit: commit{locks: map[string]int{}, holds: map[string]any{}, behind: map[string]bool{}, state: state.New().Encode()}, touched: map[string]bool{}}
	for input := range c.versions {
		first.locks[input], first.touched[input] = 0, true
	}
	c.plan(first)
	c.hub = c.commit(first)
	for range 3 {
		c.clones = append(c.clones, &clone{commit: c.checkout(), head: c.hub, touched: map[string]bool{}})
	}
}

func (c *clones) checkout() commit {
	at := *c.hub
	at.locks, at.holds, at.behind = maps.Clone(at.locks), maps.Clone(at.holds), maps.Clone(at.behind)
	return at
}

func (c *clones) commit(at *clone) *commit {
	head := &commit{locks: maps.Clone(at.locks), holds: maps.Clone(at.holds), behind: maps.Clone(at.behind), state: at.state, plan: at.plan}
	if at.head != nil {
		head.parents = []*commit{at.head}
	}
	at.head = head
	return head
}

func (c *clones) step(at *clone) {
	inputs := slices.Sorted(maps.Keys(c.versions))
	input := inputs[c.random.IntN(len(inputs))]
	newest := len(c.versions[input]) - 1
	switch c.random.IntN(11) {
	case 0, 1:
		c.change(input)
	case 2, 3, 4:
		if at.locks[input] != newest {
			at.locks[input], at.touched[input] = newest, true
		}
		c.plan(at)
	case 5, 6:
		c.push(at)
	case 7:
		c.hold(at, input)
	case 8:
		c.back(at, input)
	default:
		c.deploy(at)
	}
}

// change adds a version of a customer: other environments, a mistake, or its end.
func (c *clones) change(input string) {
	last := c.versions[input][len(c.versions[input])-1]
	next := version{customer: last.customer}
	next.customer.environments = map[string]*environment{}
	for name, e := range last.customer.environments {
		same := *e
		next.customer.environments[name] = &same
	}
	broken := last.failed != nil || last.customer.wrong != nil
	next.customer.wrong = nil
	switch {
	case broken:
		c.counts["customer is mended"]++
	case c.random.IntN(3) == 0:
		c.counts["customer fails"]++
		next.failed = faults[c.random.IntN(len(faults))](nil, &next.customer)
	default:
		c.counts["customer changes"]++
		next.customer.change(c.random, []string{"a.example", "b.example", "x.c.example", "www." + input[:4] + ".example"}, true)
	}
	c.versions[input] = append(c.versions[input], next)
}

// read returns what a clone has.
func (c *clones) read(at *commit) *plan.Result {
	c.t.Helper()
	s, err := state.Decode(at.state)
	if err != nil {
		c.t.Fatalf("%s: %v", c.where, err)
	}
	r := &plan.Result{State: s}
	if at.plan != nil {
		if r.Plan, err = plan.DecodeDocument(at.plan); err != nil {
			c.t.Fatalf("%s: %v", c.where, err)
		}
		r.Held = r.Plan.Held()
	}
	return r
}

// hold puts a project on hold, or ends that.
func (c *clones) hold(at *clone, input string) {
	if at.holds[input] != nil {
		delete(at.holds, input)
	} else if len(live(c.read(&at.commit), input)) > 0 {
		at.holds[input] = "the shop closes"
	}
	c.plan(at)
}

// live are the environments of a project that are not retired.
func live(r *plan.Result, input string) (users []string) {
	for user, e := range r.State.Entries {
		if e.Organisation+"__"+e.Project == input && !e.Retired {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return users
}

// back takes a project back to an earlier commit.
func (c *clones) back(at *clone, input string) {
	c.t.Helper()
	to := at.head
	for range 1 + c.random.IntN(3) {
		if len(to.parents) > 0 {
			to = to.parents[c.random.IntN(len(to.parents))]
		}
	}
	last := c.read(&at.commit)
	users := live(last, input)
	if len(users) == 0 || to.plan == nil {
		return
	}
	w, failed := c.world(at)
	earlier := c.read(to)
	result, err := w.compute(c.t, last, failed, &plan.Back{To: &earlier.Plan, Users: users})
	if err != nil {
		if !strings.Contains(err.Error(), "cover") {
			c.t.Fatalf("%s: %s does not go back: %v", c.where, input, err)
		}
		c.counts["refused to go back"]++
		return
	}
	c.counts["back"]++
	result.Plan = result.Plan.After(last.Plan)
	checkResult(c.t, c.where, result)
	before, after := parts(last), parts(result)
	for other := range at.locks {
		if diff := cmp.Diff(before[other], after[other]); other != input && diff != "" {
			c.t.Fatalf("%s: %s goes back, and %s changes:\n%s", c.where, input, other, diff)
		}
	}
	at.behind[input] = true
	at.state, at.plan = result.State.Encode(), result.Plan.Encode()
}

// world returns the customers as a clone has them, and the projects that fail.
func (c *clones) world(at *clone) (*world, map[string]error) {
	w, failed := &world{}, map[string]error{}
	if len(at.holds) > 0 {
		w.hold = at.holds
	}
	for _, input := range slices.Sorted(maps.Keys(at.locks)) {
		v := c.versions[input][at.locks[input]]
		w.customers = append(w.customers, &v.customer)
		if v.failed != nil {
			failed[input] = v.failed
		}
	}
	return w, failed
}

func (c *clones) plan(at *clone) {
	c.t.Helper()
	w, failed := c.world(at)
	var last *plan.Result
	if at.plan != nil {
		last = c.read(&at.commit)
	}
	result, err := w.planned(c.t, last, failed)
	if err != nil && strings.Contains(err.Error(), "no plan has it yet") { // another clone retired it
		c.counts["hold of what is retired"]++
		clear(at.holds)
		c.plan(at)
		return
	}
	if err != nil {
		if all := (*plan.HeldError)(nil); errors.As(err, &all) || strings.Contains(err.Error(), "-allowMany") || strings.Contains(err.Error(), "have no environment") {
			c.counts["plan refused"]++
			return
		}
		c.t.Fatalf("%s: %v", c.where, err)
	}
	c.counts["plan"]++
	if last == nil {
		result.Plan = result.Plan.After(plan.Document{})
	} else {
		result.Plan = result.Plan.After(last.Plan)
		c.unchanged(at, last, result)
	}
	checkResult(c.t, c.where, result)
	at.state, at.plan = result.State.Encode(), result.Plan.Encode()
	waiting := map[string]bool{}
	for input := range at.holds {
		waiting[input] = at.touched[input] || at.behind[input]
	}
	at.behind, at.touched = waiting, map[string]bool{}
}

// unchanged compares the environments of two plans of a clone.
func (c *clones) unchanged(at *clone, last, result *plan.Result) {
	c.t.Helper()
	before, after := parts(last), parts(result)
	for input := range at.locks {
		is, was := held(result, input), held(last, input)
		switch {
		case at.holds[input] != nil:
			c.counts["on hold"]++
		case (at.touched[input] || at.behind[input]) && is == nil:
			continue
		case is != nil:
			c.counts["held back"]++
		case was != nil: // the project that had its name gave it up
			continue
		}
		if diff := cmp.Diff(before[input], after[input]); diff != "" && !at.touched["merged "+input] {
			c.t.Fatalf("%s: %s is held back or on hold, or was not updated, and changes:\n%s", c.where, input, diff)
		}
	}
}

// push publishes what a clone has: it merges the hub's newest commit, if that is not
// its own, and plans.
func (c *clones) push(at *clone) {
	c.t.Helper()
	if len(at.touched) > 0 { // updates without a plan are not committed
		c.plan(at)
	}
	if len(at.touched) > 0 {
		return
	}
	own, hub := c.commit(at), c.hub
	if own.has(hub) {
		c.hub = own
		return
	}
	base := forkOf(own, hub)
	merged, ok := c.merge(base, hub, own)
	if !ok { // the operator gives up, and begins with the hub's
		c.counts["merge refused"]++
		*at = clone{commit: c.checkout(), head: hub, touched: map[string]bool{}}
		return
	}
	c.counts["merge"]++
	if err := plan.CheckFresh(merged.plan, c.read(merged).State); err == nil && !bytes.Equal(hub.plan, own.plan) {
		c.t.Fatalf("%s: a merged plan is taken for one of the merged state", c.where)
	}
	at.commit, at.head = *merged, merged
	for input := range at.locks { // of what one branch changed, the new plan has that
		at.touched[input], at.touched["merged "+input] = true, true
	}
	c.plan(at)
	if len(at.touched) > 0 {
		*at = clone{commit: c.checkout(), head: hub, touched: map[string]bool{}}
		return
	}
	c.whole(base, hub, own, at)
	c.hub = c.commit(at)
}

// merge merges two commits as git does with the driver of the template. It checks that
// the other order differs by who keeps a UID alone.
func (c *clones) merge(base, earlier, later *commit) (*commit, bool) {
	c.t.Helper()
	a, b, origin := c.read(earlier), c.read(later), c.read(base)
	s, err := state.Merge(origin.State, a.State, b.State)
	if _, other := state.Merge(origin.State, b.State, a.State); (err == nil) != (other == nil) {
		c.t.Fatalf("%s: in one order %v, in the other %v", c.where, err, other)
	}
	if err != nil {
		return nil, false
	}
	merged := &commit{state: s.Encode(), locks: map[string]int{}, holds: map[string]any{}, behind: map[string]bool{}, parents: []*commit{earlier, later}}
	for input, was := range base.locks {
		merged.locks[input] = max(earlier.locks[input], later.locks[input], was)
		merged.behind[input] = earlier.behind[input] || later.behind[input]
		hold := earlier.holds[input]
		if hold == base.holds[input] {
			hold = later.holds[input]
		}
		if hold != nil {
			merged.holds[input] = hold
		}
	}
	if merged.plan, err = plan.Merge(base.plan, earlier.plan, later.plan); err != nil {
		c.t.Fatalf("%s: %v", c.where, err)
	}
	swapped, err := plan.Merge(base.plan, later.plan, earlier.plan)
	if err != nil {
		c.t.Fatalf("%s: %v", c.where, err)
	}
	if _, err := plan.DecodeDocument(merged.plan); err != nil {
		c.t.Fatalf("%s: %v", c.where, err)
	}
	c.nothingLost("plan", tree(base.plan), tree(earlier.plan), tree(later.plan), tree(merged.plan), tree(swapped))
	return merged, true
}

func tree(text []byte) any {
	v, err := canonjson.Decode(text)
	if err != nil {
		return nil // no base
	}
	return v
}

// nothingLost checks a merge of values, nil for no member, in both orders: what one
// branch changed is as there, whichever comes first; of what both changed it is that of
// the first, in part or as a whole.
func (c *clones) nothingLost(where string, base, a, b, merged, swapped any) {
	c.t.Helper()
	if where == "plan/stateDigest" || where == "plan/serial" {
		return
	}
	inA, isA := a.(map[string]any)
	inB, isB := b.(map[string]any)
	inBase, _ := base.(map[string]any)
	switch {
	case isA && isB:
		inMerged, _ := merged.(map[string]any)
		inSwapped, _ := swapped.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(maps.Collect(union(inA, inB, inMerged)))) {
			c.nothingLost(where+"/"+name, inBase[name], inA[name], inB[name], inMerged[name], inSwapped[name])
		}
	case reflect.DeepEqual(a, b) || reflect.DeepEqual(b, base):
		if !reflect.DeepEqual(merged, a) || !reflect.DeepEqual(swapped, a) {
			c.t.Errorf("%s: %s is %v, and in the other order %v; want %v", c.where, where, merged, swapped, a)
		}
	case reflect.DeepEqual(a, base):
		if !reflect.DeepEqual(merged, b) || !reflect.DeepEqual(swapped, b) {
			c.t.Errorf("%s: %s is %v, and in the other order %v; want %v", c.where, where, merged, swapped, b)
		}
	case a == nil || b == nil: // one branch removed what the other changed
		if merged == nil || !reflect.DeepEqual(merged, swapped) {
			c.t.Errorf("%s: %s, which one branch removed and the other changed, is %v, and in the other order %v", c.where, where, merged, swapped)
		}
	default:
		if !reflect.DeepEqual(merged, a) || !reflect.DeepEqual(swapped, b) {
			c.t.Errorf("%s: %s, which both changed, is %v, and in the other order %v", c.where, where, merged, swapped)
		}
	}
}

func union(all ...map[string]any) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for _, m := range all {
			for name, v := range m {
				if !yield(name, v) {
					return
				}
			}
		}
	}
}

// whole checks the plan of a merge.
func (c *clones) whole(base, earlier, later *commit, at *clone) {
	c.t.Helper()
	result := c.read(&at.commit)
	for _, side := range []*commit{earlier, later} {
		other := earlier
		if side == earlier {
			other = later
		}
		before, others := c.read(side), c.read(other)
		for user, e := range before.State.Entries {
			now, ok := result.State.Entries[user]
			if !ok {
				c.t.Errorf("%s: %s of one branch is lost", c.where, user)
			}
			if o := others.State.Entries[user]; now.UID != e.UID && (e.DeployedNode != "" || o.UID == e.UID) {
				c.t.Errorf("%s: %s had the UID %d, and has %d", c.where, user, e.UID, now.UID)
			}
		}
		if before.Plan.Serial.Number > result.Plan.Serial.Number {
			c.t.Errorf("%s: the plan of a merge has the serial %d, and one branch had %d", c.where, result.Plan.Serial.Number, before.Plan.Serial.Number)
		}
	}
	// A project that neither branch updated, and that was not held back, is as before.
	was, is := parts(c.read(base)), parts(result)
	for input, version := range base.locks {
		if base.behind[input] || earlier.behind[input] || later.behind[input] || earlier.locks[input] != version || later.locks[input] != version || held(result, input) != nil || held(c.read(base), input) != nil {
			continue
		}
		for user, text := range is[input] {
			if entry := result.State.Entries[user]; entry.DeployedNode == "" && was[input][user] != text {
				c.t.Errorf("%s: %s was updated by neither branch, and changes:\n%s", c.where, user, cmp.Diff(was[input][user], text))
			}
		}
	}
}

// deploy deploys a clone's plan, if it has one of its state, as the preflight and the
// nodes allow.
func (c *clones) deploy(at *clone) {
	c.t.Helper()
	r := c.read(&at.commit)
	if plan.CheckFresh(at.plan, r.State) != nil {
		c.t.Fatalf("%s: the plan in the folder is of another state", c.where)
	}
	if at.head.parents != nil && len(at.head.parents[0].parents) > 1 {
		c.counts["deploy of a merged plan"]++
	}
	deployed := map[string]string{}
	for _, node := range slices.Sorted(maps.Keys(r.Plan.Nodes)) {
		m := c.machines[node]
		if m == nil {
			m = &machine{uids: map[int]string{}}
			c.machines[node] = m
		}
		if s := r.Plan.Serial; s.Number < m.serial.Number || s.Number == m.serial.Number && s.Digest != m.serial.Digest {
			c.counts["deploy of an old plan"]++
			continue
		}
		taken := false
		for user, e := range r.Plan.Environments {
			other := m.uids[e.UID]
			taken = taken || e.Node == node && other != "" && other != user
		}
		if taken {
			c.counts["deploy with a UID of another"]++
			continue
		}
		c.counts["deploy"]++
		m.serial = r.Plan.Serial
		for user, e := range r.Plan.Environments {
			if e.Node == node {
				m.uids[e.UID] = user
				deployed[user] = node
			}
		}
	}
	s := r.State.WithDeployed(deployed)
	at.state, at.plan = s.Encode(), r.Plan.WithDeployed(deployed, s.Digest()).Encode()
}
