package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// bring builds the pending profiles of all nodes, until ctx ends: those of this
// machine with one process, so that no build waits for another's lock, and at the same
// time those of each node that builds for itself. Then it signs what it built. The
// profiles that failed have their final state.
func (r *run) bring(ctx context.Context) error {
	var here []*profileRun
	group, _ := errgroup.WithContext(ctx) // only the journal's error ends a group
	for _, n := range r.nodes {
		switch list := n.pending(); {
		case !n.reached || len(list) == 0:
		case n.RemoteBuild:
			group.Go(func() error { return r.buildOn(ctx, n, list) })
		default:
			here = append(here, list...)
		}
	}
	group.Go(func() error { return r.buildHere(ctx, here) })
	return group.Wait()
}

func (r *run) buildOn(ctx context.Context, n *nodeRun, list []*profileRun) error {
	log, err := r.log(n.Name, "_"+string(StateBuilding))
	if err != nil {
		return err
	}
	defer log.Close() // an incomplete log does not stop the run
	_, err = r.step(ctx, r.copies, list, StateBuilding, ReasonBuild, log.Name(), func() (failed map[string]error, err error) {
		if r.mode == Deploy {
			if err := r.hold(ctx, n, list, nil); err != nil {
				return nil, err
			}
		}
		err = r.again(ctx, n, func() (err error) {
			failed, err = r.Store.Build(ctx, &n.Node, profiles(list), log)
			return err
		})
		return failed, err
	})
	return err
}

func (r *run) buildHere(ctx context.Context, list []*profileRun) error {
	if len(list) == 0 {
		return nil
	}
	log, err := r.log("", "_"+string(StateBuilding))
	if err != nil {
		return err
	}
	defer log.Close()
	list, err = r.step(ctx, nil, list, StateBuilding, ReasonBuild, log.Name(), func() (map[string]error, error) {
		return r.Store.Build(ctx, nil, profiles(list), log)
	})
	if err != nil || len(list) == 0 || r.mode != Deploy {
		return err
	}
	_, err = r.step(ctx, nil, list, StateSigning, ReasonSign, log.Name(), func() (map[string]error, error) {
		return nil, r.Store.Sign(ctx, paths(list), log)
	})
	return err
}

// push copies what was built to the node, until ctx ends. It returns the profiles that
// are there.
func (r *run) push(ctx context.Context, n *nodeRun) (there []*profileRun, err error) {
	list := slices.DeleteFunc(n.pending(), (*profileRun).isSettled)
	if len(list) == 0 {
		return nil, nil
	}
	if r.mode == Preview {
		return nil, r.preview(ctx, n, list)
	}
	if !n.RemoteBuild {
		log, err := r.log(n.Name, "_"+string(StatePushing))
		if err != nil {
			return nil, err
		}
		defer log.Close()
		if list, err = r.step(ctx, r.copies, list, StatePushing, ReasonPush, log.Name(), func() (map[string]error, error) {
			return nil, r.copyTo(ctx, n, list, log)
		}); err != nil {
			return nil, err
		}
	}
	return list, r.setAll(list, StatePushed)
}

// step prepares profiles, in the state that it gives them, and returns those for which
// do succeeded: do returns the errors of profiles by their keys, and one that concerns
// all of them. It waits for a place in the pool; nil means without one.
func (r *run) step(ctx context.Context, in pool, list []*profileRun, state State, reason Reason, log string, do func() (map[string]error, error)) (left []*profileRun, err error) {
	var unwritten error // of the journal; it ends the run
	var failed map[string]error
	failure := in.use(ctx, func() error {
		if unwritten = r.setAll(list, state); unwritten != nil {
			return unwritten
		}
		var failure error
		failed, failure = do()
		return failure
	})
	if unwritten != nil {
		return nil, unwritten
	}
	switch {
	case errors.As(failure, new(*UnsignedError)):
		reason = ReasonUnsigned
	case errors.As(failure, new(*shortError)):
		reason = ReasonNoRoom
	}
	// The daemon of a node with a full disk may end the connection, and write the cause
	// only into its own log.
	if n := list[0].on; failure != nil && state == StatePushing && reason == ReasonPush && n.observe(ctx, r) == nil && n.full() {
		reason, failure = ReasonNoRoom, problem.New("", noRoom(n.Name, n.seen()).Error()+": "+failure.Error(), makeRoom)
	}
	for _, p := range list {
		switch cause := cmp.Or(failure, failed[p.Key()]); {
		case cause == nil:
			left = append(left, p)
		case r.stopping(ctx):
			err = r.skip(p, ReasonInterrupted)
		default:
			err = r.fail(p, reason, p.active(), cause, log)
		}
		if err != nil {
			return nil, err
		}
	}
	return left, nil
}

// preview records what the closures change; the profiles stay pending.
func (r *run) preview(ctx context.Context, n *nodeRun, list []*profileRun) error {
	var pairs []Pair
	if err := r.previewRoom(ctx, n, list); err != nil {
		return err
	}
	for _, p := range list {
		pairs = append(pairs, Pair{Profile: p.Name, Old: p.active(), New: p.Path})
	}
	var diffs []Diff
	err := r.copies.use(ctx, func() (err error) {
		diffs, err = r.Store.Diff(ctx, n.Node, pairs)
		return err
	})
	if err != nil {
		for _, p := range list {
			if err := r.fail(p, ReasonPush, p.active(), fmt.Errorf("compare with what is active: %w", err), ""); err != nil {
				return err
			}
		}
		return nil
	}
	for _, d := range diffs {
		if err := r.Journal.Append(Event{Type: TypeDiff, Node: n.Name, Profile: d.Profile, Diff: &d}); err != nil {
			return err
		}
	}
	for _, p := range list {
		if err := r.set(p, Event{State: StatePending, Reason: p.decision.Reason, Active: p.active()}); err != nil {
			return err
		}
	}
	return nil
}

func profiles(list []*profileRun) []Profile {
	var all []Profile
	for _, p := range list {
		all = append(all, p.Profile)
	}
	return all
}

func paths(profiles []*profileRun) []string {
	var all []string
	for _, p := range profiles {
		all = append(all, p.Path)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
