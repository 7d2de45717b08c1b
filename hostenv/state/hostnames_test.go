package state_test

import (
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// with returns a request with transfers, each {host, from, to}.
func with(req state.Request, transfers ...[3]string) state.Request {
	for _, t := range transfers {
		req.Transfers = append(req.Transfers, state.Transfer{Host: t[0], From: t[1], To: t[2]})
	}
	return req
}

func TestHostnames(t *testing.T) {
	const w = "w.test"
	var (
		main    = env("acme/site/main")
		mainW   = env("acme/site/main", w)
		staging = env("acme/site/staging")
		stagW   = env("acme/site/staging", w)
		devW    = env("acme/site/dev", w)
		shop    = env("acme/shop/main")
		shopW   = env("acme/shop/main", w)
		beta    = env("beta/b/main")
		betaW   = env("beta/b/main", w)
		cond    = env("cond/c/main")
		condW   = env("cond/c/main", w)
	)
	checkAll(t, []stepTest{
		{
			reason:  "a name without an owner",
			before:  []claims{{main}},
			req:     request(mainW),
			changes: []string{"hostname w.test: create (declared) {} > {owner:acme-site-main}"},
		},
		{
			reason:  "a name that one environment declares twice",
			before:  []claims{{main}},
			req:     request(env("acme/site/main", w, w)),
			changes: []string{"hostname w.test: create (declared) {} > {owner:acme-site-main}"},
		},
		{
			reason: "two new claimants are both refused, because either may be right",
			before: []claims{{main, beta}},
			req:    request(mainW, betaW),
			errs:   []string{`the host name "w.test" is claimed by acme-site-main and beta-b-main, and has no owner yet`},
		},
		{
			reason: "two claimants of one project are refused too",
			before: []claims{{main, staging}},
			req:    request(mainW, stagW),
			errs:   []string{`the host name "w.test" is claimed by acme-site-main and acme-site-staging, and has no owner yet`},
		},
		{
			reason: "three claimants give one error",
			before: []claims{{main, beta, cond}},
			req:    request(mainW, betaW, condW),
			errs:   []string{`the host name "w.test" is claimed by acme-site-main, beta-b-main and cond-c-main, and has no owner yet`},
		},
		{
			reason: "the owner keeps it against all others",
			before: []claims{{main, betaW, cond}},
			req:    request(mainW, betaW, condW),
			errs:   []string{`the host name "w.test" belongs to beta-b-main, which declares it, and is claimed by acme-site-main and cond-c-main`},
		},
		{
			reason: "the owner keeps it against its own project",
			before: []claims{{mainW, staging}},
			req:    request(mainW, stagW),
			errs:   []string{`the host name "w.test" belongs to acme-site-main, which declares it, and is claimed by acme-site-staging`},
		},
		{
			reason:  "within a project it moves in the plan in which the old owner drops it",
			before:  []claims{{mainW, staging}},
			req:     request(main, stagW),
			changes: []string{"hostname w.test: move (declared) {owner:acme-site-main} > {owner:acme-site-staging}"},
		},
		{
			reason: "within a project it does not move if two claim it",
			before: []claims{{mainW, staging}},
			req:    request(main, stagW, devW),
			errs:   []string{`the host name "w.test" belongs to acme-site-main and is claimed by acme-site-dev and acme-site-staging`},
		},
		{
			reason:  "within a project it moves from a retired owner",
			before:  []claims{{mainW, staging}, {staging}},
			req:     request(stagW),
			changes: []string{"hostname w.test: move (declared) {owner:acme-site-main} > {owner:acme-site-staging}"},
		},
		{
			reason: "within a project it moves from an owner that leaves in the same plan to a new environment",
			before: []claims{{mainW}},
			req:    request(stagW),
			changes: []string{
				"environment acme-site-main: retire (left-inputs) {node:n1 uid:1002} > {}",
				"environment acme-site-staging: create (new) {} > {node:n1 uid:1003}",
				"hostname w.test: move (declared) {owner:acme-site-main} > {owner:acme-site-staging}",
			},
		},
		{
			reason: "it does not move to another project of the organisation",
			before: []claims{{mainW, shop}},
			req:    request(main, shopW),
			errs:   []string{`the host name "w.test" belongs to acme-site-main and is claimed by acme-shop-main`},
		},
		{
			reason: "it does not move from a retired owner to another organisation",
			before: []claims{{mainW, beta}, {beta}},
			req:    request(betaW),
			errs:   []string{`the host name "w.test" belongs to acme-site-main (retired) and is claimed by beta-b-main`},
		},
		{
			reason:  "a name that no environment declares is released",
			before:  []claims{{mainW, beta}},
			req:     request(main, beta),
			changes: []string{"hostname w.test: release (undeclared) {owner:acme-site-main} > {}"},
		},
		{
			reason:  "any environment can claim a released name in the next plan",
			before:  []claims{{mainW, beta}, {main, beta}},
			req:     request(main, betaW),
			changes: []string{"hostname w.test: create (declared) {} > {owner:beta-b-main}"},
		},
		{
			reason: "a transfer goes to another organisation",
			before: []claims{{mainW, beta}},
			req:    with(request(main, betaW), [3]string{w, "acme-site-main", "beta-b-main"}),
			changes: []string{
				"hostname w.test: transfer (transfer) {owner:acme-site-main} > {owner:beta-b-main}",
			},
		},
		{
			reason: "a transfer goes to a new environment",
			before: []claims{{mainW}},
			req:    with(request(main, betaW), [3]string{w, "acme-site-main", "beta-b-main"}),
			changes: []string{
				"environment beta-b-main: create (new) {} > {node:n1 uid:1003}",
				"hostname w.test: transfer (transfer) {owner:acme-site-main} > {owner:beta-b-main}",
			},
		},
		{
			reason: "a transfer takes a name from a retired owner",
			before: []claims{{mainW, beta}, {beta}},
			req:    with(request(betaW), [3]string{w, "acme-site-main", "beta-b-main"}),
			changes: []string{
				"hostname w.test: transfer (transfer) {owner:acme-site-main} > {owner:beta-b-main}",
			},
		},
		{
			reason:   "a transfer that was carried out gives a warning",
			before:   []claims{{main, betaW}},
			req:      with(request(main, betaW), [3]string{w, "acme-site-main", "beta-b-main"}),
			warnings: []string{`provider.transfers: { host = "w.test"; from = "acme-site-main"; to = "beta-b-main"; } has been carried out and can be removed`},
		},
		{
			reason: "a transfer does not take a name that its owner declares",
			before: []claims{{mainW, beta}},
			req:    with(request(mainW, betaW), [3]string{w, "acme-site-main", "beta-b-main"}),
			errs:   []string{`the host name "w.test" belongs to acme-site-main, which declares it, and is claimed by beta-b-main`},
		},
		{
			reason: "a transfer from another environment than the owner has no effect",
			before: []claims{{mainW, beta, cond}},
			req:    with(request(main, betaW, cond), [3]string{w, "cond-c-main", "beta-b-main"}),
			errs:   []string{`the host name "w.test" belongs to acme-site-main and is claimed by beta-b-main`},
		},
		{
			reason: "a transfer does not give the name to another environment",
			before: []claims{{mainW, beta, cond}},
			req:    with(request(main, beta, condW), [3]string{w, "acme-site-main", "beta-b-main"}),
			errs:   []string{`the host name "w.test" belongs to acme-site-main and is claimed by cond-c-main`},
		},
		{
			reason: "a transfer does not help a second claimant",
			before: []claims{{mainW, beta, cond}},
			req:    with(request(main, betaW, condW), [3]string{w, "acme-site-main", "beta-b-main"}),
			errs:   []string{`the host name "w.test" belongs to acme-site-main and is claimed by cond-c-main`},
		},
		{
			reason:   "a transfer to an environment that does not declare the name gives a warning, because the name is free",
			before:   []claims{{mainW, beta}},
			req:      with(request(main, beta), [3]string{w, "acme-site-main", "beta-b-main"}),
			changes:  []string{"hostname w.test: release (undeclared) {owner:acme-site-main} > {}"},
			warnings: []string{`provider.transfers: { host = "w.test"; from = "acme-site-main"; to = "beta-b-main"; } has no effect: beta-b-main does not declare the name, or acme-site-main does not own it`},
		},
		{
			reason:  "two transfers of one name are refused",
			before:  []claims{{mainW, beta, cond}},
			req:     with(request(main, betaW, cond), [3]string{w, "acme-site-main", "beta-b-main"}, [3]string{w, "acme-site-main", "cond-c-main"}),
			changes: nil,
			errs: []string{
				`provider.transfers: { host = "w.test"; from = "acme-site-main"; to = "cond-c-main"; }: the name has a second entry, { host = "w.test"; from = "acme-site-main"; to = "beta-b-main"; }`,
			},
		},
		{
			reason:  "the same transfer twice counts once",
			before:  []claims{{mainW, beta}},
			req:     with(request(main, betaW), [3]string{w, "acme-site-main", "beta-b-main"}, [3]string{w, "acme-site-main", "beta-b-main"}),
			changes: []string{"hostname w.test: transfer (transfer) {owner:acme-site-main} > {owner:beta-b-main}"},
		},
		{
			reason: "a transfer from an environment to itself is refused",
			before: []claims{{mainW}},
			req:    with(request(mainW), [3]string{w, "acme-site-main", "acme-site-main"}),
			errs:   []string{`provider.transfers: { host = "w.test"; from = "acme-site-main"; to = "acme-site-main"; }: from and to are the same`},
		},
		{
			reason: "two environments of a project swap names",
			before: []claims{{env("acme/site/main", "x.test"), env("acme/site/staging", "y.test")}},
			req:    request(env("acme/site/main", "y.test"), env("acme/site/staging", "x.test")),
			changes: []string{
				"hostname x.test: move (declared) {owner:acme-site-main} > {owner:acme-site-staging}",
				"hostname y.test: move (declared) {owner:acme-site-staging} > {owner:acme-site-main}",
			},
		},
	})
}

func TestNodeNamesAndWildcards(t *testing.T) {
	nodes := func(req state.Request) state.Request {
		req.NodeNames = map[string]string{"n1.host.test": "n1", "n2.host.test": "n2"}
		return req
	}
	checkAll(t, []stepTest{
		{
			reason: "the provider owns the name of a node",
			req:    nodes(request(env("acme/a/main", "n1.host.test"), env("beta/b/main", "n1.host.test"))),
			errs:   []string{`the host name "n1.host.test" belongs to the node n1 and is claimed by acme-a-main and beta-b-main`},
		},
		{
			reason: "the provider owns the name of a new node that an environment had before",
			before: []claims{{env("acme/a/main", "n2.host.test")}},
			req:    nodes(request(env("acme/a/main", "n2.host.test"))),
			errs:   []string{`the host name "n2.host.test" belongs to the node n2 and is claimed by acme-a-main`},
		},
		{
			reason: "environments may have names next to those of nodes",
			req:    nodes(request(env("acme/a/main", "n3.host.test", "host.test", "x.n1.host.test"))),
			changes: []string{
				"environment acme-a-main: create (new) {} > {node:n1 uid:1002}",
				"hostname host.test: create (declared) {} > {owner:acme-a-main}",
				"hostname n3.host.test: create (declared) {} > {owner:acme-a-main}",
				"hostname x.n1.host.test: create (declared) {} > {owner:acme-a-main}",
			},
		},
		{
			reason: "a wildcard must not cover nodes",
			req:    nodes(request(env("acme/a/main", "*.host.test"))),
			errs: []string{
				`the wildcard "*.host.test" of acme-a-main covers "n1.host.test" of the provider's node`,
				`the wildcard "*.host.test" of acme-a-main covers "n2.host.test" of the provider's node`,
			},
		},
		{
			reason: "a wildcard of a top-level domain covers all below it",
			req:    nodes(request(env("acme/a/main", "*.test"))),
			errs: []string{
				`the wildcard "*.test" of acme-a-main covers "n1.host.test" of the provider's node`,
				`the wildcard "*.test" of acme-a-main covers "n2.host.test" of the provider's node`,
			},
		},
		{
			reason: "a wildcard may cover names of another project of the organisation",
			req:    request(env("acme/a/main", "*.acme.test"), env("acme/b/main", "b.acme.test", "*.b.acme.test")),
			changes: []string{
				"environment acme-a-main: create (new) {} > {node:n1 uid:1002}",
				"environment acme-b-main: create (new) {} > {node:n1 uid:1003}",
				"hostname *.acme.test: create (declared) {} > {owner:acme-a-main}",
				"hostname *.b.acme.test: create (declared) {} > {owner:acme-b-main}",
				"hostname b.acme.test: create (declared) {} > {owner:acme-b-main}",
			},
		},
		{
			reason: "a wildcard does not cover its own domain, nor one that only ends in the same letters",
			req:    request(env("acme/a/main", "*.acme.test"), env("beta/b/main", "acme.test", "notacme.test", "acme.test.net")),
			changes: []string{
				"environment acme-a-main: create (new) {} > {node:n1 uid:1002}",
				"environment beta-b-main: create (new) {} > {node:n1 uid:1003}",
				"hostname *.acme.test: create (declared) {} > {owner:acme-a-main}",
				"hostname acme.test: create (declared) {} > {owner:beta-b-main}",
				"hostname acme.test.net: create (declared) {} > {owner:beta-b-main}",
				"hostname notacme.test: create (declared) {} > {owner:beta-b-main}",
			},
		},
		{
			reason: "a wildcard must not cover names of another organisation, at any depth, or its wildcards",
			before: []claims{{env("beta/b/main", "b.acme.test", "*.b.acme.test", "x.y.acme.test")}},
			req:    request(env("acme/a/main", "*.acme.test"), env("beta/b/main", "b.acme.test", "*.b.acme.test", "x.y.acme.test")),
			errs: []string{
				`the wildcard "*.acme.test" of acme-a-main covers "*.b.acme.test" of beta-b-main`,
				`the wildcard "*.acme.test" of acme-a-main covers "b.acme.test" of beta-b-main`,
				`the wildcard "*.acme.test" of acme-a-main covers "x.y.acme.test" of beta-b-main`,
			},
		},
		{
			reason: "a new name must not be below another organisation's wildcard",
			before: []claims{{env("acme/a/main", "*.acme.test")}},
			req:    request(env("acme/a/main", "*.acme.test"), env("beta/b/main", "b.acme.test")),
			errs:   []string{`the wildcard "*.acme.test" of acme-a-main covers "b.acme.test" of beta-b-main`},
		},
		{
			reason: "two wildcards over one name give two errors",
			req:    request(env("acme/a/main", "*.acme.test"), env("cond/c/main", "*.b.acme.test"), env("beta/b/main", "x.b.acme.test")),
			errs: []string{
				`the wildcard "*.acme.test" of acme-a-main covers "*.b.acme.test" of cond-c-main`,
				`the wildcard "*.b.acme.test" of cond-c-main covers "x.b.acme.test" of beta-b-main`,
				`the wildcard "*.acme.test" of acme-a-main covers "x.b.acme.test" of beta-b-main`,
			},
		},
		{
			reason: "a retired owner's wildcard still covers names",
			before: []claims{{env("acme/a/main", "*.acme.test")}, {}},
			req:    request(env("beta/b/main", "b.acme.test")),
			errs:   []string{`the wildcard "*.acme.test" of acme-a-main covers "b.acme.test" of beta-b-main`},
		},
		{
			reason: "a wildcard must not cover a retired owner's name",
			before: []claims{{env("acme/a/main", "b.beta.test")}, {}},
			req:    request(env("beta/b/main", "*.beta.test")),
			errs:   []string{`the wildcard "*.beta.test" of beta-b-main covers "b.beta.test" of acme-a-main`},
		},
		{
			reason: "a wildcard may cover a name that is released in the same plan",
			before: []claims{{env("beta/b/main", "b.acme.test")}},
			req:    request(env("acme/a/main", "*.acme.test"), env("beta/b/main")),
			changes: []string{
				"environment acme-a-main: create (new) {} > {node:n1 uid:1003}",
				"hostname *.acme.test: create (declared) {} > {owner:acme-a-main}",
				"hostname b.acme.test: release (undeclared) {owner:beta-b-main} > {}",
			},
		},
	})
}

// Next reports every kind of refusal at once.
func TestAllConflictsAtOnce(t *testing.T) {
	prior := planned(t, claims{env("acme/a/main", "a.test"), env("beta/b/main", "*.beta.test")})
	req := with(request(
		env("acme/a/main", "a.test", "new.test", "n1.host.test"),
		env("beta/b/main", "*.beta.test", "a.test", "new.test"),
		env("cond/c/main", "c.beta.test"),
	), [3]string{"x.test", "z", "z"})
	req.UIDs.Max = 1003
	req.NodeNames = map[string]string{"n1.host.test": "n1"}
	req.Moved = []state.Moved{{From: "missing", To: "acme-a-main"}, {From: "?", To: "acme-a-main"}}
	clash := env("cond/c/other")
	clash.UserName = "acme-a-main"
	req.Claims = append(claims{clash}, req.Claims...)
	_, err := prior.Next(req)
	seen := map[string]bool{}
	for _, text := range problems(t, err) {
		seen[refusalOf(text)] = true
	}
	for kind := range refusals {
		if !seen[kind] {
			t.Errorf("no %s in %v", kind, err)
		}
	}
	if got := len(problems(t, err)); got != 8 {
		t.Errorf("%d errors: %v", got, err)
	}
}

// Following the hint of a conflict resolves it.
func TestHostnameHint(t *testing.T) {
	main, mainW := env("acme/site/main"), env("acme/site/main", "w.test")
	beta, betaW := env("beta/b/main"), env("beta/b/main", "w.test")
	stanza := `provider.transfers = [ { host = "w.test"; from = "acme-site-main"; to = "beta-b-main"; } ];`
	handOver := [3]string{"w.test", "acme-site-main", "beta-b-main"}
	tests := []struct {
		reason string
		before []claims
		req    state.Request
		hint   []string
		mended state.Request
	}{
		{
			"the owner dropped it: the stanza", []claims{{mainW, beta}},
			request(main, betaW), []string{stanza}, with(request(main, betaW), handOver),
		},
		{
			"the owner declares it: drop it, and the stanza", []claims{{mainW, beta}},
			request(mainW, betaW), []string{"remove it from acme-site-main", stanza}, with(request(main, betaW), handOver),
		},
		{
			"or the claimant drops it", []claims{{mainW, beta}},
			request(mainW, betaW), []string{"remove it from virtualHosts of beta-b-main"}, request(mainW, beta),
		},
		{
			"the owner is retired: the stanza, or prune", []claims{{mainW, beta}, {beta}},
			request(betaW), []string{stanza, "mage state:prune -user=acme-site-main"}, with(request(betaW), handOver),
		},
		{
			"within a project the owner drops it", []claims{{mainW, env("acme/site/x")}},
			request(mainW, env("acme/site/x", "w.test")), []string{"or of acme-site-main: it then moves"}, request(main, env("acme/site/x", "w.test")),
		},
		{
			"two other organisations claim it: one drops it, and the stanza", []claims{{mainW, beta, env("cond/c/main")}},
			request(main, betaW, env("cond/c/main", "w.test")), []string{"remove it from virtualHosts of the others", stanza},
			with(request(main, betaW, env("cond/c/main")), handOver),
		},
		{
			"it has no owner: one claimant drops it", []claims{{main, beta}},
			request(mainW, betaW), []string{"keep it in virtualHosts of one environment"}, request(main, betaW),
		},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			prior := planned(t, tt.before...)
			_, err := prior.Next(tt.req)
			got := problem.Hint(only(t, err))
			for _, part := range tt.hint {
				if !strings.Contains(got, part) {
					t.Errorf("%q does not say %q", got, part)
				}
			}
			next(t, prior, tt.mended)
		})
	}
}

func TestWildcardHint(t *testing.T) {
	prior := planned(t, claims{env("acme/a/main", "*.acme.test")}, claims{})
	req := request(env("beta/b/main", "b.acme.test"))
	_, err := prior.Next(req)
	if got := problem.Hint(only(t, err)); !strings.HasPrefix(got, "acme-a-main left the inputs") || !strings.Contains(got, "mage state:prune -user=acme-a-main") {
		t.Errorf("%q does not say how to free the names of a retired owner", got)
	}
	pruned, _, err := prior.Prune("acme-a-main")
	if err != nil {
		t.Fatal(err)
	}
	next(t, pruned, req)
}
