package nixosnodes_test

import (
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
)

// From an empty provider to two customers on two nodes, then a change, then the
// way back.
func TestFirstDeploy(t *testing.T) {
	t.Parallel()
	s := begin(t, "node-a", "node-b")
	a, b := s.Node("node-a"), s.Node("node-b")
	s.Provider.Set(t, "placement", `{ beta = "node-b"; }`)
	shop := nixosnode.Customer{Organisation: "acme", Project: "shop", Content: "welcome to the shop"}
	s.Provider.Add(t, shop, nixosnode.Customer{Organisation: "beta", Project: "portal"})

	s.mage(0, "plan")
	s.pointAll()
	s.mage(0, "dnsGate")
	empty := map[*nixosnode.Node]string{a: a.System(t), b: b.System(t)}
	s.mage(0, "deploy")

	for _, n := range s.Nodes {
		if n.System(t) == empty[n] || n.Profile(t, "system") == empty[n] {
			t.Errorf("%s still has the system that it was installed with", n.Name)
		}
		if failed := n.Run(t, "systemctl", "--failed", "--no-legend", "--plain"); failed != "" {
			t.Errorf("units failed on %s: %s", n.Name, failed)
		}
	}
	acme, beta := s.user("acme", "shop"), s.user("beta", "portal")
	for _, e := range []struct {
		node          *nixosnode.Node
		user, another string
	}{{a, acme, beta}, {b, beta, acme}} {
		passwd := e.node.Run(t, "getent", "passwd", e.user)
		contains(t, passwd, "/home/"+e.user)
		if _, err := e.node.Exec("getent", "passwd", e.another); err == nil {
			t.Errorf("%s has the user %s of another node", e.node.Name, e.another)
		}
		if e.node.Profile(t, e.user) == "" {
			t.Errorf("%s has no profile of %s", e.node.Name, e.user)
		}
		uid := strings.Split(passwd, ":")[2]
		if state := e.node.Unit(t, "user@"+uid, "ActiveState"); state != "active" {
			t.Errorf("the user manager of %s is %s", e.user, state)
		}
	}
	s.serves("https://"+s.host("acme", "shop")+"/", "welcome to the shop")
	s.serves("https://"+s.host("beta", "portal")+"/", "beta__portal")

	// A change of one customer touches neither the other node nor nginx.
	before := a.Profile(t, acme)
	pids := [2]string{a.Unit(t, "nginx", "MainPID"), b.Unit(t, "nginx", "MainPID")}
	systems := [2]string{a.System(t), b.System(t)}
	shop.Content = "the new shop"
	s.Provider.Add(t, shop)
	s.mage(0, "plan")
	s.mage(0, "deploy")
	s.serves("https://"+s.host("acme", "shop")+"/", "the new shop")
	s.serves("https://"+s.host("beta", "portal")+"/", "beta__portal")
	if now := [2]string{a.System(t), b.System(t)}; now != systems {
		t.Errorf("an environment's content changed systems: %v, before %v", now, systems)
	}
	if now := [2]string{a.Unit(t, "nginx", "MainPID"), b.Unit(t, "nginx", "MainPID")}; now != pids {
		t.Errorf("nginx was restarted: %v, before %v", now, pids)
	}
	contains(t, s.mage(0, "status").Stdout, acme, beta)

	// The way back uses the history of the repository.
	s.Operator.Run(t, "git", "commit", "--quiet", "--all", "--message", "the new shop's plan")
	shop.Content = "welcome to the shop"
	s.Provider.Add(t, shop)
	s.mage(0, "plan")
	s.mage(0, "deploy")
	s.serves("https://"+s.host("acme", "shop")+"/", "welcome to the shop")
	if now := a.Profile(t, acme); now != before {
		t.Errorf("the profile of %s is %s, want %s, which had the same content", acme, now, before)
	}

	// A node keeps its profiles over a reboot.
	a.Reboot(t)
	s.serves("https://"+s.host("acme", "shop")+"/", "welcome to the shop")
}
