package dnsgate

import (
	"slices"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/domains"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

const (
	// renewedEvery is the longest time between two certificates of a set that a node
	// renews: NixOS renews one of 90 days 30 days before its end, and shorter ones
	// sooner.
	renewedEvery = 60 * 24 * time.Hour
	// maxFormer is how many former orders an entry keeps.
	maxFormer = 16
)

// setOf returns the names of a certificate as Let's Encrypt compares them.
func setOf(names []string) []string {
	var set []string
	for _, spelling := range names {
		if name, err := CertificateName(spelling); err == nil {
			set = append(set, name)
		}
	}
	slices.Sort(set)
	return slices.Compact(set)
}

// recorded returns an entry with what the plan keeps of the orders of a certificate,
// and whether the next deploy orders it. A deploy orders a certificate that was not on,
// that goes to another node, or whose names or profile changed. Old is the entry before, nil if
// there was none; had says that the certificate was there before the gate.
func recorded(entry plan.GateEntry, old *plan.GateEntry, c Certificate, on, had bool, now string) (plan.GateEntry, bool) {
	set := setOf(c.Names)
	entry.Ordered, entry.OrderedNames, entry.Profile, entry.FormerOrders = "", nil, "", nil
	if old != nil {
		entry.FormerOrders = old.FormerOrders
	}
	if old != nil && isOn(old) {
		if on && !anew(c, *old) {
			entry.Ordered, entry.OrderedNames, entry.Profile = old.Ordered, set, c.Profile
			return entry, false
		}
		last := plan.Order{Names: old.OrderedNames, Node: old.Node, Ordered: old.Ordered, Until: now, Profile: old.Profile}
		entry.FormerOrders = stillCounting(append(slices.Clip(entry.FormerOrders), last), now)
	}
	if !on {
		return entry, false
	}
	entry.OrderedNames, entry.Profile = set, c.Profile
	if had {
		return entry, false
	}
	entry.Ordered = now
	return entry, true
}

// anew reports whether the next deploy orders a certificate anew that is on. An entry
// without names is of an older version, and it is not known what was ordered.
func anew(c Certificate, old plan.GateEntry) bool {
	return old.Node != c.Node || old.Profile != c.Profile || old.OrderedNames != nil && !slices.Equal(old.OrderedNames, setOf(c.Names))
}

// ByOtherProfile returns the order before the present one of an entry, if the two differ in
// their profile alone. Let's Encrypt takes the present one for a renewal, if it issued a
// certificate for that.
func ByOtherProfile(e plan.GateEntry) (before plan.Order, ok bool) {
	if len(e.FormerOrders) == 0 {
		return plan.Order{}, false
	}
	before = e.FormerOrders[len(e.FormerOrders)-1]
	return before, before.Until == e.Ordered && before.Profile != e.Profile && before.Node == e.Node && slices.Equal(before.Names, e.OrderedNames)
}

// firstOrdered is since when a node orders the present names of an entry, by whatever
// profile. It is in the format of Ordered.
func firstOrdered(e plan.GateEntry) string {
	for {
		before, ok := ByOtherProfile(e)
		if !ok {
			return e.Ordered
		}
		e.Ordered, e.OrderedNames, e.Profile = before.Ordered, before.Names, before.Profile
		e.FormerOrders = e.FormerOrders[:len(e.FormerOrders)-1]
	}
}

// stillCounting returns the orders that may count for Let's Encrypt at a time, at most
// maxFormer of them.
func stillCounting(former []plan.Order, now string) []plan.Order {
	at, err := time.Parse(time.RFC3339, now)
	if err == nil {
		former = slices.DeleteFunc(slices.Clone(former), func(o plan.Order) bool {
			until, err := time.Parse(time.RFC3339, o.Until)
			return err == nil && at.Sub(until) > Remembered
		})
	}
	return former[max(0, len(former)-maxFormer):]
}

// An order is one of a certificate, past or of the next deploy.
type order struct {
	host, organisation, node string

	set   []string  // nil if it is not known
	at    time.Time // zero before the first run of the gate
	until time.Time // zero if the node still orders it
	fresh bool      // the next deploy makes it
}

// key identifies the set of names.
func (o order) key() string { return strings.Join(o.set, " ") }

// remembered is until when Let's Encrypt takes an order of the same names for a renewal.
func (o order) remembered(now time.Time) time.Time {
	if o.until.IsZero() {
		return now.Add(Remembered)
	}
	until := o.until.Add(Remembered - renewedEvery) // of its last renewal
	if first := o.at.Add(Remembered); first.After(until) {
		return first
	}
	return until
}

// ordersOf returns the orders that a plan records of the certificates, the oldest
// first, then by host. Fresh has the hosts that the next deploy orders. It leaves out
// what is later than now.
func ordersOf(certificates []Certificate, gate map[string]plan.GateEntry, fresh map[string]bool, now time.Time) []order {
	var all []order
	for _, c := range certificates {
		e, ok := gate[c.Host]
		if !ok {
			continue
		}
		for _, f := range e.FormerOrders {
			o := order{host: c.Host, organisation: c.Organisation, node: f.Node, set: f.Names}
			o.at, _ = time.Parse(time.RFC3339, f.Ordered)
			until, err := time.Parse(time.RFC3339, f.Until)
			if o.until = until; err == nil && !o.at.After(now) {
				all = append(all, o)
			}
		}
		if !isOn(&e) {
			continue
		}
		o := order{host: c.Host, organisation: c.Organisation, node: e.Node, set: e.OrderedNames, fresh: fresh[c.Host]}
		if o.set == nil {
			o.set = setOf(c.Names)
		}
		if o.at, _ = time.Parse(time.RFC3339, e.Ordered); !o.at.After(now) {
			all = append(all, o)
		}
	}
	slices.SortStableFunc(all, func(a, b order) int { return a.at.Compare(b.at) })
	return all
}

// registrable returns the registered domains of a set of names, sorted. The whole
// public suffix list counts here, with its private part.
func registrable(set []string) []string {
	var all []string
	for _, name := range set {
		if domain := domains.Registrable(name); domain != "" {
			all = append(all, domain)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
