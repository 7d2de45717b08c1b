package plan_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// A customer is a project of a test's world.
type customer struct {
	organisation, project string
	environments          map[string]*environment
	wrong                 map[string]any // further options of every environment
	commits               int64          // in its repository
}

// An environment of a customer.
type environment struct {
	hosts []string
	kind  string
	note  int
}

func (c *customer) input() string { return c.organisation + "__" + c.project }

func (c *customer) user(name string) string {
	return names.UserName(c.organisation, c.project, name)
}

// inventory returns the customer's project as Nix evaluates it.
func (c *customer) inventory() map[string]any {
	environments := map[string]any{}
	for name, e := range c.environments {
		user, hosts := c.user(name), map[string]any{}
		for _, host := range e.hosts {
			hosts[host] = map[string]any{"enableLetsEncrypt": !strings.HasPrefix(host, "*.")}
		}
		hosts[user+".hosting.example"] = map[string]any{}
		environments[name] = map[string]any{
			"type": e.kind, "note": e.note, "virtualHosts": hosts,
			"hostenv": map[string]any{
				"organisation": c.organisation, "project": c.project, "environmentName": name, "userName": user,
				"hostname": user + ".hosting.example", "hostenvHostname": "hosting.example", "gitRef": name,
			},
			"users": map[string]any{"dev": map[string]any{"publicKeys": []string{"ssh-ed25519 AAAA " + user}}},
		}
		maps.Copy(environments[name].(map[string]any), c.wrong)
	}
	return map[string]any{
		"source":       map[string]any{"original": map[string]any{"type": "git", "url": "https://git.example/" + c.input()}},
		"environments": environments,
	}
}

// A world is a provider and its customers.
type world struct {
	customers []*customer
	provider  map[string]any // further options
	hold      map[string]any // provider.hold
	only      plan.Selection
	allowMany bool
}

func (w *world) find(input string) *customer {
	for _, c := range w.customers {
		if c.input() == input {
			return c
		}
	}
	return nil
}

// decode returns the world's inventory, without some projects.
func (w *world) decode(t testing.TB, without map[string]error) *plan.Inventory {
	t.Helper()
	projects := map[string]any{}
	for _, c := range w.customers {
		if _, failed := without[c.input()]; !failed {
			projects[c.input()] = c.inventory()
		}
	}
	return w.read(t, projects)
}

// read decodes an inventory of the world's provider and projects.
func (w *world) read(t testing.TB, projects map[string]any) *plan.Inventory {
	t.Helper()
	provider := map[string]any{
		"hostenvHostname": "hosting.example", "letsEncrypt": map[string]any{"acceptTerms": true, "adminEmail": "ops@hosting.example"},
		"nodeFor": map[string]any{"default": "node-a", "production": "node-b"},
	}
	if len(w.hold) > 0 {
		provider["hold"] = w.hold
	}
	maps.Copy(provider, w.provider)
	data, err := json.Marshal(map[string]any{"formatVersion": 1, "provider": provider, "projects": projects})
	if err != nil {
		t.Fatal(err)
	}
	inv, err := plan.DecodeInventory(data)
	if err != nil {
		t.Fatal(err)
	}
	inv.Only, inv.AllowMany = w.only, w.allowMany
	return inv
}

// planned computes the world's plan after another one, nil for none.
func (w *world) planned(t testing.TB, last *plan.Result, failed map[string]error) (*plan.Result, error) {
	t.Helper()
	return w.compute(t, last, failed, nil)
}

// compute computes the world's plan after another one, or takes environments back.
func (w *world) compute(t testing.TB, last *plan.Result, failed map[string]error, back *plan.Back) (*plan.Result, error) {
	t.Helper()
	in := plan.Input{Inventory: w.decode(t, failed), State: state.New(), Back: back}
	in.Sources = plan.Sources{}
	for _, r := range in.Inventory.SourceRequests() {
		commits := w.find(r.Projects()[0]).commits
		in.Sources[r.Key] = plan.Locked{Rev: fmt.Sprintf("%040d", commits), NarHash: "sha256-" + r.Key, LastModified: commits}
	}
	for input, err := range failed {
		in.Failed = append(in.Failed, plan.Held{Project: input, Reason: err})
	}
	if last != nil {
		document, err := plan.DecodeDocument(last.Plan.Encode())
		if err != nil {
			t.Fatal(err)
		}
		in.State, in.Last = roundTrip(t, last.State), &document
	}
	result, err := plan.Compute(in)
	if err == nil && in.Last != nil {
		result.Plan = dnsgate.Carry(*in.Last, result.Plan)
	}
	return result, err
}

