package state_test

import (
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// A model is a simple second implementation of the state, to compare with. It is
// slow, has no order, and its only error is "refused". It shares only the types of
// a request with the package, and reads the identity of a user name from a table.
type model struct {
	lives map[string]life
	last  state.Allocation
}

// A life is an environment, live or retired.
type life struct {
	uid            int
	node, deployed string
	retired        bool
	known          bool // its entry has organisation, project and environment
	hosts          string
}

func (l life) names() []string { return strings.Fields(l.hosts) }

// An identity is an environment of the small world of the history tests.
type identity struct{ organisation, project, environment string }

func (id identity) user() string { return hostenvName(id.organisation, id.project, id.environment) }

// identities has all environments of these tests, by user name.
var identities = func() map[string]identity {
	all := map[string]identity{}
	for _, o := range []string{"acme", "beta", "cond"} {
		for _, p := range []string{"site", "shop"} {
			for _, e := range []string{"main", "staging", "dev", "x-y", "old"} {
				id := identity{o, p, e}
				all[id.user()] = id
			}
		}
	}
	return all
}()

var userNames = slices.Sorted(maps.Keys(identities))

// A rename is an entry of provider.moved and its meaning.
type rename struct {
	state.Moved
	byUser bool
	pairs  map[string]string // users, from and to
}

// inputs are the inputs of a plan.
type inputs struct {
	claims    map[string]state.Claim
	renames   []rename
	transfers map[string]state.Transfer
}

func (in inputs) clone() inputs {
	return inputs{maps.Clone(in.claims), slices.Clone(in.renames), maps.Clone(in.transfers)}
}

var (
	worldNodes = map[string]string{"n1.host.test": "n1"}
	worldUIDs  = state.UIDRange{Min: 1002, Max: 1013}
)

func (in inputs) request() state.Request {
	req := state.Request{UIDs: worldUIDs, NodeNames: worldNodes}
	for _, user := range slices.Sorted(maps.Keys(in.claims)) {
		req.Claims = append(req.Claims, in.claims[user])
	}
	for _, r := range in.renames {
		req.Moved = append(req.Moved, r.Moved)
	}
	for _, host := range slices.Sorted(maps.Keys(in.transfers)) {
		req.Transfers = append(req.Transfers, in.transfers[host])
	}
	return req
}

// next returns the model after a plan, or false if the plan must be refused.
func (m model) next(in inputs) (model, bool) {
	lives, last := maps.Clone(m.lives), m.last
	declared := func(user string) bool { _, ok := in.claims[user]; return ok }
	there := func(user string, r rename) bool {
		l, ok := lives[user]
		return ok && (r.byUser || l.known)
	}

	// An entry of the legacy generator is identified if the inputs or the renames
	// name its project.
	adopted := func(l life) life {
		if !l.known && l.deployed == "" {
			l.deployed = l.node
		}
		l.known = true
		return l
	}
	for user, l := range lives {
		recognised := false
		for other := range in.claims {
			recognised = recognised || sameProject(user, other) && !declared(user)
		}
		for _, r := range in.renames {
			for other := range r.pairs {
				recognised = recognised || sameProject(user, other) && !declared(user) && !r.byUser
			}
		}
		if recognised {
			lives[user] = adopted(l)
		}
	}

	// Renames.
	done, start := map[string]string{}, maps.Clone(lives)
	var idle []rename
	for _, r := range in.renames {
		useful := false
		for from, to := range r.pairs {
			if !there(from, r) || !declared(to) {
				continue
			}
			useful = true
			_, taken := start[to]
			switch {
			case taken && declared(from):
			case taken, declared(from):
				return m, false
			default:
				for f, t := range done {
					if (f == from) != (t == to) {
						return m, false
					}
				}
				done[from] = to
			}
		}
		if !useful {
			idle = append(idle, r)
		}
	}
	for from, to := range done {
		l := adopted(lives[from])
		delete(lives, from)
		l.retired = false
		lives[to] = l
		if last.UserName == from {
			last.UserName = to
		}
	}
	for _, r := range idle { // a typing error in these would cost an environment its UID
		arrived, left, awaited, began := false, false, false, false
		for from, to := range r.pairs {
			arrived = arrived || there(to, r)
			began = began || there(from, r)
			left = left || there(from, r) && !declared(from)
			awaited = awaited || declared(to)
		}
		if !arrived && (left || !began && awaited) {
			return m, false
		}
	}

	// Retirement and allocation.
	for user, l := range lives {
		l.retired = !declared(user)
		if declared(user) {
			l = adopted(l)
			l.node = in.claims[user].Node
		}
		lives[user] = l
	}
	for _, user := range userNames {
		if _, ok := lives[user]; ok || !declared(user) {
			continue
		}
		uid := max(worldUIDs.Min, last.UID+1)
		for _, l := range lives {
			uid = max(uid, l.uid+1)
		}
		if uid > worldUIDs.Max {
			return m, false
		}
		lives[user] = life{uid: uid, node: in.claims[user].Node, known: true}
		last = state.Allocation{UserName: user, UID: uid}
	}

	// Names.
	owner, claimants := map[string]string{}, map[string][]string{}
	for user, l := range lives {
		for _, host := range l.names() {
			owner[host] = user
		}
	}
	for user, c := range in.claims {
		for _, host := range c.VirtualHosts {
			if !slices.Contains(claimants[host], user) {
				claimants[host] = append(claimants[host], user)
			}
		}
	}
	for host, users := range claimants {
		has, t := owner[host], in.transfers[host]
		switch {
		case worldNodes[host] != "" || len(users) > 1:
			return m, false // at most one environment may claim a name
		case has == "" || has == users[0]:
		case t.From == has && t.To == users[0]:
		case lives[has].known && sameProject(has, users[0]):
		default:
			return m, false
		}
		owner[host] = users[0]
	}
	for host, user := range owner {
		if len(claimants[host]) == 0 && !lives[user].retired {
			delete(owner, host)
		}
	}
	for wildcard, a := range owner {
		below, ok := strings.CutPrefix(wildcard, "*")
		if !ok {
			continue
		}
		for host, b := range owner {
			if strings.HasSuffix(host, below) && host != wildcard && lives[a].known && lives[b].known && identities[a].organisation != identities[b].organisation {
				return m, false
			}
		}
		for host := range worldNodes {
			if strings.HasSuffix(host, below) {
				return m, false
			}
		}
	}
	for user, l := range lives {
		var hosts []string
		for host, of := range owner {
			if of == user {
				hosts = append(hosts, host)
			}
		}
		slices.Sort(hosts)
		l.hosts = strings.Join(hosts, " ")
		lives[user] = l
	}
	return model{lives, last}, true
}

// prune returns the model after state:prune of users, or of all if users is empty.
func (m model) prune(users ...string) (model, bool) {
	lives := maps.Clone(m.lives)
	for _, user := range users {
		if l, ok := lives[user]; !ok || !l.retired {
			return m, false
		}
	}
	for user, l := range lives {
		if l.retired && (len(users) == 0 || slices.Contains(users, user)) {
			l.hosts = ""
			lives[user] = l
		}
	}
	return model{lives, m.last}, true
}

// modelOf returns the model of a state.
func modelOf(s state.State) model {
	m := model{map[string]life{}, s.LastAllocated}
	for user, e := range s.Entries {
		m.lives[user] = life{e.UID, e.Node, e.DeployedNode, e.Retired, e.Environment != "", strings.Join(e.VirtualHosts, " ")}
	}
	return m
}
