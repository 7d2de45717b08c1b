package flakes

import (
	"regexp"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/examples"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/closure"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/drive"
	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// A deploy evaluates the packages of each source in a held process. A package that
// builds while it is evaluated, that Nix cannot catch, or that no profile can be made
// of, fails its own environment.
func TestPackagesAreHeld(t *testing.T) {
	underEachNix(t, func(w *world) {
		w.example(examples.Options{})
		const of = "nixpkgs.legacyPackages.${system}.writeText"
		flake := read(w, w.path("acme-site/.hostenv/flake.nix"))
		if strings.Count(flake, of) != 1 {
			w.Fatalf("the example's flake.nix has not one %s", of)
		}
		drv := `derivation { name = "main"; system = "x86_64-linux"; builder = "/bin/sh"; }`
		for attack, want := range map[string]string{
			`import (derivation { name = "x"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo 1 > $out" ]; })`: "allow-import-from-derivation|not allowed|cannot build|forbidden",
			`{ }.missing`:                     "attribute 'missing' missing",
			`builtins.readFile /etc/passwd`:   "forbidden",
			`"main"`:                          "no derivation with a name",
			drv + ` // { name = "a/../b"; }`:  "which Nix does not take",
			drv + ` // { name = ""; }`:        "which Nix does not take",
			drv + ` // { outPath = ../web; }`: "is no derivation",
		} {
			w.repo("acme-site", map[string]string{".hostenv/flake.nix": strings.Replace(flake, of, `(if name == "main" then _: _: `+attack+` else `+of+")", 1)})
			w.plan()
			document, err := plan.DecodeDocument([]byte(read(w, w.path("provider/generated/plan.json"))))
			if err != nil {
				w.Fatal(err)
			}
			nodes, err := deploy.Planned(document)
			if err != nil {
				w.Fatal(err)
			}
			store := &closure.Store{Nix: &hostnix.Runner{Dir: w.path("provider"), Nix: w.nix, Env: w.env}}
			evaluated, err := store.Evaluate(w.Context(), nodes, closure.Plan{Text: document.Encode(), Environments: drive.Environments(document)})
			if err == nil {
				nodes, err = deploy.Fill(nodes, evaluated)
			}
			if err != nil {
				w.Errorf("%s: %v", attack, err)
				continue
			}
			for _, n := range nodes {
				for _, p := range n.Profiles {
					if p.Name != "site-main-b7ea262" {
						if p.Broken != nil || p.Path == "" {
							w.Errorf("%s: %s is %q, %v", attack, p.Key(), p.Path, p.Broken)
						}
						continue
					}
					if p.Broken == nil || !strings.HasPrefix(p.Broken.Error(), "evaluate "+p.Key()+": ") || !regexp.MustCompile(want).MatchString(p.Broken.Error()) {
						w.Errorf("%s: got %v, want %q", attack, p.Broken, want)
					}
				}
			}
		}
	})
}
