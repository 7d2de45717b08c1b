package deploy_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// What the network makes fail is tried three times, and what the node decided once.
func TestRetries(t *testing.T) {
	const most = 1000
	for _, tt := range []struct {
		reason string
		op     string // that fails
		fault  fault
		times  int // how often it fails
		mode   deploy.Mode
		prep   func(nodes []deploy.Node, w *world)
		pause  time.Duration // Options.Pause

		calls int
		took  time.Duration
		want  string // of the system
		code  int
	}{
		{reason: "a connection, once", op: "open", fault: network, times: 1, calls: 2, took: 2 * time.Second, want: "active"},
		{reason: "a connection, twice", op: "open", fault: network, times: 2, calls: 3, took: 10 * time.Second, want: "active"},
		{reason: "a connection, twice, with another pause", op: "open", fault: network, times: 2, pause: time.Minute, calls: 3, took: 5 * time.Minute, want: "active"},
		{reason: "no connection", op: "open", fault: network, times: most, calls: 3, took: 10 * time.Second, want: "", code: 1},
		{reason: "no connection that a retry would make", op: "open", fault: fails, times: most, calls: 1, want: "", code: 1},
		{reason: "a lock", op: "open", prep: func(_ []deploy.Node, w *world) { w.nodes["n1"].locked = true }, calls: 1, want: "", code: deploy.ExitLocked},
		{reason: "a preview", op: "open", fault: network, times: most, mode: deploy.Preview, calls: 1, want: "unreachable"},
		{reason: "a look", op: "open", fault: network, times: most, mode: deploy.Look, calls: 1, want: "unreachable"},
		{reason: "a copy, once", op: "push", fault: network, times: 1, calls: 2, took: 2 * time.Second, want: "active"},
		{reason: "a copy, twice", op: "push", fault: network, times: 2, calls: 3, took: 10 * time.Second, want: "active"},
		{reason: "each copy", op: "push", fault: network, times: most, calls: 3, took: 10 * time.Second, want: "failed push", code: 1},
		{reason: "an unsigned path", op: "push", fault: fails, times: most, calls: 1, want: "failed unsigned", code: 1},
		// The daemon of a full disk ends the connection. The second attempt asks for the room.
		{reason: "a full disk", op: "push", fault: failsFull, times: most, calls: 1, took: 2 * time.Second, want: "failed no-room", code: 1},
		{reason: "a build on the node, once", op: "build", fault: network, times: 1, prep: builds, calls: 2, took: 2 * time.Second, want: "active"},
		{reason: "a build that fails", op: "build", fault: fails, times: most, prep: builds, calls: 1, want: "failed build", code: 1},
		{reason: "a build here", op: "build", fault: fails, times: most, calls: 1, want: "failed build", code: 1},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes := fleet(1, 0)
				w := newWorld(t, nodes)
				if tt.prep != nil {
					tt.prep(nodes, w)
				}
				calls := 0
				w.fault = func(op, _, _ string) fault {
					if op == tt.op {
						if calls++; calls <= tt.times {
							return tt.fault
						}
					}
					return none
				}
				r := w.runner(t.TempDir(), "")
				r.Options.Pause = tt.pause
				begun := time.Now()
				o, err := r.Run(t.Context(), tt.mode, nodes, nodes)
				if err != nil {
					t.Fatal(err)
				}
				code := o.Code()
				if tt.mode != deploy.Deploy {
					code = o.PreviewCode(false)
				}
				took := time.Since(begun).Truncate(time.Second)
				if calls != tt.calls || took != tt.took || states(o)["n1/system"] != tt.want || code != tt.code {
					t.Errorf("%d calls in %s: %q, exit code %d; want %d in %s: %q, %d", calls, took, states(o)["n1/system"], code, tt.calls, tt.took, tt.want, tt.code)
				}
				var told []string
				for _, e := range r.Journal.Events() {
					if e.Type == deploy.TypeNode && e.State == deploy.StateRetrying && e.Node == "n1" {
						told = append(told, e.Error)
					}
				}
				if want := tt.calls - 1; tt.fault != failsFull && len(told) != want {
					t.Errorf("the journal has %q, want %d", told, want)
				}
				if len(told) > 0 && (!strings.HasPrefix(told[0], "attempt 2 of 3 in ") || strings.Contains(told[0], "\n")) {
					t.Errorf("the journal has %q", told)
				}
			})
		})
	}
}

