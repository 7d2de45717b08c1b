package nixosnode

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

//go:embed customer
var customerFiles embed.FS

// A Provider is the repository of the lab's provider, made like the template: a
// flake whose inputs are the customers, with a folder for each node. Each change
// writes the flake again and commits it.
type Provider struct {
	lab       *Lab
	options   map[string]string // Nix text, by option
	modules   map[string]bool
	customers map[string]Customer
}

// A Customer is a project's repository.
type Customer struct {
	Organisation, Project string

	// Environments by name; nil means only main, of type production.
	Environments map[string]Environment

	// Content is the text that all environments serve; "" serves the project's name.
	Content string

	// Backups are names of restic backups of ~/data, as hostenv's modules make
	// them: a unit restic-backups-<name>, and a program restic-<name>. Activation
	// restores what a restore plan names. The repository is at
	// <backupsRepoHost>/<user>; the secrets come from [Provider.Secrets].
	Backups []string
}

// An Environment is an environment that a project declares, on a branch of the
// same name.
type Environment struct {
	Type         string         `json:"type,omitempty"` // production, testing, development
	VirtualHosts map[string]any `json:"virtualHosts,omitempty"`
	Users        map[string]any `json:"users,omitempty"`
	Enable       *bool          `json:"enable,omitempty"`
	Verification map[string]any `json:"deploymentVerification,omitempty"`
	Hostenv      map[string]any `json:"hostenv,omitempty"` // other options of hostenv, such as backupsRepoHost
}

func (c Customer) name() string { return c.Organisation + "__" + c.Project }
func (c Customer) dir() string  { return "/srv/" + c.Organisation + "-" + c.Project }

func newProvider(l *Lab) (*Provider, error) {
	p := &Provider{lab: l, modules: map[string]bool{}, customers: map[string]Customer{}}
	quoted := func(text string) string { return "[ " + nixString(text) + " ]" }
	var nodes strings.Builder
	for _, n := range l.Nodes {
		fmt.Fprintf(&nodes, "        %s = { system = \"x86_64-linux\"; hostKey = %s; };\n", nixString(n.Name), nixString(n.HostKey))
	}
	p.options = map[string]string{
		"hostenvHostname":  nixString(Domain),
		"letsEncrypt":      `{ acceptTerms = true; adminEmail = "ops@` + Domain + `"; }`,
		"deployPublicKeys": quoted(l.Operator.PublicKey),
		"nixSigning":       "{ trustedPublicKeys = " + quoted(l.Operator.SigningKey) + "; }",
		"nodes":            "{\n" + nodes.String() + "      }",
		"uidRange":         "{ min = 40000; max = 59999; }",
		"allowEmpty":       "true",
		"secretsPath":      "null",
	}
	if len(l.Nodes) > 0 {
		p.options["nodeFor"] = "{ default = " + nixString(l.Nodes[0].Name) + "; }"
	}
	for _, n := range l.Nodes {
		if err := p.write("nodes/"+n.Name+"/configuration.nix", "# The machine itself.\n{ inputs, ... }: {\n  imports = [ inputs.nixpkgs.nixosModules.machine ];\n}\n"); err != nil {
			return nil, err
		}
	}
	if err := p.write(".gitignore", "/generated/.hostenv*\n"); err != nil {
		return nil, err
	}
	if err := p.library(); err != nil {
		return nil, err
	}
	if _, err := output(l.Operator.Command("git", "init", "--quiet")); err != nil {
		return nil, err
	}
	return p, p.commit("the provider's repository")
}

// library makes a repository of hostenv-provider from the files of this checkout
// that a flake uses.
func (p *Provider) library() error {
	root, err := repository()
	if err != nil {
		return err
	}
	dir := p.lab.Operator.Path("/srv/hostenv-provider")
	if err := os.CopyFS(filepath.Join(dir, "nix"), os.DirFS(filepath.Join(root, "nix"))); err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "nix", "tests")), copyFile(filepath.Join(root, "flake.nix"), filepath.Join(dir, "flake.nix"))); err != nil {
		return err
	}
	return p.lab.Operator.git("/srv/hostenv-provider", "main", "the library")
}

