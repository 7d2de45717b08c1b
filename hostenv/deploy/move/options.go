package move

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// Options say where data come from, and whose are left.
type Options struct {
	// Skip are environments, by user, whose data stay where they are.
	Skip []string
	// Sources are nodes that data are on, by the environment's user, whatever the
	// plan and DNS say.
	Sources map[string]string
	// IgnoreErrors goes on without the data that cannot be taken along. Each
	// error goes to Warn instead, which may be called for several at once.
	IgnoreErrors bool
	Warn         func(user string, err error)
	// Deployed are the nodes that environments were deployed to last, by user, as
	// the state has them: only of an environment that is not among them is DNS
	// asked.
	Deployed map[string]string
	// Resolver asks DNS; nil is net.DefaultResolver.
	Resolver Resolver
}

// A Resolver looks up the addresses of a host name. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// An environment is what is known of one from the plan.
type environment struct {
	node         string
	previous     string // previousNode, "" for none
	migrations   []string
	hostname     string
	virtualHosts []string // sorted
}

// read takes from a plan what is needed, and from the options what the plan does
// not bear out. Every problem is in the one error.
func read(document plan.Document, o Options) (environments map[string]environment, nodes map[string]string, err error) {
	value := document.Value()
	zone, _ := value["hostenvHostname"].(string)
	nodes = map[string]string{}
	// One that has no environment any more may only be among the connections.
	for _, of := range []string{"nodes", "nodeConnections"} {
		members, _ := value[of].(map[string]any)
		for node := range members {
			nodes[node] = node + "." + zone
		}
	}
	var problems []string
	environments = map[string]environment{}
	all, _ := value["environments"].(map[string]any)
	for _, user := range slices.Sorted(maps.Keys(all)) {
		fields, _ := all[user].(map[string]any)
		identity, _ := fields["hostenv"].(map[string]any)
		e := environment{}
		e.node, _ = fields["node"].(string)
		e.previous, _ = fields["previousNode"].(string)
		e.hostname, _ = identity["hostname"].(string)
		hosts, _ := fields["virtualHosts"].(map[string]any)
		e.virtualHosts = slices.Sorted(maps.Keys(hosts))
		var wrong []string
		e.migrations, wrong = plan.Migrations(fields)
		for _, problem := range wrong {
			problems = append(problems, "environments."+user+"."+problem)
		}
		environments[user] = e
	}

	for _, user := range o.Skip {
		if _, ok := environments[user]; !ok {
			problems = append(problems, fmt.Sprintf("-skipMigrations names %q, and the plan has no such environment", user))
		}
	}
	for _, user := range slices.Sorted(maps.Keys(o.Sources)) {
		node := o.Sources[user]
		e, ok := environments[user]
		switch {
		case !ok:
			problems = append(problems, fmt.Sprintf("-migrationSource names %q, and the plan has no such environment", user))
		case nodes[node] == "":
			problems = append(problems, fmt.Sprintf("-migrationSource=%s=%s: the plan has no such node; it has %s", user, node, strings.Join(slices.Sorted(maps.Keys(nodes)), ", ")))
		case node == e.node:
			problems = append(problems, fmt.Sprintf("-migrationSource=%s=%s: that is the node that the environment is deployed to", user, node))
		case len(e.migrations) == 0:
			problems = append(problems, fmt.Sprintf("-migrationSource=%s=%s: the environment names no backups (its migrations in the plan)", user, node))
		case slices.Contains(o.Skip, user):
			problems = append(problems, fmt.Sprintf("-migrationSource=%s=%s: -skipMigrations names it as well", user, node))
		}
	}
	if len(problems) > 0 {
		return nil, nil, &InvalidError{problems}
	}
	return environments, nodes, nil
}
