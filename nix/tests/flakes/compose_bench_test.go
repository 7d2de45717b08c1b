package flakes

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/examples"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// BenchmarkCompose evaluates the deploy specification of 50 environments of 10
// projects, and with it every node and every environment: as it is composed of
// the plan, and with each environment as a literal input with follows. Both run
// in turn; the best of all runs counts, and their ratio must stay within 1.2.
//
//	go test -run '^$' -bench Compose -benchtime 10x ./nix/tests/flakes
func BenchmarkCompose(b *testing.B) {
	nixes := testenv.NixBinaries(b)
	newest := newWorld(b, nixes[len(nixes)-1])
	opts := examples.Options{Library: newest.checkout(), Nix: newest.nix, Env: newest.env}
	if err := examples.MakeLarge(b.Context(), newest.path(""), 10, 5, opts); err != nil {
		b.Fatal(err)
	}
	newest.plan()
	newest.literal()

	for _, nix := range nixes {
		w := newest.under(nix)
		b.Run("nix-"+w.version, func(b *testing.B) {
			w.TB = b
			ways := []string{"literal", "provider"}
			expr := map[string]string{}
			var want string
			for _, way := range ways {
				expr[way] = fmt.Sprintf("(builtins.getFlake %q).deploy.nodes", w.ref(way, ""))
				got, err := w.tryEval(expr[way]) // and what is fetched is there from here on
				if err != nil {
					b.Skip(err)
				}
				if want == "" {
					want = got
				}
				equal(b, "composed, against literal", got, want)
			}
			best := map[string]time.Duration{}
			for b.Loop() {
				for _, way := range ways {
					start := time.Now()
					w.eval(expr[way])
					if took := time.Since(start); best[way] == 0 || took < best[way] {
						best[way] = took
					}
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(best["literal"].Milliseconds()), "literal-ms")
			b.ReportMetric(float64(best["provider"].Milliseconds()), "composed-ms")
			b.ReportMetric(float64(best["provider"])/float64(best["literal"]), "ratio")
			b.ReportMetric(float64(lockNodes(w, "literal")), "literal-lock-nodes")
			b.ReportMetric(float64(lockNodes(w, "provider")), "composed-lock-nodes")
		})
	}
}

// literal makes a provider that has an input for each environment of the plan
// of the one there is, and is otherwise the same.
func (w *world) literal() {
	w.Helper()
	plan := read(w, filepath.Join(w.path("provider"), "generated/plan.json"))
	var document struct {
		Environments map[string]struct {
			Source struct{ URL, Ref, Rev, Dir string }
		}
	}
	if err := json.Unmarshal([]byte(plan), &document); err != nil {
		w.Fatal(err)
	}
	var inputs []string
	for user, environment := range document.Environments {
		s := environment.Source
		inputs = append(inputs, fmt.Sprintf("    %[1]s.url = \"git+%[2]s?dir=%[3]s&ref=%[4]s&rev=%[5]s\";\n    %[1]s.inputs.nixpkgs.follows = \"nixpkgs\";\n", user, s.URL, s.Dir, s.Ref, s.Rev))
	}
	slices.Sort(inputs)
	flake := read(w, filepath.Join(w.path("provider"), "flake.nix"))
	flake = strings.Replace(flake, "  };\n\n", strings.Join(inputs, "")+"  };\n\n", 1)
	head, body, _ := strings.Cut(flake, "inputs.hostenv-provider.lib.mkProvider {")
	_, body, _ = strings.Cut(body, "provider = {")
	flake = head + `
    let
      root = inputs.self.outPath;
      composed = import "${inputs.hostenv-provider}/nix/lib/compose.nix" {
        inherit inputs;
        inherit (inputs) self;
        system = "x86_64-linux";
        lockFile = root + "/flake.lock";
        callFlake = { environment, ... }: inputs.${environment};
        provider = import "${inputs.hostenv-provider}/nix/lib/provider-defaults.nix" { inherit inputs root; } // {` +
		strings.Replace(body, "    };\n  };\n}", "    };\n      };\n    in\n    { inherit (composed) deploy; };\n}", 1)
	w.repo("literal", map[string]string{"flake.nix": flake, "generated/plan.json": plan})
	w.mustLock("literal", "")
}
