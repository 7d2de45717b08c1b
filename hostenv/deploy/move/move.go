package move

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// A Mover implements [deploy.Mover].
type Mover struct {
	options      Options
	environments map[string]plan.Environment
	nodes        map[string]string // public names by node
	cache        cache
}

var _ deploy.Mover = (*Mover)(nil)

// New returns the mover of a plan. It refuses options that contradict the plan.
func New(d plan.Document, options Options) (*Mover, error) {
	// A node that no longer has an environment is only in NodeConnections.
	nodes := map[string]string{}
	for node := range d.Nodes {
		nodes[node] = node + "." + d.HostenvHostname
	}
	for node := range d.NodeConnections {
		nodes[node] = node + "." + d.HostenvHostname
	}
	if err := options.check(d, nodes); err != nil {
		return nil, err
	}
	if options.Resolver == nil {
		options.Resolver = net.DefaultResolver
	}
	return &Mover{options: options, environments: d.Environments, nodes: nodes, cache: cache{answers: map[string][]netip.Addr{}}}, nil
}

// Prepare calls [Mover.Backup], and then writes the restore plan on the new node. It
// fails if the environment has older data there, because it would not restore over
// them.
func (m *Mover) Prepare(ctx context.Context, from, to deploy.Session, n deploy.Node, p deploy.Profile) (*deploy.Moved, error) {
	moved, err := m.Backup(ctx, from, n, p)
	if err != nil || moved == nil {
		return nil, err
	}
	if err := m.leave(ctx, to, n, p, *moved); err != nil {
		if m.ignore(ctx, p.Name, err) {
			return nil, nil
		}
		return nil, err
	}
	return moved, nil
}

// Backup makes the backups of an environment on the node that has its data. from is
// a session on that node, and n is the node that the environment is deployed to. It
// returns nil if there are no data to move. Its error holds everything that failed.
//
// With IgnoreErrors it returns the snapshots that it has. If a snapshot is missing
// from the restore plan, the environment's activation may report an error.
func (m *Mover) Backup(ctx context.Context, from deploy.Session, n deploy.Node, p deploy.Profile) (*deploy.Moved, error) {
	source, guessed, err := m.from(ctx, n, p)
	if err != nil || source == "" {
		if err != nil && m.ignore(ctx, p.Name, err) {
			return nil, nil
		}
		return nil, err
	}
	var problems []string
	moved := &deploy.Moved{From: source, Snapshots: map[string]string{}}
	if from == nil {
		problems = []string{"the node cannot be reached"}
	} else {
		for _, name := range m.environments[p.Name].Backups() {
			id, err := oldNode{from, p.Name}.snapshot(ctx, name)
			switch {
			case ctx.Err() != nil:
				return nil, ctx.Err()
			case err == nil:
				moved.Snapshots[name] = id
			case guessed && isUnknownUser(err):
				// DNS leads to this node, perhaps by a wildcard, but the
				// environment has never been on it.
				return nil, nil
			default:
				problems = append(problems, "backup "+name+": "+shown(err))
			}
		}
	}
	if len(problems) > 0 {
		if failed := backupError(p.Name, source, problems); !m.ignore(ctx, p.Name, failed) {
			return nil, failed
		}
	}
	if len(moved.Snapshots) == 0 {
		return nil, nil
	}
	return moved, nil
}

// isUnknownUser reports whether an error has sudo's words for a user that does not
// exist.
func isUnknownUser(err error) bool { return strings.Contains(err.Error(), "unknown user") }

// leave writes the restore plan, atomically: <runtimeDir>/restore/plan.json, which
// the user owns, with mode 0600. It fails if the new node has older data of the
// environment: hostenv's modules would start with these, without an error, and
// would not restore.
func (m *Mover) leave(ctx context.Context, to deploy.Session, n deploy.Node, p deploy.Profile, moved deploy.Moved) error {
	var held []string
	for _, name := range slices.Sorted(maps.Keys(moved.Snapshots)) {
		out, err := to.Run(ctx, p.Name, nil, program, "holds", name)
		if err != nil {
			return nodeError("look for older data of "+p.Name, err)
		}
		for line := range strings.Lines(string(out)) {
			if path := strings.TrimSuffix(line, "\n"); !slices.Contains(held, path) {
				held = append(held, path)
			}
		}
	}
	if len(held) > 0 {
		return heldError(p.Name, moved.From, n.Name, held)
	}
	text, err := json.Marshal(struct {
		SourceNode string            `json:"sourceNode"`
		Snapshots  map[string]string `json:"snapshots"`
	}{moved.From, moved.Snapshots})
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if _, err := to.Run(ctx, p.Name, text, program, "plan", strconv.Itoa(len(text))); err != nil {
		return nodeError("write the restore plan of "+p.Name, err)
	}
	return nil
}

// Discard removes a restore plan that an earlier run left on the node, so that the
// environment does not restore data that this run is asked to skip. A restore plan
// that does not exist is not an error.
func (m *Mover) Discard(ctx context.Context, to deploy.Session, p deploy.Profile) error {
	if _, err := to.Run(ctx, p.Name, nil, program, "discard"); err != nil {
		return nodeError("remove the restore plan of "+p.Name, err)
	}
	return nil
}

// ignore reports whether to go on after an error. If so, it passes the error to
// Warn.
func (m *Mover) ignore(ctx context.Context, user string, err error) bool {
	if !m.options.IgnoreErrors || ctx.Err() != nil {
		return false
	}
	if m.options.Warn != nil {
		m.options.Warn(user, err)
	}
	return true
}
