package move

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Options say which data move, and from which node.
type Options struct {
	// Skip are the users of environments whose data do not move.
	Skip []string
	// Sources are the nodes that have the data, by the environment's user. They
	// take precedence over the plan and DNS.
	Sources map[string]string
	// With IgnoreErrors a deploy goes on without the data that cannot be moved.
	// Each error goes to Warn instead, which must be safe for concurrent use.
	IgnoreErrors bool
	Warn         func(user string, err error)
	// Deployed are the nodes that environments were last deployed to, by user, from
	// the state. DNS is asked only about an environment that is not among them.
	Deployed map[string]string
	// Resolver asks DNS; nil is net.DefaultResolver.
	Resolver Resolver
}

// A Resolver looks up the addresses of a host name. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// check refuses invalid names of backups in the plan, and options about
// environments and nodes that the plan does not have.
func (o Options) check(d plan.Document, nodes map[string]string) error {
	var errs problem.List
	for _, user := range slices.Sorted(maps.Keys(d.Environments)) {
		for _, name := range d.Environments[user].Backups() {
			if !plan.IsBackup(name) {
				errs.Addf("plan.environments."+user+".migrations", "run `mage plan`", "holds %q, which is not the name of a backup", name)
			}
		}
	}
	const known = "run `mage state:list` for the environments"
	for _, user := range o.Skip {
		if _, ok := d.Environments[user]; !ok {
			errs.Addf("-skipMigrations="+user, known, "is not an environment of the plan")
		}
	}
	for _, user := range slices.Sorted(maps.Keys(o.Sources)) {
		node := o.Sources[user]
		option := "-migrationSource=" + user + "=" + node
		e, ok := d.Environments[user]
		switch {
		case !ok:
			errs.Addf(option, known, "is not an environment of the plan")
		case nodes[node] == "":
			errs.Addf(option, "the nodes are "+strings.Join(slices.Sorted(maps.Keys(nodes)), ", "), "is not a node of the plan")
		case node == e.Node:
			errs.Addf(option, "name the node that has the data now", "names the node that the environment is deployed to")
		case len(e.Backups()) == 0:
			errs.Addf(option, "omit it: the project has no backup whose name ends in -migrate", "names an environment without backups (its migrations in the plan)")
		case slices.Contains(o.Skip, user):
			errs.Addf(option, "use only one of the two", "contradicts -skipMigrations=%s", user)
		}
	}
	return errs.Err()
}
