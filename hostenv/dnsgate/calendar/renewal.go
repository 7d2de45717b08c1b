package calendar

import (
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

const day = 24 * time.Hour

// backdated is how far before its issuance Boulder sets a certificate's notBefore.
const backdated = time.Hour

// A window is the time within which something happens once.
type window struct{ earliest, latest time.Time }

// expiry returns the notAfter of a certificate that is issued at a time.
func expiry(p plan.CertificateProfile, issued time.Time) time.Time {
	return issued.Add(dnsgate.TermsAt(p, issued).Lifetime - backdated - time.Second)
}

// A policy says when a node renews.
type policy struct {
	profile plan.CertificateProfile
	days    int // validMinDays, 0 for --dynamic
}

// due returns the window within which a node renews a certificate, of which it is known
// when it was issued.
func (p policy) due(issued time.Time) window {
	return p.dueOf(dnsgate.TermsAt(p.profile, issued).Lifetime, expiry(p.profile, issued))
}

// dueOf returns the window for a certificate of a lifetime that expires at a time.
func (p policy) dueOf(lifetime time.Duration, notAfter time.Time) window {
	left := part(lifetime) // the rule of --dynamic
	if p.days > 0 {
		left = time.Duration(p.days+1) * day
	}
	rule := notAfter.Add(-left)
	suggested := notAfter.Add(-part(lifetime))
	margin := lifetime / 100
	// The timer runs once a day.
	return window{earlier(rule, suggested.Add(-margin)), earlier(rule, suggested.Add(margin)).Add(day)}
}

// part is the part of a lifetime that is left when the CA suggests a renewal.
func part(lifetime time.Duration) time.Duration {
	if lifetime < 10*day {
		return lifetime / 2
	}
	return lifetime / 3
}

// after returns the window of the renewal of a certificate that was issued within w.
func (p policy) after(w window) window {
	first, last := p.due(w.earliest), p.due(w.latest)
	next := window{earlier(first.earliest, last.earliest), later(first.latest, last.latest)}
	// A shorter lifetime that begins within the window leads to an earlier renewal, and
	// the moment before it to the latest.
	for _, t := range dnsgate.TermsBetween(p.profile, w.earliest, w.latest) {
		next.earliest = earlier(next.earliest, p.due(t.From).earliest)
		next.latest = later(next.latest, p.due(t.From.Add(-time.Nanosecond)).latest)
	}
	// A certificate that is always due is renewed once a day.
	next.earliest = later(next.earliest, w.earliest.Add(day))
	next.latest = later(next.latest, w.latest.Add(day))
	return next
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// shortest returns the shortest time between two orders of a certificate between two
// times.
func (p policy) shortest(from, until time.Time) time.Duration {
	shortest := p.due(from).earliest.Sub(from)
	for _, t := range dnsgate.TermsBetween(p.profile, from, until) {
		shortest = min(shortest, p.due(t.From).earliest.Sub(t.From))
	}
	return max(day, shortest)
}
