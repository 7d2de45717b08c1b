package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// node deploys to one node: it builds, signs and pushes, and then activates the
// system and each environment.
func (r *run) node(ctx, gentle context.Context, n *nodeRun) error {
	if err := r.judgeOwed(ctx, n); err != nil {
		return err
	}
	r.beginBaselines(gentle, n)
	there, err := r.bring(gentle, n, n.pending())
	if err != nil || r.mode != Deploy {
		return err
	}
	if left, err := r.keep(ctx, n, there); err != nil || !left {
		return err
	}
	held := n.systemFailed()
	for _, p := range there {
		if held == "" && p.IsSystem() && !r.stopping(ctx) {
			held = r.awaitMoves(ctx, n)
		}
		switch {
		case held != "":
			err = r.skip(p, held)
		case r.stopping(ctx):
			err = r.skip(p, ReasonInterrupted)
		default:
			err = r.activate(ctx, p)
			if p.IsSystem() && !r.stopping(ctx) { // otherwise it may be undecided
				held = n.systemFailed()
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// systemFailed returns why no environment of the node may be activated, "" if there
// is no reason.
func (n *nodeRun) systemFailed() Reason {
	if system := n.profile(SystemProfile); system != nil && system.isSettled() && !system.good.Load() {
		return ReasonSystemFailed
	}
	return ""
}

// A step prepares profiles for their activation.
type step struct {
	state  State
	reason Reason // of a failure
	do     func(ctx context.Context, list []*profileRun, log io.Writer) (failed map[string]error, err error)
}

func (r *run) steps(n *nodeRun) []step {
	steps := []step{{StateBuilding, ReasonBuild, func(ctx context.Context, list []*profileRun, log io.Writer) (map[string]error, error) {
		var profiles []Profile
		for _, p := range list {
			profiles = append(profiles, p.Profile)
		}
		return r.Store.Build(ctx, n.Node, profiles, log)
	}}}
	if r.mode != Deploy || n.RemoteBuild {
		return steps
	}
	return append(steps,
		step{StateSigning, ReasonSign, func(ctx context.Context, list []*profileRun, log io.Writer) (map[string]error, error) {
			return nil, r.Store.Sign(ctx, paths(list), log)
		}},
		step{StatePushing, ReasonPush, func(ctx context.Context, list []*profileRun, log io.Writer) (map[string]error, error) {
			return nil, r.Store.Push(ctx, n.Node, paths(list), log)
		}})
}

// bring builds profiles and copies them to the node, until ctx ends. It returns
// those that are on the node; the others have their final state.
func (r *run) bring(ctx context.Context, n *nodeRun, list []*profileRun) (left []*profileRun, err error) {
	if len(list) == 0 {
		return nil, nil
	}
	for _, s := range r.steps(n) {
		if list, err = r.step(ctx, n, s, list); err != nil || len(list) == 0 {
			return nil, err
		}
	}
	if r.mode == Preview {
		return list, r.preview(ctx, n, list)
	}
	return list, r.setAll(list, StatePushed)
}

// step takes a step, and returns the profiles for which it succeeded.
func (r *run) step(ctx context.Context, n *nodeRun, s step, list []*profileRun) (left []*profileRun, err error) {
	log, err := r.log(n, "_"+string(s.state))
	if err != nil {
		return nil, err
	}
	defer log.Close()   // an incomplete log does not stop the run
	var unwritten error // of the journal; it ends the run
	var failed map[string]error
	failure := r.slot(ctx, func() error {
		if unwritten = r.setAll(list, s.state); unwritten != nil {
			return unwritten
		}
		var failure error
		failed, failure = s.do(ctx, list, log)
		return failure
	})
	if unwritten != nil {
		return nil, unwritten
	}
	reason := s.reason
	if errors.As(failure, new(*UnsignedError)) {
		reason = ReasonUnsigned
	}
	// The daemon of a node with a full disk may end the connection, and write the cause
	// only into its own log.
	if failure != nil && s.state == StatePushing && n.observe(ctx, r) == nil && n.full() {
		reason, failure = ReasonNoRoom, problem.New("", noRoom(n.Name, *n.seen.Free).Error()+": "+failure.Error(), problem.Hint(noRoom(n.Name, 0)))
	}
	for _, p := range list {
		cause := failure
		if cause == nil {
			cause = failed[p.Name]
		}
		switch {
		case cause == nil:
			left = append(left, p)
		case r.stopping(ctx):
			err = r.skip(p, ReasonInterrupted)
		default:
			err = r.fail(p, reason, p.active(), cause, log.Name())
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
	for _, p := range list {
		pairs = append(pairs, Pair{Profile: p.Name, Old: p.active(), New: p.Path})
	}
	var diffs []Diff
	err := r.slot(ctx, func() (err error) {
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

func paths(profiles []*profileRun) []string {
	var all []string
	for _, p := range profiles {
		all = append(all, p.Path)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
