package plan

import (
	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// decided are the members of an environment that the plan decides. It ignores the
// environment's own values of them.
var decided = []string{
	"authorizedKeys", "formerNames", "node", "placement", "previousNode", "repo", "source", "uid", "virtualHosts",
}

// environment builds environments.<userName>: the evaluated environment, with the
// members that the plan decides.
func (c *computation) environment(e *placed, entry state.Entry) Environment {
	if e.last != nil {
		return e.kept(entry)
	}
	var v Environment
	canonjson.Fill(e.fields, &v, decided...)
	v.Hostenv.EnvironmentName = e.Name // nodes read it, and a project may leave it out
	v.VirtualHosts = e.hosts
	v.Node = e.node
	v.Placement = e.placement
	v.UID = entry.UID
	v.AuthorizedKeys = e.AuthorizedKeys
	v.Repo = e.repo()
	if entry.DeployedNode != e.node {
		v.PreviousNode = entry.DeployedNode
	}
	if len(entry.FormerNames) > 0 {
		v.FormerNames = entry.FormerNames
	}
	v.Source = c.source(e)
	return v
}
