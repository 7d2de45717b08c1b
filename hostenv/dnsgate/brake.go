package dnsgate

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

const (
	// maxFlips is the percentage of an organisation's certificates which one run may
	// turn off. Fewer than minFlips are always allowed. The same numbers hold for the
	// organisations that lose a certificate by that exception.
	maxFlips, minFlips = 30, 2
)

// Withheld is an organisation whose certificates a run leaves as they are.
type Withheld struct {
	Organisation string   `json:"organisation"`
	Hosts        []string `json:"hosts"` // those that would be turned off or have no verdict, sorted
	// Reason is [ErrWithheld], with a hint.
	Reason error `json:"-"`
}

// tooMany reports whether flips of a number are too many.
func tooMany(flips, of int) bool { return flips >= minFlips && flips*100 > of*maxFlips }

// A tally counts the certificates of an organisation that a run judges.
type tally struct {
	organisation   string
	on             int
	flips, unknown []string // hosts
	users          []string // environments of flips and unknown
	first          bool     // the gate never decided about a certificate of the organisation
}

// brake returns the organisations whose certificates have to stay as they are, sorted,
// and whether that is all that have certificates.
//
// Certificates that exist count. Before the first deploy of the plan none does; then
// those of an organisation count about which the gate never decided, so that its first
// run turns off as few as any other.
func (p Policy) brake(d plan.Document, decisions []Decision) (withheld []Withheld, all bool) {
	tallies := p.tallies(d, decisions)
	var rest, losing []*tally
	for _, t := range tallies {
		switch {
		case p.OnUnknown == OnUnknownFail && len(t.unknown) > 0:
			withheld = append(withheld, t.withheld(t.unknown, "try again, or decide with -onUnknown=disable or -onUnknown=keep",
				"%d virtual hosts have no verdict: %s", len(t.unknown), listed(t.unknown)))
		case !p.AllowFlips && tooMany(len(t.flips), t.on):
			withheld = append(withheld, t.withheld(t.flips, t.accept(len(tallies)),
				"%d of %d certificates would be %s, over %d %%: %s", len(t.flips), t.on, t.turned(), maxFlips, listed(t.flips)))
		case t.on > 0:
			rest = append(rest, t)
			if len(t.flips)*100 > t.on*maxFlips {
				losing = append(losing, t)
			}
		}
	}
	if !p.AllowFlips && tooMany(len(losing), len(rest)) {
		for _, t := range losing {
			withheld = append(withheld, t.withheld(t.flips, t.accept(len(tallies)),
				"a certificate would be %s, of this and %d other organisations, over %d %% of them: %s", t.turned(), len(losing)-1, maxFlips, listed(t.flips)))
		}
	}
	slices.SortFunc(withheld, func(a, b Withheld) int { return strings.Compare(a.Organisation, b.Organisation) })
	return withheld, len(withheld) > 0 && len(withheld) == len(tallies)
}

// tallies returns the tallies of the organisations, sorted.
func (p Policy) tallies(d plan.Document, decisions []Decision) []*tally {
	deployed := false
	for user := range d.Environments {
		deployed = deployed || p.Deployed != nil && p.Deployed(user)
	}
	known := map[string]bool{}
	for host := range d.DNSGate {
		_, ok := entryOf(d, host)
		known[host] = ok
	}
	gated := map[string]bool{}
	for _, c := range wanted(d) {
		gated[c.Organisation] = gated[c.Organisation] || known[c.Host]
	}
	by := map[string]*tally{}
	for _, decision := range decisions {
		t := by[decision.Organisation]
		if t == nil {
			t = &tally{organisation: decision.Organisation, first: !deployed && !p.Preview && !gated[decision.Organisation]}
			by[decision.Organisation] = t
		}
		if decision.had || t.first {
			t.on++
			// A new certificate without a verdict waits.
			if !decision.On && !p.over(decision) && (decision.had || decision.Verdict.Result == Fail) {
				t.flips, t.users = append(t.flips, decision.Host), append(t.users, decision.User)
			}
		}
		if decision.Verdict.Result == Unknown && !decision.Kept {
			t.unknown = append(t.unknown, decision.Host)
		}
	}
	all := slices.SortedFunc(maps.Values(by), func(a, b *tally) int { return strings.Compare(a.organisation, b.organisation) })
	for _, t := range all {
		slices.Sort(t.flips)
		slices.Sort(t.unknown)
		slices.Sort(t.users)
		t.users = slices.Compact(t.users)
	}
	return all
}

func (t *tally) turned() string {
	if t.first {
		return "off from the start"
	}
	return "turned off at once"
}

// accept is the hint of an organisation that loses many certificates.
func (t *tally) accept(organisations int) string {
	flags := "-allowFlips"
	if organisations > 1 {
		flags = "-env=" + strings.Join(t.users, ",") + " " + flags
	}
	return fmt.Sprintf("see why with -dryRun %s, which writes no file; if it is right, run with %s", flags, flags)
}

func (t *tally) withheld(hosts []string, fix, format string, args ...any) Withheld {
	if t.organisation != "" {
		format, args = "%s: "+format, append([]any{t.organisation}, args...)
	}
	return Withheld{t.organisation, hosts, withhold(fix, format, args...)}
}

// leave undoes the decisions on the certificates of the organisations that are withheld.
func leave(d plan.Document, out *Gated, gate map[string]plan.GateEntry) {
	withheld := map[string]bool{}
	for _, w := range out.Withheld {
		withheld[w.Organisation] = true
	}
	for i := range out.Decisions {
		decision := &out.Decisions[i]
		if !withheld[decision.Organisation] {
			continue
		}
		decision.On, decision.Kept, decision.Fresh, decision.Withheld = decision.Was, false, false, true
		decision.Since, decision.KeepUntil = "", ""
		delete(gate, decision.Host)
		if old, ok := entryOf(d, decision.Host); ok {
			gate[decision.Host] = old
			decision.Since, decision.KeepUntil = old.Since, old.KeepUntil
		}
	}
}

func causes(withheld []Withheld) error {
	var all []error
	for _, w := range withheld {
		all = append(all, w.Reason)
	}
	return errors.Join(all...)
}
