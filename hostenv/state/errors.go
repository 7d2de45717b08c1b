package state

import (
	"fmt"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// errEmpty is for a state.json that has no entry and no description, which
// [Initial] would have written.
var errEmpty = problem.New("", "the state is empty, and allocation must never begin anew because a file was lost",
	"restore it (git checkout -- generated/state.json); for a provider that never planned anything, run `mage state:init`")

// entryError is for an entry of state.json, or a field of it (or "" for the
// whole), that is not as this package writes them. The line is counted from 1,
// and 0 if there is no text.
func entryError(line int, entry, field, text, fix string) error {
	var subject strings.Builder
	if line > 0 {
		fmt.Fprintf(&subject, "line %d: ", line)
	}
	if entry != "" {
		fmt.Fprintf(&subject, "entry %q: ", entry)
	}
	subject.WriteString(field)
	return problem.New(strings.TrimSuffix(subject.String(), " "), text, fix)
}

// duplicateUID is for a UID of several users, on these lines of the file.
func duplicateUID(uid int, users []string, lines []int) error {
	return problem.New(fmt.Sprintf("the UID %d", uid), "belongs to "+all(users)+onLines(lines),
		"after a merge of branches that both allocated, keep the entry that was deployed, remove the other and run `mage plan`: "+
			"it gets a new UID; if both were deployed by the legacy generator, give one a new UID by hand and chown its files on the node")
}

// duplicateHost is for a host name of several users, on these lines of the file.
func duplicateHost(host string, users []string, lines []int) error {
	return problem.New(fmt.Sprintf("the host name %q", host), "belongs to "+all(users)+onLines(lines),
		"decide whose it is, and remove it from virtualHosts of the other entries")
}

// noUIDs is for a range that has no room for the new environments, whose first
// would have got the UID next.
func noUIDs(uids UIDRange, next, needed int) error {
	return problem.New("", fmt.Sprintf("%d new %s a UID from %d on, and provider.uidRange ends at %d",
		needed, plural(needed, "environment needs", "environments need"), next, uids.Max),
		fmt.Sprintf("UIDs are never used again; raise the end of provider.uidRange to %d or more, clear of the ranges of NixOS, nixbld and systemd", next+needed-1))
}

// A conflict is a host name that is claimed by environments that may not have it.
type conflict struct {
	Host         string
	Owner        string   // the user that owns it, "" if there is none
	OwnerRetired bool     // the owner is retired already
	OwnerLeaves  bool     // the owner would be retired by this very step
	Declared     bool     // the owner declares it still
	SameProject  bool     // all claimants are of the owner's project
	Claimants    []string // users, sorted
}

func (c conflict) problem() error {
	subject := fmt.Sprintf("the host name %q", c.Host)
	if c.Owner == "" {
		return problem.New(subject, fmt.Sprintf("is claimed by %s, and no one owns it yet", all(c.Claimants)), c.fix())
	}
	owner := c.Owner
	switch {
	case c.OwnerRetired:
		owner += " (retired)"
	case c.OwnerLeaves:
		owner += ", which has left the inputs,"
	case c.Declared:
		owner += ", which declares it,"
	}
	return problem.New(subject, fmt.Sprintf("belongs to %s and is claimed by %s", owner, all(c.Claimants)), c.fix())
}

func (c conflict) fix() string {
	stanza := fmt.Sprintf("provider.transfers = [ { host = %q; from = %q; to = %q; } ];", c.Host, c.Owner, c.Claimants[0])
	switch {
	case c.Owner == "" || len(c.Claimants) > 1 && c.SameProject:
		return "let one environment alone declare it: remove it from virtualHosts of the others"
	case c.Declared && c.SameProject:
		return fmt.Sprintf("remove it from virtualHosts of %s, or of %s: it then moves within the project", c.Claimants[0], c.Owner)
	case c.Declared:
		return fmt.Sprintf("remove it from virtualHosts of %s; or, to hand it over, remove it from %s and set %s", all(c.Claimants), c.Owner, stanza)
	case c.OwnerRetired:
		return fmt.Sprintf("to hand it over, set %s or, to free all names of the retired environment, run `mage state:prune -user=%s`", stanza, c.Owner)
	case len(c.Claimants) > 1:
		return "decide which of them gets it, remove it from virtualHosts of the others, and name that one in " + stanza
	default:
		return "to hand it over, set " + stanza
	}
}

// wildcardCovers is for a wildcard over a name of another organisation, or of
// a node if the name has no owner. Of the two owners some may be retired.
func wildcardCovers(wildcard, wildcardOwner, host, hostOwner string, retired []string) error {
	of, fix := hostOwner, fmt.Sprintf("one organisation must own both: remove one of them from virtualHosts of its environment, or let %s list the names it needs in place of the wildcard", wildcardOwner)
	if hostOwner == "" {
		of, fix = "the provider's node", fmt.Sprintf("remove it from virtualHosts of %s: names of nodes are the provider's", wildcardOwner)
	}
	if len(retired) > 0 {
		fix = fmt.Sprintf("%s left the inputs and has its names reserved; to free them, run `mage state:prune -user=%s`", all(retired), retired[0])
	}
	return problem.New(fmt.Sprintf("the wildcard %q of %s", wildcard, wildcardOwner), fmt.Sprintf("covers %q of %s", host, of), fix)
}

// nodeOwns is for environments that claim the name of a node.
func nodeOwns(host, node string, claimants []string) error {
	return problem.New(fmt.Sprintf("the host name %q", host), fmt.Sprintf("belongs to the node %s and is claimed by %s", node, all(claimants)),
		"remove it from virtualHosts of "+all(claimants))
}

// otherUser is for a claim from an environment that has another's user name;
// both are organisation/project/environment.
func otherUser(user, owner, from string) error {
	return problem.New("the user "+user, fmt.Sprintf("belongs to the environment %s and is claimed by %s", owner, from),
		"two environments must not share a user name: rename the newer project or environment")
}

// optionError is for an entry, as Nix, of provider.moved or provider.transfers
// that cannot be carried out.
func optionError(option, entry, text, fix string) error {
	return problem.New(option+": "+entry+":", text, fix)
}

// all joins names as people do.
func all(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

func onLines(lines []int) string {
	if len(lines) == 0 || lines[0] == 0 {
		return ""
	}
	texts := make([]string, len(lines))
	for i, line := range lines {
		texts[i] = fmt.Sprint(line)
	}
	return " (lines " + all(texts) + ")"
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
