package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// place finds the node of every environment: the first of
//
//	provider.placement."organisation__project/environment"
//	provider.placement.organisation__project
//	provider.placement.organisation
//	provider.nodeFor.<type>
//	provider.nodeFor.default
func (c *computation) place() {
	p := &c.inv.Provider
	c.knownNodes()
	c.nodeTypes()
	used := map[string]bool{}
	for _, e := range c.placed {
		if e.last != nil {
			c.keptNode(e)
			continue
		}
		node, option, err := p.placement(e.EvaluatedEnvironment, used)
		if err != nil {
			c.refuseOr(e, err)
			continue
		}
		e.node, e.placement = node, option
	}
	for _, key := range slices.Sorted(maps.Keys(p.Placement)) {
		if !used[key] && !c.concernsHeld(key) {
			c.unusedPlacement(key)
		}
	}
	c.waveNodes()
}

// placement returns the node of e and the option that names it, and marks the
// keys of provider.placement that match an environment as used.
func (p *Provider) placement(e *EvaluatedEnvironment, used map[string]bool) (node, option string, err error) {
	for _, key := range []string{e.Ref(), e.Input, e.Organisation} {
		if n, ok := p.Placement[key]; ok {
			used[key] = true
			if node == "" {
				node, option = n, "provider.placement."+quoteAttribute(key)
			}
		}
	}
	if node == "" {
		key := e.Type
		if p.NodeFor.Get(key) == nil {
			key = "default"
		}
		option = "provider.nodeFor." + quoteAttribute(key)
		v := p.NodeFor.Get(key)
		text, isText := canonjson.Text(v)
		if node = text; node == "" {
			state := fmt.Sprintf("is %s, not the name of a node", v)
			switch {
			case v == nil:
				state = "is not set"
			case isText:
				state = "is the empty string"
			case canonjson.IsNull(v):
				state = "is null"
			}
			err := unplaced(e, option, state, fmt.Sprintf("set provider.nodeFor.%s or provider.nodeFor.default, or place one environment by provider.placement.\"INPUT/ENVIRONMENT\"", quoteAttribute(e.Type)))
			if canonjson.IsNull(v) {
				err = &unplacedError{err}
			}
			return "", "", err
		}
	}
	if _, err := names.ParseNode(node); err != nil {
		return "", "", unplaced(e, option, fmt.Sprintf("is %q, which is no name for a node: %v", node, err), "use labels of letters, digits and hyphens, with dots between them and a letter in one of them")
	}
	return node, option, nil
}

// An unplacedError reports that the provider names no node for the type of an
// environment.
type unplacedError struct{ err error }

func (e *unplacedError) Error() string { return e.err.Error() }
func (e *unplacedError) Unwrap() error { return e.err }

func unplaced(e *EvaluatedEnvironment, option, text, fix string) error {
	return problem.New("the environment "+e.Ref(), "has no node: "+option+" "+text, fix)
}

// knownNodes compares every option that names a node with provider.nodes. It
// includes unused options: a misspelt one would place an environment later.
func (c *computation) knownNodes() {
	p := &c.inv.Provider
	if len(p.Nodes) == 0 {
		return
	}
	check := func(option, node string) {
		if _, ok := p.Nodes[node]; !ok && node != "" {
			c.errs.Addf(option, fmt.Sprintf("name one of %s, or add provider.nodes.%s", strings.Join(slices.Sorted(maps.Keys(p.Nodes)), ", "), quoteAttribute(node)),
				"names the node %q, which provider.nodes does not have", node)
		}
	}
	for _, m := range p.NodeFor {
		node, _ := canonjson.Text(m.Value)
		check("provider.nodeFor."+quoteAttribute(m.Name), node)
	}
	for _, key := range slices.Sorted(maps.Keys(p.Placement)) {
		check("provider.placement."+quoteAttribute(key), p.Placement[key])
	}
}

