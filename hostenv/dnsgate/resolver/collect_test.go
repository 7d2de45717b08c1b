package resolver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

const ns1, ns2 = "127.0.2.1", "127.0.2.2"

// shop starts the zone shop.test at two servers.
func shop(t testing.TB, records ...string) *fleet {
	return newFleet(t).zone("shop.test", ns1, ns2).everywhere("shop.test", records...)
}

// brief returns a lookup as one line.
func brief(l dnsgate.Lookup) string {
	parts := []string{string(l.Outcome)}
	if l.Error != "" {
		parts = append(parts, string(l.Error))
	}
	if len(l.EDE) > 0 {
		parts = append(parts, fmt.Sprint("ede", l.EDE))
	}
	for _, name := range l.Chain {
		parts = append(parts, "→"+name)
	}
	parts = append(parts, l.Addresses...)
	parts = append(parts, l.Targets...)
	for _, caa := range l.CAA {
		parts = append(parts, fmt.Sprintf("%d %s %q", caa.Flag, caa.Tag, caa.Value))
	}
	return strings.Join(parts, " ")
}

// lines returns the facts of a name, one line each.
func lines(n *dnsgate.NameFacts) []string {
	all := []string{"zone " + n.Zone, "A " + brief(n.A), "AAAA " + brief(n.AAAA)}
	for _, s := range n.Servers {
		at := strings.TrimPrefix(s.Address, "127.0.")
		all = append(all, at+" A "+brief(s.A), at+" AAAA "+brief(s.AAAA), at+" CNAME "+brief(s.CNAME))
	}
	for _, caa := range n.CAA {
		all = append(all, "CAA "+caa.Name+" "+brief(caa.Lookup))
	}
	return all
}

