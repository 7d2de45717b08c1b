package nixosnodes_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
)

// After a failure a node is up and runs what it ran before. The deploy reports the
// name and the last output of what failed. The other node and the other
// environments are deployed.
func TestFailures(t *testing.T) {
	t.Parallel()
	s := begin(t, "node-a", "node-b")
	a, b := s.Node("node-a"), s.Node("node-b")
	s.Provider.Set(t, "placement", `{ beta = "node-b"; }`)
	blog, shop := overHTTP("acme", "blog", ""), overHTTP("acme", "shop", "")
	s.Provider.Add(t, blog, shop, overHTTP("beta", "portal", ""))
	s.mage(0, "plan")
	s.pointAll()

	// A unit fails in a node's first deploy. deploy-rs did not install the first
	// system, so it cannot go back to it.
	was := s.standing(a)
	s.machine(a, `systemd.services.ledger = {
      wantedBy = [ "multi-user.target" ];
      serviceConfig.Type = "oneshot";
      script = "printf 'the ledger is \\033[31mnot there\\n'; exit 3";
    };`)
	run := s.mage(3, "deploy")
	contains(t, run.Stdout, "node-a system: unit ledger.service failed\n", "| ledger.service: the ledger is [31mnot there", "hint: fix the unit")
	without(t, run, "\x1b", "deploy-rs failed to activate")
	s.shows("deploy.md", run)
	s.stands(a, was)
	if a.Profile(t, s.user("acme", "shop")) != "" {
		t.Error("an environment was activated though the system failed")
	}
	s.serves("http://"+s.host("beta", "portal")+"/", "beta__portal")

	s.machine(a, "")
	s.mage(0, "deploy")
	s.serves("http://"+s.host("acme", "shop")+"/", "acme__shop")

	// The activation of one system fails. Another system moves sshd away: the node
	// goes back when no new connection comes, and deploy-rs panics.
	was, wasB := s.standing(a), s.standing(b)
	s.machine(a, `system.activationScripts.ledger = "echo 'the ledger is lost'; false";`)
	s.machine(b, `hostenv.ssh.ports = [ 2222 ];`)
	run = s.mage(3, "deploy")
	contains(t, run.Stdout, "node-a system: its activation ended with exit status 2\n", "| the ledger is lost",
		"node-b system: it started, but no new connection reached the node, so the node went back by itself\n", "hint: check what the new system changes in sshd")
	s.stands(a, was)
	s.stands(b, wasB)
	if _, err := s.Operator.SSH(b, "deploy", "true"); err != nil {
		t.Errorf("node-b cannot be reached: %v", err)
	}

	// Two systems are refused before they change anything. One has another interface
	// of init, for which NixOS wants a restart. The other cannot install its boot
	// loader, as with a full /boot.
	pids := [2]string{a.Unit(t, "nginx", "MainPID"), b.Unit(t, "nginx", "MainPID")}
	s.machine(a, `system.systemBuilderCommands = "echo another >$out/init-interface-version";`)
	s.machine(b, `system.build.installBootLoader = lib.mkForce (pkgs.writeShellScript "full" "echo 'cannot write /boot/kernel: No space left on device' >&2; exit 1");`)
	run = s.mage(3, "deploy")
	contains(t, run.Stdout, "node-a system: its activation ended with exit status 100\n", "take effect until you reboot",
		"node-b system: its activation ended with exit status 1\n", "| cannot write /boot/kernel: No space left on device")
	s.stands(a, was)
	s.stands(b, wasB)
	if now := [2]string{a.Unit(t, "nginx", "MainPID"), b.Unit(t, "nginx", "MainPID")}; now != pids {
		t.Errorf("nginx was restarted: %v, before %v", now, pids)
	}

	// A node with a full store is left out. The other node restarts in the middle of a
	// switch.
	s.machine(a, `systemd.services.slow = {
      wantedBy = [ "multi-user.target" ];
      serviceConfig.Type = "oneshot";
      script = "while [ -e /run/hold ]; do sleep 0.1; done";
    };`)
	a.Run(t, "touch", "/run/hold")
	b.FillStore(t, 0)
	deploy := s.Operator.Begin(t, "deploy")
	nixosnode.Eventually(t, "the slow unit", func() error { return s.unitIs(a, "slow", "activating") })
	slow := a.System(t)
	boots := a.Boots()
	a.Run(t, "systemctl", "reboot", "--no-block")
	a.WaitReboot(t, boots)
	run = deploy.Wait(t)
	t.Logf("mage deploy, over a restart, took %s", run.Took)
	if run.Code != 1 && run.Code != 3 {
		t.Errorf("it ended with %s", run)
	}
	contains(t, run.Stdout, "node-a system: its activation was cut off", "node-b system: ", "node node-b has too little room in /nix/store")
	s.stands(a, was)
	s.stands(b, wasB)

	// A store fills up before every path is copied. Meanwhile node-a runs a system
	// that is not its profile's, as after a choice in the boot menu, and a customer
	// breaks one of two environments.
	a.Run(t, slow+"/bin/switch-to-configuration", "test")
	contains(t, s.mage(2, "status").Stdout, "the node runs another system")
	s.machine(a, "")
	s.machine(b, `environment.etc.ballast.source = pkgs.runCommand "ballast" { } "head -c 32M /dev/zero >$out";`)
	b.FillStore(t, 16<<20)
	blog.Content = "the new blog"
	s.Provider.Add(t, blog)
	s.breakShop()
	s.mage(0, "plan")
	user := s.user("acme", "shop")
	before := a.Profile(t, user)
	run = s.mage(3, "deploy")
	contains(t, run.Stdout, "node-a "+user+": unit site.service failed\n", "| site.service: ", "/nowhere/content.txt", "hint: the customer must fix it",
		"node-b system: ", "node node-b has too little room in /nix/store")
	if now := a.Profile(t, user); now != before {
		t.Errorf("the shop is at %s, want %s as before", now, before)
	}
	s.serves("http://"+s.host("acme", "shop")+"/", "acme__shop")
	s.serves("http://"+s.host("acme", "blog")+"/", "the new blog")
	s.stands(a, was)
	s.stands(b, wasB)

	// Everything is repaired.
	b.FreeStore(t)
	shop.Content = "the new shop"
	s.Provider.Add(t, shop)
	s.mage(0, "plan")
	s.mage(0, "deploy")
	s.serves("http://"+s.host("acme", "shop")+"/", "the new shop")
	if b.Run(t, "stat", "-Lc", "%s", "/etc/ballast") != "33554432" {
		t.Error("node-b has no ballast")
	}
}

