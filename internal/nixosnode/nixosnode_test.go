package nixosnode_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

func TestMain(m *testing.M) { nixosnode.Main(m) }

// up returns a lab with installed nodes of a provider without customers.
func up(t *testing.T, nodes ...string) *nixosnode.Lab {
	t.Helper()
	l := nixosnode.Start(t, nixosnode.Options{Nodes: nodes})
	l.Operator.Mage(t, "state:init").Want(t, 0)
	l.Operator.Mage(t, "plan").Want(t, 0)
	begun := time.Now()
	l.Install(t)
	t.Logf("%d nodes were installed and up after %s", len(nodes), time.Since(begun).Round(time.Millisecond))
	return l
}

// A node behaves like a machine: it keeps its disk, and a reset makes it another
// machine.
func TestNode(t *testing.T) {
	t.Parallel()
	l := up(t, "node-a")
	n := l.Node("node-a")
	ssh := func() error {
		_, err := l.Operator.SSH(n, "deploy", "true")
		return err
	}
	nixosnode.Eventually(t, "ssh to a node", ssh)
	id := func() string { return n.Run(t, "cat", "/proc/sys/kernel/random/boot_id", "/etc/machine-id") }
	machine := id()
	n.Run(t, "sh", "-c", "echo kept >/var/lib/note; echo lost >/run/note")

	for name, again := range map[string]func(){
		"reboot":    func() { n.Reboot(t) },
		"power cut": func() { n.PowerCut(t); n.Start(t); n.WaitUp(t) },
		"a stop":    func() { n.Stop(t); n.Start(t); n.WaitUp(t) },
		"a kill of 1": func() {
			boots := n.Boots()
			n.Run(t, "systemctl", "reboot", "--force", "--force")
			n.WaitReboot(t, boots)
		},
	} {
		boots := n.Boots()
		again()
		if n.Boots() != boots+1 {
			t.Errorf("%s: the node was started %d times", name, n.Boots()-boots)
		}
		if id() != machine {
			t.Errorf("%s replaced the machine", name)
		}
		if out := n.Run(t, "cat", "/var/lib/note"); out != "kept" {
			t.Errorf("%s: /var has %q", name, out)
		}
		if _, err := n.Exec("cat", "/run/note"); err == nil {
			t.Errorf("%s: /run was kept", name)
		}
	}
	nixosnode.Eventually(t, "ssh after all that", ssh)

	n.CutOff(t)
	if conn, err := net.DialTimeout("tcp", n.Address+":22", time.Second); err == nil {
		conn.Close()
		t.Error("a node that is cut off answers")
	}
	n.Reboot(t) // the node stays cut off, but the test still reaches it
	if conn, err := net.DialTimeout("tcp", n.Address+":22", time.Second); err == nil {
		conn.Close()
		t.Error("a node that is cut off answers after a reboot")
	}
	n.Rejoin(t)
	nixosnode.Eventually(t, "ssh after rejoining", ssh)

	n.FillStore(t, 1<<20)
	if _, err := n.Exec("sh", "-c", "head -c 4194304 /dev/zero >/nix/file"); err == nil || !strings.Contains(err.Error(), "No space left") {
		t.Errorf("the store takes 4 MiB with 1 MiB free: %v", err)
	}
	n.FreeStore(t)
	n.Run(t, "sh", "-c", "head -c 4194304 /dev/zero >/nix/file")

	n.Reset(t)
	if n.On() {
		t.Error("a new machine is on")
	}
	l.Install(t, n)
	if id() == machine {
		t.Error("the node is the same machine after a reset")
	}
	if _, err := n.Exec("cat", "/var/lib/note"); err == nil {
		t.Error("the node has its old disk after a reset")
	}
	nixosnode.Eventually(t, "ssh to the new machine, by the same host key", ssh)
}

// Secrets reach their owner, and the store does not have them.
func TestSecrets(t *testing.T) {
	t.Parallel()
	l := nixosnode.Start(t, nixosnode.Options{Nodes: []string{"node-a"}})
	n := l.Node("node-a")
	l.Provider.Secrets(t, map[string]map[string]string{"acme": {"backups_secret": "the passphrase of acme", "backups_env": "KEY=1\n"}})
	l.Provider.Add(t, nixosnode.Customer{Organisation: "acme", Project: "shop", Environments: map[string]nixosnode.Environment{
		"main": {Type: "production", Hostenv: map[string]any{"backupsRepoHost": "s3:https://s3.example.com"}},
	}})
	l.Operator.Mage(t, "state:init").Want(t, 0)
	l.Operator.Mage(t, "plan").Want(t, 0)
	// The lab has no CA. The names have no addresses, so no node orders a certificate.
	if r := l.Operator.Mage(t, "dnsGate", "-allowFlips").Want(t, 0); !strings.Contains(r.Stdout, "nxdomain") {
		t.Errorf("the gate has not seen that the names have no addresses: %s", r)
	}
	l.Install(t)
	user := l.Provider.User(t, "acme", "shop", "main")
	file := "/run/secrets/" + user + "/backups_secret"
	if out := n.Run(t, "cat", file); out != "the passphrase of acme" {
		t.Errorf("the secret is %q", out)
	}
	if out := n.Run(t, "stat", "-L", "-c", "%U %G %a", file); out != user+" "+user+" 400" {
		t.Errorf("%s is %s", file, out)
	}
	if out, err := n.Exec("grep", "-rl", "the passphrase of acme", "/nix/store"); err == nil {
		t.Errorf("the secret is in the store: %s", out)
	}
}

// Two labs do not see each other. The tests of magefiles/targets/nixosnodes show
// that names and certificates work within a lab.
func TestLabsAreIsolated(t *testing.T) {
	t.Parallel()
	testenv.Need(t, "nixos-nodes")
	a := nixosnode.Start(t, nixosnode.Options{Nodes: []string{"node-a"}})
	b := nixosnode.Start(t, nixosnode.Options{Nodes: []string{"node-a"}})
	ask := func(l *nixosnode.Lab, name string) string {
		resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, l.Resolver()+":53")
		}}
		addresses, _ := resolver.LookupHost(t.Context(), name)
		return strings.Join(addresses, " ")
	}
	for _, l := range []*nixosnode.Lab{a, b} {
		if got := ask(l, l.Nodes[0].PublicName); got != l.Nodes[0].Address {
			t.Errorf("%s leads to %q, want %s", l.Nodes[0].PublicName, got, l.Nodes[0].Address)
		}
	}
	a.DNS.Set("www.example.org", "192.4.99.1")
	if got := ask(b, "www.example.org"); got != "" {
		t.Errorf("another lab also resolves the name: %s", got)
	}
}
