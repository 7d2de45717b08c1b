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
	kept := false
	held := n.systemFailed()
	for _, list := range byWave(there) {
		if over := r.turn(ctx, list[0].wave); over != nil {
			if err := r.giveUp(list, over); err != nil {
				return err
			}
			continue
		}
		if !kept { // the node gets the plan when its first profile changes
			if kept, err = r.keep(ctx, n, there); err != nil || !kept {
				return err
			}
		}
		if list[0].IsSystem() && held == "" {
			if held, err = r.activateSystem(ctx, list[0]); err != nil {
				return err
			}
			list = list[1:]
		}
		if err := r.activateEnvironments(ctx, n, list, held); err != nil {
			return err
		}
	}
	if len(there) == 0 {
		_, err = r.keep(ctx, n, nil)
	}
	return err
}

// byWave returns the profiles of a node by their waves, the system first.
func byWave(list []*profileRun) [][]*profileRun {
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b *profileRun) int { return cmp.Compare(a.wave.Number, b.wave.Number) })
	return slices.Collect(func(yield func([]*profileRun) bool) {
		for len(sorted) > 0 {
			end := 1
			for end < len(sorted) && sorted[end].wave == sorted[0].wave {
				end++
			}
			if !yield(sorted[:end:end]) {
				return
			}
			sorted = sorted[end:]
		}
	})
}

// turn waits for the turn of a wave, and returns why the run gave it up.
func (r *run) turn(ctx context.Context, w *waveRun) (over error) {
	select {
	case <-w.begun:
		return w.over
	case <-r.Stop: // what follows is skipped
		return nil
	case <-ctx.Done():
		return nil
	}
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
