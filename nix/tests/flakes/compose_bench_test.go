package flakes

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// BenchmarkCompose evaluates the deploy specification of 50 environments of 10
// projects, with all nodes and environments, in two ways: composed from the plan, and
// with each environment as a literal input with follows. Both run in turn. The best
// run of each counts, and composed must take at most 1.2 times as long as literal.
//
//	go test -run '^$' -bench Compose -benchtime 20x ./nix/tests/flakes
func BenchmarkCompose(b *testing.B) {
	nixes := testenv.NixBinaries(b)
	newest := newWorld(b, nixes[len(nixes)-1])
	newest.fiftyEnvironments()

	for _, nix := range nixes {
		w := newest.under(nix)
		b.Run("nix-"+w.version, func(b *testing.B) {
			w.TB = b
			var ways []string
			expr, results, best := map[string]string{}, map[string]string{}, map[string]time.Duration{}
			for _, way := range []string{"literal", "composed"} {
				e := fmt.Sprintf("(builtins.getFlake %q).deploy.nodes", w.ref(way, ""))
				got, err := w.tryEval(e) // later calls find the fetched sources in the store
				if err != nil {
					b.Logf("this Nix does not evaluate the %s flake: %v", way, err)
					continue
				}
				ways, expr[way], results[way] = append(ways, way), e, got
			}
			if results["literal"] != "" {
				equal(b, "composed, against literal", results["composed"], results["literal"])
			}
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
			for _, way := range ways {
				b.ReportMetric(float64(best[way].Microseconds())/1000, way+"-ms")
				b.ReportMetric(float64(lockNodes(w, way)), way+"-lock-nodes")
			}
			if len(ways) == 2 {
				b.ReportMetric(float64(best["composed"])/float64(best["literal"]), "ratio")
			}
		})
	}
}

// fiftyEnvironments makes customers with a realistic number of inputs, and two
// providers of the same plan: one composes it, one has an input for each environment.
func (w *world) fiftyEnvironments() {
	w.Helper()
	shop(w)
	customer := strings.Replace(read(w, filepath.Join(fixtures, "shop", "flake.nix")),
		"releases = {", "packages.x86_64-linux.main = self.site;\n      releases = {", 1)
	deployRs := read(w, "../../../examples/inputs/deploy-rs/flake.nix")
	w.repo("deploy-rs", map[string]string{"flake.nix": deployRs})

	var inputs, environments strings.Builder
	for project := range 10 {
		name := fmt.Sprintf("project%d", project)
		w.repo(name, map[string]string{"flake.nix": customer})
		w.mustLock(name, "")
		for environment := range 5 {
			w.repo(name, map[string]string{"revision": fmt.Sprint(environment)})
			user := fmt.Sprintf("%s-%d", name, environment)
			fmt.Fprintf(&inputs, "%s.url = %q; %[1]s.inputs.nixpkgs.follows = \"nixpkgs\"; %[1]s.inputs.hostenv.follows = \"hostenv\";\n", user, w.ref(name, ""))
			fmt.Fprintf(&environments, "%s = { uid = %d; authorizedKeys = [ ]; virtualHosts = { }; hostenv = { organisation = \"acme\"; project = \"site\"; userName = %q; environmentName = \"main\"; }; node = \"node-%d\"; source = %s; };\n", user, 2000+10*project+environment, user, environment%2, w.source(name, ""))
		}
	}
	plan := w.mustRun(w.nix, "eval", "--raw", "--expr", `builtins.toJSON {
		formatVersion = 1; hostenvHostname = "hosting.example"; deployUser = "deploy";
		nodes = { node-0 = { }; node-1 = { }; };
		nodeConnections = { node-0 = `+connection+`; node-1 = `+connection+`; };
		environments = {`+environments.String()+`};
	}`)
	library := w.checkout()
	flake := func(inputs, provider string) map[string]string {
		return map[string]string{"generated/plan.json": plan, "flake.nix": fmt.Sprintf(`{
			inputs = {
				hostenv-provider.url = "path:%s";
				nixpkgs.url = "git+file://@repos@/nixpkgs?ref=provider";
				hostenv.url = "git+file://@repos@/hostenv?ref=main";
				deploy-rs.url = "git+file://@repos@/deploy-rs";
				%s
			};
			outputs = inputs:
				let
					root = inputs.self.outPath;
					lib = inputs.hostenv-provider + "/nix/lib";
					options = { nodesPath = null; pkgsFor = null; nixosSystem = _: { config = {
						boot.loader.systemd-boot.enable = false;
						system.build.toplevel = inputs.nixpkgs.tool "system" { };
					}; }; };
				in
				%s;
		}`, library, inputs, provider)}
	}
	w.repo("composed", flake("", `inputs.hostenv-provider.lib.mkProvider { inherit inputs; provider = options; }`))
	w.repo("literal", flake(inputs.String(), `{
		inherit (import (lib + "/compose.nix") {
			inherit inputs;
			inherit (inputs) self;
			provider = import (lib + "/provider-defaults.nix") { inherit inputs root; } // options;
			system = "x86_64-linux";
			lockFile = root + "/flake.lock";
			callFlake = { subject, ... }: inputs.${builtins.head (builtins.match "environment '(.*)'" subject)};
		}) deploy;
	}`))
	for _, way := range []string{"composed", "literal"} {
		w.mustLock(way, "")
	}
}
