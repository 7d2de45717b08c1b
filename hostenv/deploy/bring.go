package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// bring builds the pending profiles of all nodes, until ctx ends: those of this
// machine with one process, so that no build waits for another's lock, and at the same
// time those of each node that builds for itself. It signs what it builds, and hands it
// to its node while it builds the rest. The profiles that failed have their final state.
func (r *run) bring(ctx context.Context) error {
	defer close(r.brought)
	var here []*profileRun
	group, ctx := errgroup.WithContext(ctx)
	for _, n := range r.nodes {
		switch list := slices.DeleteFunc(n.pending(), (*profileRun).isSettled); {
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
	return r.build(ctx, r.builds, n, list, log, func() error {
		if r.mode != Deploy {
			return nil
		}
		return r.hold(ctx, n, list, nil)
	}, func(built []*profileRun) error {
		n.built <- built
		return nil
	})
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
	return r.build(ctx, nil, nil, list, log, func() error { return nil }, func(built []*profileRun) (err error) {
		if r.mode != Deploy {
			return nil
		}
		built, err = r.step(ctx, nil, built, StateSigning, ReasonSign, log.Name(), func() (map[string]error, error) {
			return nil, r.Store.Sign(ctx, paths(built), log)
		})
		for len(built) > 0 { // they are sorted by their nodes
			n := built[0].on
			end := slices.IndexFunc(built, func(p *profileRun) bool { return p.on != n })
			if end < 0 {
				end = len(built)
			}
			n.built <- built[:end:end]
			built = built[end:]
		}
		return err
	})
}

// build builds profiles with one process, after begin, and calls ready with those that
// are built, in their order, while it builds others. It ends early if no profile needs it
// any more.
func (r *run) build(ctx context.Context, in pool, on *nodeRun, list []*profileRun, log *os.File, begin func() error, ready func([]*profileRun) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for _, p := range list {
			select {
			case <-p.settled:
			case <-ctx.Done():
				return
			}
		}
		cancel()
	}()
	var unwritten error // of the journal; it ends the run
	reported := map[string]bool{}
	known := func(known map[string]error) {
		var built []*profileRun
		for _, p := range list {
			cause, ok := known[p.Key()]
			if !ok || unwritten != nil {
				continue
			}
			reported[p.Key()] = true
			if cause == nil {
				built = append(built, p)
			} else {
				unwritten = r.unready(ctx, p, ReasonBuild, cause, log.Name())
			}
		}
		if unwritten == nil && len(built) > 0 {
			unwritten = ready(built)
		}
		if unwritten != nil {
			cancel()
		}
	}
	failure := in.use(ctx, func() error {
		if unwritten = r.setAll(list, StateBuilding); unwritten != nil {
			return unwritten
		}
		if err := begin(); err != nil {
			return err
		}
		if on == nil {
			return r.Store.Build(ctx, nil, profiles(list), log, known)
		}
		return r.again(ctx, on, func() error {
			left := slices.DeleteFunc(slices.Clone(list), func(p *profileRun) bool { return reported[p.Key()] })
			return r.Store.Build(ctx, &on.Node, profiles(left), log, known)
		})
	})
	for _, p := range list {
		if unwritten == nil && !reported[p.Key()] {
			unwritten = r.unready(ctx, p, ReasonBuild, cmp.Or(failure, errors.New("it was not built")), log.Name())
		}
	}
	return unwritten
}

// deliver pushes to a node what is built, until each pending profile of the node is there
// or has its final state.
func (r *run) deliver(ctx context.Context, n *nodeRun) error {
	defer n.delivered.ring()
	defer n.complete.Store(true)
	for {
		changed := n.delivered.next()
		if !slices.ContainsFunc(n.pending(), (*profileRun).isAwaited) {
			return nil
		}
		var list []*profileRun
		select {
		case list = <-n.built:
		case <-changed:
			continue
		case <-r.brought:
			if len(n.built) == 0 { // the run ends, because it cannot write its journal
				return nil
			}
			continue
		}
		for len(n.built) > 0 { // only this function receives
			list = append(list, <-n.built...)
		}
		r.beginBaselines(ctx, n, list)
		if err := r.push(ctx, n, list); err != nil {
			return err
		}
	}
}

// push copies what was built to the node, until ctx ends.
func (r *run) push(ctx context.Context, n *nodeRun, list []*profileRun) error {
	list = slices.DeleteFunc(slices.Clone(list), (*profileRun).isSettled)
	if len(list) == 0 {
		return nil
	}
	if !n.RemoteBuild {
		log, err := r.log(n.Name, "_"+string(StatePushing))
		if err != nil {
			return err
		}
		defer log.Close()
		if list, err = r.step(ctx, r.copies, list, StatePushing, ReasonPush, log.Name(), func() (map[string]error, error) {
			return nil, r.copyTo(ctx, n, list, log)
		}); err != nil {
			return err
		}
	}
	if err := r.setAll(list, StatePushed); err != nil {
		return err
	}
	for _, p := range list {
		p.there.Store(true)
	}
	n.delivered.ring()
	return nil
}

// isAwaited reports whether a pending profile is neither on its node nor has its final
// state.
func (p *profileRun) isAwaited() bool { return !p.there.Load() && !p.isSettled() }

// arrived waits until one of the profiles of a node is there, or none is awaited. It
// returns those that are there, and those that are awaited.
func (n *nodeRun) arrived(list []*profileRun) (there, awaited []*profileRun) {
	for {
		changed, complete := n.delivered.next(), n.complete.Load()
		there, awaited = nil, nil
		for _, p := range list {
			switch {
			case p.isAwaited():
				awaited = append(awaited, p)
			case !p.isSettled():
				there = append(there, p)
			}
		}
		if complete { // perhaps because the run ends
			return there, nil
		}
		if len(there) > 0 || len(awaited) == 0 {
			return there, awaited
		}
		<-changed
	}
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
		cause := cmp.Or(failure, failed[p.Key()])
		if cause == nil {
			left = append(left, p)
		} else if err := r.unready(ctx, p, reason, cause, log); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// unready ends a profile that could not be prepared.
func (r *run) unready(ctx context.Context, p *profileRun, reason Reason, cause error, log string) error {
	if r.stopping(ctx) {
		return r.skip(p, ReasonInterrupted)
	}
	return r.fail(p, reason, p.active(), cause, log)
}

// preview records what the closures change; the profiles stay pending.
func (r *run) preview(ctx context.Context, n *nodeRun) error {
	var pairs []Pair
	list := slices.DeleteFunc(n.pending(), (*profileRun).isSettled)
	if len(list) == 0 {
		return nil
	}
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
