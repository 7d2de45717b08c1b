package remote_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// TestErrors tests every cause for which a session does not begin.
func TestErrors(t *testing.T) {
	m := newMachine(t, "", "")
	closing, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and closes at once
	if err != nil {
		t.Fatal(err)
	}
	defer closing.Close()
	var asked atomic.Int32
	go func() {
		for {
			c, err := closing.Accept()
			if err != nil {
				return
			}
			asked.Add(1)
			_ = c.Close()
		}
	}()
	stranger := strings.Fields(read(t, m.file("stranger.pub")))

	var (
		unreachable *deploy.UnreachableError
		hostKey     *deploy.HostKeyError
		auth        *remote.AuthError
	)
	tests := []struct {
		name   string
		change func(*deploy.Node)
		as     any
		want   string
	}{
		{"no process listens", func(n *deploy.Node) { n.Port = freePort(t) }, &unreachable, "Connection refused"},
		{"no such name", func(n *deploy.Node) { n.Address = "nowhere.invalid" }, &unreachable, "Could not resolve hostname"},
		{"no route", func(n *deploy.Node) {
			n.Address = "192.0.2.1"
			n.SSHOptions = append(n.SSHOptions, "-o", "ConnectTimeout=1")
		}, &unreachable, ""},
		{"dropped", func(n *deploy.Node) { n.Port = closing.Addr().(*net.TCPAddr).Port }, &unreachable, "kex_exchange_identification"},
		{"a jump host that does not answer", func(n *deploy.Node) {
			n.SSHOptions = append(n.SSHOptions, "-J", fmt.Sprintf("127.0.0.1:%d", freePort(t)))
		}, &unreachable, ""},
		{"another host key", func(n *deploy.Node) { n.HostKey = stranger[0] + " " + stranger[1] }, &hostKey, "another host key than the plan names: ED25519 SHA256:"},
		{"a key that the node refuses", func(n *deploy.Node) { n.SSHOptions[3] = m.file("stranger") }, &auth, "Permission denied (publickey)"},
		{"a user that does not exist", func(n *deploy.Node) { n.User = "nosuch" }, &auth, "Permission denied (publickey)"},
	}
	for _, test := range tests {
		n := m.Node
		n.SSHOptions = append([]string(nil), n.SSHOptions...)
		test.change(&n)
		_, err := remote.New(config(t, n)).Open(t.Context(), n, deploy.OpenOptions{})
		if err == nil || !errors.As(err, test.as) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %T %v", test.name, err, err)
			continue
		}
		if hint, ok := err.(interface{ Hint() string }); !ok || hint.Hint() == "" {
			t.Errorf("%s: there is no hint", test.name)
		}
		if errors.As(err, &auth) && test.name == "a key that the node refuses" && !strings.Contains(auth.Hint(), m.file("stranger.pub")) {
			t.Errorf("the hint does not name the key: %s", auth.Hint())
		}
	}
	if n := asked.Load(); n < 2 {
		t.Errorf("a connection that is dropped is tried %d times", n)
	}

	// The login succeeds, but there is no shell.
	m.sh(t, "sed -i 's,^\\(deploy:.*\\):/bin/sh$,\\1:/usr/sbin/nologin,' /etc/passwd 2>/dev/null || { sed 's,^\\(deploy:.*\\):/bin/sh$,\\1:/usr/sbin/nologin,' /etc/passwd >/run/p && cat /run/p >/etc/passwd; }")
	_, err = m.remote(t).Open(t.Context(), m.Node, deploy.OpenOptions{})
	if err == nil || !strings.Contains(err.Error(), "node n1 does not start a session: ") || !strings.Contains(err.Error(), "not available") || problem.Hint(err) == "" {
		t.Errorf("no shell: %T %v", err, err)
	}
}

