package fleet

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// What a fleet's names end with, and how many nodes it can have.
const (
	Domain   = "hosting.test" // provider.hostenvHostname
	MaxNodes = 8

	DeployUser = "deploy"

	sshDomain = "ssh.test"
	sshdPort  = 2222 // behind the relay
)

func nodeName(i int) string      { return fmt.Sprintf("n%d", i) }
func address(i int) string       { return fmt.Sprintf("127.0.1.%d", i) } // of ssh
func publicAddress(i int) string { return fmt.Sprintf("127.0.2.%d", i) } // of web servers

// Options say what a fleet is like.
type Options struct {
	Nodes        int // 1 to MaxNodes; 0 is 1
	Environments int // on each node

	// Nix is the nix of whoever deploys; "" is the one on PATH. The nodes have
	// that of the machine.
	Nix string

	// ActivateRS is the program that profiles call activate-rs: deploy-rs's own
	// `activate`, or what stands in for it; "" is a plain one of this package.
	ActivateRS string

	// Payload is how many bytes each version of a profile brings along; 0 is
	// 64 KiB.
	Payload int

	// Store is how many bytes /nix holds on a node; 0 is 1 GiB.
	Store int64

	// Inventory may change what the plan is made of.
	Inventory func(inventory map[string]any)

	// Untrusted leaves the provider's key out of what the nodes trust.
	Untrusted bool

	// Deployed starts with every profile there and active, as if it had been
	// deployed; else a node has none.
	Deployed bool
}

// A Fleet is some nodes, and the provider whose they are.
type Fleet struct {
	Nodes    []*Node
	Provider *Provider

	// SigningKey is the file of the provider's secret key, and PublicKey what
	// the nodes trust.
	SigningKey, PublicKey string

	// SSHKey is the file of the private key that may log in as DeployUser; ssh
	// finds it by itself.
	SSHKey string

	options    Options
	activateRS string // the program on this machine
	dir        string
	env        []string
	journal    string // of the programs that were started
	t          testing.TB
	ended      sync.Once
}

var one sync.Mutex // there are no addresses for a second fleet

// tools are what a fleet needs.
var tools = []string{"namespaces", "nix", "nix-daemon", "ssh", "sshd", "sudo", "ip", "git", "bash"}

// Need leaves a test out where there can be no fleet, before it prepares for one.
func Need(t testing.TB) {
	t.Helper()
	for _, tool := range tools {
		testenv.Need(t, tool)
	}
}

// Start starts a fleet, which ends with the test, or by [Fleet.End]. Without what
// it needs the test is left out, see [testenv.Need].
func Start(t testing.TB, options Options) *Fleet {
	t.Helper()
	Need(t)
	if !Inside() {
		t.Fatal("the tests of this package must be run by fleet.Main")
	}
	if options.Nodes == 0 {
		options.Nodes = 1
	}
	if options.Nodes < 0 || options.Nodes > MaxNodes {
		t.Fatalf("a fleet has 1 to %d nodes, not %d", MaxNodes, options.Nodes)
	}
	one.Lock()
	f := &Fleet{options: options, t: t}
	t.Cleanup(f.End)
	if err := f.start(); err != nil {
		t.Fatalf("start a fleet: %v", err)
	}
	return f
}

func (f *Fleet) start() (err error) {
	if f.dir, err = os.MkdirTemp(rootDir, "fleet-"); err != nil {
		return err
	}
	if err := os.Chmod(f.dir, 0o755); err != nil { // users of the nodes pass through
		return err
	}
	if err := f.keys(); err != nil {
		return err
	}
	if err := f.shims(); err != nil {
		return err
	}
	template, err := storeTemplate()
	if err != nil {
		return err
	}
	if err := f.makeActivateRS(); err != nil {
		return err
	}
	for i := 1; i <= f.options.Nodes; i++ {
		n, err := newNode(f, nodeName(i), address(i), publicAddress(i))
		if err != nil {
			return err
		}
		f.Nodes = append(f.Nodes, n)
	}
	if f.Provider, err = newProvider(f); err != nil {
		return err
	}
	rules, err := f.sudoers()
	if err != nil {
		return err
	}
	if err := f.each(func(n *Node) error { return n.boot(template, rules[n.Name]) }); err != nil {
		return err
	}
	if f.options.Deployed {
		return f.Install()
	}
	return nil
}

