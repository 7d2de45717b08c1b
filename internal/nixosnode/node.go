package nixosnode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A Node is one machine with NixOS.
type Node struct {
	Name       string
	Address    string
	PublicName string // <node>.<Domain>, which the lab's DNS resolves
	HostKey    string // of its sshd: "ssh-ed25519 AAAA..."

	lab    *Lab
	dir    string
	cgroup string

	mu     sync.Mutex
	init   *exec.Cmd     // process 1, nil while the node is off
	off    chan struct{} // closed when the node is off
	boots  int
	joined bool   // to the network
	link   string // the bridge's end of its cable
}

const hostKeyFile = "etc/ssh/ssh_host_ed25519_key"

func newNode(l *Lab, name string, i int) (*Node, error) {
	n := &Node{
		Name: name, Address: l.address(11 + i), PublicName: name + "." + Domain, lab: l, joined: true,
		dir: filepath.Join(l.dir, name), off: make(chan struct{}),
		cgroup: filepath.Join(l.made.cgroup, fmt.Sprintf("lab-%d-%s", l.number, name)),
	}
	close(n.off)
	// The plan needs the key before the node exists.
	key := filepath.Join(l.dir, name+".key")
	if _, err := output(exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key)); err != nil {
		return nil, err
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		return nil, err
	}
	words := strings.Fields(string(public))
	n.HostKey = words[0] + " " + words[1]
	return n, n.make()
}

// make makes the machine: a disk that is empty except for the host key, and a
// store that is a copy of the seed.
func (n *Node) make() error {
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		return err
	}
	if err := mount("tmpfs", n.dir, "tmpfs", "mode=0755,size=4g"); err != nil {
		return err
	}
	root := n.root()
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	store := filepath.Join(n.dir, "store")
	if err := os.Mkdir(store, 0o755); err != nil {
		return err
	}
	if err := errors.Join(
		layOut(root),
		// The store has a file system of its own, so that tests can fill it.
		mount("tmpfs", store, "tmpfs", "mode=0755,size=2g"),
		overlay(filepath.Join(n.lab.made.tree, "node", "usr"), n.dir, "usr", filepath.Join(root, "usr")),
		overlay(n.lab.base.seed, store, "nix", filepath.Join(root, "nix")),
		os.WriteFile(n.console(), nil, 0o644),
		bindTo(root, n.lab.Operator.Path("/nodes/"+n.Name)),
	); err != nil {
		return err
	}
	if err := os.MkdirAll(n.Path("etc/ssh"), 0o755); err != nil {
		return err
	}
	for from, to := range map[string]string{".key": "", ".key.pub": ".pub"} {
		data, err := os.ReadFile(filepath.Join(n.lab.dir, n.Name+from))
		if err != nil {
			return err
		}
		if err := os.WriteFile(n.Path(hostKeyFile+to), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) root() string    { return filepath.Join(n.dir, "root") }
func (n *Node) console() string { return filepath.Join(n.dir, "console") }

// Path returns the path at which this process finds a file of the node, whether
// the node is on or off. It does not work for files in /run, /tmp and /dev, and
// does not follow links.
func (n *Node) Path(file string) string { return filepath.Join(n.root(), file) }

// Console returns what the node has written to its console since it was made.
func (n *Node) Console() string {
	data, err := os.ReadFile(n.console())
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// unmake removes the machine.
func (n *Node) unmake() error {
	n.powerOff()
	return errors.Join(unmount(n.lab.Operator.Path("/nodes/"+n.Name)), unmount(n.dir))
}

func (n *Node) close() error {
	err := n.unmake()
	removeCgroup(n.cgroup)
	return err
}

// Reset replaces the node by a new machine with the same host key. The new
// machine is off and has no system.
func (n *Node) Reset(t testing.TB) {
	t.Helper()
	must(t, errors.Join(n.unmake(), n.make()))
}

// Install installs on each node the system that the provider's flake has for it,
// as nixos-install does, and starts the nodes. Without nodes it installs all. It
// returns when they are up.
func (l *Lab) Install(t testing.TB, nodes ...*Node) {
	t.Helper()
	if nodes == nil {
		nodes = l.Nodes
	}
	args := []string{"nix", "build", "--no-link", "--print-out-paths"}
	for _, n := range nodes {
		args = append(args, ".#nodes."+n.Name)
	}
	paths := strings.Fields(l.Operator.Run(t, args...))
	if len(paths) != len(nodes) {
		t.Fatalf("there are %d nodes and %d systems: %v", len(nodes), len(paths), paths)
	}
	l.each(t, nodes, func(n *Node, i int) error { return n.install(paths[i]) })
	for _, n := range nodes {
		n.Start(t)
	}
	for _, n := range nodes {
		n.WaitUp(t)
	}
}

// each calls do for all nodes in parallel.
func (l *Lab) each(t testing.TB, nodes []*Node, do func(n *Node, i int) error) {
	t.Helper()
	errs := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() { errs[i] = do(n, i) })
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("node %s: %v", nodes[i].Name, err)
		}
	}
}

