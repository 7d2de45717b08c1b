package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// A Held is a project that is held back: the plan has of it what the last plan had,
// and all other projects are planned without it.
type Held struct {
	Project string // the flake input, organisation__project
	Reason  error  // holds every reason, see [problem.Leaves]
	// Keeps are the users of the environments that stay as they are, sorted. It is
	// empty if no plan had the project.
	Keeps []string
}

// A HeldError reports that each project is held back and that none of them is in an
// earlier plan: there is nothing to plan. It holds the reasons of all.
type HeldError struct{ Held []Held }

func (e *HeldError) Error() string {
	return "every project is held back, and no plan has any of them yet"
}

// Unwrap returns the reasons, each once.
func (e *HeldError) Unwrap() []error {
	all := reasons{}
	for _, h := range e.Held {
		all.add("", h.Reason)
	}
	return all[""]
}

// HeldBack is a project that is held back, as plan.json has it.
type HeldBack struct {
	Reasons []string `json:"reasons,omitzero"`

	Carried Carried `json:",inline"`
}

// The plan has the beginning of few reasons: their texts are the customer's, and
// plan.json is read by each command.
const (
	maxReasons = 5
	maxReason  = 400 // bytes
)

func (h Held) document() HeldBack {
	all := problem.Leaves(h.Reason)
	b := HeldBack{Reasons: []string{}}
	for i, err := range all {
		if i == maxReasons {
			b.Reasons = append(b.Reasons, fmt.Sprintf("and %d more", len(all)-i))
			break
		}
		text := strings.Join(strings.Fields(err.Error()), " ")
		if len(text) > maxReason {
			text = strings.ToValidUTF8(text[:maxReason], "") + " ..."
		}
		b.Reasons = append(b.Reasons, text)
	}
	return b
}

// Held returns the projects that were held back when the plan was made, sorted by
// project. Their reasons have no hint: `mage plan` prints them.
func (d Document) Held() []Held {
	keeps := map[state.Project][]string{}
	for user, e := range d.Environments {
		p := state.Project{Organisation: e.Hostenv.Organisation, Project: e.Hostenv.Project}
		keeps[p] = append(keeps[p], user)
	}
	var all []Held
	for _, input := range slices.Sorted(maps.Keys(d.HeldBack)) {
		var reasons problem.List
		for _, text := range d.HeldBack[input].Reasons {
			reasons.Add(problem.New("", text, ""))
		}
		p, _ := projectOf(input)
		slices.Sort(keeps[p])
		all = append(all, Held{Project: input, Reason: reasons.Err(), Keeps: keeps[p]})
	}
	return all
}

// projectOf returns the project that an input names.
func projectOf(input string) (state.Project, bool) {
	organisation, project, ok := state.SplitInput(input)
	return state.Project{Organisation: organisation, Project: project}, ok
}

// reasons are why projects are held back, by input.
type reasons map[string]problem.List

func (r reasons) add(input string, errs ...error) {
	list := r[input]
	for _, err := range errs {
		for _, leaf := range problem.Leaves(err) {
			// One cause may be found in several ways.
			if !slices.ContainsFunc(list, func(known error) bool { return known.Error() == leaf.Error() }) {
				list = append(list, leaf)
			}
		}
	}
	if len(list) > 0 {
		r[input] = list
	}
}

// with returns both.
func (r reasons) with(more reasons) reasons {
	all := maps.Clone(r)
	for input, errs := range more {
		all[input] = slices.Clone(all[input])
		all.add(input, errs...)
	}
	return all
}

// refuse holds a project back.
func (c *computation) refuse(input string, errs ...error) { c.refused.add(input, errs...) }

// stays reports whether a project stays as the last plan has it: an earlier round
// refused it, or the operator wants so.
func (c *computation) stays(input string) bool {
	return len(c.held[input]) > 0 || c.staying.project(input)
}

// keptProjects returns all projects that stay, sorted.
func (c *computation) keptProjects() []string {
	all := slices.AppendSeq(c.staying.projects(), maps.Keys(c.held))
	slices.Sort(all)
	return slices.Compact(all)
}

