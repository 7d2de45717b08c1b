package plan

import (
	"cmp"
	"maps"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan/checks"
)

// NodeNames returns the names of the plan's nodes, sorted.
func (d Document) NodeNames() []string { return slices.Sorted(maps.Keys(d.Nodes)) }

// Running returns the users of the environments that run on a node, sorted. A
// disabled environment runs on none.
func (d Document) Running(node string) []string {
	var users []string
	for user, e := range d.Environments {
		if e.Node == node && e.Runs() {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return users
}

// TrustedPublicKeys returns the keys that the plan's nodes trust once they are
// deployed: provider.nixSigning.trustedPublicKeys.
func (d Document) TrustedPublicKeys() []string {
	if d.NixSigning == nil {
		return nil
	}
	return d.NixSigning.TrustedPublicKeys
}

// A Move is an environment that was last deployed to another node than the plan's.
type Move struct{ User, From, To string }

// Moves returns the environments that a deploy moves to another node, sorted by
// user. It leaves out disabled environments.
func (d Document) Moves() []Move {
	var moves []Move
	for user, e := range d.Environments {
		if e.PreviousNode != "" && e.PreviousNode != e.Node && e.Runs() {
			moves = append(moves, Move{user, e.PreviousNode, e.Node})
		}
	}
	slices.SortFunc(moves, func(a, b Move) int { return cmp.Compare(a.User, b.User) })
	return moves
}

// Sources returns the locked sources of the plan, those of each environment, and for
// new ones those of each request. With them a new plan needs no call of Nix. Two
// environments of one branch may be at different commits, if one was left as it was.
func (d Document) Sources() Sources {
	sources := Sources{}
	for _, user := range slices.Sorted(maps.Keys(d.Environments)) {
		if s := d.Environments[user].Source; s != nil {
			locked := Locked{Rev: s.Rev, NarHash: s.NarHash}
			if s.LastModified != nil {
				locked.LastModified = *s.LastModified
			}
			key := sourceKey(s.Attrs)
			sources[user+key] = locked
			if known, ok := sources[key]; !ok || known.LastModified < locked.LastModified {
				sources[key] = locked
			}
		}
	}
	return sources
}

// Checks returns the checks that a deploy runs for each environment, by user. It
// leaves out disabled environments, and those whose verification is disabled.
func (d Document) Checks() map[string]checks.Spec {
	served := map[string]map[string]bool{} // by node
	specs := map[string]checks.Spec{}
	for user, e := range d.Environments {
		if e.Verification == nil || !e.Runs() {
			continue
		}
		if served[e.Node] == nil {
			served[e.Node] = servedBy(d.Nodes[e.Node].Services.Nginx.VirtualHosts, nil)
		}
		names := checks.Names{Own: servedBy(e.VirtualHosts, served[e.Node]), Node: served[e.Node], Hostname: e.Hostenv.Hostname}
		if spec, asks := checks.Read(e.Verification, names); asks {
			specs[user] = spec
		}
	}
	return specs
}

// NodeChecks returns the checks that a deploy runs for each system, by node.
func (d Document) NodeChecks() map[string]checks.Spec {
	specs := map[string]checks.Spec{}
	for node, c := range d.NodeConnections {
		if !canonjson.IsNull(c.Checks) {
			specs[node] = checks.ReadNode(c.Checks, servedBy(d.Nodes[node].Services.Nginx.VirtualHosts, nil))
		}
	}
	return specs
}

// servedBy returns the names that virtual hosts answer to, in lower case, and
// whether nginx serves each over TLS. If the node has the host as well, the node's
// value counts: the DNS gate may change it from what the environment asks.
func servedBy(hosts map[string]VirtualHost, node map[string]bool) map[string]bool {
	served := map[string]bool{}
	for host, v := range hosts {
		names := v.names(host)
		tls, known := node[names[0]]
		if !known {
			tls = v.listensForTLS()
		}
		for _, name := range names {
			served[name] = tls
		}
	}
	return served
}

// WithDeployed returns the plan after a deploy of environments, given as nodes by
// user. The new plan has the digest of the state that records the deploy. An
// environment that is now on its planned node loses its previous node.
func (d Document) WithDeployed(nodes map[string]string, digest string) Document {
	d.StateDigest = digest
	d.Environments = maps.Clone(d.Environments)
	for user, node := range nodes {
		if e, ok := d.Environments[user]; ok && e.Node == node {
			e.PreviousNode = ""
			e.Carried = e.Carried.Without("previousNode")
			d.Environments[user] = e
		}
	}
	previous := previousNodes(d.Environments)
	d.NodeConnections = maps.Clone(d.NodeConnections)
	maps.DeleteFunc(d.NodeConnections, func(node string, _ Connection) bool {
		_, own := d.Nodes[node]
		return !own && !previous[node]
	})
	return d
}

// previousNodes are the nodes that environments come from.
func previousNodes(environments map[string]Environment) map[string]bool {
	nodes := map[string]bool{}
	for _, e := range environments {
		if e.PreviousNode != "" {
			nodes[e.PreviousNode] = true
		}
	}
	return nodes
}

// WithTLS returns the plan with the TLS of virtual hosts changed, by environment
// and host. It changes both copies: the environment's and its node's.
func (d Document) WithTLS(changes map[string]map[string]TLS) Document {
	d.Environments = maps.Clone(d.Environments)
	nodes := map[string]map[string]VirtualHost{} // those that change
	for user, hosts := range changes {
		e := d.Environments[user]
		e.VirtualHosts = maps.Clone(e.VirtualHosts)
		own := nodes[e.Node]
		if own == nil {
			own = maps.Clone(d.Nodes[e.Node].Services.Nginx.VirtualHosts)
			nodes[e.Node] = own
		}
		for host, tls := range hosts {
			for _, at := range []map[string]VirtualHost{e.VirtualHosts, own} {
				if v, ok := at[host]; ok {
					at[host] = v.WithTLS(tls)
				}
			}
		}
		d.Environments[user] = e
	}
	d.Nodes = maps.Clone(d.Nodes)
	for name, hosts := range nodes {
		if node, ok := d.Nodes[name]; ok {
			node.Services.Nginx.VirtualHosts = hosts
			d.Nodes[name] = node
		}
	}
	return d
}
