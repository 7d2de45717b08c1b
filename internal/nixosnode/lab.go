package nixosnode

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// Domain is provider.hostenvHostname in every lab. It is below a public top-level
// domain, and the addresses are public, because others get no certificates.
const Domain = "hosting.example.net"

// MaxLabs is the number of labs that can exist at a time, and MaxNodes the
// number of nodes that a lab can have.
const (
	MaxLabs  = 8
	MaxNodes = 8
)

// Options describe a lab.
type Options struct {
	Nodes []string // their names; nil is node-a and node-b
}

// A Lab is an operator, the nodes, and the network between them.
type Lab struct {
	Operator *Operator
	Provider *Provider
	Nodes    []*Node
	DNS      *DNS

	t      testing.TB
	made   *made
	base   base
	number int
	dir    string
	acme   *Pebble
	others int // machines that are no nodes
}

// free are the numbers of labs that are not in use.
var free = func() chan int {
	numbers := make(chan int, MaxLabs)
	for i := range MaxLabs {
		numbers <- i
	}
	return numbers
}()

var theBase struct {
	sync.Once
	base
	err error
}

// Start makes a lab, which ends with the test. Its nodes have no system yet: see
// [Lab.Install]. Tests that each have a lab can run in parallel. Start skips the
// test if the machine lacks what nodes need: see [testenv.Need].
func Start(t testing.TB, options Options) *Lab {
	t.Helper()
	testenv.Need(t, "nixos-nodes")
	m := inside()
	if m == nil {
		t.Fatal("the tests of this package must be run by nixosnode.Main")
	}
	theBase.Do(func() { theBase.base, theBase.err = baseOf(context.Background(), m, m.fillBase) })
	if theBase.err != nil {
		t.Fatal(theBase.err)
	}
	l, end, err := newLab(m, theBase.base, options)
	if err != nil {
		t.Fatalf("start a lab: %v", err)
	}
	l.t = t
	t.Cleanup(func() {
		if t.Failed() {
			l.logConsoles(t)
			l.logRuns(t)
		}
		if err := end(); err != nil {
			t.Errorf("end a lab: %v", err)
		}
	})
	return l
}

func newLab(m *made, b base, options Options) (l *Lab, end func() error, err error) {
	if options.Nodes == nil {
		options.Nodes = []string{"node-a", "node-b"}
	}
	if len(options.Nodes) > MaxNodes {
		return nil, nil, fmt.Errorf("a lab has up to %d nodes, not %d", MaxNodes, len(options.Nodes))
	}
	var undo []func() error
	end = func() error {
		var errs []error
		for i := len(undo) - 1; i >= 0; i-- {
			errs = append(errs, undo[i]())
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, end())
		}
	}()
	l = &Lab{made: m, base: b, number: <-free}
	undo = append(undo, func() error { free <- l.number; return nil })
	l.dir = filepath.Join(rootDir, fmt.Sprintf("lab-%d", l.number))
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return nil, nil, err
	}
	undo = append(undo, func() error { return removeAll(l.dir) })

	if err := l.network(); err != nil {
		return nil, nil, err
	}
	undo = append(undo, func() error { return ip("link del %s", l.bridge()) })
	if l.DNS, err = newDNS(l.gateway()); err != nil {
		return nil, nil, err
	}
	undo = append(undo, l.DNS.close)

	if l.Operator, err = newOperator(l); err != nil {
		return nil, nil, err
	}
	undo = append(undo, l.Operator.close)
	undo = append(undo, func() error { return l.acme.close() })
	for i, name := range options.Nodes {
		n, err := newNode(l, name, i)
		if err != nil {
			return nil, nil, err
		}
		undo = append(undo, n.close)
		l.Nodes = append(l.Nodes, n)
		l.DNS.Set(n.PublicName, n.Address)
	}
	l.Provider, err = newProvider(l)
	return l, end, err
}

// The network of a lab is a bridge of its own, on which the operator's machine
// has the first address. It leads to no other network.
func (l *Lab) bridge() string          { return fmt.Sprintf("lab%d", l.number) }
func (l *Lab) address(host int) string { return fmt.Sprintf("192.4.%d.%d", l.number, host) }
func (l *Lab) gateway() string         { return l.address(1) }

// Resolver is the address of the lab's [DNS], which the resolv.conf of the
// operator and of the nodes names.
func (l *Lab) Resolver() string { return l.gateway() }

func (l *Lab) network() error {
	return errors.Join(
		ip("link add %s type bridge", l.bridge()),
		ip("addr add %s/24 dev %s", l.gateway(), l.bridge()),
		ip("link set %s up", l.bridge()),
	)
}

// Node returns the node of a name.
func (l *Lab) Node(name string) *Node {
	for _, n := range l.Nodes {
		if n.Name == name {
			return n
		}
	}
	panic(fmt.Sprintf("the lab has no node %s", name))
}

