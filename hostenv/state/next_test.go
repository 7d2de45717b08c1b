package state_test

import (
	"math/rand"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

type claims = []state.Claim

// A stepTest is one call of Next. check also tests, for every row, that Next does
// not change the prior state, that the order of claims has no effect, and that a
// second call with the same request changes nothing.
type stepTest struct {
	reason   string
	before   []claims // the prior state by the plans that make it,
	prior    string   // or by its text
	req      state.Request
	changes  []string // as rendered by describe
	warnings []string
	errs     []string
}

func (tt stepTest) check(t *testing.T) {
	prior := planned(t, tt.before...)
	if tt.prior != "" {
		prior = decode(t, tt.prior)
	}
	bytes := prior.Encode()
	step, err := prior.Next(tt.req)
	if diff := cmp.Diff(string(bytes), string(prior.Encode())); diff != "" {
		t.Errorf("Next changed the prior state:\n%s", diff)
	}
	if diff := cmp.Diff(tt.errs, problems(t, err)); diff != "" {
		t.Errorf("errors:\n%s", diff)
	}
	if diff := cmp.Diff(tt.changes, describe(step.Changes)); diff != "" {
		t.Errorf("changes:\n%s", diff)
	}
	if diff := cmp.Diff(tt.warnings, messages(step)); diff != "" {
		t.Errorf("warnings:\n%s", diff)
	}
	if err != nil {
		if step.State.Entries != nil {
			t.Error("a refused step has a state")
		}
		return
	}
	if err := step.State.Validate(); err != nil {
		t.Errorf("the next state is not valid: %v", err)
	}
	same(t, "the next state does not survive a save", step.State, decode(t, string(step.State.Encode())))

	shuffled := tt.req
	shuffled.Claims = append(claims(nil), tt.req.Claims...)
	rand.New(rand.NewSource(1)).Shuffle(len(shuffled.Claims), func(i, j int) {
		shuffled.Claims[i], shuffled.Claims[j] = shuffled.Claims[j], shuffled.Claims[i]
	})
	other := next(t, prior, shuffled)
	same(t, "another order of claims made another state", step.State, other.State)
	if diff := cmp.Diff(step.Changes, other.Changes); diff != "" {
		t.Errorf("another order of claims made other changes:\n%s", diff)
	}
	again := next(t, step.State, tt.req)
	same(t, "a second time made another state", step.State, again.State)
	if len(again.Changes) > 0 {
		t.Errorf("a second time changed %q", describe(again.Changes))
	}
}

func messages(step state.Step) []string {
	var messages []string
	for _, w := range step.Warnings {
		messages = append(messages, w.Subject+": "+w.Message)
	}
	return messages
}

func checkAll(t *testing.T, tests []stepTest) {
	for _, tt := range tests {
		t.Run(tt.reason, tt.check)
	}
}

func TestAllocation(t *testing.T) {
	a, b, c := env("acme/a/main"), env("beta/b/main"), env("cond/c/main")
	within := func(from, to int, claims ...state.Claim) state.Request {
		return state.Request{Claims: claims, UIDs: state.UIDRange{Min: from, Max: to}}
	}
	checkAll(t, []stepTest{
		{
			reason: "no claims",
			req:    request(),
		},
		{
			reason:  "the first UID is the start of the range",
			req:     request(a),
			changes: []string{"environment acme-a-main: create (new) {} > {node:n1 uid:1002}"},
		},
		{
			reason: "new UIDs have no gaps and follow the order of user names, not of the inputs",
			req:    request(c, a, b),
			changes: []string{
				"environment acme-a-main: create (new) {} > {node:n1 uid:1002}",
				"environment beta-b-main: create (new) {} > {node:n1 uid:1003}",
				"environment cond-c-main: create (new) {} > {node:n1 uid:1004}",
			},
		},
		{
			reason:  "an environment keeps its UID, even if a new one sorts before it",
			before:  []claims{{b}},
			req:     request(a, b),
			changes: []string{"environment acme-a-main: create (new) {} > {node:n1 uid:1003}"},
		},
		{
			reason: "the UID of a retired environment is not used again",
			before: []claims{{a}, {a, b}, {a}},
			req:    request(a, c),
			changes: []string{
				"environment cond-c-main: create (new) {} > {node:n1 uid:1004}",
			},
		},
		{
			reason: "the UID of a deleted entry is not used again",
			prior:  document(entry("z", 1002, ""), `"_lastAllocated": {"userName": "gone", "uid": 1040, "virtualHosts": []}`),
			req:    request(a),
			changes: []string{
				"environment acme-a-main: create (new) {} > {node:n1 uid:1041}",
				"environment z: retire (left-inputs) {node:n1 uid:1002} > {}",
			},
		},
		{
			reason: "gaps are not filled, because a deleted entry may have had the UID",
			prior:  document(entry("acme-a-main", 1002, ""), entry("beta-b-main", 1500, "")),
			req:    request(a, b, c),
			changes: []string{
				"environment acme-a-main: update (adopted) {} > {environment:main organisation:acme project:a}",
				"environment beta-b-main: update (adopted) {} > {environment:main organisation:beta project:b}",
				"environment cond-c-main: create (new) {} > {node:n1 uid:1501}",
			},
		},
		{
			reason: "a new range above all UIDs begins at its start",
			before: []claims{{a}},
			req:    within(40000, 59999, a, c, b),
			changes: []string{
				"environment beta-b-main: create (new) {} > {node:n1 uid:40000}",
				"environment cond-c-main: create (new) {} > {node:n1 uid:40001}",
			},
		},
		{
			reason: "a range below the highest UID has no room, even if it is unused",
			prior:  document(entry("acme-a-main", 40000, "")),
			req:    request(a, b),
			errs:   []string{"1 new environment needs a UID from 40001 on, and provider.uidRange ends at 29999"},
		},
		{
			reason: "a range of one UID",
			req:    within(2000, 2000, a),
			changes: []string{
				"environment acme-a-main: create (new) {} > {node:n1 uid:2000}",
			},
		},
		{
			reason: "the range includes its end",
			before: []claims{{a}},
			req:    within(1002, 1003, a, b),
			changes: []string{
				"environment beta-b-main: create (new) {} > {node:n1 uid:1003}",
			},
		},
		{
			reason: "two environments do not fit in a range with room for one",
			before: []claims{{a}},
			req:    within(1002, 1003, a, b, c),
			errs:   []string{"2 new environments need a UID from 1003 on, and provider.uidRange ends at 1003"},
		},
		{
			reason: "environments that have a UID need no room in the range",
			before: []claims{{a, b}},
			req:    within(1002, 1003, a, b),
		},
		{
			reason: "a range with UIDs of the system",
			req:    within(100, 2000, a),
			errs:   []string{"provider.uidRange: { min = 100; max = 2000; }: begins at 100, and UIDs below 1000 belong to the system"},
		},
		{
			reason: "a range with 65534 and 65535",
			req:    within(60000, 70000, a),
			errs:   []string{"provider.uidRange: { min = 60000; max = 70000; }: includes 65534 or 65535, which the system reserves"},
		},
		{
			reason: "no range, together with the other errors",
			req:    state.Request{Claims: claims{a}},
			errs: []string{
				"provider.uidRange: { min = 0; max = 0; }: begins at 0, and UIDs below 1000 belong to the system",
				"1 new environment needs a UID from 1 on, and provider.uidRange ends at 0",
			},
		},
		{
			reason: "a range above the highest UID",
			req:    within(1<<31-1, 1<<31, a),
			errs:   []string{"provider.uidRange: { min = 2147483647; max = 2147483648; }: ends at 2147483648, and the highest UID is 2147483647"},
		},
		{
			reason: "a range that ends below its start",
			req:    within(2000, 1999, a),
			errs: []string{
				"provider.uidRange: { min = 2000; max = 1999; }: ends at 1999, below its start 2000",
				"1 new environment needs a UID from 2000 on, and provider.uidRange ends at 1999",
			},
		},
	})
}

func TestUIDRangeHint(t *testing.T) {
	prior := planned(t, claims{env("acme/a/main")})
	req := state.Request{Claims: claims{env("acme/b/main"), env("acme/c/main")}, UIDs: state.UIDRange{Min: 1002, Max: 1002}}
	_, err := prior.Next(req)
	req.UIDs.Max = 1004
	if got, want := problem.Hint(only(t, err)), "to 1004 or more"; !strings.Contains(got, want) {
		t.Errorf("%q does not say %q", got, want)
	}
	next(t, prior, req)
}

func TestRetirement(t *testing.T) {
	main := env("acme/site/main", "acme.test", "www.acme.test")
	other := env("beta/shop/main", "beta.test")
	moved := main
	moved.Node = "n2"
	checkAll(t, []stepTest{
		{
			reason:  "an environment that leaves the inputs is retired and keeps everything",
			before:  []claims{{main, other}},
			req:     request(other),
			changes: []string{"environment acme-site-main: retire (left-inputs) {node:n1 uid:1002} > {}"},
		},
		{
			reason: "a retired environment is not retired again",
			before: []claims{{main, other}, {other}},
			req:    request(other),
		},
		{
			reason: "all environments leave",
			before: []claims{{main, other}},
			req:    request(),
			changes: []string{
				"environment acme-site-main: retire (left-inputs) {node:n1 uid:1002} > {}",
				"environment beta-shop-main: retire (left-inputs) {node:n1 uid:1003} > {}",
			},
		},
		{
			reason:  "an environment that comes back has its UID and its names",
			before:  []claims{{main, other}, {other}},
			req:     request(main, other),
			changes: []string{"environment acme-site-main: revive (back-in-inputs) {} > {node:n1 uid:1002}"},
		},
		{
			reason: "an environment that comes back on another node has moved",
			before: []claims{{main, other}, {other}},
			req:    request(moved, other),
			changes: []string{
				"environment acme-site-main: move (placement) {node:n1} > {node:n2}",
				"environment acme-site-main: revive (back-in-inputs) {} > {node:n2 uid:1002}",
			},
		},
		{
			reason: "an environment that comes back with fewer names releases the others",
			before: []claims{{main, other}, {other}},
			req:    request(env("acme/site/main", "acme.test"), other),
			changes: []string{
				"environment acme-site-main: revive (back-in-inputs) {} > {node:n1 uid:1002}",
				"hostname www.acme.test: release (undeclared) {owner:acme-site-main} > {}",
			},
		},
		{
			reason:  "a move of nodes",
			before:  []claims{{main}},
			req:     request(moved),
			changes: []string{"environment acme-site-main: move (placement) {node:n1} > {node:n2}"},
		},
	})
}

func TestRetiredKeepsAll(t *testing.T) {
	main := env("acme/site/main", "acme.test")
	main.Node = "n7"
	before := planned(t, claims{main, env("beta/b/main")})
	retired := next(t, before, request(env("beta/b/main"), env("cond/c/main"))).State
	want := before.Entries["acme-site-main"]
	want.Retired = true
	if diff := cmp.Diff(want, retired.Entries["acme-site-main"], cmp.AllowUnexported(state.Entry{})); diff != "" {
		t.Errorf("retired:\n%s", diff)
	}
	back := next(t, retired, request(main, env("beta/b/main"))).State
	if diff := cmp.Diff(before.Entries["acme-site-main"], back.Entries["acme-site-main"], cmp.AllowUnexported(state.Entry{})); diff != "" {
		t.Errorf("revived:\n%s", diff)
	}
}

func TestAdoption(t *testing.T) {
	legacyEntry := document(entry("acme-site-main", 1002, `"acme.test"`))
	main := env("acme/site/main", "acme.test")
	elsewhere := main
	elsewhere.Node = "n2"
	identified := `"acme-a-main":{"userName":"acme-a-main","uid":1003,"node":"n1","virtualHosts":[],"organisation":"acme","project":"a","environment":"main"}`
	checkAll(t, []stepTest{
		{
			reason:  "an entry of the legacy generator is adopted",
			prior:   legacyEntry,
			req:     request(main),
			changes: []string{"environment acme-site-main: update (adopted) {} > {environment:main organisation:acme project:site}"},
		},
		{
			reason: "an entry of the legacy generator is adopted and moves in the same plan",
			prior:  legacyEntry,
			req:    request(elsewhere),
			changes: []string{
				"environment acme-site-main: move (placement) {node:n1} > {node:n2}",
				"environment acme-site-main: update (adopted) {} > {environment:main organisation:acme project:site}",
			},
		},
		{
			reason: "the user name of another environment, for example by a collision of hashes",
			before: []claims{{main}},
			req: request(func() state.Claim {
				c := env("beta/site/main")
				c.UserName = "acme-site-main"
				return c
			}()),
			errs: []string{"the user acme-site-main belongs to the environment acme/site/main and is claimed by beta/site/main"},
		},
		{
			reason: "a branch whose name was chosen to collide with a former environment of another customer",
			prior:  document(entry("site-main-b7ea262", 1002, ""), identified),
			req: request(env("acme/a/main"), state.Claim{
				UserName: "site-main-b7ea262", Organisation: "beta", Project: "site", Environment: "x17/main", Node: "n1",
			}),
			errs: []string{"the user site-main-b7ea262 has an entry of the legacy generator, and nothing proves that it is of beta/site/x17/main"},
		},
		{
			reason: "the provider says whose entry of the legacy generator it is",
			prior:  document(entry("site-foo-bee8c4c", 1002, ""), identified),
			req: func() state.Request {
				req := request(env("acme/a/main"), state.Claim{
					UserName: "site-foo-bee8c4c", Organisation: "acme", Project: "site", Environment: "feature/foo", Node: "n1",
				})
				req.Moved = []state.Moved{{From: "site-foo-bee8c4c", To: "acme__site/feature/foo"}}
				return req
			}(),
			changes: []string{
				"environment site-foo-bee8c4c: update (adopted) {} > {environment:feature/foo organisation:acme project:site}",
			},
		},
		{
			reason: "two claims of one user name, for example of two inputs that are sanitised to one name",
			req:    request(main, main),
			errs:   []string{"the user acme-site-main belongs to the environment acme/site/main and is claimed by acme/site/main"},
		},
	})
	if e := next(t, decode(t, legacyEntry), request(elsewhere)).State.Entries["acme-site-main"]; e.DeployedNode != "n1" || e.Node != "n2" {
		t.Errorf("the legacy generator had deployed it to n1, and the entry says %q, now %q", e.DeployedNode, e.Node)
	}
}

// Retired entries of the legacy generator have no organisation and project. Their
// user names prove both once a plan has another environment of the project. The
// names are from recorded runs of the legacy generator.
func TestIdentify(t *testing.T) {
	prior := decode(t, document(
		entry("site-staging-d6e4934", 1003, `"staging.acme.test"`),
		entry("myverylongp-release-2-0-a3412f1", 1004, ""),
		entry("site-staging-0000000", 1005, `"b.acme.test"`),
		entry("nohash", 1006, ""),
	))
	step := next(t, prior, request(acme("site", "main", "n2", "staging.acme.test")))
	want := []string{
		"environment myverylongp-release-2-0-a3412f1: retire (left-inputs) {node:n1 uid:1004} > {}",
		"environment nohash: retire (left-inputs) {node:n1 uid:1006} > {}",
		"environment site-main-b7ea262: create (new) {} > {node:n2 uid:1007}",
		"environment site-staging-0000000: retire (left-inputs) {node:n1 uid:1005} > {}",
		"environment site-staging-d6e4934: retire (left-inputs) {node:n1 uid:1003} > {}",
		"environment site-staging-d6e4934: update (adopted) {} > {environment:staging organisation:acme project:site}",
		"hostname staging.acme.test: move (declared) {owner:site-staging-d6e4934} > {owner:site-main-b7ea262}",
	}
	if diff := cmp.Diff(want, describe(step.Changes)); diff != "" {
		t.Error(diff)
	}
	if e := step.State.Entries["site-staging-d6e4934"]; e.DeployedNode != "n1" {
		t.Errorf("its data is on n1, and the entry says %q", e.DeployedNode)
	}
	back := next(t, step.State, request(acme("site", "main", "n2", "staging.acme.test"), acme("site", "staging", "n3"))).State
	if e := back.Entries["site-staging-d6e4934"]; e.DeployedNode != "n1" || e.Node != "n3" || e.UID != 1003 || e.Retired {
		t.Errorf("back in the inputs, it is %+v", e)
	}

	_, err := prior.Next(request(acme("site", "main", "n2", "b.acme.test")))
	if diff := cmp.Diff([]string{`the host name "b.acme.test" belongs to site-staging-0000000, which has left the inputs, and is claimed by site-main-b7ea262`}, problems(t, err)); diff != "" {
		t.Errorf("a hash that is not its own proves nothing:\n%s", diff)
	}
}

// Next refuses an invalid prior state, which a program may build, with all of its
// problems.
func TestNextOfInvalidState(t *testing.T) {
	s := state.New()
	for _, user := range []string{"a", "b"} {
		s.Entries[user] = state.Entry{UserName: user, UID: 1002, VirtualHosts: []string{"A.test"}}
	}
	_, err := s.Next(request(env("acme/site/main")))
	want := []string{
		`entry "a": virtualHosts holds "A.test", which is "a.test" once normalised`,
		`entry "b": virtualHosts holds "A.test", which is "a.test" once normalised`,
		`the UID 1002 belongs to a and b`,
		`the host name "A.test" belongs to a and b`,
	}
	if diff := cmp.Diff(want, problems(t, err)); diff != "" {
		t.Error(diff)
	}
}
