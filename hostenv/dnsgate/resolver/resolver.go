package resolver

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// A Resolver collects facts. It keeps no state between runs, and several goroutines
// may use it.
type Resolver struct {
	config Config
}

var _ dnsgate.Collector = (*Resolver)(nil)

// New returns a Resolver. The first run returns an error if the configuration is
// wrong.
func New(config Config) *Resolver {
	return &Resolver{config: config.withDefaults()}
}

// Collect gathers the facts that the question asks for. A lookup that fails is a
// fact too. Collect returns no facts and an error if the [Config] has no resolver,
// or if the context ends.
func (r *Resolver) Collect(ctx context.Context, question dnsgate.Question) (*dnsgate.Facts, error) {
	resolvers, err := r.config.resolvers()
	if err != nil {
		return nil, err
	}
	x := newExchange(ctx, r.config.Timeouts)
	defer x.close()
	c := newCollection(x, r.config, resolvers)

	names := unique(question.Nodes, question.Names)
	found := make([]*dnsgate.NameFacts, len(names))
	stopProgress := c.report(len(names))
	each(len(names), r.config.Concurrency, func(i int) {
		found[i] = c.name(names[i])
		c.count.Add(1)
	})
	facts := &dnsgate.Facts{
		FormatVersion: dnsgate.FormatVersion,
		Taken:         r.config.Now().UTC().Format(time.RFC3339),
		Resolver:      joinAddrs(resolvers),
		Nodes:         make(map[string]*dnsgate.NodeFacts, len(question.Nodes)),
		Names:         make(map[string]*dnsgate.NameFacts, len(question.Names)),
	}
	at := make(map[string]*dnsgate.NameFacts, len(names))
	for i, name := range names {
		at[name] = found[i]
	}
	for _, name := range question.Names {
		facts.Names[name] = at[name]
	}
	for _, name := range question.Nodes {
		n := at[name]
		facts.Nodes[name] = &dnsgate.NodeFacts{Name: n.Name, A: n.A, AAAA: n.AAAA, Zone: n.Zone, Servers: n.Servers}
	}
	if question.Live != dnsgate.LiveNever {
		c.live(ctx, question, facts)
	}
	stopProgress()
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("collect facts of %d names: %w", len(names), err)
	}
	return facts, nil
}

// A collection holds what one run, or one round of waiting, has found.
type collection struct {
	config Config
	x      *exchange
	cache  *cache
	zones  *zones
	names  once[string, []dnsgate.ServerFacts]
	caa    once[zoneLabel, [][]*answer]
	count  atomic.Int64
}

func newCollection(x *exchange, config Config, resolvers []netip.AddrPort) *collection {
	c := newCache(x, config, resolvers)
	return &collection{config: config, x: x, cache: c, zones: &zones{cache: c, config: config}}
}

// name gathers all facts of one name.
func (c *collection) name(name string) *dnsgate.NameFacts {
	facts := &dnsgate.NameFacts{Name: name}
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		facts.A = failed(dnsgate.ErrorMalformed).Lookup
		facts.AAAA = facts.A
		return facts
	}
	a, aaaa := c.cache.lookup(name, dns.TypeA), c.cache.lookup(name, dns.TypeAAAA)
	var caa []*promise
	for _, label := range labels(name) {
		caa = append(caa, c.cache.lookup(label, dns.TypeCAA))
	}
	here := c.zones.of(name, caa[0].wait(), aaaa.wait(), a.wait())
	facts.Zone, facts.ZoneError = here.name, here.err
	facts.Servers = c.serversOf(here, name)
	facts.A, facts.AAAA = a.wait().Lookup, aaaa.wait().Lookup
	facts.Aliases = c.aliases(facts, a.wait(), aaaa.wait())
	facts.CAA = walk(labels(name), caa)
	return facts
}

// walk returns the CAA lookups up to the first that failed. The first set that is not
// empty counts (RFC 8659 section 3); those above it do if the name servers no longer have
// that set.
func walk(labels []string, promises []*promise) []dnsgate.CAALookup {
	lookups := make([]dnsgate.CAALookup, 0, len(labels))
	for i, label := range labels {
		lookup := promises[i].wait().Lookup
		lookups = append(lookups, dnsgate.CAALookup{Name: label, Lookup: lookup})
		if lookup.Failed() {
			break
		}
	}
	return lookups
}

// report calls Progress twice a second until stop is called, and once more then.
func (c *collection) report(total int) (stop func()) {
	if c.config.Progress == nil {
		return func() {}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(500 * time.Millisecond)
		defer ticker.Stop()
		for running := true; running; {
			select {
			case <-ticker.C:
			case <-done:
				running = false
			}
			c.config.Progress(Progress{Done: int(c.count.Load()), Total: total, Stats: c.x.statistics()})
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}

// each calls f for 0 to n-1, at most atOnce calls at the same time.
func each(n, atOnce int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, atOnce) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

func unique(lists ...[]string) []string {
	all := slices.Concat(lists...)
	seen := make(map[string]bool, len(all))
	return slices.DeleteFunc(all, func(name string) bool {
		again := seen[name]
		seen[name] = true
		return again
	})
}

func joinAddrs(addrs []netip.AddrPort) string {
	texts := make([]string, len(addrs))
	for i, addr := range addrs {
		texts[i] = addr.String()
	}
	return strings.Join(texts, ",")
}
