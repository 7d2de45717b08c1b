package state

import (
	"cmp"
	"slices"
)

// Compare returns the changes from one state to another, in the order of
// [CompareChanges]: what a plan, several plans, or [State.Prune] did. It is empty
// if the later state differs only in what deploys and proofs record in it.
func Compare(before, after State) []Change {
	c := comparison{before: before, after: after, names: make(map[int]string, len(after.Entries))}
	for user, e := range after.Entries {
		c.names[e.UID] = user
	}
	c.environments()
	c.hostNames()
	slices.SortFunc(c.changes, CompareChanges)
	return c.changes
}

type comparison struct {
	before, after State
	names         map[int]string // the later user name by UID, which no environment changes
	changes       []Change
}

func (c *comparison) changed(kind Kind, key string, action Action, reason Reason, before, after Fields) {
	c.changes = append(c.changes, Change{Kind: kind, Key: key, Action: action, Reason: reason, Before: before, After: after})
}

func (c *comparison) environments() {
	earlier := make(map[int]Entry, len(c.before.Entries))
	for _, e := range c.before.Entries {
		earlier[e.UID] = e
	}
	for user, e := range c.after.Entries {
		old, known := earlier[e.UID]
		moved := known && old.UserName != user
		if moved {
			c.changed(KindEnvironment, user, Move, ReasonRenamed, Fields{"userName": old.UserName}, Fields{"userName": user, "uid": e.UID})
		}
		place := Fields{"uid": e.UID, "node": e.Node}
		if !known {
			c.changed(KindEnvironment, user, Create, ReasonNew, nil, place)
			if e.Retired { // it came and went between the two
				c.changed(KindEnvironment, user, Retire, ReasonLeft, place, nil)
			}
			continue
		}
		if old.Environment == "" && e.Environment != "" && !moved {
			c.changed(KindEnvironment, user, Update, ReasonAdopted, nil,
				Fields{"organisation": e.Organisation, "project": e.Project, "environment": e.Environment})
		}
		if e.Retired && !old.Retired {
			c.changed(KindEnvironment, user, Retire, ReasonLeft, Fields{"uid": old.UID, "node": old.Node}, nil)
		}
		if old.Retired && !e.Retired && !moved {
			c.changed(KindEnvironment, user, Revive, ReasonBack, nil, place)
		}
		if e.Node != old.Node {
			c.changed(KindEnvironment, user, Move, ReasonPlacement, Fields{"node": old.Node}, Fields{"node": e.Node})
		}
	}
}

func (c *comparison) hostNames() {
	was, is := map[string]string{}, c.after.owners()
	for host, user := range c.before.owners() { // by their later names
		was[host] = cmp.Or(c.names[c.before.Entries[user].UID], user)
	}
	for host, owner := range is {
		switch from := was[host]; {
		case from == owner:
		case from == "":
			c.changed(KindHostname, host, Create, ReasonDeclared, nil, ownerValue(owner))
		case c.after.sameProject(from, owner):
			c.changed(KindHostname, host, Move, ReasonDeclared, ownerValue(from), ownerValue(owner))
		default:
			c.changed(KindHostname, host, HandOver, ReasonTransfer, ownerValue(from), ownerValue(owner))
		}
	}
	for host, owner := range was {
		if is[host] == "" {
			reason := ReasonUndeclared
			if c.after.Entries[owner].Retired { // a plan lets a retired environment keep its names
				reason = ReasonPruned
			}
			c.changed(KindHostname, host, Release, reason, ownerValue(owner), nil)
		}
	}
}

// owners returns the owner of each host name.
func (s State) owners() map[string]string {
	owners := make(map[string]string, 3*len(s.Entries))
	for user, e := range s.Entries {
		for _, host := range e.VirtualHosts {
			owners[host] = user
		}
	}
	return owners
}

func (s State) sameProject(a, b string) bool {
	x, y := s.Entries[a], s.Entries[b]
	return x.Project != "" && x.Organisation == y.Organisation && x.Project == y.Project
}