// parts returns what plan and state have of each environment, as text by project and
// user: the environment itself, its profile, its node's entries and the state's.
func parts(r *plan.Result) map[string]map[string]string {
	all := map[string]map[string]string{}
	tree := map[string]any{}
	if err := json.Unmarshal(r.Plan.Encode(), &tree); err != nil {
		panic(err)
	}
	for user, entry := range r.State.Entries {
		node := at(tree, "nodes", entry.Node)
		hosts := map[string]any{}
		for host := range at(tree, "environments", user, "virtualHosts") {
			hosts[host] = []any{at(node, "services", "nginx", "virtualHosts")[host], at(tree, "dnsGate")[host]}
		}
		uid := fmt.Sprintf("user@%d", entry.UID)
		text, err := json.Marshal([]any{
			entry, at(tree, "environments", user), at(tree, "profiles", user), hosts,
			at(node, "users", "users")[user], at(node, "users", "groups")[user], at(node, "systemd", "services")[uid],
		})
		if err != nil {
			panic(err)
		}
		input := entry.Organisation + "__" + entry.Project
		if all[input] == nil {
			all[input] = map[string]string{}
		}
		all[input][user] = string(text)
	}
	return all
}

func held(r *plan.Result, input string) *plan.Held {
	i := slices.IndexFunc(r.Held, func(h plan.Held) bool { return h.Project == input })
	if i < 0 {
		return nil
	}
	return &r.Held[i]
}

// newWorld returns three organisations with four projects, of which two share a slice
// and two an organisation.
func newWorld() *world {
	w := &world{}
	for _, input := range []string{"acme__site", "acme__shop", "beta__site", "gamma__portal"} {
		organisation, project, _ := strings.Cut(input, "__")
		w.customers = append(w.customers, &customer{organisation: organisation, project: project, environments: map[string]*environment{
			"main": {hosts: []string{"www." + project + "." + organisation + ".example"}, kind: "production"},
		}})
	}
	return w
}

// change changes something of a customer: environments too, if it may have new UIDs.
func (c *customer) change(random *rand.Rand, hosts []string, environments bool) {
	all := slices.Sorted(maps.Keys(c.environments))
	name := ""
	if len(all) > 0 {
		name = all[random.IntN(len(all))]
	}
	switch kind := random.IntN(6); {
	case environments && (kind == 0 || name == ""):
		name = fmt.Sprintf("env%d", random.IntN(4))
		if c.environments[name] == nil {
			c.environments[name] = &environment{kind: "development"}
		}
	case environments && kind == 1:
		delete(c.environments, name)
	case name == "":
	case kind <= 3:
		e, host := c.environments[name], hosts[random.IntN(len(hosts))]
		if i := slices.Index(e.hosts, host); i >= 0 {
			e.hosts = slices.Delete(slices.Clone(e.hosts), i, i+1)
			return
		}
		for _, other := range c.environments {
			if slices.Contains(other.hosts, host) {
				return
			}
		}
		e.hosts = append(slices.Clone(e.hosts), host)
	case kind == 4:
		c.environments[name].kind = []string{"development", "production"}[random.IntN(2)]
	default:
		c.environments[name].note++
		c.commits++
	}
}

// gate turns certificates off and on at random, as the DNS gate does.
func gate(random *rand.Rand, d plan.Document) plan.Document {
	d.DNSGate = maps.Clone(d.DNSGate)
	tls := map[string]map[string]plan.TLS{}
	for _, user := range slices.Sorted(maps.Keys(d.Environments)) {
		e := d.Environments[user]
		for _, host := range slices.Sorted(maps.Keys(e.VirtualHosts)) {
			entry, decided := d.DNSGate[host]
			asked := e.VirtualHosts[host].TLS()
			if decided {
				asked = entry.Asked.TLS()
			}
			if !asked.EnableACME || random.IntN(3) > 0 {
				continue
			}
			entry = plan.GateEntry{Asked: plan.Asked{EnableACME: true, ForceSSL: asked.ForceSSL}, Decision: plan.GateOn, Node: e.Node, Verdict: "pass", Reason: "x"}
			if random.IntN(2) == 0 {
				entry.Decision, entry.Verdict = plan.GateOff, "fail"
				asked = plan.TLS{}
			}
			d.DNSGate[host] = entry
			if tls[user] == nil {
				tls[user] = map[string]plan.TLS{}
			}
			tls[user][host] = asked
		}
	}
	return d.WithTLS(tls)
}

