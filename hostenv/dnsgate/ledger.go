package dnsgate

import "time"

// A bucket is the tokens of one subject for one limit, or an organisation's share of
// them.
type bucket struct {
	limit        Limit
	subject      string // the registered domain, the node whose account it is, or the names of the set
	share        bool
	organisation string // of a share
}

// of returns an organisation's share of a bucket.
func (b bucket) of(organisation string) bucket {
	b.share, b.organisation = true, organisation
	return b
}

// tokens returns the limit of a bucket: half for a share.
func (b bucket) tokens() Limit {
	if b.share {
		b.limit.Most /= 2
	}
	return b.limit
}

// A ledger counts orders against Let's Encrypt's limits.
type ledger struct {
	now     time.Time
	full    map[bucket]time.Time
	known   map[string]time.Time       // by set: until when an order of it is a renewal
	users   map[bucket]map[string]bool // organisations whose certificates use a bucket
	ordered map[string][]time.Time     // orders by organisation
}

// newLedger returns a ledger of certificates without an order.
func newLedger(certificates []Certificate, now time.Time) *ledger {
	l := &ledger{now: now, full: map[bucket]time.Time{}, known: map[string]time.Time{}, users: map[bucket]map[string]bool{}, ordered: map[string][]time.Time{}}
	for _, c := range certificates {
		for _, b := range shared(c.Node, setOf(c.Names)) {
			if l.users[b] == nil {
				l.users[b] = map[string]bool{}
			}
			l.users[b][c.Organisation] = true
		}
	}
	return l
}

// shared returns the buckets that orders of several organisations may take from.
func shared(node string, set []string) []bucket {
	all := []bucket{{limit: PerAccount, subject: node}}
	for _, domain := range registrable(set) {
		all = append(all, bucket{limit: PerDomain, subject: domain})
	}
	return all
}

// again reports whether Let's Encrypt takes an order for a renewal.
func (l *ledger) again(o order) bool {
	until, known := l.known[o.key()]
	return known && o.set != nil && !o.at.After(until)
}

// buckets returns the buckets that an order takes from.
func (l *ledger) buckets(o order) []bucket {
	var all []bucket
	if !l.again(o) {
		for _, b := range shared(o.node, o.set) {
			all = append(all, b)
			if len(l.users[b]) > 1 {
				all = append(all, b.of(o.organisation))
			}
		}
	}
	if o.set != nil {
		all = append(all, bucket{limit: PerSet, subject: o.key()})
	}
	return all
}

// lacking returns the buckets in which there is no token for an order.
func (l *ledger) lacking(o order) []bucket {
	var lacking []bucket
	for _, b := range l.buckets(o) {
		if _, ok := b.tokens().Spend(l.full[b], o.at); !ok {
			lacking = append(lacking, b)
		}
	}
	return lacking
}

// lately is how many orders of an organisation counted within the last week.
func (l *ledger) lately(organisation string) int {
	n := 0
	for _, at := range l.ordered[organisation] {
		if l.now.Sub(at) < week {
			n++
		}
	}
	return n
}

// add counts an order. A bucket without a token stays as it is. Let's Encrypt refuses
// the order then, and does not remember it.
func (l *ledger) add(o order) {
	refused := false
	if !o.at.IsZero() {
		counts := !l.again(o)
		for _, b := range l.buckets(o) {
			full, ok := b.tokens().Spend(l.full[b], o.at)
			l.full[b] = full
			refused = refused || !ok && !b.share
		}
		if counts {
			l.ordered[o.organisation] = append(l.ordered[o.organisation], o.at)
		}
	}
	if until := o.remembered(l.now); o.set != nil && !refused && until.After(l.known[o.key()]) {
		l.known[o.key()] = until
	}
}