// check collects the errors that placement does not depend on, and fills c.placed
// with the environments, in the order of their user names.
func (c *computation) check() {
	inputs := map[string]string{} // organisation/project: input
	for _, input := range slices.Sorted(maps.Keys(c.inv.Projects)) {
		p := c.inv.Projects[input]
		if p.Project == "" {
			if strings.Contains(input, "__") {
				c.errs.Addf("the input "+input, "name it organisation__project", "does not name one organisation and one project")
			} else {
				c.warn(input, "is no project: its name is not organisation__project")
			}
			continue
		}
		name := p.Organisation + "/" + p.Project
		if other, ok := inputs[name]; ok {
			c.errs.Add(collide("the project "+name, other, input))
			continue
		}
		inputs[name] = input
		if c.stays(input) {
			continue
		}
		c.refuse(input, p.problems...)
		c.production(p)
	}
	users := map[string]*EvaluatedEnvironment{}
	for _, e := range c.inv.environments() {
		if inputs[e.project.Organisation+"/"+e.project.Project] != e.Input {
			continue // its whole project is refused or ignored
		}
		if c.stays(e.Input) || !c.inv.Only.selects(e.Input, e.UserName) {
			continue
		}
		c.refuse(e.Input, c.checkEnvironment(e)...)
		if other, ok := users[e.UserName]; ok {
			users[e.UserName] = c.sameUser(other, e)
			continue
		}
		users[e.UserName] = e
	}
	for _, user := range slices.Sorted(maps.Keys(users)) {
		c.placed = append(c.placed, &placed{EvaluatedEnvironment: users[user]})
	}
}

// hasPlan reports whether there is something to plan. If not, it refuses an empty
// plan, unless projects are held back of which no plan is left.
func (c *computation) hasPlan() bool {
	if len(c.placed) > 0 || c.inv.Provider.AllowEmpty {
		return true
	}
	if len(c.keptProjects()) == 0 {
		subject := "no flake input is a customer's project"
		if n := len(c.inv.Projects); n > 0 {
			subject = fmt.Sprintf("the %d projects have no environment", n)
		}
		c.errs.Addf("", "name inputs organisation__project and declare environments in their hostenv.nix; if the plan is to be empty, set provider.allowEmpty = true",
			"%s, and an empty plan would take every user from every node", subject)
	}
	return false
}

// collide returns an error for two inputs, or two environments, whose names are equal
// after hostenv shortens them.
func collide(name, one, other string) error {
	return problem.New("", fmt.Sprintf("%s and %s are both %s once their names are sanitised", one, other, name),
		"rename one of the two inputs, so that organisation or project differ in letters and digits")
}

// sameUser refuses one of two environments that have the same user name, and returns
// the other: the state says whose it is. It refuses both if that is neither's.
func (c *computation) sameUser(a, b *EvaluatedEnvironment) *EvaluatedEnvironment {
	err := collide("the user "+a.UserName, a.Ref(), b.Ref())
	entry := c.prior.Entries[a.UserName]
	for _, e := range []*EvaluatedEnvironment{a, b} {
		if entry.Organisation != e.Organisation || entry.Project != e.Project || entry.Environment != e.Name {
			c.refuse(e.Input, err)
		} else if e == b {
			a = b
		}
	}
	return a
}

// production warns of a project with several production environments.
func (c *computation) production(p *Project) {
	var production []string
	for _, name := range slices.Sorted(maps.Keys(p.Environments)) {
		if e := p.Environments[name]; e.Enable && e.Type == "production" {
			production = append(production, name)
		}
	}
	if len(production) > 1 {
		c.warn(p.Input, "has several production environments: "+strings.Join(production, ", "))
	}
}

// checkEnvironment compares the identity that an environment claims with the name
// of its input and with the provider. A project exports its own evaluation, and
// could otherwise claim to be another project.
func (c *computation) checkEnvironment(e *EvaluatedEnvironment) (errs []error) {
	wrong := func(option, remedy, format string, args ...any) {
		errs = append(errs, problem.New(e.Ref()+": "+option, fmt.Sprintf(format, args...), remedy))
	}
	c.checkIdentity(e, wrong)
	if err := c.inv.Provider.knownType(e); err != nil {
		errs = append(errs, err)
	}
	// The ref of an environment that sets none is its name, which git may refuse.
	if _, err := names.ParseRef(e.GitRef); err != nil && (e.GitRef != e.Name || strings.ContainsFunc(e.GitRef, problem.Deceptive)) {
		wrong("hostenv.gitRef", "name a branch or tag, by letters, digits and _ . / # @ + % = , -", "is %q: %v", e.GitRef, err)
	}
	for _, v := range e.virtualHosts {
		zoned := v.wildcard && !slices.ContainsFunc(v.names, func(name string) bool { return c.inv.Provider.Wildcard.zoneOf(name) == "" })
		if (v.certificate || zoned) && e.Enable && c.inv.Provider.LetsEncrypt.declined {
			wrong(fmt.Sprintf("virtualHosts.%q", v.name), "set provider.letsEncrypt.acceptTerms = true, or enableLetsEncrypt = false at the virtual host",
				"asks for a certificate, and provider.letsEncrypt.acceptTerms is false")
		}
	}
	return errs
}