// builds lets nodes build for themselves.
func builds(nodes []deploy.Node, _ *world) {
	for i := range nodes {
		nodes[i].RemoteBuild = true
	}
}

// A node that the network keeps from the run does not hold up another, and a copy is
// tried again with a new session, which holds what the first one held.
func TestRetryBesideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fleet(2, 0)
		w := newWorld(t, nodes)
		copies := 0
		w.fault = func(op, node, _ string) fault {
			if op == "push" && node == "n1" {
				if copies++; copies < 3 {
					w.lose("n1") // the session as well
					return network
				}
			}
			return none
		}
		at := map[string]time.Duration{}
		begun := time.Now()
		w.takes = func(op, node string) {
			if op == "activate" {
				at[node] = time.Since(begun)
			}
		}
		if o := w.deploy(nodes); o.Code() != deploy.ExitDone {
			t.Errorf("exit code %d, %v", o.Code(), states(o))
		}
		if diff := cmp.Diff(map[string]time.Duration{"n1": 5 * time.Millisecond, "n2": 0}, at); diff != "" {
			t.Error(diff)
		}
		for _, s := range w.sessions {
			if s.n.Name == "n1" && len(s.held) == 0 {
				t.Error("a session holds nothing")
			}
		}
	})
}

// A run that is stopped does not wait for the next attempt.
func TestStopWhileRetrying(t *testing.T) {
	for _, op := range []string{"open", "push"} {
		synctest.Test(t, func(t *testing.T) {
			nodes := fleet(1, 0)
			w := newWorld(t, nodes)
			w.fault = func(asked, _, _ string) fault {
				if asked == op {
					return network
				}
				return none
			}
			r := w.runner(t.TempDir(), "")
			stop := make(chan struct{})
			r.Stop, r.Options.Pause = stop, time.Hour
			time.AfterFunc(time.Second, func() { close(stop) })
			begun := time.Now()
			o, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes)
			if err != nil || o.Code() != deploy.ExitInterrupted {
				t.Errorf("%s: exit code %d, %v", op, o.Code(), err)
			}
			if took := time.Since(begun); took != time.Second {
				t.Errorf("%s: it took %s", op, took)
			}
		})
	}
}

// The messages of ssh, and whether another attempt may succeed.
func TestTemporary(t *testing.T) {
	for _, cause := range []string{
		"connect to host 192.0.2.1 port 22: Connection refused", "connect to host a.example port 22: Connection timed out", "connect to host a.example port 22: Operation timed out",
		"connect to host 192.0.2.1 port 22: No route to host", "connect to host 2001:db8::1 port 22: Network is unreachable", "connect to host 192.0.2.1 port 22: Host is down",
		"Could not resolve hostname a.example: Temporary failure in name resolution", "kex_exchange_identification: read: Connection reset by peer",
		"kex_exchange_identification: Connection closed by remote host; Connection closed by 192.0.2.1 port 22", "Connection timed out during banner exchange; Connection to 192.0.2.1 port 22 timed out",
		"Connection closed by UNKNOWN port 65535", "Timeout, server n1 not responding.", "client_loop: send disconnect: Broken pipe", "Connection to 192.0.2.1 closed by remote host.",
	} {
		if !(&deploy.UnreachableError{Cause: cause}).Temporary() {
			t.Errorf("not temporary: %s", cause)
		}
	}
	for _, cause := range []string{
		"Could not resolve hostname n1: Name or service not known", "Could not resolve hostname n1: nodename nor servname provided, or not known", "deploy@n1: Permission denied (publickey).",
		"there was no answer for 2m0s", "/tmp/ssh_config: line 3: Bad configuration option: foo", "ssh ended without a message",
	} {
		if (&deploy.UnreachableError{Cause: cause}).Temporary() {
			t.Errorf("temporary: %s", cause)
		}
	}
}
