package state_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

func moved(req state.Request, pairs ...[2]string) state.Request {
	for _, p := range pairs {
		req.Moved = append(req.Moved, state.Moved{From: p[0], To: p[1]})
	}
	return req
}

func TestMoved(t *testing.T) {
	var (
		main    = env("acme/site/main", "acme.test")
		staging = env("acme/site/staging")
		prod    = env("acme/site/prod", "acme.test")
		newMain = env("beta/shop/main", "acme.test")
		newStag = env("beta/shop/staging")
	)
	prodOnN2 := prod
	prodOnN2.Node = "n2"
	checkAll(t, []stepTest{
		{
			reason: "by user name",
			before: []claims{{main, staging}},
			req:    moved(request(prod, staging), [2]string{"acme-site-main", "acme-site-prod"}),
			changes: []string{
				"environment acme-site-prod: move (renamed) {userName:acme-site-main} > {uid:1002 userName:acme-site-prod}",
			},
		},
		{
			reason: "by input and environment",
			before: []claims{{main, staging}},
			req:    moved(request(prod, staging), [2]string{"acme__site/main", "acme__site/prod"}),
			changes: []string{
				"environment acme-site-prod: move (renamed) {userName:acme-site-main} > {uid:1002 userName:acme-site-prod}",
			},
		},
		{
			reason: "inputs are sanitised as everywhere",
			before: []claims{{main}},
			req:    moved(request(prod), [2]string{"Ac-Me___Si_te/main", "acme__site/prod"}),
			changes: []string{
				"environment acme-site-prod: move (renamed) {userName:acme-site-main} > {uid:1002 userName:acme-site-prod}",
			},
		},
		{
			reason: "one side each",
			before: []claims{{main}},
			req:    moved(request(prod), [2]string{"acme-site-main", "acme__site/prod"}),
			changes: []string{
				"environment acme-site-prod: move (renamed) {userName:acme-site-main} > {uid:1002 userName:acme-site-prod}",
			},
		},
		{
			reason: "a whole project, into another organisation, with all its environments",
			before: []claims{{main, staging}},
			req:    moved(request(newMain, newStag), [2]string{"acme__site", "beta__shop"}),
			changes: []string{
				"environment beta-shop-main: move (renamed) {userName:acme-site-main} > {uid:1002 userName:beta-shop-main}",
				"environment beta-shop-staging: move (renamed) {userName:acme-site-staging} > {uid:1003 userName:beta-shop-staging}",
			},
		},
		{
			reason: "an environment that the renamed project no longer has stays behind, retired",
			before: []claims{{main, staging}},
			req:    moved(request(newMain), [2]string{"acme__site", "beta__shop"}),
			changes: []string{
				"environment acme-site-staging: retire (left-inputs) {node:n1 uid:1003} > {}",
				"environment beta-shop-main: move (renamed) {userName:acme-site-main} > {uid:1002 userName:beta-shop-main}",
			},
		},
		{
			reason: "a retired environment is renamed too, and live again",
			before: []claims{{main, staging}, {staging}},
			req:    moved(request(prod, staging), [2]string{"acme-site-main", "acme-site-prod"}),
			changes: []string{
				"environment acme-site-prod: move (renamed) {userName:acme-site-main} > {uid:1002 userName:acme-site-prod}",
			},
		},
		{
			reason: "to another node in the same plan: two moves, always in one order",
			before: []claims{{main}},
			req:    moved(request(prodOnN2), [2]string{"acme-site-main", "acme-site-prod"}),
			changes: []string{
				"environment acme-site-prod: move (placement) {node:n1} > {node:n2}",
				"environment acme-site-prod: move (renamed) {userName:acme-site-main} > {uid:1002 userName:acme-site-prod}",
			},
		},
		{
			reason: "without the entry a rename is a retirement and a new environment",
			before: []claims{{main}},
			req:    request(env("acme/site/prod")),
			changes: []string{
				"environment acme-site-main: retire (left-inputs) {node:n1 uid:1002} > {}",
				"environment acme-site-prod: create (new) {} > {node:n1 uid:1003}",
			},
		},
		{
			reason:   "done already",
			before:   []claims{{prod}},
			req:      moved(request(prod), [2]string{"acme-site-main", "acme-site-prod"}),
			warnings: []string{`provider.moved: { from = "acme-site-main"; to = "acme-site-prod"; } has nothing left to do and can be removed`},
		},
		{
			reason:   "a whole project, done already",
			before:   []claims{{newMain, newStag}},
			req:      moved(request(newMain, newStag), [2]string{"acme__site", "beta__shop"}),
			warnings: []string{`provider.moved: { from = "acme__site"; to = "beta__shop"; } has nothing left to do and can be removed`},
		},
		{
			reason:   "done already, and the new environment has retired since",
			before:   []claims{{prod, staging}, {staging}},
			req:      moved(request(staging), [2]string{"acme-site-main", "acme-site-prod"}),
			warnings: []string{`provider.moved: { from = "acme-site-main"; to = "acme-site-prod"; } has nothing left to do and can be removed`},
		},
		{
			reason:   "done already, and a new environment takes the old name: the first time",
			before:   []claims{{prod}},
			req:      moved(request(prod, env("acme/site/main")), [2]string{"acme-site-main", "acme-site-prod"}),
			changes:  []string{"environment acme-site-main: create (new) {} > {node:n1 uid:1003}"},
			warnings: []string{`provider.moved: { from = "acme-site-main"; to = "acme-site-prod"; } has nothing left to do and can be removed`},
		},
		{
			reason:   "and the second time, said once for all environments of a project",
			before:   []claims{{newMain, newStag, env("acme/site/main"), env("acme/site/staging")}},
			req:      moved(request(newMain, newStag, env("acme/site/main"), env("acme/site/staging")), [2]string{"acme__site", "beta__shop"}),
			warnings: []string{`provider.moved: { from = "acme__site"; to = "beta__shop"; } has nothing left to do and can be removed`},
		},
		{
			reason: "the old environment is still declared: then it is a copy",
			before: []claims{{main}},
			req:    moved(request(env("acme/site/main"), prod), [2]string{"acme-site-main", "acme-site-prod"}),
			errs:   []string{`provider.moved: { from = "acme-site-main"; to = "acme-site-prod"; }: acme-site-main is still declared`},
		},
		{
			reason: "the new environment has a UID of its own: two cannot become one",
			before: []claims{{main, env("acme/site/prod")}},
			req:    moved(request(prod), [2]string{"acme-site-main", "acme-site-prod"}),
			errs:   []string{`provider.moved: { from = "acme-site-main"; to = "acme-site-prod"; }: acme-site-prod has the UID 1003 already`},
		},
		{
			reason: "moved to two places",
			before: []claims{{main}},
			req:    moved(request(prod, env("acme/site/live")), [2]string{"acme-site-main", "acme-site-prod"}, [2]string{"acme-site-main", "acme-site-live"}),
			errs:   []string{`provider.moved: { from = "acme-site-main"; to = "acme-site-live"; }: acme-site-main is moved to acme-site-prod by another entry`},
		},
		{
			reason: "two moved to one place",
			before: []claims{{main, staging}},
			req:    moved(request(prod), [2]string{"acme-site-main", "acme-site-prod"}, [2]string{"acme-site-staging", "acme-site-prod"}),
			errs:   []string{`provider.moved: { from = "acme-site-staging"; to = "acme-site-prod"; }: acme-site-main is moved to acme-site-prod by another entry`},
		},
		{
			reason:   "an entry that stands twice is one",
			before:   []claims{{main}},
			req:      moved(request(prod), [2]string{"acme-site-main", "acme-site-prod"}, [2]string{"acme__site/main", "acme__site/prod"}),
			changes:  []string{"environment acme-site-prod: move (renamed) {userName:acme-site-main} > {uid:1002 userName:acme-site-prod}"},
			warnings: nil,
		},
		{
			reason: "nobody knows where from",
			before: []claims{{main}},
			req:    moved(request(main, env("acme/site/prod")), [2]string{"acme-site-mian", "acme-site-prod"}),
			errs:   []string{`provider.moved: { from = "acme-site-mian"; to = "acme-site-prod"; }: the state knows nothing of acme-site-mian`},
		},
		{
			reason: "nobody knows where to",
			before: []claims{{main}},
			req:    moved(request(env("acme/site/prod")), [2]string{"acme-site-main", "acme-site-pord"}),
			errs:   []string{`provider.moved: { from = "acme-site-main"; to = "acme-site-pord"; }: no input declares, as acme-site-pord, what is gone as acme-site-main`},
		},
		{
			reason: "a project into an environment",
			before: []claims{{main}},
			req:    moved(request(prod), [2]string{"acme__site", "acme__site/prod"}),
			errs:   []string{`provider.moved: { from = "acme__site"; to = "acme__site/prod"; }: one side names a project and the other an environment`},
		},
		{
			reason: "all that is wrong with it at once",
			before: []claims{{main}},
			req:    moved(request(main), [2]string{"", "acme-site-main"}, [2]string{"acme__site/", "x"}, [2]string{"acme-site-main", "A B"}),
			errs: []string{
				`provider.moved: { from = ""; to = "acme-site-main"; }: "" is neither a user name nor organisation__project nor organisation__project/environment`,
				`provider.moved: { from = "acme__site/"; to = "x"; }: "acme__site/" is neither a user name nor organisation__project nor organisation__project/environment`,
				`provider.moved: { from = "acme-site-main"; to = "A B"; }: "A B" is neither a user name nor organisation__project nor organisation__project/environment`,
			},
		},
	})
}

