package deploy

import (
	"context"
	"errors"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Arrived returns the last node on which each environment had its planned path, by
// user. The oldest outcome comes first.
func Arrived(outcomes []Outcome) map[string]string {
	nodes := map[string]string{}
	for _, o := range outcomes {
		for user, node := range o.Deployed() {
			nodes[user] = node
		}
	}
	return nodes
}

// arrives reports whether this run moves an environment to its node. Then the run
// activates it even if the node has its planned path from an earlier time: its
// user, its services and its data have changed since. If no journal has the
// environment, it arrives.
func (r *run) arrives(p *profileRun) bool {
	for _, m := range r.Moves {
		if m.User == p.Name && m.To == p.on.Name {
			return r.History.Arrived[m.User] != p.on.Name
		}
	}
	return false
}

// findMoves finds the data of new environments, and the systems that would drop an
// environment before it is on its new node.
func (r *run) findMoves(ctx context.Context) []Event {
	var events []Event
	for _, n := range r.nodes {
		for _, p := range n.pending() {
			if f := r.findData(ctx, p); f != nil {
				events = append(events, Event{Type: TypeFinding, Node: n.Name, Finding: f})
			}
		}
	}
	for _, m := range r.Moves {
		from, to := r.all[m.From], r.all[m.To]
		if from == nil || to == nil || to.refused || from.profile(SystemProfile).state() != StatePending {
			continue
		}
		if state := to.profile(m.User).state(); state != StatePending && state != StateInSync && state != StateActive {
			events = append(events, Event{Type: TypeFinding, Node: m.From, Finding: finding(Failure, FindingMoveFirst, "deploy "+m.To+" first, or both together: -node="+m.From+","+m.To,
				"the new system of %s does not have %s, which is not deployed on %s yet", m.From, m.User, m.To)})
		}
	}
	if around := r.cycle(); len(around) > 0 {
		events = append(events, Event{Type: TypeFinding, Finding: finding(Failure, FindingMoveCycle, "plan one of the moves, deploy it, and then plan the other",
			"environments swap nodes among %v: each node would have to wait for another", around)})
	}
	return events
}

// findData sets the node that has the data of a new environment, or returns why
// the data cannot be moved.
func (r *run) findData(ctx context.Context, p *profileRun) *Finding {
	if r.Mover == nil || p.IsSystem() || p.decision.From != "" && !r.arrives(p) {
		return nil
	}
	from, err := r.Mover.From(ctx, p.on.Node, p.Profile)
	if err != nil {
		return finding(Failure, FindingMove, problem.Hint(err), "environment %s: %v", p.Name, err)
	}
	if from == "" || from == p.on.Name {
		return nil
	}
	old := r.all[from]
	if old == nil {
		return finding(Failure, FindingMove, "name the node that its data is on (-migrationSource="+p.Name+"=NODE), or leave the data there (-skipMigrations="+p.Name+")",
			"the data of environment %s is on node %s, which is not in the plan", p.Name, from)
	}
	if old.refused {
		return nil // another finding says why
	}
	err = r.again(ctx, old, func() error {
		_, err := old.open(ctx, r)
		return err
	})
	if r.without(ctx, p, err) {
		return nil
	}
	if err == nil {
		p.from = from
		return nil
	}
	code, hint := FindingMove, "make it possible to deploy to "+from
	var locked *LockedError
	if errors.As(err, &locked) {
		code, hint = FindingLocked, locked.Hint()
	}
	f := finding(Failure, code, hint+"; or leave its data behind: -skipMigrations="+p.Name, "the data of environment %s is on another node: %v", p.Name, err)
	if r.mode != Deploy && errors.As(err, new(*UnreachableError)) { // it may answer again when the deploy begins
		f.Level = Warning
	}
	return f
}

// leaving returns the environments that must be on their new nodes before the
// system of a node is activated, by new node.
func (r *run) leaving(node string) map[string][]string {
	all := map[string][]string{}
	for _, m := range r.Moves {
		if to := r.all[m.To]; m.From == node && to != nil && to.profile(m.User).undecided() {
			all[m.To] = append(all[m.To], m.User)
		}
	}
	for _, to := range r.nodes {
		for _, p := range to.profiles {
			if p.from == node && !slices.Contains(all[to.Name], p.Name) {
				all[to.Name] = append(all[to.Name], p.Name)
			}
		}
	}
	return all
}

// cycle returns nodes whose systems would wait for each other, nil if there are none.
func (r *run) cycle() []string {
	state := map[string]int{} // 1 in the path, 2 visited
	var path []string
	var visit func(name string) bool
	visit = func(name string) bool {
		n := r.all[name]
		if n == nil || n.profile(SystemProfile).state() != StatePending || state[name] == 2 {
			return false
		}
		path = append(path, name)
		if state[name] == 1 {
			return true
		}
		state[name] = 1
		for to := range r.leaving(name) {
			if visit(to) {
				return true
			}
		}
		state[name] = 2
		path = path[:len(path)-1]
		return false
	}
	for _, n := range r.nodes {
		if visit(n.Name) {
			return path
		}
	}
	return nil
}

// awaitMoves waits until every environment that leaves the node is on its new
// node: the new system of this node no longer has the environment's user.
func (r *run) awaitMoves(ctx context.Context, n *nodeRun) Reason {
	for to, users := range r.leaving(n.Name) {
		for _, user := range users {
			other := r.all[to].profile(user)
			select {
			case <-other.settled:
			case <-ctx.Done():
				return ReasonInterrupted
			}
			if !other.good.Load() {
				return ReasonMovePending
			}
		}
	}
	return ""
}