// faults are ways in which a customer fails. Each changes the project or the world,
// or returns why it cannot be evaluated.
var faults = []func(w *world, c *customer) error{
	func(*world, *customer) error { return problem.New("", "attribute 'x' missing", "") },
	func(_ *world, c *customer) error {
		c.wrong = map[string]any{"hostenv": map[string]any{"organisation": "gamma", "project": "portal"}}
		return nil
	},
	func(_ *world, c *customer) error {
		c.wrong = map[string]any{"virtualHosts": map[string]any{"x.example": map[string]any{"root": "/"}}}
		return nil
	},
	func(_ *world, c *customer) error {
		c.wrong = map[string]any{"imports": []string{"/tmp/x.nix"}}
		return nil
	},
	func(_ *world, c *customer) error { c.wrong = map[string]any{"enable": "no"}; return nil },
	func(_ *world, c *customer) error {
		c.wrong = map[string]any{"deploymentVerification": map[string]any{"checks": slices.Repeat([]any{map[string]any{}}, 21)}}
		return nil
	},
	func(_ *world, c *customer) error {
		c.wrong = map[string]any{"virtualHosts": map[string]any{"node-a.hosting.example": map[string]any{}}}
		return nil
	},
}

// A history is a world with the plans that were made of it.
type history struct {
	*world
	random  *rand.Rand
	failed  map[string]error
	plans   []*plan.Result
	pending map[string]bool // projects that changed since they were last planned
	uids    map[int]string  // whose each UID is
	counts  map[string]int
}

func (h *history) last() *plan.Result { return h.plans[len(h.plans)-1] }

func (h *history) pick() *customer { return h.customers[h.random.IntN(len(h.customers))] }

