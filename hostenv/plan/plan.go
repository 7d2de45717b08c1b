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
// shell, systemd or Nix. What is the provider's is an error, and there is no plan
// beside it. What is one project's holds that project back ([Held]): the plan has of
// it what the last plan had, and has all other projects. All errors are reported
// together, each with a hint.
//
// It copies the members of an environment that it does not know. nodes.<node> of
// the document is a NixOS module: it has only options that NixOS has.
//
// The document has the structure of the legacy generator's plan;
// golden/parity.json lists every difference.
package plan

import (
	"maps"
	"slices"

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
	// Held are the projects that are held back, sorted by project. A project that the
	// run left as it is may be held back since an earlier plan.
	Held []Held
	// Holds are the projects that provider.hold keeps at the last plan, sorted by
	// project. They are not among Held.
	Holds []Hold
	// Warnings are for the operator to read. They do not stop a run.
	Warnings []state.Warning
}

// An Input is what a plan is made of.
type Input struct {
	Inventory *Inventory
	Sources   Sources
	State     state.State // of the plan before
	// Last is the plan before: what stays of projects that are held back. It is nil if
	// there is none, or none that can be read.
	Last *Document
	// Failed are the projects that could not be evaluated or locked.
	Failed []Held
	// Back takes environments back to an earlier plan, and all others stay as they are.
	// The inventory then needs no projects. It is nil for a plan of the inventory.
	Back *Back
}

// Compute makes the plan. It holds back each project that is refused, and plans all
// others: what is wrong with one customer stays with that customer. Its error holds
// all problems, see problem.Leaves: those of the provider's options and of the state,
// and beside them those of projects. It is a *[HeldError] if there is nothing to plan
// but projects that are held back.
func Compute(in Input) (*Result, error) {
	staying := in.staying()
	if len(staying.unmatched) > 0 { // what is wrong with others is not asked for
		return nil, slices.Concat(in.Inventory.problems, staying.unmatched).Err()
	}
	held := reasons{}
	for _, f := range in.Failed {
		if !staying.project(f.Project) {
			held.add(f.Project, f.Reason)
		}
	}
	// Without a project, another one may be refused: one that was to get a name from
	// it. Each round holds back more projects, so there is a last one.
	for {
		c := &computation{
			inv: in.Inventory, sources: in.Sources, prior: in.State, last: in.Last, back: in.Back, staying: staying,
			held: held, refused: reasons{}, keeps: map[string][]string{},
		}
		result := c.compute()
		switch {
		case len(c.errs) > 0, in.Back != nil && len(c.refused) > 0:
			return nil, c.failure(in.Failed)
		case len(c.refused) > 0:
			held = held.with(c.refused)
		case result == nil:
			return nil, &HeldError{c.heldBack()}
		default:
			return result, nil
		}
	}
}

// failure returns the errors of a round that fails, and beside them those of the
// projects: one run reports all.
func (c *computation) failure(failed []Held) error {
	all := c.errs
	evaluated := map[string]bool{}
	for input := range c.inv.Projects {
		evaluated[input] = true
	}
	for _, f := range failed { // their reasons do not name the project
		if c.staying.project(f.Project) {
			continue
		}
		evaluated[f.Project] = false
		all.Add(problem.In("project "+f.Project, f.Reason))
	}
	projects := c.held.with(c.refused)
	for _, input := range slices.Sorted(maps.Keys(projects)) {
		if evaluated[input] || c.back != nil {
			all.Add(projects[input]...)
		}
	}
	return all.Err()
}

// compute is one round. It returns nil if there are errors or refusals, or if there
// is nothing to plan but projects that are held back.
func (c *computation) compute() *Result {
	c.errs.Add(c.inv.problems...)
	c.errs.Add(c.staying.problems...)
	c.check()
	c.keep()
	c.place()
	c.limits()
	c.activationTimeouts()
	c.quotas()
	c.unusedRaw()
	c.misnamedInputs()

	step, err := c.prior.Next(c.request())
	c.attribute(err)
	var owners domains.Owners
	if err == nil {
		c.tooMany(step.Changes)
	}
	if err == nil && len(c.errs) == 0 && len(c.refused) == 0 { // who claims a name may be wrong itself
		c.uids(step.State)
		step.State, owners = c.prove(step.State)
		c.foreignZones(owners)
	}
	if len(c.errs) > 0 || len(c.refused) > 0 || !c.hasPlan() {
		return nil
	}
	document := c.document(step.State, owners)
	if len(owners) > 0 {
		document.Domains = owners
	}
	c.say(&document)
	c.warnUnlocked()
	c.warnEnvironments(document)
	return &Result{
		Plan:     document,
		State:    step.State,
		Changes:  StateChanges(c.prior, step.State),
		Held:     c.allHeld(document),
		Holds:    document.Holds(),
		Warnings: append(c.warnings, step.Warnings...),
	}
}

// computation holds the values of one round of Compute.
type computation struct {
	inv     *Inventory
	sources Sources
	prior   state.State
	last    *Document
	back    *Back
	staying staying // what stays as it is by the operator's choice
	held    reasons // the projects that this round holds back
	refused reasons // those that it refuses, and the next round holds back

	hold     state.Hold
	keeps    map[string][]string // users of projects that are held back, by input
	placed   []*placed           // in the order of user names
	unlocked []string            // users without a locked source
	warnings []state.Warning
	errs     problem.List // those of the provider and of the state
}

// placed is an environment with its node and its virtual hosts.
type placed struct {
	*EvaluatedEnvironment
	node      string                 // "" if it could not be placed
	placement string                 // the option that placed it
	hosts     map[string]VirtualHost // as the plan has them
	last      *Environment           // of the last plan, or an earlier one, if it stays as it is there
	goesBack  bool                   // last is of an earlier plan
}

func (c *computation) warn(subject, message string) {
	c.warnings = append(c.warnings, state.Warning{Subject: subject, Message: message})
}

// request returns the request to the state.
func (c *computation) request() state.Request {
	p := &c.inv.Provider
	req := state.Request{UIDs: p.UIDRange, NodeNames: p.nodeNames(), Moved: c.hold.Moved, Transfers: c.hold.Transfers}
	for _, k := range c.hold.Kept {
		req.Claims = append(req.Claims, k.Claim)
	}
	for _, e := range c.placed {
		if e.node != "" {
			p.addNodeName(req.NodeNames, e.node)
		}
		if e.last != nil {
			continue
		}
		req.Claims = append(req.Claims, state.Claim{
			UserName: e.UserName, Organisation: e.Organisation, Project: e.Project, Environment: e.Name,
			Node: e.node, VirtualHosts: e.hostNames(),
		})
	}
	return req
}

// document builds plan.json.
func (c *computation) document(next state.State, owners domains.Owners) Document {
	p := &c.inv.Provider
	environments := make(map[string]Environment, len(c.placed))
	for _, e := range c.placed {
		if e.last == nil {
			e.hosts = make(map[string]VirtualHost, len(e.virtualHosts))
			for _, v := range e.virtualHosts {
				e.hosts[v.name] = v.planned(e.UserName)
			}
		}
		for _, host := range slices.Sorted(maps.Keys(e.hosts)) { // the order of the warnings
			e.hosts[host] = c.certify(e, host, e.hosts[host], owners)
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
		Wildcards:       c.wildcards(),

		CertificateProfile: p.LetsEncrypt.Profile,
		PrivateNetworks:    p.PrivateNetworks,
		Notify:             p.Notify,
		Certificates:       c.certificateQuotas(),
		Waves:              p.Waves,
	}
}