// TestNoise tests a login shell that prints to stdout and stderr.
func TestNoise(t *testing.T) {
	m := newMachine(t, "printf 'echo ready; echo hostenv-agent; printf .WzBd; echo to stderr >&2\\n' >/home/deploy/.ssh/rc", "")
	s := m.open(t, lockAs("alice", 0))
	if got := s.Observation().Printed; got != "ready; hostenv-agent; .WzBd" {
		t.Errorf("it printed %q", got)
	}
	m.sh(t, "echo 'echo more >&2' >/home/deploy/.ssh/rc")
	s = m.open(t, deploy.OpenOptions{})
	if got := s.Observation().Printed; got != "" {
		t.Errorf("without output it printed %q", got)
	}
}

// TestCommandFails checks that the output of a failed command is kept.
func TestCommandFails(t *testing.T) { eachShell(t, testCommandFails) }

func testCommandFails(t *testing.T, shell string) {
	m := newMachine(t, shell, "")
	s := m.open(t, deploy.OpenOptions{})
	out, err := s.Run(t.Context(), "deploy", nil, "sh", "-c", "echo out; echo 'err [1] .' >&2; exit 42")
	var failed *remote.CommandError
	if !errors.As(err, &failed) || failed.Status != 42 || failed.Stderr != "err [1] ." || string(out) != "out\n" {
		t.Errorf("the output is %q, %v", out, err)
	}
	_, err = s.Run(t.Context(), "deploy", nil, "sh", "-c", "seq 100000 >&2; echo the end >&2; exit 1")
	if !errors.As(err, &failed) || !strings.HasSuffix(failed.Stderr, "the end") || len(failed.Stderr) > 1<<16 {
		t.Errorf("of a long stderr is left %d bytes", len(failed.Stderr))
	}
	if _, err = s.Run(t.Context(), "other", nil, "id"); !errors.As(err, &failed) || failed.Hint() == "" {
		t.Errorf("what sudo refuses: %v", err)
	}
	if _, err = s.Run(t.Context(), "deploy", nil, "/no/such"); !errors.As(err, &failed) || failed.Status != 127 {
		t.Errorf("no such command: %v", err)
	}
	if out, err := s.Run(t.Context(), "deploy", nil, "echo", "fine"); err != nil || string(out) != "fine\n" {
		t.Errorf("afterwards: %q, %v", out, err)
	}
}

// TestCancelledOpen ends at once, and leaves no ssh.
func TestCancelledOpen(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	n := deploy.Node{Name: "n1", Address: "127.0.0.1", Port: silent.Addr().(*net.TCPAddr).Port, User: "deploy"}
	r := remote.New(config(t, n))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if c, err := silent.Accept(); err == nil {
			defer c.Close()
			cancel()
			buf := make([]byte, 1024)
			for err == nil { // until ssh is gone
				_, err = c.Read(buf)
			}
		}
	}()
	if _, err := r.Open(ctx, n, deploy.OpenOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("it gets %v", err)
	}
}

