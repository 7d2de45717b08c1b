package dnsgate

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// ErrWithheld is every error for which the gate leaves a plan as it was, though
// the plan itself is sound.
var ErrWithheld = errors.New("the gate leaves the plan as it is")

// A ResolverError reports that a resolver answers no question.
type ResolverError struct {
	Resolver string
	Lookups  int
}

func (e *ResolverError) Error() string {
	return fmt.Sprintf("all %d lookups through %s fail", e.Lookups, cmp.Or(e.Resolver, "the resolver"))
}

// Hint returns what to do.
func (e *ResolverError) Hint() string {
	return "look at the network of this machine, or name another validating resolver: -resolver=ADDRESS"
}

func (e *ResolverError) Unwrap() error { return ErrWithheld }

// A NodeError reports that nodes' own names have no address.
type NodeError struct {
	Nodes []string // names in DNS, sorted
	Saw   []string // what was seen, a line each
}

func (e *NodeError) Error() string {
	return "the nodes' own names have no address: " + strings.Join(e.Saw, "; ")
}

// Hint returns what to do.
func (e *NodeError) Hint() string {
	return "publish A or AAAA records for " + strings.Join(e.Nodes, ", ") + "; if they are published, look at the network of this machine, or name another resolver: -resolver=ADDRESS; to judge the other nodes, use -node"
}

func (e *NodeError) Unwrap() error { return ErrWithheld }

// A FlipError reports that a run would turn off too many certificates at once.
type FlipError struct {
	Hosts []string // sorted
	Of    int      // how many certificates are on
}

// maxListed is how many hosts an error names.
const maxListed = 10

func (e *FlipError) Error() string {
	return fmt.Sprintf("%d of %d certificates would be turned off at once, over %d %%: %s", len(e.Hosts), e.Of, maxFlips, listed(e.Hosts))
}

// Hint returns what to do.
func (e *FlipError) Hint() string {
	return "see why with -dryRun -allowFlips, which writes nothing; if it is right, run with -allowFlips"
}

func (e *FlipError) Unwrap() error { return ErrWithheld }

// An UnknownError reports certificates without a verdict, now or from before.
type UnknownError struct{ Hosts []string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("%d virtual hosts have no verdict: %s", len(e.Hosts), listed(e.Hosts))
}

// Hint returns what to do.
func (e *UnknownError) Hint() string {
	return "try again, or let -onUnknown=disable or -onUnknown=keep decide"
}

func (e *UnknownError) Unwrap() error { return ErrWithheld }

func listed(names []string) string {
	text := strings.Join(names[:min(len(names), maxListed)], ", ")
	if more := len(names) - maxListed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
