package resolver

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// liveAtOnce is the number of hosts that are checked at once.
const liveAtOnce = 64

// Live connects to the hosts themselves, as a certificate authority would. [Network]
// is the implementation for a real network; a caller may use another one, for example
// if this machine has no IPv6.
type Live interface {
	// Dial connects to port 80 of an address.
	Dial(ctx context.Context, addr netip.Addr) dnsgate.Dial
	// Probe asks a host for the node's token and follows redirects.
	Probe(ctx context.Context, target Target) *dnsgate.ProbeFacts
}

// A Target is a host to probe.
type Target struct {
	Host string
	// Address is the address of Host to connect to.
	Address netip.Addr
	// Own are all addresses of Host, which count if a redirect leads back to it.
	Own []netip.Addr
	// Spent is the number of requests that the certificate authority sent before, to a
	// dead IPv6 address.
	Spent int
	// Nodes are the addresses that should answer in the end, and Names the names in DNS
	// of their nodes, as in their tokens.
	Nodes []netip.Addr
	Names []string
	// Lookup returns the addresses of another host that it redirects to.
	Lookup func(host string) []netip.Addr
}

// maxProbes is the number of addresses of one family that are probed.
const maxProbes = 4

// A liveJob holds the live checks of one name.
type liveJob struct {
	name   *dnsgate.NameFacts
	nodes  []netip.Addr
	names  []string     // of the nodes
	v4, v6 []netip.Addr // addresses that are not the node's, from the resolver and all servers
	own    []netip.Addr // what the name leads to by now
	six    bool         // the resolver and every server have an IPv6 address
}

func newLiveJob(name *dnsgate.NameFacts, nodes []netip.Addr) *liveJob {
	j := &liveJob{name: name, nodes: nodes}
	foreign := func(lists ...[]string) (addrs []netip.Addr) {
		for _, addr := range parseAll(unique(lists...)) {
			if !slices.Contains(nodes, addr) && !dnsgate.IsReserved(addr) {
				addrs = append(addrs, addr)
			}
		}
		return addrs
	}
	for _, addr := range parseAll(name.AAAA.Addresses) {
		j.six = j.six || !dnsgate.IsReserved(addr)
	}
	four, six := [][]string{name.A.Addresses}, [][]string{name.AAAA.Addresses}
	servers := slices.Clone(name.Servers)
	for _, alias := range name.Aliases {
		servers = append(servers, alias.Servers...)
	}
	for _, s := range servers {
		four, six = append(four, s.A.Addresses), append(six, s.AAAA.Addresses)
		j.six = j.six && (s.AAAA.Failed() || len(s.AAAA.Addresses)+len(s.AAAA.Chain) > 0)
	}
	j.v4, j.v6 = foreign(four...), foreign(six...)
	return j
}

// probed returns the addresses to probe, as a certificate authority chooses them:
// IPv6 if there is any; IPv4 too if some server has no IPv6 address, or if some IPv6
// address is dead, or may be.
func (j *liveJob) probed(dials map[netip.Addr]dnsgate.Dial) (addrs []netip.Addr) {
	dead := 0 // or maybe dead
	for _, addr := range j.v6 {
		if isDead(addr, dials) || dials[addr] == dnsgate.DialUnreachable {
			dead++
		} else if len(addrs) < maxProbes {
			addrs = append(addrs, addr)
		}
	}
	if !j.six || dead > 0 {
		addrs = append(addrs, j.v4[:min(len(j.v4), maxProbes)]...)
	}
	return addrs
}

func isDead(addr netip.Addr, dials map[netip.Addr]dnsgate.Dial) bool {
	d := dials[addr]
	return d == dnsgate.DialRefused || d == dnsgate.DialTimeout || addr.IsMulticast()
}