// TestManySessions opens more sessions at once than sshd allows, with its default
// MaxStartups and with one so low that the logins must be repeated.
func TestManySessions(t *testing.T) {
	for _, settings := range []string{"", "MaxStartups 2:50:4"} {
		m := newMachine(t, "", settings)
		r := m.remote(t)
		var wg sync.WaitGroup
		var mu sync.Mutex
		var sessions []deploy.Session
		count := 30
		if settings != "" {
			count = 10
		}
		for range count {
			wg.Go(func() {
				s, err := r.Open(t.Context(), m.Node, deploy.OpenOptions{})
				if err != nil {
					t.Errorf("%s: %v", settings, err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				sessions = append(sessions, s)
			})
		}
		wg.Wait()
		for _, s := range sessions {
			wg.Go(func() {
				if out, err := s.Run(t.Context(), "deploy", nil, "echo", "fine"); err != nil || string(out) != "fine\n" {
					t.Errorf("one of many: %q, %v", out, err)
				}
				_ = s.Close()
			})
		}
		wg.Wait()
	}
}

// TestFirstUse accepts a host key that is not in the plan, and names the node.
func TestFirstUse(t *testing.T) {
	m := newMachine(t, "", "")
	t.Setenv("HOME", t.TempDir())
	n := m.Node
	n.HostKey = ""
	known := m.file("known")
	n.SSHOptions = append(n.SSHOptions, "-oUserKnownHostsFile="+known)
	c := config(t, n)
	if len(c.Unpinned) != 1 || c.Unpinned[0] != "n1" {
		t.Errorf("unpinned are %q", c.Unpinned)
	}
	for range 2 {
		s, err := remote.New(c).Open(t.Context(), n, deploy.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
	}
	if got := read(t, known); !strings.Contains(got, strings.Fields(read(t, m.file("host.pub")))[1]) {
		t.Errorf("known is %q", got)
	}
	// The next time it must be the same.
	if err := os.WriteFile(known, []byte(fmt.Sprintf("[127.0.0.1]:%d %s", n.Port, read(t, m.file("stranger.pub")))), 0o600); err != nil {
		t.Fatal(err)
	}
	var hostKey *deploy.HostKeyError
	if _, err := remote.New(c).Open(t.Context(), n, deploy.OpenOptions{}); !errors.As(err, &hostKey) {
		t.Errorf("another key: %v", err)
	}
}

// If the provider sets a host key, nothing else can confirm another one: neither a
// command in the node's options or in the user's ssh_config, nor a record in DNS.
func TestPinnedKeyAlone(t *testing.T) {
	m := newMachine(t, "", "")
	n := m.Node
	stranger := strings.Fields(read(t, m.file("stranger.pub")))
	n.HostKey = stranger[0] + " " + stranger[1]
	host := strings.Fields(read(t, m.file("host.pub")))
	m.copy(t, "vouch", fmt.Sprintf("#!/bin/sh\necho 'n1 %s %s'\n", host[0], host[1]))
	if err := os.Chmod(m.file("vouch"), 0o755); err != nil {
		t.Fatal(err)
	}
	m.copy(t, "config", "Host *\n  KnownHostsCommand "+m.file("vouch")+"\n  VerifyHostKeyDNS yes\n")
	for _, options := range [][]string{{"-F", m.file("config")}, {"-F", "none", "-oKnownHostsCommand=" + m.file("vouch"), "-oVerifyHostKeyDNS=yes"}} {
		n.SSHOptions = append(options, "-i", m.file("client"), "-o", "IdentitiesOnly=yes")
		c := config(t, n)
		s, err := remote.New(c).Open(t.Context(), n, deploy.OpenOptions{})
		if err == nil {
			_ = s.Close()
		}
		var hostKey *deploy.HostKeyError
		if !errors.As(err, &hostKey) {
			t.Errorf("%q: another key: %v", options, err)
		}
		if got := understood(t, c, "n1")["verifyhostkeydns"]; got != "false" {
			t.Errorf("%q: VerifyHostKeyDNS is %s", options, got)
		}
	}
}

// A node that hangs after the login is unreachable, and does not delay other nodes.
// A node whose lock is held is waited for.
func TestSilentNode(t *testing.T) {
	m := newMachine(t, "mkdir -p /run/state && touch /run/state/hang", "ForceCommand [ ! -e /run/state/hang ] || sleep 600; exec sh -c \"$SSH_ORIGINAL_COMMAND\"")
	r := m.remote(t)
	r.Patience = 2 * time.Second
	var unreachable *deploy.UnreachableError
	if _, err := r.Open(t.Context(), m.Node, deploy.OpenOptions{}); !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "no answer for 2s") {
		t.Errorf("it hangs: %v", err)
	}
	m.sh(t, "rm /run/state/hang")
	r.Patience = testenv.Patience
	began := time.Now()
	first, err := r.Open(t.Context(), m.Node, lockAs("alice", 0))
	if err != nil {
		t.Fatal(err)
	}
	// Enough to come to the lock, on a machine as slow as this one.
	r.Patience = max(2*time.Second, 5*time.Since(began))
	how := lockAs("bob", testenv.Patience)
	how.Waiting = func(*deploy.LockedError) {
		time.AfterFunc(r.Patience+time.Second, func() { _ = first.Close() })
	}
	second, err := r.Open(t.Context(), m.Node, how)
	if err != nil {
		t.Fatal(err)
	}
	_ = second.Close()
}

// TestSudo: what sudo refuses is known before anything is activated.
func TestSudo(t *testing.T) {
	m := newMachine(t, "", "")
	s := m.open(t, deploy.OpenOptions{})
	refuses := func() string {
		t.Helper()
		return m.open(t, deploy.OpenOptions{}).Observation().Sudo
	}
	if got := s.Observation().Sudo; got != "" {
		t.Errorf("with all rules: %q", got)
	}
	// sudo is asked once in a session.
	if o, err := s.Observe(t.Context()); err != nil || o.Sudo != "" {
		t.Errorf("observed again: %q, %v", o.Sudo, err)
	}
	write := func(text string) { m.sh(t, `printf '%s\n' "$1" >/etc/sudoers`, text) }
	rules := read(t, "testdata/sudoers")
	write("Defaults:deploy requiretty\n" + rules)
	if got := refuses(); !strings.Contains(got, "you must have a tty to run sudo") {
		t.Errorf("a terminal is wanted: %q", got)
	}
	_, err := s.Run(t.Context(), "site", nil, "id")
	if !strings.Contains(problem.Hint(err), "requiretty") {
		t.Errorf("%v, hint %q", err, problem.Hint(err))
	}
	write("root ALL=(ALL) ALL")
	if got := refuses(); !strings.Contains(got, "a password is required") {
		t.Errorf("there is no rule: %q", got)
	}
	write("deploy ALL=(site) NOPASSWD: /usr/bin/id")
	if got := refuses(); got != "no rule of sudo allows it" {
		t.Errorf("there is another rule: %q", got)
	}
	write("deploy ALL=(ALL) NOPASSWD: ALL")
	if got := refuses(); got != "" {
		t.Errorf("all is allowed: %q", got)
	}
}

// TestKeys: what keeps ssh from logging in, though the operator has a key for the node.
func TestKeys(t *testing.T) {
	m := newMachine(t, "", "")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("SSH_AUTH_SOCK", "")
	dir := t.TempDir()
	var auth *remote.AuthError
	refused := func(n deploy.Node) string {
		t.Helper()
		_, err := remote.New(config(t, n)).Open(t.Context(), n, deploy.OpenOptions{})
		if !errors.As(err, &auth) {
			t.Fatalf("it logs in: %v", err)
		}
		return problem.Hint(err)
	}

	// A key with a passphrase, and no agent.
	key := dir + "/key"
	run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", key)
	m.sh(t, `cat >>/home/deploy/.ssh/authorized_keys <<END
$1
END`, read(t, key+".pub"))
	n := m.Node
	n.SSHOptions = []string{"-F", "none", "-o", "IdentitiesOnly=yes", "-i", key}
	if hint := refused(n); !strings.Contains(hint, "`ssh-add "+key+"`") {
		t.Errorf("a key with a passphrase: %s", hint)
	}

	// An agent with more keys than the node tries.
	socket := dir + "/agent"
	agent := exec.Command("ssh-agent", "-D", "-a", socket)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = agent.Process.Kill(); _ = agent.Wait() })
	testenv.Await(t, "the start of the ssh-agent", func() bool { _, err := os.Stat(socket); return err == nil })
	t.Setenv("SSH_AUTH_SOCK", socket)
	for i := range 8 {
		other := fmt.Sprintf("%s/other-%d", dir, i)
		run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other)
		run(t, "ssh-add", "-q", other)
	}
	n.SSHOptions = []string{"-F", "none"}
	if hint := refused(n); !strings.Contains(auth.Cause, "Too many authentication failures") || !strings.Contains(hint, "Host n1\n  IdentitiesOnly yes\n") {
		t.Errorf("many keys: %s; %s", auth.Cause, hint)
	}
}
