package calendar

import (
	"slices"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

const (
	// retries is the longest time between two tries of an order that fails: NixOS's timer
	// is daily, and systemd may run it a little late.
	retries = day + time.Hour
	// atOnce is how many orders of a node may run at the same time. An order is checked
	// when it begins and counted when its certificate is issued.
	atOnce = 8
	// rounds limits how often the delays of one bucket are passed on to others.
	rounds = 12
)

// A spend is an order that takes a token of some buckets.
type spend struct {
	window  window
	buckets []*bucket
	// until is the end of the window for each bucket that may refuse the order: it is
	// tried again until then.
	until map[*bucket]time.Time
}

// take lets the order take a token of a bucket.
func (s *spend) take(b *bucket) {
	s.buckets = append(s.buckets, b)
	b.spends = append(b.spends, s)
}

// latest is the end of the window, without what one bucket delays.
func (s *spend) latest(but *bucket) time.Time {
	end := s.window.latest
	for b, until := range s.until {
		if b != but {
			end = later(end, until)
		}
	}
	return end
}

// A bucket counts the orders of one account or domain against its limit. It holds
// limit.Most tokens; an order takes one, and one comes back each Window/Most.
type bucket struct {
	limit   dnsgate.Limit
	subject string
	spends  []*spend
}

func (b *bucket) emission() time.Duration { return b.limit.Window / time.Duration(b.limit.Most) }

// pace returns the bucket that also holds back an order of b, or nil.
func (b *bucket) pace(s *spend) *bucket {
	for _, other := range s.buckets {
		if other != b && other.emission() >= b.emission() {
			return other
		}
	}
	return nil
}

// most is how many orders a bucket accepts within a time at most.
func (b *bucket) most(within time.Duration) int {
	return b.limit.Most + atOnce + int(max(0, within)/b.emission())
}

// A jam is a time in which a bucket may be empty, and the orders that it may refuse then.
type jam struct {
	from, until time.Time
	orders      []*spend
}

// A span is the time within which an order falls, as one bucket sees it.
type span struct {
	from, to time.Time
	order    *spend
	pace     *bucket
}

// jams returns the times in which the bucket may be empty, the earliest first. They do
// not overlap. The bucket accepts each order that falls into none of them, wherever in
// their windows the orders fall.
//
// A bucket accepts orders at t1 ≤ ... ≤ tn if for all i ≤ j: j-i+1 ≤ Most +
// (tj-ti)/emission. So it is not empty at t if for no x ≤ t more orders than that may
// fall between x and t.
func (b *bucket) jams() []jam {
	var spans []span
	for _, s := range b.spends {
		spans = append(spans, span{s.window.earliest, s.latest(b), s, b.pace(s)})
	}
	slices.SortStableFunc(spans, func(x, y span) int { return x.from.Compare(y.from) })

	var all []jam
	var active []span
	var empty time.Time // the bucket may be empty at this time, whatever was before
	for i := 0; i < len(spans); {
		at := spans[i].from
		// A bucket is full again a Window after the last order, whatever was before.
		active = slices.DeleteFunc(active, func(s span) bool { return s.to.Before(at.Add(-b.limit.Window)) })
		for i < len(spans) && spans[i].from.Equal(at) {
			active = append(active, spans[i])
			i++
		}
		if !b.empty(active, empty, at).After(at) {
			continue
		}
		// Each order that is refused is tried again within `retries`. Those that begin
		// until all are through belong to the jam as well.
		j := jam{from: at}
		var end time.Time // of the last moment at which the bucket may be empty
		for {
			end = later(j.from, b.last(active, empty))
			j.until = end.Add(retries)
			if i == len(spans) || spans[i].from.After(j.until) {
				break
			}
			for i < len(spans) && !spans[i].from.After(j.until) {
				active = append(active, spans[i])
				i++
			}
		}
		for _, s := range active {
			if !s.to.Before(j.from) && !s.from.After(end) {
				j.orders = append(j.orders, s.order)
			}
		}
		all = append(all, j)
		empty = j.until
		active = slices.DeleteFunc(active, func(s span) bool { return !s.to.After(j.until) })
	}
	return all
}

// empty returns a time after `at` if the bucket may be empty at that moment.
func (b *bucket) empty(active []span, emptied, at time.Time) time.Time {
	return b.longest(active, emptied, at, func(x time.Time, count func(time.Duration) int) time.Time {
		return x.Add(time.Duration(count(at.Sub(x))-b.limit.Most) * b.emission())
	})
}

// last returns the last moment at which the bucket may be empty if no other order begins.
func (b *bucket) last(active []span, emptied time.Time) time.Time {
	return b.longest(active, emptied, time.Time{}, func(x time.Time, count func(time.Duration) int) time.Time {
		wait := time.Duration(count(1<<62)-b.limit.Most) * b.emission()
		for range 16 { // fewer orders come if other buckets hold them back
			less := time.Duration(count(wait)-b.limit.Most) * b.emission()
			if wait <= 0 || less >= wait {
				break
			}
			wait = less
		}
		return x.Add(wait)
	})
}

// longest returns the latest result of a function for the times x at which orders may
// begin to pile up, not after a limit unless that is zero. Its count returns how many
// orders may follow within a time after x.
func (b *bucket) longest(active []span, emptied, limit time.Time, of func(x time.Time, count func(time.Duration) int) time.Time) time.Time {
	ends := slices.Clone(active)
	for i := range ends {
		if !limit.IsZero() {
			ends[i].to = earlier(ends[i].to, limit)
		}
	}
	slices.SortFunc(ends, func(x, y span) int { return y.to.Compare(x.to) })
	var longest time.Time
	if !emptied.IsZero() {
		fresh := 0
		for _, s := range active {
			if s.to.After(emptied) {
				fresh++
			}
		}
		longest = emptied.Add(time.Duration(fresh) * b.emission())
	}
	paced := map[*bucket]int{}
	held := map[*bucket]int{} // those of paced that may hold orders back
	for i, s := range ends {
		if s.pace != nil {
			if paced[s.pace]++; paced[s.pace] > s.pace.most(0) {
				held[s.pace] = paced[s.pace]
			}
		}
		n := i + 1 // orders may fall at s.to or later
		if n < len(ends) && ends[n].to.Equal(s.to) || !s.to.Add(time.Duration(n-b.limit.Most)*b.emission()).After(later(longest, s.to)) {
			continue
		}
		longest = later(longest, of(s.to, func(within time.Duration) int {
			count := n
			for p, orders := range held {
				count -= max(0, orders-p.most(within))
			}
			return count
		}))
	}
	return longest
}

// settle finds the orders that buckets may refuse, and returns the jams of each. An
// order that one bucket delays comes later to its others, so it repeats until no window
// grows. If two buckets delay each other's orders again and again, they are jammed for
// ever.
func settle(buckets []*bucket, end time.Time) map[*bucket][]jam {
	found := map[*bucket][]jam{}
	dirty := map[*bucket]bool{}
	for _, b := range buckets {
		dirty[b] = true
	}
	for round := 0; len(dirty) > 0; round++ {
		next := map[*bucket]bool{}
		for _, b := range buckets {
			if !dirty[b] {
				continue
			}
			jams := b.jams()
			if len(jams) > 0 && round >= rounds {
				jams = []jam{{jams[0].from, end, b.since(jams[0].from)}}
			}
			found[b] = jams
			for _, j := range jams {
				for _, s := range j.orders {
					if !j.until.After(s.until[b]) {
						continue
					}
					if s.until == nil {
						s.until = map[*bucket]time.Time{}
					}
					s.until[b] = j.until
					for _, other := range s.buckets {
						if other != b {
							next[other] = true
						}
					}
				}
			}
		}
		dirty = next
	}
	return found
}

// since returns the orders that may come at a time or later.
func (b *bucket) since(at time.Time) []*spend {
	return slices.DeleteFunc(slices.Clone(b.spends), func(s *spend) bool { return s.latest(b).Before(at) })
}
