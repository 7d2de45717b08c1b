package dnsgate

import (
	"fmt"
	"slices"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// quotaWindow is the time within which a project may get as many new certificates as
// its quota: the week of Let's Encrypt's limits.
const quotaWindow = week

// quotas are the times of the new certificates that count for each project.
type quotas map[string][]time.Time

// newQuotas returns the new certificates of a plan, but those of some hosts.
func newQuotas(certificates []Certificate, gate map[string]plan.GateEntry, but map[string]bool) quotas {
	q := quotas{}
	for _, c := range certificates {
		if e := gate[c.Host]; isOn(&e) && !but[c.Host] && firstOrdered(e) != "" {
			ordered, _ := time.Parse(time.RFC3339, firstOrdered(e))
			q.add(c, ordered)
		}
	}
	return q
}

// add counts a new certificate. The zero time is one that is not known, and counts for
// ever.
func (q quotas) add(c Certificate, at time.Time) {
	q[projectOf(c)] = append(q[projectOf(c)], at)
}

// within returns the times that count at a time. Without a clock every order is recent.
func (q quotas) within(project string, at time.Time) []time.Time {
	var recent []time.Time
	for _, ordered := range q[project] {
		if at.IsZero() || ordered.IsZero() || at.Sub(ordered) < quotaWindow {
			recent = append(recent, ordered)
		}
	}
	return recent
}

// taken is how many count at a time.
func (q quotas) taken(project string, at time.Time) int { return len(q.within(project, at)) }

// withholdNew turns off the new certificates of each project that has more than its
// quota of new ones within the window. The first by host name stay on. A later run
// turns on those that fit by then.
//
// A certificate that another run turned on counts from then on; so does one that goes
// to another node, which is never withheld: its host had a certificate before. An order by
// another profile does not count: that is the provider's choice. Those
// whose virtual host is no longer in the plan do not count.
func withholdNew(d plan.Document, all []Decision, gate map[string]plan.GateEntry, now string) {
	at, _ := time.Parse(time.RFC3339, now)
	fresh := map[string]bool{} // hosts that this run turned on, and that had no certificate
	for _, decision := range all {
		if decision.Fresh && !decision.renewed {
			fresh[decision.Host] = true
		}
	}
	q := newQuotas(wanted(d), gate, fresh)
	for i := range all { // by host, as wanted returns them
		decision := &all[i]
		if !fresh[decision.Host] {
			continue
		}
		project := projectOf(decision.Certificate)
		quota := d.CertificateQuota(project)
		if q.taken(project, at) < quota {
			q.add(decision.Certificate, at)
			continue
		}
		decision.withhold(d, gate, overQuota(project, decision.Certificate, quota, q.within(project, at)), now)
	}
}

// withhold turns off a certificate that this run would have turned on.
func (decision *Decision) withhold(d plan.Document, gate map[string]plan.GateEntry, v Verdict, now string) {
	decision.Verdict, decision.On, decision.Fresh = v, false, false
	entry := decision.entry(now)
	old, ok := entryOf(d, decision.Host)
	if ok {
		if old.Node == decision.Node && isSame(old, entry) {
			entry = withAsked(old, decision.Asked)
		}
		entry.FormerOrders = old.FormerOrders
	}
	decision.Since = entry.Since
	gate[decision.Host] = entry
}

// overQuota is the verdict of a certificate that is withheld, because of these orders.
func overQuota(project string, c Certificate, quota int, orders []time.Time) Verdict {
	when := "after a week"
	if oldest := slices.SortedFunc(slices.Values(orders), time.Time.Compare); len(oldest) > 0 && !oldest[0].IsZero() {
		when = "after " + oldest[0].Add(quotaWindow).UTC().Format(time.RFC3339)
	}
	return Verdict{
		Result: Fail, Reason: ReasonQuota, Name: c.Host, Retryable: true,
		Evidence: []Evidence{{Name: project, Type: "quota", Saw: fmt.Sprintf("%d new certificates within a week", quota)}},
		Fix: fmt.Sprintf("run `mage dnsGate` %s; or, if the project may have more at once, raise %s, run `mage plan`, and then the gate",
			when, plan.CertificateOption(project)),
	}
}

// projectOf returns the flake input of the project.
func projectOf(c Certificate) string { return c.Organisation + "__" + c.Project }
