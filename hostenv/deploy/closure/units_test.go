package closure_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/examples"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/closure"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/drive"
	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A ground is the example provider, whose systems are made of the texts of their modules.
type ground struct {
	*lab
	root  string // of all repositories
	state state.State
}

// The stand-in for NixOS calls modules, and puts their attributes `text` into the system.
const (
	nixosBefore = "          planned = builtins.filter"
	nixosAfter  = `          textsOf = module:
            if builtins.isPath module then [ ]
            else if builtins.isFunction module then textsOf (module specialArgs)
            else (if module ? text then [ module.text ] else [ ]) ++ builtins.concatMap textsOf (module.imports or [ ]);
          planned = builtins.filter`
)

func newGround(t *testing.T, binary string) *ground {
	t.Helper()
	testenv.Need(t, "git")
	g := &ground{lab: newLab(t, binary, ""), state: state.New()}
	g.root = filepath.Join(g.dir, "repos")
	nixos, err := os.ReadFile("../../../examples/inputs/nixpkgs/flake.nix")
	g.check(err)
	flake, err := os.ReadFile("../../../examples/provider/flake.nix")
	g.check(err)
	edited := func(text []byte, from, to string) string {
		t.Helper()
		if strings.Count(string(text), from) != 1 {
			t.Fatalf("there is not one %q in\n%s", from, text)
		}
		return strings.Replace(string(text), from, to, 1)
	}
	// An input has the root flake as an input of its own.
	deployRs, err := os.ReadFile("../../../examples/inputs/deploy-rs/flake.nix")
	g.check(err)
	follows := edited(deployRs, "  outputs = _:\n    let\n", "  inputs.provider.url = \"path:/none\";\n  outputs = { provider, ... }:\n    let\n")
	follows = edited([]byte(follows), "    {\n      lib = ", "    {\n      seen = provider.rev or provider.sourceInfo.rev or \"none\";\n      lib = ")
	const input = "deploy-rs.url = \"git+file:///srv/example/deploy-rs\";\n"
	flake = []byte(edited(flake, input, input+"    deploy-rs.inputs.provider.follows = \"\";\n"))
	system := edited(nixos, nixosBefore, nixosAfter)
	system = edited([]byte(system), "plan = map (module: module.config) planned;", "plan = map (module: module.config) planned; texts = builtins.concatMap textsOf modules;")
	g.check(examples.Make(t.Context(), g.root, examples.Options{Nix: g.nix, Env: g.store.Nix.Env, Files: map[string]string{
		"inputs/deploy-rs/flake.nix": follows,
		"inputs/nixpkgs/flake.nix":   system,
		"provider/flake.nix":         edited(flake, "    inherit inputs;\n    provider = {\n", "    inherit inputs;\n    provider = {\n      nodeModules = [ (import ./common.nix inputs.self) ];\n      evaluation.leftOut = [ \"README.md\" ];\n"),
		"provider/common.nix":        "flake: { text = \"common\"; }\n",
		"provider/nodes/text":        "shared",
		"provider/README.md":         "read me",
	}}))
	g.replan()
	return g
}

