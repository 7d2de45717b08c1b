package endtoend_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

// large is the fleet of the figures in docs/benchmarks.md.
var large = fleet.Options{Nodes: 8, Environments: 5, Deployed: true}

// evaluations is how many processes of Nix an evaluation of the fleet starts. Its flake has
// no lib.hostenvProvider, so it is evaluated whole, by a process for each node: one
// process for all needs the memory of all, and fails for all. Before these, one asks for
// the version, and one for the settings; that there is no library is known from the first
// run.
const evaluations = 8 + 2

// A deploy of an unchanged fleet only looks: an evaluation, one connection to each node,
// no build, no copy and no activation.
func TestUnchanged(t *testing.T) {
	w := newWorld(t, standIn(t), large)
	w.wants(w.deploy(), 0) // the state then has the node of each environment
	before := w.everything()
	made := w.connections()
	w.ResetCounts(t)
	r := w.wants(w.deploy(), 0)
	contains(t, r.stdout, "48 in sync\n")
	counts := w.Counts(t)
	t.Logf("an unchanged fleet of %d nodes with %d environments each: %v", large.Nodes, large.Environments, counts)
	// One additional ssh checks the settings of all nodes, without a connection.
	if counts["nix"] != evaluations || counts["ssh"] > large.Nodes+1 || others(counts) > 0 {
		t.Errorf("%v were started:\n%s", counts, w.started())
	}
	for i, n := range w.connections() {
		if n -= made[i]; n != 1 {
			t.Errorf("%s was connected to %d times", w.Nodes[i].Name, n)
		}
	}
	w.each(func(n *fleet.Node, profile string) {
		if all := n.Activations(t, profile); len(all) > 0 {
			t.Errorf("%s/%s was activated: %+v", n.Name, profile, all)
		}
	})
	after := w.everything()
	for _, all := range []map[string]string{before, after} {
		// Only these change: the journal, and the node's record of the last lock holder.
		maps.DeleteFunc(all, func(name, _ string) bool {
			return strings.HasPrefix(name, "provider/generated/.hostenv/") || strings.HasSuffix(name, "/.hostenv-deploy/lock")
		})
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}

	w.ResetCounts(t)
	w.wants(w.run("status"), 0)
	counts = w.Counts(t)
	t.Logf("mage status: %v", counts)
	if counts["nix"] != evaluations || counts["ssh"] > large.Nodes+1 || others(counts) > 0 {
		t.Errorf("%v were started:\n%s", counts, w.started())
	}
}

// One of 48 profiles has changed: the deploy acts only on that one.
func TestOneChanged(t *testing.T) {
	backEnds(t, func(t *testing.T, programs string) {
		w := newWorld(t, programs, large)
		w.wants(w.deploy(), 0)
		user := w.Nodes[4].Users()[2]
		w.Provider.SetVersion(t, "2", "n5/"+user)
		made := w.connections()
		w.ResetCounts(t)
		r := w.wants(w.deploy(), 0)
		contains(t, r.stdout, "1 activated, 47 in sync\n")
		counts := w.Counts(t)
		t.Logf("one changed profile of 48: %v, connections %v", counts, w.connections())
		for i, n := range w.connections() {
			if n -= made[i]; w.Nodes[i].Name != "n5" && n != 1 {
				t.Errorf("%s was connected to %d times", w.Nodes[i].Name, n)
			}
		}
		// Besides the evaluation, Nix starts for building, checking the build, signing and
		// copying, and three times to learn what the node needs room for. deploy-rs starts
		// none.
		if nix := counts["nix"] + counts["nix-store"] + counts["nix-build"]; nix > evaluations+7 {
			t.Errorf("%d processes of Nix were started:\n%s", nix, w.started())
		}
		if n := len(w.Nodes[4].Activations(t, user)); n != 1 {
			t.Errorf("there were %d activations", n)
		}
	})
}

// others counts programs except nix, ssh and git. Nix runs git on the provider's
// repository.
func others(counts map[string]int) (n int) {
	for program, count := range counts {
		if !slices.Contains([]string{"nix", "ssh", "git"}, program) {
			n += count
		}
	}
	return n
}

// connections returns the number of connections made to each node until now.
func (w *world) connections() []int {
	made := make([]int, len(w.Nodes))
	for i, n := range w.Nodes {
		made[i], _ = n.Connections()
	}
	return made
}

// started returns the counted command lines, without the long scripts.
func (w *world) started() string {
	w.t.Helper()
	var b strings.Builder
	for _, argv := range w.Commands(w.t) {
		fmt.Fprintf(&b, "%.200s\n", strings.Join(argv, " "))
	}
	return b.String()
}

// BenchmarkUnchanged measures `mage deploy` for an unchanged fleet, and
// BenchmarkStatus `mage status`.
func BenchmarkUnchanged(b *testing.B) { benchmark(b, "deploy") }
func BenchmarkStatus(b *testing.B)    { benchmark(b, "status") }

func benchmark(b *testing.B, target string) {
	w := newWorld(b, standIn(b), large)
	w.wants(w.deploy(), 0)
	args := []string{target}
	if target == "deploy" {
		args = w.deployArgs()
	}
	w.ResetCounts(b)
	runs := 0
	for b.Loop() {
		w.wants(w.run(args...), 0)
		runs++
	}
	for program, count := range w.Counts(b) {
		b.ReportMetric(float64(count)/float64(runs), program)
	}
}
