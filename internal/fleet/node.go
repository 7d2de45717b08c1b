package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A Node is one machine of a fleet.
type Node struct {
	Name    string // "n1"
	Address string // where ssh connects to, on port 22
	HostKey string // "ssh-ed25519 AAAA...": what its sshd shows

	// PublicName is <node>.<Domain>, and PublicAddress what it resolves to; a
	// test may listen there. ssh is at another address.
	PublicName, PublicAddress string

	fleet *Fleet
	dir   string
	users map[string]int // of its environments, with their UIDs

	relay   *relay
	init    *exec.Cmd // process 1
	orders  io.WriteCloser
	answers *json.Decoder
	daemons map[string]int    // name -> process, in the node's numbers
	began   map[string]string // see check
}

func newNode(f *Fleet, name, address, publicAddress string) (*Node, error) {
	n := &Node{
		Name: name, Address: address, fleet: f, daemons: map[string]int{}, users: map[string]int{},
		PublicName: name + "." + Domain, PublicAddress: publicAddress,
	}
	n.dir = filepath.Join(f.dir, n.Name)
	if err := os.MkdirAll(n.etc("ssh"), 0o755); err != nil {
		return nil, err
	}
	if err := n.newHostKey(n.etc("ssh")); err != nil {
		return nil, err
	}
	return n, nil
}

const hostKeyName = "ssh_host_ed25519_key"

func (n *Node) newHostKey(dir string) error {
	file := filepath.Join(dir, hostKeyName)
	for _, old := range []string{file, file + ".pub"} {
		if err := os.RemoveAll(old); err != nil {
			return err
		}
	}
	if err := makeSSHKey(file); err != nil {
		return err
	}
	public, err := os.ReadFile(file + ".pub")
	n.HostKey = strings.TrimSpace(string(public))
	return err
}

// etc is below /etc before the node boots.
func (n *Node) etc(name string) string { return filepath.Join(n.dir, "root", "etc", name) }

// Path returns where this process finds a file of the running node. Links on
// the way to it are followed on this machine, so name none.
func (n *Node) Path(file string) string {
	return fmt.Sprintf("/proc/%d/root%s", n.init.Process.Pid, file)
}

// Deploy is the node as a deploy sees it, with profiles that have no paths yet.
func (n *Node) Deploy() deploy.Node {
	d := deploy.Node{
		Name: n.Name, Address: n.Address, User: DeployUser, HostKey: n.HostKey, Platform: platform(),
		PublicName: n.PublicName, TempPath: tempPath, AutoRollback: true, MagicRollback: true,
		Profiles: []deploy.Profile{{Node: n.Name, Name: deploy.SystemProfile, User: "root", Link: link(deploy.SystemProfile), Temp: temp(deploy.SystemProfile), Limit: time.Hour}},
	}
	for _, user := range n.Users() {
		d.Profiles = append(d.Profiles, deploy.Profile{Node: n.Name, Name: user, User: user, UID: n.users[user], Link: link(user), Temp: temp(user), Limit: 15 * time.Minute})
	}
	return d
}

// Users are those of its environments, in order.
func (n *Node) Users() []string { return slices.Sorted(maps.Keys(n.users)) }

// Profiles are the names of its profiles: the system, and [Node.Users].
func (n *Node) Profiles() []string { return append([]string{deploy.SystemProfile}, n.Users()...) }

// Where things are, by nix/lib/paths.nix; a test holds the two together.
const tempPath = "/run/hostenv/deploy"

func link(profile string) string {
	if profile == deploy.SystemProfile {
		return "/nix/var/nix/profiles/system"
	}
	return "/nix/var/nix/profiles/per-user/" + profile + "/hostenv"
}

func temp(profile string) string {
	if profile == deploy.SystemProfile {
		return tempPath
	}
	return tempPath + "/" + profile
}

// boot starts the node: its namespaces, Nix and sshd.
func (n *Node) boot(template, sudoers string) error {
	if err := n.furnish(template, sudoers); err != nil {
		return err
	}
	n.init = command("node", unix.CLONE_NEWNS|unix.CLONE_NEWPID|unix.CLONE_NEWUTS)
	n.init.SysProcAttr.Pdeathsig = 0 // a test's thread may end; the process ends with its stdin
	var err error
	if n.orders, err = n.init.StdinPipe(); err != nil {
		return err
	}
	out, err := n.init.StdoutPipe()
	if err != nil {
		return err
	}
	n.answers = json.NewDecoder(out)
	if err := n.init.Start(); err != nil {
		return err
	}
	if _, err := n.send(machine{Name: n.Name, Dir: n.dir, Show: n.fleet.nodeNixDir()}); err != nil {
		return err
	}
	if err := n.startNix(); err != nil {
		return err
	}
	if err := n.startSSH(); err != nil {
		return err
	}
	n.relay = &relay{listen: net.JoinHostPort(n.Address, "22"), backend: n.sshd()}
	if err := n.relay.open(); err != nil {
		return err
	}
	n.began, err = n.snapshot()
	return err
}

