package plan

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// An Inventory is the output of `nix eval --json .#lib.hostenvProvider.inventory`:
// the provider's options and its customers' evaluated environments.
type Inventory struct {
	System   string
	Provider Provider
	// Projects are the customers by flake input, organisation__project.
	Projects map[string]*Project
	// Seen are the TXT records of domains. The caller sets it, if
	// Provider.RequireDomainProof or a person asks for proofs.
	Seen Seen
	// Inputs are the names of all inputs of the flake. The caller sets it; Compute then
	// finds projects among them whose names are mistyped.
	Inputs []string
	// Only selects what is planned anew, and all else stays as the last plan has it. The
	// caller sets it.
	Only Selection
	// AllowMany lets a plan retire and move any number of environments.
	AllowMany bool

	problems problem.List // of all but the projects' own values; Compute reports them with all others
	opened   problem.List // see Opened
}

// A Project is one customer's flake input.
type Project struct {
	Input                 string
	Organisation, Project string // sanitised, from the name of the input
	Environments          map[string]*EvaluatedEnvironment

	problems problem.List     // mistakes in its values, for which it is held back
	original canonjson.Object // the input's reference, as flake.lock has it
	fetch    canonjson.Object // the same, without registry indirection
}

// An EvaluatedEnvironment is one environment as hostenv evaluated it.
type EvaluatedEnvironment struct {
	Input, Name, Type     string
	Enable                bool
	Organisation, Project string
	UserName              string
	GitRef                string
	AuthorizedKeys        []string // each once, in the order of users and keys

	said         said           // who the project says it is
	bytes        int            // of the whole environment
	virtualHosts []*virtualHost // in the order of their names
	project      *Project
	fields       canonjson.Object // the whole environment, as Nix evaluated it
}

// Ref is the environment's name among all, organisation__project/environment.
func (e *EvaluatedEnvironment) Ref() string { return e.Input + "/" + e.Name }

// DecodeInventory reads an inventory strictly. It returns an error for text that
// is not JSON or that has another format version. It keeps mistakes in single
// values, and [Compute] reports them together with its own: it holds back a project
// with mistakes. [Inventory.Problems] returns all others.
func DecodeInventory(data []byte) (*Inventory, error) {
	v, err := canonjson.Parse(data)
	if err != nil {
		return nil, problem.New("the inventory", "is not readable: "+err.Error(), remakeInventory)
	}
	r := &reader{}
	top, ok := canonjson.ObjectOf(v)
	if !ok {
		return nil, problem.New("the inventory", "is "+canonjson.KindOf(v)+", not an object", remakeInventory)
	}
	version := top.Get("formatVersion")
	switch number, isInteger := canonjson.Integer(version); {
	case canonjson.IsNull(version):
		return nil, problem.New("inventory.formatVersion", "is missing", remakeInventory)
	case !isInteger:
		return nil, problem.New("inventory.formatVersion", "is "+canonjson.KindOf(version)+", not an integer", remakeInventory)
	case number != FormatVersion:
		return nil, problem.New("inventory.formatVersion", fmt.Sprintf("is %d, and this program reads %d", number, FormatVersion),
			"use the hostenv-provider that the provider's flake pins (nix flake update hostenv-provider)")
	}
	inv := &Inventory{
		System:   r.text(top, "inventory", "system", "x86_64-linux"),
		Projects: map[string]*Project{},
	}
	inv.Provider = r.provider(r.object(top, "inventory", "provider"))
	projects := r.object(top, "inventory", "projects")
	for _, m := range projects {
		if object, ok := canonjson.ObjectOf(m.Value); ok {
			inv.Projects[m.Name] = r.project(m.Name, object, &inv.Provider)
		} else {
			r.wrong("projects."+m.Name, "", "is not an object")
		}
	}
	inv.problems = r.problems
	if r.closed != nil {
		inv.opened = r.closed.problems
	}
	return inv, nil
}

const remakeInventory = "make it anew with `nix eval --json .#lib.hostenvProvider.inventory`"

// Problems returns the mistakes in values of the inventory that are not those of a
// project. With them there is no plan.
func (inv *Inventory) Problems() []error { return slices.Clone(inv.problems) }

// environments returns those of all projects, by input and name.
func (inv *Inventory) environments() []*EvaluatedEnvironment {
	var all []*EvaluatedEnvironment
	for _, input := range slices.Sorted(maps.Keys(inv.Projects)) {
		p := inv.Projects[input]
		for _, name := range slices.Sorted(maps.Keys(p.Environments)) {
			all = append(all, p.Environments[name])
		}
	}
	return all
}

