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

// A stepTest is one call of Next. Of every row, whatever it is about, check
// holds that Next is a function: it leaves the prior state alone, does not
// care about the order of claims, and has nothing to do a second time.
type stepTest struct {
	reason   string
	before   []claims // plans that made the prior state,
	prior    string   // or its text
	req      state.Request
	changes  []string // as told writes them
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
	if diff := cmp.Diff(tt.changes, told(step.Changes)); diff != "" {
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
		t.Errorf("a second time changed %q", told(again.Changes))
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
			reason: "nothing comes of nothing",
			req:    request(),
		},
		{
			reason:  "the first UID is the first of the range",
			req:     request(a),
			changes: []string{"environment acme-a-main: create (new) {} > {node:n1 uid:1002}"},
		},
		{
			reason: "new UIDs are dense, in the order of user names and not of the inputs",
			req:    request(c, a, b),
			changes: []string{
				"environment acme-a-main: create (new) {} > {node:n1 uid:1002}",
				"environment beta-b-main: create (new) {} > {node:n1 uid:1003}",
				"environment cond-c-main: create (new) {} > {node:n1 uid:1004}",
			},
		},
		{
			reason:  "environments that have a UID keep it, whichever sorts first",
			before:  []claims{{b}},
			req:     request(a, b),
			changes: []string{"environment acme-a-main: create (new) {} > {node:n1 uid:1003}"},
		},
		{
			reason: "the UID of a retired environment is taken",
			before: []claims{{a}, {a, b}, {a}},
			req:    request(a, c),
			changes: []string{
				"environment cond-c-main: create (new) {} > {node:n1 uid:1004}",
			},
		},
		{
			reason: "the UID of a deleted entry is taken",
			prior:  document(entry("z", 1002, ""), `"_lastAllocated": {"userName": "gone", "uid": 1040, "virtualHosts": []}`),
			req:    request(a),
			changes: []string{
				"environment acme-a-main: create (new) {} > {node:n1 uid:1041}",
				"environment z: retire (left-inputs) {node:n1 uid:1002} > {}",
			},
		},
		{
			reason: "gaps are not filled: it is unknown whose they were",
			prior:  document(entry("acme-a-main", 1002, ""), entry("beta-b-main", 1500, "")),
			req:    request(a, b, c),
			changes: []string{
				"environment acme-a-main: update (adopted) {} > {environment:main organisation:acme project:a}",
				"environment beta-b-main: update (adopted) {} > {environment:main organisation:beta project:b}",
				"environment cond-c-main: create (new) {} > {node:n1 uid:1501}",
			},
		},
		{
			reason: "another range begins where it begins",
			before: []claims{{a}},
			req:    within(40000, 59999, a, c, b),
			changes: []string{
				"environment beta-b-main: create (new) {} > {node:n1 uid:40000}",
				"environment cond-c-main: create (new) {} > {node:n1 uid:40001}",
			},
		},
		{
			reason: "a range below the highest UID has no room, even if it is empty",
			prior:  document(entry("acme-a-main", 40000, "")),
			req:    request(a, b),
			errs:   []string{"1 new environment needs a UID from 40001 on, and provider.uidRange ends at 29999"},
		},
		{
			reason: "a range of one",
			req:    within(2000, 2000, a),
			changes: []string{
				"environment acme-a-main: create (new) {} > {node:n1 uid:2000}",
			},
		},
		{
			reason: "the last UID of the range is one of it",
			before: []claims{{a}},
			req:    within(1002, 1003, a, b),
			changes: []string{
				"environment beta-b-main: create (new) {} > {node:n1 uid:1003}",
			},
		},
		{
			reason: "all or none: two do not fit where one would",
			before: []claims{{a}},
			req:    within(1002, 1003, a, b, c),
			errs:   []string{"2 new environments need a UID from 1003 on, and provider.uidRange ends at 1003"},
		},
		{
			reason: "an exhausted range stops no environment that has a UID",
			before: []claims{{a, b}},
			req:    within(1002, 1003, a, b),
		},
		{
			reason: "a range of the system's",
			req:    within(100, 2000, a),
			errs:   []string{"provider.uidRange: { min = 100; max = 2000; }: begins at 100, and UIDs below 1000 belong to the system"},
		},
		{
			reason: "a range over nobody",
			req:    within(60000, 70000, a),
			errs:   []string{"provider.uidRange: { min = 60000; max = 70000; }: runs from 60000 to 70000, over 65534 and 65535, which mean nobody"},
		},
		{
			reason: "a range that somebody forgot, with all else that is wrong",
			req:    state.Request{Claims: claims{a}},
			errs: []string{
				"provider.uidRange: { min = 0; max = 0; }: begins at 0, and UIDs below 1000 belong to the system",
				"1 new environment needs a UID from 1 on, and provider.uidRange ends at 0",
			},
		},
		{
			reason: "a range beyond what a UID can be",
			req:    within(1<<31-1, 1<<31, a),
			errs:   []string{"provider.uidRange: { min = 2147483647; max = 2147483648; }: ends at 2147483648, and 2147483647 is the highest UID there is"},
		},
		{
			reason: "a range from its end to its begin",
			req:    within(2000, 1999, a),
			errs: []string{
				"provider.uidRange: { min = 2000; max = 1999; }: ends at 1999, before its begin 2000",
				"1 new environment needs a UID from 2000 on, and provider.uidRange ends at 1999",
			},
		},
	})
}

