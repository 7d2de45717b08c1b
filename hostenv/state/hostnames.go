package state

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A Transfer hands a host name from one environment to another, across
// projects or organisations. From and To are user names. Host must be normalised.
type Transfer struct{ Host, From, To string }

func (t Transfer) nix() string {
	return fmt.Sprintf("{ host = %q; from = %q; to = %q; }", t.Host, t.From, t.To)
}

// hostnames decides which environment owns which host name. Nearly all names keep
// their owner, so it compares two sorted lists per environment first, and does the
// costly work only for names that the lists do not share.
func (st *step) hostnames() {
	claimed := newHolders[string](0) // names that their claimants do not own
	dropped := map[string]string{}   // names that their live owner no longer declares
	for _, user := range st.users {
		added, gone := compareSorted(st.Entries[user].VirtualHosts, st.claims[user].VirtualHosts)
		for _, host := range added {
			claimed.add(host, user)
		}
		for _, host := range gone {
			dropped[host] = user
		}
	}
	refused := map[string]error{}
	for host, node := range st.req.NodeNames {
		if users := st.claimants(host, claimed, dropped); len(users) > 0 {
			refused[host] = &ClaimError{users, nodeOwns(host, node, users)}
		}
	}
	transfers := st.transfers()
	next := map[string]string{} // the new owner of each name that changes owner, "" for none
	for host := range claimed.first {
		if refused[host] != nil {
			continue
		}
		owner, users := st.owners[host], st.claimants(host, claimed, dropped)
		winner, losers := st.judge(owner, users, transfers[host])
		if len(losers) > 0 {
			refused[host] = &ClaimError{losers, st.conflict(host, owner, slices.Contains(users, owner), losers)}
		}
		if winner != owner {
			next[host] = winner
		}
	}
	for host := range dropped {
		if claimed.first[host] == "" {
			next[host] = ""
		}
	}
	for _, host := range slices.Sorted(maps.Keys(refused)) {
		st.errs.Add(refused[host])
	}
	before := maps.Clone(st.owners)
	st.assign(next)
	st.warnIdleTransfers(transfers, before)
	st.wildcards(next)
}

// claimants returns, sorted, the users that declare a host name: those that do
// not own it, and its owner if that still declares it.
func (st *step) claimants(host string, claimed holders[string], dropped map[string]string) []string {
	var users []string
	if claimed.first[host] != "" {
		users = claimed.of(host)
	}
	if owner := st.owners[host]; owner != "" && st.declared(owner) && dropped[host] == "" {
		users = append(users, owner)
		slices.Sort(users)
	}
	return users
}

// compareSorted returns what is only in b, and what is only in a. It is fast for
// equal lists, which most are.
func compareSorted(a, b []string) (added, gone []string) {
	if slices.Equal(a, b) {
		return nil, nil
	}
	a, b = slices.Sorted(slices.Values(a)), slices.Compact(slices.Sorted(slices.Values(b)))
	return without(b, a), without(a, b)
}

// without returns the elements of list that are not in others, which is sorted.
func without(list, others []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool {
		_, found := slices.BinarySearch(others, s)
		return found
	})
}

func ownerValue(user string) Fields {
	if user == "" {
		return nil
	}
	return Fields{"owner": user}
}

// judge decides on one host name. It returns the owner from now on, and the users
// whose claims fail.
func (st *step) judge(owner string, users []string, t Transfer) (winner string, losers []string) {
	switch {
	case owner == "" && len(users) == 1:
		return users[0], nil
	case owner == "":
		return "", users
	case slices.Contains(users, owner):
		return owner, without(users, []string{owner})
	case t.From == owner && slices.Contains(users, t.To):
		return t.To, without(users, []string{t.To})
	case len(users) == 1 && st.sameProject(owner, users[0]):
		return users[0], nil
	default:
		return owner, users
	}
}

func (st *step) conflict(host, owner string, declared bool, losers []string) error {
	retired := st.Entries[owner].Retired
	c := conflict{
		Host: host, Owner: owner, Declared: declared, Claimants: losers,
		OwnerRetired: retired && !st.leaving[owner], OwnerLeaves: retired && st.leaving[owner],
	}
	c.SameProject = owner != "" && !slices.ContainsFunc(losers, func(user string) bool { return !st.sameProject(owner, user) })
	return c.problem()
}

