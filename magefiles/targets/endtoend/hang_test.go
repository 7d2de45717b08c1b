package endtoend_test

import (
	"strings"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// hangs lets the activations of a profile run a script, but for the path that is active
// now: the way back works. The script's processes have an argument by which left finds them.
func hangs(t *testing.T, n *fleet.Node, user, script string) (left func() []string) {
	t.Helper()
	const mark = "1234.5" // seconds of a sleep
	n.OnActivation(t, user, fleet.Behaviour{Run: "if [ \"$(readlink -f -- \"$PROFILE\")\" = " + n.Active(t, user) + " ]; then exit 0; fi\n" + strings.ReplaceAll(script, "MARK", mark)})
	return func() (found []string) {
		for pid, command := range n.Processes(t) {
			if strings.Contains(command, mark) || strings.HasPrefix(command, "yes") {
				found = append(found, pid+" "+command)
			}
		}
		return found
	}
}

// Activations that hang, print without end or leave processes: the node ends them and goes
// back, also when the machine that deploys is gone, and other environments are deployed.
func TestActivationsThatHang(t *testing.T) {
	backEnds(t, func(t *testing.T, programs string) {
		w := newWorld(t, programs, fleet.Options{Nodes: 1, Environments: 2})
		w.Provider.Replan(t, func(all map[string]any) {
			all["provider"].(map[string]any)["activationTimeout"] = map[string]any{"default": 15}
		})
		w.wants(w.deploy(), 0)
		n := w.Nodes[0]
		user, other := n.Users()[0], n.Users()[1]
		version := 1
		for _, tt := range []struct {
			reason, script string
			state          deploy.State
			why            deploy.Reason
			says           string
		}{
			{"it hangs, with children that ignore SIGTERM", "trap '' TERM\nsetsid sleep MARK &\nsleep MARK &\nsleep MARK >/dev/null 2>&1 &\nwhile :; do sleep 0.2; done", deploy.StateFailed, deploy.ReasonTimeout, "its activation took longer than 15 seconds, and the node ended it"},
			{"it is stopped", "sleep MARK &\nkill -STOP $$", deploy.StateFailed, deploy.ReasonTimeout, "its activation took longer than 15 seconds, and the node ended it"},
			{"it leaves processes with its output", "sleep MARK &\nsetsid yes &", deploy.StateActive, "", ""},
			{"it fails, and leaves processes", "sleep MARK &\nsleep MARK >/dev/null 2>&1 &\nexit 3", deploy.StateFailed, deploy.ReasonActivation, "exit status 3"},
		} {
			version++
			w.Provider.SetVersion(t, string(rune('0'+version)))
			paths := w.Provider.Paths(t)
			old := n.Active(t, user)
			left := hangs(t, n, user, tt.script)
			code := deploy.ExitPartial
			if tt.state == deploy.StateActive {
				code = deploy.ExitDone
			}
			begun := time.Now()
			r := w.wants(w.deploy(), code)
			t.Logf("%s: %.1f s", tt.reason, time.Since(begun).Seconds())
			for _, p := range w.agrees(r, paths).Profiles {
				if p.Profile == user && (p.State != tt.state || tt.why != "" && p.Reason != tt.why || !strings.Contains(p.Error, tt.says)) {
					t.Errorf("%s: it is %s (%s): %s", tt.reason, p.State, p.Reason, p.Error)
				}
			}
			if at := n.Active(t, user); tt.state == deploy.StateFailed && at != old {
				t.Errorf("%s: the node has %s, not %s", tt.reason, at, old)
			}
			if at := n.Active(t, other); at != paths["n1/"+other] {
				t.Errorf("%s: the other environment is at %s", tt.reason, at)
			}
			if found := left(); len(found) > 0 {
				t.Errorf("%s: still running: %q", tt.reason, found)
			}
			n.OnActivation(t, user, fleet.Behaviour{})
		}

		// The machine that deploys is gone.
		version++
		w.Provider.SetVersion(t, string(rune('0'+version)), "n1/"+user)
		left := hangs(t, n, user, "trap '' TERM HUP\nsleep MARK &\nwhile :; do sleep 0.2; done")
		old := n.Active(t, user)
		p := w.start(w.deployArgs()...)
		p.until("the activation", func() bool { return len(left()) > 0 })
		p.signal(9)
		n.Cut()
		<-p.ended
		if !testenv.Poll(func() bool { return len(left()) == 0 }) {
			t.Errorf("still running: %q", left())
		}
		n.OnActivation(t, user, fleet.Behaviour{})
		w.wants(w.deploy("-resume"), 0)
		if at := n.Active(t, user); at == old {
			t.Errorf("a resumed run leaves the node at %s", at)
		}
	})
}
