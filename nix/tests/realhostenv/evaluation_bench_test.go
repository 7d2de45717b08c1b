package realhostenv_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/closure"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/drive"
	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

const (
	fleetNodes     = 8
	fleetCustomers = 13 // with 40 environments
)

// largeFleet is the fleet of docs/benchmarks.md: 8 nodes with NixOS's modules, and 40
// environments of the real hostenv, planned and committed.
func largeFleet(t testing.TB) *fleet {
	t.Helper()
	tool, _ := needs(t)
	f := fleetOf(t, withStorePaths(t, tool), fleetCustomers)
	flake := filepath.Join(f.provider(), "flake.nix")
	text := read(t, flake)
	var nodes, placement strings.Builder
	for i := range fleetNodes {
		name := fmt.Sprint("n", i+1)
		fmt.Fprintf(&nodes, "      nodes.%s.system = \"x86_64-linux\";\n", name)
		if err := os.CopyFS(filepath.Join(f.provider(), "nodes", name), os.DirFS(filepath.Join(f.provider(), "nodes/sample"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(f.provider(), "nodes/sample")); err != nil {
		t.Fatal(err)
	}
	for i := range fleetCustomers {
		name := fmt.Sprintf("c%03d", i+1)
		switch i {
		case 0:
			name = "acme"
		case 1:
			name = "beta"
		}
		fmt.Fprintf(&placement, "      placement.%s__%s = \"n%d\";\n", name, []string{"site", "app"}[i%2], i%fleetNodes+1)
	}
	begin, end := strings.Index(text, "      nodes.sample = {"), strings.Index(text, "      # Choose a range")
	if begin < 0 || end < begin {
		t.Fatalf("the template has no nodes.sample:\n%s", text)
	}
	text = text[:begin] + nodes.String() + "      nodeFor.default = \"n1\";\n" + placement.String() + text[end:]
	if err := os.WriteFile(flake, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f.run(f.provider(), "git", "add", "--all")
	makePlan(t, f.nix, f.provider(), f.env)
	f.run(f.provider(), "git", "commit", "--quiet", "--message=8 nodes")
	return f
}

func (f *fleet) plan() plan.Document {
	f.Helper()
	document, err := plan.DecodeDocument([]byte(read(f, filepath.Join(f.provider(), "generated/plan.json"))))
	if err != nil {
		f.Fatal(err)
	}
	return document
}

// evaluate evaluates all profiles, and fails if one of them fails.
func (f *fleet) evaluate(anew bool) map[string]deploy.Evaluated {
	f.Helper()
	document := f.plan()
	nodes, err := deploy.Planned(document)
	if err != nil {
		f.Fatal(err)
	}
	store := &closure.Store{Nix: &hostnix.Runner{Dir: f.provider(), Nix: f.nix, Env: f.env, Evaluations: f.evaluations(), Anew: anew}}
	found, err := store.Evaluate(f.Context(), nodes, closure.Plan{Text: document.Encode(), Environments: drive.Environments(document)})
	if err != nil {
		f.Fatal(err)
	}
	profiles := 0
	for node, e := range found {
		profiles += len(e.Profiles)
		for name, why := range e.Failed {
			f.Errorf("%s/%s: %v", node, name, why)
		}
	}
	if profiles != fleetNodes+len(document.Environments) {
		f.Fatalf("%d profiles of %d nodes and %d environments", profiles, fleetNodes, len(document.Environments))
	}
	return found
}

// watched returns the most memory that processes below this one had together while do
// ran, in bytes.
func watched(do func()) int64 {
	var most atomic.Int64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			most.Store(max(most.Load(), below(os.Getpid())))
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	do()
	close(done)
	<-ended
	return most.Load()
}

// below returns the memory of all processes that a process has started.
func below(pid int) (bytes int64) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task) // a process may have ended
		for field := range strings.FieldsSeq(string(text)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				continue
			}
			bytes += below(child)
			statm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", child))
			if fields := strings.Fields(string(statm)); len(fields) > 1 {
				pages, _ := strconv.ParseInt(fields[1], 10, 64)
				bytes += pages * int64(os.Getpagesize())
			}
		}
	}
	return bytes
}

// evaluations is the folder in which the fleet keeps evaluations.
func (f *fleet) evaluations() string { return filepath.Join(f.dir, "evaluations") }

// processors returns the time for which the processes that this one has started, and that
// have ended, had a processor.
func processors() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_CHILDREN, &usage) // fails for no argument but this
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkEvaluate measures the evaluation of a deploy, with everything, nothing and
// one thing changed since the last one, and with the whole flake. MB is the most memory
// that all processes had together.
func BenchmarkEvaluate(b *testing.B) {
	f := largeFleet(b)
	f.evaluate(false) // fetches what is not in the store
	forget := func(int) {
		if err := os.RemoveAll(f.evaluations()); err != nil {
			b.Fatal(err)
		}
	}
	edit := func(file string, change func(text string) string) {
		b.Helper()
		file = filepath.Join(f.provider(), file)
		before := read(b, file)
		after := change(before)
		if after == before {
			b.Fatalf("%s has not changed", file)
		}
		if err := os.WriteFile(file, []byte(after), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		anew   bool
		change func(run int)
	}{
		{"the whole flake, a process for each node", true, func(int) {}},
		{"everything", false, forget},
		{"nothing", false, func(int) {}},
		{"a source", false, func(run int) {
			site := filepath.Join(f.dir, "acme-site")
			f.run(site, "git", "checkout", "--quiet", "prod")
			if err := os.WriteFile(filepath.Join(site, "new"), []byte(fmt.Sprint(run)), 0o600); err != nil {
				b.Fatal(err)
			}
			f.run(site, "git", "add", "new")
			f.run(site, "git", "commit", "--quiet", "--message=new")
			f.run(site, "git", "checkout", "--quiet", "main")
			makePlan(b, f.nix, f.provider(), f.env)
		}},
		{"a host", false, func(run int) {
			edit("nodes/n3/configuration.nix", func(text string) string { return fmt.Sprintf("# run %d\n%s", run, text) })
		}},
		{"a UID", false, func(run int) {
			edit("generated/plan.json", func(text string) string {
				return strings.ReplaceAll(text, strconv.Itoa(40000+run), strconv.Itoa(50000+run))
			})
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var most int64
			var cpu time.Duration
			for run := 1; b.Loop(); run++ {
				b.StopTimer()
				c.change(run)
				before := processors()
				b.StartTimer()
				most = max(most, watched(func() { f.evaluate(c.anew) }))
				cpu += processors() - before
			}
			b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s")
			b.ReportMetric(float64(most)/1e6, "MB")
		})
	}
}
