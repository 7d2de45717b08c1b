package nixosnodes_test

import (
	"fmt"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
)

// Activations that hang are ended by the node, with every process of theirs, and it goes
// back. The other environments are deployed.
func TestHangs(t *testing.T) {
	t.Parallel()
	s := begin(t, "node-a")
	a := s.Node("node-a")
	s.Provider.Set(t, "activationTimeout", `{ system = 300; environments."acme__shop/main" = 30; }`)
	blog, shop := overHTTP("acme", "blog", ""), overHTTP("acme", "shop", "")
	s.Provider.Add(t, blog, shop)
	s.mage(0, "plan")
	s.pointAll()
	s.mage(0, "deploy")
	user := s.user("acme", "shop")
	before := a.Profile(t, user)

	// A process that leaves the process group, and the parent that started it, stays in
	// the scope of the activation, which systemd would end in the end.
	const stray, reload = "the-stray-of-the-shop", "systemctl --user daemon-reload\n"
	hang := `(set -m; ("$BASH" -c 'trap "" TERM HUP; while :; do sleep 1; done' ` + stray + ` >/dev/null 2>&1 &))` + "\nsleep 1000\n"
	s.changeShop(reload, hang+reload)
	blog.Content = "the new blog"
	s.Provider.Add(t, blog)
	s.mage(0, "plan")
	deploy := s.Operator.Begin(t, "deploy")
	nixosnode.Eventually(t, "the scope of the activation", func() error {
		if _, err := a.Exec("pgrep", "-u", user, "-f", stray); err != nil {
			return err
		}
		limits, err := a.Exec("sh", "-c", "systemctl show --property=RuntimeMaxUSec --value 'hostenv-sudo-*.scope'")
		if err != nil || limits != "2h 10min" && limits != "2h 10min\n\n2h 10min" {
			return fmt.Errorf("the limits of the scopes are %q, %v", limits, err)
		}
		return nil
	})
	run := deploy.Wait(t).Want(t, 3)
	contains(t, run.Stdout, "failed (timeout)", "node-a "+user+": its activation took longer than 30 seconds, and the node ended it\n", "hint: the customer must find out what it waited for")
	if out, err := a.Exec("pgrep", "-u", user, "-f", stray); err == nil {
		t.Errorf("the activation's processes still run: %s", out)
	}
	if now := a.Profile(t, user); now != before {
		t.Errorf("the shop is at %s, want %s as before", now, before)
	}
	s.serves("http://"+s.host("acme", "shop")+"/", "acme__shop")
	s.serves("http://"+s.host("acme", "blog")+"/", "the new blog")

	// A unit of the system hangs: systemd has no limit for its start.
	s.changeShop(hang, "")
	s.mage(0, "plan")
	s.mage(0, "deploy")
	was := s.standing(a)
	s.machine(a, `systemd.services.slow = {
      wantedBy = [ "multi-user.target" ];
      serviceConfig.Type = "oneshot";
      script = "sleep 100000";
    };`)
	run = s.mage(3, "deploy")
	contains(t, run.Stdout, "node-a system: its activation took longer than 300 seconds, and the node ended it; it waited for slow.service\n", "hint: find out what it waited for")
	s.stands(a, was)
	if out, err := a.Exec("systemctl", "is-active", "slow"); err == nil || out == "activating" {
		t.Errorf("the unit is %s", out)
	}
}
