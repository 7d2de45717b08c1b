package dnsgate

import (
	"errors"
	"fmt"
	"strings"
)

// ErrWithheld is every error for which the gate leaves a plan as it was though
// nothing is wrong with the plan.
var ErrWithheld = errors.New("the gate leaves the plan as it is")

// ResolverError says that a resolver answers nothing.
type ResolverError struct {
	Resolver string
	Lookups  int
}

func (e *ResolverError) Error() string {
	who := e.Resolver
	if who == "" {
		who = "the resolver"
	}
	return fmt.Sprintf("all %d lookups through %s fail", e.Lookups, who)
}

// Hint says what mends it.
func (e *ResolverError) Hint() string {
	return "look at the network of this machine, or name another validating resolver: -resolver=ADDRESS"
}

func (e *ResolverError) Unwrap() error { return ErrWithheld }

// NodeError says that nodes' own names have no address.
type NodeError struct {
	Nodes []string // names in DNS, sorted
	Saw   []string // what was seen, a line each
}

func (e *NodeError) Error() string {
	return "the nodes' own names have no address: " + strings.Join(e.Saw, "; ")
}

// Hint says what mends it.
func (e *NodeError) Hint() string {
	return "publish A or AAAA records for " + strings.Join(e.Nodes, ", ") + "; if they are published, look at the network of this machine, or name another resolver: -resolver=ADDRESS; to judge the other nodes, use -node"
}

func (e *NodeError) Unwrap() error { return ErrWithheld }

// FlipError says that a run would turn off too many certificates at once.
type FlipError struct {
	Hosts []string // sorted
	Of    int      // how many certificates are on
}

// maxListed is how many hosts an error names.
const maxListed = 10

func (e *FlipError) Error() string {
	return fmt.Sprintf("%d of %d certificates would be turned off at once, over %d %%: %s", len(e.Hosts), e.Of, maxFlips, listed(e.Hosts))
}

// Hint says what to do.
func (e *FlipError) Hint() string {
	return "see why with -dryRun -allowFlips, which writes nothing; if it is right, run with -allowFlips"
}

func (e *FlipError) Unwrap() error { return ErrWithheld }

// UnknownError says that certificates have no verdict, and none from before.
type UnknownError struct{ Hosts []string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("%d virtual hosts have no verdict: %s", len(e.Hosts), listed(e.Hosts))
}

// Hint says what to do.
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
