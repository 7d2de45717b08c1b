package flakes

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// BenchmarkEnvironments evaluates 50 environments of 10 projects, each at a different
// revision, in three ways: as literal inputs with follows, composed, and by getFlake
// without replaced inputs. Composed must take at most 1.2 times as long as literal.
// Run it as
//
//	go test -run '^$' -bench . -benchtime 10x ./nix/tests/flakes
func BenchmarkEnvironments(b *testing.B) {
	nixes := testenv.NixBinaries(b)
	w := newWorld(b, nixes[len(nixes)-1])
	shop(w)
	w.fixture("provider")
	w.mustLock("provider", "")

	var inputs, literal, composed, alone strings.Builder
	for project := range 10 {
		name := fmt.Sprintf("project%d", project)
		w.fixtureAs("shop", name)
		w.mustLock(name, "")
		for environment := range 5 {
			w.repo(name, map[string]string{"revision": fmt.Sprint(environment)})
			input := fmt.Sprintf("%s-%d", name, environment)
			fmt.Fprintf(&inputs, "%s.url = %q; %[1]s.inputs.nixpkgs.follows = \"nixpkgs\"; %[1]s.inputs.hostenv.follows = \"hostenv\";\n", input, w.ref(name, ""))
			fmt.Fprintf(&literal, "literal.inputs.%s.site.drvPath\n", input)
			fmt.Fprintf(&composed, "%s.site.drvPath\n", w.call(name, "", "{ inherit (provider.inputs) nixpkgs hostenv; }"))
			fmt.Fprintf(&alone, "(builtins.getFlake %q).site.drvPath\n", w.ref(name, ""))
		}
	}
	flake := read(b, filepath.Join(fixtures, "provider", "flake.nix"))
	w.repo("literal", map[string]string{"flake.nix": strings.Replace(flake, "  };\n", inputs.String()+"  };\n", 1)})
	if err := w.lock("literal", ""); err != nil {
		b.Logf("no literal flake to compare with: %v", err)
	}

	for _, nix := range nixes {
		w := w.under(nix)
		b.Run("nix-"+w.version, func(b *testing.B) {
			w.TB = b
			var want string
			for _, way := range []struct{ name, repo, expr string }{
				{"literal", "literal", fmt.Sprintf("let literal = builtins.getFlake %q; in [ %s ]", w.ref("literal", ""), literal.String())},
				{"composed", "provider", fmt.Sprintf("let provider = builtins.getFlake %q; in [ %s ]", w.ref("provider", ""), composed.String())},
				{"getFlake", "", fmt.Sprintf("[ %s ]", alone.String())},
			} {
				b.Run(way.name, func(b *testing.B) {
					w.TB = b
					got, err := w.tryEval(way.expr) // later calls find the fetched sources in the store
					if err != nil {
						b.Skip(err)
					}
					switch {
					case way.name == "literal":
						want = got
					case way.name == "composed" && want != "":
						equal(b, "composed, against literal", got, want)
					}
					w.cpu = 0
					for b.Loop() {
						w.eval(way.expr)
					}
					b.ReportMetric(float64(w.cpu.Milliseconds())/float64(b.N), "cpu-ms/op")
					if way.repo != "" {
						b.ReportMetric(float64(lockNodes(w, way.repo)), "lock-nodes")
					}
				})
			}
		})
	}
}

func lockNodes(w *world, repo string) int {
	var lock struct{ Nodes map[string]any }
	if err := json.Unmarshal([]byte(read(w, filepath.Join(w.path(repo), "flake.lock"))), &lock); err != nil {
		w.Fatal(err)
	}
	return len(lock.Nodes)
}
