// Package plan turns the values of a provider's flake into the plan of its nodes.
//
// [Compute] takes the inventory that Nix evaluates, the locked sources and the
// prior state, and returns the plan document, the next state, the changes
// between the two states, and warnings. It is pure: it reads no file, asks no
// server and no clock. The same input gives the same bytes, in any order of its
// members.
//
// It refuses input that could break a node or harm another customer: a host name
// with two owners, a user name of two environments, a node that the provider does
// not list, an inventory without environments, names with a special meaning for a
// shell, systemd or Nix. It reports all errors together, each with a hint, and
// returns no plan beside them.
//
// It copies the members of an environment that it does not know. nodes.<node> of
// the document is a NixOS module: it has only options that NixOS has.
//
// The document has the structure of the legacy generator's plan;
// golden/parity.json lists every difference.
package plan

import (
	"github.com/woolwichweb/hostenv-provider/hostenv/domains"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// FormatVersion is the version of the inventory, of the plan document and of
// the changes that this package reads and writes. It refuses other versions. New
// fields do not change the version.
const FormatVersion = 1

// A Result is the result of Compute.
type Result struct {
	// Plan is generated/plan.json.
	Plan Document
	// State is generated/state.json. It must be durable before the plan is
	// written: the plan names its UIDs.
	State state.State
	// Changes are those from the prior state to State, see [StateChanges]. Package
	// review adds those between two plans.
	Changes []state.Change
	// Warnings are for the operator to read. They do not stop a run.
	Warnings []state.Warning
}

// Compute plans inv from the prior state. Its error holds all problems, see
// problem.Leaves.
func Compute(inv *Inventory, sources Sources, prior state.State) (*Result, error) {
	c := &computation{inv: inv, sources: sources, prior: prior}
	c.errs.Add(inv.problems...)
	c.check()
	c.place()
	c.limits()
	c.unusedRaw()
	c.misnamedInputs()

	step, err := prior.Next(c.request())
	var owners domains.Owners
	if err != nil {
		c.errs.Add(err)
	} else if c.tooMany(step.Changes); len(c.errs) == 0 { // who claims a name may be wrong itself
		step.State, owners = c.prove(prior, step.State)
	}
	if err := c.errs.Err(); err != nil {
		return nil, err
	}
	document := c.document(step.State)
	if len(owners) > 0 {
		document.Domains = owners
	}
	c.warnUnlocked()
	c.warnEnvironments(document)
	return &Result{
		Plan:     document,
		State:    step.State,
		Changes:  StateChanges(prior, step.State),
		Warnings: append(c.warnings, step.Warnings...),
	}, nil
}

// computation holds the values of one call of Compute.
type computation struct {
	inv      *Inventory
	sources  Sources
	prior    state.State
	placed   []*placed // in the order of user names
	unlocked []string  // users without a locked source
	warnings []state.Warning
	errs     problem.List
}

// placed is an environment with its node and its virtual hosts.
type placed struct {
	*EvaluatedEnvironment
	node      string                 // "" if it could not be placed
	placement string                 // the option that placed it
	hosts     map[string]VirtualHost // as the plan has them
}

func (c *computation) warn(subject, message string) {
	c.warnings = append(c.warnings, state.Warning{Subject: subject, Message: message})
}

// request returns the request to the state. An inventory with problems may lack
// environments, and the state would then report false errors for renames and
// transfers: the request has them only if the inventory has no problems.
func (c *computation) request() state.Request {
	p := &c.inv.Provider
	req := state.Request{UIDs: p.UIDRange, NodeNames: p.nodeNames()}
	for _, e := range c.placed {
		req.Claims = append(req.Claims, state.Claim{
			UserName: e.UserName, Organisation: e.Organisation, Project: e.Project, Environment: e.Name,
			Node: e.node, VirtualHosts: e.hostNames(),
		})
		if e.node != "" {
			p.addNodeName(req.NodeNames, e.node)
		}
	}
	if len(c.inv.problems) == 0 {
		req.Moved, req.Transfers = p.Moved, p.Transfers
	}
	return req
}

// document builds plan.json.
func (c *computation) document(next state.State) Document {
	p := &c.inv.Provider
	environments := make(map[string]Environment, len(c.placed))
	for _, e := range c.placed {
		e.hosts = make(map[string]VirtualHost, len(e.virtualHosts))
		proxy := proxyTo(e.UserName)
		for _, v := range e.virtualHosts {
			e.hosts[v.name] = v.planned(proxy)
		}
		environments[e.UserName] = c.environment(e, next.Entries[e.UserName])
	}
	nodes := c.nodes(next)
	connections := c.connections(nodes, environments)
	return Document{
		FormatVersion:   FormatVersion,
		StateDigest:     next.Digest(),
		HostenvHostname: p.HostenvHostname,
		DeployUser:      p.DeployUser,
		Environments:    environments,
		Profiles:        c.profiles(connections),
		Nodes:           nodes,
		NodeConnections: connections,
		DNSGate:         map[string]GateEntry{}, // dnsgate.Carry brings the gate's decisions over
		Cloudflare:      p.Cloudflare,
		NixSigning:      p.NixSigning,
		PrivateNetworks: p.PrivateNetworks,
	}
}