// git commits all files of a folder on a branch. It makes the repository if
// there is none, and makes no commit if no file changed.
func (o *Operator) git(dir, branch, message string) error {
	git := func(args ...string) error {
		_, err := output(o.Command(append([]string{"git", "-C", dir}, args...)...))
		return err
	}
	if _, err := os.Stat(o.Path(dir + "/.git")); err != nil {
		if err := git("init", "--quiet"); err != nil {
			return err
		}
	}
	if err := errors.Join(git("symbolic-ref", "HEAD", "refs/heads/"+branch), git("add", "--all")); err != nil {
		return err
	}
	if git("rev-parse", "--quiet", "--verify", "HEAD") == nil && git("diff", "--cached", "--quiet") == nil {
		return nil
	}
	return git("commit", "--quiet", "--message", message)
}

func (p *Provider) write(file, text string) error {
	return p.lab.Operator.write(filepath.Join(providerDir, file), text)
}

// Write writes a file of the repository. Commit it with [Provider.Commit].
func (p *Provider) Write(t testing.TB, file, text string) {
	t.Helper()
	must(t, p.write(file, text))
}

// Read reads a file of the repository.
func (p *Provider) Read(t testing.TB, file string) string {
	t.Helper()
	data, err := os.ReadFile(p.lab.Operator.Path(filepath.Join(providerDir, file)))
	must(t, err)
	return string(data)
}

// Set sets an option of `provider` to a Nix expression; "" removes it. Commit it
// with [Provider.Commit].
func (p *Provider) Set(t testing.TB, option, nix string) {
	t.Helper()
	if nix == "" {
		delete(p.options, option)
		return
	}
	p.options[option] = nix
}

// Module writes a NixOS module for all nodes; "" removes it. Commit it with
// [Provider.Commit].
func (p *Provider) Module(t testing.TB, name, nix string) {
	t.Helper()
	delete(p.modules, name)
	if nix != "" {
		p.modules[name] = true
		must(t, p.write("modules/"+name+".nix", nix))
	}
}

// Add adds or changes a customer: it writes the customer's repository and the
// input of the provider's flake, and updates the lock.
func (p *Provider) Add(t testing.TB, customers ...Customer) {
	t.Helper()
	must(t, p.add(customers...))
}

func (p *Provider) add(customers ...Customer) error {
	for _, c := range customers {
		if err := p.makeCustomer(c); err != nil {
			return err
		}
		p.customers[c.name()] = c
	}
	names := []string{}
	for _, c := range customers {
		names = append(names, c.name())
	}
	return p.commit("add "+strings.Join(names, ", "), names...)
}

// Remove removes a customer.
func (p *Provider) Remove(t testing.TB, organisation, project string) {
	t.Helper()
	c := Customer{Organisation: organisation, Project: project}
	delete(p.customers, c.name())
	must(t, p.commit("remove "+c.name()))
}

func (p *Provider) makeCustomer(c Customer) error {
	o := p.lab.Operator
	if c.Environments == nil {
		c.Environments = map[string]Environment{"main": {Type: "production"}}
	}
	root, err := repository()
	if err != nil {
		return err
	}
	evaluate, err := os.ReadFile(filepath.Join(root, "examples", "projects", "acme-site", ".hostenv", "evaluate.nix"))
	if err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(c.Environments))
	project, err := json.MarshalIndent(map[string]any{
		"organisation": c.Organisation, "project": c.Project, "hostenvHostname": Domain,
		"declared": map[string]any{"defaultEnvironment": names[0], "users": map[string]any{}, "environments": c.Environments},
		"backups":  append([]string{}, c.Backups...),
	}, "", "  ")
	if err != nil {
		return err
	}
	files := map[string]string{
		".hostenv/project.json": string(project) + "\n",
		".hostenv/evaluate.nix": string(evaluate),
		"content.txt":           or(c.Content, c.name()) + "\n",
	}
	for _, name := range []string{"flake.nix", "activate.sh", "backup.sh", "restic.sh", "restore.sh"} {
		text, err := customerFiles.ReadFile("customer/" + name)
		if err != nil {
			return err
		}
		files[".hostenv/"+name] = string(text)
	}
	// A project also locks the inputs that the provider replaces.
	files[".hostenv/flake.lock"] = `{"nodes":{"nixpkgs":{"locked":{"lastModified":1,"narHash":"sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","path":"/srv/nixpkgs","type":"path"},"original":{"path":"/srv/nixpkgs","type":"path"}},"root":{"inputs":{"nixpkgs":"nixpkgs"}}},"root":"root","version":7}` + "\n"
	for file, text := range files {
		if err := o.write(filepath.Join(c.dir(), file), text); err != nil {
			return err
		}
	}
	for _, branch := range names {
		if err := o.git(c.dir(), branch, or(c.Content, c.name())); err != nil {
			return err
		}
	}
	return nil
}

