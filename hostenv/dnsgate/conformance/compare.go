package conformance

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/resolver"
)

// A Comparison is what the gate and Let's Encrypt say of one instance.
type Comparison struct {
	Instance
	Verdict dnsgate.Verdict // with the live checks
	Plain   dnsgate.Verdict // from DNS alone
	Facts   *dnsgate.NameFacts
	// Issued and Refused are how often Let's Encrypt did; Refusal is one case.
	Issued, Refused int
	Refusal         Decision
	spent           time.Duration
}

// Class is what Let's Encrypt makes of it.
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

// Disagrees says what is wrong with a verdict, "" if nothing is: a pass that is
// ever refused, a failure that is always issued, an unknown without a cause.
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

// Limit says why a failure that Let's Encrypt would always issue is let stand,
// "" if it is not: what cannot be told from outside, or is told to be of one
// mind by luck alone.
func (c Comparison) Limit() string { return limits[c.Name] }

var limits = map[string]string{
	"forward: A at proxy":                                              "a reverse proxy that is not in the list of known ones hands every request on, and to know it takes a token on the node",
	"forward: A of a redirect and the node":                            "it takes a probe of each address",
	"servers disagree: AAAA that refuses at one, A the node's at both": "servers that disagree are to be mended, though here both ways lead to the node",
}

// Repeats are how often the oracle is asked: a pass at least Pass times; a
// failure until it refuses, Fail times at most, for where servers or addresses
// disagree it is a matter of luck.
type Repeats struct{ Pass, Fail int }

// Compare installs the situations, collects the facts of all of them in one
// run, as `mage dnsGate` does, judges, and asks the oracle, several at a time.
func (l *Lab) Compare(ctx context.Context, situations []Situation, repeats Repeats, parallel int) (out []Comparison, err error) {
	question := dnsgate.Question{NodesOf: map[string][]string{}, Live: true}
	for node := range nodes {
		question.Nodes = append(question.Nodes, Instance{Situation: Situation{Node: node}}.NodeName())
	}
	out = make([]Comparison, len(situations))
	for i, s := range situations {
		out[i].Instance = s.Instance()
		remove, err := out[i].Install(l.Fleet)
		if err != nil {
			return nil, err
		}
		defer remove()
		name, err := dnsgate.QueryName(out[i].Host)
		if err != nil || slices.Contains(question.Names, name) {
			continue
		}
		question.Names = append(question.Names, name)
		question.NodesOf[name] = []string{out[i].NodeName()}
	}
	facts, err := resolver.New(resolver.Config{Resolver: l.Gate(), Live: &resolver.Network{}}).Collect(ctx, question)
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
		c := &out[i]
		request := dnsgate.Request{Host: c.Host, Names: []string{c.Host}, Node: c.NodeName(), AccountURI: Account}
		if c.NoAccount {
			request.AccountURI = ""
		}
		for _, text := range c.Proxies {
			request.Proxies = append(request.Proxies, netip.MustParsePrefix(text))
		}
		c.Verdict, c.Plain = dnsgate.Judge(facts, request), dnsgate.Judge(&plain, request)
		if name, err := dnsgate.QueryName(c.Host); err == nil {
			c.Facts = facts.Names[name]
		}
	}
	// In rounds that begin in different seconds: for the rest of one a resolver
	// keeps even a record with a TTL of 0, and each round is to be a draw of its
	// own of servers and addresses.
	for round := time.Now(); ; {
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

func (c *Comparison) wants(repeats Repeats) bool {
	switch n := c.Issued + c.Refused; {
	case c.Refused > 0 || n >= 2 && c.spent > 30*time.Second: // a black hole
		return false
	case c.Verdict.Result == dnsgate.Fail || c.Plain.Result == dnsgate.Fail && !excused(c.Plain):
		return n < repeats.Fail
	default:
		return n < repeats.Pass
	}
}

func (l *Lab) ask(ctx context.Context, c *Comparison) error {
	began := time.Now()
	decision, err := l.Oracle.Ask(ctx, c.Host, c.Node)
	c.spent += time.Since(began)
	if err != nil {
		return fmt.Errorf("situation %q: %w", c.Name, err)
	}
	if decision.Issued {
		c.Issued++
	} else {
		c.Refused++
		c.Refusal = decision
	}
	return nil
}

// needLive are failures from DNS alone that a live check may turn into a pass.
var needLive = []dnsgate.Reason{dnsgate.ReasonAAAAMismatch, dnsgate.ReasonAAAAMixed, dnsgate.ReasonAMismatch, dnsgate.ReasonAMixed}

func excused(plain dnsgate.Verdict) bool { return slices.Contains(needLive, plain.Reason) }
