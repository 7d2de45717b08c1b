package resolver

import (
	"slices"
	"sync"

	"github.com/miekg/dns"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// A once computes a value for each key once, when the first caller needs it.
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

// serversOf returns the answers of all servers of a zone about a name. It asks them once
// a run.
func (c *collection) serversOf(z *zone, name string) []dnsgate.ServerFacts {
	return c.names.get(name, func() []dnsgate.ServerFacts {
		servers := z.ask(c.x, name)
		c.addCAA(z, name, servers)
		return servers
	})
}

// aliases returns the targets in other zones of the CNAMEs of the resolver and of all
// servers.
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
		alias := dnsgate.AliasFacts{Name: name, Zone: z.name, Servers: c.serversOf(z, name)}
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

// A zoneLabel is a name and the zone whose servers have its CAA set.
type zoneLabel struct{ zone, label string }

// addCAA adds each server's CAA answers, from the name up to the top of its zone. It
// asks for each label once a run.
func (c *collection) addCAA(z *zone, name string, servers []dnsgate.ServerFacts) {
	if z.name == "" || len(servers) == 0 {
		return
	}
	for _, label := range labels(name) {
		if !within(label, z.name) || !goesOn(servers) {
			break
		}
		answers := c.caa.get(zoneLabel{z.name, label}, func() [][]*answer { return z.answers(c.x, label, dns.TypeCAA) })
		for i := range servers {
			servers[i].CAA = append(servers[i].CAA, dnsgate.CAALookup{Name: label, Lookup: answers[i][0].Lookup})
		}
	}
}

// goesOn reports whether the walk continues with the next label: a server has no set at
// the last one, and a resolver may ask any server for the next.
func goesOn(servers []dnsgate.ServerFacts) bool {
	return slices.ContainsFunc(servers, func(s dnsgate.ServerFacts) bool {
		n := len(s.CAA)
		return n == 0 || !s.CAA[n-1].Lookup.Failed() && len(s.CAA[n-1].Lookup.CAA) == 0
	})
}