// live connects to the names that have addresses which are not their nodes', and adds
// the results to the facts.
func (c *collection) live(ctx context.Context, question dnsgate.Question, facts *dnsgate.Facts) {
	checks := c.config.Live
	if checks == nil {
		checks = &Network{DialAddr: c.config.DialAddr, Private: c.config.Private}
	}
	var jobs []*liveJob
	for _, name := range question.Names {
		var own []netip.Addr
		for _, node := range question.NodesOf[name] {
			own = append(own, facts.NodeAddresses(node)...)
		}
		if len(own) == 0 {
			continue // no node address to compare with
		}
		if j := newLiveJob(facts.Names[name], own); len(j.v4)+len(j.v6) > 0 {
			j.names = question.NodesOf[name]
			j.own = parseAll(dnsgate.Current(facts, j.names[0], name))
			jobs = append(jobs, j)
		}
	}
	// The node itself, for comparison, and to see whether it serves its token.
	deaf := &deafNodes{}
	each(len(jobs), liveAtOnce, func(i int) { jobs[i].name.Live = c.askNode(ctx, checks, jobs[i], deaf) })
	if question.Live == dnsgate.LiveServed {
		jobs = slices.DeleteFunc(jobs, func(j *liveJob) bool {
			if own := j.name.Live.Own; own != nil && slices.Contains(j.names, own.Proof) {
				return false
			}
			j.name.Live = nil
			return true
		})
	}
	dials := map[netip.Addr]dnsgate.Dial{}
	for _, j := range jobs {
		for _, addr := range j.v6 {
			dials[addr] = ""
		}
	}
	addrs := slices.Collect(maps.Keys(dials))
	results := make([]dnsgate.Dial, len(addrs))
	each(len(addrs), liveAtOnce, func(i int) { results[i] = checks.Dial(ctx, addrs[i]) })
	for i, addr := range addrs {
		dials[addr] = results[i]
	}
	each(len(jobs), liveAtOnce, func(i int) { c.check(ctx, checks, jobs[i], dials) })
}

// deafNodes are the addresses of nodes to which no connection was possible: they are
// asked once, and not for each name.
type deafNodes struct {
	mu    sync.Mutex
	addrs map[netip.Addr]bool
}

func (d *deafNodes) has(addr netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.addrs[addr]
}

func (d *deafNodes) add(addr netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.addrs == nil {
		d.addrs = map[netip.Addr]bool{}
	}
	d.addrs[addr] = true
}

func (c *collection) target(j *liveJob) Target {
	return Target{Host: j.name.Name, Nodes: j.nodes, Names: j.names, Lookup: c.cache.valid, Own: j.own}
}

// askNode asks the node for the name, at the first of its addresses that answers.
func (c *collection) askNode(ctx context.Context, checks Live, j *liveJob, deaf *deafNodes) *dnsgate.LiveFacts {
	live := &dnsgate.LiveFacts{Dials: map[string]dnsgate.Dial{}, Probes: map[string]*dnsgate.ProbeFacts{}}
	target := c.target(j)
	for _, addr := range j.nodes {
		if deaf.has(addr) {
			continue
		}
		target.Address = addr
		if live.Own = checks.Probe(ctx, target); live.Own.Status != 0 {
			break
		}
		deaf.add(addr)
	}
	return live
}

// check probes each address.
func (c *collection) check(ctx context.Context, checks Live, j *liveJob, dials map[netip.Addr]dnsgate.Dial) {
	live, target := j.name.Live, c.target(j)
	for _, addr := range j.v6 {
		live.Dials[addr.String()] = dials[addr]
	}
	for _, addr := range j.probed(dials) {
		target.Address, target.Spent = addr, 0
		if addr.Is4() && slices.ContainsFunc(j.v6, func(addr netip.Addr) bool { return isDead(addr, dials) }) {
			target.Spent = 1
		}
		live.Probes[addr.String()] = checks.Probe(ctx, target)
	}
}

func parseAll(texts []string) (addrs []netip.Addr) {
	for _, text := range texts {
		if addr, err := netip.ParseAddr(text); err == nil {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}
