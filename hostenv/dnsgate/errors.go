package dnsgate

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// ErrWithheld is every error for which the gate leaves a plan as it was, though
// the plan itself is sound.
var ErrWithheld = errors.New("the gate leaves the plan as it is")

// A withheld is a problem that errors.Is finds to be ErrWithheld.
type withheld struct{ *problem.Problem }

func (withheld) Is(target error) bool { return target == ErrWithheld }

func withhold(fix, format string, args ...any) error {
	return withheld{&problem.Problem{Text: fmt.Sprintf(format, args...), Fix: fix}}
}

func errNoAnswer(resolver string, lookups int) error {
	return withhold("look at the network of this machine, or name another validating resolver: -resolver=ADDRESS",
		"all %d lookups through %s fail", lookups, cmp.Or(resolver, "the resolver"))
}

// errDarkNodes takes the names in DNS of nodes without an address, and what was
// seen of each.
func errDarkNodes(nodes, saw []string) error {
	return withhold("publish A or AAAA records for "+strings.Join(nodes, ", ")+
		"; if they are published, look at the network of this machine, or name another resolver: -resolver=ADDRESS; to judge the other nodes, use -node",
		"the nodes' own names have no address: %s", strings.Join(saw, "; "))
}

// errFlips takes the hosts that would be turned off, of so many certificates
// that are on.
func errFlips(hosts []string, of int) error {
	return withhold("see why with -dryRun -allowFlips, which writes nothing; if it is right, run with -allowFlips",
		"%d of %d certificates would be turned off at once, over %d %%: %s", len(hosts), of, maxFlips, listed(hosts))
}

func errNoVerdict(hosts []string) error {
	return withhold("try again, or let -onUnknown=disable or -onUnknown=keep decide",
		"%d virtual hosts have no verdict: %s", len(hosts), listed(hosts))
}

// maxListed is how many hosts an error names.
const maxListed = 10

func listed(names []string) string {
	text := strings.Join(names[:min(len(names), maxListed)], ", ")
	if more := len(names) - maxListed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
