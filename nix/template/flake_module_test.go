package template_test

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// TestFlake follows README.md with Nix, from the template to a plan and an evaluated
// node. It uses the real flake-parts and nixpkgs's library, and stand-ins for the other
// inputs, because the test has no network.
func TestFlake(t *testing.T) {
	if _, err := os.Stat(filepath.Join(root(t), "nix", "flake-module.nix")); err != nil {
		t.Skip("this checkout has no flake module")
	}
	flakeParts := mirrored(t, "hercules-ci/flake-parts", "flake.nix", "lib.nix", "lib", "modules", "extras")
	lib := mirrored(t, "nix-community/nixpkgs.lib", "lib")
	tasks := withTasks(t)
	mage := filepath.Join(t.TempDir(), "hostenv-provider")
	tasks.run(t, "go", "tool", "mage", "-compile", mage)

	each(t, func(t *testing.T, n nix) {
		world := realTempDir(t)
		nixpkgs := maps.Clone(lib)
		nixpkgs["flake.nix"] = `{
		  outputs = _: let lib = import ./lib; in {
		    lib = lib // {
		      # Takes a node's modules for what they are, and evaluates none of NixOS's own.
		      nixosSystem = { modules, specialArgs ? { }, ... }: {
		        config.system.build.toplevel = derivation { name = "system"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo system > $out" ]; };
		      };
		    };
		    legacyPackages.x86_64-linux = { };
		  };
		}`
		for name, content := range map[string]map[string]string{
			"hostenv-provider": library(t), "flake-parts": flakeParts, "nixpkgs": nixpkgs,
			"hostenv": {"flake.nix": "{ outputs = _: { }; }"}, "phps": {"flake.nix": "{ outputs = _: { }; }"},
			"sops-nix": {"flake.nix": "{ outputs = _: { nixosModules.sops = { }; }; }"}, "deploy-rs": {"flake.nix": deployRs},
			"site": customer,
		} {
			repository(t, filepath.Join(world, name), content)
		}

		provider := filepath.Join(world, "provider")
		if err := os.CopyFS(provider, os.DirFS("provider")); err != nil {
			t.Fatal(err)
		}
		edit(t, filepath.Join(provider, "flake.nix"), func(flake string) string {
			for name, url := range map[string]string{
				"hostenv-provider": "github:woolwichweb/hostenv-provider", "nixpkgs": "github:NixOS/nixpkgs/nixos-unstable",
				"flake-parts": "github:hercules-ci/flake-parts", "phps": "github:fossar/nix-phps", "hostenv": "gitlab:woolwichweb/hostenv",
				"sops-nix": "github:Mic92/sops-nix", "deploy-rs": "github:serokell/deploy-rs",
			} {
				flake = replaced(t, flake, `"`+url+`"`, `"git+file://`+filepath.Join(world, name)+`"`)
			}
			// The steps of README.md.
			flake = replaced(t, flake, `# acme__site.url = "git+ssh://git@git.example/acme/site.git?dir=.hostenv&ref=main";`,
				`acme__site.url = "git+file://`+filepath.Join(world, "site")+`?dir=.hostenv&ref=main";`)
			return regexp.MustCompile(`acceptTerms = false; *#.*`).ReplaceAllString(flake, "acceptTerms = true;")
		})
		n.buildsItself(t)
		r := n.in(provider)
		r.env = append(slices.Clone(r.env), "PATH="+filepath.Dir(n.binary)+":"+os.Getenv("PATH"))
		r.run(t, "git", "init", "--quiet")
		r.run(t, "git", "add", ".")
		r.run(t, n.binary, "flake", "lock")
		r.run(t, "git", "add", ".")
		r.run(t, mage, "state:init")
		r.run(t, mage, "plan", "-dryRun")
		r.run(t, mage, "plan")
		if out := r.run(t, n.binary, "eval", "--raw", ".#nixosConfigurations.sample.config.system.build.toplevel.name"); strings.TrimSpace(out) != "system" {
			t.Errorf("the node's system is %q", out)
		}
		if runtime.GOARCH == "amd64" {
			if out := r.run(t, mage, "nodesBuild", "sample"); !regexp.MustCompile(`(?s)sample/system .*-activatable-system\n.*sample/site-main-b7ea262 .*-activatable-site-main\n`).MatchString(out) {
				t.Errorf("built: %s", out)
			}
		}
		if out := r.run(t, mage, "plan", "-dryRun", "-detailedExitcode", "-locked"); !strings.HasPrefix(out, "no changes") {
			t.Errorf("what CI runs shows %q", out)
		}
	})
}

// deployRs is a stand-in for deploy-rs. This test does not activate profiles.
const deployRs = `{
  outputs = _: {
    lib.x86_64-linux.activate = rec {
      custom.__functor = _: base: script: derivation {
        name = "activatable-${base.name}"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo ${base} > $out" ];
      };
      nixos = custom;
    };
  };
}`

// customer is a typical project of a customer, with a stand-in for hostenv.
var customer = map[string]string{
	".hostenv/flake.nix": `{
	  outputs = _: {
	    packages.x86_64-linux.main = derivation { name = "site-main"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo site > $out" ]; };
	    lib.hostenv.x86_64-linux = {
	      defaultEnvironment = "main";
	      environments.main = {
	        enable = true;
	        type = "production";
	        users.alice.publicKeys = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINEAyBPwmBOgCw7egLXjJCNKmIHaVEouaQywqtLFeof3 alice" ];
	        virtualHosts."site-main-b7ea262.hosting.example" = { };
	        hostenv = {
	          organisation = "acme"; project = "site"; environmentName = "main"; gitRef = "main";
	          userName = "site-main-b7ea262"; hostenvHostname = "hosting.example"; hostname = "site-main-b7ea262.hosting.example";
	        };
	      };
	    };
	  };
	}`,
}

func edit(t *testing.T, path string, change func(string) string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(change(string(text))), 0o666); err != nil {
		t.Fatal(err)
	}
}

// replaced is strings.Replace, but fails if the old text is missing.
func replaced(t *testing.T, text, old, new string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("the template has no %s", old)
	}
	return strings.Replace(text, old, new, 1)
}

// mirrored reads parts of a mirrored repository, by path.
func mirrored(t *testing.T, repository string, parts ...string) map[string]string {
	t.Helper()
	mirror := filepath.Join(testenv.Need(t, "mirrors"), strings.Replace(repository, "/", "+", 1), "repo")
	if _, err := os.Stat(mirror); err != nil {
		t.Skipf("no mirror of %s: %v", repository, err)
	}
	dest := t.TempDir()
	archive := exec.CommandContext(t.Context(), "git", append([]string{"-C", mirror, "archive", "--format=tar", "HEAD"}, parts...)...)
	archive.Env = append(os.Environ(), "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
	text, err := archive.Output()
	if err != nil {
		t.Fatal(err)
	}
	unpack := exec.CommandContext(t.Context(), "tar", "-x", "-C", dest)
	unpack.Stdin = bytes.NewReader(text)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return files(t, dest)
}
