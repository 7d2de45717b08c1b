package resolver

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A fakeClock jumps to the end of every pause, and records the pause.
type fakeClock struct {
	mu     sync.Mutex
	now    time.Time
	pauses []time.Duration
	leap   func(round int)
}

func (c *fakeClock) config() WaitConfig {
	return WaitConfig{
		Now: func() time.Time {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.now
		},
		After: func(d time.Duration) <-chan time.Time {
			c.mu.Lock()
			c.now = c.now.Add(d)
			c.pauses = append(c.pauses, d)
			round := len(c.pauses)
			c.mu.Unlock()
			if c.leap != nil {
				c.leap(round)
			}
			ready := make(chan time.Time, 1)
			ready <- c.now
			return ready
		},
	}
}

func TestWaitUntilEveryServerHasIt(t *testing.T) {
	f := shop(t, "@ A 192.0.2.1")
	clock := &fakeClock{leap: func(round int) {
		switch round {
		case 2:
			f.records(ns1, "shop.test", "www CNAME n1.host.test.")
		case 4:
			f.records(ns2, "shop.test", "www CNAME n1.host.test.")
		}
	}}
	config := clock.config()
	var reports []WaitProgress
	config.Progress = func(p WaitProgress) { reports = append(reports, p) }
	wanted := []Wanted{
		{Name: "www.shop.test", CNAME: "n1.host.test"},
		{Name: "shop.test", Zone: "shop.test", CNAME: "n1.host.test", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}},
	}
	arrivals, err := New(f.config()).Wait(t.Context(), wanted, config)
	if err != nil || Missing(arrivals) != nil {
		t.Fatalf("%v, %v", err, Missing(arrivals))
	}
	if want := []time.Duration{1e9, 2e9, 4e9, 8e9}; !slices.Equal(clock.pauses, want) {
		t.Errorf("pauses %v, want %v", clock.pauses, want)
	}
	if last := reports[len(reports)-1]; last.Ready != 2 || last.Total != 2 || reports[0].Ready != 1 {
		t.Errorf("progress %+v", reports)
	}
	for _, kind := range []string{"www.shop.test A", "www.shop.test AAAA", "www.shop.test NS"} {
		if n := f.questions(resolverAddress, kind); n != 0 {
			t.Errorf("the resolver was asked for %s, and would remember that there is none", kind)
		}
	}
}

func TestWaitToTheDeadline(t *testing.T) {
	f := shop(t, "www A 192.0.2.9").zone("other.test", "127.0.2.5")
	clock := &fakeClock{}
	arrivals, err := New(f.config()).Wait(t.Context(), []Wanted{{Name: "www.shop.test", CNAME: "n1.host.test"}}, clock.config())
	if err != nil {
		t.Fatal(err)
	}
	if arrivals[0].Ready || arrivals[0].Zone != "shop.test" || len(arrivals[0].Servers) != 2 {
		t.Errorf("%+v", arrivals)
	}
	var total time.Duration
	for _, pause := range clock.pauses {
		total += pause
	}
	if total != 10*time.Minute || slices.Max(clock.pauses) != 30*time.Second {
		t.Errorf("waited %v: %v", total, clock.pauses)
	}
	if err := Missing(arrivals); err == nil || !strings.Contains(err.Error(), "has 192.0.2.9") || !strings.Contains(problem.Hint(problem.Leaves(err)[0]), "shop.test") {
		t.Errorf("%v", err)
	}
}

func TestWaitEndsWithTheContext(t *testing.T) {
	f := shop(t)
	ctx, cancel := context.WithCancel(t.Context())
	clock := &fakeClock{leap: func(round int) {
		if round == 3 {
			cancel()
		}
	}}
	arrivals, err := New(f.config()).Wait(ctx, []Wanted{{Name: "www.shop.test", CNAME: "x.test"}}, clock.config())
	if !errors.Is(err, context.Canceled) || arrivals[0].Ready {
		t.Errorf("%v, %+v", err, arrivals)
	}
}

// A silent or lame server does not delay Wait, and Wait does not look for a delegated
// name in the zone above it.
func TestWaitWithoutOneServer(t *testing.T) {
	t.Parallel()
	for _, fault := range []fault{silent, refused, noAuthority} {
		f := shop(t, "www CNAME n1.host.test.").zone("sub.shop.test", "127.0.2.6").everywhere("sub.shop.test", "www CNAME n1.host.test.")
		f.fault(ns2, "", fault)
		arrivals, err := New(f.config()).Wait(t.Context(), []Wanted{
			{Name: "www.shop.test", CNAME: "n1.host.test"},
			{Name: "www.sub.shop.test", CNAME: "n1.host.test"},
		}, (&fakeClock{}).config())
		if err != nil || Missing(arrivals) != nil {
			t.Errorf("fault %d: %v, %v", fault, err, Missing(arrivals))
		}
		if arrivals[1].Zone != "sub.shop.test" {
			t.Errorf("zone %q", arrivals[1].Zone)
		}
	}
}

func TestWhatIsWanted(t *testing.T) {
	addresses := func(texts ...string) dnsgate.Lookup {
		if len(texts) == 0 {
			return dnsgate.Lookup{Outcome: dnsgate.OutcomeNoData}
		}
		return dnsgate.Lookup{Outcome: dnsgate.OutcomeAnswer, Addresses: texts}
	}
	cname := dnsgate.ServerFacts{A: addresses(), AAAA: addresses(), CNAME: dnsgate.Lookup{Outcome: dnsgate.OutcomeAnswer, Targets: []string{"n1.host.test"}}}
	a := dnsgate.ServerFacts{A: addresses("192.0.2.1"), AAAA: addresses()}
	mixed := dnsgate.ServerFacts{A: addresses("192.0.2.1", "192.0.2.2"), AAAA: addresses()}
	none := dnsgate.ServerFacts{A: addresses(), AAAA: addresses()}
	dead := dnsgate.ServerFacts{A: failed(dnsgate.ErrorTimeout).Lookup, AAAA: failed(dnsgate.ErrorTimeout).Lookup}
	node := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	for _, test := range []struct {
		reason  string
		wanted  Wanted
		servers []dnsgate.ServerFacts
		want    bool
	}{
		{"both have the CNAME", Wanted{CNAME: "n1.host.test"}, []dnsgate.ServerFacts{cname, cname}, true},
		{"one has it not", Wanted{CNAME: "n1.host.test"}, []dnsgate.ServerFacts{cname, none}, false},
		{"one is dead", Wanted{CNAME: "n1.host.test"}, []dnsgate.ServerFacts{dead, cname}, true},
		{"all are dead", Wanted{CNAME: "n1.host.test"}, []dnsgate.ServerFacts{dead, dead}, false},
		{"another CNAME", Wanted{CNAME: "n2.host.test", Addresses: node}, []dnsgate.ServerFacts{cname}, false},
		{"an address is no CNAME", Wanted{CNAME: "n1.host.test"}, []dnsgate.ServerFacts{a}, false},
		{"flattened", Wanted{CNAME: "n1.host.test", Addresses: node}, []dnsgate.ServerFacts{a}, true},
		{"an old address beside it", Wanted{Addresses: node}, []dnsgate.ServerFacts{mixed}, false},
		{"proxied: any address", Wanted{}, []dnsgate.ServerFacts{mixed}, true},
		{"proxied and not there yet", Wanted{}, []dnsgate.ServerFacts{none}, false},
		{"no servers", Wanted{}, nil, false},
	} {
		if got := test.wanted.met(test.servers); got != test.want {
			t.Errorf("%s: %v", test.reason, got)
		}
	}
}
