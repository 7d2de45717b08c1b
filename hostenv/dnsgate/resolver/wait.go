package resolver

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Wanted is the answer that every authoritative server of a name's zone must give.
type Wanted struct {
	Name string
	// Zone is the zone that holds the name, "" to find it. A caller that has just
	// written to the zone should give it: the search may make the resolver cache
	// that the name does not exist.
	Zone string
	// CNAME is the target that the name must have. Answers with only Addresses are
	// accepted too, for zones that flatten CNAMEs. If both are empty, any address
	// is accepted.
	CNAME     string
	Addresses []netip.Addr
}

// WaitConfig says how long to wait. The zero WaitConfig waits 10 minutes.
type WaitConfig struct {
	// Deadline is how long to wait in all, 0 for 10 minutes.
	Deadline time.Duration
	// First is the pause after the first round that a zone was not ready in,
	// 0 for 1 s; each later pause is twice as long, up to Most, 0 for 30 s.
	First, Most time.Duration
	// Progress is called after each round of a zone, by one goroutine at a time.
	Progress func(WaitProgress)
	// Now and After are the clock, nil for that of package time.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
}

// WaitProgress is the progress of a [Resolver.Wait].
type WaitProgress struct {
	Ready, Total int // names
	Zone         string
	Next         time.Duration // until the zone is asked again, 0 if it is ready
}

// Arrival is the result for one name. Servers holds the last answers of the servers.
type Arrival struct {
	Name    string
	Zone    string
	Ready   bool
	Servers []dnsgate.ServerFacts
	// Err is the reason why the servers were not found.
	Err dnsgate.LookupError
}

