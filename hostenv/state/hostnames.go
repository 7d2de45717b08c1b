package state

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Transfer hands a host name from one environment to another, across
// projects or organisations. From and To are user names; Host is normalised
// by the caller.
type Transfer struct{ Host, From, To string }

func (t Transfer) nix() string {
	return fmt.Sprintf("{ host = %q; from = %q; to = %q; }", t.Host, t.From, t.To)
}

// hostnames decides who owns which host name.
func (st *step) hostnames() {
	owners := make(map[string]string, 4*len(st.Entries))
	for name, e := range st.Entries {
		for _, host := range e.VirtualHosts {
			owners[host] = name
		}
	}
	claimants := holders[string]{}
	for _, user := range st.users {
		for _, host := range st.claims[user].VirtualHosts {
			claimants.add(host, user)
		}
	}
	transfers := st.transfers()

	next := make(map[string]string, len(claimants.first))
	refused := map[string]error{}
	for host, user := range claimants.first {
		if node, ok := st.req.NodeNames[host]; ok {
			refused[host] = &NodeNameError{Host: host, Node: node, Claimants: claimants.of(host)}
			continue
		}
		owner := owners[host]
		if owner == user && len(claimants.more[host]) == 0 {
			next[host] = owner // as it was, like nearly all
			continue
		}
		users := claimants.of(host)
		winner, action, reason, losers := st.judge(owner, users, transfers[host])
		if len(losers) > 0 {
			refused[host] = st.conflict(host, owner, slices.Contains(users, owner), losers)
		}
		if winner == "" {
			continue
		}
		next[host] = winner
		if action != "" {
			st.changed(KindHostname, host, action, reason, ownerValue(owner), ownerValue(winner))
		}
	}
	for _, host := range slices.Sorted(maps.Keys(refused)) {
		st.errs = append(st.errs, refused[host])
	}
	for host, owner := range owners {
		switch {
		case claimants.first[host] != "": // decided, or refused, above
		case st.Entries[owner].Retired:
			next[host] = owner
		default:
			st.changed(KindHostname, host, Release, ReasonUndeclared, ownerValue(owner), nil)
		}
	}
	st.finished(transfers, next)
	st.wildcards(next)
	st.assign(next)
}

func ownerValue(user string) map[string]any {
	if user == "" {
		return nil
	}
	return map[string]any{"owner": user}
}

// judge decides on one host name: who has it from now on, how it comes to him
// (action is "" if he had it), and who claims it in vain.
func (st *step) judge(owner string, users []string, t Transfer) (winner string, action Action, reason Reason, losers []string) {
	without := func(user string) []string {
		return slices.DeleteFunc(slices.Clone(users), func(u string) bool { return u == user })
	}
	switch {
	case owner == "" && len(users) == 1:
		return users[0], Create, ReasonDeclared, nil
	case owner == "":
		return "", "", "", users
	case slices.Contains(users, owner):
		return owner, "", "", without(owner)
	case t.From == owner && slices.Contains(users, t.To):
		return t.To, HandOver, ReasonTransfer, without(t.To)
	case len(users) == 1 && st.sameProject(owner, users[0]):
		return users[0], Move, ReasonDeclared, nil
	default:
		return owner, "", "", users
	}
}

func (st *step) sameProject(a, b string) bool {
	x, y := st.Entries[a], st.Entries[b]
	return x.Project != "" && x.Organisation == y.Organisation && x.Project == y.Project
}

func (st *step) conflict(host, owner string, declared bool, losers []string) error {
	retired := st.Entries[owner].Retired
	e := &HostnameError{
		Host: host, Owner: owner, Declared: declared, Claimants: losers,
		OwnerRetired: retired && !st.leaving[owner], OwnerLeaves: retired && st.leaving[owner],
	}
	e.SameProject = owner != "" && !slices.ContainsFunc(losers, func(user string) bool { return !st.sameProject(owner, user) })
	return e
}

// transfers returns provider.transfers by host.
func (st *step) transfers() map[string]Transfer {
	byHost := make(map[string]Transfer, len(st.req.Transfers))
	for _, t := range st.req.Transfers {
		problem := ""
		if other, ok := byHost[t.Host]; ok && other != t {
			problem = "the name has a second entry, " + other.nix()
		} else if t.From == t.To {
			problem = "from and to are the same"
		}
		if problem != "" {
			st.errs = append(st.errs, &OptionError{Option: "provider.transfers", Entry: t.nix(), Problem: problem, Remedy: "correct the entry, or remove it"})
			continue
		}
		byHost[t.Host] = t
	}
	return byHost
}