// live returns the users of a project's environments, as the last plan has them.
func (h *history) live(c *customer) (users []string) {
	for user, e := range h.last().State.Entries {
		if !e.Retired && e.Organisation == c.organisation && e.Project == c.project {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return users
}

// happen changes, breaks or mends a customer, or puts it on hold, or ends that.
func (h *history) happen() {
	c := h.pick()
	h.pending[c.input()] = true
	switch h.random.IntN(5) {
	case 0:
		if err := faults[h.random.IntN(len(faults))](h.world, c); err != nil {
			h.failed[c.input()] = err
		}
	case 1:
		c.wrong = nil
		delete(h.failed, c.input())
	case 2:
		if h.hold[c.input()] != nil {
			delete(h.hold, c.input())
		} else if len(h.live(c)) > 0 && h.random.IntN(2) == 0 {
			h.hold[c.input()] = "the shop closes"
		}
	default:
		c.change(h.random, []string{"a.example", "b.example", "*.c.example", "x.c.example", "www." + c.input()[:4] + ".example"}, true)
	}
}

// choose selects a project or an environment, most often all.
func (h *history) choose() {
	h.only = plan.Selection{}
	c := h.pick()
	users := h.live(c)
	if h.hold[c.input()] != nil || len(users) == 0 {
		return
	}
	switch h.random.IntN(6) {
	case 0:
		h.only.Projects = []string{c.input()}
	case 1:
		h.only.Environments = []string{users[h.random.IntN(len(users))]}
	case 2:
		h.only.Projects, h.only.Environments = []string{c.organisation + "__*"}, []string{"*-main-*", users[0]}
		if !slices.ContainsFunc(users, func(user string) bool { return strings.Contains(user, "-main-") }) {
			h.only = plan.Selection{}
		}
	}
}

// rollBack takes a project back to an earlier plan, and expects that it is as it was
// there, and that nothing else changes.
func (h *history) rollBack(t *testing.T, where string) {
	t.Helper()
	c, last := h.pick(), h.last()
	users, earlier := h.live(c), h.plans[h.random.IntN(len(h.plans))]
	if h.only = (plan.Selection{}); len(users) == 0 {
		return
	}
	result, err := h.compute(t, last, h.failed, &plan.Back{To: &earlier.Plan, Users: users})
	if err != nil {
		if !strings.Contains(err.Error(), "covers") && !strings.Contains(err.Error(), "is covered by") {
			t.Fatalf("%s: %s does not go back: %v", where, c.input(), err)
		}
		h.counts["refused"]++
		return
	}
	checkResult(t, where, result)
	h.counts["back"]++
	before, after := parts(last), parts(result)
	for _, other := range h.customers {
		if other != c {
			if diff := cmp.Diff(before[other.input()], after[other.input()]); diff != "" {
				t.Fatalf("%s: %s goes back, and %s changes:\n%s", where, c.input(), other.input(), diff)
			}
		}
	}
	for _, user := range users {
		was, ok := earlier.Plan.Environments[user]
		now, present := result.Plan.Environments[user], last.Plan.Environments[user]
		if !ok {
			was = present
		}
		note := func(e plan.Environment) string { return string(e.Carried.Get("note")) }
		if cmp.Diff(was.Source, now.Source) != "" || note(was) != note(now) || now.UID != present.UID || now.Node != present.Node {
			t.Fatalf("%s: %s was %+v, is %+v and is not %+v", where, user, present, now, was)
		}
		said := slices.ContainsFunc(result.Warnings, func(w state.Warning) bool { return w.Subject == user && w.Reason == plan.WarnNotBack })
		for host := range was.VirtualHosts {
			if _, has := now.VirtualHosts[host]; !has && !said {
				t.Fatalf("%s: %s lost %s, of which no warning says so", where, user, host)
			}
		}
	}
	h.pending[c.input()] = true
	h.plans = append(h.plans, result)
}

// merge plans two projects on two branches, and returns the merge of both.
func (h *history) merge(t *testing.T, where string) *plan.Result {
	t.Helper()
	last := h.last()
	branch := func() *plan.Result {
		for range 10 {
			c := h.pick()
			h.only = plan.Selection{Projects: []string{c.input()}}
			if result, err := h.planned(t, last, h.failed); err == nil {
				return result
			}
		}
		return last
	}
	ours, theirs := branch(), branch()
	merged, err := state.Merge(last.State, ours.State, theirs.State)
	if err != nil {
		return last
	}
	text, err := plan.Merge(last.Plan.Encode(), ours.Plan.Encode(), theirs.Plan.Encode())
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	document, err := plan.DecodeDocument(text)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	h.counts["merged"]++
	return &plan.Result{State: merged, Plan: document}
}

// step plans, and compares the plan with the last one.
func (h *history) step(t *testing.T, where string, last *plan.Result) bool {
	t.Helper()
	result, err := h.planned(t, last, h.failed)
	if err != nil {
		if all := (*plan.HeldError)(nil); !errors.As(err, &all) && strings.Contains(err.Error(), "have no environment") {
			return false // the provider would have to allow it
		}
		t.Fatalf("%s, %+v: %v", where, h.only, err)
	}
	checkResult(t, where, result)
	for user, entry := range result.State.Entries {
		if of := h.uids[entry.UID]; of != "" && of != user {
			t.Fatalf("%s: %s has the UID of %s", where, user, of)
		}
		h.uids[entry.UID] = user
	}
	lastParts, allParts := parts(h.last()), parts(result)
	for _, c := range h.customers {
		before, after := lastParts[c.input()], allParts[c.input()]
		was, is := held(h.last(), c.input()), held(result, c.input())
		merges := last != h.last() && h.pending[c.input()] // a branch may have planned it
		onHold := h.hold[c.input()] != nil
		selected := func(user string) bool {
			return (h.only.Projects == nil || h.only.Projects[0] == c.input() || h.only.Projects[0] == c.organisation+"__*") &&
				(h.only.Environments == nil || slices.Contains(h.only.Environments, user) || len(h.only.Environments) == 2 && strings.Contains(user, "-main-"))
		}
		known := h.live(c)
		for name := range c.environments {
			known = append(known, c.user(name))
		}
		works := h.only.Environments == nil && selected("") || slices.ContainsFunc(known, selected)
		switch {
		case onHold || !works:
			if diff := cmp.Diff(before, after); diff != "" {
				t.Fatalf("%s: %s is on hold or not selected, and changes:\n%s", where, c.input(), diff)
			}
			h.counts["kept"]++
			if onHold && is != nil {
				t.Fatalf("%s: %s is on hold, and held back: %v", where, c.input(), is.Reason)
			}
			continue
		case is != nil:
			h.counts["held"]++
			if diff := cmp.Diff(before, after); diff != "" && !merges {
				t.Fatalf("%s: %s is held back (%v), and changes:\n%s", where, c.input(), is.Reason, diff)
			}
			var live []string
			for user, entry := range result.State.Entries {
				if !entry.Retired && after[user] != "" {
					live = append(live, user)
				}
			}
			if slices.Sort(live); !slices.Equal(live, is.Keeps) {
				t.Fatalf("%s: %s keeps %v, and is said to keep %v", where, c.input(), live, is.Keeps)
			}
			if was == nil && !h.pending[c.input()] {
				t.Fatalf("%s: %s was not touched, and is held back: %v", where, c.input(), is.Reason)
			}
			if h.failed[c.input()] == nil && c.wrong == nil {
				h.counts["conflicts"]++
			}
			continue
		case h.failed[c.input()] != nil || c.wrong != nil && slices.ContainsFunc(slices.Collect(maps.Keys(c.environments)), func(name string) bool { return selected(c.user(name)) }):
			t.Fatalf("%s: %s fails, and is not held back", where, c.input())
		case was == nil && !h.pending[c.input()]:
			if diff := cmp.Diff(before, after); diff != "" {
				t.Fatalf("%s: %s was not touched, and changes:\n%s", where, c.input(), diff)
			}
		}
		if h.only.Environments == nil {
			delete(h.pending, c.input())
			continue
		}
		h.pending[c.input()] = true
		h.counts["in part"]++
		for user := range after {
			if !selected(user) && before[user] != after[user] {
				t.Fatalf("%s: %s is not selected, and changes:\n%s", where, user, cmp.Diff(before[user], after[user]))
			}
		}
		for user := range before {
			if !selected(user) && after[user] == "" {
				t.Fatalf("%s: %s is not selected, and is gone", where, user)
			}
		}
	}
	h.plans = append(h.plans, result)
	return true
}

// TestHeldHistories plans random histories of customers that change, fail and are
// mended, that claim names of one another, and that the operator puts on hold, plans
// alone, takes back to an earlier plan and merges from two branches. After each plan:
//
//   - what fails is held back, and its entries in plan, nodes and state are as before;
//   - so are those of what is on hold or not selected;
//   - no environment changes of a project that was not touched, and none of them is
//     held back;
//   - no UID is given twice;
//   - plan and state are consistent.
func TestHeldHistories(t *testing.T) {
	counts := map[string]int{}
	for seed := range uint64(12) {
		h := &history{
			world: newWorld(), random: rand.New(rand.NewPCG(seed, 1)), failed: map[string]error{},
			pending: map[string]bool{}, uids: map[int]string{}, counts: counts,
		}
		h.hold, h.allowMany = map[string]any{}, true
		first, err := h.planned(t, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		h.plans = append(h.plans, first)
		for step := range 40 {
			where := fmt.Sprintf("seed %d, step %d", seed, step)
			for range 1 + h.random.IntN(2) {
				h.happen()
			}
			h.last().Plan = gate(h.random, h.last().Plan)
			last := h.last()
			switch h.random.IntN(6) {
			case 0:
				h.rollBack(t, where)
				continue
			case 1:
				last = h.merge(t, where)
				h.only = plan.Selection{}
			default:
				h.choose()
			}
			if !h.step(t, where, last) {
				break
			}
		}
	}
	t.Log(counts)
	for what, least := range map[string]int{"held": 100, "conflicts": 10, "kept": 100, "in part": 10, "back": 20, "merged": 20} {
		if counts[what] < least {
			t.Errorf("the histories are too tame: %d times %s", counts[what], what)
		}
	}
}

// TestMendedIsAsNeverFailed plans each history twice: as it is, and without failures.
// While a project that does not change fails, both have the same plan and state but
// for what is said of it. Once all are mended they are the same, also if the project
// changed while it failed.
func TestMendedIsAsNeverFailed(t *testing.T) {
	compared, during := 0, 0
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 2))
		w := newWorld()
		failing, well := (*plan.Result)(nil), (*plan.Result)(nil)
		failed, changed := map[string]error{}, map[string]bool{}
		for step := range 25 {
			where := fmt.Sprintf("seed %d, step %d", seed, step)
			c := w.customers[random.IntN(len(w.customers))]
			own := []string{"a." + c.input() + ".example", "b." + c.input() + ".example", "*.c." + c.input() + ".example"}
			for i := range own {
				own[i] = strings.ReplaceAll(own[i], "__", "-")
			}
			switch {
			case step > 0 && random.IntN(3) == 0:
				failed[c.input()] = problem.New("", "infinite recursion", "")
			case random.IntN(3) == 0:
				clear(failed)
			case failed[c.input()] == nil:
				c.change(random, own, len(failed) == 0)
			default: // no new UIDs: their order would differ
				c.change(random, own, false)
				changed[c.input()] = true
			}
			var err error
			if failing, err = w.planned(t, failing, failed); err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			if well, err = w.planned(t, well, nil); err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			for input := range changed {
				if failed[input] == nil {
					delete(changed, input)
				}
			}
			if len(changed) == 0 {
				compared++
				said := failing.Plan
				if len(said.HeldBack) != len(failed) {
					t.Fatalf("%s: the plan says that %v are held back, and %v fail", where, said.HeldBack, failed)
				}
				if len(failed) > 0 {
					during++
				}
				said.HeldBack = nil
				if diff := cmp.Diff(string(well.Plan.Encode()), string(said.Encode())); diff != "" {
					t.Fatalf("%s: the plan is another one (-never failed +%d failing):\n%s", where, len(failed), diff)
				}
				if diff := cmp.Diff(string(well.State.Encode()), string(failing.State.Encode())); diff != "" {
					t.Fatalf("%s: the state is another one (-never failed +%d failing):\n%s", where, len(failed), diff)
				}
			}
		}
	}
	t.Logf("%d compared, %d while projects failed", compared, during)
	if compared < 80 || during < 25 {
		t.Error("too few are compared")
	}
}

