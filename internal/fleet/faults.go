package fleet

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// must ends the test if a fault cannot be made. A fault lasts until it is undone.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// StopSSH breaks off every connection and refuses new ones. Other processes of the
// node continue.
func (n *Node) StopSSH(t testing.TB) {
	t.Helper()
	n.relay.refuse()
	if _, runs := n.daemons["sshd"]; runs {
		must(t, n.stopDaemon("sshd"))
	}
}

// StartSSH undoes [Node.StopSSH].
func (n *Node) StartSSH(t testing.TB) {
	t.Helper()
	must(t, n.startSSH())
	must(t, n.relay.open())
}

// PowerOff kills every process of the node and refuses connections, for good.
func (n *Node) PowerOff() {
	n.relay.refuse()
	_ = n.init.Process.Kill()
	_ = n.init.Wait()
}

// Blackhole makes the node silent: new connections get no answer, not even a
// refusal, and open ones carry no more bytes.
func (n *Node) Blackhole(t testing.TB) {
	t.Helper()
	must(t, n.relay.swallow())
}

// Freeze accepts new connections, but holds back the bytes of all connections.
func (n *Node) Freeze() { n.relay.freeze() }

// Thaw undoes [Node.Blackhole] and [Node.Freeze], and sends the bytes held back.
func (n *Node) Thaw(t testing.TB) {
	t.Helper()
	n.relay.flow()
	must(t, n.relay.open())
}

// FreezeAfter freezes all connections, as Freeze does, once a new one has passed so many
// bytes to the node; 0 for never.
func (n *Node) FreezeAfter(bytes int64) { n.relay.freezeAfter(bytes) }

// CutAfter breaks off each new connection after so many bytes to the node; 0 undoes
// it. A short command takes about 4000.
func (n *Node) CutAfter(bytes int64) { n.relay.cutAfter(bytes) }

// Cut breaks off the open connections.
func (n *Node) Cut() { n.relay.cutNow() }

// ChangeHostKey gives sshd another key, as after a reinstallation. The plan keeps
// the old key; [Node.HostKey] is the new one.
func (n *Node) ChangeHostKey(t testing.TB) {
	t.Helper()
	must(t, n.newHostKey(n.Path("/etc/ssh")))
	must(t, n.stopDaemon("sshd"))
	must(t, n.startSSH())
}

// CopyHostKey gives sshd the key of another node, as a copy of its image has.
func (n *Node) CopyHostKey(t testing.TB, from *Node) {
	t.Helper()
	for _, name := range []string{hostKeyName, hostKeyName + ".pub"} {
		file := "/etc/ssh/" + name
		key, err := os.ReadFile(from.Path(file))
		must(t, err)
		must(t, os.WriteFile(n.Path(file), key, 0o600))
	}
	n.HostKey = from.HostKey
	must(t, n.stopDaemon("sshd"))
	must(t, n.startSSH())
}

// FillDisk leaves so many bytes free in /nix.
func (n *Node) FillDisk(t testing.TB, free int64) {
	t.Helper()
	nix := filepath.Join(n.dir, "nix")
	var s unix.Statfs_t
	must(t, unix.Statfs(nix, &s))
	n.resize(t, (int64(s.Blocks)-int64(s.Bfree))*s.Bsize+free)
}

// FreeDisk undoes [Node.FillDisk].
func (n *Node) FreeDisk(t testing.TB) {
	t.Helper()
	n.resize(t, n.fleet.storeSize())
}

func (n *Node) resize(t testing.TB, bytes int64) {
	t.Helper()
	must(t, unix.Mount("", filepath.Join(n.dir, "nix"), "", unix.MS_REMOUNT, fmt.Sprintf("size=%d", bytes)))
}

// HidePID lets users see no processes but their own, as with hidepid=2.
func (n *Node) HidePID(t testing.TB) {
	t.Helper()
	_, err := n.Exec("/usr/bin/mount", "-o", "remount,hidepid=2", "/proc")
	must(t, err)
}

// RemoveUser removes a user's account, as before the first deployment of its
// environment. The user's files stay.
func (n *Node) RemoveUser(t testing.TB, user string) {
	t.Helper()
	delete(n.users, user)
	n.writeAccounts(t)
}

// AddUser adds an account, or changes its UID. It makes no folders.
func (n *Node) AddUser(t testing.TB, user string, uid int) {
	t.Helper()
	n.users[user] = uid
	n.writeAccounts(t)
}

func (n *Node) writeAccounts(t testing.TB) {
	t.Helper()
	for _, f := range n.accounts(n.Path("/etc")) {
		must(t, f.make())
	}
}

// OpenTemp lets every user write into the folder of a profile's canary.
func (n *Node) OpenTemp(t testing.TB, profile string) {
	t.Helper()
	must(t, os.Chmod(n.Path(temp(profile)), 0o777))
}

// RemoveTemp removes that folder.
func (n *Node) RemoveTemp(t testing.TB, profile string) {
	t.Helper()
	must(t, os.RemoveAll(n.Path(temp(profile))))
}

// Trust makes the node trust these keys and no others.
func (n *Node) Trust(t testing.TB, keys ...string) {
	t.Helper()
	if len(keys) == 0 {
		keys = []string{"none.test-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}
	}
	n.setNixConf(t, n.nixConf(keys...))
}

// TrustDeployUser makes Nix accept unsigned paths from the deploy user.
func (n *Node) TrustDeployUser(t testing.TB) {
	t.Helper()
	n.setNixConf(t, n.nixConf()+"extra-trusted-users = "+DeployUser+"\n")
}

func (n *Node) setNixConf(t testing.TB, text string) {
	t.Helper()
	must(t, os.WriteFile(n.Path("/etc/nix/nix.conf"), []byte(text), 0o644))
	must(t, n.stopDaemon("nix-daemon"))
	must(t, n.startNix())
}

// OtherOS makes the node's os-release that of Debian.
func (n *Node) OtherOS(t testing.TB) {
	t.Helper()
	must(t, os.WriteFile(n.Path("/etc/os-release"), []byte("ID=debian\n"), 0o644))
}

// Program puts a program into the PATH of the node's users.
func (n *Node) Program(t testing.TB, name, script string) {
	t.Helper()
	file := n.Path("/run/current-system/sw/bin/" + name)
	must(t, os.RemoveAll(file))
	must(t, os.WriteFile(file, []byte(script), 0o755))
	must(t, os.Chmod(file, 0o755))
}
