package nix_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// platform is this machine's, as Nix calls it.
func platform(t *testing.T) string {
	t.Helper()
	architectures := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}
	architecture, ok := architectures[runtime.GOARCH]
	if !ok || runtime.GOOS != "linux" {
		t.Skipf("left out: nothing is built on %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	return architecture + "-linux"
}

// buildFlake makes a flake with the outputs that a provider's has, which builds
// with /bin/sh and nothing else.
func buildFlake(t *testing.T, system string) string {
	t.Helper()
	dir := realTempDir(t)
	flake := fmt.Sprintf(`{
  outputs = _: let
    system = %q;
    sh = name: script: derivation { inherit name system; builder = "/bin/sh"; args = [ "-c" script ]; };
    library = sh "library" "echo 0123456789 > $out";
  in {
    legacyPackages.${system} = {
      nodes.n1 = sh "system-n1" "echo ${library} > $out";
      nodes.n2 = sh "system-n2" "echo the disk is on fire >&2; exit 7";
      nodes.n5 = sh "system-n5" "cat ${sh "broken" "echo the library is on fire >&2; exit 8"} > $out";
      nodes."n.3" = sh "system-n3" "echo 3 > $out";
      environments.shop-main-4f7240c = sh "shop" "echo ${library} twice > $out";
      environments.site-main-b7ea262 = throw "project acme__site: hostenv.nix is wrong\nhint: mend it";
      environments.outputs-main-0000000 = derivation {
        name = "outputs"; inherit system; builder = "/bin/sh"; outputs = [ "out" "doc" ];
        args = [ "-c" "echo d > $doc; echo o > $out" ];
      };
      environments.slow-main-0000000 = sh "slow" "while :; do read -t 60 _ < /dev/zero; done";
    };
    legacyPackages.other-none.nodes.n1 = derivation { name = "other"; system = "other-none"; builder = "/bin/sh"; };
  };
}
`, system)
	if err := os.WriteFile(filepath.Join(dir, "flake.nix"), []byte(flake), 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

// building returns the Nix with a store in which it can build: in the store of
// [testenv.NixEnv], whose root is not the machine's, there is no /bin/sh.
func (n nix) building(t *testing.T, dir string) *hostnix.Runner {
	t.Helper()
	store := testenv.NixDir(t)
	n.env = append(slices.Clone(n.env), "NIX_REMOTE=local", "NIX_STORE_DIR="+store+"/store", "NIX_STATE_DIR="+store+"/var", "NIX_LOG_DIR="+store+"/log")
	// Two processes that make the same store at once may find its database busy.
	if _, log, err := n.run(t, dir, "path-info", "--all"); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	return n.runner(dir)
}

func node(system, name string) hostnix.Buildable {
	return hostnix.Buildable{Kind: hostnix.NodeSystem, Name: name, System: system}
}

func environment(system, name string) hostnix.Buildable {
	return hostnix.Buildable{Kind: hostnix.Environment, Name: name, System: system}
}

func TestBuild(t *testing.T) {
	system := platform(t)
	each(t, func(t *testing.T, n nix) {
		dir := buildFlake(t, system)
		runner := n.building(t, dir)
		subjects := map[string]bool{}
		runner.Progress = func(e hostnix.Event) {
			subjects[e.Subject] = e.Phase == hostnix.Building && e.Total == 4 && e.Number == len(subjects)+1
		}
		wanted := []hostnix.Buildable{
			node(system, "n1"), environment("", "shop-main-4f7240c"), node("", "n.3"), environment(system, "outputs-main-0000000"),
		}
		built, err := runner.Build(t.Context(), wanted)
		if err != nil {
			t.Fatal(err)
		}
		// NAR size of a file: 96 bytes of frame, and its length with itself,
		// rounded up to eight.
		const library = 112 + 16
		for i, want := range []struct {
			suffix string
			least  int64
		}{{"-system-n1", 2 * library}, {"-shop", 2 * library}, {"-system-n3", 100}, {"-outputs", 100}} {
			b := built[i]
			if b.Buildable != wanted[i] || !strings.HasSuffix(b.Path, want.suffix) || b.ClosureSize < want.least {
				t.Errorf("built %+v, want the path to end in %s, and at least %d bytes", b, want.suffix, want.least)
			}
		}
		for _, subject := range []string{"node n1", "environment shop-main-4f7240c", "node n.3", "environment outputs-main-0000000"} {
			if !subjects[subject] {
				t.Errorf("no right event about %q: %v", subject, subjects)
			}
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Errorf("the provider's folder holds %v (%v), want flake.nix alone", entries, err)
		}
	})
}

// Every failure is named, with what went wrong in it, and hides no other.
func TestBuildFails(t *testing.T) {
	system := platform(t)
	each(t, func(t *testing.T, n nix) {
		runner := n.building(t, buildFlake(t, system))
		_, err := runner.Build(t.Context(), []hostnix.Buildable{
			node(system, "n1"), node(system, "n2"), environment(system, "site-main-b7ea262"), node(system, "n4"), node("other-none", "n1"), node(system, "n5"),
		})
		var failed *hostnix.BuildError
		if !errors.As(err, &failed) || len(failed.Failures) != 5 {
			t.Fatalf("want five failures, got %v", err)
		}
		for i, want := range []struct{ message, hint string }{
			{"build node n2: .*the disk is on fire", "nix build --no-link --show-trace '.#legacyPackages." + system + ".nodes.n2'"},
			{"build environment site-main-b7ea262: project acme__site: hostenv.nix is wrong", "^mend it$"},
			{"build node n4: .*does not provide attribute", "run `mage plan`"},
			{"build node n1: ", "cannot build for that platform"},
			{"build node n5: .*broken.*the library is on fire", "nix build --no-link"},
		} {
			f := failed.Failures[i]
			mustMatch(t, f.Error(), want.message)
			mustMatch(t, f.Hint(), want.hint)
			mustMatch(t, err.Error(), want.message)
		}
	})
}

// A build that is cancelled ends, and its processes with it.
func TestBuildIsCancelled(t *testing.T) {
	system := platform(t)
	each(t, func(t *testing.T, n nix) {
		runner := n.building(t, buildFlake(t, system))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		// By itself it would never end.
		if _, err := runner.Build(ctx, []hostnix.Buildable{environment(system, "slow-main-0000000")}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
