package deploy

import (
	"context"
	"errors"
	"fmt"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Mover brings an environment's data from the node that it was on.
type Mover interface {
	// Prepare backs up on the old node, and writes to the new one the plan by
	// which the environment restores when it is activated. It returns nil if there
	// is no data to bring.
	//
	// from is nil if the old node is out of reach. Prepare writes nothing then, and
	// nil without an error means that the environment goes without its data.
	Prepare(ctx context.Context, from, to Session, n Node, p Profile) (*Moved, error)
	// From returns the node that an environment's data is on, "" if there is none
	// but its own.
	From(ctx context.Context, n Node, p Profile) (string, error)
	// Discard removes a restore plan that an earlier run left on the node.
	Discard(ctx context.Context, to Session, p Profile) error
}

// Moved says what the environment will restore.
type Moved struct {
	From      string            `json:"from"`
	Snapshots map[string]string `json:"snapshots"` // restic's, by the name of the backup
}

// move brings an environment's data along, or makes sure that none is restored.
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
	old, err := r.all[p.from].open(ctx, r)
	var moved *Moved
	switch {
	case err == nil:
		moved, err = r.Mover.Prepare(ctx, old, to, p.on.Node, p.Profile)
	case r.without(ctx, p, err):
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

// discard makes sure that an environment which brings no data restores none: an
// earlier run may have left a plan for it. A failure, as on a node to which
// nothing was ever moved, is only a warning.
func (r *run) discard(ctx context.Context, p *profileRun, to Session) error {
	err := r.Mover.Discard(ctx, to, p.Profile)
	if err == nil {
		return nil
	}
	return r.Journal.Append(Event{Type: TypeFinding, Node: p.on.Name, Profile: p.Name, Finding: &Finding{
		Level: Warning, Code: FindingMove, Message: fmt.Sprintf("environment %s: check that no old restore plan is left on %s: %v", p.Name, p.on.Name, err), Hint: problem.Hint(err)}})
}

// without reports whether an environment goes without its data, where err is that
// its old node is out of reach.
func (r *run) without(ctx context.Context, p *profileRun, err error) bool {
	if !errors.As(err, new(*UnreachableError)) {
		return false
	}
	moved, err := r.Mover.Prepare(ctx, nil, nil, p.on.Node, p.Profile)
	return err == nil && moved == nil
}
