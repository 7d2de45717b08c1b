package resolver

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/miekg/dns"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// A promise is an answer that many callers may wait for.
type promise struct {
	done   chan struct{}
	answer *answer
}

func (p *promise) wait() *answer {
	<-p.done
	return p.answer
}

// A cache asks the resolver each question once.
type cache struct {
	x        *exchange
	config   Config
	servers  []*server
	mu       sync.Mutex
	promises map[question]*promise
}

func newCache(x *exchange, config Config, resolvers []netip.AddrPort) *cache {
	c := &cache{x: x, config: config, promises: map[question]*promise{}}
	for _, addr := range resolvers {
		c.servers = append(c.servers, x.at(addr, config.PerResolver))
	}
	return c
}

// ask starts a lookup, or joins one that has started.
func (c *cache) ask(q question) *promise {
	c.mu.Lock()
	p := c.promises[q]
	if p != nil {
		c.mu.Unlock()
		return p
	}
	p = &promise{done: make(chan struct{})}
	c.promises[q] = p
	c.mu.Unlock()
	c.x.ask(&flight{
		q: q, servers: c.servers, recursive: true, timeouts: c.config.ResolverTimeouts,
		done: func(a *answer) {
			p.answer = a
			close(p.done)
		},
	})
	return p
}

func (c *cache) lookup(name string, qtype uint16) *promise {
	return c.ask(question{name: name, qtype: qtype})
}

// find looks up a name to find servers. If validation fails, it takes the answer
// that is not validated: it only serves to ask the servers of a bogus zone, and no
// verdict trusts it.
func (c *cache) find(name string, qtype uint16) *answer {
	a := c.lookup(name, qtype).wait()
	if a.Error != dnsgate.ErrorServFail {
		return a
	}
	if unchecked := c.ask(question{name: name, qtype: qtype, unchecked: true}).wait(); !unchecked.Failed() {
		return unchecked
	}
	return a
}

// valid returns the addresses of a name as a certificate authority gets them: validated.
func (c *cache) valid(name string) (addrs []netip.Addr) {
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		return nil
	}
	a, aaaa := c.lookup(name, dns.TypeA), c.lookup(name, dns.TypeAAAA)
	return parseAll(slices.Concat(a.wait().Addresses, aaaa.wait().Addresses))
}

// addresses returns the A and AAAA addresses of a name, to find servers with find.
func (c *cache) addresses(name string) (addrs []netip.Addr) {
	c.lookup(name, dns.TypeA)
	c.lookup(name, dns.TypeAAAA)
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		for _, text := range c.find(name, qtype).Addresses {
			if addr, err := netip.ParseAddr(text); err == nil {
				addrs = append(addrs, addr)
			}
		}
	}
	return addrs
}
