package nix_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// special has names of folders. Each has a neighbour that Nix would read if it
// parsed the name as part of a URL.
var special = map[string]string{"a#b": "a", "a?b": "a", "a b": "a%20b", "ä": "%C3%A4", "a%20b": "a b", "a&b=c": "a", "a+b": "a b"}

func named(t *testing.T, dir, name string) string {
	t.Helper()
	return write(t, filepath.Join(dir, name), map[string]string{"flake.nix": fmt.Sprintf("{ outputs = _: { name = %q; }; }", name)})
}

func commitAll(t *testing.T, dir string) {
	t.Helper()
	gitOutput(t, dir, "init", "--quiet", "--initial-branch=main")
	gitOutput(t, dir, "add", ".")
	gitOutput(t, dir, "commit", "--quiet", "--message=files")
}

// nameBy returns what nix reads as the flake's name: from the folder, and by the
// reference from elsewhere.
func nameBy(t *testing.T, n nix, dir string) (installable, reference string, err error) {
	t.Helper()
	ctx, runner := t.Context(), n.runner(dir)
	get := func(in string, args ...string) string {
		out, log, err := n.run(t, in, append([]string{"eval", "--raw"}, args...)...)
		if err != nil {
			return log
		}
		return string(out)
	}
	attribute, err := runner.Installable(ctx, "name")
	if err == nil {
		installable = get(dir, attribute)
	}
	flake, noReference := runner.Flake(ctx)
	if noReference == nil {
		reference = get("/", "--impure", "--expr", fmt.Sprintf("(builtins.getFlake %s).name", hostnix.Quote(flake)))
	}
	return installable, reference, err
}

func newEnough(t *testing.T, n nix) bool {
	t.Helper()
	v, err := n.runner("/").Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return hostnix.AtLeast(v, 2, 26)
}

// refused checks that the error names the folder and has a hint.
func refused(t *testing.T, err error, dir string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(problem.Hint(err), "move the folder") {
		t.Errorf("%s: got %v (hint: %s), want a refusal", dir, err, problem.Hint(err))
	}
}

// Nix reads the folder that is meant, or none: a name that it cannot read is refused.
func TestFoldersWithSpecialNames(t *testing.T) {
	each(t, func(t *testing.T, n nix) {
		for name, neighbour := range special {
			literal := name == "a+b"
			dir := realTempDir(t)
			named(t, dir, neighbour)
			plain := named(t, dir, name)
			installable, reference, err := nameBy(t, n, plain)
			if err != nil || installable != name {
				t.Errorf("%s without git: got %q, %v", name, installable, err)
			}
			if newEnough(t, n) || literal {
				if reference != name {
					t.Errorf("%s without git: the reference is of %q", name, reference)
				}
			} else {
				_, err := n.runner(plain).Flake(t.Context())
				refused(t, err, plain)
			}

			repository := realTempDir(t)
			commitAll(t, named(t, repository, neighbour))
			plain = named(t, repository, name)
			commitAll(t, plain)
			// Nix also reads what is not committed.
			write(t, plain, map[string]string{"flake.nix": fmt.Sprintf("{ outputs = _: { name = %q; }; }", "changed "+name)})
			installable, reference, err = nameBy(t, n, plain)
			if newEnough(t, n) || literal {
				if err != nil || installable != "changed "+name || reference != installable {
					t.Errorf("%s in git: got %q, %q, %v", name, installable, reference, err)
				}
			} else {
				refused(t, err, plain)
			}
			_, err = n.runner(plain).Inventory(t.Context())
			if !newEnough(t, n) && !literal {
				refused(t, err, plain)
			} else if err == nil || !strings.Contains(err.Error(), "does not provide attribute") {
				t.Errorf("%s: got %v", name, err)
			}
		}
	})
}

// Below the root of a repository every Nix reads every name, also in a shallow
// clone.
func TestFlakeBelowTheRootOfARepository(t *testing.T) {
	each(t, func(t *testing.T, n nix) {
		root := realTempDir(t)
		named(t, root, "plain")
		for name := range special {
			named(t, root, filepath.Join("providers", name))
		}
		named(t, root, "")
		commitAll(t, root)
		shallow := filepath.Join(realTempDir(t), "clone")
		gitOutput(t, root, "clone", "--quiet", "--depth=1", "file://"+root, shallow)
		for _, repository := range []string{root, shallow} {
			for name := range special {
				want := filepath.Join("providers", name)
				installable, reference, err := nameBy(t, n, filepath.Join(repository, want))
				if err != nil || installable != want || reference != want {
					t.Errorf("%s: got %q, %q, %v", want, installable, reference, err)
				}
			}
		}
		// A symlink leads to the same flake.
		link := filepath.Join(realTempDir(t), "a#b")
		if err := os.Symlink(filepath.Join(root, "plain"), link); err != nil {
			t.Fatal(err)
		}
		if installable, _, err := nameBy(t, n, link); installable != "plain" || err != nil {
			t.Errorf("through a symlink: got %q, %v", installable, err)
		}
	})
}

// An input is built from a folder with a special name.
func TestBuildInput(t *testing.T) {
	system := platform(t)
	each(t, func(t *testing.T, n nix) {
		dir := realTempDir(t)
		write(t, dir, map[string]string{"tool/flake.nix": fmt.Sprintf(`{ outputs = _: { packages.%s.tool = derivation {
			name = "tool"; system = %[1]q; builder = "/bin/sh"; args = [ "-c" "echo tool > $out" ]; }; }; }`, system)})
		name := "plain"
		if newEnough(t, n) {
			name = "a#b ä"
		}
		provider := write(t, filepath.Join(dir, name), map[string]string{"flake.nix": fmt.Sprintf("{ inputs.tool.url = \"path:%s/tool\"; outputs = _: { }; }", dir)})
		runner := n.building(t, provider)
		reference, err := runner.Flake(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, log, err := n.run(t, provider, "flake", "lock", reference); err != nil {
			t.Fatalf("%v\n%s", err, log)
		}
		path, err := runner.BuildInput(t.Context(), "tool")
		if err != nil || !strings.HasSuffix(path, "-tool") {
			t.Errorf("got %q, %v", path, err)
		}
		if _, err := runner.BuildInput(t.Context(), "other"); err == nil || !strings.Contains(err.Error(), "build the input other of "+reference) {
			t.Errorf("got %v", err)
		}
	})
}
