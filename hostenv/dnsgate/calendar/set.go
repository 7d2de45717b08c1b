package calendar

import (
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// registeredDomain returns the domain of a name that the limit of certificates counts:
// its public suffix, private ones too, and one label more.
func registeredDomain(name string) string {
	domain, err := publicsuffix.EffectiveTLDPlusOne(strings.TrimPrefix(name, "*."))
	if err != nil {
		return name // it is a public suffix, and counts by itself
	}
	return domain
}

// sets are the orders by their names.
type sets map[string]*set

// A set has the orders of exactly the same names, on all nodes. Renewals count, too.
type set struct {
	orders []*order
	past   []time.Time // orders before the present certificates
}

func (s sets) of(names []string) *set {
	key := strings.Join(names, " ")
	if s[key] == nil {
		s[key] = &set{}
	}
	return s[key]
}

// refused returns the orders that the limit of certificates with the same names may
// refuse, if two orders of one certificate are at least a time apart. In the worst case
// the first of each certificate come at once, and the others as close as they may.
func (s *set) refused(now time.Time, apart time.Duration) []*order {
	limit := dnsgate.PerSet
	burst := 0
	for _, at := range s.past {
		if at.Add(limit.Window + retries).After(now) {
			burst++
		}
	}
	chains := map[string][]*order{} // by host
	for _, o := range s.orders {
		switch {
		case !o.Latest.Before(now):
			chains[o.Host] = append(chains[o.Host], o)
		case o.Latest.Add(limit.Window + retries).After(now):
			burst++
		}
	}
	var refused []*order
	for _, chain := range chains {
		slices.SortStableFunc(chain, func(x, y *order) int { return x.Earliest.Compare(y.Earliest) })
		for i, o := range chain {
			emission := limit.Window / time.Duration(limit.Most)
			if burst+len(chains)*(i+1) > limit.Most+int(time.Duration(i)*apart/emission) {
				refused = append(refused, o)
			}
		}
	}
	slices.SortStableFunc(refused, func(x, y *order) int { return x.Earliest.Compare(y.Earliest) })
	return refused
}
