package dnsgate

import "github.com/woolwichweb/hostenv-provider/hostenv/plan"

// Carry returns the next plan with the gate's decisions of the old plan. So a plan
// that is computed again after the gate is the same, and a certificate that is off
// stays off. Carry drops decisions about virtual hosts that no longer exist or no
// longer ask for a certificate.
//
// It does not change the state, so the plan's digest of it stays right.
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