func (n *Node) install(system string) error {
	o := n.lab.Operator
	// The node has the seed's paths already.
	if _, err := output(o.Command("nix", "copy", "--no-check-sigs", "--to", "local?root=/nodes/"+n.Name, system)); err != nil {
		return err
	}
	profiles := n.Path("nix/var/nix/profiles")
	return errors.Join(
		os.MkdirAll(profiles, 0o755),
		os.MkdirAll(n.Path("nix/var/nix/gcroots"), 0o755),
		os.Symlink(system, filepath.Join(profiles, "system-1-link")),
		os.Symlink("system-1-link", filepath.Join(profiles, "system")),
		os.WriteFile(n.Path("etc/NIXOS"), nil, 0o644),
	)
}

// Start turns the node on. A node that reboots starts again without it.
func (n *Node) Start(t testing.TB) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.init != nil {
		t.Fatalf("the node %s is on", n.Name)
	}
	must(t, n.boot())
}

// boot starts process 1. The caller holds the lock.
func (n *Node) boot() error {
	console, err := os.OpenFile(n.console(), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer console.Close()
	// The last systemd left cgroups there in which no process can start.
	if err := renewCgroup(n.cgroup); err != nil {
		return err
	}
	cgroup, err := os.Open(n.cgroup)
	if err != nil {
		return err
	}
	defer cgroup.Close()
	stdin, orders, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	defer orders.Close()

	// The node must end with the tests, not with this thread.
	cmd := command("node", unix.CLONE_NEWNS|unix.CLONE_NEWNET|unix.CLONE_NEWPID|unix.CLONE_NEWUTS|unix.CLONE_NEWIPC)
	cmd.SysProcAttr.Pdeathsig = 0
	cmd.SysProcAttr.Setsid = true
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(cgroup.Fd())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, console, console
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the node %s: %w", n.Name, err)
	}
	runtime.KeepAlive(cgroup)
	n.boots++
	n.init, n.off = cmd, make(chan struct{})
	go n.watch(cmd, n.off)
	// Each boot has a cable of another name, because the old cable goes later.
	n.link = fmt.Sprintf("v%d-%s-%d", n.lab.number, n.Address[strings.LastIndexByte(n.Address, '.')+1:], n.boots)
	if err := errors.Join(
		ip("link add %s type veth peer name eth0 netns %d", n.link, cmd.Process.Pid),
		n.plug(),
	); err != nil {
		_ = cmd.Process.Kill()
		return err
	}
	return json.NewEncoder(orders).Encode(machine{
		Name: n.Name, Root: n.root(), Console: n.console(), Address: n.Address, Gateway: n.lab.gateway(),
	})
}

