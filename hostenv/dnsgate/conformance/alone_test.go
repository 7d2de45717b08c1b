package conformance

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/resolver"
)

// waits are how long the programs of the laboratory wait.
type waits struct {
	authoritative, recursive []time.Duration // of the gate, 0 for its own; see resolver.Config
	connection               time.Duration   // of the gate, 0 for its own
	resolver                 time.Duration   // the shortest of unbound for a server
	lookup, request          time.Duration   // of Boulder
}

var (
	// usual are the waits of operation.
	usual = waits{resolver: 50 * time.Millisecond, lookup: 10 * time.Second, request: 45 * time.Second}
	// patient are those that a machine with much other work does not exceed.
	patient = waits{
		authoritative: []time.Duration{2 * time.Second, 3 * time.Second, 4 * time.Second, 5 * time.Second, 6 * time.Second},
		recursive:     []time.Duration{20 * time.Second, 20 * time.Second, 20 * time.Second, 20 * time.Second},
		connection:    30 * time.Second,
		resolver:      time.Second,
		lookup:        40 * time.Second,
		request:       3 * time.Minute,
	}
)

// gate is the configuration of the gate, which asks a resolver.
func (w waits) gate(address string) resolver.Config {
	return resolver.Config{
		Resolver: address, Timeouts: w.authoritative, ResolverTimeouts: w.recursive,
		Live: &resolver.Network{Timeout: w.connection},
	}
}

// attempts says how often a disagreement has to show, and about how many situations the
// oracle is asked at a time in each. In the first there may be many that wait for hosts and
// servers which do not answer.
var attempts = []int{16, 4, 1}

// Confirmed returns those comparisons of suspects that disagree again, each time, by their
// index: with new resolvers, long waits, and few questions to the oracle at a time, in the end
// one. A slow machine makes lookups and connections of either side fail, and Let's Encrypt's
// answers are in part chance.
func (l *Lab) Confirmed(ctx context.Context, suspects []Situation) (map[int]Comparison, error) {
	at := make([]int, len(suspects))
	for i := range at {
		at[i] = i
	}
	confirmed := map[int]Comparison{}
	for _, parallel := range attempts {
		if len(at) == 0 {
			break
		}
		if err := l.Restart(patient); err != nil {
			return nil, err
		}
		var again []Situation
		for _, i := range at {
			again = append(again, suspects[i])
		}
		results, err := l.Compare(ctx, again, Repeats{Pass: 8, Fail: 16}, parallel)
		if err != nil {
			return nil, err
		}
		clear(confirmed)
		for k, c := range results {
			if disagree(c) {
				confirmed[at[k]] = c
			}
		}
		at = slices.Sorted(maps.Keys(confirmed))
	}
	return confirmed, l.Restart(usual)
}

// disagreements returns the results that are wrong each time, by their index. It logs the
// others.
func disagreements(t *testing.T, lab *Lab, situations []Situation, results []Comparison) map[int]Comparison {
	t.Helper()
	var at []int
	var suspects []Situation
	for i, c := range results {
		if disagree(c) {
			at, suspects = append(at, i), append(suspects, situations[i])
		}
	}
	if len(suspects) == 0 {
		return nil
	}
	began := time.Now()
	t.Logf("asking again about %d disagreements", len(suspects))
	confirmed, err := lab.Confirmed(t.Context(), suspects)
	if err != nil {
		t.Fatal(err)
	}
	out := map[int]Comparison{}
	for k, i := range at {
		if c, ok := confirmed[k]; ok {
			out[i] = c
		} else {
			t.Logf("not each time: %s", report(results[i], verdictOf(results[i]), results[i].Verdict))
		}
	}
	t.Logf("%d of %d disagreements are confirmed, in %s", len(out), len(suspects), time.Since(began).Round(time.Second))
	return out
}

func verdictOf(c Comparison) string {
	if wrong := c.Disagrees(c.Verdict); wrong != "" {
		return wrong
	}
	return "from DNS alone, " + c.Disagrees(c.Plain)
}

func disagree(c Comparison) bool {
	if c.Disagrees(c.Verdict) != "" {
		return true
	}
	wrong := c.Disagrees(c.Plain)
	return wrong != "" && (wrong != "wrong fail" || !c.Excused())
}

// shrinkFor limits the time in which a disagreement is shrunk: it is one without that too.
const shrinkFor = 5 * time.Minute

// shrink removes elements while the two still disagree each time.
func shrink(t *testing.T, lab *Lab, s Situation, found Comparison) (Situation, Comparison) {
	t.Helper()
	next := func(smaller []Situation) (Situation, *Comparison) {
		for _, s := range smaller {
			// A zone may be none any more, such as one with a CNAME beside itself.
			results, err := lab.Compare(t.Context(), []Situation{s}, Repeats{Pass: 4, Fail: 16}, 1)
			if err != nil {
				t.Log(err)
				continue
			}
			if !disagree(results[0]) {
				continue
			}
			confirmed, err := lab.Confirmed(t.Context(), []Situation{s})
			if err != nil {
				t.Fatal(err)
			}
			if c, ok := confirmed[0]; ok {
				return s, &c
			}
		}
		return s, nil
	}
	for end := time.Now().Add(shrinkFor); time.Now().Before(end); {
		smaller, again := next(Smaller(s))
		if again == nil {
			break
		}
		s, found = smaller, *again
	}
	return s, found
}