// TestHeldBack tries who is held back, and what for.
func TestHeldBack(t *testing.T) {
	for _, tt := range []struct {
		reason string
		change func(w *world) (failed map[string]error)
		held   map[string]string // a part of the reason, by project
		err    string            // a part of the error of the whole run
	}{
		{"a project does not evaluate", func(*world) map[string]error {
			return map[string]error{"beta__site": errors.New("attribute 'x' missing")}
		}, map[string]string{"beta__site": "attribute 'x' missing"}, ""},
		{"two claim one new name", func(w *world) map[string]error {
			w.find("acme__site").environments["main"].hosts = []string{"new.example"}
			w.find("gamma__portal").environments["main"].hosts = []string{"new.example"}
			return nil
		}, map[string]string{"acme__site": `"new.example" is claimed by`, "gamma__portal": `"new.example" is claimed by`}, ""},
		{"one of two that claim a new name is wrong anyway", func(w *world) map[string]error {
			w.find("acme__site").environments["main"].hosts = []string{"new.example"}
			w.find("acme__site").wrong = map[string]any{"enable": "no"}
			w.find("gamma__portal").environments["main"].hosts = []string{"new.example"}
			return nil
		}, map[string]string{"acme__site": `enable is a string`}, ""},
		{"a name of another organisation", func(w *world) map[string]error {
			w.find("acme__site").environments["main"].hosts = []string{"www.portal.gamma.example"}
			return nil
		}, map[string]string{"acme__site": `"www.portal.gamma.example" belongs to portal-main-`}, ""},
		{"a wildcard above names of another organisation", func(w *world) map[string]error {
			w.find("acme__site").environments["main"].hosts = []string{"*.gamma.example"}
			return nil
		}, map[string]string{"acme__site": `covers "www.portal.gamma.example"`}, ""},
		{"a name that a project that fails gives up", func(w *world) map[string]error {
			w.provider = map[string]any{"transfers": []any{map[string]any{
				"host": "www.site.acme.example", "from": w.find("acme__site").user("main"), "to": w.find("beta__site").user("main")}}}
			w.find("acme__site").environments["main"].hosts = nil
			w.find("acme__site").wrong = map[string]any{"enable": "no"}
			w.find("beta__site").environments["main"].hosts = []string{"www.site.acme.example"}
			return nil
		}, map[string]string{"acme__site": "enable", "beta__site": `"www.site.acme.example" belongs to site-main-`}, ""},
		{"a project that is renamed and fails", func(w *world) map[string]error {
			w.provider = map[string]any{"moved": []any{map[string]any{"from": "acme__site", "to": "acme__new"}}}
			w.find("acme__site").project = "new"
			return map[string]error{"acme__new": errors.New("no")}
		}, map[string]string{"acme__new": "no"}, ""},
		{"an environment that goes to another project, from one that fails", func(w *world) map[string]error {
			w.provider = map[string]any{"moved": []any{map[string]any{"from": "acme__site/main", "to": "acme__shop/old"}}}
			w.find("acme__shop").environments["old"] = &environment{kind: "production"}
			return map[string]error{"acme__site": errors.New("no")}
		}, map[string]string{"acme__site": "no", "acme__shop": "is to take over UID and host names of"}, ""},
		{"more environments than the quota", func(w *world) map[string]error {
			for i := range 20 {
				w.find("acme__site").environments[fmt.Sprintf("e%d", i)] = &environment{kind: "development"}
			}
			return nil
		}, map[string]string{"acme__site": "has 21 environments and may have 20"}, ""},
		{"more virtual hosts and names than a quota of the project", func(w *world) map[string]error {
			w.provider = map[string]any{"limits": map[string]any{"virtualHosts": 2, "projects": map[string]any{"acme__site": map[string]any{"names": 2}}}}
			w.find("acme__site").environments["main"].hosts = []string{"a.example", "b.example"}
			return nil
		}, map[string]string{"acme__site": "virtual hosts and may have 2"}, ""},
		{"an organisation may have more", func(w *world) map[string]error {
			w.provider = map[string]any{"limits": map[string]any{"virtualHosts": 2, "organisations": map[string]any{"acme": map[string]any{"virtualHosts": 3}}}}
			w.find("acme__site").environments["main"].hosts = []string{"a.example", "b.example"}
			w.find("beta__site").environments["main"].hosts = []string{"c.example", "d.example"}
			return nil
		}, map[string]string{"beta__site": "has 3 virtual hosts and may have 2"}, ""},
		{"more UIDs than the quota, and none is new", func(w *world) map[string]error {
			w.provider = map[string]any{"limits": map[string]any{"uids": 1}}
			w.find("acme__site").environments["main"].note++
			w.find("beta__site").environments["new"] = &environment{kind: "development"}
			return nil
		}, map[string]string{"beta__site": "has 2 UIDs, which are never used again, and may have 1"}, ""},
		{"a large environment", func(w *world) map[string]error {
			w.find("acme__site").wrong = map[string]any{"text": strings.Repeat("x", 1<<20)}
			return nil
		}, map[string]string{"acme__site": "bytes of plan and may have 1048576"}, ""},
		{"a type of environment for which there is no node", func(w *world) map[string]error {
			w.provider = map[string]any{"nodeFor": map[string]any{"production": "node-b"}}
			w.find("acme__site").environments["new"] = &environment{kind: "testing"}
			return nil
		}, map[string]string{"acme__site": "has no node: provider.nodeFor.default is not set"}, ""},
		{"no UIDs are left", func(w *world) map[string]error {
			w.provider = map[string]any{"uidRange": map[string]any{"min": 1002, "max": 1005}}
			w.find("acme__site").environments["new"] = &environment{kind: "development"}
			w.find("beta__site").environments["main"].note++
			return nil
		}, map[string]string{"acme__site": "1 new environment needs a UID"}, ""},
		{"an option of the provider stops the run, and all is reported", func(w *world) map[string]error {
			w.provider = map[string]any{"deployUser": "-x"}
			w.find("acme__site").wrong = map[string]any{"enable": "no"}
			return map[string]error{"beta__site": errors.New("attribute 'x' missing")}
		}, nil, "3 problems"},
		{"a node is removed on which a project is held back", func(w *world) map[string]error {
			w.provider = map[string]any{"nodes": map[string]any{"node-a": map[string]any{}}, "nodeFor": map[string]any{"default": "node-a"}}
			return map[string]error{"beta__site": errors.New("no")}
		}, nil, `does not have the node "node-b"`},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			w := newWorld()
			first, err := w.planned(t, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			failed := tt.change(w)
			result, err := w.planned(t, first, failed)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkResult(t, tt.reason, result)
			for _, h := range result.Held {
				if want := tt.held[h.Project]; want == "" || !strings.Contains(h.Reason.Error(), want) {
					t.Errorf("%s is held back: %v; want %q", h.Project, h.Reason, want)
				}
			}
			if len(result.Held) != len(tt.held) {
				t.Errorf("%d are held back, want %d", len(result.Held), len(tt.held))
			}
			for user, entry := range first.State.Entries {
				after := result.State.Entries[user]
				if h := held(result, entry.Organisation+"__"+entry.Project); h != nil && cmp.Diff(fmt.Sprint(entry), fmt.Sprint(after)) != "" {
					t.Errorf("%s is held back, and was %+v and is %+v", user, entry, after)
				}
				if after.Retired {
					t.Errorf("%s is retired", user)
				}
			}
			// The plan says the same, and a plan of the same again is the same.
			if got := result.Plan.Held(); len(got) != len(result.Held) {
				t.Errorf("the plan says that %v are held back", got)
			} else {
				for i, h := range result.Held {
					if got[i].Project != h.Project || !slices.Equal(got[i].Keeps, h.Keeps) && tt.held["acme__new"] == "" {
						t.Errorf("the plan says %+v, and the run %+v", got[i], h)
					}
				}
			}
			// Names may have got an owner, of which a reason then speaks.
			settled, err := w.planned(t, result, failed)
			if err != nil {
				t.Fatal(err)
			}
			again, err := w.planned(t, settled, failed)
			if err != nil || string(again.Plan.Encode()) != string(settled.Plan.Encode()) || len(settled.Changes) > 0 {
				t.Errorf("a second run makes another plan: %v", err)
			}
		})
	}
}