// End takes the fleet away before its test ends, so that there may be another.
func (f *Fleet) End() {
	f.ended.Do(func() {
		for _, n := range f.Nodes {
			n.end()
		}
		if f.t != nil && f.t.Failed() {
			for _, n := range f.Nodes {
				said := n.Log("sshd")
				f.t.Logf("the last words of sshd on %s:\n%s", n.Name, said[max(0, len(said)-1000):])
			}
		}
		_ = os.RemoveAll(f.dir)
		one.Unlock()
	})
}

// each does something with all nodes at once.
func (f *Fleet) each(do func(*Node) error) error {
	errs := make([]error, len(f.Nodes))
	var wait sync.WaitGroup
	for i, n := range f.Nodes {
		wait.Go(func() { errs[i] = do(n) })
	}
	wait.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("node %s: %w", f.Nodes[i].Name, err)
		}
	}
	return nil
}

// keys makes the provider's key for closures, and the one of whoever deploys,
// which is root's by default.
func (f *Fleet) keys() error {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	const name = Domain + "-1:"
	f.PublicKey = name + base64.StdEncoding.EncodeToString(public)
	f.SigningKey = filepath.Join(f.dir, "secret.key")
	if err := os.WriteFile(f.SigningKey, []byte(name+base64.StdEncoding.EncodeToString(private)), 0o600); err != nil {
		return err
	}
	f.SSHKey = filepath.Join(homeDir, ".ssh", "id_ed25519")
	if _, err := os.Stat(f.SSHKey); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(f.SSHKey), 0o700); err != nil {
		return err
	}
	return makeSSHKey(f.SSHKey)
}

func makeSSHKey(file string) error {
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file).CombinedOutput(); err != nil {
		return fmt.Errorf("ssh-keygen: %w: %s", err, out)
	}
	return nil
}

// Env is the environment for a process of whoever deploys. The programs of Nix
// and ssh that it finds on PATH write down that they were started, see
// [Fleet.Commands].
func (f *Fleet) Env() []string { return slices.Clone(f.env) }

// environment is for such a process, with a PATH.
func (f *Fleet) environment(path string) []string {
	env := slices.DeleteFunc(testenv.NixEnv(filepath.Join(f.dir, "driver")), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == "HOME" || name == "NIX_REMOTE" || name == "PATH" || strings.HasPrefix(name, "SSH_")
	})
	return append(env, "HOME="+homeDir, "PATH="+path)
}

// Nix runs a program of Nix as whoever deploys, and returns its output. It is
// not counted.
func (f *Fleet) Nix(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := f.nix(argv...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (f *Fleet) nix(argv ...string) (string, error) {
	cmd := exec.Command(f.program(argv[0]), argv[1:]...)
	cmd.Env = f.environment(filepath.Dir(f.program("nix")) + ":" + os.Getenv("PATH"))
	if f.Provider != nil {
		cmd.Dir = f.Provider.Dir
	}
	return output(cmd)
}

// output runs a command; its error has what the command said.
func output(cmd *exec.Cmd) (string, error) {
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, said.String())
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

// storeTemplate makes an empty store once: the first two processes that use a
// new one would find its database busy. It is that of whoever deploys.
var storeTemplate = sync.OnceValues(func() (string, error) {
	cmd := exec.Command("nix-store", "--init")
	cmd.Env = append(os.Environ(), "NIX_CONFIG=build-users-group =", "NIX_REMOTE=local")
	_, err := output(cmd)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(rootDir, "template")
	if isLayered() {
		return dir, os.CopyFS(filepath.Join(dir, "var"), os.DirFS("/nix/var"))
	}
	return dir, os.CopyFS(dir, os.DirFS("/nix"))
})
