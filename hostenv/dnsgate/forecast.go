package dnsgate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// A Shortage is a limit of Let's Encrypt that orders of an organisation exceed, or that
// repeated failures may exceed.
type Shortage struct {
	Limit
	// Subject is the registered domain, the node whose account it is, or the names of
	// the set.
	Subject string `json:"subject"`
	// Organisation is the one whose orders these are.
	Organisation string `json:"organisation"`
	// Share is how many orders within the window may be the organisation's; Most, if no
	// other organisation has certificates that count there.
	Share   int `json:"share"`
	Past    int `json:"past"`    // earlier orders that still count, of the organisation if Share is less than Most
	Planned int `json:"planned"` // its orders of the next deploy, those of HoldBack included
	// HoldBack are the virtual hosts whose orders are too many.
	HoldBack []string `json:"holdBack"`
	// Withheld says that the gate turned the certificates of HoldBack off. If not, the
	// next deploy orders them, and Let's Encrypt refuses.
	Withheld bool `json:"withheld"`
	// Free is the time at which there is room for one order more, in RFC 3339.
	Free string `json:"free,omitempty"`
}

func (s Shortage) String() string {
	who := ""
	if s.Organisation != "" {
		who = s.Organisation + ": "
	}
	if s.Kind == PerFailure.Kind {
		return fmt.Sprintf("%s%d certificates are on and never passed on %s; the node orders those that Let's Encrypt did not issue yet every hour, "+
			"which may fail, and Let's Encrypt allows %d failures of a name in an hour (%s), and %d without a success (%s)",
			who, s.Planned, s.Subject, s.Most, s.Kind, PerPause.Most, PerPause.Kind)
	}
	window := "a week"
	if s.Window < week {
		window = fmt.Sprintf("%.0f hours", s.Window.Hours())
	}
	limit := fmt.Sprintf("Let's Encrypt allows %d in %s (%s)", s.Most, window, s.Kind)
	if s.Share < s.Most {
		limit += fmt.Sprintf(", of which one organisation may take %d", s.Share)
	}
	what := "the next deploy orders %d certificates for %s, %d earlier ones count, and %s"
	if s.Withheld {
		what = "%d new certificates are due for %s, %d earlier ones count, and %s"
	}
	return who + fmt.Sprintf(what, s.Planned, s.Subject, s.Past, limit)
}

// Hint returns the fix.
func (s Shortage) Hint() string {
	switch {
	case s.Kind == PerFailure.Kind:
		return "`mage status` shows which failed; order them by hand only after their DNS is right, or turn them off until they pass with -onUnknown=disable: " +
			listed(s.HoldBack)
	case s.Withheld:
		return "these stay off until `mage dnsGate` runs after " + s.Free + ", or with -allowOrders: " + listed(s.HoldBack)
	}
	return "deploy these after " + s.Free + ", or their orders fail until then: " + listed(s.HoldBack)
}

// withholdOrders turns off new certificates that Let's Encrypt would refuse, because
// orders of the plan reach one of its limits, and returns the shortages. Every node has
// its own ACME account.
//
// It reads earlier orders from the plan. The plan does not record deploys, so a
// certificate that the gate turned on counts as ordered from then on. A certificate
// that was on, and that the next deploy orders for other names or on another node, is
// never turned off.
//
// Of a limit that several organisations reach, each may take half, and what is left in
// one run is dealt out in turns: those with the fewest orders of the last week come
// first. Within an organisation the first by host name come first.
func withholdOrders(d plan.Document, all []Decision, gate map[string]plan.GateEntry, policy Policy) []Shortage {
	now, err := time.Parse(time.RFC3339, policy.Now)
	if err != nil {
		return nil // the limits need a clock
	}
	certificates := wanted(d)
	decisions, fresh := map[string]*Decision{}, map[string]bool{}
	for i := range all {
		decisions[all[i].Host], fresh[all[i].Host] = &all[i], all[i].Fresh
	}
	l := newLedger(certificates, now)
	var due, certain []order
	for _, o := range ordersOf(certificates, gate, fresh, now) {
		switch {
		case !o.fresh:
			l.add(o)
		case policy.AllowOrders || decisions[o.host].renewed:
			certain = append(certain, o)
		default:
			due = append(due, o)
		}
	}
	f := forecast{ledger: l, past: maps.Clone(l.full), planned: map[bucket]int{}, held: map[exceeded][]string{}}
	for _, o := range certain {
		f.plan(o, false)
	}
	for _, o := range l.inTurns(due) {
		if b, ok := f.plan(o, true); !ok {
			decision := decisions[o.host]
			decision.withhold(d, gate, f.verdict(b, o), policy.Now)
		}
	}
	return f.shortages()
}