// planned reports whether an input is a project of this plan, held back or not.
func (c *computation) planned(is func(input, organisation string) bool) bool {
	for input, p := range c.inv.Projects {
		if is(input, p.Organisation) {
			return true
		}
	}
	for _, input := range c.keptProjects() {
		if p, _ := projectOf(input); is(input, p.Organisation) {
			return true
		}
	}
	return false
}

// keep adds to the computation what stays of projects and environments: the claims of
// the state, and of the last plan the environments that the state has.
//
// The state decides on UID, node and names: it is written before the plan, and a run
// may end in between.
func (c *computation) keep() {
	var projects []state.Project
	inputs := map[state.Project]string{}
	for _, input := range c.keptProjects() {
		if p, ok := projectOf(input); ok {
			projects = append(projects, p)
			inputs[p] = input
		}
	}
	users := c.staying.environments(c.prior, inputs)
	req := c.request()
	req.Moved, req.Transfers = c.inv.Provider.Moved, c.inv.Provider.Transfers
	c.hold = c.prior.Hold(projects, users, req)
	if len(c.errs) > 0 && len(c.refused) > 0 {
		// The run fails, and environments that could not be read may be missing: the
		// state would report false errors for renames and transfers.
		c.hold.Moved, c.hold.Transfers = nil, nil
	}
	c.attribute(c.hold.Waiting)
	lost := map[string][]string{} // live environments of which no plan is left, by input
	for _, k := range c.hold.Kept {
		input := inputs[k.Project]
		c.keeps[input] = append(c.keeps[input], k.UserName)
		if c.last == nil {
			if c.prior.Entries[k.UserName].DeployedNode != "" {
				lost[input] = append(lost[input], k.UserName)
			}
			continue
		}
		if last, ok := c.last.Environments[k.UserName]; ok {
			c.placed = append(c.placed, c.kept(input, k.Claim, last, c.last))
		}
	}
	c.goBack()
	if c.last == nil {
		c.legacy(projects, inputs, lost)
	}
	for _, input := range slices.Sorted(maps.Keys(lost)) {
		c.errs.Addf(input, "restore generated/plan.json (git checkout HEAD -- generated/plan.json), or let the customer correct the project",
			"is refused, and cannot be held back: there is no plan that still has %s", problem.Join(lost[input]))
	}
	slices.SortFunc(c.placed, func(a, b *placed) int { return strings.Compare(a.UserName, b.UserName) })
}

// legacy finds the live entries of the legacy generator that may belong to projects
// that are held back. Such an entry does not name its project, and the first plan
// would retire it.
func (c *computation) legacy(projects []state.Project, inputs map[state.Project]string, lost map[string][]string) {
	claimed := map[string]bool{}
	for _, e := range c.placed {
		claimed[e.UserName] = true
	}
	for _, user := range slices.Sorted(maps.Keys(c.prior.Entries)) {
		if e := c.prior.Entries[user]; e.Environment != "" || e.Retired || claimed[user] {
			continue
		}
		for _, p := range projects {
			if strings.HasPrefix(user, names.Slug(p.Project)+"-") {
				lost[inputs[p]] = append(lost[inputs[p]], user)
				break
			}
		}
	}
}

// kept returns an environment as a plan has it, with what the state decides. It asks
// for certificates as it did before the DNS gate decided.
func (c *computation) kept(input string, claim state.Claim, last Environment, of *Document) *placed {
	kind, _ := canonjson.Text(last.Carried.Get("type"))
	e := &placed{
		EvaluatedEnvironment: &EvaluatedEnvironment{
			Input: input, Name: claim.Environment, Type: kind, Enable: last.Runs(), UserName: claim.UserName,
			Organisation: claim.Organisation, Project: claim.Project, AuthorizedKeys: last.AuthorizedKeys,
		},
		node: claim.Node, placement: last.Placement, last: &last, hosts: map[string]VirtualHost{},
	}
	served := of.Nodes[last.Node].Services.Nginx.VirtualHosts
	for _, host := range slices.Sorted(maps.Keys(last.VirtualHosts)) {
		door, ok := served[host]
		if !slices.Contains(claim.VirtualHosts, host) || e.Enable && !ok {
			continue
		}
		v := last.VirtualHosts[host]
		if entry := of.DNSGate[host]; entry.Decision == GateOff && !v.TLS().EnableACME {
			v = v.WithTLS(entry.Asked.TLS())
		}
		e.hosts[host] = v
		e.virtualHosts = append(e.virtualHosts, &virtualHost{name: host, names: []string{host}, door: keptDoor{door}})
	}
	return e
}

