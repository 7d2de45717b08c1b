package fleet

import (
	"cmp"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

var (
	//go:embed provider.nix
	providerNix []byte
	//go:embed activation.sh
	activationScript []byte
	//go:embed activate-rs.sh
	activateScript []byte
)

// A Provider is the repository of a fleet's provider: a flake with
// generated/plan.json and generated/state.json, under git.
type Provider struct {
	Dir   string
	Plan  plan.Document
	State state.State

	fleet     *Fleet
	facts     facts
	inventory map[string]any
}

// facts are generated/fleet.json.
type facts struct {
	System     string            `json:"system"`
	Salt       string            `json:"salt"` // no two fleets have a path in common
	Payload    int               `json:"payload"`
	ActivateRS string            `json:"activateRS"`
	Versions   map[string]string `json:"versions"`
}

func newProvider(f *Fleet) (*Provider, error) {
	p := &Provider{
		Dir: filepath.Join(f.dir, "provider"), State: state.New(), fleet: f,
		facts: facts{System: platform(), Salt: rand.Text(), Payload: cmp.Or(f.options.Payload, 64<<10), ActivateRS: activateRS, Versions: map[string]string{"": "1"}},
	}
	repository, err := repository()
	if err != nil {
		return nil, err
	}
	files := []file{
		folder(filepath.Join(p.Dir, "generated"), 0o755, 0),
		{filepath.Join(p.Dir, "flake.nix"), 0o644, 0, string(providerNix)},
		{filepath.Join(p.Dir, "flake.lock"), 0o644, 0, `{"nodes":{"root":{}},"root":"root","version":7}` + "\n"},
		{filepath.Join(p.Dir, "activation.sh"), 0o644, 0, string(activationScript)},
		{filepath.Join(p.Dir, ".gitignore"), 0o644, 0, "/generated/.hostenv*\n/secrets/signing/\n"},
	}
	for _, file := range files {
		if err := file.make(); err != nil {
			return nil, err
		}
	}
	// Hidden: the files of a provider's own are searched for the options that they set.
	if err := os.CopyFS(filepath.Join(p.Dir, ".lib"), os.DirFS(filepath.Join(repository, "nix", "lib"))); err != nil {
		return nil, err
	}
	p.inventory = f.inventory()
	if err := p.plan(f.options.Inventory); err != nil {
		return nil, err
	}
	for user, e := range p.Plan.Environments {
		for _, n := range f.Nodes {
			if e.Node == n.Name {
				n.users[user] = e.UID
			}
		}
	}
	for _, argv := range [][]string{{"init", "-q"}, {"add", "-A"}} {
		cmd := exec.Command("git", append([]string{"-C", p.Dir}, argv...)...)
		cmd.Env = f.environment(os.Getenv("PATH"))
		if _, err := output(cmd); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// makeActivateRS makes the program that profiles call activate-rs.
func (f *Fleet) makeActivateRS() error {
	program := activateScript
	if f.options.ActivateRS != "" {
		var err error
		if program, err = os.ReadFile(f.options.ActivateRS); err != nil {
			return err
		}
	}
	f.activateRS = filepath.Join(f.dir, "activate-rs")
	return file{f.activateRS, 0o755, 0, string(program)}.make()
}

// inventory is what a flake of such a provider would evaluate to. The
// environments of node n1 are s1e1-main-91222f5 and so on.
func (f *Fleet) inventory() map[string]any {
	nodes, projects, placement := map[string]any{}, map[string]any{}, map[string]any{}
	for i, n := range f.Nodes {
		nodes[n.Name] = map[string]any{"address": n.Address, "hostKey": n.HostKey, "system": platform()}
		for j := range f.options.Environments {
			project := fmt.Sprintf("s%de%d", i+1, j+1)
			user := names.UserName("acme", project, "main")
			host := user + "." + Domain
			projects["acme__"+project] = map[string]any{
				"defaultEnvironment": "main",
				"environments": map[string]any{"main": map[string]any{
					"enable": true, "type": "production", "users": map[string]any{},
					"hostenv": map[string]any{
						"environmentName": "main", "gitRef": "main", "hostenvHostname": Domain, "hostname": host,
						"organisation": "acme", "project": project, "root": ".", "userName": user,
					},
					"virtualHosts": map[string]any{host: map[string]any{
						"allowIndexing": true, "enableLetsEncrypt": true, "globalRedirect": nil, "locations": map[string]any{}, "redirectCode": 301,
					}},
				}},
				"source": map[string]any{"original": map[string]any{
					"type": "git", "url": "ssh://git@git.example.test/acme/" + project + ".git", "ref": "main", "dir": ".hostenv",
				}},
			}
			placement["acme__"+project] = n.Name
		}
	}
	trusted := []any{f.PublicKey}
	if f.options.Untrusted {
		trusted = []any{}
	}
	return map[string]any{
		"formatVersion": 1, "system": platform(), "projects": projects,
		"provider": map[string]any{
			"allowEmpty": true, "deployPublicKeys": []any{}, "deployUser": DeployUser, "hostenvHostname": Domain,
			"letsEncrypt": map[string]any{"acceptTerms": true, "adminEmail": "ops@" + Domain},
			"nixSigning":  map[string]any{"trustedPublicKeys": trusted},
			"nodes":       nodes, "placement": placement, "privateNetworks": []any{"127.0.0.0/8", "::1/128"}, "uidRange": map[string]any{"min": 40000, "max": 59999},
		},
	}
}

// plan computes the plan and the state anew, and writes them.
func (p *Provider) plan(change func(map[string]any)) error {
	if change != nil {
		change(p.inventory)
	}
	data, err := json.Marshal(p.inventory)
	if err != nil {
		return err
	}
	inventory, err := plan.DecodeInventory(data)
	if err != nil {
		return err
	}
	result, err := plan.Compute(plan.Input{Inventory: inventory, State: p.State})
	if err != nil {
		return err
	}
	p.Plan, p.State = result.Plan, result.State
	if err := os.WriteFile(p.file("state.json"), p.State.Encode(), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(p.file("plan.json"), p.Plan.Encode(), 0o644); err != nil {
		return err
	}
	return p.write()
}

func (p *Provider) file(name string) string { return filepath.Join(p.Dir, "generated", name) }

func (p *Provider) write() error {
	data, err := json.MarshalIndent(p.facts, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(p.file("fleet.json"), append(data, '\n'), 0o644)
}

// Replan changes the inventory, and plans from it and from the state that is
// there: as `mage plan` does. Users of new environments are not made on the
// nodes: see [Node.AddUser].
func (p *Provider) Replan(t testing.TB, change func(inventory map[string]any)) {
	t.Helper()
	data, err := os.ReadFile(p.file("state.json")) // a deploy may have written it
	if err == nil {
		p.State, err = state.Decode(data)
	}
	if err == nil {
		err = p.plan(change)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// SetVersion gives profiles "node/name" another version, all of them if none is
// named. Versions begin with a digit.
func (p *Provider) SetVersion(t testing.TB, version string, profiles ...string) {
	t.Helper()
	if len(profiles) == 0 {
		p.facts.Versions = map[string]string{"": version}
	}
	for _, profile := range profiles {
		p.facts.Versions[profile] = version
	}
	if err := p.write(); err != nil {
		t.Fatal(err)
	}
}

// SetPayload gives every version another size in bytes, as [Options.Payload].
func (p *Provider) SetPayload(t testing.TB, bytes int) {
	t.Helper()
	p.facts.Payload = bytes
	if err := p.write(); err != nil {
		t.Fatal(err)
	}
}

// Paths evaluates the store path of every profile "node/name".
func (p *Provider) Paths(t testing.TB) map[string]string {
	t.Helper()
	paths, err := p.paths()
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func (p *Provider) paths() (map[string]string, error) {
	const apply = `nodes: builtins.mapAttrs (_: n: builtins.mapAttrs (_: p: builtins.unsafeDiscardStringContext p.path) n.profiles) nodes`
	out, err := p.fleet.nix("nix", "eval", "--json", ".#deploy.nodes", "--apply", apply)
	if err != nil {
		return nil, err
	}
	var nodes map[string]map[string]string
	if err := json.Unmarshal([]byte(out), &nodes); err != nil {
		return nil, err
	}
	paths := map[string]string{}
	for node, profiles := range nodes {
		for profile, path := range profiles {
			paths[node+"/"+profile] = path
		}
	}
	return paths, nil
}

// Build builds all profiles on this machine, and returns [Provider.Paths].
func (p *Provider) Build(t testing.TB) map[string]string {
	t.Helper()
	paths, err := p.build()
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func (p *Provider) build() (map[string]string, error) {
	paths, err := p.paths()
	if err != nil {
		return nil, err
	}
	// One derivation that needs all of them.
	expr := fmt.Sprintf(`let flake = builtins.getFlake "git+file://%s"; in builtins.concatMap (n: map (p: p.path) (builtins.attrValues n.profiles)) (builtins.attrValues flake.deploy.nodes)`, p.Dir)
	script := fmt.Sprintf(`derivation { name = "all"; system = %q; builder = "/bin/sh"; args = [ "-c" "echo ok >$out" ]; paths = %s; }`, platform(), expr)
	_, err = p.fleet.nix("nix", "build", "--impure", "--no-link", "--expr", script)
	return paths, err
}

// Install copies every profile to every node and makes it the active one, without a
// deploy: it does not activate or sign.
func (f *Fleet) Install() error {
	paths, err := f.Provider.build()
	if err != nil {
		return err
	}
	return f.each(func(n *Node) error {
		links := map[string]string{}
		for _, profile := range n.Profiles() {
			path, ok := paths[n.Name+"/"+profile]
			if !ok {
				return fmt.Errorf("the plan has no profile %s", profile)
			}
			links[profile] = path
		}
		if err := n.receive(slices.Collect(maps.Values(links))); err != nil {
			return err
		}
		for profile, path := range links {
			if err := n.Activate(profile, path); err != nil {
				return err
			}
			if err := n.cameUp(profile, path); err != nil {
				return err
			}
		}
		return nil
	})
}

// Activate makes a path that is in the node's store the active one of a profile,
// without running anything of it.
func (n *Node) Activate(profile, path string) error {
	argv := []string{"nix-env", "-p", link(profile), "--set", path}
	var err error
	if profile == deploy.SystemProfile {
		_, err = n.Exec(argv...)
	} else {
		_, err = n.ExecAs(profile, argv...)
	}
	return err
}