// send sends a machine or an order to process 1, and returns its answer.
func (n *Node) send(message any) (answer, error) {
	var a answer
	if err := json.NewEncoder(n.orders).Encode(message); err != nil {
		return a, err
	}
	if err := n.answers.Decode(&a); err != nil {
		return a, fmt.Errorf("process 1 of node %s is gone: %w", n.Name, err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// daemon starts a daemon, and waits until it listens.
func (n *Node) daemon(name, network, at string, argv ...string) error {
	a, err := n.send(order{Start: argv, Log: "/var/log/" + name + ".log"})
	if err != nil {
		return err
	}
	n.daemons[name] = a.PID
	if !testenv.Poll(func() bool {
		var conn net.Conn
		if conn, err = net.Dial(network, at); err == nil {
			err = conn.Close()
		}
		return err == nil
	}) {
		return fmt.Errorf("%s does not listen on %s: %w\n%s", name, at, err, n.Log(name))
	}
	return nil
}

func (n *Node) stopDaemon(name string) error {
	_, err := n.send(order{Stop: n.daemons[name]})
	delete(n.daemons, name)
	return err
}

func (n *Node) sshd() string { return fmt.Sprintf("%s:%d", n.Address, sshdPort) }

// startSSH starts sshd and waits for its log. An answer at its address is not
// enough: it could come from an old sshd that is ending.
func (n *Node) startSSH() error {
	const listening = "Server listening on"
	before := strings.Count(n.Log("sshd"), listening)
	if err := n.daemon("sshd", "tcp", n.sshd(), testenv.Find("sshd"), "-D", "-e"); err != nil {
		return err
	}
	log := ""
	testenv.Poll(func() bool {
		log = n.Log("sshd")
		return strings.Count(log, listening) > before || strings.Contains(log, "Cannot bind any address")
	})
	if strings.Count(log, listening) == before {
		return fmt.Errorf("sshd does not listen, and another one does at %s:\n%s", n.sshd(), log)
	}
	return nil
}

func (n *Node) startNix() error {
	socket := filepath.Join(n.dir, "nix/var/nix/daemon-socket/socket")
	if err := os.RemoveAll(socket); err != nil {
		return err
	}
	return n.daemon("nix-daemon", "unix", socket, "/run/current-system/sw/bin/nix-daemon")
}

// end stops the node with all of its processes.
func (n *Node) end() {
	if n.relay != nil {
		n.relay.close()
	}
	if n.init != nil && n.init.Process != nil {
		_ = n.init.Process.Kill()
		_ = n.init.Wait()
	}
	_ = unix.Unmount(filepath.Join(n.dir, "nix"), unix.MNT_DETACH)
	if isLayered() {
		_ = unix.Unmount(filepath.Join(n.dir, "nix-layer"), unix.MNT_DETACH)
	}
}

// Log returns the log of a daemon of the node: sshd or nix-daemon.
func (n *Node) Log(name string) string {
	data, _ := os.ReadFile(filepath.Join(n.dir, "root/var/log", name+".log"))
	return string(data)
}

// Exec runs a command as root on the node, without ssh, and returns its output.
func (n *Node) Exec(argv ...string) (string, error) {
	return n.exec(nodeEnv(), argv...)
}

// ExecAs is [Node.Exec] as another user of the node.
func (n *Node) ExecAs(user string, argv ...string) (string, error) {
	uid, home := deployUID, "/var/lib/"+DeployUser
	if user != DeployUser {
		var ok bool
		if uid, ok = n.users[user]; !ok {
			return "", fmt.Errorf("there is no user %s on %s", user, n.Name)
		}
		home = "/home/" + user
	}
	id := fmt.Sprint(uid)
	env := append(nodeEnv(), "HOME="+home, "USER="+user)
	return n.exec(env, append([]string{"setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--"}, argv...)...)
}

func (n *Node) exec(env []string, argv ...string) (string, error) {
	enter := []string{"--target", fmt.Sprint(n.init.Process.Pid), "--mount", "--pid", "--uts", "--"}
	cmd := exec.Command("nsenter", append(enter, argv...)...)
	cmd.Env = env
	return output(cmd)
}

// Active returns the store path of a profile's link, or "". It reads the link
// without running a process on the node.
func (n *Node) Active(t testing.TB, profile string) string {
	t.Helper()
	path, err := n.active(profile)
	must(t, err)
	return path
}

func (n *Node) active(profile string) (string, error) {
	at := link(profile)
	for range 8 {
		target, err := os.Readlink(filepath.Join(n.dir, at))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "", nil
		case err != nil:
			return "", err
		case !filepath.IsAbs(target):
			target = filepath.Join(filepath.Dir(at), target)
		}
		if strings.HasPrefix(target, "/nix/store/") {
			return target, nil
		}
		at = target
	}
	return "", fmt.Errorf("%s on %s leads nowhere", link(profile), n.Name)
}

// Has reports whether a path is in the node's store, valid or not.
func (n *Node) Has(path string) bool {
	_, err := os.Lstat(filepath.Join(n.dir, path))
	return err == nil
}

// Processes returns the command lines of the processes on the node by PID, without
// process 1.
func (n *Node) Processes(t testing.TB) map[string]string {
	t.Helper()
	processes, err := n.processes()
	must(t, err)
	return processes
}

func (n *Node) processes() (map[string]string, error) {
	processes := map[string]string{}
	entries, err := os.ReadDir(n.Path("/proc"))
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if strings.Trim(entry.Name(), "0123456789") != "" || entry.Name() == "1" {
			continue
		}
		line, err := os.ReadFile(n.Path("/proc/" + entry.Name() + "/cmdline"))
		if err == nil && len(line) > 0 {
			processes[entry.Name()] = strings.ReplaceAll(strings.TrimRight(string(line), "\x00"), "\x00", " ")
		}
	}
	return processes, nil
}

// Connections returns how many connections to sshd were made, and how many are open.
// A connection closes a moment after the end of its process.
func (n *Node) Connections() (made, now int) { return n.relay.count() }

// WaitConnections waits until so many connections are open.
func (n *Node) WaitConnections(t testing.TB, want int) {
	t.Helper()
	now := 0
	if !testenv.Poll(func() bool { _, now = n.Connections(); return now == want }) {
		t.Fatalf("%s has %d connections, want %d", n.Name, now, want)
	}
}
