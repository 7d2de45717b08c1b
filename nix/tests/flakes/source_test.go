package flakes

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// TestNodesAreFreeOfTheProvidersSource checks that a deployed profile changes only if
// its own inputs change, and that no node gets the provider's repository. The provider
// is made from the template, with all features enabled.
func TestNodesAreFreeOfTheProvidersSource(t *testing.T) {
	nixos := testenv.Need(t, "nixos-eval")
	underEachNix(t, func(w *world) {
		w.templateProvider(nixos)
		source := w.ownSource()

		before := w.deployed()
		for name, drvs := range before {
			if len(drvs) == 0 {
				w.Errorf("the %s is made of no derivation", name)
			}
			if slices.Contains(w.requisites(drvs), source) {
				w.Errorf("the provider's repository, %s, is among the requisites of the %s", source, name)
			}
		}
		isSecret := func(path string) bool { return strings.HasSuffix(path, "-secrets.yaml") }
		if paths := w.requisites(before["profile system of sample"]); !slices.ContainsFunc(paths, isSecret) {
			w.Errorf("the secrets are not among the requisites of the system: %s", paths)
		}

		changes := map[string]map[string]string{
			"a document":    {"README.md": "more of it\n"},
			"the state":     {"generated/state.json": read(w, filepath.Join(w.path("provider"), "generated/state.json")) + "\n"},
			"another node":  {"nodes/other/configuration.nix": "{ }\n"},
			"a node's plan": {"nodes/zone/configuration.nix": "{ imports = [ ../sample/configuration.nix ]; }\n", "generated/plan.json": w.edited(addNode)},
		}
		differs := func(files map[string]string) (differing []string) {
			w.Helper()
			w.repo("provider", files)
			after := w.deployed()
			for _, name := range slices.Sorted(maps.Keys(before)) {
				if !slices.Equal(before[name], after[name]) {
					differing = append(differing, fmt.Sprintf("%s: %s, and was %s", name, after[name], before[name]))
				}
			}
			return differing
		}
		all := map[string]string{}
		for _, files := range changes {
			maps.Copy(all, files)
		}
		committed := w.git("provider", "rev-parse", "HEAD")
		if differs(all) == nil {
			return
		}
		for what, files := range changes {
			w.git("provider", "reset", "-q", "--hard", committed)
			if differing := differs(files); differing != nil {
				w.Errorf("%s changes the %s", what, strings.Join(differing, "; the "))
			}
		}
	})
}

// addNode adds a node to a plan.
func addNode(plan map[string]any) {
	plan["nodes"].(map[string]any)["zone"] = map[string]any{}
	plan["nodeConnections"].(map[string]any)["zone"] = map[string]any{"hostname": "zone.hosting.example", "system": "x86_64-linux", "profileLink": "/nix/var/nix/profiles/system", "tempPath": "/run/hostenv/deploy", "remoteBuild": false, "autoRollback": true, "magicRollback": true, "activationTimeout": 3600}
}