// What a rename carries: UID, host names, node, and what others wrote into the
// entry. The newest allocation follows, so that it names its entry.
func TestMovedKeepsAll(t *testing.T) {
	prior := decode(t, document(
		`"acme-site-main": {"userName": "acme-site-main", "uid": 1002, "node": "n1", "virtualHosts": ["acme.test"], "note": "keep"}`,
		`"_lastAllocated": {"userName": "acme-site-main", "uid": 1002, "virtualHosts": []}`,
	))
	c := env("beta/shop/prod", "acme.test")
	c.Node = "n2"
	got := next(t, prior, moved(request(c), [2]string{"acme-site-main", "beta-shop-prod"})).State
	want := decode(t, document(
		`"beta-shop-prod": {"userName": "beta-shop-prod", "uid": 1002, "node": "n2", "deployedNode": "n1", "virtualHosts": ["acme.test"], "note": "keep",
			"organisation": "beta", "project": "shop", "environment": "prod", "formerNames": ["acme-site-main"]}`,
		`"_lastAllocated": {"userName": "beta-shop-prod", "uid": 1002, "virtualHosts": []}`,
	))
	want.Description = state.Description
	same(t, "renamed", want, got)
}

// Two renames in a row, the second into the name that the first left, are done
// in two plans.
func TestMovedInARow(t *testing.T) {
	s := planned(t, claims{env("acme/site/main", "acme.test"), env("acme/site/staging")})
	s = next(t, s, moved(request(env("acme/site/old", "acme.test"), env("acme/site/staging")), [2]string{"acme__site/main", "acme__site/old"})).State
	s = next(t, s, moved(request(env("acme/site/old", "acme.test"), env("acme/site/main")), [2]string{"acme__site/staging", "acme__site/main"})).State
	if diff := cmp.Diff(map[string]int{"acme-site-old": 1002, "acme-site-main": 1003}, uids(s)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"acme.test": "acme-site-old"}, owners(s)); diff != "" {
		t.Error(diff)
	}
}

