package deploy

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/sync/errgroup"
)

// node brings one node to its planned paths: it copies what was built, and activates the
// system and then the environments, which do not depend on each other, at once.
func (r *run) node(ctx, gentle context.Context, n *nodeRun) error {
	if err := r.judgeOwed(ctx, n); err != nil {
		return err
	}
	r.beginBaselines(gentle, n)
	there, err := r.push(gentle, n)
	if err != nil || r.mode != Deploy {
		return err
	}
	if left, err := r.keep(ctx, n, there); err != nil || !left {
		return err
	}
	held := n.systemFailed()
	if i := slices.IndexFunc(there, func(p *profileRun) bool { return p.IsSystem() }); i >= 0 && held == "" {
		if held, err = r.activateSystem(ctx, there[i]); err != nil {
			return err
		}
		there = slices.Delete(there, i, i+1)
	}
	return r.activateEnvironments(ctx, n, there, held)
}

// activateSystem returns why no environment of the node may be activated after it.
func (r *run) activateSystem(ctx context.Context, p *profileRun) (held Reason, err error) {
	if !r.stopping(ctx) {
		if held := r.awaitMoves(ctx, p.on); held != "" {
			return held, r.skip(p, held)
		}
	}
	if err := r.activate(ctx, p); err != nil {
		return "", err
	}
	if r.stopping(ctx) {
		return ReasonInterrupted, nil // the system may be undecided
	}
	return p.on.systemFailed(), nil
}

// activateEnvironments activates environments of a node, as many at once as the node
// takes, unless they are held.
func (r *run) activateEnvironments(ctx context.Context, n *nodeRun, list []*profileRun, held Reason) error {
	if held == "" && len(list) > 0 && !r.stopping(ctx) {
		// The new system may have made the users with other UIDs, and the last
		// observation may be old.
		if err := n.observe(ctx, r); err != nil {
			for _, p := range list {
				if err := r.lostBefore(ctx, p, err); err != nil {
					return err
				}
			}
			return nil
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(cmp.Or(n.Activations, activations))
	for _, p := range list {
		group.Go(func() error {
			if held != "" {
				return r.skip(p, held)
			}
			return r.activate(ctx, p)
		})
	}
	return group.Wait()
}

// systemFailed returns why no environment of the node may be activated, "" if there
// is no reason.
func (n *nodeRun) systemFailed() Reason {
	if system := n.profile(SystemProfile); system != nil && system.isSettled() && !system.good.Load() {
		return ReasonSystemFailed
	}
	return ""
}
