package deploy

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/sync/errgroup"
)

// node brings one node to its planned paths: it copies what is built, and activates what
// has arrived: the system, and then the environments, which do not depend on each other,
// at once.
func (r *run) node(ctx, gentle context.Context, n *nodeRun) error {
	if r.mode == Preview {
		return r.preview(gentle, n)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.deliver(gentle, n) })
	group.Go(func() error {
		if err := r.judgeOwed(ctx, n); err != nil {
			return err
		}
		return r.activateAll(ctx, n)
	})
	return group.Wait()
}

// activateAll activates the pending profiles of a node, a wave after the other.
func (r *run) activateAll(ctx context.Context, n *nodeRun) (err error) {
	list := n.pending()
	if len(list) == 0 {
		_, err := r.keep(ctx, n, nil)
		return err
	}
	x := &arrival{run: r, n: n}
	held := n.systemFailed()
	for _, list := range byWave(list) {
		if over := r.turn(ctx, list[0].wave); over != nil {
			if err := r.giveUp(list, over); err != nil {
				return err
			}
			continue
		}
		if list[0].IsSystem() && held == "" {
			there, _ := n.arrived(list[:1])
			if there, err = x.keep(ctx, there); err != nil {
				return err
			}
			if len(there) > 0 {
				held, err = r.activateSystem(ctx, there[0])
			} else if held = n.systemFailed(); r.stopping(ctx) {
				held = ReasonInterrupted
			}
			if err != nil {
				return err
			}
			list = list[1:]
		}
		if err := x.activateEnvironments(ctx, list, held); err != nil {
			return err
		}
	}
	return nil
}

// An arrival is what a run does with the profiles that arrive on a node.
type arrival struct {
	*run
	n    *nodeRun
	kept bool
}

// keep makes the node record the plan when its first profile changes. It returns the
// profiles that may be activated.
func (x *arrival) keep(ctx context.Context, there []*profileRun) ([]*profileRun, error) {
	if x.kept || len(there) == 0 {
		return there, nil
	}
	// All that have arrived, because a node that refuses the plan refuses it for all.
	kept, err := x.run.keep(ctx, x.n, slices.DeleteFunc(x.n.pending(), func(p *profileRun) bool { return p.isAwaited() || p.isSettled() }))
	if x.kept = kept; !kept {
		there = nil
	}
	return there, err
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

// activateEnvironments activates environments of the node as they arrive, as many at once
// as the node takes, unless they are held.
func (x *arrival) activateEnvironments(ctx context.Context, list []*profileRun, held Reason) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(cmp.Or(x.n.Activations, activations))
	for len(list) > 0 {
		var there []*profileRun
		var err error
		there, list = x.n.arrived(list)
		if held == "" {
			there, err = x.ask(ctx, there)
		}
		if err != nil {
			group.Go(func() error { return err })
			break
		}
		for _, p := range there {
			group.Go(func() error {
				if held != "" {
					return x.skip(p, held)
				}
				return x.activate(ctx, p)
			})
		}
	}
	return group.Wait()
}

// ask prepares the node for environments, and observes it: a new system may have made the
// users with other UIDs, and the last observation may be old. It returns the environments
// that may be activated.
func (x *arrival) ask(ctx context.Context, there []*profileRun) ([]*profileRun, error) {
	there, err := x.keep(ctx, there)
	if err != nil || len(there) == 0 || x.stopping(ctx) {
		return there, err
	}
	failure := x.n.observe(ctx, x.run)
	if failure == nil {
		return there, nil
	}
	for _, p := range there {
		if err := x.lostBefore(ctx, p, failure); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// systemFailed returns why no environment of the node may be activated, "" if there
// is no reason.
func (n *nodeRun) systemFailed() Reason {
	if system := n.profile(SystemProfile); system != nil && system.isSettled() && !system.good.Load() {
		return ReasonSystemFailed
	}
	return ""
}
