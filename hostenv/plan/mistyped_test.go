package plan_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

const goodKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIpV594cTdpe+o1y0IiFHricBDmVkjMpBQoyJeYIqCeo"

// mistyped returns an inventory with a change, and the plan before it.
func mistyped(t *testing.T, edit func(provider, projects map[string]any)) (*plan.Inventory, *plan.Result) {
	t.Helper()
	const dir = "../../golden/002-b-two-orgs-some-new/"
	text, err := os.ReadFile(dir + "inventory.json")
	if err != nil {
		t.Fatal(err)
	}
	decode := func(edit func(provider, projects map[string]any)) *plan.Inventory {
		var doc map[string]any
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		provider, projects := doc["provider"].(map[string]any), doc["projects"].(map[string]any)
		provider["nodes"] = map[string]any{"node-a": map[string]any{}, "node-b": map[string]any{}}
		edit(provider, projects)
		changed, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		inv, err := plan.DecodeInventory(changed)
		if err != nil {
			t.Fatal(err)
		}
		return inv
	}
	before, err := plan.Compute(plan.Input{Inventory: decode(func(_, _ map[string]any) {}), State: state.New()})
	if err != nil {
		t.Fatal(err)
	}
	return decode(edit), before
}

// TestMistyped holds that a typing error of the provider is an error with the word that
// was meant, and never a move or a retirement. One of a customer holds their project
// back.
func TestMistyped(t *testing.T) {
	set := func(path string, value any) func(provider, projects map[string]any) {
		return func(provider, _ map[string]any) {
			at, keys := provider, strings.Split(path, " ")
			for _, key := range keys[:len(keys)-1] {
				next, ok := at[key].(map[string]any)
				if !ok {
					next = map[string]any{}
					at[key] = next
				}
				at = next
			}
			at[keys[len(keys)-1]] = value
		}
	}
	environment := func(input, name string) func(projects map[string]any) map[string]any {
		return func(projects map[string]any) map[string]any {
			return projects[input].(map[string]any)["environments"].(map[string]any)[name].(map[string]any)
		}
	}
	inputs := func(names ...string) func(*plan.Inventory) { return func(inv *plan.Inventory) { inv.Inputs = names } }
	const lost = "without the project acme__site this plan would retire 3 environments"
	for _, tt := range []struct {
		reason     string
		edit       func(provider, projects map[string]any)
		call       func(*plan.Inventory)
		text, hint string // "" for no error
		held       string // the project that is held back for it; else the run fails
		warning    string
	}{
		{reason: "nothing", edit: func(_, _ map[string]any) {}},
		{reason: "a type in nodeFor", edit: set("nodeFor prodution", "node-a"), text: "provider.nodeFor.prodution names no type of an environment", hint: "did you mean production?"},
		{reason: "a type in nodeFor that is like none", edit: set("nodeFor qa", "node-a"), text: "provider.nodeFor.qa names no type of an environment", hint: "remove it: the types are development, production, testing, and default is for all others"},
		{reason: "default in nodeFor", edit: set("nodeFor defualt", "node-a"), text: "provider.nodeFor.defualt names no type", hint: "did you mean default?"},
		{
			reason: "the type of an environment", edit: func(_, projects map[string]any) { environment("acme__site", "main")(projects)["type"] = "prodution" },
			text: `acme__site/main: type is "prodution", which is no type of an environment`, hint: "did you mean production?", held: "acme__site",
		},
		{
			reason: "a type of the provider's own", edit: func(provider, projects map[string]any) {
				environment("acme__site", "main")(projects)["type"] = "preview"
				set("nodeFor preview", "node-a")(provider, projects)
			},
		},
		{reason: "an environment in placement", edit: set("placement acme__site/mian", "node-b"), text: `provider.placement."acme__site/mian" names no environment, project or organisation that is planned`, hint: `did you mean "acme__site/main"?`},
		{reason: "a project in placement", edit: set("placement acme_site", "node-b"), text: "provider.placement.acme_site names no", hint: "did you mean acme__site?"},
		{reason: "an organisation in placement", edit: set("placement acem", "node-b"), text: "provider.placement.acem names no", hint: "did you mean acme?"},
		{reason: "what is like no name in placement", edit: set("placement newcomer", "node-b"), warning: "provider.placement.newcomer names no environment, project or organisation that is planned"},
		{reason: "an option", edit: set("nodefor", map[string]any{}), text: "provider.nodefor is no option", hint: "did you mean nodeFor?"},
		{reason: "an option that is like none", edit: set("colour", 1), text: "provider.colour is no option", hint: "remove it; docs/options.md of hostenv-provider lists all options"},
		{reason: "an option of a node", edit: set("nodes node-a adress", "192.0.2.1"), text: "provider.nodes.node-a.adress is no option", hint: "did you mean address?"},
		{reason: "a quota of a project", edit: set("limits projects acme__site virtualHost", 9), text: "provider.limits.projects.acme__site.virtualHost is no option", hint: "did you mean virtualHosts?"},
		{reason: "an option of Let's Encrypt", edit: set("letsEncrypt adminMail", "a@b.test"), text: "provider.letsEncrypt.adminMail is no option", hint: "did you mean adminEmail?"},
		{reason: "a key to deploy with", edit: set("deployPublicKeys", []any{"ssh-ed25519 foo"}), text: `provider.deployPublicKeys holds "ssh-ed25519 foo": its key is not base64, or is cut off`, hint: "write the whole line of a file such as ~/.ssh/id_ed25519.pub"},
		{reason: "a key that was cut off", edit: set("deployPublicKeys", []any{goodKey[:60]}), text: "its key is cut off"},
		{reason: "a file in place of a key", edit: set("deployPublicKeys", []any{"~/.ssh/id_ed25519.pub"}), text: "it has no type of key"},
		{reason: "a key with options", edit: set("deployPublicKeys", []any{`from="192.0.2.0/24",command="echo hello there" ` + goodKey + " op"})},
		{reason: "two trusted keys of one name", edit: set("nixSigning trustedPublicKeys", []any{"k-1:WLnA8b5JGgQp0TpWdHmEvx3WhzZ2gQ0kS5ZcbQ3xF1E=", "k-1:VLnA8b5JGgQp0TpWdHmEvx3WhzZ2gQ0kS5ZcbQ3xF1E="}), text: `holds two keys named "k-1", of which Nix uses one`, hint: "keep the key that signs; a new key needs a new name, such as k-1-2"},
		{reason: "a trusted key that is none", edit: set("nixSigning trustedPublicKeys", []any{"k-1:abc"}), text: `provider.nixSigning.trustedPublicKeys holds "k-1:abc": after the colon is no key of 32 bytes in base64`},
		{reason: "a host key", edit: set("nodes node-a hostKey", "ssh-ed25519 foo"), text: `provider.nodes.node-a.hostKey is "ssh-ed25519 foo": its key is not base64, or is cut off`},
		{reason: "an option of ssh with a blank", edit: set("nodes node-a sshOpts", []any{"-o ConnectTimeout=5"}), text: `provider.nodes.node-a.sshOpts holds "-o ConnectTimeout=5", which is not one word`, hint: `write the option and its value as two items, [ "-o" "Option=value" ]; or put the option into a file and name that, [ "-F" "/path/to/ssh_config" ]`},
		{reason: "an input with one underscore", edit: func(_, projects map[string]any) { delete(projects, "acme__site") }, call: inputs("acme_site", "nixpkgs"), text: "the input acme_site is no project, and " + lost, hint: `did you mean acme__site? If acme__site is to go, add "acme_site" to provider.notProjects`},
		{reason: "an input with a hyphen", edit: func(_, projects map[string]any) { delete(projects, "acme__site") }, call: inputs("acme-site"), text: lost},
		{
			reason: "an input that is no project on purpose", edit: func(provider, projects map[string]any) {
				delete(projects, "acme__site")
				provider["notProjects"] = []any{"acme_site"}
			}, call: inputs("acme_site"),
		},
		{reason: "a new input with one underscore", edit: func(_, _ map[string]any) {}, call: inputs("gamma_shop", "nixpkgs"), warning: "the input gamma_shop is no project: organisation and project have two underscores between them"},
		{
			reason: "all environments on another node", edit: set("nodeFor", map[string]any{"default": "node-c"}),
			text: "provider.nodeFor.default names the node \"node-c\"",
		},
		{reason: "many environments moved", edit: set("placement", map[string]any{"acme": "node-b", "beta": "node-b"}), text: "moves", hint: "if that is right, run `mage plan -allowMany`; or look for what is mistyped or missing in the inputs, provider.nodeFor and provider.placement"},
		{reason: "many, on purpose", edit: set("placement", map[string]any{"acme": "node-c", "beta": "node-c"}), call: func(inv *plan.Inventory) { inv.AllowMany = true; inv.Provider.Nodes["node-c"] = &plan.NodeOptions{} }},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			inv, before := mistyped(t, func(provider, projects map[string]any) {
				// Nodes that no environment is on, so that all can move.
				tt.edit(provider, projects)
				if tt.reason == "many environments moved" {
					provider["nodes"].(map[string]any)["node-c"] = map[string]any{}
					provider["placement"] = map[string]any{"acme": "node-c", "beta": "node-c"}
				}
			})
			if tt.call != nil {
				tt.call(inv)
			}
			result, err := plan.Compute(plan.Input{Inventory: inv, State: before.State, Last: &before.Plan})
			if tt.held != "" {
				if err != nil {
					t.Fatal(err)
				}
				h := held(result, tt.held)
				if h == nil || len(result.Held) != 1 {
					t.Fatalf("%v are held back, want %s", result.Held, tt.held)
				}
				if len(result.Changes) > 0 {
					t.Errorf("what is held back changes: %v", result.Changes)
				}
				err = h.Reason
			}
			switch {
			case tt.text == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.text != "" && err == nil:
				t.Fatal("accepted")
			case tt.text != "":
				found := slices.ContainsFunc(problem.Leaves(err), func(err error) bool {
					return strings.Contains(err.Error(), tt.text) && strings.Contains(problem.Hint(err), tt.hint)
				})
				if !found {
					for _, err := range problem.Leaves(err) {
						t.Errorf("%v\nhint: %s", err, problem.Hint(err))
					}
				}
			}
			if tt.warning != "" && (result == nil || !slices.ContainsFunc(result.Warnings, func(w state.Warning) bool { return w.Subject+" "+w.Message == tt.warning })) {
				t.Errorf("no such warning among %v", result.Warnings)
			}
		})
	}
}