func TestAnswersOfEveryKind(t *testing.T) {
	noCAA := []string{"CAA www.shop.test nodata", "CAA shop.test nodata", "CAA test nodata"}
	for _, test := range []struct {
		name    string
		records []string
		want    []string
		caa     []string
	}{
		{
			name:    "both families",
			records: []string{"www A 192.0.2.7", "www A 192.0.2.1", "www AAAA 2001:db8::1"},
			want: []string{"zone shop.test", "A answer 192.0.2.1 192.0.2.7", "AAAA answer 2001:db8::1",
				"2.1 A answer 192.0.2.1 192.0.2.7", "2.1 AAAA answer 2001:db8::1", "2.1 CNAME nodata",
				"2.2 A answer 192.0.2.1 192.0.2.7", "2.2 AAAA answer 2001:db8::1", "2.2 CNAME nodata"},
			caa: noCAA,
		},
		{
			name:    "no data",
			records: []string{"www TXT x"},
			want: []string{"zone shop.test", "A nodata", "AAAA nodata",
				"2.1 A nodata", "2.1 AAAA nodata", "2.1 CNAME nodata",
				"2.2 A nodata", "2.2 AAAA nodata", "2.2 CNAME nodata"},
			caa: noCAA,
		},
		{
			name: "no such name",
			want: []string{"zone shop.test", "A nxdomain", "AAAA nxdomain",
				"2.1 A nxdomain", "2.1 AAAA nxdomain", "2.1 CNAME nxdomain",
				"2.2 A nxdomain", "2.2 AAAA nxdomain", "2.2 CNAME nxdomain"},
			caa: []string{"CAA www.shop.test nxdomain", "CAA shop.test nodata", "CAA test nodata"},
		},
		{
			name:    "an IPv4 address in an AAAA record stays what it is",
			records: []string{"www AAAA ::ffff:192.0.2.1"},
			want: []string{"zone shop.test", "A nodata", "AAAA answer ::ffff:192.0.2.1",
				"2.1 A nodata", "2.1 AAAA answer ::ffff:192.0.2.1", "2.1 CNAME nodata",
				"2.2 A nodata", "2.2 AAAA answer ::ffff:192.0.2.1", "2.2 CNAME nodata"},
			caa: noCAA,
		},
		{
			name:    "a wildcard",
			records: []string{"* A 192.0.2.1"},
			want: []string{"zone shop.test", "A answer 192.0.2.1", "AAAA nodata",
				"2.1 A answer 192.0.2.1", "2.1 AAAA nodata", "2.1 CNAME nodata",
				"2.2 A answer 192.0.2.1", "2.2 AAAA nodata", "2.2 CNAME nodata"},
			caa: noCAA,
		},
		{
			name:    "a chain within the zone",
			records: []string{"www CNAME a", "a CNAME b", "b A 192.0.2.1"},
			want: []string{"zone shop.test", "A answer →a.shop.test →b.shop.test 192.0.2.1", "AAAA nodata →a.shop.test →b.shop.test",
				"2.1 A answer →a.shop.test →b.shop.test 192.0.2.1", "2.1 AAAA nodata →a.shop.test →b.shop.test", "2.1 CNAME answer a.shop.test",
				"2.2 A answer →a.shop.test →b.shop.test 192.0.2.1", "2.2 AAAA nodata →a.shop.test →b.shop.test", "2.2 CNAME answer a.shop.test"},
			caa: []string{"CAA www.shop.test nodata →a.shop.test →b.shop.test", "CAA shop.test nodata", "CAA test nodata"},
		},
		{
			name:    "a chain that leads to another zone",
			records: []string{"www CNAME n1.host.test."},
			want: []string{"zone shop.test", "A answer →n1.host.test 192.0.2.1", "AAAA nodata →n1.host.test",
				"2.1 A nodata →n1.host.test", "2.1 AAAA nodata →n1.host.test", "2.1 CNAME answer n1.host.test",
				"2.2 A nodata →n1.host.test", "2.2 AAAA nodata →n1.host.test", "2.2 CNAME answer n1.host.test"},
			caa: []string{"CAA www.shop.test answer →n1.host.test 0 issue \"letsencrypt.org\"", "CAA shop.test nodata", "CAA test nodata"},
		},
		{
			name:    "a chain to nowhere",
			records: []string{"www CNAME gone"},
			want: []string{"zone shop.test", "A nxdomain →gone.shop.test", "AAAA nxdomain →gone.shop.test",
				"2.1 A nxdomain →gone.shop.test", "2.1 AAAA nxdomain →gone.shop.test", "2.1 CNAME answer gone.shop.test",
				"2.2 A nxdomain →gone.shop.test", "2.2 AAAA nxdomain →gone.shop.test", "2.2 CNAME answer gone.shop.test"},
			caa: []string{"CAA www.shop.test nxdomain →gone.shop.test", "CAA shop.test nodata", "CAA test nodata"},
		},
		{
			name:    "a loop, which the resolver calls SERVFAIL",
			records: []string{"www CNAME a", "a CNAME www"},
			want: []string{"zone shop.test", "A error servfail", "AAAA error servfail",
				"2.1 A error loop →a.shop.test", "2.1 AAAA error loop →a.shop.test", "2.1 CNAME answer a.shop.test",
				"2.2 A error loop →a.shop.test", "2.2 AAAA error loop →a.shop.test", "2.2 CNAME answer a.shop.test"},
			caa: []string{"CAA www.shop.test error servfail"},
		},
		{
			name:    "CAA: the walk goes beyond the first set",
			records: []string{"www A 192.0.2.1", `@ CAA 0 issue "letsencrypt.org; validationmethods=http-01"`, `@ CAA 128 Iodef "a\\b\"c"`},
			want: []string{"zone shop.test", "A answer 192.0.2.1", "AAAA nodata",
				"2.1 A answer 192.0.2.1", "2.1 AAAA nodata", "2.1 CNAME nodata",
				"2.2 A answer 192.0.2.1", "2.2 AAAA nodata", "2.2 CNAME nodata"},
			caa: []string{"CAA www.shop.test nodata",
				`CAA shop.test answer 128 Iodef "a\\b\"c" 0 issue "letsencrypt.org; validationmethods=http-01"`, "CAA test nodata"},
		},
		{
			name:    "CAA: bytes that no document can hold",
			records: []string{"www A 192.0.2.1", `@ CAA 0 \255\000x "letsencrypt.org\000; \255\254=1"`},
			want: []string{"zone shop.test", "A answer 192.0.2.1", "AAAA nodata",
				"2.1 A answer 192.0.2.1", "2.1 AAAA nodata", "2.1 CNAME nodata",
				"2.2 A answer 192.0.2.1", "2.2 AAAA nodata", "2.2 CNAME nodata"},
			caa: []string{"CAA www.shop.test nodata", "CAA shop.test answer 0 \ufffd\ufffdx \"letsencrypt.org\ufffd; \ufffd=1\"", "CAA test nodata"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := shop(t, test.records...).zone("host.test", "127.0.2.9").
				everywhere("host.test", "n1 A 192.0.2.1", `n1 CAA 0 issue "letsencrypt.org"`)
			got := f.collect("www.shop.test")
			if diff := cmp.Diff(append(test.want, test.caa...), lines(got.Names["www.shop.test"])); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
			if _, err := got.Encode(); err != nil {
				t.Errorf("they cannot be recorded: %v", err)
			}
		})
	}
}

