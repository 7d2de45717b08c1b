package state

import (
	"fmt"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// errEmpty is for a state.json without entries and description. [New] has a
// description.
var errEmpty = problem.New("", "the state is empty, so new environments would get UIDs that others had before",
	"restore the file (git checkout -- generated/state.json); before the first plan of a new provider, run `mage state:init`")

// entryError reports an invalid entry of state.json, or an invalid field of it;
// field is "" for the whole entry. line counts from 1, and is 0 without a text.
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

// duplicateUID reports a UID of several users, on these lines of the file.
func duplicateUID(uid int, users []string, lines []int) error {
	return problem.New(fmt.Sprintf("the UID %d", uid), "belongs to "+all(users)+onLines(lines),
		"after a merge of branches that both allocated, keep the entry that was deployed, remove the other and run `mage plan`: "+
			"it gets a new UID; if both were deployed by the legacy generator, give one a new UID by hand and chown its files on the node")
}

// duplicateHost reports a host name of several users, on these lines of the file.
func duplicateHost(host string, users []string, lines []int) error {
	return problem.New(fmt.Sprintf("the host name %q", host), "belongs to "+all(users)+onLines(lines),
		"decide which environment owns it, and remove it from virtualHosts of the other entries")
}

// unproven reports an environment that has the user name of an entry of the legacy
// generator, which may be another environment's.
func unproven(c Claim) error {
	return problem.New("the user "+c.UserName, fmt.Sprintf("has an entry of the legacy generator, and nothing proves that it is of %s", c.identity()),
		fmt.Sprintf("if it is, add %s to provider.moved; if it is of a former environment, rename the new one", Moved{c.UserName, c.Organisation + "__" + c.Project + "/" + c.Environment}.nix()))
}

// noUIDs reports a range that is too small for the new environments, of which the
// first needs the UID next.
func noUIDs(uids UIDRange, next, needed int) error {
	return problem.New("", fmt.Sprintf("%d new %s a UID from %d on, and provider.uidRange ends at %d",
		needed, plural(needed, "environment needs", "environments need"), next, uids.Max),
		fmt.Sprintf("UIDs are never used again; raise the end of provider.uidRange to %d or more, clear of the ranges of NixOS, nixbld and systemd", next+needed-1))
}

// A conflict is a host name with claimants that must not get it.
type conflict struct {
	Host         string
	Owner        string   // the user that owns it, "" for none
	OwnerRetired bool     // the owner was retired before this step
	OwnerLeaves  bool     // this step retires the owner
	Declared     bool     // the owner still declares it
	SameProject  bool     // all claimants are in the owner's project
	Claimants    []string // users, sorted
}

func (c conflict) problem() error {
	subject := fmt.Sprintf("the host name %q", c.Host)
	if c.Owner == "" {
		return problem.New(subject, fmt.Sprintf("is claimed by %s, and has no owner yet", all(c.Claimants)), c.fix())
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
		return "keep it in virtualHosts of one environment, and remove it from the others"
	case c.Declared && c.SameProject:
		return fmt.Sprintf("remove it from virtualHosts of %s, or of %s: it then moves within the project", c.Claimants[0], c.Owner)
	case c.Declared:
		return fmt.Sprintf("remove it from virtualHosts of %s; or, to hand it over, remove it from %s and set %s", all(c.Claimants), c.Owner, stanza)
	case c.OwnerRetired:
		return fmt.Sprintf("to hand it over, set %s or, to free all names of the retired environment, run `mage state:prune -user=%s`", stanza, c.Owner)
	case len(c.Claimants) > 1:
		return "decide which of them gets it, remove it from virtualHosts of the others, and set " + stanza
	default:
		return "to hand it over, set " + stanza
	}
}

// wildcardCovers reports a wildcard over a name of another organisation, or over
// a node's if hostOwner is "". retired lists those of the two owners that are
// retired.
func wildcardCovers(wildcard, wildcardOwner, host, hostOwner string, retired []string) error {
	of, fix := hostOwner, fmt.Sprintf("one organisation must own both: remove one of them from virtualHosts of its environment, or replace the wildcard by the names that %s needs", wildcardOwner)
	if hostOwner == "" {
		of, fix = "the provider's node", fmt.Sprintf("remove it from virtualHosts of %s: the provider owns the names of nodes", wildcardOwner)
	}
	if len(retired) > 0 {
		fix = fmt.Sprintf("%s left the inputs and has its names reserved; to free them, run `mage state:prune -user=%s`", all(retired), retired[0])
	}
	return problem.New(fmt.Sprintf("the wildcard %q of %s", wildcard, wildcardOwner), fmt.Sprintf("covers %q of %s", host, of), fix)
}

// nodeOwns reports environments that claim the name of a node.
func nodeOwns(host, node string, claimants []string) error {
	return problem.New(fmt.Sprintf("the host name %q", host), fmt.Sprintf("belongs to the node %s and is claimed by %s", node, all(claimants)),
		"remove it from virtualHosts of "+all(claimants))
}

// otherUser reports an environment with the user name of another one. owner and
// from are organisation/project/environment.
func otherUser(user, owner, from string) error {
	return problem.New("the user "+user, fmt.Sprintf("belongs to the environment %s and is claimed by %s", owner, from),
		"two environments must not share a user name: rename the newer project or environment")
}

// optionError reports an invalid value, as Nix, of an option or of one entry of
// it.
func optionError(option, entry, text, fix string) error {
	return problem.New(option+": "+entry+":", text, fix)
}

// all joins names: "a, b and c".
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
