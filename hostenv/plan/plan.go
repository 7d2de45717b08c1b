// Package plan turns what a provider's flake says into what its nodes shall be.
//
// [Compute] takes the inventory that Nix evaluates, the locked sources and the
// prior state, and returns the plan document, the next state, the changes
// between the two states, and warnings. It is pure: it reads no file, asks no
// server and knows no clock; the same input gives the same bytes, whatever its
// order.
//
// It refuses, all at once and each with a hint, what could break a node or harm
// another customer: a host name with two owners, a user name of two
// environments, a node that the provider does not know, an inventory without
// environments, names that a shell, systemd or Nix would read in its own way.
// A refused run yields nothing.
//
// What it does not know in an environment it carries through as it is.
// nodes.<node> of the document is a NixOS module: it holds only options that
// NixOS has.
//
// The document keeps the structure that the legacy generator gives it;
// golden/parity.json lists every difference.
package plan

import (
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// FormatVersion is the version of the inventory, of the plan document and of
// the changes that this package reads and writes. Another major version is
// refused; fields may be added within one.
const FormatVersion = 1

// A Result is what Compute makes.
type Result struct {
	// Plan is generated/plan.json.
	Plan Document
	// State is generated/state.json. It must be durable before the plan is
	// written: the plan names its UIDs.
	State state.State
	// Changes are the steps from the prior state to State.
	Changes Changes
	// Warnings deserve a look and stop nothing.
	Warnings []state.Warning
}

// Compute plans inv from the prior state. Its error holds everything that
// stands in the way, see problem.Leaves.
func Compute(inv *Inventory, sources Sources, prior state.State) (*Result, error) {
	c := &computation{inv: inv, sources: sources}
	c.errs.Add(inv.problems...)
	c.check()
	c.place()
	c.limits()

	step, err := prior.Next(c.request())
	if err != nil {
		c.errs.Add(err)
	}
	if err := c.errs.Err(); err != nil {
		return nil, err
	}
	document := c.document(step.State)
	c.warnUnlocked()
	c.warnEnvironments(document)
	changes := append(step.Changes, nodeChanges(prior, step.State)...)
	slices.SortFunc(changes, state.CompareChanges)
	return &Result{
		Plan:     document,
		State:    step.State,
		Changes:  Changes{changes},
		Warnings: append(c.warnings, step.Warnings...),
	}, nil
}

// computation is a Compute at work.
type computation struct {
	inv      *Inventory
	sources  Sources
	placed   []*placed // in the order of user names
	unlocked []string  // users without a locked source
	warnings []state.Warning
	errs     problem.List
}

// placed is an environment on its way into the plan.
type placed struct {
	*EvaluatedEnvironment
	node      string                 // "" if it could not be placed
	placement string                 // the option that placed it
	hosts     map[string]VirtualHost // as the plan has them
}

func (c *computation) warn(subject, message string) {
	c.warnings = append(c.warnings, state.Warning{Subject: subject, Message: message})
}

// request is what the state is asked for. Where the inventory has problems,
// environments may be missing from it, so that renames and transfers would be
// blamed for what they did not do: they wait for a whole inventory.
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
	return Document{
		FormatVersion:   FormatVersion,
		StateDigest:     next.Digest(),
		HostenvHostname: p.HostenvHostname,
		DeployUser:      p.DeployUser,
		Environments:    environments,
		Nodes:           nodes,
		NodeConnections: c.connections(nodes, environments),
		DNSGate:         map[string]GateEntry{}, // dnsgate.Carry brings the gate's decisions over
		Cloudflare:      p.Cloudflare,
		NixSigning:      p.NixSigning,
	}
}