// plug connects the cable if the node has joined the network, or disconnects it.
func (n *Node) plug() error {
	if !n.joined {
		return ip("link set %s down", n.link)
	}
	return errors.Join(ip("link set %s master %s", n.link, n.lab.bridge()), ip("link set %s up", n.link))
}

// watch waits until process 1 ends, and starts the node again after a reboot:
// reboot(2) ends the process with SIGHUP for a restart, and with SIGINT for a
// halt.
func (n *Node) watch(cmd *exec.Cmd, off chan struct{}) {
	_ = cmd.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.init != cmd {
		close(off) // it was turned off
		return
	}
	n.init = nil
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	n.note("process 1 ended: %s", cmd.ProcessState)
	if status.Signaled() && status.Signal() == syscall.SIGHUP {
		if err := n.boot(); err != nil {
			n.note("%v", err)
		}
	}
	close(off)
}

// note writes a line to the console.
func (n *Node) note(format string, args ...any) {
	if f, err := os.OpenFile(n.console(), os.O_APPEND|os.O_WRONLY, 0); err == nil {
		fmt.Fprintf(f, "\n[nixosnode] "+format+"\n", args...)
		_ = f.Close()
	}
}

// pid returns the PID of process 1, or 0 while the node is off.
func (n *Node) pid() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.init == nil {
		return 0
	}
	return n.init.Process.Pid
}

// On reports whether the node is on.
func (n *Node) On() bool { return n.pid() != 0 }

// Boots returns how often the node was started, including reboots.
func (n *Node) Boots() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.boots
}

// powerOff kills all processes of the node at once, and waits until they have
// ended.
func (n *Node) powerOff() {
	n.mu.Lock()
	cmd, off := n.init, n.off
	n.init = nil
	n.mu.Unlock()
	if cmd != nil {
		_ = cmd.Process.Kill()
	}
	<-off
}

// PowerCut turns the node off as a power cut does: all its processes are killed
// at once.
func (n *Node) PowerCut(t testing.TB) {
	t.Helper()
	n.powerOff()
}

// Stop shuts the node down, and waits until it is off.
func (n *Node) Stop(t testing.TB) {
	t.Helper()
	n.mu.Lock()
	cmd, off := n.init, n.off
	n.mu.Unlock()
	if cmd == nil {
		return
	}
	const powerOff = 34 + 4 // SIGRTMIN+4, by systemd(1)
	must(t, cmd.Process.Signal(syscall.Signal(powerOff)))
	select {
	case <-off:
	case <-time.After(Deadline):
		t.Fatalf("the node %s does not shut down:\n%s", n.Name, last(n.Console(), 2000))
	}
}

// Reboot restarts the node, as systemctl reboot does, and waits until it is up
// again.
func (n *Node) Reboot(t testing.TB) {
	t.Helper()
	boots := n.Boots()
	n.Run(t, "systemctl", "reboot", "--no-block")
	n.WaitReboot(t, boots)
}

// WaitReboot waits until [Node.Boots] exceeds a number, and the node is up.
func (n *Node) WaitReboot(t testing.TB, boots int) {
	t.Helper()
	Eventually(t, "a reboot of "+n.Name, func() error {
		if n.Boots() <= boots {
			return errors.New("it has not restarted")
		}
		return nil
	})
	n.WaitUp(t)
}

// CutOff disconnects the node from the network. The node does not see it.
func (n *Node) CutOff(t testing.TB) {
	t.Helper()
	must(t, n.connect(false))
}

// Rejoin undoes [Node.CutOff].
func (n *Node) Rejoin(t testing.TB) {
	t.Helper()
	must(t, n.connect(true))
}

func (n *Node) connect(joined bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.joined = joined
	if n.init == nil {
		return nil
	}
	if !joined {
		// The node's end of the cable stays up.
		return ip("link set %s nomaster", n.link)
	}
	return n.plug()
}

