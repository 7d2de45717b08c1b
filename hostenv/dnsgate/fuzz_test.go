package dnsgate

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// same reports whether two verdicts are equal.
func same(a, b Verdict) bool { return reflect.DeepEqual(a, b) }

// clone copies facts through their JSON, so that a value which JSON loses fails a test.
func clone(f *Facts) *Facts {
	data, err := json.Marshal(f)
	if err != nil {
		panic(err)
	}
	var c Facts
	if err := json.Unmarshal(data, &c); err != nil {
		panic(err)
	}
	return &c
}

// shuffled reverses every list of facts whose order has no meaning.
func shuffled(f *Facts) *Facts {
	c := clone(f)
	turn := func(l *Lookup) { slices.Reverse(l.Addresses); slices.Reverse(l.CAA); slices.Reverse(l.EDE) }
	each := func(servers []ServerFacts) {
		slices.Reverse(servers)
		for i := range servers {
			turn(&servers[i].A)
			turn(&servers[i].AAAA)
		}
	}
	for _, n := range c.Nodes {
		turn(&n.A)
		turn(&n.AAAA)
		each(n.Servers)
	}
	for _, n := range c.Names {
		turn(&n.A)
		turn(&n.AAAA)
		each(n.Servers)
		for i := range n.CAA {
			turn(&n.CAA[i].Lookup)
		}
	}
	return c
}

var (
	someErrors = []LookupError{ErrorServFail, ErrorRefused, ErrorTimeout, ErrorLame, ErrorMalformed, ErrorChain}
	someCAA    = []string{"0 issue letsencrypt.org", "0 issue ca.example", "0 issue ;", "128 tbs x", "0 issuewild ;", "0 iodef x"}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func randomLookup(r *rand.Rand, pool []string) Lookup {
	switch r.IntN(8) {
	case 0:
		l := failed(pick(r, someErrors))
		if r.IntN(3) == 0 {
			l.EDE = []int{r.IntN(24)}
		}
		return l
	case 1:
		return gone
	case 2:
		return has()
	}
	var list []string
	for range 1 + r.IntN(3) {
		list = append(list, pick(r, pool))
	}
	return has(list...)
}

func randomProbe(r *rand.Rand, address string) *ProbeFacts {
	p := reachedBy(address)
	switch r.IntN(4) {
	case 0:
		p.Reached = false
	case 1:
		p = ProbeFacts{Status: 404, Node: address}
	case 2:
		p = ProbeFacts{Error: "refused"}
	}
	return &p
}

// randomFacts returns random facts about one name.
func randomFacts(r *rand.Rand) *Facts {
	four, six := []string{node4, node4, node4, else4, "10.0.0.1", cloudy4}, []string{node6, node6, else6, "fd00::1", cloudy6}
	f := world(a(randomLookup(r, four)), func(f *NameFacts) {
		if f.AAAA = has(); r.IntN(2) == 0 {
			f.AAAA = randomLookup(r, six)
		}
		if r.IntN(3) == 0 {
			f.Servers = []ServerFacts{}
			for range r.IntN(4) {
				f.Servers = append(f.Servers, server(pick(r, []string{"ns1", "ns2", "ns3"}), randomLookup(r, four), randomLookup(r, six)))
			}
		}
		for i := range f.CAA {
			switch r.IntN(12) {
			case 0:
				f.CAA[i].Lookup = failed(pick(r, someErrors))
			case 1:
				f.CAA[i].Lookup = caa(pick(r, someCAA), pick(r, someCAA))
			}
		}
		if r.IntN(3) == 0 {
			f.Live = &LiveFacts{Dials: map[string]Dial{else6: pick(r, []Dial{DialOpen, DialRefused, DialTimeout, DialUnreachable})}}
			if r.IntN(2) == 0 {
				f.Live.Probes = map[string]*ProbeFacts{else4: randomProbe(r, else4), else6: randomProbe(r, else6)}
				f.Live.Own = &ProbeFacts{Status: 404, Node: node4}
			}
		}
	})
	if r.IntN(6) == 0 {
		f.Nodes[nodeName].A = randomLookup(r, []string{node4})
		f.Nodes[nodeName].AAAA = randomLookup(r, []string{node6})
	}
	return f
}

// FuzzJudge checks properties that every verdict has, with any rules.
func FuzzJudge(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		for range 20 {
			facts := randomFacts(r)
			v := Judge(facts, asks())
			checkVerdict(t, facts, v)
			if again := Judge(shuffled(facts), asks()); !same(v, again) {
				t.Fatalf("the verdict depends on the order of facts:\n%+v\n%+v", v, again)
			}
			checkErrorsHarmless(t, r, facts, v)
		}
	})
}

