package targets_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/examples"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
	"github.com/woolwichweb/hostenv-provider/hostenv/state/store"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// BenchmarkPlanWithNix measures the phases of `mage plan`, in milliseconds, for 300
// environments in 30 local projects. The first run fetches every branch; the
// others find them in Nix's cache.
func BenchmarkPlanWithNix(b *testing.B) {
	testenv.Need(b, "nix")
	testenv.Need(b, "git")
	work := testenv.NixDir(b)
	env := testenv.NixEnv(work)
	root := filepath.Join(work, "provider-and-customers")
	library, err := filepath.Abs("../..")
	if err != nil {
		b.Fatal(err)
	}
	if err := examples.MakeLarge(b.Context(), root, 30, 10, examples.Options{Library: library, Env: env}); err != nil {
		b.Fatal(err)
	}
	runner := &nix.Runner{Dir: filepath.Join(root, "provider"), Env: env}
	generated := filepath.Join(root, "provider", "generated")
	spent := map[string]time.Duration{}
	cold := time.Duration(0)
	prior, runs := state.New(), 0
	for b.Loop() {
		began := time.Now()
		lap := func(phase string) {
			spent[phase] += time.Since(began)
			began = time.Now()
		}
		data, err := runner.Inventory(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		lap("inventory")
		inv, err := plan.DecodeInventory(data)
		if err != nil {
			b.Fatal(err)
		}
		requests := inv.SourceRequests()
		attrs := make([]map[string]any, len(requests))
		for i, request := range requests {
			attrs[i] = request.Attrs
		}
		lap("decode")
		locked, err := runner.LockSources(b.Context(), attrs)
		if err != nil {
			b.Fatal(err)
		}
		if runs == 0 {
			cold = time.Since(began)
			began = time.Now()
		} else {
			lap("lock-warm")
		}
		sources := plan.Sources{}
		for i, l := range locked {
			sources[requests[i].Key] = plan.Locked(l)
		}
		result, err := plan.Compute(plan.Input{Inventory: inv, Sources: sources, State: prior})
		if err != nil {
			b.Fatal(err)
		}
		lap("compute")
		dir := store.Open(generated)
		unlock, err := dir.Lock(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for name, data := range map[string][]byte{"state.json": result.State.Encode(), "plan.json": result.Plan.Encode()} {
			if _, err := dir.Write(name, data); err != nil {
				b.Fatal(err)
			}
		}
		if err := unlock(); err != nil {
			b.Fatal(err)
		}
		lap("write")
		prior, runs = result.State, runs+1
	}
	if len(prior.Entries) != 300 {
		b.Fatalf("planned %d environments", len(prior.Entries))
	}
	for phase, d := range spent {
		n := runs
		if phase == "lock-warm" {
			n = max(1, runs-1)
		}
		b.ReportMetric(float64(d.Microseconds())/1000/float64(n), phase+"-ms")
	}
	b.ReportMetric(float64(cold.Microseconds())/1000, "lock-cold-ms")
	if info, err := os.Stat(filepath.Join(generated, "plan.json")); err == nil {
		b.ReportMetric(float64(info.Size())/1e6, "plan-MB")
	}
}