// templateProvider makes a provider with a plan from the template, with a customer
// that makes backups, and all features enabled. It uses the real NixOS modules.
func (w *world) templateProvider(nixos string) {
	w.Helper()
	sops := filepath.Join(w.path(""), "sops-nix")
	nixpkgs := filepath.Join(w.path(""), "nixpkgs")
	for from, to := range map[string]string{filepath.Join(nixos, "sops-nix"): sops, filepath.Join(nixos, "nixpkgs"): nixpkgs} {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			w.Fatal(err)
		}
		w.git(filepath.Base(to), "init", "-q", "-b", "main")
	}
	w.repo("sops-nix", map[string]string{"flake.nix": "{ outputs = _: { nixosModules.sops = ./modules/sops; }; }"})
	w.repo("nixpkgs", map[string]string{
		"real-pkgs.nix":   read(w, "../nodes/real-pkgs.nix"),
		"stub-pkgs.nix":   read(w, filepath.Join(nixos, "stub-pkgs.nix")),
		"pkgs-names.json": read(w, filepath.Join(nixos, "pkgs-names.json")),
		"flake.nix": `{
			outputs = _: let
				lib = import ./lib;
				packagesOf = system: import ./real-pkgs.nix { root = ./.; inherit system; };
			in {
				lib = lib // {
					nixosSystem = args: import ./nixos/lib/eval-config.nix ({ inherit lib; system = null; } // args // {
						modules = args.modules ++ [ { nixpkgs.pkgs = packagesOf "x86_64-linux"; documentation.enable = false; } ];
					});
				};
				legacyPackages.x86_64-linux = packagesOf "x86_64-linux";
			};
		}`,
	})
	w.repo("deploy-rs", map[string]string{"flake.nix": read(w, "../../../examples/inputs/deploy-rs/flake.nix")})
	for _, name := range []string{"hostenv", "phps"} {
		w.repo(name, map[string]string{"flake.nix": "{ outputs = _: { }; }"})
	}
	w.repo("site", map[string]string{".hostenv/flake.nix": `{
		outputs = _: {
			packages.x86_64-linux.main = derivation { name = "site-main"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo site > $out" ]; };
			lib.hostenv.x86_64-linux.environments.main = {
				type = "production";
				users.alice = { email = "alice@acme.example"; publicKeys = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINEAyBPwmBOgCw7egLXjJCNKmIHaVEouaQywqtLFeof3 alice" ]; };
				virtualHosts."www.acme.example" = { };
				migrations = [ "site-migrate" ];
				hostenv = {
					organisation = "acme"; project = "site"; environmentName = "main"; gitRef = "main";
					userName = "site-main-b7ea262"; hostenvHostname = "hosting.example"; hostname = "site-main-b7ea262.hosting.example";
					backupsRepoHost = "s3:https://backups.example";
					backupsSecretFile = "/run/secrets/site-main-b7ea262/backups_secret"; backupsEnvFile = "/run/secrets/site-main-b7ea262/backups_env";
				};
			};
		};
	}`})
	files := map[string]string{}
	for _, name := range []string{"flake.nix", "nodes/sample/configuration.nix", "nodes/sample/hardware-configuration.nix"} {
		files[name] = read(w, filepath.Join("../../template/provider", name))
	}
	flake := files["flake.nix"]
	for reference, input := range map[string]string{
		"github:woolwichweb/hostenv-provider": "path:" + w.checkout(),
		"github:NixOS/nixpkgs/nixos-unstable": "git+file://@repos@/nixpkgs",
		"github:hercules-ci/flake-parts":      w.flakeParts()["github:hercules-ci/flake-parts"],
		"github:fossar/nix-phps":              "git+file://@repos@/phps",
		"gitlab:woolwichweb/hostenv":          "git+file://@repos@/hostenv",
		"github:Mic92/sops-nix":               "git+file://@repos@/sops-nix",
		"github:serokell/deploy-rs":           "git+file://@repos@/deploy-rs",
	} {
		flake = replaced(w, flake, `"`+reference+`"`, `"`+input+`"`)
	}
	flake = replaced(w, flake, "# acme__site.url = \"git+ssh://git@git.example/acme/site.git?dir=.hostenv&ref=main\";", "acme__site.url = \"git+file://@repos@/site?dir=.hostenv&ref=main\";")
	flake = replaced(w, flake, "acceptTerms = false;", "acceptTerms = true;")
	flake = replaced(w, flake, "deployPublicKeys = [ ];", `deployPublicKeys = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINEAyBPwmBOgCw7egLXjJCNKmIHaVEouaQywqtLFeof3 deploy" ];
      nodeModules = [ ./nodes/all.nix ];
      accessTokensSecret = "access_tokens";
      cache = { url = "https://cache.hosting.example"; publicKey = "cache.hosting.example-1:WLnA8b5JGgQp0TpWdHmEvx3WhzZ2gQ0kS5ZcbQ3xF1E="; login = "nodes"; passwordSecret = "cache/password"; };`)
	files["flake.nix"] = flake
	files["nodes/all.nix"] = "{ hostenv.monitoring.enable = true; environment.etc.motd.source = ./motd; }\n"
	files["nodes/motd"] = "welcome\n"
	files["secrets/secrets.yaml"] = "acme:\n    backups_secret: ENC[x]\n    backups_env: ENC[x]\ncache:\n    password: ENC[x]\naccess_tokens: ENC[x]\nsops:\n    version: 3.9.4\n"
	w.repo("provider", files)
	w.mustLock("provider", "")
	w.plan()
}

// ownSource is the store path of the provider's repository.
func (w *world) ownSource() string {
	w.Helper()
	var metadata struct{ Path string }
	stdout, stderr, err := w.in("flake", "metadata", "--json")
	if err != nil {
		w.Fatalf("nix flake metadata: %v\n%s", err, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), &metadata); err != nil || metadata.Path == "" {
		w.Fatalf("nix flake metadata: %v in %s", err, stdout)
	}
	return metadata.Path
}

// deployed returns the derivations of all profiles of a node, including its system.
func (w *world) deployed() map[string][]string {
	w.Helper()
	var of map[string][]string
	w.json(".#deploy.nodes", &of, "--apply", `nodes: let
		drvs = text: builtins.attrNames (builtins.getContext "${text}");
		each = f: set: builtins.concatLists (map (name: f name set.${name}) (builtins.attrNames set));
		ofNode = node: value: each (profile: it: [ { name = "profile ${profile} of ${node}"; value = drvs it.path; } ]) value.profiles;
	in builtins.listToAttrs (each ofNode nodes)`)
	return of
}

// requisites returns all store paths that the derivations need.
func (w *world) requisites(drvs []string) []string {
	w.Helper()
	stdout, stderr, err := w.in(append([]string{"path-info", "--recursive", "--derivation"}, drvs...)...)
	if err != nil {
		w.Fatalf("nix path-info: %v\n%s", err, stderr)
	}
	return strings.Fields(stdout)
}