// A keptDoor is what the front door served in the last plan.
type keptDoor struct{ last VirtualHost }

func (d keptDoor) redirects() bool { return false }

// proxy returns the location "/" of the last plan.
func (d keptDoor) proxy(string) jsontext.Value {
	locations, _ := canonjson.ObjectOf(d.last.Carried.Get("locations"))
	return locations.Get("/")
}

func (d keptDoor) nginx(host VirtualHost) VirtualHost { return d.last.WithTLS(host.TLS()) }

// environment returns a kept environment for the plan.
func (e *placed) kept(entry state.Entry) Environment {
	v := *e.last
	v.UID, v.Node, v.VirtualHosts = entry.UID, entry.Node, e.hosts
	v.PreviousNode, v.Carried = "", v.Carried.Without("previousNode")
	if entry.DeployedNode != entry.Node {
		v.PreviousNode = entry.DeployedNode
	}
	return v
}

// concernsHeld reports whether a key of provider.placement names a project that stays,
// an environment of it, or its organisation.
func (c *computation) concernsHeld(key string) bool {
	input, _, _ := strings.Cut(key, "/")
	for _, held := range c.keptProjects() {
		if p, _ := projectOf(held); held == input || p.Organisation == input {
			return true
		}
	}
	return false
}

// keptNode refuses a node that the provider has removed, though an environment that
// cannot move is on it.
func (c *computation) keptNode(e *placed) {
	nodes := c.inv.Provider.Nodes
	if _, ok := nodes[e.node]; !ok && len(nodes) > 0 {
		c.errs.Addf("provider.nodes", fmt.Sprintf("put provider.nodes.%s back until the project %s is planned, and the environment can go to another node", quoteAttribute(e.node), e.Input),
			"does not have the node %q of %s, which stays as it is in this plan", e.node, e.UserName)
	}
}

// refuseOr refuses the project of an environment that has no node, if the provider
// set none for its type, which the project chooses.
func (c *computation) refuseOr(e *placed, err error) {
	if unset := (*unplacedError)(nil); errors.As(err, &unset) {
		c.refuse(e.Input, unset.Unwrap())
		return
	}
	c.errs.Add(err)
}

// refuseBoth refuses the projects of two environments that cannot be beside each
// other. It is the provider's error if both are held back already.
func (c *computation) refuseBoth(err error, both ...*placed) {
	working := false
	for _, e := range both {
		if e.last == nil {
			working = true
			c.refuse(e.Input, err)
		}
	}
	if !working {
		c.errs.Add(err)
	}
}

// attribute holds back the projects whose claims an error of the state is about, and
// takes every other error for the provider's. If projects were refused before, only
// errors of their claims count in this round: without them, all others may be right.
func (c *computation) attribute(err error) {
	inputs := map[string]string{}
	for _, e := range c.placed {
		if e.last == nil {
			inputs[e.UserName] = e.Input
		}
	}
	before := c.refused.with(nil)
	final := len(before) == 0 || len(c.errs) > 0
	for _, leaf := range problem.Leaves(err) {
		claim, ok := leaf.(*state.ClaimError) //nolint:errorlint // [state.State.Next] returns it unwrapped
		if !ok {
			if final {
				c.errs.Add(leaf)
			}
			continue
		}
		var all, refused []string
		for _, user := range claim.Users {
			if input, working := inputs[user]; working {
				all = append(all, input)
				if len(before[input]) > 0 {
					refused = append(refused, input)
				}
			}
		}
		switch {
		case len(refused) > 0:
			all = refused
		case !final:
			continue
		case len(all) == 0: // of projects that are held back already
			c.errs.Add(claim.Err)
		}
		for _, input := range all {
			c.refuse(input, claim.Err)
		}
	}
}

// heldBack returns the projects that this run holds back, sorted.
func (c *computation) heldBack() []Held {
	var all []Held
	for _, input := range slices.Sorted(maps.Keys(c.held)) {
		all = append(all, Held{Project: input, Reason: c.held[input].Err(), Keeps: c.keeps[input]})
	}
	return all
}
