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
			reason: "input names are sanitised",
			before: []claims{{main}},
			req:    moved(request(prod), [2]string{"Ac-Me___Si_te/main", "acme__site/prod"}),
			changes: []string{
				"environment acme-site-prod: move (renamed) {userName:acme-site-main} > {uid:1002 userName:acme-site-prod}",
			},
		},
		{
			reason: "by user name on one side and by input on the other",
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
			reason: "a retired environment is renamed and live again",
			before: []claims{{main, staging}, {staging}},
			req:    moved(request(prod, staging), [2]string{"acme-site-main", "acme-site-prod"}),
			changes: []string{
				"environment acme-site-prod: move (renamed) {userName:acme-site-main} > {uid:1002 userName:acme-site-prod}",
			},
		},
		{
			reason: "a new name and a new node in one plan: two moves, always in the same order",
			before: []claims{{main}},
			req:    moved(request(prodOnN2), [2]string{"acme-site-main", "acme-site-prod"}),
			changes: []string{
				"environment acme-site-prod: move (placement) {node:n1} > {node:n2}",
				"environment acme-site-prod: move (renamed) {userName:acme-site-main} > {uid:1002 userName:acme-site-prod}",
			},
		},
		{
			reason: "without an entry, a new name is a retirement and a new environment",
			before: []claims{{main}},
			req:    request(env("acme/site/prod")),
			changes: []string{
				"environment acme-site-main: retire (left-inputs) {node:n1 uid:1002} > {}",
				"environment acme-site-prod: create (new) {} > {node:n1 uid:1003}",
			},
		},
		{
			reason:   "carried out before",
			before:   []claims{{prod}},
			req:      moved(request(prod), [2]string{"acme-site-main", "acme-site-prod"}),
			warnings: []string{`provider.moved: { from = "acme-site-main"; to = "acme-site-prod"; } has nothing left to do and can be removed`},
		},
		{
			reason:   "a whole project, carried out before",
			before:   []claims{{newMain, newStag}},
			req:      moved(request(newMain, newStag), [2]string{"acme__site", "beta__shop"}),
			warnings: []string{`provider.moved: { from = "acme__site"; to = "beta__shop"; } has nothing left to do and can be removed`},
		},
		{
			reason:   "carried out before, and the new environment has retired since",
			before:   []claims{{prod, staging}, {staging}},
			req:      moved(request(staging), [2]string{"acme-site-main", "acme-site-prod"}),
			warnings: []string{`provider.moved: { from = "acme-site-main"; to = "acme-site-prod"; } has nothing left to do and can be removed`},
		},
		{
			reason:   "carried out before, and a new environment takes the old name",
			before:   []claims{{prod}},
			req:      moved(request(prod, env("acme/site/main")), [2]string{"acme-site-main", "acme-site-prod"}),
			changes:  []string{"environment acme-site-main: create (new) {} > {node:n1 uid:1003}"},
			warnings: []string{`provider.moved: { from = "acme-site-main"; to = "acme-site-prod"; } has nothing left to do and can be removed`},
		},
		{
			reason:   "carried out before, and an environment of the old name exists: one warning for a project",
			before:   []claims{{newMain, newStag, env("acme/site/main"), env("acme/site/staging")}},
			req:      moved(request(newMain, newStag, env("acme/site/main"), env("acme/site/staging")), [2]string{"acme__site", "beta__shop"}),
			warnings: []string{`provider.moved: { from = "acme__site"; to = "beta__shop"; } has nothing left to do and can be removed`},
		},
		{
			reason: "the inputs still declare the old environment",
			before: []claims{{main}},
			req:    moved(request(env("acme/site/main"), prod), [2]string{"acme-site-main", "acme-site-prod"}),
			errs:   []string{`provider.moved: { from = "acme-site-main"; to = "acme-site-prod"; }: acme-site-main is still declared`},
		},
		{
			reason: "the new environment already has a UID",
			before: []claims{{main, env("acme/site/prod")}},
			req:    moved(request(prod), [2]string{"acme-site-main", "acme-site-prod"}),
			errs:   []string{`provider.moved: { from = "acme-site-main"; to = "acme-site-prod"; }: acme-site-prod already has the UID 1003`},
		},
		{
			reason: "one environment moved to two names",
			before: []claims{{main}},
			req:    moved(request(prod, env("acme/site/live")), [2]string{"acme-site-main", "acme-site-prod"}, [2]string{"acme-site-main", "acme-site-live"}),
			errs:   []string{`provider.moved: { from = "acme-site-main"; to = "acme-site-live"; }: acme-site-main is moved to acme-site-prod by another entry`},
		},
		{
			reason: "two environments moved to one name",
			before: []claims{{main, staging}},
			req:    moved(request(prod), [2]string{"acme-site-main", "acme-site-prod"}, [2]string{"acme-site-staging", "acme-site-prod"}),
			errs:   []string{`provider.moved: { from = "acme-site-staging"; to = "acme-site-prod"; }: acme-site-main is moved to acme-site-prod by another entry`},
		},
		{
			reason:   "the same entry twice, in two spellings, counts once",
			before:   []claims{{main}},
			req:      moved(request(prod), [2]string{"acme-site-main", "acme-site-prod"}, [2]string{"acme__site/main", "acme__site/prod"}),
			changes:  []string{"environment acme-site-prod: move (renamed) {userName:acme-site-main} > {uid:1002 userName:acme-site-prod}"},
			warnings: nil,
		},
		{
			reason: "a typing error in from",
			before: []claims{{main}},
			req:    moved(request(main, env("acme/site/prod")), [2]string{"acme-site-mian", "acme-site-prod"}),
			errs:   []string{`provider.moved: { from = "acme-site-mian"; to = "acme-site-prod"; }: the state has no environment acme-site-mian`},
		},
		{
			reason: "a typing error in to",
			before: []claims{{main}},
			req:    moved(request(env("acme/site/prod")), [2]string{"acme-site-main", "acme-site-pord"}),
			errs:   []string{`provider.moved: { from = "acme-site-main"; to = "acme-site-pord"; }: acme-site-main has left the inputs, and no input declares acme-site-pord`},
		},
		{
			reason: "a project moved to an environment",
			before: []claims{{main}},
			req:    moved(request(prod), [2]string{"acme__site", "acme__site/prod"}),
			errs:   []string{`provider.moved: { from = "acme__site"; to = "acme__site/prod"; }: one side names a project and the other an environment`},
		},
		{
			reason: "invalid names, reported together",
			before: []claims{{main}},
			req:    moved(request(main), [2]string{"", "acme-site-main"}, [2]string{"acme__site/", "x"}, [2]string{"acme-site-main", "A B"}),
			errs: []string{
				`provider.moved: { from = ""; to = "acme-site-main"; }: "" is not a user name, organisation__project or organisation__project/environment`,
				`provider.moved: { from = "acme__site/"; to = "x"; }: "acme__site/" is not a user name, organisation__project or organisation__project/environment`,
				`provider.moved: { from = "acme-site-main"; to = "A B"; }: "A B" is not a user name, organisation__project or organisation__project/environment`,
			},
		},
	})
}

