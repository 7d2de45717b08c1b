package state_test

import (
	"fmt"
	"maps"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// A history is a sequence of operations on one state.json. It takes its choices
// from the bytes of a tape. After each operation it compares the state with a
// model, and checks what the package guarantees.
type history struct {
	t       testing.TB
	tape    []byte
	state   state.State
	model   model
	inputs  inputs
	highest int // the highest UID ever recorded
	steps   int
	refused int
	seen    map[string]int // kinds of refusals and changes
	log     []string       // what happened, printed after a failure
}

// pick takes a number below n from the tape.
func (h *history) pick(n int) int {
	if len(h.tape) == 0 {
		return 0
	}
	b := h.tape[0]
	h.tape = h.tape[1:]
	return int(b) % n
}

func pickOf[E any](h *history, list []E) E { return list[h.pick(len(list))] }

var worldHosts = []string{
	"a.test", "b.test", "c.test", "*.a.test", "x.a.test", "*.x.a.test", "y.x.a.test", "*.c.test", "d.c.test",
	"e.test", "f.test", "g.test", "h.test", "n1.host.test", "*.host.test",
}

func newHistory(t testing.TB, tape []byte) *history {
	h := &history{t: t, tape: tape, seen: map[string]int{}, state: state.New(), inputs: inputs{map[string]state.Claim{}, nil, map[string]state.Transfer{}}}
	if h.pick(3) == 0 {
		h.state = legacyWorld(t)
		for _, user := range userNames[:4] {
			h.inputs.claims[user] = claimOf(user, h.state.Entries[user].VirtualHosts...)
		}
	}
	h.model, h.highest = modelOf(h.state), h.state.HighestUID()
	return h
}

// legacyWorld returns a state as the legacy generator writes it.
func legacyWorld(t testing.TB) state.State {
	return decode(t, document(
		entry(userNames[0], 1002, `"a.test"`), entry(userNames[1], 1003, ""), entry(userNames[2], 1005, `"b.test", "e.test"`),
		entry(userNames[3], 1004, ""), entry(userNames[4], 1006, `"f.test"`), entry(userNames[20], 1007, `"g.test", "x.a.test"`),
	))
}

func claimOf(user string, hosts ...string) state.Claim {
	id := identities[user]
	return state.Claim{UserName: user, Organisation: id.organisation, Project: id.project, Environment: id.environment, Node: "n1", VirtualHosts: hosts}
}

// run does operations until the tape ends.
func (h *history) run() {
	for len(h.tape) > 0 && !h.t.Failed() {
		h.operation()
	}
	if h.t.Failed() {
		h.t.Logf("after\n%s", strings.Join(h.log, "\n"))
	}
}

func (h *history) logf(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

// operation does one thing with the state, or makes one to three changes to the
// inputs and a plan.
func (h *history) operation() {
	switch h.pick(12) {
	case 0:
		h.prune()
	case 1:
		h.saveAndReload()
	case 2:
		user, node := pickOf(h, userNames), pickOf(h, []string{"n1", "n2", "n3"})
		h.state = h.state.WithDeployed(map[string]string{user: node})
		h.model.lives = maps.Clone(h.model.lives)
		if l, ok := h.model.lives[user]; ok {
			l.deployed = node
			h.model.lives[user] = l
		}
		h.compare("deployed")
	default:
		in := h.inputs.clone()
		for range 1 + h.pick(3) {
			h.change(in.claims, &in)
		}
		h.plan(in)
	}
}

// change makes one change to the inputs, as a customer or the provider would.
func (h *history) change(claims map[string]state.Claim, in *inputs) {
	user, host := pickOf(h, userNames), pickOf(h, worldHosts)
	if live := slices.Sorted(maps.Keys(claims)); len(live) > 0 && h.pick(2) == 0 {
		user = pickOf(h, live)
	}
	c, declared := claims[user]
	switch h.pick(12) {
	case 0, 1: // add a new environment, or a retired one with its names
		if !declared {
			claims[user] = claimOf(user, h.model.lives[user].names()...)
			h.logf("add %s", user)
		}
	case 2:
		delete(claims, user)
		h.logf("remove %s", user)
	case 3:
		if declared {
			c.Node = pickOf(h, []string{"n1", "n2", "n3"})
			claims[user] = c
			h.logf("move %s to %s", user, c.Node)
		}
	case 4, 5:
		if declared {
			c.VirtualHosts = append(slices.Clone(c.VirtualHosts), host)
			claims[user] = c
			h.logf("add %s to %s", host, user)
		}
	case 6:
		if declared && len(c.VirtualHosts) > 0 {
			host = pickOf(h, c.VirtualHosts)
			c.VirtualHosts = slices.DeleteFunc(slices.Clone(c.VirtualHosts), func(s string) bool { return s == host })
			claims[user] = c
			h.logf("drop %s from %s", host, user)
		}
	case 7, 8:
		h.transfer(claims, in, user)
	case 9:
		h.rename(claims, in, user)
	case 10:
		h.renameProject(claims, in, user)
	default:
		in.renames, in.transfers = nil, map[string]state.Transfer{}
		h.logf("tidy the options")
	}
}

// transfer hands a name that has an owner to user, at times with a mistake.
func (h *history) transfer(claims map[string]state.Claim, in *inputs, user string) {
	owned := owners(h.state)
	if len(owned) == 0 {
		return
	}
	host := pickOf(h, slices.Sorted(maps.Keys(owned)))
	from := owned[host]
	if from == user {
		return
	}
	mistakes := h.pick(8)
	if old, ok := claims[from]; ok && mistakes != 0 {
		old.VirtualHosts = slices.DeleteFunc(slices.Clone(old.VirtualHosts), func(s string) bool { return s == host })
		claims[from] = old
	}
	if c, ok := claims[user]; ok && mistakes != 1 {
		c.VirtualHosts = append(slices.Clone(c.VirtualHosts), host)
		claims[user] = c
	}
	if mistakes != 2 {
		in.transfers[host] = state.Transfer{Host: host, From: from, To: user}
	}
	h.logf("transfer %s from %s to %s (mistake %d)", host, from, user, mistakes)
}

// rename gives user the name of another environment, at times with a mistake.
func (h *history) rename(claims map[string]state.Claim, in *inputs, user string) {
	to, mistakes := pickOf(h, userNames), h.pick(8)
	hosts := h.model.lives[user].names()
	if mistakes != 0 {
		delete(claims, user)
	}
	if mistakes != 1 && user != to {
		claims[to] = claimOf(to, hosts...)
	}
	r := rename{Moved: state.Moved{From: user, To: to}, byUser: true, pairs: map[string]string{user: to}}
	if h.pick(2) == 0 {
		a, b := identities[user], identities[to]
		r.byUser = false
		r.Moved = state.Moved{From: a.organisation + "__" + a.project + "/" + a.environment, To: b.organisation + "__" + b.project + "/" + b.environment}
	}
	in.renames = append(in.renames, r)
	h.logf("rename %s to %s (mistake %d)", r.From, r.To, mistakes)
}

func (h *history) renameProject(claims map[string]state.Claim, in *inputs, user string) {
	from, to := identities[user], identities[pickOf(h, userNames)]
	r := rename{Moved: state.Moved{From: from.organisation + "__" + from.project, To: to.organisation + "__" + to.project}, pairs: map[string]string{}}
	for old, id := range identities {
		if id.organisation != from.organisation || id.project != from.project {
			continue
		}
		renamed := identity{to.organisation, to.project, id.environment}.user()
		r.pairs[old] = renamed
		if c, ok := claims[old]; ok && old != renamed {
			delete(claims, old)
			claims[renamed] = claimOf(renamed, c.VirtualHosts...)
		}
	}
	in.renames = append(in.renames, r)
	h.logf("rename project %s to %s", r.From, r.To)
}

// plan computes the next state and compares it with the model. A refused plan
// changes nothing, and neither does one whose result is lost in a crash.
func (h *history) plan(in inputs) {
	h.steps++
	before, req := h.state, in.request()
	bytes := string(before.Encode())
	step, err := before.Next(req)
	if string(before.Encode()) != bytes {
		h.t.Errorf("Next changed its prior state")
	}
	want, ok := h.model.next(in)
	if ok != (err == nil) {
		h.t.Errorf("the model accepts: %v; Next: %v", ok, err)
		return
	}
	if err != nil {
		h.refused++
		for _, text := range problems(h.t, err) {
			h.seen[refusalOf(text)]++
		}
		h.logf("refused: %v", err)
		return
	}
	if h.pick(8) == 0 {
		h.logf("crash")
		h.state = decode(h.t, bytes)
		h.compare("after a crash")
		return
	}
	h.checkPromises(before, req, step)
	for _, c := range step.Changes {
		h.seen[fmt.Sprintf("%s %s %s", c.Kind, c.Action, c.Reason)]++
	}
	h.state, h.model, h.inputs = step.State, want, in
	h.highest = max(h.highest, step.State.HighestUID())
	h.logf("planned: %s", strings.Join(describe(step.Changes), "; "))
	h.compare("planned")
}

// agree compares state and model.
func (h *history) compare(when string) {
	if got := modelOf(h.state); got.last != h.model.last || !maps.Equal(got.lives, h.model.lives) {
		h.t.Errorf("%s, the state is not the model's:\n%s", when, cmp.Diff(h.model, got, cmp.AllowUnexported(model{}, life{})))
	}
	if err := h.state.Validate(); err != nil {
		h.t.Errorf("%s, the state is not valid: %v", when, err)
	}
}

func (h *history) prune() {
	var users []string
	if h.pick(2) == 0 {
		users = []string{pickOf(h, userNames)}
	}
	s, changes, err := h.state.Prune(users...)
	want, ok := h.model.prune(users...)
	if ok != (err == nil) {
		h.t.Errorf("prune %v: the model accepts: %v; Prune: %v", users, ok, err)
	}
	if err != nil {
		problems(h.t, err)
		return
	}
	for _, c := range changes {
		if owned := owners(h.state)[c.Key]; owned == "" || owners(s)[c.Key] != "" || c.Action != state.Release {
			h.t.Errorf("prune reports %q, but did not do it", describe([]state.Change{c}))
		}
	}
	if got := len(owners(h.state)) - len(owners(s)); got != len(changes) {
		h.t.Errorf("prune released %d names and reports %d", got, len(changes))
	}
	h.state, h.model = s, want
	h.logf("prune %v", users)
	h.compare("pruned")
}

func (h *history) saveAndReload() {
	digest := h.state.Digest()
	h.state = decode(h.t, string(h.state.Encode()))
	if got := h.state.Digest(); got != digest {
		h.t.Errorf("one state, two digests: %s and %s", digest, got)
	}
	h.logf("save and reload")
	h.compare("reloaded")
}

// checkPromises checks what the package guarantees, without the model.
func (h *history) checkPromises(before state.State, req state.Request, step state.Step) {
	after := step.State
	holders := map[int]string{}
	for user, e := range after.Entries {
		if other, ok := holders[e.UID]; ok {
			h.t.Errorf("%s and %s share the UID %d", user, other, e.UID)
		}
		holders[e.UID] = user
	}
	known := map[int]bool{}
	for user, e := range before.Entries {
		known[e.UID] = true
		holder, kept := holders[e.UID]
		if renamed := len(req.Moved) > 0; !kept || holder != user && !renamed {
			h.t.Errorf("the UID %d of %s went to %q", e.UID, user, holder)
		}
	}
	fresh := 0
	for uid, user := range holders {
		if known[uid] {
			continue
		}
		fresh++
		if uid <= h.highest || uid < req.UIDs.Min || uid > req.UIDs.Max {
			h.t.Errorf("%s got the UID %d, not above %d", user, uid, h.highest)
		}
	}
	if newest := after.LastAllocated.UID; fresh > 0 && (newest != after.HighestUID() || newest != max(h.highest+1, req.UIDs.Min)+fresh-1) {
		h.t.Errorf("%d new UIDs above %d, and the newest is %d", fresh, h.highest, newest)
	}
	h.checkNames(before, req, step)

	again, err := after.Next(req)
	if err != nil || len(again.Changes) > 0 || string(again.State.Encode()) != string(after.Encode()) {
		h.t.Errorf("the second time: %v, %q", err, describe(again.Changes))
	}
	slices.Reverse(req.Claims)
	reversed, err := before.Next(req)
	if err != nil || reversed.State.Digest() != after.Digest() {
		h.t.Errorf("in another order: %v", err)
	}
	if !reflect.DeepEqual(step.Changes, reversed.Changes) {
		h.t.Errorf("in another order, other changes:\n%s", cmp.Diff(step.Changes, reversed.Changes))
	}
	if len(step.Changes) == 0 && before.Description == after.Description && string(before.Encode()) != string(after.Encode()) {
		h.t.Errorf("no changes, and another state:\n%s", cmp.Diff(string(before.Encode()), string(after.Encode())))
	}
}

// checkNames checks that each name has one owner, that it leaves its organisation
// only by a transfer or a rename of its owner, and that a retired owner keeps its
// names or loses them within the project.
func (h *history) checkNames(before state.State, req state.Request, step state.Step) {
	ownersNow, count := owners(step.State), 0
	for _, e := range step.State.Entries {
		count += len(e.VirtualHosts)
	}
	if count != len(ownersNow) {
		h.t.Errorf("%d names for %d places", len(ownersNow), count)
	}
	released := map[string]bool{}
	for _, c := range step.Changes {
		if c.Action == state.Release {
			released[c.Key] = true
		}
	}
	holders := map[int]string{}
	for user, e := range step.State.Entries {
		holders[e.UID] = user
	}
	for host, was := range owners(before) {
		is := ownersNow[host]
		a, b := before.Entries[was], step.State.Entries[is]
		switch {
		case is == "":
			if !released[host] {
				h.t.Errorf("%s of %s is free, but no change reports it", host, was)
			}
			if _, declared := claimed(req, was); a.Retired && !declared && !renamedAway(step.State, was) {
				h.t.Errorf("%s of %s, retired, was released", host, was)
			}
		case a.UID == b.UID || sameProject(holders[a.UID], is):
		case !slices.ContainsFunc(req.Transfers, func(t state.Transfer) bool { return t.Host == host && t.To == is }):
			h.t.Errorf("%s went from %s to %s without a transfer", host, was, is)
		}
	}
}

func sameProject(a, b string) bool {
	x, y := identities[a], identities[b]
	return x.organisation == y.organisation && x.project == y.project
}

func claimed(req state.Request, user string) (state.Claim, bool) {
	i := slices.IndexFunc(req.Claims, func(c state.Claim) bool { return c.UserName == user })
	if i < 0 {
		return state.Claim{}, false
	}
	return req.Claims[i], true
}

func renamedAway(s state.State, user string) bool { _, ok := s.Entries[user]; return !ok }

func randomTape(r *rand.Rand, n int) []byte {
	tape := make([]byte, n)
	r.Read(tape)
	return tape
}

// TestHistories runs some thousands of operations.
func TestHistories(t *testing.T) {
	steps, refused, seen := 0, 0, map[string]int{}
	for seed := range int64(80) {
		h := newHistory(t, randomTape(rand.New(rand.NewSource(seed)), 700))
		h.run()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		steps, refused = steps+h.steps, refused+h.refused
		for what, n := range h.seen {
			seen[what] += n
		}
	}
	t.Logf("%d plans, %d of them refused: %v", steps, refused, seen)
	for _, what := range []string{
		"conflict", "wildcard", "node name", "option", "UIDs",
		"environment create new", "environment update adopted", "environment retire left-inputs", "environment revive back-in-inputs",
		"environment move placement", "environment move renamed",
		"hostname create declared", "hostname move declared", "hostname transfer transfer", "hostname release undeclared",
	} {
		if seen[what] < 10 {
			t.Errorf("%s happened %d times, want at least 10", what, seen[what])
		}
	}
}

// FuzzHistory runs histories from tapes of the fuzzer.
func FuzzHistory(f *testing.F) {
	for seed := range int64(5) {
		f.Add(randomTape(rand.New(rand.NewSource(1000+seed)), 200))
	}
	f.Fuzz(func(t *testing.T, tape []byte) {
		if len(tape) > 2000 {
			t.Skip("longer histories take long and find no more")
		}
		newHistory(t, tape).run()
	})
}
