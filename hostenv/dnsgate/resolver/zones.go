package resolver

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/internal/public"
)

// A zone is the name of a zone with its servers, or with the reason why it has none.
type zone struct {
	name    string
	servers []nameServer
	err     dnsgate.LookupError
}

// A nameServer is one address of one server of a zone.
type nameServer struct {
	name    string
	address string  // "" if it has none
	ask     *server // nil if we cannot ask it, and then why says why
	why     dnsgate.LookupError
	// undelegated means that the parent zone does not name this server.
	undelegated bool
	// unglued means that the parent zone has other addresses for this name.
	unglued bool
}

// zones finds zones, each of them once a run.
type zones struct {
	cache  *cache
	config Config
	all    once[string, *zone] // by name
}

// of finds the zone that holds a name. The caller gives answers about the same name
// in seen: a negative one has the zone's SOA (RFC 2308), so that most names need no
// further question.
func (z *zones) of(name string, seen ...*answer) *zone {
	for _, a := range seen {
		if len(a.Chain) == 0 && !a.Failed() && a.zone != "" && within(name, a.zone) {
			return z.named(a.zone)
		}
	}
	var first dnsgate.LookupError // the first error
	for at := name; at != ""; at = parent(at) {
		if first != "" && parent(at) == "" {
			break // the servers of a top-level domain do not have the name
		}
		a := z.cache.find(at, dns.TypeNS)
		switch {
		case a.Failed():
			if first == "" {
				first = a.Error
			}
			if a.Error == dnsgate.ErrorTimeout || a.Error == dnsgate.ErrorCancelled {
				return &zone{err: first}
			}
			continue // the names above it may answer
		case len(a.Chain) > 0: // the top of a zone cannot be a CNAME
			continue
		case a.Outcome == dnsgate.OutcomeAnswer:
			return z.named(at)
		case a.zone != "" && within(at, a.zone):
			return z.named(a.zone)
		}
	}
	if first == "" {
		first = dnsgate.ErrorLame
	}
	return &zone{err: first}
}

// named finds the servers of a zone.
func (z *zones) named(name string) *zone {
	return z.all.get(name, func() *zone { return z.find(name) })
}

func (z *zones) find(name string) *zone {
	found := &zone{name: name}
	ns := z.cache.find(name, dns.TypeNS)
	if ns.Failed() {
		found.err = ns.Error
		return found
	}
	for _, server := range ns.Targets {
		z.cache.lookup(server, dns.TypeA)
		z.cache.lookup(server, dns.TypeAAAA)
	}
	delegated, glue := z.delegated(name)
	if len(ns.Targets)+len(delegated) == 0 { // neither the zone nor its parent has NS records
		found.err = dnsgate.ErrorLame
		return found
	}
	asked := map[netip.Addr]bool{}
	for _, server := range union(ns.Targets, delegated) {
		undelegated := len(delegated) > 0 && !slices.Contains(delegated, server)
		own := z.cache.addresses(server)
		// Only the glue of names in the zone itself counts: a resolver asks the zones of
		// other names.
		var given []netip.Addr
		if within(server, name) {
			given = glue[server]
		}
		addrs := slices.Concat(given, own)
		if len(addrs) == 0 {
			found.servers = append(found.servers, nameServer{name: server, why: dnsgate.ErrorNetwork, undelegated: undelegated})
		}
		for _, addr := range addrs {
			if asked[addr] {
				continue
			}
			asked[addr] = true
			s := nameServer{
				name: server, address: addr.String(), why: dnsgate.ErrorNetwork, undelegated: undelegated,
				unglued: len(given) > 0 && !slices.Contains(given, addr),
			}
			to, err := z.config.mapped(addr, z.config.Port)
			switch {
			case err == nil:
				s.ask = z.cache.x.at(to, z.config.PerServer)
			case errors.As(err, new(*public.Error)):
				s.why = dnsgate.ErrorPrivate
			}
			found.servers = append(found.servers, s)
		}
	}
	slices.SortFunc(found.servers, func(a, b nameServer) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.address, b.address))
	})
	return found
}

