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

// Names and limits of a fleet.
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

// Options describe a fleet.
type Options struct {
	Nodes        int // 1 to MaxNodes; 0 is 1
	Environments int // on each node

	// Nix is the nix of the deploying machine, and NodeNix that of the nodes; "" is
	// the one on PATH.
	Nix, NodeNix string

	// ActivateRS is the program that profiles call activate-rs: deploy-rs's own
	// `activate`, or a replacement; "" is the simple one of this package.
	ActivateRS string

	// Payload is the size of each version of a profile in bytes; 0 is 64 KiB.
	Payload int

	// Store is the size of /nix on a node in bytes; 0 is 1 GiB.
	Store int64

	// Inventory may change the inventory before the plan is made.
	Inventory func(inventory map[string]any)

	// Untrusted removes the provider's key from the nodes' trusted keys.
	Untrusted bool

	// Deployed starts with every profile installed and active. Without it the
	// nodes have no profiles.
	Deployed bool
}

// A Fleet is a provider and its nodes.
type Fleet struct {
	Nodes    []*Node
	Provider *Provider

	// SigningKey is the file of the provider's secret key. The nodes trust
	// PublicKey.
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

var one sync.Mutex // a second fleet would need the same addresses

// tools are what a fleet needs.
var tools = []string{"namespaces", "nix", "nix-daemon", "ssh", "sshd", "sudo", "ip", "git", "bash"}

// Need skips a test if this machine cannot run a fleet.
func Need(t testing.TB) {
	t.Helper()
	for _, tool := range tools {
		testenv.Need(t, tool)
	}
}

// Start starts a fleet, which ends with the test or by [Fleet.End]. It skips the
// test if a tool is missing, see [testenv.Need].
func Start(t testing.TB, options Options) *Fleet {
	t.Helper()
	Need(t)
	if !Inside() {
		t.Fatal("TestMain of this package must call fleet.Main")
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

// End stops the fleet before the end of its test, so that the test can start
// another.
func (f *Fleet) End() {
	f.ended.Do(func() {
		for _, n := range f.Nodes {
			n.end()
		}
		if f.t != nil && f.t.Failed() {
			for _, n := range f.Nodes {
				log := n.Log("sshd")
				f.t.Logf("the end of the log of sshd on %s:\n%s", n.Name, log[max(0, len(log)-1000):])
			}
		}
		_ = os.RemoveAll(f.dir)
		one.Unlock()
	})
}

// each calls do for all nodes in parallel.
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

// keys makes the provider's signing key, and the ssh key of the deploying machine,
// which is root's default one.
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

// Env returns the environment for a process on the deploying machine. The programs
// of Nix and ssh on its PATH log each start, see [Fleet.Commands].
func (f *Fleet) Env() []string { return slices.Clone(f.env) }

// environment returns the environment for such a process, with this PATH.
func (f *Fleet) environment(path string) []string {
	env := slices.DeleteFunc(testenv.NixEnv(filepath.Join(f.dir, "driver")), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == "HOME" || name == "NIX_REMOTE" || name == "PATH" || strings.HasPrefix(name, "SSH_")
	})
	return append(env, "HOME="+homeDir, "PATH="+path)
}

// Nix runs a program of Nix on the deploying machine and returns its output. It
// does not count for [Fleet.Commands].
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

// output runs a command and returns its output. The error has its stderr.
func output(cmd *exec.Cmd) (string, error) {
	var output strings.Builder
	cmd.Stderr = &output
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, output.String())
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

// storeTemplate makes an empty store once, in /nix of the deploying machine. Two
// processes that start with a new store at once would find its database busy.
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