func (c WaitConfig) withDefaults() WaitConfig {
	c.Deadline = cmp.Or(max(c.Deadline, 0), 10*time.Minute)
	c.First = cmp.Or(max(c.First, 0), time.Second)
	c.Most = cmp.Or(max(c.Most, 0), 30*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.After == nil {
		c.After = time.After
	}
	return c
}

// Wait asks the authoritative servers of all wanted names at once until every name
// is ready or the deadline passes. The arrivals have the order of wanted. Wait
// ignores servers that do not answer or do not have the zone, as long as another one
// answers: a certificate authority ignores them too. It does not ask a resolver for
// the names themselves, which would cache that they do not exist yet.
//
// A deadline that passes is not an error: Ready is then false. Wait returns an error
// if the [Config] has no resolver, and if the context ends; in the second case it
// also returns what it has found until then.
func (r *Resolver) Wait(ctx context.Context, wanted []Wanted, config WaitConfig) ([]Arrival, error) {
	config = config.withDefaults()
	resolvers, err := r.config.resolvers()
	if err != nil {
		return nil, err
	}
	arrivals := make([]Arrival, len(wanted))
	x := newExchange(ctx, r.config.Timeouts)
	defer x.close()
	x.patient = true
	w := &waiting{
		r: r, x: x, config: config, resolvers: resolvers,
		wanted: wanted, arrivals: arrivals,
		end: config.Now().Add(config.Deadline),
	}
	byZone := map[string][]int{}
	c := newCollection(x, r.config, resolvers)
	each(len(wanted), r.config.Concurrency, func(i int) {
		arrivals[i] = Arrival{Name: wanted[i].Name, Zone: wanted[i].Zone}
		if arrivals[i].Zone == "" {
			found := c.zoneQuietly(wanted[i].Name)
			arrivals[i].Zone, arrivals[i].Err = found.name, found.err
		}
	})
	for i, a := range arrivals {
		key := a.Zone
		if key == "" {
			key = " " + a.Name // zone not found yet: a group of its own
		}
		byZone[key] = append(byZone[key], i)
	}
	var wg sync.WaitGroup
	for _, members := range byZone {
		wg.Go(func() { w.zone(ctx, members) })
	}
	wg.Wait()
	return arrivals, context.Cause(ctx)
}

// waiting is one call of Wait.
type waiting struct {
	r         *Resolver
	x         *exchange
	config    WaitConfig
	resolvers []netip.AddrPort
	wanted    []Wanted
	end       time.Time

	mu       sync.Mutex
	arrivals []Arrival
	ready    int
}

// zone asks for the names of one zone until they are ready.
func (w *waiting) zone(ctx context.Context, members []int) {
	pause := w.config.First
	for {
		left := w.round(ctx, members)
		remaining := w.end.Sub(w.config.Now())
		next := min(pause, remaining)
		if len(left) == 0 || ctx.Err() != nil || next < 0 {
			next = 0
		}
		w.report(members, len(members)-len(left), next)
		if next == 0 {
			return
		}
		members = left
		select {
		case <-ctx.Done():
			return
		case <-w.config.After(next):
		}
		pause = min(2*pause, w.config.Most)
	}
}

// round asks once for every name and returns those that are not ready. Each round
// looks for the servers again, because a zone may move to others; the resolver caches
// them for their TTL.
func (w *waiting) round(ctx context.Context, members []int) (left []int) {
	c := newCollection(w.x, w.r.config, w.resolvers)
	results := make([]Arrival, len(members))
	each(len(members), w.r.config.Concurrency, func(i int) {
		w.mu.Lock()
		a := w.arrivals[members[i]]
		w.mu.Unlock()
		var z *zone
		if a.Zone != "" {
			z = c.zones.named(a.Zone)
		} else if z = c.zoneQuietly(a.Name); z.name != "" {
			a.Zone = z.name
		}
		a.Err = z.err
		if servers := z.ask(c.x, a.Name); servers != nil {
			a.Servers = servers
			a.Ready = w.wanted[members[i]].met(servers)
		}
		results[i] = a
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, member := range members {
		w.arrivals[member] = results[i]
		if !results[i].Ready {
			left = append(left, member)
		}
	}
	return left
}

func (w *waiting) report(members []int, ready int, next time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ready += ready
	if w.config.Progress != nil {
		w.config.Progress(WaitProgress{Ready: w.ready, Total: len(w.wanted), Zone: w.arrivals[members[0]].Zone, Next: next})
	}
}

// met reports whether all servers that have the zone give the wanted answer, and at
// least one does.
func (w Wanted) met(servers []dnsgate.ServerFacts) bool {
	some := false
	for _, s := range servers {
		if s.A.Failed() && s.AAAA.Failed() {
			continue
		}
		if !w.matches(s) {
			return false
		}
		some = true
	}
	return some
}

func (w Wanted) matches(s dnsgate.ServerFacts) bool {
	if w.CNAME != "" && slices.Contains(s.CNAME.Targets, w.CNAME) {
		return true
	}
	if s.CNAME.Outcome == dnsgate.OutcomeAnswer || w.CNAME != "" && len(w.Addresses) == 0 {
		return false
	}
	addrs := parseAll(slices.Concat(s.A.Addresses, s.AAAA.Addresses))
	return len(addrs) > 0 && (len(w.Addresses) == 0 || !slices.ContainsFunc(addrs, func(addr netip.Addr) bool {
		return !slices.Contains(w.Addresses, addr)
	}))
}

// zoneQuietly finds the zone of a name without asking a resolver for the name. It
// finds the zone of the parent, and asks the servers of that zone whether the name is
// the top of a zone of its own.
func (c *collection) zoneQuietly(name string) *zone {
	above := parent(name)
	if !strings.Contains(above, ".") {
		return c.zones.of(name)
	}
	z := c.zones.of(above)
	for _, s := range z.servers {
		if s.ask == nil {
			continue
		}
		a := c.x.direct(s.ask, question{name: name, qtype: dns.TypeNS})
		switch {
		case a.referral.to(name), a.Outcome == dnsgate.OutcomeAnswer && len(a.Chain) == 0:
			return c.zones.named(name)
		case !a.Failed():
			return z
		}
	}
	return z
}

// Missing returns an error for each arrival that is not ready, with the answers of its
// servers; nil if all are ready.
func Missing(arrivals []Arrival) error {
	var missing problem.List
	for _, a := range arrivals {
		if a.Ready {
			continue
		}
		var answers []string
		for _, s := range a.Servers {
			answers = append(answers, s.Name+" has "+answerOf(s))
		}
		if answers == nil {
			answers = []string{"its name servers cannot be found (" + string(a.Err) + ")"}
		}
		missing.Addf(a.Name, "wait longer; if a name server keeps its old answer, ask its operator whether it gets changes of the zone "+a.Zone,
			"has not arrived: %s", strings.Join(answers, ", "))
	}
	return missing.Err()
}

func answerOf(s dnsgate.ServerFacts) string {
	if len(s.CNAME.Targets) > 0 {
		return "CNAME " + strings.Join(s.CNAME.Targets, " ")
	}
	if addrs := slices.Concat(s.A.Addresses, s.AAAA.Addresses); len(addrs) > 0 {
		return strings.Join(addrs, " ")
	}
	if s.A.Failed() {
		return string(s.A.Error)
	}
	return string(s.A.Outcome)
}