// FillStore fills the node's /nix until only this many bytes are free.
func (n *Node) FillStore(t testing.TB, free int64) {
	t.Helper()
	store := filepath.Join(n.dir, "store")
	var s unix.Statfs_t
	must(t, unix.Statfs(store, &s))
	used := (int64(s.Blocks) - int64(s.Bfree)) * s.Bsize
	must(t, unix.Mount("", store, "", unix.MS_REMOUNT, fmt.Sprintf("size=%d", used+free)))
}

// FreeStore undoes [Node.FillStore].
func (n *Node) FreeStore(t testing.TB) {
	t.Helper()
	must(t, unix.Mount("", filepath.Join(n.dir, "store"), "", unix.MS_REMOUNT, "size=2g"))
}

// Command prepares a command on the node as root. It does not use the network,
// so it also works on a node that is cut off.
func (n *Node) Command(argv ...string) *exec.Cmd {
	enter := []string{"--all", "--target", fmt.Sprint(n.pid()), "env", "-i",
		"HOME=/root", "PATH=/run/wrappers/bin:/run/current-system/sw/bin", "TERM=dumb", "LC_ALL=C.UTF-8"}
	return exec.Command("nsenter", append(enter, argv...)...)
}

// Exec runs a command on the node, and returns what it printed.
func (n *Node) Exec(argv ...string) (string, error) {
	if n.pid() == 0 {
		return "", fmt.Errorf("the node %s is off", n.Name)
	}
	cmd := n.Command(argv...)
	var out, output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &output
	if err := cmd.Run(); err != nil {
		return strings.TrimSuffix(out.String(), "\n"), fmt.Errorf("%s on %s: %w\n%s%s", strings.Join(argv, " "), n.Name, err, out.String(), output.String())
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// Run is [Node.Exec] for a command that must succeed.
func (n *Node) Run(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := n.Exec(argv...)
	must(t, err)
	return out
}

// WaitUp waits until systemd has started all units, and fails the test if a unit
// failed.
func (n *Node) WaitUp(t testing.TB) {
	t.Helper()
	if state := n.WaitStarted(t); state != "running" {
		failed, _ := n.Exec("systemctl", "--failed", "--no-legend", "--plain")
		status, _ := n.Exec("sh", "-c", "systemctl status --no-pager --full --lines=20 $(systemctl --failed --no-legend --plain | cut -d' ' -f1)")
		t.Fatalf("the node %s is %s; failed units:\n%s\n%s", n.Name, state, failed, status)
	}
}

// WaitStarted is [Node.WaitUp] for a node whose units may fail. It returns the
// state that systemd reports, "running" or "degraded".
func (n *Node) WaitStarted(t testing.TB) string {
	t.Helper()
	var state string
	Eventually(t, "the node "+n.Name+" up", func() error {
		var err error
		state, err = n.Exec("systemctl", "is-system-running")
		switch state {
		case "running", "degraded":
			return nil
		case "":
			return err
		}
		return fmt.Errorf("it is %s", state)
	})
	return state
}

// System returns the store path of the running system.
func (n *Node) System(t testing.TB) string {
	t.Helper()
	return n.Run(t, "readlink", "-f", "/run/current-system")
}

// Profile returns the store path that a profile of the node leads to, or "" if
// the node does not have the profile. The name is the one in the plan.
func (n *Node) Profile(t testing.TB, name string) string {
	t.Helper()
	link := "/nix/var/nix/profiles/per-user/" + name + "/hostenv"
	if name == "system" {
		link = "/nix/var/nix/profiles/system"
	}
	out, err := n.Exec("readlink", "-e", link)
	if err != nil {
		return ""
	}
	return out
}

// Unit returns a property of a unit of the node, such as MainPID or ActiveState.
func (n *Node) Unit(t testing.TB, unit, property string) string {
	t.Helper()
	return n.Run(t, "systemctl", "show", "--value", "--property="+property, unit)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
