package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// nodes builds nodes.<node>, a NixOS module each: for every node of
// provider.nodes, and for every other node with an environment.
func (c *computation) nodes(next state.State) map[string]Node {
	byNode := map[string][]*placed{}
	for node := range c.inv.Provider.Nodes {
		byNode[node] = nil
	}
	for _, e := range c.placed {
		if e.Enable {
			byNode[e.node] = append(byNode[e.node], e)
		}
	}
	nodes := make(map[string]Node, len(byNode))
	for node, environments := range byNode {
		nodes[node] = c.node(node, environments, next)
	}
	return nodes
}

// The parts security, systemd and users of a node's module. Only NixOS reads
// them; the document keeps them as Carried.
type (
	security struct {
		AcceptTerms *bool        `json:"acceptTerms,omitzero"`
		Defaults    acmeDefaults `json:"defaults"`
	}
	acmeDefaults struct {
		Email string `json:"email"`
	}
	systemd struct {
		Services map[string]service `json:"services,omitzero"`
		Slices   map[string]slice   `json:"slices,omitzero"`
	}
	service struct {
		OverrideStrategy string        `json:"overrideStrategy,omitzero"`
		ServiceConfig    serviceConfig `json:"serviceConfig,omitzero"`
	}
	serviceConfig struct {
		Slice string `json:"Slice,omitzero"`
	}
	slice struct {
		Description string            `json:"description,omitzero"`
		SliceConfig map[string]string `json:"sliceConfig,omitzero"`
	}
	users struct {
		Groups map[string]group `json:"groups,omitzero"`
		Users  map[string]user  `json:"users,omitzero"`
	}
	group struct {
		GID int `json:"gid,omitzero"`
	}
	user struct {
		IsNormalUser bool    `json:"isNormalUser,omitzero"`
		CreateHome   bool    `json:"createHome,omitzero"`
		Linger       bool    `json:"linger,omitzero"`
		UID          int     `json:"uid,omitzero"`
		Group        string  `json:"group,omitzero"`
		OpenSSH      openssh `json:"openssh,omitzero"`
	}
	openssh struct {
		AuthorizedKeys authorizedKeys `json:"authorizedKeys,omitzero"`
	}
	authorizedKeys struct {
		Keys []string `json:"keys"`
	}
)

func (c *computation) node(name string, environments []*placed, next state.State) Node {
	p := &c.inv.Provider
	accounts := users{Groups: make(map[string]group, len(environments)), Users: make(map[string]user, len(environments))}
	units := systemd{Services: make(map[string]service, len(environments)), Slices: map[string]slice{}}
	count := 1
	for _, e := range environments {
		count += len(e.virtualHosts)
	}
	hosts := make(map[string]VirtualHost, count)
	hosts["default"] = catchAll
	kept := c.keptSlices(name, environments)
	for _, e := range environments {
		uid := next.Entries[e.UserName].UID
		accounts.Groups[e.UserName] = group{GID: uid}
		accounts.Users[e.UserName] = user{
			IsNormalUser: true, CreateHome: true, Linger: true, UID: uid, Group: e.UserName,
			OpenSSH: openssh{authorizedKeys{e.AuthorizedKeys}},
		}
		own := e.slice()
		units.Services["user@"+strconv.Itoa(uid)] = service{
			OverrideStrategy: "asDropin",
			ServiceConfig:    serviceConfig{Slice: own + "-" + strconv.Itoa(uid) + ".slice"},
		}
		if _, made := units.Slices[own]; !made {
			limit := p.Limits.of(e.Input, e.Organisation)
			units.Slices["user-"+e.Organisation+"-"] = slice{}
			units.Slices[own+"-"] = slice{}
			units.Slices[own] = slice{
				Description: e.slug() + " slice",
				SliceConfig: map[string]string{
					"CPUAccounting": "yes", "CPUQuota": limit.CPUQuota,
					"MemoryAccounting": "yes", "MemoryMax": limit.MemoryMax,
				},
			}
			if last, ok := kept[own]; ok {
				units.Slices[own] = last
			}
		}
		for _, v := range e.virtualHosts {
			hosts[v.name] = v.door.nginx(e.hosts[v.name])
		}
	}
	acme := security{AcceptTerms: &p.LetsEncrypt.AcceptTerms, Defaults: acmeDefaults{p.LetsEncrypt.AdminEmail}}
	return Node{
		Services: Services{Nginx: Nginx{VirtualHosts: hosts}},
		Carried: Carried{
			{Name: "security", Value: canonjson.Marshal(map[string]security{"acme": acme})},
			{Name: "systemd", Value: canonjson.Marshal(units)},
			{Name: "users", Value: canonjson.Marshal(accounts)},
		},
	}
}