// overHTTP returns a customer whose site needs no certificate.
func overHTTP(organisation, project, content string) nixosnode.Customer {
	hash := sha256.Sum256([]byte(organisation + "-" + project + "-main\n"))
	host := fmt.Sprintf("%s-main-%.7s.%s", project, hex.EncodeToString(hash[:]), nixosnode.Domain)
	return nixosnode.Customer{Organisation: organisation, Project: project, Content: content, Environments: map[string]nixosnode.Environment{
		"main": {Type: "production", VirtualHosts: map[string]any{host: map[string]any{"enableLetsEncrypt": false}}}}}
}

// machine writes a node's configuration again, with this Nix text in it.
func (s *labTest) machine(n *nixosnode.Node, text string) {
	s.t.Helper()
	s.Provider.Write(s.t, "nodes/"+n.Name+"/configuration.nix", "{ inputs, lib, pkgs, ... }: {\n  imports = [ inputs.nixpkgs.nixosModules.machine ];\n  config = {\n    "+text+"\n  };\n}\n")
	s.Operator.Run(s.t, "git", "commit", "--quiet", "--all", "--allow-empty", "--message", "change "+n.Name)
}

// breakShop gives acme's shop a web server that does not start.
func (s *labTest) breakShop() {
	s.t.Helper()
	s.changeShop("-content @out@/share/content.txt", "-content /nowhere/content.txt")
}

// changeShop replaces a text in the activation of the shop.
func (s *labTest) changeShop(old, with string) {
	s.t.Helper()
	const file = "/srv/acme-shop/.hostenv/activate.sh"
	script, err := os.ReadFile(s.Operator.Path(file))
	if err != nil {
		s.t.Fatal(err)
	}
	changed := strings.Replace(string(script), old, with, 1)
	if changed == string(script) {
		s.t.Fatalf("%s has no text to replace:\n%s", file, script)
	}
	s.Operator.Write(s.t, file, changed)
	s.Operator.Run(s.t, "git", "-C", "/srv/acme-shop", "commit", "--quiet", "--all", "--message", "another web server")
	s.Operator.Run(s.t, "nix", "flake", "update", "acme__shop")
	s.Operator.Run(s.t, "git", "commit", "--quiet", "--all", "--message", "the shop's new web server")
}

// A standing is the state of a node: what it has and what it runs.
type standing struct{ profile, running string }

func (s *labTest) standing(n *nixosnode.Node) standing {
	s.t.Helper()
	return standing{n.Profile(s.t, "system"), n.System(s.t)}
}

// stands checks that a node has and runs what it did before, and is up.
func (s *labTest) stands(n *nixosnode.Node, want standing) {
	s.t.Helper()
	if got := s.standing(n); got != want {
		s.t.Errorf("%s has %+v, want %+v as before", n.Name, got, want)
	}
	n.WaitUp(s.t)
}

// without checks that the output has none of these texts.
func without(t testing.TB, r nixosnode.Result, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(r.Stdout+r.Stderr, part) {
			t.Errorf("found %q in\n%s", part, r)
		}
	}
}

// unitIs returns an error unless a unit is in this state.
func (s *labTest) unitIs(n *nixosnode.Node, unit, state string) error {
	got, err := n.Exec("systemctl", "show", "--value", "--property=ActiveState", unit)
	if err == nil && got != state {
		err = fmt.Errorf("%s is %s, not yet %s", unit, got, state)
	}
	return err
}