// union returns both lists, names that are in both first: if two names share an
// address, we ask it under the name that the parent has.
func union(zone, delegated []string) []string {
	both := slices.DeleteFunc(slices.Clone(zone), func(name string) bool { return !slices.Contains(delegated, name) })
	return unique(both, zone, delegated)
}

// delegated returns the servers that the parent zone names for a zone, and their
// addresses in its glue. It returns nil if that is not known: the same servers have both
// zones, or none answers.
func (z *zones) delegated(name string) ([]string, map[string][]netip.Addr) {
	if !strings.Contains(name, ".") {
		return nil, nil // the delegation of a top-level domain is taken to be correct
	}
	above := z.of(parent(name))
	for i := range above.servers {
		// Spread the questions: the first server is not asked for each of 10,000
		// zones.
		s := above.servers[(i+len(name)+int(name[0])+int(name[1]))%len(above.servers)]
		if s.ask == nil {
			continue
		}
		switch a := z.cache.x.direct(s.ask, question{name: name, qtype: dns.TypeNS}); {
		case a.referral.to(name):
			return a.referral.servers, a.referral.glue
		case !a.Failed():
			return nil, nil
		}
	}
	return nil, nil
}

// direct asks one authoritative server one question.
func (x *exchange) direct(s *server, q question) *answer {
	done := make(chan *answer, 1)
	x.ask(&flight{q: q, servers: []*server{s}, timeouts: x.timeouts, done: func(a *answer) { done <- a }})
	return <-done
}

// answers asks every server of the zone for a name's records of some types at once. It
// returns the answers by server and type.
func (z *zone) answers(x *exchange, name string, types ...uint16) [][]*answer {
	all := make([][]*answer, len(z.servers))
	var wg sync.WaitGroup
	for i, s := range z.servers {
		all[i] = make([]*answer, len(types))
		for j, qtype := range types {
			if s.ask == nil {
				all[i][j] = failed(s.why)
				continue
			}
			wg.Add(1)
			x.ask(&flight{
				q: question{name: name, qtype: qtype}, servers: []*server{s.ask}, timeouts: x.timeouts,
				done: func(a *answer) {
					if a.Error == dnsgate.ErrorLame && z.name != "" && a.referral.to(z.name) {
						a.Outcome, a.Error = dnsgate.OutcomeNoData, "" // some servers refer to themselves for no data
					}
					all[i][j] = a
					wg.Done()
				},
			})
		}
	}
	wg.Wait()
	return all
}

// ask asks every server of the zone for a name's A and AAAA records. It returns nil if
// the zone has no server.
func (z *zone) ask(x *exchange, name string) []dnsgate.ServerFacts {
	var facts []dnsgate.ServerFacts
	for i, pair := range z.answers(x, name, dns.TypeA, dns.TypeAAAA) {
		s := z.servers[i]
		facts = append(facts, dnsgate.ServerFacts{
			Name: s.name, Address: s.address, Undelegated: s.undelegated, Unglued: s.unglued,
			A: pair[0].Lookup, AAAA: pair[1].Lookup, CNAME: cnameOf(pair[0].Lookup, pair[1].Lookup),
		})
	}
	return facts
}

// cnameOf returns the CNAME of the replies for A and AAAA; a server sends it in
// both.
func cnameOf(cname, other dnsgate.Lookup) dnsgate.Lookup {
	if cname.Failed() && len(cname.Chain) == 0 {
		cname = other
	}
	if len(cname.Chain) > 0 {
		return dnsgate.Lookup{Outcome: dnsgate.OutcomeAnswer, Targets: cname.Chain[:1:1]}
	}
	if cname.Outcome == dnsgate.OutcomeAnswer {
		return dnsgate.Lookup{Outcome: dnsgate.OutcomeNoData}
	}
	return dnsgate.Lookup{Outcome: cname.Outcome, Error: cname.Error}
}
