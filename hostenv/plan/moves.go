package plan

import (
	"cmp"
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
	// WarnMoveWithoutData: it goes to another node, and its data stay.
	WarnMoveWithoutData = "move-without-data"
	// WarnMoveFromUnknownNode: it was deployed to a node that the provider no
	// longer lists, and its data cannot be fetched from there.
	WarnMoveFromUnknownNode = "move-from-unknown-node"
	// WarnUnreadableCheck: a check of its deploymentVerification cannot be asked,
	// and so does not pass.
	WarnUnreadableCheck = "unreadable-check"
)

// Move is an environment that was deployed to another node than the plan's.
type Move struct{ User, From, To string }

// Moves returns the environments that a deploy takes from one node to another,
// by user. A disabled one goes nowhere.
func (d Document) Moves() []Move {
	var moves []Move
	environments, _ := d.value["environments"].(map[string]any)
	for user, v := range environments {
		environment, _ := v.(map[string]any)
		from, _ := environment["previousNode"].(string)
		to, _ := environment["node"].(string)
		if from != "" && from != to && environment["enable"] != false {
			moves = append(moves, Move{user, from, to})
		}
	}
	slices.SortFunc(moves, func(a, b Move) int { return cmp.Compare(a.User, b.User) })
	return moves
}

// isBackup holds a name to what may be part of a unit's and a program's name.
// The same stands in nix/modules: hostenv-move.sh and sudo.nix.
var isBackup = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$`)

// IsBackup reports whether a name can be that of a backup.
func IsBackup(name string) bool { return isBackup.MatchString(name) }

// Migrations returns the backups that hold what an environment of a plan takes
// along when it moves, each once, and what is wrong with its list. hostenv has
// them beside its own values, or among them.
func Migrations(environment map[string]any) (names, problems []string) {
	where, list := "migrations", environment["migrations"]
	if list == nil {
		hostenv, _ := environment["hostenv"].(map[string]any)
		where, list = "hostenv.migrations", hostenv["migrations"]
	}
	values, ok := list.([]any)
	if list != nil && !ok {
		return nil, []string{fmt.Sprintf("%s is %s, not a list", where, canonjson.Kind(list))}
	}
	for _, v := range values {
		name, ok := v.(string)
		if !ok || !IsBackup(name) {
			problems = append(problems, fmt.Sprintf("%s holds %s, which is no name of a backup", where, jsonOf(v)))
		} else if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, problems
}

func jsonOf(v any) string {
	text := canonjson.Encode(v)
	return string(text[:len(text)-1]) // without the line break
}

// connections says how nodes are reached: those of the plan, and those that
// environments come from. Where the provider lists its nodes, one that it does
// not list is gone.
func (c *computation) connections(nodes, environments map[string]any) map[string]any {
	p := &c.inv.Provider
	connections := make(map[string]any, len(nodes))
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

func previousNodes(environments map[string]any) map[string]bool {
	nodes := map[string]bool{}
	for _, v := range environments {
		environment, _ := v.(map[string]any)
		if node, _ := environment["previousNode"].(string); node != "" {
			nodes[node] = true
		}
	}
	return nodes
}

// connected drops the connections to nodes that are not the plan's and that no
// environment comes from any more.
func connected(value map[string]any) {
	connections, ok := value["nodeConnections"].(map[string]any)
	if !ok {
		return
	}
	nodes, _ := value["nodes"].(map[string]any)
	environments, _ := value["environments"].(map[string]any)
	previous := previousNodes(environments)
	connections = maps.Clone(connections)
	maps.DeleteFunc(connections, func(node string, _ any) bool { return nodes[node] == nil && !previous[node] })
	value["nodeConnections"] = connections
}

// warnEnvironments says which environments leave their data behind, and which
// checks cannot be asked.
func (c *computation) warnEnvironments(document map[string]any) {
	warn := func(user, reason, hint, format string, args ...any) {
		c.warnings = append(c.warnings, state.Warning{Subject: user, Reason: reason, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	connections, _ := document["nodeConnections"].(map[string]any)
	environments, _ := document["environments"].(map[string]any)
	for _, m := range (Document{document}).Moves() {
		names, _ := Migrations(environments[m.User].(map[string]any))
		switch {
		case len(names) == 0:
			warn(m.User, WarnMoveWithoutData,
				fmt.Sprintf("if it has data, keep it on %[1]s for now (provider.placement), let the project have a backup whose name ends in -migrate (services.drupal.backups.enable or services.php-app.backups.enable = true makes one), deploy %[1]s, and move it then; or copy its data by hand", m.From),
				"moves from %s to %s and takes no data along, for it has no backup whose name ends in -migrate", m.From, m.To)
		case connections[m.From] == nil:
			warn(m.User, WarnMoveFromUnknownNode,
				fmt.Sprintf("put provider.nodes.%s back until the move is deployed; or name the node that has the data: mage deploy -migrationSource=%s=NODE", quoteAttribute(m.From), m.User),
				"moves from %s to %s, and provider.nodes does not have %s: its data cannot be fetched", m.From, m.To, m.From)
		}
	}
	specs := checks.Read(document)
	for _, user := range slices.Sorted(maps.Keys(specs)) {
		for _, p := range specs[user].Problems {
			warn(user, WarnUnreadableCheck, checks.Remedy, "%s; it cannot be asked, and so the deploy of the environment does not pass", p)
		}
	}
}
