package endtoend_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

// A customer's build does not end: all other profiles become active meanwhile, also on its
// node. When it ends, the customer's environment follows.
func TestSlowBuild(t *testing.T) {
	backEnds(t, func(t *testing.T, programs string) {
		w := newWorld(t, programs, fleet.Options{Nodes: 2, Environments: 2})
		user := w.Nodes[0].Users()[0]
		file := filepath.Join(w.Provider.Dir, "flake.nix")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		goes := filepath.Join(t.TempDir(), "goes")
		const line = "mkdir -p $out/bin $out/share\n"
		slow := strings.Replace(string(text), line, line+"if [ $profile = n1/"+user+" ]; then until [ -e "+goes+" ]; do sleep 0.2; done; fi\n", 1)
		if slow == string(text) {
			t.Fatalf("the flake has no %q", line)
		}
		if err := os.WriteFile(file, []byte(slow), 0o644); err != nil {
			t.Fatal(err)
		}
		w.Provider.SetVersion(t, "2")
		paths := w.Provider.Paths(t)
		p := w.start(w.deployArgs()...)
		others := func() bool {
			for _, n := range w.Nodes {
				for _, profile := range n.Profiles() {
					if profile != user && n.Active(t, profile) != paths[n.Name+"/"+profile] {
						return false
					}
				}
			}
			return true
		}
		if p.until("the activation of all others", others) {
			t.Fatalf("the run ended: %s", p.result())
		}
		if at := w.Nodes[0].Active(t, user); at != "" {
			t.Errorf("%s is at %s before it is built", user, at)
		}
		if err := os.WriteFile(goes, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		w.agrees(w.wants(p.wait(), 0), paths)
		w.atPlan(paths, 1)
		for _, o := range w.outcome().Profiles {
			if o.State != deploy.StateActive {
				t.Errorf("%s/%s is %s", o.Node, o.Profile, o.State)
			}
		}
	})
}
