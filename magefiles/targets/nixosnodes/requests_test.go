package nixosnodes_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
)

// nextNginx is an nginx that differs from nixpkgs': another program at another
// path. Its build ends with this shell text.
func nextNginx(more string) string {
	return `{ pkgs, ... }: {
  services.nginx.package = pkgs.stdenv.mkDerivation {
    pname = "nginx";
    version = "1.26.99";
    passthru = { version = "1.26.99"; modules = [ ]; };
    buildCommand = ''
      cp -r --no-preserve=mode ${pkgs.nginx} $out
      chmod +x $out/bin/nginx
      ` + more + `
    '';
  };
}
`
}

// Sites lose no requests while other things change: customers, names,
// certificates, limits, and nginx itself.
func TestNoRequestIsLost(t *testing.T) {
	t.Parallel()
	s := begin(t, "node-a")
	n := s.Node("node-a")
	// Each has a name of its own, for which nginx passes WebSockets.
	site := func(organisation, project string, encrypted bool) nixosnode.Customer {
		hash := fmt.Sprintf("%x", sha256.Sum256([]byte(organisation+"-"+project+"-main\n")))
		user := project + "-main-" + hash[:7]
		host := map[string]any{"enableLetsEncrypt": encrypted, "locations": map[string]any{
			"/ws": map[string]any{"proxyPass": "http://" + user + "_upstream", "recommendedProxySettings": true, "proxyWebsockets": true},
		}}
		return nixosnode.Customer{Organisation: organisation, Project: project, Environments: map[string]nixosnode.Environment{
			"main": {Type: "production", VirtualHosts: map[string]any{project + ".example.com": host}},
		}}
	}
	s.Provider.Set(t, "frontDoor", `{ raw = [ "acme" "beta" "gamma" ]; }`)
	s.Provider.Add(t, site("acme", "shop", true), site("beta", "portal", false))
	// update deploys what the provider has, after it has set DNS.
	update := func() {
		t.Helper()
		s.mage(0, "plan")
		s.pointAll()
		s.mage(0, "dnsGate")
		s.mage(0, "deploy")
	}
	update()
	const shop, portal = "https://shop.example.com", "http://portal.example.com"
	s.serves(shop, "acme__shop")
	s.serves(portal, "beta__portal")
	acme, beta := s.user("acme", "shop"), s.user("beta", "portal")

	nginx := func(property string) string { t.Helper(); return n.Unit(t, "nginx", property) }
	program := func() string { t.Helper(); return n.Run(t, "readlink", "/proc/"+nginx("MainPID")+"/exe") }
	manager := func(user string) string {
		t.Helper()
		return n.Unit(t, "user@"+n.Run(t, "id", "-u", user), "InvocationID")
	}
	pid, invocation, first := nginx("MainPID"), nginx("InvocationID"), program()
	managers := [2]string{manager(acme), manager(beta)}
	reloaded := func(what string) {
		t.Helper()
		if now := nginx("MainPID"); now != pid {
			t.Errorf("%s replaced nginx: its master is %s, want %s as before", what, now, pid)
		}
	}
	l := s.load(n, shop, portal)

	l.during("a new customer", func() {
		s.Provider.Add(t, site("gamma", "blog", true))
		update()
		s.serves("https://blog.example.com", "gamma__blog")
	})
	reloaded("a new customer")
	gamma := s.user("gamma", "blog")

	l.during("a new name, its certificate, and other limits", func() {
		blog := site("gamma", "blog", true)
		blog.Environments["main"].VirtualHosts["www.blog.example.com"] = map[string]any{}
		s.Provider.Add(t, blog)
		s.Provider.Set(t, "limits", `{ cpuQuota = "150%"; organisations.acme.memoryMax = "6G"; }`)
		s.Provider.Commit(t)
		update()
		s.serves("https://www.blog.example.com", "gamma__blog")
	})
	reloaded("a new name")

	// The site of an environment that is down answers with an error. Others go on.
	l.during("an environment that is down", func() {
		socket := "/run/hostenv/nginx/" + gamma + "/in.sock"
		n.Run(t, "mv", socket, socket+".away")
		code, _, err := s.get("https://blog.example.com")
		if err != nil || code != 502 {
			t.Errorf("a site that is down answers %d, %v", code, err)
		}
		n.Run(t, "mv", socket+".away", socket)
		s.serves("https://blog.example.com", "gamma__blog")
	})

	// old returns the processes of an nginx that still take requests.
	old := func(program string) error {
		serving := n.Run(t, "sh", "-c", `for exe in /proc/[0-9]*/exe; do
  [ "$(readlink $exe)" != "$1" ] || tr '\0' '\n' <${exe%exe}cmdline | grep '^nginx' | grep -v 'is shutting down' || true
done`, "sh", program)
		if serving != "" {
			return errors.New(serving)
		}
		return nil
	}
	l.during("another nginx", func() {
		s.Provider.Module(t, "nginx", nextNginx("echo next >>$out/bin/nginx"))
		s.Provider.Commit(t)
		s.mage(0, "deploy")
	})
	second := program()
	if second == first || nginx("MainPID") == pid {
		t.Errorf("nginx is still %s", second)
	}
	if err := old(first); err != nil {
		t.Errorf("the old nginx is not finishing:\n%v", err)
	}
	pid = nginx("MainPID")

	// If a new nginx does not start, the node stays as it is and the deploy reports why.
	l.during("an nginx that does not start", func() {
		system := n.System(t)
		s.Provider.Module(t, "nginx", nextNginx(`printf '#!${pkgs.runtimeShell}\nfor a; do [ "$a" != -t ] || exit 0; done\nexit 1\n' >$out/bin/nginx`))
		s.Provider.Commit(t)
		failed := s.mage(1, "deploy", "-env=system")
		_, log, _ := strings.Cut(failed.Stdout+failed.Stderr, "log: ")
		log, _, _ = strings.Cut(log, "\n")
		contains(t, s.Provider.Read(t, log), "nginx-config-reload.service", "did not start: "+second+" continues")
		if now := n.System(t); now != system {
			t.Errorf("the system is %s, want %s as before", now, system)
		}
	})
	if now := program(); now != second {
		t.Errorf("nginx is %s, want %s as before", now, second)
	}
	reloaded("an nginx that does not start")

	l.during("a customer that leaves, and the old nginx", func() {
		s.Provider.Module(t, "nginx", "")
		s.Provider.Remove(t, "gamma", "blog")
		update()
	})
	if now := program(); now != first {
		t.Errorf("nginx is %s, want %s again", now, first)
	}
	if _, err := n.Exec("id", gamma); err == nil {
		t.Errorf("the customer's user is still there")
	}

	// New settings of the unit need a restart by hand, which the status reports.
	const older = "nginx runs with older settings than its unit has now"
	if status := s.mage(0, "status").Stderr; strings.Contains(status, older) {
		t.Errorf("nginx runs with the current settings of its unit, but status reports older ones: %s", status)
	}
	n.Run(t, "sh", "-c", "echo LimitNOFILE=1 >>/run/hostenv/nginx-unit")
	contains(t, s.mage(0, "status").Stderr, older, "systemctl restart nginx")

	// Roll back on the node itself, as an operator can do there.
	l.during("a roll-back on the node", func() {
		profile := "/nix/var/nix/profiles/system"
		n.Run(t, "nix-env", "-p", profile, "--rollback")
		n.Run(t, profile+"/bin/switch-to-configuration", "switch")
	})
	if now := program(); now != second {
		t.Errorf("after the roll-back nginx is %s, want %s", now, second)
	}

	if now := nginx("InvocationID"); now != invocation {
		t.Errorf("nginx was restarted")
	}
	if now := [2]string{manager(acme), manager(beta)}; now != managers {
		t.Errorf("user managers were restarted: %v, before %v", now, managers)
	}
	if failed := n.Run(t, "systemctl", "--failed", "--no-legend", "--plain"); failed != "" {
		t.Errorf("units failed: %s", failed)
	}
	l.end()
	// The old nginx ends with its requests, and its files go with it.
	nixosnode.Eventually(t, "the end of older processes", func() error {
		if all := n.Run(t, "sh", "-c", "tr '\\0' '\\n' </proc/*/cmdline 2>/dev/null | grep '^nginx.*is shutting down' || true"); all != "" {
			return errors.New(all)
		}
		return nil
	})
	if strings.Contains(n.Run(t, "journalctl", "--unit=nginx", "--no-pager", "--output=cat"), "not our child") {
		t.Errorf("systemd does not have nginx's master as its child")
	}
}
