package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Arrived returns the node where each environment was last known to be at its
// planned path, by user. Outcomes are in their order.
func Arrived(outcomes []Outcome) map[string]string {
	nodes := map[string]string{}
	for _, o := range outcomes {
		for user, node := range o.Deployed() {
			nodes[user] = node
		}
	}
	return nodes
}

// comes reports whether an environment comes to a node from another one by this
// run. What the node has of it, from a time when it was there before, is then no
// reason to leave it alone: its user, its services and its data are not what
// they were. Without a journal that knows, it comes.
func (it *run) comes(n *nodeRun, p Profile) bool {
	for _, m := range it.Moves {
		if m.User == p.Name && m.To == n.Name {
			return it.Arrived[m.User] != n.Name
		}
	}
	return false
}

// findMoves asks where the data of new environments is, and holds back systems
// that would drop an environment which is not on its new node yet.
func (it *run) findMoves(ctx context.Context) []Event {
	var events []Event
	find := func(level Level, node, code, hint, format string, args ...any) {
		events = append(events, Event{Type: TypeFinding, Node: node, Finding: &Finding{Level: level, Code: code, Message: fmt.Sprintf(format, args...), Hint: hint}})
	}
	fail := func(node, code, hint, format string, args ...any) { find(Failure, node, code, hint, format, args...) }
	for _, n := range it.nodes {
		for _, p := range n.pending() {
			if it.Mover == nil || p.IsSystem() || n.decisions[p.Name].From != "" && !it.comes(n, p) {
				continue
			}
			from, err := it.Mover.From(ctx, n.Node, p)
			if err != nil {
				fail(n.Name, FindingMove, HintOf(err), "environment %s: %v", p.Name, err)
				continue
			}
			if from == "" || from == n.Name {
				continue
			}
			old := it.others[from]
			if old == nil {
				fail(n.Name, FindingMove, "name the node that its data is on (-migrationSource="+p.Name+"=NODE), or leave it behind (-skipMigrations="+p.Name+")", "environment %s comes from the node %s, which the plan does not have", p.Name, from)
				continue
			}
			if old.refused {
				continue // that it is locked, say, is told
			}
			_, err = old.open(ctx, it)
			if it.without(ctx, n, p, err) {
				continue
			}
			if err != nil {
				level, code, hint := Failure, FindingMove, "see to "+from
				var locked *LockedError
				var unreachable *UnreachableError
				switch {
				case errors.As(err, &locked):
					code, hint = FindingLocked, locked.Hint()
				case errors.As(err, &unreachable) && it.mode != Deploy: // it may be back by then
					level = Warning
				}
				find(level, n.Name, code, hint+"; or leave its data behind: -skipMigrations="+p.Name, "environment %s comes from another node: %v", p.Name, err)
				continue
			}
			n.moves[p.Name] = from
		}
	}
	for _, m := range it.Moves {
		from, to := it.others[m.From], it.others[m.To]
		if from == nil || to == nil || to.refused || from.decisions[SystemProfile].State != StatePending {
			continue
		}
		if state := to.decisions[m.User].State; state != StatePending && state != StateInSync && state != StateActive {
			fail(m.From, FindingMoveFirst, "deploy "+m.To+" before it, or both together: -node="+m.From+","+m.To, "the new system of %s is without %s, which is not deployed on %s yet", m.From, m.User, m.To)
		}
	}
	if around := it.cycle(); len(around) > 0 {
		fail("", FindingMoveCycle, "plan one of the moves, deploy it, and then plan the other", "environments change places between %v: each node would have to wait for the other", around)
	}
	return events
}

// without asks whether an environment goes without its data, where err is that its
// old node is out of reach.
func (it *run) without(ctx context.Context, n *nodeRun, p Profile, err error) bool {
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) {
		return false
	}
	moved, err := it.Mover.Prepare(ctx, nil, nil, n.Node, p)
	return err == nil && moved == nil
}

// leaving are the environments that have to be on their new nodes before the
// system of a node is activated, by the node that they go to.
func (it *run) leaving(node string) map[string][]string {
	all := map[string][]string{}
	for _, m := range it.Moves {
		if to := it.others[m.To]; m.From == node && to != nil && to.decisions[m.User].State == StatePending {
			all[m.To] = append(all[m.To], m.User)
		}
	}
	for _, to := range it.nodes {
		for user, from := range to.moves {
			if from == node && !slices.Contains(all[to.Name], user) {
				all[to.Name] = append(all[to.Name], user)
			}
		}
	}
	return all
}

// cycle returns nodes whose systems would wait for each other, if there are any.
func (it *run) cycle() []string {
	state := map[string]int{} // 1 on the way, 2 done
	var path []string
	var visit func(name string) bool
	visit = func(name string) bool {
		n := it.others[name]
		if n == nil || n.decisions[SystemProfile].State != StatePending || state[name] == 2 {
			return false
		}
		path = append(path, name)
		if state[name] == 1 {
			return true
		}
		state[name] = 1
		for to := range it.leaving(name) {
			if visit(to) {
				return true
			}
		}
		state[name] = 2
		path = path[:len(path)-1]
		return false
	}
	for _, n := range it.nodes {
		if visit(n.Name) {
			return path
		}
	}
	return nil
}

// awaitMoves waits until every environment that leaves the node is on its new
// one: the new system of this node no longer has its user.
func (it *run) awaitMoves(ctx context.Context, n *nodeRun) Reason {
	for to, users := range it.leaving(n.Name) {
		for _, user := range users {
			other := it.others[to]
			select {
			case <-other.settled[user]:
			case <-ctx.Done():
				return ReasonInterrupted
			}
			if !other.good(user) {
				return ReasonMovePending
			}
		}
	}
	return ""
}
