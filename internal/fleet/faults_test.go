package fleet_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

// open starts ssh to a node with a command, and returns it after the first line of
// output.
func open(t *testing.T, f *fleet.Fleet, n *fleet.Node, command string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ssh", append(sshOptions(t, f), n.Name, command)...)
	cmd.Env = f.Env()
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// ssh has a different message for each fault, and a deploy must tell them apart.
func TestLinks(t *testing.T) {
	f := fleet.Start(t, fleet.Options{Nodes: 2})
	n := f.Nodes[0]
	works := func(t *testing.T) {
		t.Helper()
		if out, err := ssh(t, f, n, "echo hello"); err != nil || out != "hello" {
			t.Fatalf("%v: %s", err, out)
		}
	}
	fails := func(t *testing.T, why string) {
		t.Helper()
		impatient := append([]string{"ssh", "-o", "ConnectTimeout=1"}, sshOptions(t, f)...)
		out, err := run(t, f, append(impatient, n.Name, "echo hello")...)
		if err == nil {
			t.Error("it works")
		}
		mustContain(t, out, why)
		if out, err := ssh(t, f, f.Nodes[1], "echo hello"); err != nil {
			t.Errorf("the other node fails as well: %v: %s", err, out)
		}
	}
	t.Run("refused", func(t *testing.T) {
		session := open(t, f, n, "echo ready; cat")
		n.StopSSH(t)
		fails(t, "Connection refused")
		if session.Wait() == nil {
			t.Error("a session that was there ended well")
		}
		n.StartSSH(t)
		works(t)
	})
	t.Run("black hole", func(t *testing.T) {
		session := open(t, f, n, "echo ready; cat")
		n.Blackhole(t)
		fails(t, "Connection timed out")
		n.Thaw(t)
		works(t)
		n.WaitConnections(t, 1) // the session that was in the black hole
		_ = session.Process.Kill()
		_ = session.Wait()
	})
	t.Run("frozen", func(t *testing.T) {
		n.Freeze()
		fails(t, "timed out during banner exchange")
		n.Thaw(t)
		works(t)
	})
	t.Run("cut", func(t *testing.T) {
		session := open(t, f, n, "echo ready; cat")
		n.Cut()
		if session.Wait() == nil {
			t.Error("a session that was cut ended well")
		}
		works(t)
	})
	t.Run("another host key", func(t *testing.T) {
		old := n.HostKey
		n.ChangeHostKey(t)
		if n.HostKey == old {
			t.Error("the key is the same")
		}
		fails(t, "Host key verification failed")
	})
	t.Run("off", func(t *testing.T) {
		f.Nodes[0].PowerOff()
		fails(t, "Connection refused")
	})
}

func TestCutDuringCopy(t *testing.T) {
	f := fleet.Start(t, fleet.Options{Nodes: 1, Payload: 4 << 20})
	n := f.Nodes[0]
	path := f.Provider.Build(t)["n1/system"]
	sign(t, f, path)
	n.CutAfter(1 << 20)
	// Nix sometimes ends with 0 if a connection breaks off.
	if out, _ := push(t, f, n, path); n.Has(path) || !strings.Contains(out, "copying path") {
		t.Errorf("the copy was not cut: %s", out)
	}
	if out, err := ssh(t, f, n, "echo hello"); err != nil {
		t.Errorf("few bytes do not pass: %v: %s", err, out)
	}
	n.CutAfter(0)
	if out, err := push(t, f, n, path); err != nil || !n.Has(path) {
		t.Errorf("%v: %s", err, out)
	}
}

func TestFullDisk(t *testing.T) {
	f := fleet.Start(t, fleet.Options{Nodes: 2, Payload: 4 << 20})
	n := f.Nodes[0]
	path := f.Provider.Build(t)["n1/system"]
	sign(t, f, path)
	n.FillDisk(t, 1<<20)
	out, err := push(t, f, n, path)
	if err == nil || n.Has(path) {
		t.Error("the copy found room")
	}
	mustContain(t, out, "No space left on device")
	if out, err := push(t, f, f.Nodes[1], path); err != nil {
		t.Errorf("the other node has none either: %v: %s", err, out)
	}
	n.FreeDisk(t)
	if out, err := push(t, f, n, path); err != nil || !n.Has(path) {
		t.Errorf("%v: %s", err, out)
	}
}

// The faults that a preflight must find.
func TestStates(t *testing.T) {
	f := fleet.Start(t, fleet.Options{Nodes: 1, Environments: 2})
	n := f.Nodes[0]
	first, second := n.Users()[0], n.Users()[1]
	n.RemoveUser(t, first)
	n.AddUser(t, "bob", 40000)
	n.OpenTemp(t, second)
	n.RemoveTemp(t, first)
	n.OtherOS(t)
	n.HidePID(t)
	n.Program(t, "systemctl", "#!/bin/sh\necho \"systemctl $*\"\n")
	for command, want := range map[string]string{
		"id -u " + first + " 2>/dev/null || echo none":                     "none",
		"getent passwd 40000 | cut -d: -f1":                                "bob",
		"stat -c %a /run/hostenv/deploy/" + second:                         "777",
		"ls -d /run/hostenv/deploy/" + first + " 2>/dev/null || echo none": "none",
		". /etc/os-release; echo $ID":                                      "debian",
		"ls -d /proc/1 2>/dev/null || echo hidden":                         "hidden",
		"systemctl start x":                                                "systemctl start x",
	} {
		if got, err := ssh(t, f, n, command); err != nil || got != want {
			t.Errorf("%s\n got %s (%v)\nwant %s", command, got, err, want)
		}
	}
	if _, err := n.ExecAs(first, "true"); err == nil || !strings.Contains(err.Error(), "no user") {
		t.Error(err)
	}
}

// Check finds a fault that was not undone, and no fault after it was undone.
func TestCheck(t *testing.T) {
	f := fleet.Start(t, fleet.Options{Nodes: 2, Environments: 1, Deployed: true})
	n := f.Nodes[0]
	user := n.Users()[0]
	uid := n.Deploy().Profiles[1].UID
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	for _, fault := range []struct {
		name, says string
		do, undo   func()
	}{
		{"its sshd is stopped", "n1: connections to it are still refused", func() { n.StopSSH(t) }, func() { n.StartSSH(t) }},
		{"it is frozen", "n1: connections to it are still refused", n.Freeze, func() { n.Thaw(t) }},
		{"connections are cut", "n1: connections to it are still refused", func() { n.CutAfter(1) }, func() { n.CutAfter(0) }},
		{"a user is missing", "/etc/passwd is", func() { n.RemoveUser(t, user) }, func() { n.AddUser(t, user, uid) }},
		{"a folder is open", "/run/hostenv/deploy/" + user + " is", func() { n.OpenTemp(t, user) }, func() {
			must(t, os.Chmod(n.Path("/run/hostenv/deploy/"+user), 0o700))
		}},
		{"the disk is full", "the mount at /nix is", func() { n.FillDisk(t, 1<<20) }, func() { n.FreeDisk(t) }},
		{"processes are hidden", "the mount at /proc is", func() { n.HidePID(t) }, func() {
			_, err := n.Exec("/usr/bin/mount", "-o", "remount,hidepid=0", "/proc")
			must(t, err)
		}},
		{"it trusts another key", "/etc/nix/nix.conf is", func() { n.Trust(t, "other-1:BBBBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=") }, func() { n.Trust(t, f.PublicKey) }},
		{"sshd refuses every user", "Permission denied", func() { must(t, os.Chmod(n.Path("/etc/ssh/authorized_keys.d"), 0o777)) }, func() { must(t, os.Chmod(n.Path("/etc/ssh/authorized_keys.d"), 0o755)) }},
	} {
		fault.do()
		if err := f.Check(); err == nil || !strings.Contains(err.Error(), fault.says) {
			t.Errorf("%s, and what is found is %v", fault.name, err)
		}
		fault.undo()
		if err := f.Check(); err != nil {
			t.Errorf("%s no more, and what is found is %v", fault.name, err)
		}
	}
}

// A second fleet can start after the first one has ended.
func TestEnd(t *testing.T) {
	first := fleet.Start(t, fleet.Options{Nodes: 1})
	first.End()
	second := fleet.Start(t, fleet.Options{Nodes: 1})
	if err := second.Check(); err != nil {
		t.Error(err)
	}
	if first.Nodes[0].HostKey == second.Nodes[0].HostKey {
		t.Error("it is the same fleet")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
