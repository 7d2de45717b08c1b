package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// nodes builds nodes.<node>, a NixOS module each: for every node of
// provider.nodes, and for every other one that an environment is placed on.
func (c *computation) nodes(next state.State) map[string]any {
	byNode := map[string][]*planned{}
	for node := range c.inv.Provider.Nodes {
		byNode[node] = nil
	}
	for _, e := range c.planned {
		if e.Enable {
			byNode[e.node] = append(byNode[e.node], e)
		}
	}
	nodes := make(map[string]any, len(byNode))
	for node, environments := range byNode {
		nodes[node] = c.node(environments, next)
	}
	return nodes
}

func (c *computation) node(environments []*planned, next state.State) map[string]any {
	p := &c.inv.Provider
	groups := make(map[string]any, len(environments))
	users := make(map[string]any, len(environments))
	services := make(map[string]any, len(environments))
	hosts := map[string]any{"default": catchAll()}
	units := map[string]any{}
	for _, e := range environments {
		uid := next.Entries[e.UserName].UID
		groups[e.UserName] = map[string]any{"gid": uid}
		users[e.UserName] = map[string]any{
			"isNormalUser": true,
			"createHome":   true,
			"linger":       true,
			"uid":          uid,
			"group":        e.UserName,
			"openssh": map[string]any{"authorizedKeys": map[string]any{
				"keys": e.AuthorizedKeys,
			}},
		}
		slice := e.slice()
		services["user@"+strconv.Itoa(uid)] = map[string]any{
			"overrideStrategy": "asDropin",
			"serviceConfig":    map[string]any{"Slice": fmt.Sprintf("%s-%d.slice", slice, uid)},
		}
		if _, made := units[slice]; !made {
			limit := p.Limits.of(e.Input, e.Organisation)
			units["user-"+e.Organisation+"-"] = map[string]any{}
			units[slice+"-"] = map[string]any{}
			units[slice] = map[string]any{
				"description": e.slug() + " slice",
				"sliceConfig": map[string]any{
					"CPUAccounting": "yes", "CPUQuota": limit.CPUQuota,
					"MemoryAccounting": "yes", "MemoryMax": limit.MemoryMax,
				},
			}
		}
		for _, v := range e.virtualHosts {
			hosts[v.name] = v.nginx(e.hosts[v.name].(map[string]any))
		}
	}
	return map[string]any{
		"security": map[string]any{"acme": map[string]any{
			"acceptTerms": p.LetsEncrypt.AcceptTerms,
			"defaults":    map[string]any{"email": p.LetsEncrypt.AdminEmail},
		}},
		"services": map[string]any{"nginx": map[string]any{"virtualHosts": hosts}},
		"systemd":  map[string]any{"services": services, "slices": units},
		"users":    map[string]any{"groups": groups, "users": users},
	}
}

// catchAll answers for every name that no environment has: nothing.
func catchAll() map[string]any {
	return map[string]any{
		"default":    true,
		"serverName": "_",
		"rejectSSL":  true,
		"locations":  map[string]any{"/": map[string]any{"return": "444"}},
	}
}

// slug is the first part of the user name, hostenv's short form of the
// project.
func (e *Environment) slug() string {
	slug, _, _ := strings.Cut(e.UserName, "-")
	return slug
}

// slice is the systemd slice of the environment's project. The hyphens make
// it a child of user-<organisation>, see systemd.slice(5).
func (e *Environment) slice() string { return "user-" + e.Organisation + "-" + e.slug() }

// limits refuses projects of one slice on one node whose limits differ.
func (c *computation) limits() {
	type place struct{ node, slice string }
	first := map[place]*planned{}
	said := map[[2]string]bool{}
	l := c.inv.Provider.Limits
	for _, e := range c.planned {
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
		if l.of(e.Input, e.Organisation) != l.of(other.Input, other.Organisation) && !said[inputs] {
			said[inputs] = true
			c.refuse(&LimitsError{Slice: at.slice, Node: at.node, Projects: slices.Sorted(slices.Values(inputs[:]))})
		}
	}
	for _, input := range slices.Sorted(maps.Keys(l.Projects)) {
		if _, ok := c.inv.Projects[input]; !ok {
			c.warn("provider.limits.projects."+quoteAttribute(input), "names no project that is planned")
		}
	}
}

// nodeChanges are the nodes that begin or cease to have environments.
func nodeChanges(prior, next state.State) []state.Change {
	before, after := liveNodes(prior), liveNodes(next)
	var changes []state.Change
	for node, n := range after {
		if before[node] == 0 {
			changes = append(changes, state.Change{Kind: state.KindNode, Key: node, Action: state.Create, Reason: state.ReasonNew, After: map[string]any{"environments": n}})
		}
	}
	for node, n := range before {
		if after[node] == 0 {
			changes = append(changes, state.Change{Kind: state.KindNode, Key: node, Action: state.Retire, Reason: state.ReasonUnused, Before: map[string]any{"environments": n}})
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