// inTurns sorts new orders by the turn of their organisation.
func (l *ledger) inTurns(due []order) []order {
	turn, next := map[string]int{}, map[string]int{}
	for _, o := range due { // by host
		if _, known := next[o.organisation]; !known {
			next[o.organisation] = l.lately(o.organisation)
		}
		turn[o.host] = next[o.organisation]
		next[o.organisation]++
	}
	return slices.SortedStableFunc(slices.Values(due), func(a, b order) int {
		return cmp.Or(cmp.Compare(turn[a.host], turn[b.host]), cmp.Compare(a.organisation, b.organisation))
	})
}

// A forecast collects the orders of the next deploy.
type forecast struct {
	*ledger
	past    map[bucket]time.Time  // the buckets before the next deploy
	planned map[bucket]int        // its orders, by organisation
	held    map[exceeded][]string // hosts
}

// exceeded is a bucket without a token for orders of an organisation.
type exceeded struct {
	bucket
	by       string // the organisation
	withheld bool
}

// plan counts an order of the next deploy. If it is new and a bucket has no token for
// it, plan returns false and that bucket, and the order takes no token.
func (f *forecast) plan(o order, isNew bool) (short bucket, ok bool) {
	lacking := f.lacking(o)
	for _, b := range f.buckets(o) {
		if !b.share {
			f.planned[b.of(o.organisation)]++
		}
	}
	for _, b := range lacking {
		if !b.share || !slices.Contains(lacking, bucket{limit: b.limit, subject: b.subject}) {
			k := exceeded{b, o.organisation, isNew}
			f.held[k] = append(f.held[k], o.host)
		}
	}
	if len(lacking) == 0 || !isNew {
		f.add(o)
		return bucket{}, true
	}
	return lacking[0], false
}

// free returns when there is a token in a bucket.
func (f *forecast) free(b bucket) string {
	at := b.tokens().Free(f.full[b], f.now).UTC()
	return at.Add(time.Second - 1).Truncate(time.Second).Format(time.RFC3339)
}

// verdict is that of a certificate that is withheld for the lack of a token.
func (f *forecast) verdict(b bucket, o order) Verdict {
	limit := b.tokens()
	saw := fmt.Sprintf("%d of %d are taken", limit.Taken(f.full[b], f.now), limit.Most)
	if b.share {
		saw += ", which is the share of " + o.organisation
	}
	return Verdict{
		Result: Fail, Reason: ReasonRateLimit, Name: o.host, Retryable: true,
		Evidence: []Evidence{{Name: b.subject, Type: limit.Kind, Saw: saw}},
		Fix:      fmt.Sprintf("run `mage dnsGate` after %s; or, if Let's Encrypt allows you more, with -allowOrders", f.free(b)),
	}
}

func (f *forecast) shortages() []Shortage {
	var all []Shortage
	for k, hosts := range f.held {
		whole := k.bucket
		whole.share, whole.organisation = false, ""
		limit := k.tokens()
		all = append(all, Shortage{
			Limit: k.limit, Subject: k.subject, Organisation: k.by, Share: limit.Most,
			Past: limit.Taken(f.past[k.bucket], f.now), Planned: f.planned[whole.of(k.by)],
			HoldBack: hosts, Withheld: k.withheld, Free: f.free(k.bucket),
		})
	}
	return all
}

// failing returns the certificates that may fail again and again. The plan does not
// show which of them Let's Encrypt issued.
func failing(certificates []Certificate, gate map[string]plan.GateEntry) []Shortage {
	type who struct{ node, organisation string }
	hosts := map[who][]string{}
	for _, c := range certificates {
		if e := gate[c.Host]; isOn(&e) && e.Verdict == string(Unknown) && e.Node == c.Node {
			at := who{c.Node, c.Organisation}
			hosts[at] = append(hosts[at], c.Host)
		}
	}
	var all []Shortage
	for at, hosts := range hosts {
		all = append(all, Shortage{Limit: PerFailure, Subject: at.node, Organisation: at.organisation, Share: PerFailure.Most, Planned: len(hosts), HoldBack: hosts})
	}
	return all
}

func sortShortages(all []Shortage) []Shortage {
	slices.SortFunc(all, func(a, b Shortage) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Organisation, b.Organisation), cmp.Compare(a.Share, b.Share),
			cmp.Compare(len(a.HoldBack), len(b.HoldBack)))
	})
	return all
}
