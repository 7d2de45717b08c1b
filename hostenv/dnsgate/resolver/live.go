package resolver

import (
	"context"
	"net/netip"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// liveAtOnce is how many hosts are connected to at once.
const liveAtOnce = 64

// Live connects to the hosts themselves, as a certificate authority would.
// [Network] does; a caller may put something else in its place, as where this
// machine has no IPv6.
type Live interface {
	// Dial connects to port 80 of an address.
	Dial(ctx context.Context, addr netip.Addr) dnsgate.Dial
	// Probe asks a host for a token and follows where it is sent.
	Probe(ctx context.Context, target Target) *dnsgate.ProbeFacts
}

// A Target is a host to probe.
type Target struct {
	Host string
	// Nodes are the addresses that ought to answer in the end.
	Nodes []netip.Addr
	// Lookup returns the addresses of a host: of Host, and of hosts that it
	// redirects to.
	Lookup func(host string) []netip.Addr
}

// live adds to the facts what connecting to the hosts tells: of names with
// addresses that are not their nodes'.
func (c *collection) live(ctx context.Context, question dnsgate.Question, facts *dnsgate.Facts) {
	checks := c.config.Live
	if checks == nil {
		checks = &Network{DialAddr: c.config.DialAddr}
	}
	nodes := map[string][]netip.Addr{}
	for name, node := range facts.Nodes {
		nodes[name] = nodeAddresses(node)
	}
	type job struct {
		name    *dnsgate.NameFacts
		nodes   []netip.Addr
		foreign []netip.Addr
		elsew   bool
	}
	var jobs []job
	dials := map[netip.Addr]dnsgate.Dial{}
	for _, name := range question.Names {
		j := job{name: facts.Names[name]}
		for _, node := range question.NodesOf[name] {
			j.nodes = append(j.nodes, nodes[node]...)
		}
		if len(j.nodes) == 0 {
			continue // nothing to measure against
		}
		for _, addr := range parseAll(j.name.A.Addresses) {
			j.elsew = j.elsew || !slices.Contains(j.nodes, addr)
		}
		for _, addr := range parseAll(j.name.AAAA.Addresses) {
			if !slices.Contains(j.nodes, addr) {
				j.foreign = append(j.foreign, addr)
				dials[addr] = ""
			}
		}
		if j.elsew || len(j.foreign) > 0 {
			jobs = append(jobs, j)
		}
	}
	addrs := make([]netip.Addr, 0, len(dials))
	for addr := range dials {
		addrs = append(addrs, addr)
	}
	results := make([]dnsgate.Dial, len(addrs))
	each(len(addrs), liveAtOnce, func(i int) { results[i] = checks.Dial(ctx, addrs[i]) })
	for i, addr := range addrs {
		dials[addr] = results[i]
	}
	each(len(jobs), liveAtOnce, func(i int) {
		j := jobs[i]
		live := &dnsgate.LiveFacts{Probe: checks.Probe(ctx, Target{Host: j.name.Name, Nodes: j.nodes, Lookup: c.cache.addresses})}
		for _, addr := range j.foreign {
			if live.Dials == nil {
				live.Dials = map[string]dnsgate.Dial{}
			}
			live.Dials[addr.String()] = dials[addr]
		}
		j.name.Live = live
	})
}

// nodeAddresses is the union over the servers that answer, or what the
// resolver says.
func nodeAddresses(node *dnsgate.NodeFacts) []netip.Addr {
	var texts []string
	for _, s := range node.Servers {
		texts = append(append(texts, s.A.Addresses...), s.AAAA.Addresses...)
	}
	if len(texts) == 0 {
		texts = slices.Concat(node.A.Addresses, node.AAAA.Addresses)
	}
	return parseAll(texts)
}

func parseAll(texts []string) (addrs []netip.Addr) {
	for _, text := range texts {
		if addr, err := netip.ParseAddr(text); err == nil {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}