func TestFaultsOfOneServer(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault fault
		what  string // "" means every question
		a     string
		aaaa  string
	}{
		{"silent", silent, "", "error timeout", "error timeout"},
		{"silent for AAAA alone", silent, "www.shop.test AAAA", "answer 192.0.2.1", "error timeout"},
		{"the first question is lost", dropFirst, "", "answer 192.0.2.1", "nodata"},
		{"SERVFAIL", servfail, "", "error servfail", "error servfail"},
		{"REFUSED", refused, "", "error refused", "error refused"},
		{"NOTIMP for one type", notimp, "www.shop.test AAAA", "answer 192.0.2.1", "error notimp"},
		{"lame", noAuthority, "", "error lame", "error lame"},
		{"truncated", truncate, "", "answer 192.0.2.1", "nodata"},
		{"a forger does not know the letters", wrongCase, "", "answer 192.0.2.1", "nodata"},
		{"a server lowers the letters", flipCase, "", "answer 192.0.2.1", "nodata"},
		{"another id", wrongID, "", "error timeout", "error timeout"},
		{"another question", wrongName, "", "error timeout", "error timeout"},
		{"no data as a referral to itself", selfReferral, "www.shop.test AAAA", "answer 192.0.2.1", "nodata"},
		{"NXDOMAIN to mixed case", mixedGone, "", "answer 192.0.2.1", "nodata"},
		{"REFUSED to mixed case", mixedRefused, "", "answer 192.0.2.1", "nodata"},
		{"silence to mixed case", mixedSilent, "", "answer 192.0.2.1", "nodata"},
		{"an address, with NXDOMAIN", goneWithAnswer, "www.shop.test A", "nxdomain", "nodata"},
		{"garbage", garbage, "", "error malformed", "error malformed"},
		{"from before EDNS", formErrOPT, "", "answer 192.0.2.1", "nodata"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := shop(t, "www A 192.0.2.1")
			f.fault(ns2, test.what, test.fault)
			n := f.collect("www.shop.test").Names["www.shop.test"]
			want := []string{"answer 192.0.2.1", "nodata", test.a, test.aaaa}
			var got []string
			for _, s := range n.Servers {
				got = append(got, brief(s.A), brief(s.AAAA))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("what ns1 and ns2 say of A and AAAA (-want +got):\n%s", diff)
			}
			if brief(n.A) != "answer 192.0.2.1" {
				t.Errorf("the resolver says %s", brief(n.A))
			}
		})
	}
}

