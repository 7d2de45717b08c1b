package remote_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A machine is a node on loopback: an sshd with users, sudo, processes and a
// /nix of its own.
type machine struct {
	deploy.Node
	dir string
	pid int // of its first process, whose namespaces are the node's
}

// newMachine starts one. Setup is shell text that runs on it first, as root;
// settings are more lines of sshd_config.
func newMachine(t testing.TB, setup, settings string) *machine {
	t.Helper()
	for _, tool := range []string{"namespaces", "sudo", "ssh"} {
		testenv.Need(t, tool)
	}
	sshd := testenv.Need(t, "sshd")
	m := &machine{dir: t.TempDir()}
	for _, key := range []string{"host", "client", "stranger"} {
		run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", key, "-f", m.file(key))
	}
	m.copy(t, "authorized_keys", read(t, m.file("client.pub")))
	m.copy(t, "sudoers", read(t, "testdata/sudoers"))
	if err := os.Chmod(m.file("sudoers"), 0o440); err != nil {
		t.Fatal(err)
	}
	m.copy(t, "setup.sh", setup)
	port := freePort(t)
	// Of a keyword sshd takes the first value, too.
	m.copy(t, "sshd_config", settings+fmt.Sprintf("\nListenAddress 127.0.0.1\nPort %d\nHostKey /mnt/host\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\n", port))

	cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "sh", "testdata/node.sh", m.dir, sshd)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var output strings.Builder
	lines := bufio.NewScanner(stderr)
	for lines.Scan() && !strings.Contains(lines.Text(), "Server listening") {
		output.WriteString(lines.Text() + "\n")
	}
	if lines.Err() != nil || !strings.Contains(lines.Text(), "Server listening") {
		t.Fatalf("sshd does not start:\n%s", output.String())
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(children), &m.pid); err != nil {
		t.Fatal(err)
	}

	key := strings.Fields(read(t, m.file("host.pub")))
	m.Node = deploy.Node{
		Name: "n1", Address: "127.0.0.1", Port: port, User: "deploy", HostKey: key[0] + " " + key[1],
		SSHOptions: []string{"-F", "none", "-i", m.file("client"), "-o", "IdentitiesOnly=yes"},
		TempPath:   "/run/hostenv/deploy",
		Profiles: []deploy.Profile{
			{Node: "n1", Name: "system", User: "root", Link: "/nix/var/nix/profiles/system", Temp: "/run/hostenv/deploy"},
			{Node: "n1", Name: "site", User: "site", UID: 40001, Link: "/nix/var/nix/profiles/per-user/site/hostenv", Temp: "/run/hostenv/deploy/site"},
		},
	}
	return m
}

// eachShell does a test on nodes whose sh is this machine's, and on one where it
// is bash, as on NixOS: shell is what makes it so.
func eachShell(t *testing.T, test func(t *testing.T, shell string)) {
	t.Run("sh", func(t *testing.T) { test(t, "") })
	t.Run("bash", func(t *testing.T) {
		bash := testenv.Need(t, "bash")
		test(t, "mount --bind "+bash+" \"$(readlink -f /bin/sh)\"\n")
	})
}

func (m *machine) file(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) copy(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(m.file(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// sh runs shell text on the node as root, and not by ssh.
func (m *machine) sh(t testing.TB, script string, args ...string) string {
	t.Helper()
	return run(t, "nsenter", append([]string{"-t", fmt.Sprint(m.pid), "-m", "-p", "sh", "-euc", script, "sh"}, args...)...)
}

// site returns the node's environment.
func (m *machine) site() deploy.Profile { return m.Profiles[1] }

// open opens a session that ends with the test.
func (m *machine) open(t testing.TB, how deploy.OpenOptions) deploy.Session {
	t.Helper()
	s, err := m.remote(t).Open(t.Context(), m.Node, how)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// remote writes an ssh_config of only this node.
func (m *machine) remote(t testing.TB) *remote.Remote {
	t.Helper()
	return remote.New(config(t, m.Node))
}

func config(t testing.TB, nodes ...deploy.Node) *remote.Config {
	t.Helper()
	testenv.Need(t, "ssh")
	c, err := remote.Write(t.Context(), "", nodes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func run(t testing.TB, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, stderr.String())
	}
	return string(out)
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