// An environment's former names are remembered, for nodes may have any of them;
// its present one is never among them, and another that takes one has none.
func TestFormerNames(t *testing.T) {
	main, old, older := env("acme/site/main"), env("acme/site/old"), env("acme/site/older")
	s := planned(t, claims{main})
	for _, step := range []struct {
		from, to state.Claim
		beside   []state.Claim
		want     []string
	}{
		{main, old, nil, []string{"acme-site-main"}},
		{old, older, []state.Claim{main}, []string{"acme-site-main", "acme-site-old"}},
		{older, old, []state.Claim{main}, []string{"acme-site-main", "acme-site-older"}},
	} {
		s = next(t, s, moved(request(append(step.beside, step.to)...), [2]string{step.from.UserName, step.to.UserName})).State
		if diff := cmp.Diff(step.want, s.Entries[step.to.UserName].FormerNames); diff != "" {
			t.Errorf("%s to %s: %s", step.from.UserName, step.to.UserName, diff)
		}
		if names := s.Entries["acme-site-main"].FormerNames; len(names) > 0 {
			t.Errorf("the new environment of an old name had the names %v", names)
		}
	}
	same(t, "as it is written", s, decode(t, string(s.Encode())))
}

func TestSplitInput(t *testing.T) {
	tests := []struct {
		reason, in, organisation, project string
		ok                                bool
	}{
		{"the form", "acme__site", "acme", "site", true},
		{"three underscores, as today: the third belongs to the project and is sanitised away", "acme___site", "acme", "site", true},
		{"four: the empty middle is dropped", "acme____site", "acme", "site", true},
		{"names are sanitised", "Ac-me__My.Site2", "acme", "mysite2", true},
		{"no project", "nixpkgs", "", "", false},
		{"one underscore", "acme_site", "", "", false},
		{"three parts", "acme__site__x", "", "", false},
		{"nothing left of a part", "acme__ä", "acme", "", false},
		{"nothing", "", "", "", false},
	}
	for _, tt := range tests {
		organisation, project, ok := state.SplitInput(tt.in)
		if ok != tt.ok || ok && (organisation != tt.organisation || project != tt.project) {
			t.Errorf("%s: %q: got %q, %q, %v", tt.reason, tt.in, organisation, project, ok)
		}
	}
}