// TestTooMany holds the limit at its edge.
func TestTooMany(t *testing.T) {
	for _, tt := range []struct {
		live, leave int
		limit       string
		refused     bool
	}{
		{6, 5, "", false},
		{7, 6, "", true},
		{40, 12, "", false},
		{40, 13, "", true},
		{40, 13, `, "retire": 33`, false},
		{40, 6, `, "retire": 0`, true},
		{40, 40, `, "retire": 100`, false},
	} {
		inventory := func(from int, limit string) *plan.Inventory {
			var environments []string
			for i := from; i < tt.live; i++ {
				name := fmt.Sprintf("e%02d", i)
				environments = append(environments, fmt.Sprintf(`%q: {"type": "testing", "virtualHosts": {}, "hostenv": {"organisation": "acme", "project": "site",
					"environmentName": %[1]q, "userName": %[2]q, "hostname": "%[2]s.host.test", "hostenvHostname": "host.test"}}`, name, names.UserName("acme", "site", name)))
			}
			inv, err := plan.DecodeInventory(fmt.Appendf(nil, `{"formatVersion": 1, "provider": {"limits": {"environments": 100%s}, "allowEmpty": true, "hostenvHostname": "host.test", "letsEncrypt": {"acceptTerms": true, "adminEmail": "a@b.test"}, "nodeFor": {"default": "n1"}},
				"projects": {"acme__site": {"source": {"original": {"type": "git", "url": "https://git.test/site"}}, "environments": {%s}}}}`, limit, strings.Join(environments, ", ")))
			if err != nil {
				t.Fatal(err)
			}
			return inv
		}
		before, err := plan.Compute(plan.Input{Inventory: inventory(0, ""), State: state.New()})
		if err != nil {
			t.Fatal(err)
		}
		_, err = plan.Compute(plan.Input{Inventory: inventory(tt.leave, tt.limit), State: before.State})
		if (err != nil) != tt.refused || err != nil && !strings.Contains(err.Error(), fmt.Sprintf("this plan retires %d and moves 0 of %d environments", tt.leave, tt.live)) {
			t.Errorf("%d of %d with %q: %v", tt.leave, tt.live, tt.limit, err)
		}
	}
}

// TestOptionsExist holds that the options of nix/options are those that Go knows.
func TestOptionsExist(t *testing.T) {
	files, err := filepath.Glob("../../nix/options/*.nix")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d options: %v", len(files), err)
	}
	for _, file := range files {
		option := strings.TrimSuffix(filepath.Base(file), ".nix")
		inv, err := plan.DecodeInventory(fmt.Appendf(nil, `{"formatVersion": 1, "provider": {%q: null}, "projects": {}}`, option))
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range inv.Problems() {
			if strings.Contains(err.Error(), "is no option") {
				t.Error(err)
			}
		}
	}
}