// Commit writes flake.nix, locks new inputs, and commits.
func (p *Provider) Commit(t testing.TB) {
	t.Helper()
	must(t, p.commit("change the provider"))
}

// commit is Commit that also updates the locks of these inputs.
func (p *Provider) commit(message string, update ...string) error {
	if err := p.write("flake.nix", p.flake()); err != nil {
		return err
	}
	o := p.lab.Operator
	if _, err := output(o.Command("git", "add", "--all")); err != nil {
		return err
	}
	if _, err := output(o.Command("nix", "flake", "lock")); err != nil {
		return err
	}
	if len(update) > 0 {
		if _, err := output(o.Command(append([]string{"nix", "flake", "update"}, update...)...)); err != nil {
			return err
		}
	}
	return o.git(providerDir, "main", message)
}

// flake returns the text of flake.nix.
func (p *Provider) flake() string {
	var b strings.Builder
	b.WriteString(`{
  description = "The hosting provider of a test";

  inputs = {
    hostenv-provider.url = "git+file:///srv/hostenv-provider";
    nixpkgs.url = "path:/srv/nixpkgs";
    sops-nix.url = "path:/srv/sops-nix";
    deploy-rs.url = "path:/srv/deploy-rs";
    deploy-rs.inputs.nixpkgs.follows = "nixpkgs";
`)
	for _, name := range slices.Sorted(maps.Keys(p.customers)) {
		c := p.customers[name]
		branch := "main"
		if c.Environments != nil {
			branch = slices.Sorted(maps.Keys(c.Environments))[0]
		}
		fmt.Fprintf(&b, "    %s = { url = \"git+file://%s?dir=.hostenv&ref=%s\"; flake = false; };\n", name, c.dir(), branch)
	}
	b.WriteString(`  };

  outputs = inputs: inputs.hostenv-provider.lib.mkProvider {
    inherit inputs;
    provider = {
`)
	options := maps.Clone(p.options)
	if len(p.modules) > 0 {
		modules := ""
		for _, name := range slices.Sorted(maps.Keys(p.modules)) {
			modules += " ./modules/" + name + ".nix"
		}
		options["nodeModules"] = "[" + modules + " ]"
	}
	for _, option := range slices.Sorted(maps.Keys(options)) {
		fmt.Fprintf(&b, "      %s = %s;\n", option, options[option])
	}
	b.WriteString("    };\n  };\n}\n")
	return b.String()
}

// Plan reads generated/plan.json.
func (p *Provider) Plan(t testing.TB) plan.Document {
	t.Helper()
	document, err := plan.DecodeDocument([]byte(p.Read(t, "generated/plan.json")))
	must(t, err)
	return document
}

// User returns the user name that the plan gives an environment.
func (p *Provider) User(t testing.TB, organisation, project, environment string) string {
	t.Helper()
	for user, e := range p.Plan(t).Environments {
		if h := e.Hostenv; h.Organisation == organisation && h.Project == project && h.EnvironmentName == environment {
			return user
		}
	}
	t.Fatalf("the plan has no environment %s of %s__%s", environment, organisation, project)
	return ""
}
