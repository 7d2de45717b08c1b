package nixosnodes_test

import (
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
)

// A new version stays only if it works: an environment by its own checks, a system by
// those that the node makes itself.
func TestHealth(t *testing.T) {
	t.Parallel()
	s := begin(t, "node-a")
	a := s.Node("node-a")
	shop, blog := checked("shop", "good 1"), overHTTP("acme", "blog", "")
	s.Provider.Add(t, shop, blog)
	s.mage(0, "plan")
	s.pointAll()
	s.mage(0, "deploy")
	user, site := s.user("acme", "shop"), "http://"+s.host("acme", "shop")+"/"
	s.serves(site, "good 1")
	publish := func(content string) {
		t.Helper()
		shop.Content = content
		s.Provider.Add(t, shop)
		s.mage(0, "plan")
	}

	// An environment that fails goes back, and another one is deployed.
	was := a.Profile(t, user)
	blog.Content = "the new blog"
	s.Provider.Add(t, blog)
	publish("broken 2")
	run := s.mage(3, "deploy")
	contains(t, run.Stdout, "failed (health)", "hint: the customer must fix it", "back at the version before: works: 1 checks passed")
	s.shows("deploy-verification.md", run)
	if now := a.Profile(t, user); now != was {
		t.Errorf("the shop is at %s, want %s as before", now, was)
	}
	s.serves(site, "good 1")
	s.serves("http://"+s.host("acme", "blog")+"/", "the new blog")

	// The operator looks at it.
	s.mage(3, "deploy", "-keep")
	s.serves(site, "broken 2")

	// It failed before, and so does not convict the next version.
	publish("broken 3")
	contains(t, s.mage(0, "deploy").Stdout, "active, does not work, as before")
	s.serves(site, "broken 3")
	publish("good 4")
	s.mage(0, "deploy")
	s.serves(site, "good 4")

	// A new environment that fails has no version to go back to.
	s.Provider.Add(t, checked("wiki", "broken"))
	s.mage(0, "plan")
	s.pointAll()
	contains(t, s.mage(3, "deploy").Stdout, "failed (health)")
	if now := a.Profile(t, s.user("acme", "wiki")); now != "" {
		t.Errorf("the wiki is at %s", now)
	}
	s.Provider.Add(t, checked("wiki", "good"))
	s.mage(0, "plan")
	s.mage(0, "deploy")
	s.serves("http://"+s.host("acme", "wiki")+"/", "good")

	// The service of a system dies after it was started: the node goes back.
	stood := s.standing(a)
	s.machine(a, `systemd.services.late = { wantedBy = [ "multi-user.target" ]; script = "sleep 0.5; exit 3"; };`)
	contains(t, s.mage(1, "deploy", "-env=system").Stdout, "node-a system: ", "unit late.service failed")
	s.stands(a, stood)
	s.serves(site, "good 4")
}

// checked returns a customer whose site must say "good".
func checked(project, content string) nixosnode.Customer {
	c := overHTTP("acme", project, content)
	main := c.Environments["main"]
	main.Verification = map[string]any{"enable": true, "enforce": true, "checks": []any{map[string]any{
		"name": "homepage", "request": map[string]any{"path": "/"},
		"constraints": []any{map[string]any{"rule": "stdoutRegexMustMatch", "value": "^good"}},
	}}}
	c.Environments["main"] = main
	return c
}
