// Package template_test checks that the template works as its README says: it creates
// a provider from it, and follows the steps.
package template_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/examples"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

const module = "github.com/woolwichweb/hostenv-provider"

// root returns the folder of the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// files returns the files of a folder by path.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && entry.Name() == ".git" {
			if err == nil {
				err = fs.SkipDir
			}
			return err
		}
		if entry.IsDir() {
			return nil
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		all[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// taken returns a new folder with a copy of the template.
func taken(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "provider")
	if err := os.CopyFS(dir, os.DirFS("provider")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A runner runs programs in a folder.
type runner struct {
	dir string
	env []string
}

func (r runner) try(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir, cmd.Env = r.dir, append(os.Environ(), r.env...)
	if r.env != nil && strings.HasPrefix(r.env[0], "only:") {
		cmd.Env = r.env[1:]
	}
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w\n%s%s", strings.Join(args, " "), err, out, log.String())
	}
	return string(out), nil
}

func (r runner) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := r.try(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// withTasks returns a copy of the template after `go get`, with this checkout in place
// of the published module.
func withTasks(t *testing.T) runner {
	t.Helper()
	r := runner{dir: taken(t), env: []string{"GOFLAGS=-mod=mod", "GOPROXY=off", "GOSUMDB=off", "GOWORK=off", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_SYSTEM=" + os.DevNull}}
	r.run(t, "go", "mod", "edit", "-replace="+module+"="+root(t))
	r.run(t, "go", "get", module+"/magefiles/targets")
	r.env[0] = "GOFLAGS=-mod=readonly" // go get must have completed go.mod
	return r
}

// TestTasks does what README.md says, with Go and without Nix.
func TestTasks(t *testing.T) {
	r := withTasks(t)
	var targets []string
	for _, line := range regexp.MustCompile(`(?m)^  (\S+)`).FindAllStringSubmatch(r.run(t, "go", "tool", "mage", "-l"), -1) {
		targets = append(targets, strings.TrimSuffix(line[1], "*"))
	}
	for _, want := range []string{"nodesBuild", "plan", "state:init", "state:list", "state:prune"} {
		if !slices.Contains(targets, want) {
			t.Errorf("there is no task %s: %v", want, targets)
		}
	}

	// Each task whose name has several words also has a hyphenated alias.
	for _, target := range targets {
		alias := hyphenated(target)
		if alias == target {
			continue
		}
		if usage := r.run(t, "go", "tool", "mage", "-h", target); !regexp.MustCompile(`(?m)^Aliases: (.*, )?` + alias + `(,|$)`).MatchString(usage) {
			t.Errorf("%s is no alias of %s: add it to magefiles/magefile.go of the template", alias, target)
		}
	}
	if _, err := r.try(t, "go", "tool", "mage", "nodes-build", "sample"); err == nil || !strings.Contains(err.Error(), "there is no generated/state.json") {
		t.Errorf("nodes-build: %v", err)
	}

	testenv.Need(t, "git") // for the steps below
	inventory := filepath.Join(r.dir, "inventory.json")
	if err := os.WriteFile(inventory, examples.Inventory(), 0o666); err != nil {
		t.Fatal(err)
	}
	r.run(t, "git", "init", "--quiet")
	r.run(t, "git", "add", ".")
	if _, err := r.try(t, "go", "tool", "mage", "plan", "-inventory="+inventory); err == nil || !strings.Contains(err.Error(), "mage state:init") {
		t.Errorf("a plan without a state: %v", err)
	}
	r.run(t, "go", "tool", "mage", "state:init")
	if out := r.run(t, "go", "tool", "mage", "plan", "-dryRun", "-inventory="+inventory); !strings.Contains(out, "would write generated/plan.json") {
		t.Errorf("a dry run says %q", out)
	}
	r.run(t, "go", "tool", "mage", "plan", "-inventory="+inventory)
	if out := r.run(t, "go", "tool", "mage", "state:list"); !strings.Contains(out, "40000") {
		t.Errorf("the list is %q", out)
	}
	text, err := os.ReadFile(filepath.Join(r.dir, "generated", "plan.json"))
	if err != nil {
		t.Fatal(err)
	}
	if document, err := plan.DecodeDocument(text); err != nil || len(document.Nodes) != 2 {
		t.Errorf("the plan has the nodes %v (%v)", document.NodeNames(), err)
	}

	// The plan adds the files to commit to git's index, and git ignores the others.
	status := strings.Fields(r.run(t, "git", "status", "--short", "--untracked-files=all", "generated"))
	if want := []string{"A", "generated/README.md", "A", "generated/.gitignore", "A", "generated/plan.json", "A", "generated/state.json"}; !sameElements(status, want) {
		t.Errorf("git status in generated: %v, want %v", status, want)
	}
	for _, ignored := range []string{"generated/.hostenv.lock", "generated/.hostenv/journal", "generated/.plan.json.1.tmp", "secrets/signing/secret.key", "result", "result-1"} {
		if _, err := r.try(t, "git", "check-ignore", ignored); err != nil {
			t.Errorf("git does not ignore %s", ignored)
		}
	}
	for _, kept := range []string{"secrets/secrets.yaml", "secrets/signing/public.key", "generated/plan.json", "generated/state.json", "flake.lock", "go.sum"} {
		if _, err := r.try(t, "git", "check-ignore", kept); err == nil {
			t.Errorf("git ignores %s", kept)
		}
	}
}

func sameElements(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// hyphenated writes dnsGate as dns-gate.
func hyphenated(name string) string {
	var b strings.Builder
	for _, c := range name {
		if unicode.IsUpper(c) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}

// The tasks and flags that the template, README.md and docs/ mention must exist.
func TestCommandsExist(t *testing.T) {
	r := withTasks(t)
	list := r.run(t, "go", "tool", "mage", "-l")
	texts := files(t, "provider")
	for name, text := range files(t, filepath.Join(root(t), "docs")) {
		if strings.HasSuffix(name, ".md") {
			texts["docs/"+name] = text
		}
	}
	readme, err := os.ReadFile(filepath.Join(root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	texts["README.md"] = string(readme)
	delete(texts, "docs/development.md") // this repository's own tasks
	for name, text := range texts {
		texts[name] = regexp.MustCompile(`go tool mage (demo|test|tutorial|bench)`).ReplaceAllString(text, "")
	}
	commands := regexp.MustCompile(`(?:\$ mage|` + "`mage" + `|go tool mage|\$TASKS) +([a-z][A-Za-z:]*)((?: +-[a-zA-Z]+)*)`)
	found := 0
	usages := map[string]string{}
	for name, text := range texts {
		for _, command := range commands.FindAllStringSubmatch(text, -1) {
			found++
			if !regexp.MustCompile(`(?m)^  ` + command[1] + `\*? `).MatchString(list) {
				t.Errorf("%s: there is no task %s", name, command[1])
				continue
			}
			usage, ok := usages[command[1]]
			if !ok {
				usage = r.run(t, "go", "tool", "mage", "-h", command[1])
				usages[command[1]] = usage
			}
			for _, flag := range strings.Fields(command[2]) {
				if !strings.Contains(usage, flag+"=") {
					t.Errorf("%s: the task %s knows no %s", name, command[1], flag)
				}
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d commands were found", found)
	}
}

// A nix is one Nix with its own store.
type nix struct {
	binary string
	env    []string
}

func each(t *testing.T, test func(t *testing.T, n nix)) {
	testenv.Need(t, "git")
	for _, binary := range testenv.NixBinaries(t) {
		t.Run(strings.ReplaceAll(strings.TrimPrefix(binary, "/"), "/", "-"), func(t *testing.T) {
			test(t, nix{binary, testenv.NixEnv(testenv.NixDir(t))})
		})
	}
}

// buildsItself gives a Nix a store whose location on disk matches its paths. There Nix
// can build, and Nix 2.8 finds a template.
func (n *nix) buildsItself(t *testing.T) {
	store := testenv.NixDir(t)
	n.env = append(slices.Clone(n.env), "NIX_REMOTE=local", "NIX_STORE_DIR="+store+"/store", "NIX_STATE_DIR="+store+"/var", "NIX_LOG_DIR="+store+"/log")
}

func (n nix) in(dir string) runner { return runner{dir, append([]string{"only:"}, n.env...)} }

// repository commits files in a new git repository.
func repository(t *testing.T, dir string, content map[string]string) {
	t.Helper()
	for name, text := range content {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	r := runner{dir, []string{"GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_SYSTEM=" + os.DevNull}}
	r.run(t, "git", "init", "--quiet", "--initial-branch=main")
	r.run(t, "git", "add", "--force", ".")
	r.run(t, "git", "-c", "user.name=t", "-c", "user.email=t@t.example", "commit", "--quiet", "--message=t")
}

func realTempDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// library returns the files of the repository's flake.
func library(t *testing.T) map[string]string {
	t.Helper()
	content := map[string]string{}
	for name, text := range files(t, filepath.Join(root(t), "nix")) {
		content["nix/"+name] = text
	}
	flake, err := os.ReadFile(filepath.Join(root(t), "flake.nix"))
	if err != nil {
		t.Fatal(err)
	}
	content["flake.nix"] = string(flake)
	return content
}

// TestFlakeInit copies the template by the command in README.md of this repository.
func TestFlakeInit(t *testing.T) {
	each(t, func(t *testing.T, n nix) {
		dir := realTempDir(t)
		published := library(t)
		repository(t, filepath.Join(dir, "library"), published)
		n.buildsItself(t)
		for _, name := range []string{"#provider", ""} {
			provider := filepath.Join(dir, "provider"+name)
			if err := os.Mkdir(provider, 0o777); err != nil {
				t.Fatal(err)
			}
			r := n.in(provider)
			r.run(t, "git", "init", "--quiet")
			r.run(t, n.binary, "flake", "init", "--template", "git+file://"+filepath.Join(dir, "library")+name)
			if diff := cmp.Diff(files(t, "provider"), files(t, provider)); diff != "" {
				t.Errorf("what is taken differs from the template (-template +taken):\n%s", diff)
			}
			// Nix sees only the files that git tracks.
			known := strings.Fields(r.run(t, "git", "ls-files"))
			if want := slices.Sorted(maps.Keys(files(t, "provider"))); !sameElements(known, want) {
				t.Errorf("git knows %v, and not all of %v", known, want)
			}
			// The copied files must be writable.
			if err := os.WriteFile(filepath.Join(provider, "flake.nix"), []byte("{}"), 0o666); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestFlakeOptions evaluates flake.nix with stand-ins for its inputs, and makes a plan
// from the options.
func TestFlakeOptions(t *testing.T) {
	each(t, func(t *testing.T, n nix) {
		r := n.in(root(t))
		out := r.run(t, n.binary, "eval", "--impure", "--json", "--expr", fmt.Sprintf(`
			let
			  flake = import %[1]s/nix/template/provider/flake.nix;
			  inputs = {
			    flake-parts.lib.mkFlake = args: module: module // { provided = builtins.attrNames args; };
			    hostenv-provider.flakeModules.provider = "the module";
			  };
			  module = flake.outputs inputs;
			in {
			  inherit (flake) inputs;
			  inherit (module) provided imports systems;
			  inventory = ((import %[1]s/nix/lib).mkProvider {
			    inputs = inputs // { self = %[1]s; };
			    provider = module.provider // { allowEmpty = true; letsEncrypt = module.provider.letsEncrypt // { acceptTerms = true; }; };
			    lockFile = builtins.toFile "flake.lock" (builtins.toJSON { version = 7; root = "root"; nodes.root = { }; });
			  }).lib.hostenvProvider.inventory;
			}`, root(t)))
		var got struct {
			Inputs map[string]struct {
				URL    string
				Inputs map[string]struct{ Follows string }
			}
			Provided, Imports, Systems []string
			Inventory                  json.RawMessage
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		for name, input := range got.Inputs {
			if !regexp.MustCompile(`^(github|gitlab):[^/]+/[^/]+`).MatchString(input.URL) {
				t.Errorf("the input %s is at %q", name, input.URL)
			}
			for inner, follows := range input.Inputs {
				if _, ok := got.Inputs[follows.Follows]; !ok {
					t.Errorf("inputs.%s.inputs.%s follows %q, which is no input", name, inner, follows.Follows)
				}
			}
		}
		// The names of inputs that the documentation uses.
		for _, name := range []string{"hostenv-provider", "hostenv", "nixpkgs", "flake-parts", "phps", "sops-nix", "deploy-rs"} {
			if _, ok := got.Inputs[name]; !ok {
				t.Errorf("there is no input %s", name)
			}
		}
		if !slices.Equal(got.Imports, []string{"the module"}) || !slices.Contains(got.Systems, "x86_64-linux") {
			t.Errorf("imports %v, systems %v", got.Imports, got.Systems)
		}
		inventory, err := plan.DecodeInventory(got.Inventory)
		if err != nil {
			t.Fatal(err)
		}
		result, err := plan.Compute(plan.Input{Inventory: inventory, State: state.New()})
		if err != nil {
			t.Fatal(err)
		}
		if nodes := result.Plan.NodeNames(); !slices.Equal(nodes, []string{"sample"}) {
			t.Errorf("the plan has the nodes %v", nodes)
		}
	})
}

// Nix can read the configuration of each node that flake.nix names.
func TestNodes(t *testing.T) {
	each(t, func(t *testing.T, n nix) {
		out := n.in(root(t)).run(t, n.binary, "eval", "--impure", "--json", "--expr", fmt.Sprintf(`
			let
			  node = %s/nix/template/provider/nodes/sample;
			  configuration = import (node + "/configuration.nix") { };
			in [ configuration.system.stateVersion (builtins.attrNames (import (builtins.head configuration.imports) { })) ]`, root(t)))
		if out != "[\"25.11\",[\"boot\",\"fileSystems\"]]\n" && out != `["25.11",["boot","fileSystems"]]` {
			t.Errorf("the node's modules give %s", out)
		}
	})
}
