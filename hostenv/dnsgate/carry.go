package dnsgate

import "github.com/woolwichweb/hostenv-provider/hostenv/plan"

// Carry takes the decisions about certificates over from the old plan into a new
// one, and returns the new one with them: so that planning again after the gate
// changes nothing, and no certificate that was turned off is ordered only because
// of a new plan. Decisions about virtual hosts that are gone, or that ask for no
// certificate any more, are left behind.
//
// The state is not concerned: its digest in the plan stays right.
func Carry(old, next plan.Document) plan.Document {
	if len(old.DNSGate) == 0 {
		return next
	}
	gate := map[string]plan.GateEntry{}
	changes := orders{}
	for _, c := range wanted(next) {
		last, ok := entryOf(old, c.Host)
		if !ok {
			continue
		}
		gate[c.Host] = withAsked(last, c.Asked)
		if last.Decision == plan.GateOff {
			changes.set(c, false)
		}
	}
	next.DNSGate = gate
	return next.WithTLS(changes)
}
