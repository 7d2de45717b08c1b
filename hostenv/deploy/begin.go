package deploy

import (
	"cmp"
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// connect opens a session with every node, all at once.
func (r *run) connect(ctx context.Context) error {
	var group errgroup.Group
	group.SetLimit(maxSessions)
	for _, n := range r.nodes {
		group.Go(func() error {
			failed := r.again(ctx, n, func() error {
				session, err := n.open(ctx, r)
				if err == nil {
					n.saw(session.Observation())
				}
				return err
			})
			if ctx.Err() != nil { // the run ends before it begins
				return nil //nolint:nilerr // an interrupted run blames no node
			}
			return r.connected(n, failed)
		})
	}
	return group.Wait()
}

// connected records the result of the connection to a node.
func (r *run) connected(n *nodeRun, err error) error {
	if err == nil {
		n.reached = true
		return r.Journal.Append(Event{Type: TypeNode, Node: n.Name, State: StateReached})
	}
	var unreachable *UnreachableError
	var locked *LockedError
	var hostKey *HostKeyError
	code, state := FindingSSH, StateFailed
	switch {
	case errors.As(err, &unreachable):
		code, state = FindingUnreachable, StateUnreachable
	case errors.As(err, &locked):
		code, state = FindingLocked, StateSkipped
	case errors.As(err, &hostKey):
		code = FindingHostKey
	}
	level := Failure
	if code == FindingUnreachable && (r.Options.SkipOffline || r.mode != Deploy) {
		level = Warning
	}
	n.refused = level == Failure
	hint := cmp.Or(problem.Hint(err), "try `ssh "+n.User+"@"+n.Address+"`, then deploy again")
	if code == FindingUnreachable && r.Options.SkipOffline {
		hint = reachable // the run leaves it out already
	}
	events := []Event{
		{Type: TypeNode, Node: n.Name, State: state, Error: err.Error()},
		{Type: TypeFinding, Node: n.Name, Finding: &Finding{Level: level, Code: code, Message: err.Error(), Hint: hint}},
	}
	if level == Warning {
		for _, p := range n.profiles {
			p.settle(StateUnreachable)
			events = append(events, Event{Type: TypeProfile, Node: n.Name, Profile: p.Name, Want: p.Path, State: StateUnreachable})
		}
	}
	return r.Journal.Append(events...)
}

// awaitActivations waits for activations that are running already, for example
// those of a run that was killed: the node finishes them by itself.
func (r *run) awaitActivations(ctx context.Context) error {
	if r.mode != Deploy {
		return nil
	}
	var group errgroup.Group
	for _, n := range r.nodes {
		if n.reached {
			group.Go(func() error { return r.awaitActivationsOn(ctx, n) })
		}
	}
	return group.Wait()
}

func (r *run) awaitActivationsOn(ctx context.Context, n *nodeRun) error {
	written := false
	return r.until(ctx, func() (bool, error) {
		for _, p := range n.profiles {
			if len(p.seen().Activating) == 0 {
				continue
			}
			if !written {
				written = true
				if err := r.set(p, Event{State: StateWaiting}); err != nil {
					return false, err
				}
			}
			_ = n.observe(ctx, r) // until asks again
			return false, nil
		}
		return true, nil
	})
}

func (r *run) decide() {
	for _, n := range r.nodes {
		if !n.reached {
			continue
		}
		for _, p := range n.profiles {
			var doubt *Doubt
			if d, ok := r.History.Doubts[p.Key()]; ok {
				doubt = &d
			}
			p.decision = Decide(n.Node, p.Profile, p.seen(), doubt)
			if p.decision.State == StateInSync && r.arrives(p) {
				p.decision = Decision{State: StatePending, Reason: ReasonReturned}
			}
			r.owe(p)
		}
	}
}

// preflight records the findings, and reports whether they stop the run.
func (r *run) preflight(ctx context.Context) (wrong bool, err error) {
	events := append(r.sameMachines(), r.findOlder()...)
	for _, n := range r.nodes {
		if !n.reached {
			continue
		}
		push := r.mode == Deploy && !n.RemoteBuild && len(n.pending()) > 0
		for _, f := range Preflight(n.Node, n.seen(), push, r.Signing) {
			if r.mode != Deploy && f.Code == FindingActivating {
				f.Level = Warning
			}
			events = append(events, Event{Type: TypeFinding, Node: n.Name, Finding: f})
		}
	}
	events = append(events, r.findRoom(ctx)...)
	events = append(events, r.findMoves(ctx)...)
	if len(events) > 0 {
		err = r.Journal.Append(events...)
	}
	// A preview continues, and shows every finding that would stop a deploy.
	return r.mode == Deploy && refused(OutcomeOf(r.Journal.Events())), err
}

// announce records the decisions before the run acts on them.
func (r *run) announce() error {
	var events []Event
	for _, n := range r.nodes {
		for _, p := range n.profiles {
			d := p.decision
			if d.State == "" {
				continue
			}
			e := Event{Type: TypeProfile, Node: n.Name, Profile: p.Name, State: d.State, Reason: d.Reason, Want: p.Path, Was: p.active(), Active: p.active()}
			if d.Reason == ReasonDoubtful || d.Reason == ReasonNotRunning || d.Reason == ReasonAdopted {
				e.Was = d.From
			}
			if d.Err != nil {
				e.Error, e.Hint = d.Err.Error(), problem.Hint(d.Err)
			}
			if p.owed {
				e.State, e.Was = StateVerifying, d.From
			}
			events = append(events, e)
			if e.State.Final() {
				p.settle(d.State)
			}
		}
	}
	if len(events) == 0 {
		return nil
	}
	return r.Journal.Append(events...)
}
