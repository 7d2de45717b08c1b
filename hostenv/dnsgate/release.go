package dnsgate

import (
	"slices"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// runsEvery is the time between two runs of the gate, as [Releases] takes it.
const runsEvery = 24 * time.Hour

// A Release is the run of the gate that turns on a certificate which it holds back.
type Release struct {
	Host string
	// Reason is why the gate holds it back now: [ReasonQuota] or [ReasonRateLimit].
	Reason Reason
	// At is the time of the run, the zero time if none before the end turns it on.
	At time.Time
}

// HeldBack reports whether the gate holds a certificate back that passed, until its
// project's quota and Let's Encrypt's limits have room for it, and why.
func HeldBack(e plan.GateEntry) (Reason, bool) {
	reason := Reason(e.Reason)
	return reason, e.Decision == plan.GateOff && (reason == ReasonQuota || reason == ReasonRateLimit)
}

// Releases returns when the gate turns on the certificates that it holds back for a
// project's quota or a limit of Let's Encrypt, by host: it runs at now and then once a
// day, before until. It takes it that all names pass, that the plan stays as it is, and
// that the first run orders what it has not judged yet.
func Releases(d plan.Document, now, until time.Time) []Release {
	certificates := wanted(d)
	l := newLedger(certificates, now)
	for _, o := range ordersOf(certificates, d.DNSGate, nil, now) {
		l.add(o)
	}
	var all []Release
	var waiting []Certificate
	first, counts := map[string]bool{}, map[string]bool{} // hosts that the first run orders, and those that count for a quota
	for _, c := range certificates {
		e, judged := entryOf(d, c.Host)
		if reason, held := HeldBack(e); held && isServed(d, c) {
			waiting = append(waiting, c)
			all = append(all, Release{Host: c.Host, Reason: reason})
			continue
		}
		set := setOf(c.Names)
		if first[c.Host] = !judged || isOn(&e) && anew(c, e); first[c.Host] {
			e.Profile = c.Profile
			counts[c.Host] = !judged || anew(c, e)
			l.add(order{host: c.Host, organisation: c.Organisation, node: c.Node, set: set, at: now})
		}
	}
	q := newQuotas(certificates, d.DNSGate, counts)
	for _, c := range certificates {
		if counts[c.Host] {
			q.add(c, now)
		}
	}
	at := map[string]time.Time{}
	for run := now; len(waiting) > 0 && run.Before(until); run = run.Add(runsEvery) {
		l.now = run
		for _, host := range l.release(d, waiting, q) {
			at[host] = run
		}
		waiting = slices.DeleteFunc(waiting, func(c Certificate) bool { return at[c.Host].Equal(run) })
	}
	for i := range all {
		all[i].At = at[all[i].Host]
	}
	return all
}

// release returns the hosts that a run turns on. It counts them.
func (l *ledger) release(d plan.Document, waiting []Certificate, q quotas) []string {
	var due []order
	of := map[string]Certificate{}
	fitting := map[string]int{} // by project
	for _, c := range waiting {
		project := projectOf(c)
		if q.taken(project, l.now)+fitting[project] >= d.CertificateQuota(project) {
			continue
		}
		fitting[project]++
		of[c.Host] = c
		due = append(due, order{host: c.Host, organisation: c.Organisation, node: c.Node, set: setOf(c.Names), at: l.now})
	}
	var on []string
	for _, o := range l.inTurns(due) {
		if len(l.lacking(o)) == 0 {
			l.add(o)
			q.add(of[o.host], l.now)
			on = append(on, o.host)
		}
	}
	return on
}
