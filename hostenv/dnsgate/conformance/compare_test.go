package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/resolver"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A Comparison holds the answers of the gate and of Let's Encrypt for an instance.
type Comparison struct {
	Instance
	Verdict dnsgate.Verdict // with the live checks
	Plain   dnsgate.Verdict // from DNS alone
	Facts   []*dnsgate.NameFacts
	// Issued and Refused count what Let's Encrypt did; Refusal is one refusal.
	Issued, Refused int
	Refusal         Decision
	spent           time.Duration
}

// Class summarizes what Let's Encrypt did.
func (c Comparison) Class() string {
	switch {
	case c.Refused == 0:
		return "issues"
	case c.Issued == 0:
		return "refuses"
	default:
		return "sometimes"
	}
}

// Disagrees describes what is wrong with a verdict, or returns "" for a right one.
// Wrong are a pass that is ever refused, a failure that is always issued, and an
// unknown without a cause.
func (c Comparison) Disagrees(v dnsgate.Verdict) string {
	switch {
	case v.Result == dnsgate.Pass && c.Refused > 0:
		return "wrong pass"
	case v.Result == dnsgate.Fail && c.Refused == 0:
		return "wrong fail"
	case v.Reason == "" || v.Result == dnsgate.Unknown && len(v.Evidence) == 0:
		return "no cause"
	}
	return ""
}

// Repeats limits the requests to the oracle. It is asked Pass times about a pass. About
// a failure it is asked until it refuses, at most Fail times, because it chooses among
// addresses by chance; four times as often if servers disagree, because two of six
// perspectives have to ask one of four servers for A and for AAAA.
type Repeats struct{ Pass, Fail int }

// Compare installs the situations, collects the facts of all of them in one
// run, as `mage dnsGate` does, judges, and asks the oracle, several at a time.
func (l *Lab) Compare(ctx context.Context, situations []Situation, repeats Repeats, parallel int) (out []Comparison, err error) {
	question := dnsgate.Question{NodesOf: map[string][]string{}, Live: dnsgate.LiveAlways}
	for node := range nodes {
		question.Nodes = append(question.Nodes, Instance{Situation: Situation{Node: node}}.NodeName())
	}
	out = make([]Comparison, len(situations))
	for i, s := range situations {
		out[i].Instance = s.Instance()
		if err := l.remember(ctx, out[i].Instance); err != nil {
			return nil, err
		}
		remove, err := out[i].Install(l.Fleet, l.Web)
		if err != nil {
			return nil, err
		}
		defer remove()
		for _, text := range out[i].Names() {
			name, err := dnsgate.QueryName(text)
			if err != nil || slices.Contains(question.Names, name) {
				continue
			}
			question.Names = append(question.Names, name)
			question.NodesOf[name] = []string{out[i].NodeName()}
		}
	}
	facts, err := resolver.New(l.waits.gate(l.Gate())).Collect(ctx, question)
	if err != nil {
		return nil, err
	}
	plain := *facts
	plain.Names = map[string]*dnsgate.NameFacts{}
	for name, f := range facts.Names {
		without := *f
		without.Live = nil
		plain.Names[name] = &without
	}
	for i := range out {
		out[i].judge(facts, &plain)
	}
	// Each round begins in another second, because a resolver keeps even a record with a
	// TTL of 0 for the rest of its second, and each round should choose servers and
	// addresses anew.
	defer l.order.Store(0)
	for round, n := time.Now(), uint64(0); ; n++ {
		// In every second round each name keeps an order of its addresses, which the chance
		// of the other rounds can bring too: else a refusal that needs the same one of two
		// addresses at each of five redirects would be too rare to be seen.
		l.order.Store(0)
		if n%2 == 1 {
			l.order.Store(rand.Uint64())
		}
		var group errgroup.Group
		group.SetLimit(parallel)
		asked := false
		for i := range out {
			if c := &out[i]; c.wants(repeats) {
				asked = true
				group.Go(func() error { return l.ask(ctx, c) })
			}
		}
		if err := group.Wait(); err != nil || !asked {
			return out, err
		}
		time.Sleep(time.Until(round.Add(1200 * time.Millisecond)))
		round = time.Now()
	}
}

