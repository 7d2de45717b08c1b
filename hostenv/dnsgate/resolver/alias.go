package resolver

import (
	"slices"
	"sync"

	"github.com/miekg/dns"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// A once holds a result that the first caller computes, once.
type once[K comparable, V any] struct {
	mu  sync.Mutex
	all map[K]func() V
}

func (o *once[K, V]) get(key K, f func() V) V {
	o.mu.Lock()
	if o.all == nil {
		o.all = map[K]func() V{}
	}
	g := o.all[key]
	if g == nil {
		g = sync.OnceValue(f)
		o.all[key] = g
	}
	o.mu.Unlock()
	return g()
}

// said holds the answers of all servers of its zone for a name, asked once a run.
func (c *collection) said(z *zone, name string) []dnsgate.ServerFacts {
	return c.names.get(name, func() []dnsgate.ServerFacts {
		servers := z.ask(c.x, c.config, name)
		c.addCAA(z, name, servers)
		return servers
	})
}

// aliases are the names in other zones that CNAMEs lead to: those that the
// resolver met, and those of servers that it did not ask.
func (c *collection) aliases(facts *dnsgate.NameFacts, seen ...*answer) (aliases []dnsgate.AliasFacts) {
	chain := unique(facts.A.Chain, facts.AAAA.Chain)
	follow := func(servers []dnsgate.ServerFacts) {
		for _, s := range servers {
			if !s.Undelegated {
				chain = unique(chain, s.A.Chain, s.AAAA.Chain)
			}
		}
	}
	follow(facts.Servers)
	for i := 0; i < len(chain) && i < maxChain; i++ {
		name := chain[i]
		if _, ok := dns.IsDomainName(name); !ok || name == facts.Name || name == "" {
			continue
		}
		z := c.zoneOfAlias(name, seen)
		if z.name != "" && z.name == facts.Zone {
			continue
		}
		alias := dnsgate.AliasFacts{Name: name, Zone: z.name, Servers: c.said(z, name)}
		aliases = append(aliases, alias)
		follow(alias.Servers)
	}
	return aliases
}

func (c *collection) zoneOfAlias(name string, seen []*answer) *zone {
	for _, a := range seen {
		if n := len(a.Chain); n > 0 && a.Chain[n-1] == name && a.zone != "" && within(name, a.zone) {
			return c.zones.named(a.zone)
		}
	}
	return c.zones.of(name)
}

// A zoneLabel is a name whose CAA set the servers of a zone are asked for.
type zoneLabel struct{ zone, label string }

// addCAA adds what each server says of CAA, from the name up to the top of
// its zone. The set at the top is asked for once, however many names there are.
func (c *collection) addCAA(z *zone, name string, servers []dnsgate.ServerFacts) {
	if z.name == "" || len(servers) == 0 {
		return
	}
	for _, label := range labels(name) {
		if !within(label, z.name) {
			break
		}
		if !goesOn(servers) {
			break
		}
		ask := func() []dnsgate.Lookup { return z.askCAA(c.x, c.config, label) }
		lookups := c.caa.get(zoneLabel{z.name, label}, ask)
		for i := range servers {
			if servers[i].CAA == nil {
				servers[i].CAA = make([]dnsgate.CAALookup, 0, 2)
			}
			servers[i].CAA = append(servers[i].CAA, dnsgate.CAALookup{Name: label, Lookup: lookups[i]})
		}
	}
}

// goesOn reports whether the walk may go on to the next label: some server has
// nothing at the last one, and the next may be asked of any.
func goesOn(servers []dnsgate.ServerFacts) bool {
	return slices.ContainsFunc(servers, func(s dnsgate.ServerFacts) bool {
		n := len(s.CAA)
		return n == 0 || !s.CAA[n-1].Lookup.Failed() && s.CAA[n-1].Lookup.Outcome != dnsgate.OutcomeAnswer
	})
}

func (z *zone) askCAA(x *exchange, config Config, label string) []dnsgate.Lookup {
	lookups := make([]dnsgate.Lookup, len(z.servers))
	var wg sync.WaitGroup
	for i, s := range z.servers {
		if s.ask == nil {
			lookups[i] = failed(s.why).Lookup
			continue
		}
		wg.Add(1)
		x.ask(&flight{
			q: question{name: label, qtype: dns.TypeCAA}, servers: []*server{s.ask}, timeouts: config.Timeouts,
			done: func(a *answer) {
				lookups[i] = a.Lookup
				wg.Done()
			},
		})
	}
	wg.Wait()
	return lookups
}
