package flakes

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/examples"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/closure"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/drive"
	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// A provider in a subfolder of a larger repository is planned, evaluated and built
// like one in its own repository.
func TestProviderBelowTheRootOfARepository(t *testing.T) {
	underEachNix(t, func(w *world) {
		w.building()
		w.example(examples.Options{})
		own := w.path("provider")
		nodesOf := func(dir string) ([]byte, map[string]deploy.Evaluated, []deploy.Node, *closure.Store) {
			runner := &hostnix.Runner{Dir: dir, Nix: w.nix, Env: w.env}
			inventory, err := runner.Inventory(w.Context())
			if err != nil {
				w.Fatal(err)
			}
			document, err := plan.DecodeDocument([]byte(read(w, filepath.Join(dir, "generated/plan.json"))))
			if err != nil {
				w.Fatal(err)
			}
			nodes, err := deploy.Planned(document)
			if err != nil {
				w.Fatal(err)
			}
			store := &closure.Store{Nix: runner, Roots: filepath.Join(w.dir, "roots")}
			evaluated, err := store.Evaluate(w.Context(), nodes, closure.Plan{Text: document.Encode(), Environments: drive.Environments(document)})
			if err != nil {
				w.Fatal(err)
			}
			if nodes, err = deploy.Fill(nodes, evaluated); err != nil {
				w.Fatal(err)
			}
			return inventory, evaluated, nodes, store
		}
		inventory, _, want, _ := nodesOf(own)

		// The packages are evaluated in held processes, and have the paths of deploy.nodes.
		var together map[string]struct {
			Profiles map[string]struct{ Path string }
		}
		w.json(".#deploy.nodes", &together)
		for _, n := range want {
			for _, p := range n.Profiles {
				equal(w, p.Key()+" in deploy.nodes", together[n.Name].Profiles[p.Name].Path, p.Path)
			}
		}

		// The root of the repository has another flake, with a plan of another provider.
		const below = "infra/hosting#1"
		files := map[string]string{"flake.nix": `{ outputs = _: { }; }`, "generated/plan.json": "{}", "flake.lock": "{}"}
		tracked := w.mustRun("git", "-C", own, "ls-files", "-z")
		for _, name := range splitNull(tracked) {
			files[filepath.Join(below, name)] = read(w, filepath.Join(own, name))
		}
		w.repo("company", files)
		gotInventory, _, got, store := nodesOf(filepath.Join(w.path("company"), below))
		equal(w, "inventory", string(gotInventory), string(inventory))
		for i, n := range got {
			for j, p := range n.Profiles {
				if p.Path == "" || p.Broken != nil {
					w.Errorf("%s: %v", p.Key(), p.Broken)
				}
				equal(w, p.Key(), p.Path, want[i].Profiles[j].Path)
			}
			err := store.Build(w.Context(), nil, n.Profiles, io.Discard, func(known map[string]error) {
				for profile, err := range known {
					if err != nil {
						w.Errorf("build %s: %v", profile, err)
					}
				}
			})
			if err != nil {
				w.Errorf("build for node %s: %v", n.Name, err)
			}
			for _, p := range n.Profiles {
				if _, err := os.Stat(p.Path); err != nil {
					w.Errorf("%s is not built: %v", p.Key(), err)
				}
			}
		}
	})
}

func splitNull(text string) []string {
	return strings.Split(strings.TrimSuffix(text, "\x00"), "\x00")
}