// remember makes the gate's resolver look up the records of a zone as it was before.
func (l *Lab) remember(ctx context.Context, i Instance) error {
	before, ok := i.Remembered()
	if !ok {
		return nil
	}
	if err := l.Fleet.Add(before); err != nil {
		return err
	}
	defer l.Fleet.Remove(before.Origin)
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCAA} {
		query := new(dns.Msg)
		query.SetQuestion(dns.Fqdn(i.Host), kind)
		client := dns.Client{Timeout: 20 * time.Second}
		for end := time.Now().Add(testenv.Patience); ; {
			_, _, err := client.ExchangeContext(ctx, query, l.Gate())
			if err == nil {
				break
			}
			if ctx.Err() != nil || time.Now().After(end) {
				return fmt.Errorf("situation %q: look up what the resolver remembers: %w", i.Name, err)
			}
		}
	}
	return nil
}

// judge sets the verdicts on the certificate and the facts of its names. The facts in
// plain are without live checks.
func (c *Comparison) judge(facts, plain *dnsgate.Facts) {
	request := dnsgate.Request{Host: c.Host, Names: c.Names(), Node: c.NodeName(), AccountURI: Account}
	if c.NoAccount {
		request.AccountURI = ""
	}
	for _, text := range c.Proxies {
		request.Proxies = append(request.Proxies, netip.MustParsePrefix(text))
	}
	c.Verdict, c.Plain = dnsgate.Judge(facts, request), dnsgate.Judge(plain, request)
	for _, text := range c.Names() {
		if name, err := dnsgate.QueryName(text); err == nil {
			c.Facts = append(c.Facts, facts.Names[name])
		}
	}
}

func (c *Comparison) wants(repeats Repeats) bool {
	switch n := c.Issued + c.Refused; {
	case c.Refused > 0:
		return false
	// A black hole makes each request slow. Two are enough but for a failure: both may
	// have chosen the one address of several that answers.
	case n >= 2 && c.spent > 30*time.Second && c.Verdict.Result != dnsgate.Fail || c.spent > 5*time.Minute:
		return false
	case c.Verdict.Reason == dnsgate.ReasonInconsistent || c.Plain.Reason == dnsgate.ReasonInconsistent && !c.Excused():
		return n < 4*repeats.Fail
	case c.Verdict.Result == dnsgate.Fail || c.Plain.Result == dnsgate.Fail && !c.Excused():
		return n < repeats.Fail
	default:
		return n < repeats.Pass
	}
}

func (l *Lab) ask(ctx context.Context, c *Comparison) error {
	began := time.Now()
	defer func() { c.spent += time.Since(began) }()
	for _, name := range c.Names() { // one that is refused fails the order
		decision, err := l.Oracle.Ask(ctx, name, c.Node)
		if err != nil {
			return fmt.Errorf("situation %q: %w", c.Name, err)
		}
		if !decision.Issued {
			c.Refused++
			c.Refusal = decision
			return nil
		}
	}
	c.Issued++
	return nil
}

// needLive are the failures from DNS alone that a live check may turn into a pass,
// because it sees that a host is dead or forwards.
var needLive = []dnsgate.Reason{dnsgate.ReasonAAAAMismatch, dnsgate.ReasonAAAAMixed, dnsgate.ReasonAMismatch, dnsgate.ReasonAMixed}

// Excused reports whether a failure from DNS alone may be wrong: its reason is one of
// needLive, or servers disagree on addresses for which the live checks find no failure.
func (c Comparison) Excused() bool {
	return slices.Contains(needLive, c.Plain.Reason) || c.Plain.Reason == dnsgate.ReasonInconsistent && c.Verdict.Result != dnsgate.Fail
}
