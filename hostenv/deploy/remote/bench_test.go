package remote_test

import (
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// BenchmarkOpen measures a whole session: ssh, the lock and an observation.
func BenchmarkOpen(b *testing.B) {
	m := newMachine(b, profiles, "")
	r := m.remote(b)
	for b.Loop() {
		s, err := r.Open(b.Context(), m.Node, lockAs("bench", 0))
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkObserve measures one more observation in an open session.
func BenchmarkObserve(b *testing.B) {
	m := newMachine(b, profiles, "")
	s := m.open(b, deploy.OpenOptions{})
	for b.Loop() {
		if _, err := s.Observe(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSSH measures only ssh, for comparison.
func BenchmarkSSH(b *testing.B) {
	m := newMachine(b, "", "")
	c := config(b, m.Node)
	for b.Loop() {
		run(b, "ssh", "-F", c.Path, "n1", "true")
	}
}

// TestProcesses counts the processes of an idle session on the node.
func TestProcesses(t *testing.T) {
	m := newMachine(t, "", "")
	before := strings.Count(m.sh(t, "echo /proc/[0-9]*"), " ")
	m.open(t, lockAs("alice", 0))
	after := strings.Count(m.sh(t, "echo /proc/[0-9]*"), " ")
	if n := after - before; n > 5 { // sshd twice, sh, its reader, its servant
		t.Errorf("a session is %d processes:\n%s", n, m.sh(t, "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline | cut -c1-100; echo; done"))
	}
}
