package dnsgate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// A Limit is one of Let's Encrypt's rate limits
// (https://letsencrypt.org/docs/rate-limits/).
type Limit struct {
	Kind   string        `json:"kind"`
	Most   int           `json:"most"`
	Window time.Duration `json:"-"`
}

// The limits that a deploy can meet. Renewals do not count.
var (
	perDomain  = Limit{"certificates-per-registered-domain", 50, 7 * 24 * time.Hour}
	perAccount = Limit{"orders-per-account", 300, 3 * time.Hour}
	perSet     = Limit{"certificates-per-exact-set", 5, 7 * 24 * time.Hour}
	perFailure = Limit{"failed-authorizations-per-name", 5, time.Hour}
)

// A Shortage is a limit that the next deploy would exceed or, where orders fail,
// that a few deploys would.
type Shortage struct {
	Limit
	// Subject is the registered domain, the node whose account it is, or the
	// names of the set.
	Subject string `json:"subject"`
	Past    int    `json:"past"`    // orders within the window, as far as the plan knows
	Planned int    `json:"planned"` // orders of the next deploy
	// HoldBack are the virtual hosts to leave out of the next deploy.
	HoldBack []string `json:"holdBack"`
}

func (s Shortage) String() string {
	if s.Kind == perFailure.Kind {
		return fmt.Sprintf("%s: %d certificates are on without ever having passed; those that were not issued yet are ordered, and may fail, "+
			"every hour, and Let's Encrypt allows %d failures a name in an hour (%s)", s.Subject, s.Planned, s.Most, s.Kind)
	}
	window := "a week"
	if s.Window < 24*time.Hour {
		window = fmt.Sprintf("%.0f hours", s.Window.Hours())
	}
	return fmt.Sprintf("%s: %d certificates would be ordered, %d were lately, and Let's Encrypt allows %d in %s (%s)",
		s.Subject, s.Planned, s.Past, s.Most, window, s.Kind)
}

// Hint says what to do.
func (s Shortage) Hint() string {
	if s.Kind == perFailure.Kind {
		return "`mage status` tells which failed; order them by hand only once their DNS is right, or turn them off until they pass, with -onUnknown=disable: " +
			listed(s.HoldBack)
	}
	return "hold back: " + listed(s.HoldBack)
}

// order is one certificate that was, or will be, ordered.
type order struct {
	host    string
	buckets []bucket
	at      time.Time
	fresh   bool // the run itself turned it on
}

// bucket is what a limit counts by.
type bucket struct {
	limit   Limit
	subject string
}

// Forecast tells which limits the next deploy would exceed after a gate, at a
// time in RFC 3339, and which virtual hosts to hold back so that it would not:
// in the order of their names, each is ordered as long as all of its limits
// allow it. Every node has an ACME account of its own. What was ordered lately
// is read from the plan: a certificate that was turned on within the window.
// When it was deployed the plan does not tell, so a limit that these alone exceed
// is reported until the window is over, in every run.
//
// What fails counts by name, account and hour. A node orders what failed again at
// switches and every hour, just below the limit; an order by hand exceeds it. The
// plan tells the certificates of which that is to be feared: they are on, for want
// of a verdict (see [OnUnknown]), and have never passed. It does not tell which of
// them were issued all the same, so these are told whenever there are any. Of the
// ones that pass, or passed and are unknown now, none is expected to fail.
func Forecast(gated *Gated, now string) []Shortage {
	retried := retried(gated.Plan)
	at, err := time.Parse(time.RFC3339, now)
	if err != nil {
		return retried // without a clock nothing is known of any other window
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
	shortages := retried
	for b, hosts := range held {
		shortages = append(shortages, Shortage{b.limit, b.subject, past[b], planned[b], hosts})
	}
	slices.SortFunc(shortages, func(a, b Shortage) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject))
	})
	return shortages
}

// retried are the certificates of each node that it may order again and again.
func retried(d plan.Document) []Shortage {
	var nodes []string
	hosts := map[string][]string{}
	for _, c := range wanted(d) {
		if e, ok := entryOf(d, c.Host); !ok || !isOn(&e) || e.Verdict != string(Unknown) || e.Node != c.Node {
			continue
		}
		if hosts[c.Node] == nil {
			nodes = append(nodes, c.Node)
		}
		hosts[c.Node] = append(hosts[c.Node], c.Host)
	}
	slices.Sort(nodes)
	var all []Shortage
	for _, node := range nodes {
		all = append(all, Shortage{perFailure, node, 0, len(hosts[node]), hosts[node]})
	}
	return all
}

func orderOf(c Certificate, at time.Time, fresh bool) order {
	o := order{host: c.Host, at: at, fresh: fresh, buckets: []bucket{{perAccount, c.Node}}}
	var names []string
	for _, spelling := range c.Names {
		name, err := QueryName(spelling)
		if err != nil {
			continue
		}
		names = append(names, name)
		// The whole public suffix list counts here, its private part too.
		domain, err := publicsuffix.EffectiveTLDPlusOne(name)
		if b := (bucket{perDomain, domain}); err == nil && !slices.Contains(o.buckets, b) {
			o.buckets = append(o.buckets, b)
		}
	}
	slices.Sort(names)
	o.buckets = append(o.buckets, bucket{perSet, strings.Join(slices.Compact(names), " ")})
	return o
}