func checkVerdict(t *testing.T, facts *Facts, v Verdict) {
	t.Helper()
	name, node := facts.Names[host], publishedBy(facts.Nodes[nodeName])
	v4, v6 := parse(name.A.Addresses).usable(), parse(name.AAAA.Addresses).usable()
	for _, s := range name.Servers { // these may outweigh the resolver
		v4, v6 = parse(texts(v4), s.A.Addresses).usable(), parse(texts(v6), s.AAAA.Addresses).usable()
	}
	reaches := len(v4.in(node.v4))+len(v6.in(node.v6)) > 0
	probed := false
	if name.Live != nil {
		for _, p := range name.Live.Probes {
			probed = probed || p.Reached
		}
	}
	if v.Result == Pass && !reaches && !probed {
		t.Fatalf("the name passes, but no address is the node's: %+v", v)
	}
	if v.Result == Pass && len(node.all()) == 0 {
		t.Fatalf("the name passes on a node without an address: %+v", v)
	}
	if records, _, ok := relevantCAA(name); v.Result == Pass && (!ok || permits(readCAA(records).issue, account, byHTTP) != permitted) {
		t.Fatalf("the name passes, but its CAA records forbid it: %+v", v)
	}
	if v.Result == Fail && len(node.all()) == 0 {
		t.Fatalf("the name fails because of the node: %+v", v)
	}
}

// checkErrorsHarmless makes lookups fail. No certificate may fail because of that.
func checkErrorsHarmless(t *testing.T, r *rand.Rand, facts *Facts, before Verdict) {
	t.Helper()
	if before.Result == Fail || before.Reason == ReasonInPart || before.Reason == ReasonContradiction || len(newSubject(facts, asks(), host).outdated) > 0 {
		return // these depend on differences between the servers and the resolver
	}
	worse := clone(facts)
	name, node := worse.Names[host], worse.Nodes[nodeName]
	lookups := []*Lookup{&name.A, &name.AAAA, &node.A, &node.AAAA}
	for i := range name.CAA {
		lookups = append(lookups, &name.CAA[i].Lookup)
	}
	for i := range name.Servers {
		lookups = append(lookups, &name.Servers[i].A, &name.Servers[i].AAAA, &name.Servers[i].CNAME)
	}
	why := failed(pick(r, someErrors))
	all := r.IntN(4) == 0
	for _, l := range lookups {
		if all || r.IntN(3) == 0 {
			*l = why
		}
	}
	v := Judge(worse, asks())
	if v.Result == Fail {
		t.Fatalf("%s %s became %s %s because lookups failed (%s)\n%+v", before.Result, before.Reason, v.Result, v.Reason, why.Error, v)
	}
	if all && v.Result != Unknown {
		t.Fatalf("all lookups failed, and the verdict is %s %s", v.Result, v.Reason)
	}
}

func TestFactsAreRecordable(t *testing.T) {
	for _, s := range situations {
		if again := clone(s.facts); !same(Judge(again, asks()), Judge(s.facts, asks())) {
			t.Errorf("%s: the verdict changes after facts are recorded and read", s.name)
		}
	}
}
