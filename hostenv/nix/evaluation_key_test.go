package nix_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A keyed is a provider of which a test changes one thing that a result follows from.
type keyed struct {
	t    *testing.T
	n    nix
	root string
	hash string // of beta's source
}

// edit replaces text that a file beside the provider has once, and locks the provider anew.
func (k *keyed) edit(name, from, to string) {
	k.t.Helper()
	file := filepath.Join(filepath.Dir(k.root), name)
	text := read(k.t, file)
	if strings.Count(text, from) != 1 {
		k.t.Fatalf("there is not one %q in\n%s", from, text)
	}
	write(k.t, filepath.Dir(k.root), map[string]string{name: strings.Replace(text, from, to, 1)})
	k.lock()
}

func (k *keyed) lock() {
	k.t.Helper()
	if err := os.RemoveAll(filepath.Join(k.root, "flake.lock")); err != nil {
		k.t.Fatal(err)
	}
	k.n.lock(k.t, k.root)
}

// locked is what the provider's flake.lock says about an input.
func (k *keyed) locked(input string) map[string]any {
	k.t.Helper()
	var lock struct {
		Nodes map[string]struct{ Locked map[string]any }
	}
	if err := json.Unmarshal([]byte(read(k.t, filepath.Join(k.root, "flake.lock"))), &lock); err != nil {
		k.t.Fatal(err)
	}
	return lock.Nodes[input].Locked
}

// set sets a variable for Nix.
func (k *keyed) set(variables ...string) { k.n.env = append(slices.Clone(k.n.env), variables...) }

// projects are the projects of the inventory, or why there is none.
func (k *keyed) projects(r *hostnix.Runner) map[string]string {
	document, err := r.Inventory(k.t.Context())
	if err != nil {
		return map[string]string{"fails": err.Error()}
	}
	var inventory struct{ Projects map[string]json.RawMessage }
	if err := json.Unmarshal(document, &inventory); err != nil {
		k.t.Fatal(err)
	}
	all := map[string]string{}
	for name, text := range inventory.Projects {
		all[name] = string(text)
	}
	return all
}

// packages is the package of acme's environment.
func (k *keyed) packages(r *hostnix.Runner) map[string]string {
	k.t.Helper()
	packages, failed, err := r.Packages(k.t.Context(), map[string]hostnix.Environment{
		"site": {Project: "acme__site", Name: "main", Node: "n1", System: "x86_64-linux", Source: k.locked("acme__site")},
	})
	if err != nil {
		k.t.Fatal(err)
	}
	return map[string]string{"site": fmt.Sprint(packages["site"], failed["site"])}
}