// finished warns of transfers that do nothing: done before, or not yet to be
// done, in which case the name may be released meanwhile.
func (st *step) finished(transfers map[string]Transfer, next map[string]string) {
	for _, host := range slices.Sorted(maps.Keys(transfers)) {
		t := transfers[host]
		switch {
		case slices.ContainsFunc(st.changes, func(c Change) bool { return c.Action == HandOver && c.Key == host }):
		case next[host] == t.To:
			st.warnings = append(st.warnings, Warning{Subject: "provider.transfers", Message: t.nix() + " has been carried out and can be removed"})
		default:
			st.warnings = append(st.warnings, Warning{Subject: "provider.transfers", Message: t.nix() + " does nothing: " + t.To + " does not declare the name, or " + t.From + " does not own it"})
		}
	}
}

// wildcards refuses a wildcard over a name of another organisation, and over
// a node's. nginx lets "*.acme.test" stand for names of any depth below it.
// An owner whose organisation is unknown, a retired entry of today's
// generator, is passed over: once it is back its organisation is known.
func (st *step) wildcards(next map[string]string) {
	covers := map[string]string{} // what stands behind "*.": the wildcard
	for host := range next {
		if suffix, ok := strings.CutPrefix(host, "*."); ok {
			covers[suffix] = host
		}
	}
	if len(covers) == 0 {
		return
	}
	for _, host := range slices.Sorted(maps.Keys(next)) {
		owner := next[host]
		for wildcard := range above(host, covers) {
			other := next[wildcard]
			a, b := st.Entries[owner].Organisation, st.Entries[other].Organisation
			if a != b && a != "" && b != "" {
				st.errs = append(st.errs, &WildcardError{Wildcard: wildcard, WildcardOwner: other, Host: host, HostOwner: owner, Retired: st.retired(other, owner)})
			}
		}
	}
	for _, host := range slices.Sorted(maps.Keys(st.req.NodeNames)) {
		for wildcard := range above(host, covers) {
			st.errs = append(st.errs, &WildcardError{Wildcard: wildcard, WildcardOwner: next[wildcard], Host: host, Retired: st.retired(next[wildcard])})
		}
	}
}

// retired returns those of users that were retired before this step, and whose
// names can thus be pruned.
func (st *step) retired(users ...string) []string {
	return slices.DeleteFunc(users, func(user string) bool { return !st.Entries[user].Retired || st.leaving[user] })
}

// above yields the wildcards that cover host.
func above(host string, covers map[string]string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for rest := host; ; {
			_, parent, ok := strings.Cut(rest, ".")
			if !ok {
				return
			}
			if wildcard, ok := covers[parent]; ok && wildcard != host && !yield(wildcard) {
				return
			}
			rest = parent
		}
	}
}

// assign writes the owners into the entries.
func (st *step) assign(next map[string]string) {
	hosts := make(map[string][]string, len(st.Entries))
	for host, owner := range next {
		hosts[owner] = append(hosts[owner], host)
	}
	for name, e := range st.Entries {
		e.VirtualHosts = hosts[name]
		slices.Sort(e.VirtualHosts)
		st.Entries[name] = e
	}
}

// Prune frees the host names of retired environments: of users, or of all if
// users is empty. UIDs stay reserved for ever. The changes name every host
// name that is free again. A user that is not in the state, or not retired, is
// an error, and nothing is freed.
func (s State) Prune(users ...string) (State, []Change, error) {
	var errs []error
	for _, user := range users {
		switch e, ok := s.Entries[user]; {
		case !ok:
			errs = append(errs, &EntryError{Entry: user, Problem: "there is no such user", Remedy: "`mage state:list` shows the user names"})
		case !e.Retired:
			errs = append(errs, &EntryError{Entry: user, Problem: "is live, and its names are in use", Remedy: "remove the environment from the inputs and run `mage plan` first"})
		}
	}
	if err := refuse(errs...); err != nil {
		return State{}, nil, err
	}
	if len(users) == 0 {
		users = s.names()
	}
	s = s.Clone()
	var changes []Change
	for _, user := range users {
		e := s.Entries[user]
		if !e.Retired {
			continue
		}
		for _, host := range e.VirtualHosts {
			changes = append(changes, Change{Kind: KindHostname, Key: host, Action: Release, Reason: ReasonPruned, Before: ownerValue(user)})
		}
		e.VirtualHosts = nil
		s.Entries[user] = e
	}
	slices.SortFunc(changes, CompareChanges)
	return s, changes, nil
}
