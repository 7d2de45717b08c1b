// A provider with its plan, as `mage plan` would make it.
package flakes

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/woolwichweb/hostenv-provider/examples"
	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// checkout copies the part of this repository that a provider's flake uses to a folder
// of the world, with stand-ins for missing files.
func (w *world) checkout() string {
	w.Helper()
	dir := filepath.Join(w.dir, "checkout")
	must := func(err error) {
		w.Helper()
		if err != nil {
			w.Fatal(err)
		}
	}
	entries, err := os.ReadDir("../..")
	must(err)
	must(os.MkdirAll(filepath.Join(dir, "nix"), 0o755))
	for _, entry := range entries {
		from, to := filepath.Join("../..", entry.Name()), filepath.Join(dir, "nix", entry.Name())
		switch {
		case entry.Name() == "tests":
		case entry.IsDir():
			must(os.CopyFS(to, os.DirFS(from)))
		default:
			must(os.WriteFile(to, []byte(read(w, from)), 0o644))
		}
	}
	must(os.WriteFile(filepath.Join(dir, "flake.nix"), []byte(read(w, "../../../flake.nix")), 0o644))
	return dir
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// example makes the example provider and its plan, below w.path("").
func (w *world) example(opts examples.Options) {
	w.Helper()
	opts.Library, opts.Nix, opts.Env = w.checkout(), w.nix, w.env
	if err := examples.Make(w.Context(), w.path(""), opts); err != nil {
		w.Fatal(err)
	}
	w.plan()
}

// plan makes the provider's plan of its flake, and commits it.
func (w *world) plan() {
	w.Helper()
	must := func(err error) {
		w.Helper()
		if err != nil {
			w.Fatal(err)
		}
	}
	runner := &hostnix.Runner{Dir: w.path("provider"), Nix: w.nix, Env: w.env, Jobs: 2}
	data, err := runner.Inventory(w.Context())
	must(err)
	inventory, err := plan.DecodeInventory(data)
	must(err)
	requests := inventory.SourceRequests()
	attrs := make([]map[string]any, len(requests))
	for i, request := range requests {
		attrs[i] = request.Attrs
	}
	answers, err := runner.LockSources(w.Context(), attrs)
	must(err)
	sources := plan.Sources{}
	for i, answer := range answers {
		sources[requests[i].Key] = plan.Locked(answer)
	}
	result, err := plan.Compute(plan.Input{Inventory: inventory, Sources: sources, State: state.New()})
	must(err)
	w.repo("provider", map[string]string{
		"generated/state.json": string(result.State.Encode()),
		"generated/plan.json":  string(result.Plan.Encode()),
	})
}

// building gives the world a store in its own folder, because Nix without a sandbox
// cannot build into a store whose location on disk differs from its paths.
func (w *world) building() {
	own, err := os.MkdirTemp(w.dir, "store-")
	if err != nil {
		w.Fatal(err)
	}
	w.env = append(w.env, "NIX_REMOTE=local",
		"NIX_STORE_DIR="+filepath.Join(own, "store"), "NIX_STATE_DIR="+filepath.Join(own, "var"), "NIX_LOG_DIR="+filepath.Join(own, "log"))
}

// in runs nix in the provider's folder.
func (w *world) in(args ...string) (stdout, stderr string, err error) {
	w.Helper()
	return w.run(w.path("provider"), append([]string{w.nix}, args...)...)
}

// mirror copies another project's repository at a commit, and returns its flake
// reference. The copy never becomes part of this repository.
func (w *world) mirror(repository, commit string) string {
	w.Helper()
	mirror, env := testenv.Mirror(w, repository)
	dir := filepath.Join(w.dir, "mirrored", filepath.Base(repository))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.Fatal(err)
	}
	archive := exec.Command("git", "-C", mirror, "archive", "--format=tar", "--output="+dir+".tar", commit)
	archive.Env = env
	if out, err := archive.CombinedOutput(); err != nil {
		w.Fatalf("%s at %s: %v\n%s", repository, commit, err, out)
	}
	w.mustRun("tar", "-xf", dir+".tar", "-C", dir)
	flake := filepath.Join(dir, "flake.nix")
	if !exists(flake) {
		// The mirror of nixpkgs.lib has only one commit.
		if err := os.WriteFile(flake, []byte("{ outputs = _: { lib = import ./lib; }; }\n"), 0o644); err != nil {
			w.Fatal(err)
		}
	}
	w.mustRun("git", "-C", dir, "init", "-q", "-b", "main")
	w.mustRun("git", "-C", dir, "add", "-A", "-f")
	w.mustRun("git", "-C", dir, "commit", "-q", "-m", commit)
	return "git+file://" + dir
}

// nixpkgsLib is the library that belongs to the NixOS modules of the tests.
func (w *world) nixpkgsLib() string {
	return w.mirror("nix-community/nixpkgs.lib", "222d463c72ca802523128d96ae866f9a14cce8c2")
}

// flakeParts returns where the flakes are that the flake-parts example uses.
func (w *world) flakeParts() map[string]string {
	w.Helper()
	return map[string]string{
		"github:hercules-ci/flake-parts":   w.mirror("hercules-ci/flake-parts", "427bf4bd9435fdf21321c8cc628c24efc14c0f7a"),
		"github:nix-community/nixpkgs.lib": w.nixpkgsLib(),
	}
}

// build builds a text file, and returns its text.
func (w *world) build(installable string) string {
	w.Helper()
	stdout, stderr, err := w.in("build", "--no-link", "--json", installable)
	var built []struct{ Outputs struct{ Out string } }
	if err != nil || json.Unmarshal([]byte(stdout), &built) != nil || len(built) != 1 {
		w.Fatalf("nix build %s: %v\n%s\n%s", installable, err, stdout, stderr)
	}
	return read(w, built[0].Outputs.Out)
}

// json evaluates an attribute of the provider's flake.
func (w *world) json(attribute string, into any, args ...string) {
	w.Helper()
	stdout, stderr, err := w.in(append([]string{"eval", "--json", attribute}, args...)...)
	if err != nil {
		w.Fatalf("nix eval %s: %v\n%s", attribute, err, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), into); err != nil {
		w.Fatalf("nix eval %s: %v in %s", attribute, err, stdout)
	}
}

func (w *world) storeDir() string {
	w.Helper()
	return w.mustRun(w.nix, "eval", "--raw", "--expr", "builtins.storeDir")
}
