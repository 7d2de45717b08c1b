// Package realhostenv_test compares plans, nodes and packages with those that
// hostenv itself makes of the same customers.
package realhostenv_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/drive"
	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// TestNothingDiffers runs the tool on this working tree, committed or not, under
// every Nix that can lock hostenv. Under one that cannot evaluate what we compare
// with, that is left to the newest.
func TestNothingDiffers(t *testing.T) {
	tool, mirrors := needs(t)
	tree := checkout(t)
	nixes := lockers(t)
	for _, nix := range nixes {
		t.Run(version(t, nix), func(t *testing.T) {
			part := func(nix, script string, args ...string) string {
				t.Helper()
				out, log, err := run(t, toolEnv(t, nix), filepath.Join(tool, script), args...)
				if err != nil {
					t.Fatalf("%v\n%s\n%s", err, log, out)
				}
				return out
			}
			var out string
			if readsOtherStores(t, nix) {
				out = part(nix, "run.sh", mirrors, tree)
			} else {
				fleet := filepath.Join(testenv.NixDir(t), "fleet")
				part(nix, "setup.sh", mirrors, tree, fleet)
				makePlan(t, nix, filepath.Join(fleet, "provider"), testenv.NixEnv(testenv.NixDir(t)))
				part(nix, "ours.sh", fleet)
				part(nixes[len(nixes)-1], "reference.sh", fleet)
				out = part("", "compare.py", filepath.Join(fleet, "ours-plan.json"), filepath.Join(fleet, "reference-plan.json"))
			}
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if !regexp.MustCompile(`^[1-9]\d* environments, 0 differences$`).MatchString(lines[len(lines)-1]) {
				t.Errorf("the tool says\n%s", out)
			}
		})
	}
}

// readsOtherStores reports whether a Nix reads a file by its store path if the
// store is in another folder. The evaluation of hostenv's nodes needs this, and
// Nix 2.26 does not do it.
func readsOtherStores(t testing.TB, nix string) bool {
	t.Helper()
	const file = `builtins.readFile (builtins.unsafeDiscardStringContext (builtins.toFile "probe" "read"))`
	out, _, err := run(t, testenv.NixEnv(testenv.NixDir(t)), nix, "eval", "--impure", "--raw", "--expr", file)
	return err == nil && strings.TrimSpace(out) == "read"
}

// TestEveryNix checks that plans and packages of the real hostenv's customers are
// the same under every Nix, whichever Nix locked them.
func TestEveryNix(t *testing.T) {
	tool, mirrors := needs(t)
	tool = withStorePaths(t, tool)
	newer := lockers(t)
	newest := newer[len(newer)-1]
	fleet := filepath.Join(testenv.NixDir(t), "fleet")
	if out, log, err := run(t, toolEnv(t, newest), "bash", filepath.Join(tool, "setup.sh"), mirrors, checkout(t), fleet); err != nil {
		t.Fatalf("%v\n%s\n%s", err, log, out)
	}
	provider := filepath.Join(fleet, "provider")
	makePlan(t, newest, provider, testenv.NixEnv(testenv.NixDir(t)))

	type evaluated struct {
		Inventory, Packages any
	}
	evaluate := func(t *testing.T, nix string) (e evaluated) {
		t.Helper()
		env := testenv.NixEnv(testenv.NixDir(t))
		for attribute, into := range map[string]any{
			".#lib.hostenvProvider.inventory": &e.Inventory,
			".#legacyPackages.x86_64-linux":   &e.Packages,
		} {
			// Nix 2.8 writes the URL of an input with dir in another form.
			args := []string{"-C", provider, nix, "eval", "--json", "--no-write-lock-file", attribute}
			if into == &e.Packages {
				args = append(args, "--apply", "all: builtins.mapAttrs (_: package: package.outPath) all.environments")
			}
			out, log, err := run(t, env, "env", args...)
			if err != nil {
				t.Fatalf("nix eval %s: %v\n%s", attribute, err, log)
			}
			if err := json.Unmarshal([]byte(out), into); err != nil {
				t.Fatal(err)
			}
		}
		return e
	}
	want := evaluate(t, newest)
	packages, ok := want.Packages.(map[string]any)
	if !ok || len(packages) < 2 {
		t.Fatalf("the packages are %v", want.Packages)
	}

	// Held processes evaluate the same packages.
	document, err := plan.DecodeDocument([]byte(read(t, filepath.Join(provider, "generated/plan.json"))))
	if err != nil {
		t.Fatal(err)
	}
	runner := &hostnix.Runner{Dir: provider, Nix: newest, Env: testenv.NixEnv(testenv.NixDir(t))}
	held, failed, err := runner.Packages(t.Context(), drive.Environments(document))
	if err != nil || len(failed) > 0 {
		t.Fatal(err, failed)
	}
	paths := map[string]any{}
	for user, p := range held {
		paths[user] = p.Path
	}
	if diff := cmp.Diff(packages, paths); diff != "" {
		t.Errorf("the packages that held processes evaluate (-together +held):\n%s", diff)
	}
	for _, nix := range testenv.NixBinaries(t) {
		if nix == newest {
			continue
		}
		t.Run(version(t, nix), func(t *testing.T) {
			if diff := cmp.Diff(want, evaluate(t, nix)); diff != "" {
				t.Errorf("against Nix %s (-want +got):\n%s", version(t, newest), diff)
			}
		})
	}
}

