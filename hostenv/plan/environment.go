package plan

import (
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// environment builds environments.<userName>: the evaluated environment
// untouched, with what the plan knows beside it.
func (c *computation) environment(e *planned, entry state.Entry) map[string]any {
	v := make(map[string]any, len(e.fields)+8)
	for name, field := range e.fields {
		v[name] = field
	}
	v["virtualHosts"] = e.hosts
	v["node"] = e.node
	v["placement"] = e.placement
	v["uid"] = entry.UID
	v["authorizedKeys"] = e.AuthorizedKeys
	v["repo"] = e.repo()
	// What the environment itself says of these is not believed.
	delete(v, "previousNode")
	if entry.DeployedNode != "" && entry.DeployedNode != e.node {
		v["previousNode"] = entry.DeployedNode
	}
	delete(v, "formerNames")
	if len(entry.FormerNames) > 0 {
		v["formerNames"] = entry.FormerNames
	}
	if source, ok := c.source(e); ok {
		v["source"] = source
	}
	return v
}