func TestFaultsOfTheResolver(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault fault
		what  string
		a     string
		zone  string
	}{
		{"silent", silent, "", "error timeout", ""},
		{"SERVFAIL for a name", servfail, "www.shop.test", "error servfail", "shop.test"},
		{"SERVFAIL for all", servfail, "", "error servfail", ""},
		{"bogus", bogus, "www.shop.test", "error servfail ede[6]", "shop.test"},
		{"the first question is lost", dropFirst, "", "answer 192.0.2.1", "shop.test"},
		{"truncated", truncate, "", "answer 192.0.2.1", "shop.test"},
		{"a forger does not know the letters", wrongCase, "", "answer 192.0.2.1", "shop.test"},
		{"another id", wrongID, "", "error timeout", ""},
		{"NOTIMP for CAA", notimp, "www.shop.test CAA", "answer 192.0.2.1", "shop.test"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := shop(t, "www A 192.0.2.1")
			f.fault(resolverAddress, test.what, test.fault)
			n := f.collect("www.shop.test").Names["www.shop.test"]
			if got := brief(n.A); got != test.a {
				t.Errorf("A is %s, want %s", got, test.a)
			}
			if test.zone == "shop.test" && (n.Zone != test.zone || len(n.Servers) != 2 || brief(n.Servers[0].A) != "answer 192.0.2.1") {
				t.Errorf("the servers do not speak:\n%s", show(n))
			}
		})
	}
}

// A validating resolver finds the servers of a bogus zone if it is asked not to
// validate.
func TestBogusZone(t *testing.T) {
	f := shop(t, "www A 192.0.2.1")
	f.fault(resolverAddress, "www.shop.test", bogus)
	f.fault(resolverAddress, "shop.test CAA", bogus)
	n := f.collect("www.shop.test").Names["www.shop.test"]
	if got := brief(n.CAA[0].Lookup); got != "error servfail ede[6]" || len(n.CAA) != 1 {
		t.Errorf("the walk for CAA ends at the first failure, got:\n%s", show(n.CAA))
	}
	if n.Zone != "shop.test" || len(n.Servers) != 2 {
		t.Errorf("no servers:\n%s", show(n))
	}
}