// A renamed entry keeps its UID, host names, deployed node and unknown fields. The
// newest allocation gets the new name too.
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

// A second plan can rename an environment to the name that the first plan freed.
func TestMovedToFreedName(t *testing.T) {
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

// An entry keeps all former names, because nodes may still have any of them, but
// not its present one. An environment that takes a former name does not have it as
// a former name.
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
			t.Errorf("the new environment has the former names %v", names)
		}
	}
	same(t, "saved", s, decode(t, string(s.Encode())))
}

func TestSplitInput(t *testing.T) {
	tests := []struct {
		reason, in, organisation, project string
		ok                                bool
	}{
		{"organisation and project", "acme__site", "acme", "site", true},
		{"three underscores, as in the legacy generator: sanitising removes the third", "acme___site", "acme", "site", true},
		{"four: the empty middle is dropped", "acme____site", "acme", "site", true},
		{"names are sanitised", "Ac-me__My.Site2", "acme", "mysite2", true},
		{"no project", "nixpkgs", "", "", false},
		{"one underscore", "acme_site", "", "", false},
		{"three parts", "acme__site__x", "", "", false},
		{"a part that is empty once sanitised", "acme__ä", "acme", "", false},
		{"an empty name", "", "", "", false},
	}
	for _, tt := range tests {
		organisation, project, ok := state.SplitInput(tt.in)
		if ok != tt.ok || ok && (organisation != tt.organisation || project != tt.project) {
			t.Errorf("%s: %q: got %q, %q, %v", tt.reason, tt.in, organisation, project, ok)
		}
	}
}