// Client returns a client for requests by name to the nodes' web servers, each
// on a new connection. It trusts the certificates of the lab's [Pebble], if the
// lab has one.
func (l *Lab) Client() *http.Client {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(l.gateway(), "53"))
	}}
	dialer := &net.Dialer{Resolver: resolver, Timeout: 10 * time.Second}
	return &http.Client{
		Timeout: time.Minute,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, DisableKeepAlives: true, TLSClientConfig: l.acme.tls(),
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Deadline is how long [Eventually] waits. An idle machine needs seconds; tests
// must not fail on a busy one.
const Deadline = 5 * time.Minute

// Eventually calls is until it returns nil. After [Deadline] it fails the test
// with the last error.
func Eventually(t testing.TB, what string, is func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(Deadline); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = is(); err == nil {
			return
		}
		if t.Context().Err() != nil {
			break
		}
	}
	t.Fatalf("%s: not within %v: %v", what, Deadline, err)
}

// logConsoles logs the consoles of the nodes.
func (l *Lab) logConsoles(t testing.TB) {
	for _, n := range l.Nodes {
		t.Logf("the console of %s:\n%s", n.Name, last(n.Console(), 4000))
		// Read the journal's files, because the node may be off.
		cmd := l.Operator.Command("journalctl", "--directory=/nodes/"+n.Name+"/var/log/journal", "--no-pager", "--output=short-monotonic", "--lines=150")
		if out, err := output(cmd); err == nil {
			t.Logf("the journal of %s:\n%s", n.Name, last(out, 20000))
		}
	}
}

// logRuns logs what the last deploy recorded about each profile.
func (l *Lab) logRuns(t testing.TB) {
	logs, err := filepath.Glob(l.Operator.Path(providerDir + "/generated/.hostenv/runs/*/*/*.log"))
	if err != nil || len(logs) == 0 {
		return
	}
	run := filepath.Dir(filepath.Dir(logs[len(logs)-1]))
	for _, log := range logs {
		data, err := os.ReadFile(log)
		if name, ofRun := strings.CutPrefix(log, run+"/"); err == nil && ofRun {
			t.Logf("%s of the last deploy:\n%s", name, last(string(data), 4000))
		}
	}
}

func last(text string, n int) string { return text[max(0, len(text)-n):] }

// fillBase builds every package and a system of each kind, as the operator of
// three nodes and one customer does, and makes a seed of that system.
func (m *made) fillBase(_ context.Context, b base) (err error) {
	l, end, err := newLab(m, b, Options{Nodes: []string{"node-a", "node-b", "node-c"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	ca := &Pebble{lab: l, Directory: pebbleDirectory}
	if err := errors.Join(ca.module(), l.Provider.commit("the CA")); err != nil {
		return err
	}
	if err := l.Operator.ownStore(b.nix); err != nil {
		return err
	}
	nix := func(args ...string) error {
		_, err := output(l.Operator.Command(append([]string{"nix"}, args...)...))
		return err
	}
	if err := nix("build", "--no-link", "path:/srv/nixpkgs#everything"); err != nil {
		return err
	}
	for _, target := range []string{"state:init", "plan"} {
		if _, err := output(l.Operator.Command("mage", target)); err != nil {
			return err
		}
	}
	// Tests begin with this system, and so need not build it.
	if err := nix("build", "--no-link", ".#nodes.node-a", ".#nodes.node-b", ".#nodes.node-c"); err != nil {
		return err
	}
	if err := l.Provider.add(Customer{Organisation: "base", Project: "site"}); err != nil {
		return err
	}
	if _, err := output(l.Operator.Command("mage", "plan")); err != nil {
		return err
	}
	if err := nix("build", "--out-link", "/tmp/node", ".#nodes.node-a"); err != nil {
		return err
	}
	// Deploys also copy the activation to a node.
	const activations = `let inherit ((builtins.getFlake "git+file:///srv/provider").deploy) nodes; in derivation {
  name = "activations"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo ok >$out" ];
  paths = builtins.concatMap (n: map (p: p.path) (builtins.attrValues n.profiles)) (builtins.attrValues nodes);
}`
	if err := nix("build", "--no-link", "--impure", "--expr", activations); err != nil {
		return err
	}
	cmd := l.Operator.Command("bash", "-c", "nix copy --no-check-sigs --to /seed $(readlink -f /tmp/node)")
	if err := bindTo(filepath.Dir(b.seed), filepath.Join(l.Operator.Root, "seed")); err != nil {
		return err
	}
	if _, err := output(cmd); err != nil {
		return err
	}
	return unmount(filepath.Join(l.Operator.Root, "seed"))
}

func bindTo(source, target string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	return bind(source, target)
}
