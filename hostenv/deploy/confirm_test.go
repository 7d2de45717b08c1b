package deploy_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// If deploy-rs loses its connections while a system is activated, the run confirms the
// activation over a new one. Without a new connection the node goes back, and the run
// reports that, though its old connection still answers.
func TestConfirmsAfterACut(t *testing.T) {
	for _, test := range []struct {
		reason      string
		unreachable bool // whether no new connection can be made
		active      string
		state       string
	}{
		{"the node is reached again", false, "/nix/store/1-system-n1", "active"},
		{"the node is not reached again", true, "/nix/store/0-system-old", "failed activation"},
	} {
		t.Run(test.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes := fleet(1, 0)
				w := newWorld(t, nodes)
				cut := false
				w.fault = func(op, _, _ string) fault {
					switch {
					case op == "activate":
						cut = true
						return cuts
					case op == "open" && cut && test.unreachable:
						return network
					}
					return none
				}
				r := w.runner(t.TempDir(), "")
				r.Options.Settle = time.Minute
				o, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes)
				if err != nil {
					t.Fatal(err)
				}
				w.agrees(nodes, o)
				if got := states(o)["n1/system"]; got != test.state {
					t.Errorf("the system is %s", got)
				}
				if got := w.nodes["n1"].active["system"]; got != test.active {
					t.Errorf("the node has %s", got)
				}
			})
		})
	}
}
