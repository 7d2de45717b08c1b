package dnsgate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// A Shortage is a limit that the next deploy would exceed, or that repeated failures
// may exceed.
type Shortage struct {
	Limit
	// Subject is the registered domain, the node whose account it is, or the
	// names of the set.
	Subject string `json:"subject"`
	Past    int    `json:"past"`    // orders within the window that the plan records
	Planned int    `json:"planned"` // orders of the next deploy
	// HoldBack are the virtual hosts to omit from the next deploy.
	HoldBack []string `json:"holdBack"`
}

func (s Shortage) String() string {
	if s.Kind == PerFailure.Kind {
		return fmt.Sprintf("%s: %d certificates are on and never passed; the node orders those that Let's Encrypt did not issue yet every hour, "+
			"which may fail, and Let's Encrypt allows %d failures a name in an hour (%s)", s.Subject, s.Planned, s.Most, s.Kind)
	}
	window := "a week"
	if s.Window < 24*time.Hour {
		window = fmt.Sprintf("%.0f hours", s.Window.Hours())
	}
	return fmt.Sprintf("%s: the next deploy orders %d certificates, %d were ordered within %s, and Let's Encrypt allows %d (%s)",
		s.Subject, s.Planned, s.Past, window, s.Most, s.Kind)
}

// Hint returns the fix.
func (s Shortage) Hint() string {
	if s.Kind == PerFailure.Kind {
		return "`mage status` shows which failed; order them by hand only after their DNS is right, or turn them off until they pass with -onUnknown=disable: " +
			listed(s.HoldBack)
	}
	return "hold back: " + listed(s.HoldBack)
}

// An order is one past or future order of a certificate.
type order struct {
	host    string
	buckets []bucket
	at      time.Time
	fresh   bool // this run turned the certificate on
}

// A bucket counts the orders of one subject against one limit.
type bucket struct {
	limit   Limit
	subject string
}

// Forecast returns the limits that the next deploy after a gate would exceed at a time
// (RFC 3339), and for each the virtual hosts to hold back. Every node has its own ACME
// account. Forecast allows certificates in the order of their names as long as all of
// their limits allow it.
//
// It reads past orders from the plan: a certificate that the gate turned on within the
// window counts as ordered. The plan does not record deploys, so every run reports a
// limit that past orders exceed until the window is over.
//
// Failed authorizations count by name, account and hour. A node repeats a failed order
// at switches and every hour, which is just below the limit; an order by hand exceeds
// it. Forecast reports certificates that are on without a verdict (see [OnUnknown]) and
// never passed, because these may fail. It always reports them: the plan does not show
// which of them Let's Encrypt issued.
func Forecast(gated *Gated, now string) []Shortage {
	shortages := retried(gated.Plan)
	at, err := time.Parse(time.RFC3339, now)
	if err != nil {
		return shortages // the other limits need a clock
	}
	fresh := map[string]bool{}
	for _, d := range gated.Decisions {
		fresh[d.Host] = d.Fresh
	}
	var orders []order
	for _, c := range wanted(gated.Plan) {
		e, ok := entryOf(gated.Plan, c.Host)
		if !ok || !isOn(&e) {
			continue
		}
		if ordered, err := time.Parse(time.RFC3339, e.Ordered); err == nil && !ordered.After(at) {
			orders = append(orders, orderOf(c, ordered, fresh[c.Host]))
		}
	}
	slices.SortStableFunc(orders, func(a, b order) int { return a.at.Compare(b.at) }) // then by host
	past, planned, taken := map[bucket]int{}, map[bucket]int{}, map[bucket]int{}
	held := map[bucket][]string{}
	for _, o := range orders {
		var full, within []bucket
		for _, b := range o.buckets {
			if at.Sub(o.at) >= b.limit.Window {
				continue
			}
			within = append(within, b)
			if taken[b] >= b.limit.Most {
				full = append(full, b)
			}
		}
		for _, b := range full {
			held[b] = append(held[b], o.host)
		}
		for _, b := range within {
			if len(full) == 0 {
				taken[b]++
			}
			if o.fresh || slices.Contains(full, b) {
				planned[b]++
			} else {
				past[b]++
			}
		}
	}
	for b, hosts := range held {
		shortages = append(shortages, Shortage{b.limit, b.subject, past[b], planned[b], hosts})
	}
	slices.SortFunc(shortages, func(a, b Shortage) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject))
	})
	return shortages
}

// retried returns the certificates of each node that may fail again and again.
func retried(d plan.Document) []Shortage {
	hosts := map[string][]string{} // by node
	for _, c := range wanted(d) {
		if e, ok := entryOf(d, c.Host); ok && isOn(&e) && e.Verdict == string(Unknown) && e.Node == c.Node {
			hosts[c.Node] = append(hosts[c.Node], c.Host)
		}
	}
	var all []Shortage
	for _, node := range slices.Sorted(maps.Keys(hosts)) {
		all = append(all, Shortage{PerFailure, node, 0, len(hosts[node]), hosts[node]})
	}
	return all
}

func orderOf(c Certificate, at time.Time, fresh bool) order {
	o := order{host: c.Host, at: at, fresh: fresh, buckets: []bucket{{PerAccount, c.Node}}}
	var names []string
	for _, spelling := range c.Names {
		name, err := QueryName(spelling)
		if err != nil {
			continue
		}
		names = append(names, name)
		// The whole public suffix list counts here, with its private part.
		domain, err := publicsuffix.EffectiveTLDPlusOne(name)
		if b := (bucket{PerDomain, domain}); err == nil && !slices.Contains(o.buckets, b) {
			o.buckets = append(o.buckets, b)
		}
	}
	slices.Sort(names)
	o.buckets = append(o.buckets, bucket{PerSet, strings.Join(slices.Compact(names), " ")})
	return o
}