// leftOut is what the provider leaves out of cuts, if it is one of these.
func (k *keyed) leftOut(r *hostnix.Runner) map[string]string {
	k.t.Helper()
	p, err := r.Provider(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	all := map[string]string{}
	for _, name := range []string{"one", "other"} {
		all[name] = fmt.Sprint(p.Leaves()(name))
	}
	return all
}

// A keyCase changes one thing that results follow from.
type keyCase struct {
	// The part of the key, and others without which it is the only one that tells the
	// results apart.
	parts  string
	acme   string // an attribute of acme's environment, Nix
	make   func(p *provider)
	before func(k *keyed)
	change func(k *keyed) // nil: two results of one run
	result func(k *keyed, r *hostnix.Runner) map[string]string
}

// run leaves parts out of the keys that have a part of the name `mark`.
func (c keyCase) run(t *testing.T, n nix, mark string, without []string, seen map[string]bool) {
	left := true
	hostnix.AlterKeys(t, func(key map[string]any) {
		if key[mark] == nil {
			return
		}
		for name := range key {
			seen[name] = true
		}
		for _, name := range without {
			if left {
				delete(key, name)
			}
		}
	})
	n.env = testenv.NixEnv(testenv.NixDir(t))
	p := provider{customers: map[string]string{
		"acme__site":   withPackage("acme", "site", c.acme),
		"beta__portal": withPackage("beta", "portal", ""),
	}}
	if c.make != nil {
		c.make(&p)
	}
	p.aside()
	k := &keyed{t: t, n: n, root: p.make(t, n)}
	k.hash, _ = k.locked("beta__portal")["narHash"].(string)
	if c.before != nil {
		c.before(k)
	}
	evaluated := func(folder string) map[string]string {
		t.Helper()
		r := k.n.runner(k.root)
		r.Jobs, r.Evaluations = 1, filepath.Join(filepath.Dir(k.root), folder)
		return c.result(k, r)
	}
	var before map[string]string
	if c.change != nil {
		before = evaluated("kept")
		c.change(k)
	}
	kept := evaluated("kept")
	left = false
	cold := evaluated("cold")
	if c.change != nil && cmp.Equal(before, cold) {
		t.Fatalf("the change changes no result: %q", cold)
	}
	if c.change != nil && before["fails"] != "" {
		t.Fatalf("before the change: %s", before["fails"])
	}
	if stale := !cmp.Equal(kept, cold); stale != (len(without) == len(strings.Fields(c.parts))) {
		t.Errorf("stale: %v (-cold +kept):\n%s", stale, cmp.Diff(cold, kept))
	}
}

// aside lets the flake of the provider read nothing of the customers.
func (p *provider) aside() {
	if p.files == nil {
		p.files = map[string]string{}
	}
	for name, flake := range p.customers {
		p.files["customers/"+name+"/flake.nix"] = flake
		p.inputs += fmt.Sprintf("    %s = { url = \"path:DIR/customers/%[1]s\"; flake = false; };\n", name)
	}
	p.customers = nil
}

// leaveOut runs cases without their parts, and without all but the first. A part of a key
// that no case leaves out is an error. The keys are those with a part of the name `mark`.
func leaveOut(t *testing.T, mark string, cases []keyCase) {
	testenv.Need(t, "git")
	binaries := testenv.NixBinaries(t)
	n := nix{binary: binaries[len(binaries)-1]}
	left, seen := map[string]bool{}, map[string]bool{}
	for _, c := range cases {
		parts := strings.Fields(c.parts)
		left[parts[0]] = true
		for _, without := range [][]string{parts, parts[1:]} {
			t.Run(c.parts+"/without="+strings.Join(without, "+"), func(t *testing.T) { c.run(t, n, mark, without, seen) })
		}
	}
	for name := range seen {
		if !left[name] {
			t.Errorf("no case leaves %q out of the key", name)
		}
	}
}

// older lets an older Nix read the store of the newest.
func older(k *keyed) {
	binaries := testenv.NixBinaries(k.t)
	if len(binaries) < 2 {
		testenv.LeaveOut(k.t, "newer-nix", "there is one Nix alone")
	}
	k.n.binary = binaries[len(binaries)-2]
}

// onDisk is a store at its own place, which a test can change.
func onDisk(k *keyed) {
	dir := testenv.NixDir(k.t)
	k.set("NIX_REMOTE=local", "NIX_STORE_DIR="+dir+"/store", "NIX_STATE_DIR="+dir+"/var", "NIX_LOG_DIR="+dir+"/log")
}

func otherStore(k *keyed) { k.set("NIX_STORE_DIR=" + testenv.NixDir(k.t) + "/other") }

// TestHeldKey leaves each part out of the key of held evaluations in turn: then a former
// result is taken for what a change of this part gives. With the whole key it is not.
func TestHeldKey(t *testing.T) {
	projects, packages := (*keyed).projects, (*keyed).packages
	otherSite := func(k *keyed) { k.edit("customers/acme__site/flake.nix", "1.0", "2.0") }
	versioned := func(p *provider) {
		p.customers["acme__site"] = strings.Replace(p.customers["acme__site"], `project = "site"; };`, `project = "1.0"; };`, 1)
	}
	ownInput := func(p *provider, name string) {
		p.customers["acme__site"] = strings.Replace(p.customers["acme__site"], "{ outputs = _:", fmt.Sprintf("{ inputs.%s.url = \"path:./%[1]s\"; outputs = inputs:", name), 1)
		if p.files == nil {
			p.files = map[string]string{}
		}
		p.files["customers/acme__site/"+name+"/flake.nix"] = `{ outputs = _: { word = "the customer's"; }; }`
		p.files["customers/acme__site/flake.lock"] = fmt.Sprintf(`{"version": 7, "root": "root", "nodes": {"root": {"inputs": {%[1]q: "a"}}, "a": {"locked": {"type": "path", "path": "./%[2]s"}, "original": {"type": "path", "path": "./%[2]s"}, "parent": []}}}`, name, name)
	}
	leaveOut(t, "file", []keyCase{
		{parts: "lock", acme: `x = "1.0";`, change: otherSite, result: projects},
		{parts: "environments", make: versioned, change: otherSite, result: packages},
		{parts: "name lock", result: projects},
		{parts: "hostenvHostname", change: func(k *keyed) { k.edit("provider/flake.nix", "hosting.example", "other.example") }, result: projects},
		{parts: "system", make: func(p *provider) {
			p.customers["acme__site"] = strings.NewReplacer(
				"lib.hostenv.x86_64-linux.environments.main = let", "lib.hostenv = builtins.mapAttrs (system: _: { environments.main = let",
				"  };\n}; }\n", "    inherit system;\n  }; }) { x86_64-linux = 1; aarch64-linux = 1; };\n}; }\n",
			).Replace(p.customers["acme__site"])
			delete(p.customers, "beta__portal")
		}, change: func(k *keyed) {
			k.edit("provider/flake.nix", "inherit inputs;", `inherit inputs; system = "aarch64-linux";`)
		}, result: projects},
		// The arguments of the two files have no name in common.
		{parts: "file name system hostenvHostname environments lock", make: func(p *provider) { delete(p.customers, "beta__portal") }, result: func(k *keyed, r *hostnix.Runner) map[string]string {
			all := projects(k, r)
			all["package"] = packages(k, r)["site"]
			return all
		}},
		{parts: "library", change: func(k *keyed) {
			k.edit("hostenv-provider/nix/lib/held-project.nix", "  inherit (alone) root overrides callFlake;\n  inherit name system hostenvHostname;\n}", "  inherit (alone) root overrides callFlake;\n  inherit name system hostenvHostname;\n} // { defaultEnvironment = \"other\"; }")
		}, result: projects},
		{parts: "shared lock", acme: `x = inputs.nixpkgs.word;`, make: func(p *provider) {
			ownInput(p, "nixpkgs")
			p.files["nixpkgs/flake.nix"] = `{ outputs = _: { word = "the provider's"; }; }`
		}, change: func(k *keyed) {
			k.edit("provider/flake.nix", "  inputs = {\n", fmt.Sprintf("  inputs = {\n    nixpkgs.url = \"path:%s/nixpkgs\";\n", filepath.Dir(k.root)))
		}, result: projects},
		{parts: "own", acme: `x = inputs.word.word;`, make: func(p *provider) {
			ownInput(p, "word")
			p.provider = `overrides.word = { outPath = ./.; word = "1.0"; };`
		}, change: func(k *keyed) { k.edit("provider/flake.nix", "1.0", "2.0") }, result: projects},
		// What an input of the provider brings is not refused to a customer.
		{parts: "refused", acme: `x = (builtins.tryEval "${inputs.loot}").success;`, make: func(p *provider) {
			p.customers["acme__site"] = strings.Replace(p.customers["acme__site"], "{ outputs = _:", `{ inputs.loot = { url = "path:/x"; flake = false; }; outputs = inputs:`, 1)
			p.inputs = `    extra = { url = "path:DIR/loot"; flake = false; };` + "\n"
			p.files = map[string]string{"loot/text": "loot"}
		}, before: func(k *keyed) {
			node, err := json.Marshal(map[string]any{"flake": false, "locked": k.locked("extra"), "original": map[string]any{"type": "path", "path": "/x"}})
			if err != nil {
				k.t.Fatal(err)
			}
			write(k.t, filepath.Dir(k.root), map[string]string{"customers/acme__site/flake.lock": fmt.Sprintf(`{"version": 7, "root": "root", "nodes": {"root": {"inputs": {"loot": "a"}}, "a": %s}}`, node)})
			k.edit("provider/flake.nix", fmt.Sprintf("    extra = { url = \"path:%s/loot\"; flake = false; };\n", filepath.Dir(k.root)), "\n\n")
		}, change: func(k *keyed) {
			k.edit("provider/flake.nix", "\n\n", fmt.Sprintf("    extra = { url = \"path:%s/loot\"; flake = false; };\n", filepath.Dir(k.root)))
		}, result: projects},
		{parts: "limits", change: func(k *keyed) {
			k.edit("provider/flake.nix", "provider = {", "provider = { evaluation.output = 100;")
		}, result: projects},
		{parts: "options", acme: `x = builtins ? currentTime;`, change: func(k *keyed) {
			hostnix.ChangeOptions(k.t, "pure-eval=true", "pure-eval=false")
		}, result: projects},
		// Each Nix has its own settings: without them the version tells Nixes apart.
		{parts: "version settings", acme: `x = builtins.nixVersion;`, change: older, result: projects},
		{parts: "settings", acme: `x = let deep = n: if n == 0 then 0 else 1 + deep (n - 1); in deep 3000;`, change: func(k *keyed) {
			conf := ""
			for _, kv := range k.n.env {
				if value, ok := strings.CutPrefix(kv, "NIX_CONF_DIR="); ok {
					conf = value
				}
			}
			write(k.t, conf, map[string]string{"nix.conf": "max-call-depth = 2000\n"})
		}, result: projects},
		{parts: "store", acme: `x = builtins.storeDir;`, before: onDisk, change: otherStore, result: projects},
		// acme looks for the source of beta, which it may not see.
		{parts: "held", before: func(k *keyed) {
			testenv.Need(k.t, "bwrap")
			k.edit("customers/acme__site/flake.nix", "root = ./.;", fmt.Sprintf(
				`root = ./.; }; x = builtins.pathExists (builtins.path { name = "source"; path = "${builtins.storeDir}/00000000000000000000000000000000-not-fetched"; sha256 = %q; } + "/flake.nix"); more = {`, k.hash))
			k.set("PATH=" + withoutBubblewrap(k.t))
		}, change: func(k *keyed) {
			k.n.env = k.n.env[:len(k.n.env)-1]
		}, result: projects},
	})
}

// TestProviderKey leaves each part out of the key of what the provider's flake says about
// evaluations in turn.
func TestProviderKey(t *testing.T) {
	leftOut := func(condition string) func(p *provider) {
		return func(p *provider) {
			p.provider = fmt.Sprintf(`evaluation.leftOut = [ (if %s then "one" else "other") ];`, condition)
		}
	}
	result := (*keyed).leftOut
	leaveOut(t, "expression", []keyCase{
		{parts: "tree", make: leftOut("true"), change: func(k *keyed) { k.edit("provider/flake.nix", "if true", "if false") }, result: result},
		{parts: "expression", make: leftOut("true"), change: func(k *keyed) {
			hostnix.ChangeOfHeld(k.t, "then p.held", `then p.held // { leftOut = [ "other" ]; }`)
		}, result: result},
		{parts: "version settings", make: func(p *provider) {
			binaries := testenv.NixBinaries(t)
			leftOut(fmt.Sprintf("builtins.nixVersion == %q", version(t, binaries[len(binaries)-1])))(p)
		}, change: older, result: result},
		{parts: "settings", make: leftOut("builtins ? fetchClosure"), change: func(k *keyed) {
			for i, kv := range k.n.env {
				if strings.HasPrefix(kv, "NIX_CONFIG=") {
					k.n.env = slices.Clone(k.n.env)
					k.n.env[i] += "\nextra-experimental-features = fetch-closure"
				}
			}
		}, result: result},
		{parts: "store", make: leftOut(`builtins.match ".*/other" builtins.storeDir != null`), before: onDisk, change: otherStore, result: result},
	})
}

// No result follows from which sources the store has: a customer's code cannot catch that
// one is missing.
func TestResultsDoNotFollowFromTheStore(t *testing.T) {
	testenv.Need(t, "git")
	each(t, func(t *testing.T, n nix) {
		p := provider{
			inputs: `    extra = { url = "path:DIR/extra"; flake = false; };` + "\n",
			files:  map[string]string{"extra/text": "extra"},
			customers: map[string]string{"acme__site": strings.Replace(customer("acme", "site", `x = (builtins.tryEval (builtins.readFile "${inputs.extra}/text")).success;`),
				"{ outputs = _:", `{ inputs.extra = { url = "path:/x"; flake = false; }; outputs = inputs:`, 1)},
		}
		p.aside()
		k := &keyed{t: t, n: n, root: p.make(t, n)}
		extra := k.locked("extra")
		node, err := json.Marshal(map[string]any{"flake": false, "locked": extra, "original": map[string]any{"type": "path", "path": "/x"}})
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Dir(k.root), map[string]string{"customers/acme__site/flake.lock": fmt.Sprintf(`{"version": 7, "root": "root", "nodes": {"root": {"inputs": {"extra": "a"}}, "a": %s}}`, node)})
		k.lock()
		stores, err := filepath.Glob(n.inStore("/nix/store/*-source"))
		if err != nil {
			t.Fatal(err)
		}
		deleted := 0
		for _, path := range stores {
			if text, err := os.ReadFile(filepath.Join(path, "text")); err != nil || string(text) != "extra" {
				continue
			}
			deleted++
			if _, err := n.runner(k.root).Run(t.Context(), hostnix.Command{Program: "nix-store", Args: []string{"--delete", "/nix/store/" + filepath.Base(path)}}); err != nil {
				t.Fatal(err)
			}
		}
		if deleted != 1 {
			t.Fatalf("%d of %q were deleted", deleted, stores)
		}
		document, err := n.runner(k.root).Inventory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if x := decode(t, document).Projects["acme__site"].Environments["main"]["x"]; x != true {
			t.Errorf("acme can read the source: %v", x)
		}
	})
}
