package plan

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan/checks"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// The reasons of warnings about environments.
const (
	// WarnMoveWithoutData: the environment moves to another node without its data.
	WarnMoveWithoutData = "move-without-data"
	// WarnMoveFromUnknownNode: the environment was deployed to a node that the
	// provider no longer lists, so a deploy cannot fetch its data from there.
	WarnMoveFromUnknownNode = "move-from-unknown-node"
	// WarnUnreadableCheck: a check of the environment's deploymentVerification
	// cannot be read, and so does not pass.
	WarnUnreadableCheck = "unreadable-check"
)

// isBackup matches names that may be part of a unit's and a program's name. The
// same pattern is in nix/modules: hostenv-move.sh and sudo.nix.
var isBackup = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$`)

// IsBackup reports whether a name can be that of a backup.
func IsBackup(name string) bool { return isBackup.MatchString(name) }

// migrations refuses names that a backup cannot have.
func (r *reader) migrations(where string, fields, hostenv canonjson.Object) {
	const remedy = "name it with letters, digits, dots, hyphens and underscores in services.restic.backups"
	at, v := "migrations", fields.Get("migrations")
	if canonjson.IsNull(v) {
		at, v = "hostenv.migrations", hostenv.Get("migrations")
	}
	list, ok := canonjson.ListOf(v)
	if !ok && !canonjson.IsNull(v) {
		r.remedied(where, "", remedy, "%s is %s, not a list", at, canonjson.KindOf(v))
	}
	for _, v := range list {
		if name, _ := canonjson.Text(v); !IsBackup(name) {
			r.remedied(where, "", remedy, "%s holds %s, which is no name of a backup", at, v)
		}
	}
}

// connections returns the connections of the plan's nodes and of the previous
// nodes of environments. If the provider lists its nodes, a previous node that is
// not in the list is gone, and gets no connection.
func (c *computation) connections(nodes map[string]Node, environments map[string]Environment) map[string]Connection {
	p := &c.inv.Provider
	connections := make(map[string]Connection, len(nodes))
	for node := range nodes {
		connections[node] = p.connection(node)
	}
	if len(p.Nodes) == 0 {
		for node := range previousNodes(environments) {
			connections[node] = p.connection(node)
		}
	}
	return connections
}

// warnEnvironments warns of environments that move without their data, and of
// checks that cannot be read.
func (c *computation) warnEnvironments(document Document) {
	warn := func(user, reason, hint, format string, args ...any) {
		c.warnings = append(c.warnings, state.Warning{Subject: user, Reason: reason, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	for _, m := range document.Moves() {
		_, known := document.NodeConnections[m.From]
		switch {
		case len(document.Environments[m.User].Backups()) == 0:
			warn(m.User, WarnMoveWithoutData,
				fmt.Sprintf("if it has data, keep it on %[1]s for now (provider.placement), let the project have a backup whose name ends in -migrate (services.drupal.backups.enable or services.php-app.backups.enable = true makes one), deploy %[1]s, and move it then; or copy its data by hand", m.From),
				"moves from %s to %s without its data, because it has no backup whose name ends in -migrate", m.From, m.To)
		case !known:
			warn(m.User, WarnMoveFromUnknownNode,
				fmt.Sprintf("put provider.nodes.%s back until the move is deployed; or name the node that has the data: mage deploy -migrationSource=%s=NODE", quoteAttribute(m.From), m.User),
				"moves from %s to %s, and provider.nodes does not have %s: its data cannot be fetched", m.From, m.To, m.From)
		}
	}
	specs := document.Checks()
	for _, user := range slices.Sorted(maps.Keys(specs)) {
		for _, p := range specs[user].Problems {
			warn(user, WarnUnreadableCheck, checks.Remedy, "%s; the check cannot run, and so the deploy of the environment does not pass", p)
		}
	}
}