// catchAll closes the connection of a request for a name that no environment has.
var catchAll = VirtualHost{
	ServerName: "_",
	Carried: Carried{
		{Name: "default", Value: jsontext.Value("true")},
		{Name: "locations", Value: jsontext.Value(`{"/":{"return":"444"}}`)},
		{Name: "rejectSSL", Value: jsontext.Value("true")},
	},
}

// slug is the first part of the user name, hostenv's short form of the
// project.
func (e *EvaluatedEnvironment) slug() string {
	slug, _, _ := strings.Cut(e.UserName, "-")
	return slug
}

// slice is the systemd slice of the environment's project. The hyphens make
// it a child of user-<organisation>, see systemd.slice(5).
func (e *EvaluatedEnvironment) slice() string { return "user-" + e.Organisation + "-" + e.slug() }

// limits refuses projects of one slice on one node whose limits differ.
func (c *computation) limits() {
	type place struct{ node, slice string }
	first := map[place]*placed{}
	reported := map[[2]string]bool{}
	l := c.inv.Provider.Limits
	for _, e := range c.placed {
		if !e.Enable {
			continue
		}
		at := place{e.node, e.slice()}
		other, ok := first[at]
		if !ok {
			first[at] = e
			continue
		}
		inputs := [2]string{other.Input, e.Input}
		differ := l.of(e.Input, e.Organisation).Slice != l.of(other.Input, other.Organisation).Slice
		planned := !c.staying.unselected(e) || !c.staying.unselected(other)
		if differ && planned && !reported[inputs] {
			reported[inputs] = true
			slices.Sort(inputs[:])
			err := problem.New("", fmt.Sprintf("%s and %s share the slice %s on %s and have different limits", inputs[0], inputs[1], at.slice, at.node),
				"hostenv names a slice after the organisation and the first 11 characters of the project; give both projects the same provider.limits, or place them on different nodes")
			c.refuseBoth(err, other, e)
		}
	}
	for _, input := range slices.Sorted(maps.Keys(l.Projects)) {
		if !c.planned(func(planned, _ string) bool { return planned == input }) {
			c.warn("provider.limits.projects."+quoteAttribute(input), "names no project that is planned")
		}
	}
}

// StateChanges returns the changes from one state to another, those of nodes as
// well, in the order of [state.CompareChanges].
func StateChanges(before, after state.State) []state.Change {
	changes := append(state.Compare(before, after), nodeChanges(before, after)...)
	slices.SortFunc(changes, state.CompareChanges)
	return changes
}

// nodeChanges returns the nodes that get their first environment or lose their
// last.
func nodeChanges(prior, next state.State) []state.Change {
	before, after := liveNodes(prior), liveNodes(next)
	var changes []state.Change
	for node, n := range after {
		if before[node] == 0 {
			changes = append(changes, state.Change{Kind: state.KindNode, Key: node, Action: state.Create, Reason: state.ReasonNew, After: state.Fields{"environments": n}})
		}
	}
	for node, n := range before {
		if after[node] == 0 {
			changes = append(changes, state.Change{Kind: state.KindNode, Key: node, Action: state.Retire, Reason: state.ReasonUnused, Before: state.Fields{"environments": n}})
		}
	}
	return changes
}

// liveNodes counts the live environments of each node.
func liveNodes(s state.State) map[string]int {
	nodes := map[string]int{}
	for _, e := range s.Entries {
		if !e.Retired && e.Node != "" {
			nodes[e.Node]++
		}
	}
	return nodes
}
