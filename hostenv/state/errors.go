package state

import (
	"fmt"
	"strings"
)

// Refused holds every reason why a state or a step was refused. Each is a
// typed error of this package, or of the one that asked, with a method Hint
// that says what mends it.
type Refused struct{ Errors []error }

func (r *Refused) Error() string {
	if len(r.Errors) == 1 {
		return r.Errors[0].Error()
	}
	lines := make([]string, 0, len(r.Errors)+1)
	lines = append(lines, fmt.Sprintf("%d problems", len(r.Errors)))
	for _, err := range r.Errors {
		lines = append(lines, "- "+err.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As and errors.Is see each of them.
func (r *Refused) Unwrap() []error { return r.Errors }

// refuse returns a *Refused of errs, or nil if there are none.
func refuse(errs ...error) error {
	if len(errs) == 0 {
		return nil
	}
	return &Refused{Errors: errs}
}

// EmptyError says that a state.json remembers nothing, and that nothing shows
// that it was meant so.
type EmptyError struct{}

func (*EmptyError) Error() string {
	return "the state is empty, and allocation must never begin anew because a file was lost"
}

// Hint says how to get the state back.
func (*EmptyError) Hint() string {
	return "restore it (git checkout -- generated/state.json); for a provider that never planned anything, run `mage state:init`"
}

// EntryError says that an entry of state.json, or a field of it, is no entry
// as this package writes them.
type EntryError struct {
	Entry, Field    string // the key of the entry; the field, "" for the whole
	Line            int    // counted from 1, 0 if there is no text
	Problem, Remedy string
}

func (e *EntryError) Error() string {
	var b strings.Builder
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", e.Line)
	}
	if e.Entry != "" {
		fmt.Fprintf(&b, "entry %q: ", e.Entry)
	}
	if e.Field != "" {
		b.WriteString(e.Field + " ")
	}
	return b.String() + e.Problem
}

// Hint says what mends the entry.
func (e *EntryError) Hint() string { return e.Remedy }

// DuplicateUIDError says that two entries have one UID.
type DuplicateUIDError struct {
	UID   int
	Users []string // sorted
	Lines []int    // of their entries, if they were read from a file
}

func (e *DuplicateUIDError) Error() string {
	return fmt.Sprintf("the UID %d belongs to %s%s", e.UID, all(e.Users), onLines(e.Lines))
}

// Hint says how two branches come to allocate one UID, and what to do.
func (e *DuplicateUIDError) Hint() string {
	return "after a merge of branches that both allocated, keep the entry that was deployed, remove the other and run `mage plan`: " +
		"it gets a new UID; if both were deployed by today's generator, give one a new UID by hand and chown its files on the node"
}

// DuplicateHostnameError says that two entries own one host name.
type DuplicateHostnameError struct {
	Host  string
	Users []string // sorted
	Lines []int    // of their entries, if they were read from a file
}

func (e *DuplicateHostnameError) Error() string {
	return fmt.Sprintf("the host name %q belongs to %s%s", e.Host, all(e.Users), onLines(e.Lines))
}

// Hint says what mends it.
func (e *DuplicateHostnameError) Hint() string {
	return "decide whose it is, and remove it from virtualHosts of the other entries"
}

// UIDRangeError says that the range has no room for the new environments.
type UIDRangeError struct {
	Range  UIDRange
	Next   int // the first UID that would have been given
	Needed int // how many environments are new
}

func (e *UIDRangeError) Error() string {
	return fmt.Sprintf("%d new %s a UID from %d on, and provider.uidRange ends at %d",
		e.Needed, plural(e.Needed, "environment needs", "environments need"), e.Next, e.Range.Max)
}

// Hint says how to make room.
func (e *UIDRangeError) Hint() string {
	return fmt.Sprintf("UIDs are never used again; raise the end of provider.uidRange to %d or more, clear of the ranges of NixOS, nixbld and systemd",
		e.Next+e.Needed-1)
}

// HostnameError says that a host name is claimed by an environment that may
// not have it.
type HostnameError struct {
	Host         string
	Owner        string   // the user that owns it, "" if nobody does
	OwnerRetired bool     // the owner is retired already
	OwnerLeaves  bool     // the owner would be retired by this very step
	Declared     bool     // the owner declares it still
	SameProject  bool     // all claimants are of the owner's project
	Claimants    []string // users, sorted
}

func (e *HostnameError) Error() string {
	if e.Owner == "" {
		return fmt.Sprintf("the host name %q is claimed by %s, and no one owns it yet", e.Host, all(e.Claimants))
	}
	owner := e.Owner
	switch {
	case e.OwnerRetired:
		owner += " (retired)"
	case e.OwnerLeaves:
		owner += ", which has left the inputs,"
	case e.Declared:
		owner += ", which declares it,"
	}
	return fmt.Sprintf("the host name %q belongs to %s and is claimed by %s", e.Host, owner, all(e.Claimants))
}

// Hint gives the change, or the stanza, that mends the conflict.
func (e *HostnameError) Hint() string {
	stanza := fmt.Sprintf("provider.transfers = [ { host = %q; from = %q; to = %q; } ];", e.Host, e.Owner, e.Claimants[0])
	switch {
	case e.Owner == "" || len(e.Claimants) > 1 && e.SameProject:
		return "let one environment alone declare it: remove it from virtualHosts of the others"
	case e.Declared && e.SameProject:
		return fmt.Sprintf("remove it from virtualHosts of %s, or of %s: it then moves within the project", e.Claimants[0], e.Owner)
	case e.Declared:
		return fmt.Sprintf("remove it from virtualHosts of %s; or, to hand it over, remove it from %s and set %s", all(e.Claimants), e.Owner, stanza)
	case e.OwnerRetired:
		return fmt.Sprintf("to hand it over, set %s or, to free all names of the retired environment, run `mage state:prune -user=%s`", stanza, e.Owner)
	case len(e.Claimants) > 1:
		return "decide which of them gets it, remove it from virtualHosts of the others, and name that one in " + stanza
	default:
		return "to hand it over, set " + stanza
	}
}

// WildcardError says that a wildcard covers a name of another organisation.
type WildcardError struct {
	Wildcard, WildcardOwner string
	Host, HostOwner         string   // HostOwner is "" if the name is a node's
	Retired                 []string // those of the owners that are retired
}

func (e *WildcardError) Error() string {
	owner := e.HostOwner
	if owner == "" {
		owner = "the provider's node"
	}
	return fmt.Sprintf("the wildcard %q of %s covers %q of %s", e.Wildcard, e.WildcardOwner, e.Host, owner)
}

// Hint says what mends it.
func (e *WildcardError) Hint() string {
	switch {
	case len(e.Retired) > 0:
		return fmt.Sprintf("%s left the inputs and has its names reserved; to free them, run `mage state:prune -user=%s`", all(e.Retired), e.Retired[0])
	case e.HostOwner == "":
		return fmt.Sprintf("remove it from virtualHosts of %s: names of nodes are the provider's", e.WildcardOwner)
	}
	return fmt.Sprintf("one organisation must own both: remove one of them from virtualHosts of its environment, or let %s list the names it needs in place of the wildcard", e.WildcardOwner)
}

// NodeNameError says that an environment claims the name of a node.
type NodeNameError struct {
	Host, Node string
	Claimants  []string
}

func (e *NodeNameError) Error() string {
	return fmt.Sprintf("the host name %q belongs to the node %s and is claimed by %s", e.Host, e.Node, all(e.Claimants))
}

// Hint says what mends it.
func (e *NodeNameError) Hint() string {
	return fmt.Sprintf("remove it from virtualHosts of %s", all(e.Claimants))
}

// IdentityError says that a claim has the user name of another environment.
type IdentityError struct {
	UserName    string
	Owner, From string // organisation/project/environment, in state and in the claim
}

func (e *IdentityError) Error() string {
	return fmt.Sprintf("the user %s belongs to the environment %s and is claimed by %s", e.UserName, e.Owner, e.From)
}

// Hint says what mends it.
func (e *IdentityError) Hint() string {
	return "two environments must not share a user name: rename the newer project or environment"
}

// OptionError says that an entry of provider.moved or provider.transfers
// cannot be carried out.
type OptionError struct {
	Option          string // such as "provider.moved"
	Entry           string // the entry, as Nix
	Problem, Remedy string
}

func (e *OptionError) Error() string { return fmt.Sprintf("%s: %s: %s", e.Option, e.Entry, e.Problem) }

// Hint says what mends the option.
func (e *OptionError) Hint() string { return e.Remedy }

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
