package nixosnodes_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
)

// A new version of an environment stays only if it works by its own checks.
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

	// A new environment that fails has no version to go back to, and nothing of it runs.
	s.Provider.Add(t, checked("wiki", "broken"))
	s.mage(0, "plan")
	s.pointAll()
	contains(t, s.mage(3, "deploy").Stdout, "failed (health)")
	if now := a.Profile(t, s.user("acme", "wiki")); now != "" {
		t.Errorf("the wiki is at %s", now)
	}
	wiki := s.user("acme", "wiki")
	if state := a.Run(t, "su", wiki, "-c", "XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user show --property=ActiveState --value site.service"); strings.TrimSpace(state) != "inactive" {
		t.Errorf("the wiki's server is %s", state)
	}
	s.Provider.Add(t, checked("wiki", "good"))
	s.mage(0, "plan")
	s.mage(0, "deploy")
	s.serves("http://"+s.host("acme", "wiki")+"/", "good")

}

// A new system stays only if it works by the checks that the node makes itself, also
// when the machine that deploys is gone.
func TestHealthOfSystems(t *testing.T) {
	t.Parallel()
	s := begin(t, "node-a")
	a := s.Node("node-a")
	s.Provider.Add(t, overHTTP("acme", "shop", "the shop"))
	s.mage(0, "plan")
	s.pointAll()
	s.mage(0, "deploy")
	site := "http://" + s.host("acme", "shop") + "/"

	// One whose service dies after it was started, and one whose nginx does not
	// answer at its new port: the node goes back.
	stood := s.standing(a)
	for _, bad := range []struct{ text, says string }{
		{`systemd.services.late = { wantedBy = [ "multi-user.target" ]; script = "sleep 0.5; exit 3"; };`, "unit late.service failed"},
		{`services.nginx.defaultHTTPListenPort = 8088; networking.firewall.allowedTCPPorts = [ 8088 ]; services.nginx.appendHttpConfig = lib.mkBefore "server { listen 8088; server_name canary.hostenv.invalid; return 503; }";`, "nginx does not answer at 127.0.0.1 8088"},
	} {
		s.machine(a, bad.text)
		contains(t, s.mage(1, "deploy", "-env=system").Stdout, "node-a system: ", bad.says)
		s.stands(a, stood)
	}
	s.serves(site, "the shop")

	// begun deploys a system whose switch does not end before /run/let-go exists, and
	// returns once that has begun.
	begun := func(script string) *nixosnode.Process {
		t.Helper()
		s.machine(a, `systemd.services.late = { wantedBy = [ "multi-user.target" ]; script = "while [ ! -e /run/let-go ]; do sleep 0.1; done; `+script+`"; };
    system.activationScripts.hold = "while [ ! -e /run/let-go ]; do sleep 0.1; done";`)
		deploy := s.Operator.Begin(t, "deploy", "-env=system")
		nixosnode.Eventually(t, "the activation", func() error {
			if a.Profile(t, "system") == stood.profile {
				return fmt.Errorf("the new system is not the node's profile yet")
			}
			return nil
		})
		return deploy
	}

	// The operator's processes are killed, and their connections with them, before the
	// activation ends: only the node itself can go back, from a system that fails, and
	// from one that works and that no machine confirms.
	for _, script := range []string{"exit 3", "true"} {
		deploy := begun(script)
		left := a.Profile(t, "system")
		s.Operator.KillAll(t)
		<-deploy.Done()
		a.Run(t, "touch", "/run/let-go")
		nixosnode.Eventually(t, "the node goes back by itself", func() error {
			if now := (standing{a.Profile(t, "system"), a.System(t)}); now != stood {
				return fmt.Errorf("it has %+v, want %+v", now, stood)
			}
			return nil
		})
		s.stands(a, stood)
		s.serves(site, "the shop")
		if log := a.Run(t, "sh", "-c", "cat /var/log/hostenv/activation/*"); !strings.Contains(log, "activating system: "+left+"\n") {
			t.Errorf("it did not activate %s:\n%s", left, log)
		}
		a.Run(t, "rm", "/run/let-go")
	}

	// Only the connections are lost. The operator's program reaches the node over a new
	// one, and the system stays.
	deploy := begun("true # reached again")
	a.Run(t, "sh", "-c", `main=$(systemctl show --property=MainPID --value sshd)
		for p in /proc/[0-9]*; do
			read -r name <$p/comm || continue
			case $name in sshd*) [ "$p" = "/proc/$main" ] || kill -9 "${p#/proc/}" ;; esac
		done 2>/dev/null; true`)
	a.Run(t, "touch", "/run/let-go")
	deploy.Wait(t).Want(t, 0)
	if now := a.Profile(t, "system"); now == stood.profile {
		t.Errorf("the system went back to %s", now)
	}
	s.mage(0, "deploy", "-env=system")
	s.serves(site, "the shop")
	if strings.Contains(a.Run(t, "ls", "/run/hostenv/deploy"), "canary") {
		t.Error("the canary is left")
	}

	// A unit that had failed before does not convict.
	old := func(script string) {
		s.machine(a, `systemd.services.old = { wantedBy = [ "multi-user.target" ]; serviceConfig.Type = "oneshot"; script = "`+script+`"; };`)
		s.mage(0, "deploy", "-env=system")
	}
	old("[ ! -e /run/old-fails ]")
	a.Run(t, "touch", "/run/old-fails")
	if _, err := a.Exec("systemctl", "restart", "old"); err == nil {
		t.Error("the unit works")
	}
	old("[ ! -e /run/old-fails ] # still")
	if err := s.unitIs(a, "old", "failed"); err != nil {
		t.Error(err)
	}
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
