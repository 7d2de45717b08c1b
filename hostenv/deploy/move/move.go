package move

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// A Mover is [deploy.Mover].
type Mover struct {
	options      Options
	environments map[string]plan.Environment
	nodes        map[string]string // the public name of each
	cache        cache
}

var _ deploy.Mover = (*Mover)(nil)

// New returns the mover of a plan. It refuses options that the plan does not bear
// out.
func New(d plan.Document, options Options) (*Mover, error) {
	// A node that has no environment any more is among the connections alone.
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

// Prepare is [Mover.Backup] and then [Mover.Leave], unless the environment has
// older data on its new node, over which it does not restore: then it fails.
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

// Backup makes the backups of an environment on the node that its data are on
// (from is a session there), n being where it is deployed to. It returns nil
// where there is nothing to take along, and an error with all that went wrong.
//
// With IgnoreErrors it returns what could be had. Of a restore plan that lacks a
// snapshot the environment may complain when it is activated.
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
				// DNS leads there, as a wildcard may, and it never was there.
				return nil, nil
			default:
				problems = append(problems, "backup "+name+": "+told(err))
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

// isUnknownUser tells sudo's words for a user that a node does not have.
func isUnknownUser(err error) bool { return strings.Contains(err.Error(), "unknown user") }

// leave writes the restore plan, unless the environment would not restore from it
// and start with older data instead, as hostenv's modules do without an error.
func (m *Mover) leave(ctx context.Context, to deploy.Session, n deploy.Node, p deploy.Profile, moved deploy.Moved) error {
	var held []string
	for _, name := range slices.Sorted(maps.Keys(moved.Snapshots)) {
		out, err := to.Run(ctx, p.Name, nil, program, "holds", name)
		if err != nil {
			return &nodeError{"look for older data of " + p.Name, err}
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
	return m.Leave(ctx, to, p, moved)
}

// Leave writes the restore plan of an environment on its new node, whole or not
// at all: <runtimeDir>/restore/plan.json, the user's own, mode 0600.
func (m *Mover) Leave(ctx context.Context, to deploy.Session, p deploy.Profile, moved deploy.Moved) error {
	for name, id := range moved.Snapshots {
		if !plan.IsBackup(name) || !isSnapshot.MatchString(id) {
			return fmt.Errorf("write the restore plan of %s: %q is no snapshot of %q", p.Name, id, name)
		}
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
		return &nodeError{"write the restore plan of " + p.Name, err}
	}
	return nil
}

// Discard removes a restore plan that a run before left on the node, so that the
// environment does not restore what it was told to leave. That there is none is
// fine.
func (m *Mover) Discard(ctx context.Context, to deploy.Session, p deploy.Profile) error {
	if _, err := to.Run(ctx, p.Name, nil, program, "discard"); err != nil {
		return &nodeError{"remove the restore plan of " + p.Name, err}
	}
	return nil
}

// ignore reports whether an error is to be gone on from, and tells of it.
func (m *Mover) ignore(ctx context.Context, user string, err error) bool {
	if !m.options.IgnoreErrors || ctx.Err() != nil {
		return false
	}
	if m.options.Warn != nil {
		m.options.Warn(user, err)
	}
	return true
}