func TestSecondResolver(t *testing.T) {
	t.Parallel()
	for _, fault := range []fault{silent, servfail, refused} {
		f := shop(t, "www A 192.0.2.1")
		second := f.server("127.0.1.9")
		second.recursive = true
		f.fault(resolverAddress, "", fault)
		config := f.config()
		config.Resolver += fmt.Sprintf(", 127.0.1.9:%d", f.port)
		facts, err := New(config).Collect(t.Context(), dnsgate.Question{Names: []string{"www.shop.test"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := brief(facts.Names["www.shop.test"].A); got != "answer 192.0.2.1" {
			t.Errorf("fault %d of the first resolver: A is %s", fault, got)
		}
	}
}

func TestNoQuestionTwice(t *testing.T) {
	f := shop(t, "@ A 192.0.2.1").zone("host.test", "127.0.2.9").everywhere("host.test", "n1 A 192.0.2.1")
	names := []string{"shop.test"}
	for i := range 50 {
		name := fmt.Sprintf("w%d", i)
		f.everywhere("shop.test", name+" CNAME n1.host.test.")
		names = append(names, name+".shop.test", name+".shop.test")
	}
	var last Progress
	config := f.config()
	config.Progress = func(p Progress) { last = p }
	facts, err := New(config).Collect(t.Context(), dnsgate.Question{Names: names, Nodes: []string{"n1.host.test"}})
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var twice []string
	for address, s := range f.servers {
		for kind, times := range s.asked {
			for range times - 1 {
				twice = append(twice, address+" "+kind)
			}
		}
	}
	// Questions that a slow server did not answer in time do not count.
	if len(twice) > last.Retries {
		t.Errorf("asked more than once, with %d retries: %q", last.Retries, twice)
	}
	if got := brief(facts.Nodes["n1.host.test"].Servers[0].A); got != "answer 192.0.2.1" {
		t.Errorf("the node is %s", got)
	}
	if len(facts.Names) != 51 {
		t.Errorf("facts of %d names", len(facts.Names))
	}
	mixed := 0
	for _, seen := range f.servers[ns1].seen {
		for letters := range seen {
			if letters != strings.ToLower(letters) {
				mixed++
			}
		}
	}
	if mixed < 50 {
		t.Errorf("only %d questions had letters of both cases", mixed)
	}
}

// A silent server with many names takes the time of a few questions, not of all.
func TestSilentServerIsGivenUp(t *testing.T) {
	t.Parallel()
	f := shop(t, "* A 192.0.2.1")
	f.fault(ns2, "", silent)
	var names []string
	for i := range 400 {
		names = append(names, fmt.Sprintf("w%d.shop.test", i))
	}
	var last Progress
	config := f.config()
	config.PerServer = 4
	config.Progress = func(p Progress) { last = p }
	facts, err := New(config).Collect(t.Context(), dnsgate.Question{Names: names})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		n := facts.Names[name]
		if brief(n.Servers[0].A) != "answer 192.0.2.1" || brief(n.Servers[1].A) != "error timeout" {
			t.Fatalf("%s: %s", name, show(n.Servers))
		}
	}
	f.mu.Lock()
	sent := 0
	for _, times := range f.servers[ns2].asked {
		sent += times
	}
	f.mu.Unlock()
	if sent > 100 {
		t.Errorf("%d queries went to a server that never answered", sent)
	}
	if last.Silent != 1 || last.Done != 400 || last.Total != 400 {
		t.Errorf("progress ends with %+v", last)
	}
}

// Facts report a name server without an address, and one in a zone that is gone.
func TestServersThatCannotBeAsked(t *testing.T) {
	f := shop(t, "www A 192.0.2.1", "@ NS ns.gone.test.")
	n := f.collect("www.shop.test").Names["www.shop.test"]
	i := slices.IndexFunc(n.Servers, func(s dnsgate.ServerFacts) bool { return s.Name == "ns.gone.test" })
	if i < 0 || n.Servers[i].Address != "" || brief(n.Servers[i].A) != "error network" {
		t.Errorf("servers:\n%s", show(n.Servers))
	}
	if len(n.Servers) != 3 {
		t.Errorf("%d servers", len(n.Servers))
	}
}

// Collect also finds a zone if no negative answer names it.
func TestZoneOfNamesThatHaveEverything(t *testing.T) {
	f := shop(t, "@ A 192.0.2.1", "@ AAAA 2001:db8::1", `@ CAA 0 issue "letsencrypt.org"`,
		"www A 192.0.2.1", "www AAAA 2001:db8::1", `www CAA 0 issue "letsencrypt.org"`).
		zone("sub.shop.test", "127.0.2.8").everywhere("sub.shop.test", "@ CNAME www.shop.test.", "deep.er CNAME www.shop.test.")
	facts := f.collect("shop.test", "www.shop.test", "deep.er.sub.shop.test")
	for name, zone := range map[string]string{"shop.test": "shop.test", "www.shop.test": "shop.test", "deep.er.sub.shop.test": "sub.shop.test"} {
		if got := facts.Names[name].Zone; got != zone {
			t.Errorf("%s is in the zone %q, want %q", name, got, zone)
		}
	}
}

func TestImpossibleNames(t *testing.T) {
	f := newFleet(t)
	long := strings.Repeat("a", 64) + ".test"
	facts := f.collect(long, "*.test", "a..test", "")
	for _, name := range []string{long, "a..test", ""} {
		if got := brief(facts.Names[name].A); got != "error malformed" {
			t.Errorf("%q: %s", name, got)
		}
	}
	if got := brief(facts.Names["*.test"].A); got != "nxdomain" {
		t.Errorf("a wildcard is a name like any other: %s", got)
	}
}

func TestEndOfContext(t *testing.T) {
	f := shop(t, "www A 192.0.2.1")
	f.fault(ns1, "", silent)
	ctx, cancel := context.WithCancelCause(t.Context())
	config := f.config()
	config.Progress = func(Progress) { cancel(errors.New("enough")) }
	config.Timeouts = slices.Repeat(config.ResolverTimeouts, 1000)
	facts, err := New(config).Collect(ctx, dnsgate.Question{Names: []string{"www.shop.test", "a.shop.test"}})
	if facts != nil || err == nil || !strings.Contains(err.Error(), "enough") {
		t.Errorf("got %v, %v", facts, err)
	}
}

func TestNoResolver(t *testing.T) {
	for _, config := range []Config{{Resolver: "dns.example"}, {ResolvConf: t.TempDir() + "/none"}} {
		_, err := New(config).Collect(t.Context(), dnsgate.Question{Names: []string{"www.shop.test"}})
		if !strings.Contains(problem.Hint(err), "-resolver=") {
			t.Errorf("%+v: %v", config, err)
		}
	}
}
