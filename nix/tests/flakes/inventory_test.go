package flakes

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
)

// If the provider has no hostenv, the hostenv of the project's lock evaluates each
// environment. This also holds for a project in the provider's repository.
func TestProjectsOwnHostenvEvaluates(t *testing.T) {
	underEachNix(t, func(w *world) {
		const fixtures = "../fixtures/"
		w.repo("hostenv", map[string]string{
			"flake.nix":   `{ outputs = _: { makeHostenv.x86_64-linux = (import ./hostenv.nix).curried; takesSet = false; }; }`,
			"hostenv.nix": read(t, fixtures+"hostenv.nix"),
		})
		w.repo("site", map[string]string{
			".hostenv/flake.nix":   withHostenv(w, read(t, fixtures+"project/.hostenv/flake.nix")),
			".hostenv/hostenv.nix": read(t, fixtures+"project/.hostenv/hostenv.nix"),
			"web/index.html":       "site",
		})
		w.mustLock("site", ".hostenv")
		w.repo("provider", map[string]string{
			"flake.nix": `{
				inputs.hostenv-provider.url = "path:` + w.checkout() + `";
				inputs.acme__site = { url = "git+file://@repos@/site?dir=.hostenv&ref=main"; flake = false; };
				inputs.acme__near = { url = "path:./near"; flake = false; };
				# What the provider has itself is not refused to a customer.
				inputs.known = { url = "git+file://@repos@/hostenv"; flake = false; };
				outputs = inputs: inputs.hostenv-provider.lib.mkProvider { inherit inputs; provider.hostenvHostname = "hosting.example"; };
			}`,
			// Nix 2.8 does not support `dir` in a path.
			"near/flake.nix":      replaced(w, replaced(w, withHostenv(w, read(t, fixtures+"project/.hostenv/flake.nix")), `"site"`, `"near"`), "../.", "./."),
			"near/flake.lock":     read(t, w.path("site")+"/.hostenv/flake.lock"),
			"near/hostenv.nix":    replaced(w, read(t, fixtures+"project/.hostenv/hostenv.nix"), "../web", "./web"),
			"near/web/index.html": "near",
		})
		w.mustLock("provider", "")

		runner := &hostnix.Runner{Dir: w.path("provider"), Nix: w.nix, Env: w.env, Jobs: 2}
		document, err := runner.Inventory(w.Context())
		if err != nil {
			w.Fatal(err)
		}
		var inventory struct {
			Projects map[string]struct {
				Environments map[string]struct {
					VirtualHosts map[string]any
					Migrations   []string
					Hostenv      struct{ Project, Root, BackupsRepoHost string }
				}
			}
		}
		if err := json.Unmarshal(document, &inventory); err != nil {
			w.Fatal(err)
		}
		for input, project := range map[string]string{"acme__site": "site", "acme__near": "near"} {
			environments := inventory.Projects[input].Environments
			if len(environments) != 2 {
				w.Errorf("%s has %d environments", input, len(environments))
			}
			for name, environment := range environments {
				if diff := cmp.Diff(map[string]any{name + ".acme.example": map[string]any{}}, environment.VirtualHosts); diff != "" {
					w.Errorf("%s, virtual hosts of %s (-want +got):\n%s", input, name, diff)
				}
				if diff := cmp.Diff([]string{"database-migrate", name + "-migrate"}, environment.Migrations); diff != "" {
					w.Errorf("%s, migrations of %s (-want +got):\n%s", input, name, diff)
				}
				if h := environment.Hostenv; h.Project != project || h.Root != "." || h.BackupsRepoHost != "s3:https://backups.example" {
					w.Errorf("%s: hostenv of %s is %+v", input, name, h)
				}
			}
		}
	})
}

// withHostenv puts the URL of the world's hostenv into a customer's flake.
func withHostenv(w *world, flake string) string {
	w.Helper()
	return replaced(w, flake, "git+file:///srv/example/hostenv-of-customers", "git+file://@repos@/hostenv")
}

// replaced returns a text with one part replaced, and fails if the part is missing.
func replaced(w *world, text, old, replacement string) string {
	w.Helper()
	if !strings.Contains(text, old) {
		w.Fatalf("there is no %s in\n%s", old, text)
	}
	return strings.ReplaceAll(text, old, replacement)
}

// This repository's flake passes `nix flake check`, and has the documented outputs.
func TestOwnFlake(t *testing.T) {
	underEachNix(t, func(w *world) {
		w.building() // in a store elsewhere, Nix 2.8 does not find the template's path
		flake := "path:" + w.checkout()
		if stdout, stderr, err := w.run(w.dir, w.nix, "flake", "check", "--no-build", flake); err != nil {
			w.Errorf("nix flake check: %v\n%s\n%s", err, stdout, stderr)
		}
		var names map[string][]string
		stdout, stderr, err := w.run(w.dir, w.nix, "eval", "--impure", "--json", "--expr",
			`builtins.mapAttrs (_: builtins.attrNames) (builtins.getFlake "`+flake+`").outputs`)
		if err != nil || json.Unmarshal([]byte(stdout), &names) != nil {
			w.Fatalf("%v\n%s", err, stderr)
		}
		want := map[string][]string{
			"flakeModules": {"default", "provider"},
			"lib":          {"mkProvider"},
			"nixosModules": {"common", "default"},
			"templates":    {"default", "provider"},
		}
		if diff := cmp.Diff(want, names); diff != "" {
			w.Errorf("outputs (-want +got):\n%s", diff)
		}
	})
}