func (g *ground) git(repository string, args ...string) {
	g.t.Helper()
	cmd := exec.CommandContext(g.t.Context(), "git", append([]string{"-C", filepath.Join(g.root, repository), "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		g.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
}

func (g *ground) put(file, text string) {
	g.t.Helper()
	g.check(os.MkdirAll(filepath.Dir(filepath.Join(g.root, file)), 0o755))
	g.check(os.WriteFile(filepath.Join(g.root, file), []byte(text), 0o600))
	repository, _, _ := strings.Cut(file, "/")
	g.git(repository, "add", "--all")
}

func (g *ground) read(file string) string {
	g.t.Helper()
	text, err := os.ReadFile(filepath.Join(g.root, file))
	g.check(err)
	return string(text)
}

func (g *ground) provider() string { return filepath.Join(g.root, "provider") }

// replan plans as `mage plan` does.
func (g *ground) replan() {
	g.t.Helper()
	runner := &hostnix.Runner{Dir: g.provider(), Nix: g.nix, Env: g.store.Nix.Env}
	data, err := runner.Inventory(g.t.Context())
	g.check(err)
	inventory, err := plan.DecodeInventory(data)
	g.check(err)
	requests := inventory.SourceRequests()
	var attrs []map[string]any
	for _, request := range requests {
		attrs = append(attrs, request.Attrs)
	}
	answers, err := runner.LockSources(g.t.Context(), attrs)
	g.check(err)
	sources := plan.Sources{}
	for i, answer := range answers {
		sources[requests[i].Key] = plan.Locked(answer)
	}
	result, err := plan.Compute(plan.Input{Inventory: inventory, Sources: sources, State: g.state})
	g.check(err)
	g.state = result.State
	g.put("provider/generated/state.json", string(result.State.Encode()))
	g.put("provider/generated/plan.json", string(result.Plan.Encode()))
}

// runner returns a runner that keeps evaluations in a folder.
func (g *ground) runner(memory string) *hostnix.Runner {
	return &hostnix.Runner{Dir: g.provider(), Nix: g.nix, Env: g.store.Nix.Env, Evaluations: filepath.Join(g.dir, memory)}
}

// evaluate evaluates all profiles: node/profile to its paths, or to why it fails.
func (g *ground) evaluate(runner *hostnix.Runner) map[string]string {
	g.t.Helper()
	text := g.read("provider/generated/plan.json")
	document, err := plan.DecodeDocument([]byte(text))
	g.check(err)
	nodes, err := deploy.Planned(document)
	g.check(err)
	found, err := (&closure.Store{Nix: runner}).Evaluate(g.t.Context(), nodes, closure.Plan{Text: []byte(text), Environments: drive.Environments(document)})
	g.check(err)
	all := map[string]string{}
	for _, n := range nodes {
		e := found[n.Name]
		for _, p := range n.Profiles {
			spec, there := e.Profiles[p.Name]
			switch {
			case there:
				all[p.Key()] = fmt.Sprint(spec)
			case e.Failed[p.Name] != nil:
				all[p.Key()] = "fails: " + e.Failed[p.Name].Error()
			default:
				g.t.Errorf("%s has no result", p.Key())
			}
		}
	}
	if _, err := deploy.Fill(nodes, found); err != nil {
		all[together] = err.Error()
	}
	return all
}

// together is where evaluate says that the results do not match the plan.
const together = "all of them"

// cold evaluates all profiles without what former runs kept.
func (g *ground) cold() map[string]string {
	g.t.Helper()
	g.check(os.RemoveAll(filepath.Join(g.dir, "cold")))
	all := g.evaluate(g.runner("cold"))
	if why := all[together]; why != "" {
		g.t.Error(why)
	}
	return all
}

// whole evaluates all profiles with the whole flake.
func (g *ground) whole() map[string]string {
	g.t.Helper()
	runner := g.runner("whole")
	runner.Anew = true
	return g.evaluate(runner)
}

// A text is what a module can say.
type text struct {
	name, expression string
	differs          bool // the whole flake says something else than a cut
}

var texts = []text{
	{name: "a constant", expression: `"constant"`},
	{name: "a shared file", expression: `builtins.readFile ../text`},
	{name: "an own file", expression: `builtins.readFile ./own`},
	{name: "flake.lock", expression: `builtins.readFile ../../flake.lock`},
	{name: "the commit that modules have", expression: `self.rev or self.dirtyRev or "none"`},
	{name: "the date that modules have", expression: `toString (self.lastModified or "none")`},
	{name: "the commit that inputs have", expression: `inputs.self.rev or inputs.self.sourceInfo.rev or self.sourceInfo.rev or self.inputs.self.rev or "none"`},
	{name: "the commit of the flake that an input follows", expression: followed, differs: true},
	{name: "the hash of the flake", expression: `self.narHash or self.sourceInfo.narHash or "none"`},
	{name: "what the flake is made of", expression: `builtins.toJSON (builtins.attrNames self)`},
	{name: "what differs from machine to machine", expression: `builtins.toJSON [ (builtins.getEnv "HOME") (builtins ? currentTime) (builtins ? currentSystem) ]`},
	{name: "another node's folder", expression: `builtins.readFile ../node-b/own`},
	{name: "another node's system", expression: `self.nixosConfigurations.node-b.config.system.build.toplevel.name`},
	{name: "the flake by its path", expression: `(builtins.getFlake (builtins.unsafeDiscardStringContext self.outPath)).rev or "none"`},
	{name: "a build", expression: `builtins.readFile (derivation { name = "imported"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo built > $out" ]; })`},
	{name: "an error", expression: `throw "it is wrong"`},
	{name: "what Nix code cannot catch", expression: `{ }.missing`},
	{name: "the plan's text", expression: `builtins.readFile ../../generated/plan.json`, differs: true},
	{name: "the plan", expression: `builtins.toJSON self.lib.hostenvProvider.plan`, differs: true},
	{name: "the nodes of the plan", expression: `builtins.toJSON (builtins.attrNames self.lib.hostenvProvider.plan.nodes)`, differs: true},
	{name: "the environments' sources", expression: `builtins.toJSON (map (e: e.source or null) (builtins.attrValues self.lib.hostenvProvider.plan.environments))`, differs: true},
	{name: "the state's text", expression: `builtins.readFile ../../generated/state.json`},
	{name: "the state's text, if it is there", expression: `toString (builtins.pathExists ../../generated/state.json)`, differs: true},
	{name: "whether there is a file that is left out", expression: `toString (builtins.pathExists ../../README.md)`, differs: true},
	{name: "the root", expression: `builtins.toJSON (builtins.readDir ../..)`, differs: true},
	{name: "a copy of the root", expression: `builtins.unsafeDiscardStringContext "${builtins.path { path = ../..; name = "root"; }}"`, differs: true},
	{name: "all nodes", expression: `builtins.toJSON (builtins.readDir ../.)`, differs: true},
	{name: "where the flake is", expression: `builtins.unsafeDiscardStringContext self.outPath`, differs: true},
	{name: "where this file is", expression: `builtins.unsafeDiscardStringContext (toString ./.)`, differs: true},
}

// followed are the commit and the date of the root flake, as an input has it that follows
// it, and what that input makes of it.
const followed = `builtins.toJSON (let root = inputs.deploy-rs.inputs.provider; in [ (root.rev or "none") (root.sourceInfo.rev or "none") (root.lastModified or "none") inputs.deploy-rs.seen ])`

// What TestSound does.
var (
	seed  = flag.Uint64("seed", 0, "of the edits of TestSound; 0 takes one at random")
	count = flag.Int("edits", 16, "how many edits TestSound makes; all of them take minutes")
)

// TestSound edits a provider at random. What former runs kept is what an evaluation of
// everything gives, and what the whole flake gives, but for systems whose modules read
// what a cut has not.
func TestSound(t *testing.T) {
	for _, binary := range testenv.NixBinaries(t) {
		t.Run(versionOf(t, binary), func(t *testing.T) {
			g := newGround(t, binary)
			first := *seed
			if first == 0 {
				first = rand.Uint64()
			}
			t.Logf("edits of -seed=%d", first)
			random := rand.New(rand.NewPCG(first, 1))
			differs := map[string]bool{}
			for _, n := range []string{"node-a", "node-b"} {
				g.put("provider/nodes/"+n+"/own", "own of "+n)
			}
			module := func(node string, said text) func() {
				return func() {
					g.put("provider/nodes/"+node+"/configuration.nix", "{ self, inputs, ... }: { text = "+said.expression+"; }\n")
					differs[node] = said.differs
				}
			}
			word := func() string { return fmt.Sprint("word ", random.IntN(1000)) }
			edits := []struct {
				name string
				do   func()
			}{
				{"a shared file", func() { g.put("provider/nodes/text", word()) }},
				{"a file of node-a", func() { g.put("provider/nodes/node-a/own", word()) }},
				{"a file of node-b", func() { g.put("provider/nodes/node-b/own", word()) }},
				{"a file that no node reads", func() { g.put("provider/README.md", word()) }},
				{"a new file", func() { g.put("provider/"+strings.ReplaceAll(word(), " ", "-"), "") }},
				{"what all nodes say", func() { g.put("provider/common.nix", "flake: { text = \""+word()+"\"; }\n"); differs["all"] = false }},
				{"all nodes say the commit of the flake", func() {
					g.put("provider/common.nix", "flake: { text = flake.rev or \"none\"; }\n")
					differs["all"] = true
				}},
				{"a commit", func() { g.git("provider", "commit", "--quiet", "--allow-empty", "--message=x") }},
				{"a customer's commit", func() {
					g.put("acme-site/web/index.html", word())
					g.git("acme-site", "commit", "--quiet", "--allow-empty", "--message=x")
					g.replan()
				}},
				{"a UID", func() {
					text := g.read("provider/generated/plan.json")
					old := fmt.Sprint(40000 + random.IntN(5))
					g.put("provider/generated/plan.json", strings.ReplaceAll(text, ": "+old, fmt.Sprint(": ", 41000+random.IntN(1000))))
				}},
				{"a garbage collection", func() { g.run("nix-store", "--gc") }},
				{"two runs at once", func() {
					var wait sync.WaitGroup
					for range 2 {
						wait.Go(func() { g.evaluate(g.runner("kept")) })
					}
					wait.Wait()
				}},
			}
			for _, said := range texts {
				edits = append(edits, struct {
					name string
					do   func()
				}{"node-a says " + said.name, module("node-a", said)}, struct {
					name string
					do   func()
				}{"node-b says " + said.name, module("node-b", said)})
			}
			var order []int
			for len(order) < *count {
				order = append(order, random.Perm(len(edits))...)
			}
			var done []string
			asWhole := 0
			for _, at := range order[:*count] {
				edits[at].do()
				done = append(done, edits[at].name)
				t.Logf("edit %d: %s", len(done), edits[at].name)
				kept := g.evaluate(g.runner("kept"))
				if diff := cmp.Diff(g.cold(), kept); diff != "" {
					t.Fatalf("after %s (-cold +kept):\n%s", strings.Join(done, ", "), diff)
				}
				whole := g.whole()
				for key, result := range kept {
					if node, of := strings.CutSuffix(key, "/"+deploy.SystemProfile); of && (differs[node] || differs["all"]) {
						continue
					}
					asWhole++
					if whole[key] != result {
						t.Fatalf("after %s, %s is\n%s\nand of the whole flake\n%s", strings.Join(done, ", "), key, result, whole[key])
					}
				}
			}
			t.Logf("%d edits; %d profiles are those of the whole flake too", len(done), asWhole)
		})
	}
}

// A commit that changes no file which a node reads changes no system: neither that of
// `nix build .#nodes.<node>`, nor the one that a deploy evaluates. Both are the same,
// whatever of the flake's source the node's modules look for.
func TestCommitChangesNoSystem(t *testing.T) {
	for _, binary := range testenv.NixBinaries(t) {
		t.Run(versionOf(t, binary), func(t *testing.T) {
			g := newGround(t, binary)
			g.say("builtins.toJSON [ (builtins.attrNames self) (builtins.attrNames inputs.self) (self.rev or self.dirtyRev or null) ]")
			systems := func() string {
				t.Helper()
				g.git("provider", "commit", "--quiet", "--allow-empty", "--message=x")
				plain := strings.Trim(g.run("", append([]string{"eval", "--json", "git+file://" + g.provider() + "#nodes.node-a.drvPath"}, hostnix.Features...)...), `"`)
				for how, all := range map[string]map[string]string{"cut": g.cold(), "whole": g.whole()} {
					profile := all["node-a/system"]
					derivation := profile[strings.LastIndex(profile, " ")+1 : len(profile)-1]
					if references := g.run("nix-store", "--query", "--references", derivation); !strings.Contains(references, plain) {
						t.Errorf("by the %s flake, the profile %s is of\n%s\nand .#nodes.node-a is %s", how, profile, references, plain)
					}
				}
				return plain
			}
			before := systems()
			g.put("provider/README.md", "other words")
			if after := systems(); after != before {
				t.Errorf("after a commit, the system is %s, and was %s", after, before)
			}
		})
	}
}

// An input that follows the root flake has it with its commit, which no module is kept from.
// In a cut there is no commit. So a deploy evaluates no system anew for a commit alone, and
// all of them are the same as before.
func TestFollowedFlakeHasNoCommit(t *testing.T) {
	for _, binary := range testenv.NixBinaries(t) {
		t.Run(versionOf(t, binary), func(t *testing.T) {
			g := newGround(t, binary)
			g.say(followed)
			commit := func() { g.git("provider", "commit", "--quiet", "--allow-empty", "--message=x") }
			commit()
			before, whole := g.cold(), g.whole()
			commit()
			if diff := cmp.Diff(before, g.cold()); diff != "" {
				t.Errorf("after a commit (-before +after):\n%s", diff)
			}
			const system = "node-a/" + deploy.SystemProfile
			if before[system] == "" || whole[system] == before[system] || whole[system] == g.whole()[system] {
				t.Errorf("the system does not read the commit: in a cut it is %s, and of the whole flake %s", before[system], whole[system])
			}
		})
	}
}

// TestKey leaves each part of the key out in turn: then a former result is taken for
// what a change of this part gives. With the whole key it is not. A part that no case
// leaves out is an error.
func TestKey(t *testing.T) {
	binaries := testenv.NixBinaries(t)
	binary := binaries[len(binaries)-1]
	cases := []struct {
		// The part, and others without which it is the only one that tells the results
		// apart.
		parts, says string
		change      func(g *ground, runner *hostnix.Runner) // nil: two units of one run
	}{
		{"tree", `"one"`, func(g *ground, _ *hostnix.Runner) { g.say(`"other"`) }},
		{"slice", `"one"`, func(g *ground, _ *hostnix.Runner) {
			g.put("provider/generated/plan.json", strings.ReplaceAll(g.read("provider/generated/plan.json"), ": 40000", ": 41000"))
		}},
		{"environment", `"one"`, func(g *ground, _ *hostnix.Runner) {
			g.put("acme-site/web/index.html", "new")
			g.git("acme-site", "commit", "--quiet", "--message=x")
			g.replan()
		}},
		{"settings", `toString (builtins ? fetchClosure)`, func(_ *ground, runner *hostnix.Runner) {
			runner.Env = append(slices.Clone(runner.Env), "NIX_CONFIG="+nixConfig(runner.Env)+"\nextra-experimental-features = fetch-closure")
		}},
		// Each Nix has its own settings: without them the version tells Nixes apart.
		{"version settings", `builtins.nixVersion`, func(g *ground, runner *hostnix.Runner) {
			if len(binaries) < 2 {
				testenv.LeaveOut(g.t, "newer-nix", "there is one Nix alone")
			}
			runner.Nix = binaries[len(binaries)-2] // reads the store of the newest
		}},
		// The plan's slice in the tree has the node's name as well.
		{"node tree", `"one"`, nil},
		{"expression", `"one"`, func(g *ground, _ *hostnix.Runner) {
			closure.ChangeExpressions(g.t, `"${profile.path}"`, `"${profile.path}/other"`)
		}},
		// Another store has not the derivations of this one. Profiles of none remain.
		{"store", `"one"`, func(g *ground, runner *hostnix.Runner) {
			g.check(os.Mkdir(filepath.Join(g.dir, "other-store"), 0o755))
			runner.Env = append(slices.Clone(runner.Env), "NIX_STORE_DIR="+filepath.Join(g.dir, "other-store"))
		}},
		{"held", `"one"`, func(g *ground, runner *hostnix.Runner) {
			testenv.Need(g.t, "bwrap")
			runner.Env = slices.DeleteFunc(slices.Clone(runner.Env), func(kv string) bool { return kv == "PATH="+g.unheld() })
		}},
	}
	prepare := map[string]func(g *ground, runner *hostnix.Runner){
		"store": func(g *ground, _ *hostnix.Runner) {
			const begin = "    provider = {\n"
			flake := g.read("provider/flake.nix")
			if strings.Count(flake, begin) != 1 {
				g.t.Fatalf("there is not one %q in\n%s", begin, flake)
			}
			g.put("provider/flake.nix", strings.Replace(flake, begin, begin+`
      activate = _: rec { nixos = _: "${builtins.storeDir}/00000000000000000000000000000000-plain"; custom = base: _: nixos base; };
`, 1))
		},
		// A customer looks for the source of another one, which it may not see.
		"held": func(g *ground, runner *hostnix.Runner) {
			runner.Env = append(slices.Clone(runner.Env), "PATH="+g.unheld())
			document, err := plan.DecodeDocument([]byte(g.read("provider/generated/plan.json")))
			g.check(err)
			var hash string
			for _, e := range drive.Environments(document) {
				if e.Project == "beta__portal" && e.Name == "production" {
					hash, _ = e.Source["narHash"].(string)
				}
			}
			page := "${builtins.readFile ../web/index.html}"
			flake := g.read("acme-site/.hostenv/flake.nix")
			if hash == "" || strings.Count(flake, page) != 1 {
				g.t.Fatalf("beta's source is %q, and there is not one %q in\n%s", hash, page, flake)
			}
			g.put("acme-site/.hostenv/flake.nix", strings.Replace(flake, page, fmt.Sprintf(
				`${toString (builtins.pathExists (builtins.path { name = "source"; path = "${builtins.storeDir}/00000000000000000000000000000000-not-fetched"; sha256 = %q; } + "/.hostenv"))}`, hash), 1))
			g.git("acme-site", "commit", "--quiet", "--message=x")
			g.replan()
		},
	}
	left, seen := map[string]bool{}, map[string]bool{}
	for _, c := range cases {
		parts := strings.Fields(c.parts)
		left[parts[0]] = true
		for _, without := range [][]string{parts, parts[1:]} {
			t.Run(c.parts+"/without="+strings.Join(without, "+"), func(t *testing.T) {
				g := newGround(t, binary)
				closure.AlterKeys(t, func(key map[string]any) {
					for name := range key {
						seen[name] = true
					}
					for _, name := range without {
						delete(key, name)
					}
				})
				g.say(c.says)
				runner := g.runner("kept")
				if first := prepare[parts[0]]; first != nil {
					first(g, runner)
				}
				before := g.evaluate(runner)
				next := g.runner("kept")
				next.Env = runner.Env
				if c.change != nil {
					c.change(g, next)
				}
				kept := g.evaluate(next)
				next.Evaluations = filepath.Join(g.dir, "cold")
				cold := g.evaluate(next)
				if c.change != nil && maps.Equal(before, cold) {
					t.Fatal("the change changes no result")
				}
				if stale := !maps.Equal(kept, cold); stale != (len(without) == len(parts)) {
					t.Errorf("stale: %v (-cold +kept):\n%s", stale, cmp.Diff(cold, kept))
				}
			})
		}
	}
	for name := range seen {
		if !left[name] {
			t.Errorf("no case leaves %q out of the key", name)
		}
	}
}

// unheld is a PATH with the programs that Nix needs, and no bwrap.
func (g *ground) unheld() string {
	g.t.Helper()
	folder := filepath.Join(g.dir, "unheld")
	if _, err := os.Stat(folder); err == nil {
		return folder
	}
	g.check(os.Mkdir(folder, 0o755))
	for _, name := range []string{"git", "sh", "ssh"} {
		path, err := exec.LookPath(name)
		g.check(err)
		g.check(os.Symlink(path, filepath.Join(folder, name)))
	}
	return folder
}

// say makes the system of node-a of the text of an expression.
func (g *ground) say(expression string) {
	g.t.Helper()
	g.put("provider/nodes/node-a/configuration.nix", "{ self, inputs, ... }: { text = "+expression+"; }\n")
}

func nixConfig(env []string) (config string) {
	for _, kv := range env {
		if value, found := strings.CutPrefix(kv, "NIX_CONFIG="); found {
			config = value
		}
	}
	return config
}

// TestKilled kills processes of Nix as a kernel without memory does. One is run once
// more, alone. One that is killed again fails its node, and no other.
func TestKilled(t *testing.T) {
	binaries := testenv.NixBinaries(t)
	g := newGround(t, binaries[len(binaries)-1])
	want := g.cold()
	nix := g.nix
	count := filepath.Join(g.dir, "count")
	// kill lets Nix die if its arguments match a pattern of the shell, as often as times
	// says. Each process that matches makes a folder with its number, which no other can.
	kill := func(pattern string, times int) {
		g.check(os.RemoveAll(count))
		g.check(os.Mkdir(count, 0o755))
		g.check(os.Remove(nix))
		g.check(os.WriteFile(nix, []byte(fmt.Sprintf(`#!/bin/sh
case "$*" in *%s*)
  n=1
  until mkdir %s/$n 2>/dev/null; do n=$((n + 1)); done
  if [ "$n" -le %d ]; then kill -KILL $$; fi
esac
exec %s "$@"
`, pattern, count, times, g.binary)), 0o755))
	}
	kill("p.deployOf", 1)
	if diff := cmp.Diff(want, g.cold()); diff != "" {
		t.Errorf("killed once (-want +got):\n%s", diff)
	}
	if processes, err := os.ReadDir(count); err != nil || len(processes) != 3 {
		t.Errorf("two systems were evaluated by %d processes, %v", len(processes), err)
	}
	kill(`'{"node-a"}'*|*'name = "node-a"'`, 1000)
	got := g.cold()
	for key, result := range want {
		if strings.HasPrefix(key, "node-a/system") != strings.HasPrefix(got[key], "fails: ") {
			t.Errorf("%s is %s, and was %s", key, got[key], result)
		}
	}
	if !strings.Contains(got["node-a/system"], "evaluate node-a: nix was killed twice") {
		t.Errorf("got %s", got["node-a/system"])
	}
}

// A run of a few profiles evaluates these alone, and the plan's others are not missed.
func TestSelection(t *testing.T) {
	g := newGround(t, testenv.NixBinaries(t)[0])
	text := g.read("provider/generated/plan.json")
	document, err := plan.DecodeDocument([]byte(text))
	g.check(err)
	all, err := deploy.Planned(document)
	g.check(err)
	selected, err := deploy.Selection{Profiles: []string{"site-*"}}.Of(all)
	g.check(err)
	found, err := (&closure.Store{Nix: g.runner("kept")}).Evaluate(t.Context(), selected, closure.Plan{Text: []byte(text), Environments: drive.Environments(document)})
	g.check(err)
	filled, err := deploy.Fill(all, found)
	g.check(err)
	for _, n := range filled {
		for _, p := range n.Profiles {
			if wanted := strings.HasPrefix(p.Name, "site-"); wanted != (p.Path != "") || p.Broken != nil {
				t.Errorf("%s is %q, %v", p.Key(), p.Path, p.Broken)
			}
		}
	}
}
