package flakes

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/examples"
)

// Each variant of the example provider works under each Nix.
func eachExample(t *testing.T, test func(w *world, opts examples.Options)) {
	for _, flakeParts := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "flake-parts"}[flakeParts], func(t *testing.T) {
			underEachNix(t, func(w *world) {
				opts := examples.Options{FlakeParts: flakeParts}
				if flakeParts {
					opts.Inputs = w.flakeParts()
				}
				test(w, opts)
			})
		})
	}
}

func TestExampleIsComposed(t *testing.T) {
	eachExample(t, func(w *world, opts examples.Options) {
		w.building()
		w.example(opts)

		// All platforms: older versions of Nix check them by default.
		check := []string{"flake", "check", "--no-build"}
		if !w.older("2.18") {
			check = append(check, "--all-systems")
		}
		known := []string{"warning: unknown flake output 'deploy'"}
		if w.older("2.18") {
			known = append(known, "warning: unknown flake output 'lib'")
		}
		_, stderr, err := w.in(check...)
		if err != nil {
			w.Errorf("nix flake check: %v\n%s", err, stderr)
		}
		for line := range strings.Lines(stderr) {
			if line = strings.TrimSpace(line); strings.Contains(line, "warning") && !slices.Contains(known, line) {
				w.Errorf("nix flake check: %s", line)
			}
		}

		contains(w, w.build(".#nodes.node-a"), `"release":"26.05"`, `"system":"x86_64-linux"`, "www.acme.example")
		contains(w, w.build(".#packages.x86_64-linux.node-node-b"), "staging.acme.example")
		for environment, want := range map[string]string{
			".#environments.site-main-b7ea262":                "main with nixpkgs 26.05 <!doctype html>",
			".#environments.site-staging-d6e4934":             "staging with nixpkgs 26.05 <!doctype html><title>staging</title>",
			".#environments.portal-uat-4ecd082":               "uat with nixpkgs 26.05 <!doctype html><title>release</title>",
			".#packages.x86_64-linux.env-site-search-e299ccb": "feature/search with nixpkgs 26.05 <!doctype html><title>feature/search</title>",
		} {
			contains(w, w.build(environment), want)
		}

		var nodes map[string]struct {
			Hostname      string
			ProfilesOrder []string
			Profiles      map[string]struct{ Path string }
		}
		w.json(".#deploy.nodes", &nodes)
		for node, want := range map[string][]string{
			"node-a": {"portal-production-24ba128", "site-main-b7ea262", "system"},
			"node-b": {"portal-uat-4ecd082", "site-search-e299ccb", "site-staging-d6e4934", "system"},
		} {
			var got []string
			for profile, value := range nodes[node].Profiles {
				got = append(got, profile)
				if !strings.HasPrefix(value.Path, w.storeDir()) {
					w.Errorf("the path of %s.%s is %q", node, profile, value.Path)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) || nodes[node].ProfilesOrder[0] != "system" {
				w.Errorf("%s has the profiles %s in the order %s, want %s", node, got, nodes[node].ProfilesOrder, want)
			}
		}
		if nodes["node-a"].Hostname != "192.0.2.10" {
			w.Errorf("node-a is reached at %q", nodes["node-a"].Hostname)
		}

		var names []string
		w.json(".#apps.x86_64-linux", &names, "--apply", "builtins.attrNames")
		for _, app := range []string{"deploy", "dns-gate", "plan"} {
			if !slices.Contains(names, app) {
				w.Errorf("no app is called %s: %s", app, names)
			}
		}
		w.json(".#lib.hostenvProvider", &names, "--apply", "builtins.attrNames")
		if want := []string{"accessTokens", "connections", "deployOf", "held", "inventory", "inventoryWith", "overrides", "plan", "profilesOf", "projectNames"}; !slices.Equal(names, want) {
			w.Errorf("lib.hostenvProvider has %s, want %s", names, want)
		}
	})
}

// Both ways to write a provider's flake give the same plan and the same outputs. So
// the options of nix/options have the same defaults as `mage plan`.
func TestVariantsAreTheSame(t *testing.T) {
	underEachNix(t, func(w *world) {
		inputs := w.flakeParts()
		w.example(examples.Options{})
		all := func() string {
			w.Helper()
			outputs := map[string]any{}
			for _, output := range []string{"legacyPackages.x86_64-linux", "packages.x86_64-linux", "apps.x86_64-linux", "deploy.nodes", "lib.hostenvProvider.plan"} {
				var value any
				w.json(".#"+output, &value)
				outputs[output] = value
			}
			text, err := json.MarshalIndent(outputs, "", " ")
			if err != nil {
				w.Fatal(err)
			}
			return string(text)
		}
		plain := all()
		planned := func() string {
			w.Helper()
			var plan any
			if err := json.Unmarshal([]byte(read(w, w.path("provider/generated/plan.json"))), &plan); err != nil {
				w.Fatal(err)
			}
			text, err := json.MarshalIndent(withoutEmpty(plan), "", " ")
			if err != nil {
				w.Fatal(err)
			}
			return string(text)
		}
		ofPlain := planned()
		flake := strings.ReplaceAll(read(w, "../../../examples/provider/flake-parts.nix"), examples.Placeholder+"/", "file://"+w.path("")+"/")
		for reference, input := range inputs {
			flake = strings.ReplaceAll(flake, `"`+reference+`"`, `"`+input+`"`)
		}
		w.repo("provider", map[string]string{"flake.nix": flake})
		w.mustLock("provider", "")
		equal(w, "flake-parts, against mkProvider", all(), plain)
		w.plan()
		equal(w, "the plan of flake-parts, against that of mkProvider", planned(), ofPlain)
	})
}

// withoutEmpty removes null, empty lists and empty objects, which the flake-parts
// module writes into a plan for options that are not set.
func withoutEmpty(value any) any {
	object, ok := value.(map[string]any)
	if !ok {
		return value
	}
	for name, member := range object {
		switch member := withoutEmpty(member).(type) {
		case nil:
			delete(object, name)
		case []any:
			if len(member) == 0 {
				delete(object, name)
			}
		case map[string]any:
			if len(member) == 0 {
				delete(object, name)
			}
		}
	}
	return object
}

// The data outputs and the nodes can be evaluated without the customers' repositories.
func TestDataNeedsNoCustomer(t *testing.T) {
	eachExample(t, func(w *world, opts examples.Options) {
		w.example(opts)
		for _, customer := range []string{"acme-site", "beta-portal"} {
			if err := os.RemoveAll(w.path(customer)); err != nil {
				w.Fatal(err)
			}
		}
		alone := w.under(w.nix) // a store without the customers' repositories

		var connections map[string]struct{ Hostname, System string }
		alone.json(".#lib.hostenvProvider.connections", &connections)
		if got := connections["node-b"]; got.Hostname != "192.0.2.20" || got.System != "x86_64-linux" {
			w.Errorf("node-b is reached at %+v", got)
		}
		var plan struct{ Environments map[string]struct{ UID int } }
		alone.json(".#lib.hostenvProvider.plan", &plan)
		if got := plan.Environments["site-main-b7ea262"].UID; got < 40000 {
			w.Errorf("UID %d", got)
		}
		var text string
		alone.json(".#nixosConfigurations.node-a.config.system.build.toplevel.drvPath", &text)
		alone.json(".#deploy.nodes.node-a.hostname", &text)
		alone.json(".#packages.x86_64-linux", &text, "--apply", "p: toString (builtins.attrNames p)")
		alone.json(".#legacyPackages.x86_64-linux.environments", &text, "--apply", "p: toString (builtins.attrNames p)")
		alone.json(".#apps.x86_64-linux.plan.program", &text)

		_, stderr, err := alone.in("eval", ".#environments.site-main-b7ea262.drvPath")
		if err == nil {
			w.Error("an environment whose repository is gone was evaluated")
		}
		contains(w, stderr, "/acme-site")
	})
}

// Before the first plan, all outputs that make a plan work. Those that need a plan
// fail with a hint.
func TestWithoutPlan(t *testing.T) {
	eachExample(t, func(w *world, opts examples.Options) {
		w.example(opts)
		w.git("provider", "rm", "-q", "generated/plan.json")
		w.repo("provider", nil)
		var text string
		w.json(".#packages.x86_64-linux.hostenv-provider.drvPath", &text)
		w.json(".#apps.x86_64-linux.plan.program", &text)
		w.json(".#lib.hostenvProvider.inventory.system", &text)
		for _, needs := range []string{".#nodes.node-a", ".#environments.site-main-b7ea262", ".#deploy.nodes", ".#lib.hostenvProvider.plan", ".#nixosConfigurations.node-a"} {
			_, stderr, err := w.in("eval", "--json", needs)
			if err == nil {
				w.Errorf("%s is there without a plan", needs)
			}
			contains(w, stderr, "generated/plan.json: it does not exist", "hint: run `mage plan`, then `git add generated/plan.json`")
		}
	})
}

// If generated/ still has the legacy generator's plan, all outputs that make the first
// plan of ours work, with both ways to write the flake. Nix evaluates the names of
// packages before it evaluates lib.
func TestWithHostenvsPlan(t *testing.T) {
	eachExample(t, func(w *world, opts examples.Options) {
		w.example(opts)
		w.repo("provider", map[string]string{"generated/plan.json": read(w, "../../../golden/201-hostenv-two-customers/legacy-plan.json")})
		var text string
		w.json(".#lib.hostenvProvider.inventory.system", &text)
		w.json(".#apps.x86_64-linux.plan.program", &text)
		_, stderr, err := w.in("eval", "--json", ".#nodes.node-a")
		if err == nil {
			w.Error("a node was made of hostenv's own plan")
		}
		contains(w, stderr, "generated/plan.json: its formatVersion is missing", "hint: run `mage plan`")
	})
}

// A provider without nixpkgs and deploy-rs can make a plan.
func TestWithoutInputs(t *testing.T) {
	underEachNix(t, func(w *world) {
		w.example(examples.Options{})
		flake := read(w, filepath.Join(w.path("provider"), "flake.nix"))
		flake = regexp.MustCompile(`(?m)^ *(nixpkgs|deploy-rs)\.url.*\n`).ReplaceAllString(flake, "")
		w.repo("provider", map[string]string{"flake.nix": flake})
		w.mustLock("provider", "")

		check := []string{"flake", "check", "--no-build"}
		if w.older("2.18") {
			check = append(check, "--show-trace")
		}
		// Customers' flakes have an input nixpkgs. Here the provider does not replace it.
		_, stderr, err := w.in(check...)
		if err == nil {
			w.Error("environments were evaluated without nixpkgs")
		}
		contains(w, stderr, "nixpkgs-of-customers")

		var systems map[string]any
		w.json(".#nixosConfigurations", &systems)
		w.json(".#apps.x86_64-linux", &systems)
		if len(systems) != 0 {
			w.Errorf("there are %v", systems)
		}
		for needs, input := range map[string]string{".#nodes.node-a": "nixpkgs", ".#deploy.nodes": "deploy-rs"} {
			_, stderr, err := w.in("eval", "--json", needs)
			if err == nil {
				w.Errorf("%s is there without %s", needs, input)
			}
			contains(w, stderr, "needs the input "+input+", which the flake does not have", "hint: add inputs."+input+".url")
		}
	})
}

// connection is the connection of a node in a plan.
const connection = `{ hostname = "node.hosting.example"; profileLink = "/nix/var/nix/profiles/system"; system = "x86_64-linux"; tempPath = "/run/hostenv/deploy"; remoteBuild = false; autoRollback = true; magicRollback = true; activationTimeout = 3600; }`

// Two environments of one project at two refs are each built from their own revision
// and their own lock, but with the provider's nixpkgs.
func TestEnvironmentsAreTheirOwn(t *testing.T) {
	underEachNix(t, func(w *world) {
		w.fixture("nixpkgs")
		w.git("nixpkgs", "switch", "-q", "-c", "provider")
		w.repo("nixpkgs", map[string]string{"release.nix": `"provider"`})
		w.git("nixpkgs", "switch", "-q", "main")
		theme := func(colour string) {
			w.repo("theme", map[string]string{"flake.nix": fmt.Sprintf(`{ outputs = _: { colour = %q; }; }`, colour)})
		}
		theme("red")
		w.repo("site", map[string]string{"flake.nix": `{
			inputs.nixpkgs.url = "git+file://@repos@/nixpkgs?ref=main";
			inputs.theme.url = "git+file://@repos@/theme?ref=main";
			outputs = { self, nixpkgs, theme }: { packages.x86_64-linux = builtins.listToAttrs (map
				(name: { inherit name; value = nixpkgs.tool name { inherit (nixpkgs) release; inherit (theme) colour; inherit (self) rev; }; })
				[ "main" "next" "after" ]); };
		}`})
		w.mustLock("site", "")
		main := w.git("site", "rev-parse", "HEAD")
		sources := map[string]string{"main": w.source("site", "")}
		w.git("site", "switch", "-q", "-c", "next")
		theme("green")
		if w.older("2.18") {
			w.mustRun(w.nix, "flake", "lock", "--update-input", "theme", w.path("site"))
		} else {
			w.mustRun(w.nix, "flake", "update", "--flake", w.path("site"), "theme")
		}
		w.repo("site", nil)
		theme("blue")
		next := w.git("site", "rev-parse", "HEAD")
		sources["next"] = strings.ReplaceAll(w.source("site", ""), `ref = "main"`, `ref = "next"`)
		sources["after"] = sources["next"]

		var environments strings.Builder
		for name, source := range sources {
			fmt.Fprintf(&environments, "site-%s = { uid = 1002; authorizedKeys = [ ]; virtualHosts = { }; hostenv = { organisation = \"acme\"; project = \"site\"; userName = %q; environmentName = %q; }; node = \"a\"; source = %s; };\n", name, "site-"+name, name, source)
		}
		plan := w.mustRun(w.nix, "eval", "--raw", "--expr", "builtins.toJSON { formatVersion = 1; nodes.a = { }; nodeConnections.a = "+connection+"; environments = {"+environments.String()+"}; }")
		library := w.checkout()
		w.repo("provider", map[string]string{"generated/plan.json": plan, "flake.nix": fmt.Sprintf(`{
			inputs.hostenv-provider.url = "path:%s";
			inputs.nixpkgs.url = "git+file://@repos@/nixpkgs?ref=provider";
			outputs = inputs: inputs.hostenv-provider.lib.mkProvider { inherit inputs; provider = { }; };
		}`, library)})
		w.mustLock("provider", "")

		var got map[string]struct{ Release, Colour, Rev string }
		w.json(".#legacyPackages.x86_64-linux.environments", &got, "--apply",
			"builtins.mapAttrs (_: p: { inherit (p) release colour rev; })")
		for name, want := range map[string][3]string{
			"site-main":  {"provider", "red", main},
			"site-next":  {"provider", "green", next},
			"site-after": {"provider", "green", next},
		} {
			if g := got[name]; [3]string{g.Release, g.Colour, g.Rev} != want {
				w.Errorf("%s is built of %v, want %v", name, g, want)
			}
		}
	})
}

// A project can be a folder of the provider's repository.
func TestProjectInTheProvidersRepository(t *testing.T) {
	underEachNix(t, func(w *world) {
		w.example(examples.Options{})
		if err := os.CopyFS(filepath.Join(w.path("provider"), "customers", "site"), os.DirFS(w.path("acme-site"))); err != nil {
			w.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(w.path("provider"), "customers", "site", ".git")); err != nil {
			w.Fatal(err)
		}
		narHash := strings.TrimSpace(w.mustRun(w.nix, "hash", "path", filepath.Join(w.path("provider"), "customers/site")))
		w.repo("provider", map[string]string{"generated/plan.json": w.edited(func(plan map[string]any) {
			environment(plan)["source"] = map[string]any{
				"type": "path", "path": "./customers/site", "dir": ".hostenv", "narHash": narHash, "lastModified": 0,
			}
		})})
		var name string
		w.json(".#environments.site-main-b7ea262.name", &name)
		if name != "site" {
			w.Errorf("the package is called %q", name)
		}
	})
}

// A value of a wrong type, in the options or in the plan, is refused with its place.
// mkProvider and the flake-parts module check the plan alike.
func TestTypes(t *testing.T) {
	type example = struct {
		name, replace, with string // in flake.nix
		edit                func(plan map[string]any)
		attribute           string
		want                []string
	}
	tests := []example{
		{name: "wrong type", replace: `deployUser = "deploy"`, with: `deployUser = 7`, attribute: "lib.hostenvProvider.inventory", want: []string{"provider.deployUser", "is not of type", "flake.nix"}},
		{name: "unknown option", replace: `deployUser = "deploy"`, with: `deployUsr = "deploy"`, attribute: "lib.hostenvProvider.inventory", want: []string{"provider.deployUsr", "does not exist"}},
		{name: "unknown option of a node", replace: `address = "192.0.2.10"`, with: `adress = "192.0.2.10"`, attribute: "lib.hostenvProvider.inventory", want: []string{"provider.nodes.node-a.adress", "does not exist"}},
		{name: "missing option", replace: `hostenvHostname = "hosting.example";`, with: ``, attribute: "lib.hostenvProvider.inventory", want: []string{"provider.hostenvHostname", "no value defined"}},
		{name: "missing terms", replace: `acceptTerms = true;`, with: ``, attribute: "lib.hostenvProvider.inventory", want: []string{"provider.letsEncrypt.acceptTerms", "no value defined"}},
		{name: "token", replace: `deployUser = "deploy"`, with: `cloudflare.apiToken = "hunter2"`, attribute: "lib.hostenvProvider.inventory", want: []string{"cloudflare.apiToken is a secret, and flakes"}},
		{name: "options of hostenv's own module", replace: `deployUser = "deploy"`,
			with: `
				nodeSystems.node-a = "aarch64-linux"; nodeAddresses.node-a = "192.0.2.1"; nodeSshPorts.node-a = 2222; nodeSshOpts.node-a = [ "-4" ];
				nodeRemoteBuild.node-a = true; nodeMagicRollback.node-a = false; nodeAutoRollback.node-a = false;
				statePath = ./plans/state.json; planPath = ./generated/plan.json; planSource = "eval"; generatedFlake.envInputs.extra = _: { };
				letsEncrypt.enable = true; cloudflare.apiTokenFile = "/run/secrets/token"`,
			attribute: "lib.hostenvProvider.inventory", want: []string{
				"provider: nodeSystems, nodeAddresses, nodeSshPorts, nodeSshOpts, nodeRemoteBuild, nodeMagicRollback, nodeAutoRollback, " +
					"statePath, planPath, planSource, generatedFlake, letsEncrypt.enable, cloudflare.apiTokenFile: options of hostenv's own",
				`nodeSystems: nodes.node-a.system = "aarch64-linux";`, `nodeAddresses: nodes.node-a.address = "192.0.2.1";`,
				`nodeSshPorts: nodes.node-a.sshPort = 2222;`, `nodeSshOpts: nodes.node-a.sshOpts = [ "-4" ];`, `nodeRemoteBuild: nodes.node-a.remoteBuild = true;`,
				`nodeMagicRollback: nodes.node-a.magicRollback = false;`, `nodeAutoRollback: nodes.node-a.autoRollback = false;`,
				`statePath: generatedPath = ./plans;`, `planPath: nothing: this is the default`, `planSource: nothing:`, `generatedFlake: overrides.<input>`,
				`letsEncrypt.enable: nothing:`, `cloudflare.apiTokenFile: cloudflare.apiTokenSecret = "cloudflare/api_token";`,
			}},

		{name: "uid of a plan", edit: func(plan map[string]any) { environment(plan)["uid"] = "1002" }, attribute: "environments.site-main-b7ea262", want: []string{`environments.site-main-b7ea262.uid: expected a UID above 0, got "1002"`, "generated/plan.json"}},
		{name: "no node in a plan", edit: func(plan map[string]any) { delete(environment(plan), "node") }, attribute: "environments.site-main-b7ea262", want: []string{"environments.site-main-b7ea262.node: expected a node name, got nothing", "generated/plan.json"}},
		{name: "source of a plan", edit: func(plan map[string]any) { environment(plan)["source"] = "somewhere" }, attribute: "environments.site-main-b7ea262", want: []string{`environments.site-main-b7ea262.source: expected a set, got "somewhere"`, "generated/plan.json"}},
		{name: "node of a plan", edit: func(plan map[string]any) { plan["nodes"].(map[string]any)["node-a"] = []string{} }, attribute: "nodes.node-a", want: []string{"nodes.node-a: expected a set, got a list", "generated/plan.json"}},
		{name: "connection of a plan", edit: func(plan map[string]any) {
			plan["nodeConnections"].(map[string]any)["node-a"].(map[string]any)["sshPort"] = 70000
		}, attribute: "lib.hostenvProvider.connections", want: []string{"nodeConnections.node-a.sshPort: expected a port, 1 to 65535, got 70000", "generated/plan.json"}},
		{name: "another's user", edit: func(plan map[string]any) {
			environment(plan)["hostenv"].(map[string]any)["userName"] = "site-staging-d6e4934"
		}, attribute: "nodes.node-b", want: []string{`generated/plan.json: environments."site-main-b7ea262".hostenv.userName is "site-staging-d6e4934"`, "hint: run 'mage plan'"}},
	}
	run := func(t *testing.T, w *world, tests []example) {
		well := w.git("provider", "rev-parse", "HEAD")
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				w := *w
				w.TB = t
				w.git("provider", "reset", "-q", "--hard", well)
				files := map[string]string{}
				if flake := read(t, filepath.Join(w.path("provider"), "flake.nix")); test.replace != "" {
					files["flake.nix"] = strings.Replace(flake, test.replace, test.with, 1)
				}
				if test.edit != nil {
					files["generated/plan.json"] = w.edited(test.edit)
				}
				w.repo("provider", files)
				_, stderr, err := w.in("eval", "--json", ".#"+test.attribute)
				if err == nil {
					w.Fatal("no error")
				}
				// Versions of nixpkgs's library differ in how they quote names.
				contains(w, strings.ReplaceAll(stderr, "`", "'"), test.want...)
			})
		}
	}
	underEachNix(t, func(w *world) {
		w.TB.(*testing.T).Run("flake-parts", func(t *testing.T) {
			w := *w
			w.TB = t
			w.example(examples.Options{FlakeParts: true, Inputs: w.flakeParts()})
			run(t, &w, tests)
		})
		ofPlan := slices.DeleteFunc(slices.Clone(tests), func(test example) bool { return test.edit == nil })
		w.TB.(*testing.T).Run("mkProvider", func(t *testing.T) {
			w := *newWorld(t, w.nix)
			w.example(examples.Options{})
			run(t, &w, ofPlan)
		})
	})
}

// edited is the provider's plan with a change.
func (w *world) edited(edit func(plan map[string]any)) string {
	w.Helper()
	var plan map[string]any
	if err := json.Unmarshal([]byte(read(w, filepath.Join(w.path("provider"), "generated/plan.json"))), &plan); err != nil {
		w.Fatal(err)
	}
	edit(plan)
	text, err := json.MarshalIndent(plan, "", "  ")
	if err != nil {
		w.Fatal(err)
	}
	return string(text)
}

func environment(plan map[string]any) map[string]any {
	return plan["environments"].(map[string]any)["site-main-b7ea262"].(map[string]any)
}