// An environment that is held back keeps its locations on the node, those of the
// customer and the one that passes requests to it.
func TestHeldBackKeepsLocations(t *testing.T) {
	w := newWorld()
	c := w.find("beta__site")
	host := c.environments["main"].hosts[0]
	c.wrong = map[string]any{"virtualHosts": map[string]any{host: map[string]any{"locations": map[string]any{"/old/": map[string]any{"return": "301 /new/"}}}}}
	first, err := w.planned(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	result, err := w.planned(t, first, map[string]error{"beta__site": errors.New("no")})
	if err != nil || held(result, "beta__site") == nil {
		t.Fatalf("it is not held back: %v", err)
	}
	locations := func(r *plan.Result) string {
		return string(r.Plan.Nodes["node-b"].Services.Nginx.VirtualHosts[host].Carried.Get("locations"))
	}
	if text := locations(first); !strings.Contains(text, "/old/") || !strings.Contains(text, c.user("main")+"_upstream") {
		t.Fatalf("the first plan serves %s", text)
	}
	if diff := cmp.Diff(locations(first), locations(result)); diff != "" {
		t.Errorf("the node serves other locations:\n%s", diff)
	}
}

// A project that no plan has is left out. If there is no other, there is nothing to
// plan.
func TestHeldBackWithoutPlan(t *testing.T) {
	w := newWorld()
	result, err := w.planned(t, nil, map[string]error{"beta__site": errors.New("no")})
	if err != nil {
		t.Fatal(err)
	}
	checkResult(t, "without a plan", result)
	if user := w.find("beta__site").user("main"); result.State.Entries[user].UID != 0 || result.Plan.Environments[user].UID != 0 {
		t.Errorf("%s is planned", user)
	}
	w.customers = w.customers[2:3]
	result, err = w.planned(t, nil, map[string]error{"beta__site": errors.New("no")})
	if all := (*plan.HeldError)(nil); !errors.As(err, &all) || len(all.Held) != 1 || problem.Leaves(err)[0].Error() != "no" {
		t.Errorf("got %v, %v", result, err)
	}
}

// Without a plan that still has an environment, its project cannot be held back: the
// new plan would take a deployed environment from its node.
func TestHeldBackNeedsThePlan(t *testing.T) {
	w := newWorld()
	first, err := w.planned(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	user := w.find("beta__site").user("main")
	failed := map[string]error{"beta__site": errors.New("no")}
	compute := func(s state.State) error {
		_, err := plan.Compute(plan.Input{Inventory: w.decode(t, failed), State: s, Failed: []plan.Held{{Project: "beta__site", Reason: errors.New("no")}}})
		return err
	}
	if err := compute(first.State); err != nil { // it was never deployed: a run ended between state and plan
		t.Error(err)
	}
	if err := compute(first.State.WithDeployed(map[string]string{user: "node-b"})); err == nil || !strings.Contains(err.Error(), "beta__site is refused, and cannot be held back: there is no plan that still has "+user) {
		t.Errorf("got %v", err)
	}
	legacy := state.New()
	legacy.Entries[user] = state.Entry{UserName: user, UID: 1002, Node: "node-b"}
	if err := compute(legacy); err == nil || !strings.Contains(err.Error(), "no plan that still has "+user) {
		t.Errorf("an entry of the legacy generator: %v", err)
	}
}

// The state decides if a run ended after it wrote the state and before it wrote the
// plan: the environment is on the node, with the UID and the names, that the state has.
func TestHeldBackAfterCrash(t *testing.T) {
	w := newWorld()
	c := w.find("beta__site")
	c.environments["other"] = &environment{kind: "development"}
	first, err := w.planned(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.environments["main"].kind = "development" // goes to node-a
	c.environments["main"].hosts, c.environments["other"].hosts = nil, c.environments["main"].hosts
	c.environments["new"] = &environment{kind: "development"}
	second, err := w.planned(t, first, nil)
	if err != nil {
		t.Fatal(err)
	}
	second.Plan = first.Plan
	result, err := w.planned(t, second, map[string]error{"beta__site": errors.New("no")})
	if err != nil {
		t.Fatal(err)
	}
	checkResult(t, "after a crash", result)
	if diff := cmp.Diff(string(second.State.Encode()), string(result.State.Encode())); diff != "" {
		t.Errorf("the state changes:\n%s", diff)
	}
	if e := result.Plan.Environments[c.user("main")]; e.Node != "node-a" || len(e.VirtualHosts) != 1 {
		t.Errorf("main is on %s with %v", e.Node, e.VirtualHosts)
	}
	if _, planned := result.Plan.Environments[c.user("new")]; planned {
		t.Error("an environment is planned that no plan had")
	}
}

// Reasons in the plan are short, and hold no more than text.
func TestHeldBackReasons(t *testing.T) {
	w := newWorld()
	var many problem.List
	for i := range 50 {
		many.Addf("", "", "%d %s\nhint: EVIL\x1b[2J", i, strings.Repeat("ü", 5000))
	}
	result, err := w.planned(t, nil, map[string]error{"beta__site": many.Err()})
	if err != nil {
		t.Fatal(err)
	}
	text := result.Plan.Encode()
	reasons := result.Plan.HeldBack["beta__site"].Reasons
	if len(reasons) != 6 || reasons[5] != "and 45 more" || len(text) > 50_000 {
		t.Errorf("%d bytes, %q", len(text), reasons)
	}
	if i := strings.IndexFunc(string(text), func(r rune) bool { return r != '\n' && problem.Deceptive(r) }); i >= 0 {
		t.Errorf("plan.json holds %q", text[i])
	}
}