// project reads a project. Mistakes of the project are its own, and not among those
// of r.
func (r *reader) project(input string, object canonjson.Object, provider *Provider) *Project {
	whole := r
	r = &reader{closed: whole.closed}
	defer func() { whole.closed = r.closed }()
	p := &Project{Input: input, Environments: map[string]*EvaluatedEnvironment{}}
	p.Organisation, p.Project, _ = state.SplitInput(input)
	source := whole.object(object, input, "source") // the provider's flake.lock
	p.original = whole.object(source, input+": source", "original")
	p.fetch = p.original
	if source.Get("resolved") != nil {
		p.fetch = whole.object(source, input+": source", "resolved")
	}
	whole.noPassword(input+": source", source)
	raw := provider.FrontDoor.opens(p)
	environments := r.object(object, input, "environments")
	for _, m := range environments {
		name := m.Name
		where := input + "/" + name
		fields, ok := canonjson.ObjectOf(m.Value)
		if !ok {
			r.wrong(where, "", "is not an object")
			continue
		}
		r.onlyData(where, m.Value)
		// Keep an environment with mistakes, so that this run also checks its claims.
		p.Environments[name] = r.environment(p, name, where, fields, raw)
		p.Environments[name].bytes = len(m.Value)
	}
	r.refuseForeign(input)
	r.sameHash(p)
	if raw {
		r.shadow().refuseForeign(input)
	}
	p.problems = r.problems
	return p
}

// noPassword refuses a reference whose URL contains a password or token: it would
// be in the plan, which is committed, and in the Nix store.
func (r *reader) noPassword(where string, source canonjson.Object) {
	for _, option := range []string{"original", "resolved"} {
		reference, _ := canonjson.ObjectOf(source.Get(option))
		address, _ := canonjson.Text(reference.Get("url"))
		parsed, err := url.Parse(address)
		if err != nil {
			r.wrong(where+"."+option, "url", "is no URL")
			continue
		}
		// Over HTTP a user name alone is often a token; over ssh it is "git".
		_, password := parsed.User.Password()
		if password || parsed.User != nil && strings.Contains(parsed.Scheme, "http") {
			r.remedied(where+"."+option, "url", "leave it out of the input's URL; let git or Nix find it (ssh, netrc, or access-tokens in nix.conf)",
				"holds a password or token")
		}
	}
}

func (r *reader) environment(p *Project, name, where string, fields canonjson.Object, raw bool) *EvaluatedEnvironment {
	hostenv := r.object(fields, where, "hostenv")
	inner := where + ": hostenv"
	e := &EvaluatedEnvironment{
		Input: p.Input, Name: name, project: p, fields: fields,
		Type:   r.text(fields, where, "type", "development"),
		Enable: r.boolean(fields, where, "enable", true),
		GitRef: r.text(hostenv, inner, "gitRef", name),
	}
	r.identity(e, hostenv, inner)
	r.nodesRead(fields, hostenv, where, inner)
	if root := r.text(hostenv, inner, "root", ""); strings.HasPrefix(root, "/nix/store/") {
		r.remedied(inner, "root", "make the inventory with the provider's nix/lib, which writes it relative to the project's source",
			"is the store path %s, which changes with every commit of the project", root)
	}
	r.migrations(where, fields, hostenv)
	e.AuthorizedKeys = r.authorizedKeys(fields, where)
	e.virtualHosts = r.virtualHosts(fields, where, e.UserName, raw)
	return e
}

// nodesRead refuses values that a node's system does not take. A deploy would fail
// for all environments of the node.
func (r *reader) nodesRead(fields, hostenv canonjson.Object, where, inner string) {
	if enable := fields.Get("enable"); enable != nil && canonjson.IsNull(enable) {
		r.wrong(where, "enable", "is null, not true or false")
	}
	r.text(hostenv, inner, "backupsRepoHost", "")
}

// authorizedKeys collects the keys of an environment's users, in the order of
// their names. Two users may share a key; the result has each key once.
func (r *reader) authorizedKeys(fields canonjson.Object, where string) []string {
	keys := []string{}
	users := r.optionalObject(fields, where, "users")
	for _, m := range users {
		user, ok := canonjson.ObjectOf(m.Value)
		if !ok {
			r.wrong(where+": users", m.Name, "is not an object")
			continue
		}
		keys = append(keys, r.keys(user, where+": users."+m.Name, "publicKeys")...)
	}
	return unique(keys)
}

// unique keeps the first of equal strings.
func unique(list []string) []string {
	kept := list[:0:0]
	var seen map[string]bool // only for long lists, where a linear search is slow
	if len(list) > 32 {
		seen = make(map[string]bool, len(list))
	}
	for _, s := range list {
		if seen[s] || seen == nil && slices.Contains(kept, s) {
			continue
		}
		if seen != nil {
			seen[s] = true
		}
		kept = append(kept, s)
	}
	return kept
}