func TestUIDRangeHintMends(t *testing.T) {
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
			reason:  "who leaves the inputs is retired and keeps everything",
			before:  []claims{{main, other}},
			req:     request(other),
			changes: []string{"environment acme-site-main: retire (left-inputs) {node:n1 uid:1002} > {}"},
		},
		{
			reason: "once",
			before: []claims{{main, other}, {other}},
			req:    request(other),
		},
		{
			reason: "all may leave",
			before: []claims{{main, other}},
			req:    request(),
			changes: []string{
				"environment acme-site-main: retire (left-inputs) {node:n1 uid:1002} > {}",
				"environment beta-shop-main: retire (left-inputs) {node:n1 uid:1003} > {}",
			},
		},
		{
			reason:  "who is back has his UID and his names",
			before:  []claims{{main, other}, {other}},
			req:     request(main, other),
			changes: []string{"environment acme-site-main: revive (back-in-inputs) {} > {node:n1 uid:1002}"},
		},
		{
			reason: "who is back elsewhere has moved",
			before: []claims{{main, other}, {other}},
			req:    request(moved, other),
			changes: []string{
				"environment acme-site-main: move (placement) {node:n1} > {node:n2}",
				"environment acme-site-main: revive (back-in-inputs) {} > {node:n2 uid:1002}",
			},
		},
		{
			reason: "who is back with fewer names gives up the others",
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
	checkAll(t, []stepTest{
		{
			reason:  "an entry of the legacy generator is adopted as it is",
			prior:   legacyEntry,
			req:     request(main),
			changes: []string{"environment acme-site-main: update (adopted) {} > {environment:main organisation:acme project:site}"},
		},
		{
			reason: "even if it moves in the same plan",
			prior:  legacyEntry,
			req:    request(elsewhere),
			changes: []string{
				"environment acme-site-main: move (placement) {node:n1} > {node:n2}",
				"environment acme-site-main: update (adopted) {} > {environment:main organisation:acme project:site}",
			},
		},
		{
			reason: "the user name of another environment, say by a collision of hashes",
			before: []claims{{main}},
			req: request(func() state.Claim {
				c := env("beta/site/main")
				c.UserName = "acme-site-main"
				return c
			}()),
			errs: []string{"the user acme-site-main belongs to the environment acme/site/main and is claimed by beta/site/main"},
		},
		{
			reason: "two claims of one user name, as of two inputs that sanitise alike",
			req:    request(main, main),
			errs:   []string{"the user acme-site-main belongs to the environment acme/site/main and is claimed by acme/site/main"},
		},
	})
	if e := next(t, decode(t, legacyEntry), request(elsewhere)).State.Entries["acme-site-main"]; e.DeployedNode != "n1" || e.Node != "n2" {
		t.Errorf("the legacy generator had deployed it to n1, and the entry says %q, now %q", e.DeployedNode, e.Node)
	}
}

// Retired entries of the legacy generator do not say whose they are. Their user
// names prove it, as soon as another environment of their project is planned.
// The names are those of recorded runs of the legacy generator.
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
	if diff := cmp.Diff(want, told(step.Changes)); diff != "" {
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

// An invalid prior state, as a program may build one, is refused with all that
// is wrong before anything is decided on it.
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