// needs returns the folder of the tool, and the folder of its mirrors.
func needs(t testing.TB) (tool, mirrors string) {
	t.Helper()
	tool, mirrors = testenv.Need(t, "real-hostenv"), testenv.Need(t, "mirrors")
	for _, repository := range []string{"WoolwichWeb/hostenv", "hercules-ci/flake-parts", "Mic92/sops-nix", "nix-community/nixpkgs.lib"} {
		testenv.Mirror(t, repository)
	}
	return tool, mirrors
}

// withStorePaths returns a copy of the tool whose stand-ins for packages have store
// paths. The tool's own have hexadecimal hashes; Nix's base 32 has no e, and a deploy
// refuses what is no store path.
func withStorePaths(t testing.TB, tool string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{filepath.Base(tool), "nixos-eval"} { // what it starts beside it
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(filepath.Dir(tool), name))); err != nil {
			t.Fatal(err)
		}
	}
	tool = filepath.Join(dir, filepath.Base(tool))
	file := filepath.Join(tool, "standins/nixpkgs/default.nix")
	const hash = `builtins.hashString "sha256" (text package)`
	text := strings.Replace(read(t, file), hash, `builtins.replaceStrings [ "e" ] [ "z" ] (`+hash+`)`, 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return tool
}

// lockers returns the Nixes that can lock hostenv.
func lockers(t testing.TB) []string {
	t.Helper()
	testenv.Need(t, "newer-nix")
	able := slices.DeleteFunc(testenv.NixBinaries(t), func(nix string) bool {
		major, rest, _ := strings.Cut(version(t, nix), ".")
		minor, _, _ := strings.Cut(rest, ".")
		number, err := strconv.Atoi(minor)
		return major == "2" && (err != nil || number < 26)
	})
	if len(able) == 0 {
		t.Skip("no Nix of HOSTENV_TEST_NIX is 2.26 or newer")
	}
	return able
}

func version(t testing.TB, nix string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), nix, "--version").Output()
	if err != nil {
		t.Fatalf("%s --version: %v", nix, err)
	}
	fields := strings.Fields(string(out))
	return fields[len(fields)-1]
}

// toolEnv is the tool's environment: it makes its own store, and settings of Nix.
func toolEnv(t *testing.T, nix string) []string {
	t.Helper()
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "NIX_") })
	return append(env, "NIX="+nix, "CUSTOMERS=2", "TMPDIR="+testenv.NixDir(t))
}

// checkout makes a repository of this tree's present files, because the tool takes
// a commit.
func checkout(t testing.TB) string {
	t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull)
	git := func(dir string, args ...string) string {
		t.Helper()
		out, log, err := run(t, env, testenv.Need(t, "git"), append([]string{
			"-C", dir, "-c", "safe.directory=*", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false",
		}, args...)...)
		if err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, log)
		}
		return out
	}
	dir := t.TempDir()
	for name := range strings.SplitSeq(git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"), "\x00") {
		if info, err := os.Lstat(filepath.Join(root, name)); name == "" || err != nil || !info.Mode().IsRegular() {
			continue // deleted, without a commit
		}
		copyFile(t, filepath.Join(root, name), filepath.Join(dir, name))
	}
	git(dir, "init", "--quiet", "--initial-branch=main")
	git(dir, "add", "--all", "--force")
	git(dir, "commit", "--quiet", "--message=the tree")
	return dir
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	source, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		t.Fatal(err)
	}
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(target, source); err != nil {
		t.Fatal(err)
	}
	if err := target.Close(); err != nil {
		t.Fatal(err)
	}
}

// makePlan writes and commits the provider's plan.
func makePlan(t testing.TB, nix, provider string, env []string) {
	t.Helper()
	runner := &hostnix.Runner{Dir: provider, Nix: nix, Env: env, Jobs: 2}
	data, err := runner.Inventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	inventory, err := plan.DecodeInventory(data)
	if err != nil {
		t.Fatal(err)
	}
	requests := inventory.SourceRequests()
	attrs := make([]map[string]any, len(requests))
	for i, request := range requests {
		attrs[i] = request.Attrs
	}
	answers, err := runner.LockSources(t.Context(), attrs)
	if err != nil {
		t.Fatal(err)
	}
	sources := plan.Sources{}
	for i, answer := range answers {
		sources[requests[i].Key] = plan.Locked(answer)
	}
	result, err := plan.Compute(plan.Input{Inventory: inventory, Sources: sources, State: state.New()})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(provider, "generated/plan.json"), result.Plan.Encode(), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, log, err := run(t, os.Environ(), testenv.Need(t, "git"), "-C", provider, "add", "--all"); err != nil {
		t.Fatalf("git add: %v\n%s", err, log)
	}
}

// run returns the standard output and the standard error of a program.
func run(t testing.TB, env []string, program string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = env
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("%s: %w", program, err)
	}
	return out.String(), log.String(), err
}
