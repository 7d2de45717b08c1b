package nix_test

import (
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// silent listens, takes connections, and answers nothing. It counts them.
func silent(t *testing.T) (address string, connections *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	connections = &atomic.Int32{}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			t.Cleanup(func() { c.Close() })
		}
	}()
	return listener.Addr().String(), connections
}

// A source whose server does not answer fails alone, and a repository costs its time
// once.
func TestSourceThatHangs(t *testing.T) {
	site := repository(t, "main", "next")
	each(t, func(t *testing.T, n nix) {
		address, connections := silent(t)
		runner := n.runner(realTempDir(t))
		runner.FetchTime, runner.Jobs = 4*time.Second, 1
		slow := func(ref string) map[string]any {
			return map[string]any{"type": "git", "url": "git://" + address + "/site.git", "ref": ref}
		}
		locked, err := runner.LockSources(t.Context(), []map[string]any{
			git(site, "main"), slow("main"), slow("next"), slow("third"), {"type": "tarball", "url": "http://" + address + "/x.tar.gz"}, git(site, "next"),
		})
		if len(locked) != 6 || locked[0].Rev == "" || locked[5].Rev == "" {
			t.Errorf("locked are %v", locked)
		}
		var texts []string
		for _, err := range problem.Leaves(err) {
			texts = append(texts, err.Error())
		}
		all := strings.Join(texts, "\n")
		if len(texts) != 4 || strings.Count(all, "it could not be fetched within 4s: its server does not answer, or is too slow") != 2 || strings.Count(all, "of the same repository could not be fetched") != 2 {
			t.Errorf("failed are:\n%s", all)
		}
		if connections.Load() == 0 {
			t.Error("the server was not asked")
		}
	})
}

// A command ends when its processes move no byte, but not while they do.
func TestStall(t *testing.T) {
	if _, err := os.Stat("/proc/self/io"); err != nil {
		t.Skip("without /proc")
	}
	testenv.Need(t, "nix") // a Runner asks for it first
	run := func(script string) error {
		r := &hostnix.Runner{}
		_, err := r.Run(t.Context(), hostnix.Command{Program: "/bin/sh", Args: []string{"-c", script}, Stall: 3 * time.Second})
		return err
	}
	for _, tt := range []struct {
		reason, script string
		stalls         bool
	}{
		{"it waits", "sleep 100", true},
		{"a child ignores SIGTERM", "trap '' TERM; sleep 100 & wait; sleep 100", true},
		{"it is stopped", "kill -STOP $$", true},
		{"it writes a little", "for i in $(seq 45); do sleep 0.1; echo x; done >/dev/null", false},
		{"a child reads", "(for i in $(seq 45); do sleep 0.1; head -c 1 /dev/zero; done) >/dev/null", false},
		{"only ssh writes", "ln -sf /bin/sh ./ssh; ./ssh -c 'while :; do echo x; sleep 0.1; done' >/dev/null", true},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := run(tt.script); errors.As(err, new(*hostnix.StalledError)) != tt.stalls {
				t.Errorf("it ends with %v", err)
			}
		})
	}
}
