package deploy

import (
	"context"
	"errors"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Mover moves the data of environments between nodes.
type Mover interface {
	// Prepare makes backups on the old node, and writes a restore plan on the new
	// node, from which the environment restores when it is activated. It returns
	// nil if there is no data to move.
	//
	// from is nil if the old node is unreachable. Then Prepare writes nothing, and
	// nil without an error means that the environment moves without its data.
	Prepare(ctx context.Context, from, to Session, n Node, p Profile) (*Moved, error)
	// From returns the other node that has an environment's data, "" if there is
	// none.
	From(ctx context.Context, n Node, p Profile) (string, error)
	// Discard removes a restore plan that an earlier run left on the node.
	Discard(ctx context.Context, to Session, p Profile) error
}

// Moved names the snapshots that the environment will restore.
type Moved struct {
	From      string            `json:"from"`
	Snapshots map[string]string `json:"snapshots"` // of restic, by the name of the backup
}

// move moves an environment's data, or makes sure that it restores none. done is
// true if the profile must not be activated.
func (r *run) move(ctx context.Context, p *profileRun) (done bool, err error) {
	if r.Mover == nil || p.IsSystem() {
		return false, nil
	}
	to, err := p.on.open(ctx, r)
	if err != nil {
		return true, r.lostBefore(ctx, p, err)
	}
	if p.from == "" {
		return false, r.discard(ctx, p, to)
	}
	if err := r.set(p, Event{State: StateMoving}); err != nil {
		return true, err
	}
	var moved *Moved
	reached := false
	err = r.all[p.from].aside(ctx, r, func(old Session) (err error) {
		reached = true
		moved, err = r.Mover.Prepare(ctx, old, to, p.on.Node, p.Profile)
		return err
	})
	if !reached && r.without(ctx, p, err) {
		err = nil
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return true, r.skip(p, ReasonInterrupted)
	case err != nil:
		return true, r.fail(p, ReasonMove, p.active(), err, "")
	case moved == nil:
		return false, r.discard(ctx, p, to)
	}
	return false, r.Journal.Append(Event{Type: TypeMove, Node: p.on.Name, Profile: p.Name, Moved: moved})
}

// discard makes sure that an environment without data to move restores none: an
// earlier run may have left a restore plan. A failure is only a warning: it is
// normal on a node to which no environment ever moved.
func (r *run) discard(ctx context.Context, p *profileRun, to Session) error {
	err := r.Mover.Discard(ctx, to, p.Profile)
	if err == nil {
		return nil
	}
	return r.Journal.Append(Event{Type: TypeFinding, Node: p.on.Name, Profile: p.Name, Finding: finding(
		Warning, FindingMove, problem.Hint(err), "environment %s: check that no old restore plan is left on %s: %v", p.Name, p.on.Name, err)})
}

// without reports whether err is that the old node is unreachable, and the
// environment moves without its data.
func (r *run) without(ctx context.Context, p *profileRun, err error) bool {
	if !errors.As(err, new(*UnreachableError)) {
		return false
	}
	moved, err := r.Mover.Prepare(ctx, nil, nil, p.on.Node, p.Profile)
	return err == nil && moved == nil
}