// transfers returns provider.transfers by host.
func (st *step) transfers() map[string]Transfer {
	byHost := make(map[string]Transfer, len(st.req.Transfers))
	for _, t := range st.req.Transfers {
		wrong := ""
		if other, ok := byHost[t.Host]; ok && other != t {
			wrong = "the name has a second entry, " + other.nix()
		} else if t.From == t.To {
			wrong = "from and to are the same"
		}
		if wrong != "" {
			st.errs.Add(optionError("provider.transfers", t.nix(), wrong, "correct the entry, or remove it"))
			continue
		}
		byHost[t.Host] = t
	}
	return byHost
}

// warnIdleTransfers warns of transfers without effect. Some were carried out by an
// earlier plan. For the others, this plan may release the name.
func (st *step) warnIdleTransfers(transfers map[string]Transfer, before map[string]string) {
	for _, host := range slices.Sorted(maps.Keys(transfers)) {
		t := transfers[host]
		switch {
		case before[host] == t.From && st.owners[host] == t.To: // carried out by this plan
		case st.owners[host] == t.To:
			st.warnings = append(st.warnings, Warning{Subject: "provider.transfers", Message: t.nix() + " has been carried out and can be removed"})
		default:
			st.warnings = append(st.warnings, Warning{Subject: "provider.transfers", Message: t.nix() + " has no effect: " + t.To + " does not declare the name, or " + t.From + " does not own it"})
		}
	}
}

// wildcards refuses a wildcard over a name of another organisation or of a node.
// For nginx "*.acme.test" covers names of any depth below acme.test. It skips
// retired entries of the legacy generator, which have no organisation; a plan that
// revives one gives it its organisation. The claims of the names that have a new
// owner in this step are refused; if neither name has, no claim is at fault.
func (st *step) wildcards(next map[string]string) {
	refuse := func(err error, hosts ...string) {
		var users []string
		for _, host := range hosts {
			if user := next[host]; user != "" {
				users = append(users, user)
			}
		}
		if len(users) == 0 {
			st.errs.Add(err)
			return
		}
		slices.Sort(users)
		st.refuse(slices.Compact(users), err)
	}
	covers := map[string]string{} // the wildcard by what follows its "*."
	for host := range st.owners {
		if suffix, ok := strings.CutPrefix(host, "*."); ok {
			covers[suffix] = host
		}
	}
	if len(covers) == 0 {
		return
	}
	for _, host := range slices.Sorted(maps.Keys(st.owners)) {
		owner := st.owners[host]
		for wildcard := range above(host, covers) {
			other := st.owners[wildcard]
			a, b := st.Entries[owner].Organisation, st.Entries[other].Organisation
			if a != b && a != "" && b != "" {
				refuse(wildcardCovers(wildcard, other, host, owner, st.retired(other, owner)), wildcard, host)
			}
		}
	}
	for _, host := range slices.Sorted(maps.Keys(st.req.NodeNames)) {
		for wildcard := range above(host, covers) {
			refuse(wildcardCovers(wildcard, st.owners[wildcard], host, "", st.retired(st.owners[wildcard])), wildcard)
		}
	}
}

// retired returns those of users that were retired before this step. Only their
// names can be pruned.
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

// assign gives each name to its new owner, or to none. It replaces the lists of the
// entries, because the prior state shares the old ones.
func (st *step) assign(next map[string]string) {
	lost := map[string][]string{}
	won := map[string][]string{}
	for host, owner := range next {
		if before := st.owners[host]; before != "" {
			lost[before] = append(lost[before], host)
		}
		delete(st.owners, host)
		if owner != "" {
			won[owner] = append(won[owner], host)
			st.owners[host] = owner
		}
	}
	users := maps.Clone(lost)
	maps.Copy(users, won)
	for user := range users {
		e := st.Entries[user]
		slices.Sort(lost[user])
		hosts := append(without(e.VirtualHosts, lost[user]), won[user]...)
		slices.Sort(hosts)
		e.VirtualHosts = hosts
		st.Entries[user] = e
	}
}

// Prune frees the host names of retired environments: of users, or of all if
// users is empty. UIDs stay reserved. There is one change for each freed host
// name. If a user is unknown or not retired, Prune frees no names and returns an
// error.
func (s State) Prune(users ...string) (State, []Change, error) {
	var errs problem.List
	for _, user := range users {
		switch e, ok := s.Entries[user]; {
		case !ok:
			errs.Add(entryError(0, user, "", "there is no such user", "`mage state:list` shows the user names"))
		case !e.Retired:
			errs.Add(entryError(0, user, "", "is live, and its names are in use", "remove the environment from the inputs and run `mage plan` first"))
		}
	}
	if err := errs.Err(); err != nil {
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
		domains := e.Domains
		e.Domains = nil
		s.Entries[user] = e
		s.keepProofs(e.Organisation, domains)
	}
	slices.SortFunc(changes, CompareChanges)
	return s, changes, nil
}
