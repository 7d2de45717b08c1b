package dnsgate

import (
	"maps"
	"strings"
)

// The names and addresses of most tests.
const (
	host     = "shop.example.com"
	nodeName = "n1.host.example.net"
	node4    = "192.4.0.1"
	node6    = "2600::1"
	else4    = "192.4.0.99"
	else6    = "2600::99"
	cloudy4  = "104.16.0.1"
	cloudy6  = "2606:4700::1"
	account  = "https://acme-v02.api.letsencrypt.org/acme/acct/7"
)

var cloud = prefixes("104.16.0.0/13", "2606:4700::/32")

// has returns an answer with addresses; without addresses it is "no data".
func has(addresses ...string) Lookup {
	if len(addresses) == 0 {
		return Lookup{Outcome: OutcomeNoData}
	}
	return Lookup{Outcome: OutcomeAnswer, Addresses: addresses}
}

// failed returns a failed lookup.
func failed(why LookupError, ede ...int) Lookup {
	return Lookup{Outcome: OutcomeError, Error: why, EDE: ede}
}

var gone = Lookup{Outcome: OutcomeNXDomain}

// via adds a chain of CNAMEs to a lookup.
func via(l Lookup, chain ...string) Lookup {
	l.Chain = chain
	return l
}

func alias(target string) Lookup { return Lookup{Outcome: OutcomeAnswer, Targets: []string{target}} }

// caa returns a record set from lines "flag tag value".
func caa(lines ...string) Lookup {
	l := Lookup{Outcome: OutcomeAnswer}
	for _, line := range lines {
		parts := strings.SplitN(line, " ", 3)
		flag := map[string]uint8{"0": 0, "1": 1, "128": 128}[parts[0]]
		l.CAA = append(l.CAA, CAARecord{flag, parts[1], parts[2]})
	}
	return l
}

// A change turns the facts of a passing name into those of a situation.
type change func(*NameFacts)

// world returns facts of a node and of a name that points to it, with changes.
func world(changes ...change) *Facts {
	return &Facts{
		FormatVersion: FormatVersion,
		Taken:         "2026-03-01T12:00:00Z",
		Nodes:         map[string]*NodeFacts{nodeName: {Name: nodeName, A: has(node4), AAAA: has(node6)}},
		Names:         map[string]*NameFacts{host: named(host, changes...)},
	}
}

// named returns a name with the node's A, in a zone with two servers.
func named(name string, changes ...change) *NameFacts {
	f := &NameFacts{Name: name, A: has(node4), AAAA: has()}
	for label := name; label != ""; _, label, _ = strings.Cut(label, ".") {
		f.CAA = append(f.CAA, CAALookup{label, has()})
	}
	for _, c := range changes {
		c(f)
	}
	if f.Servers == nil {
		f.Servers = []ServerFacts{server("ns1", f.A, f.AAAA), server("ns2", f.A, f.AAAA)}
	}
	return f
}

// server returns a server without a CNAME.
func server(name string, a, aaaa Lookup) ServerFacts {
	return ServerFacts{Name: name, Address: "192.4.1.1:53", A: a, AAAA: aaaa, CNAME: has()}
}

func silent(name string, why LookupError) ServerFacts {
	return ServerFacts{Name: name, Address: "192.4.1.2:53", A: failed(why), AAAA: failed(why), CNAME: failed(why)}
}

func a(l Lookup) change    { return func(f *NameFacts) { f.A = l } }
func aaaa(l Lookup) change { return func(f *NameFacts) { f.AAAA = l } }
func servers(list ...ServerFacts) change {
	return func(f *NameFacts) { f.Servers = list }
}

// caaAt sets the CAA lookup of one label.
func caaAt(label string, l Lookup) change {
	return func(f *NameFacts) {
		for i := range f.CAA {
			if f.CAA[i].Name == label {
				f.CAA[i].Lookup = l
			}
		}
	}
}

func dials(found map[string]Dial) change {
	return func(f *NameFacts) {
		if f.Live == nil {
			f.Live = &LiveFacts{}
		}
		f.Live.Dials = maps.Clone(found)
	}
}

func probe(p ProbeFacts) change {
	return func(f *NameFacts) {
		if f.Live == nil {
			f.Live = &LiveFacts{}
		}
		if f.Live.Probes == nil {
			f.Live.Probes = map[string]*ProbeFacts{}
		}
		asked := else4
		if len(p.Hops) > 0 && p.Hops[0].Address != "" {
			asked = p.Hops[0].Address
		}
		f.Live.Probes[asked] = &p
	}
}

// own sets the node's answer to the request of a probe.
func own(p ProbeFacts) change {
	return func(f *NameFacts) {
		if f.Live == nil {
			f.Live = &LiveFacts{}
		}
		f.Live.Own = &p
	}
}

// asks returns the request for a host and its aliases.
func asks(aliases ...string) Request {
	return Request{Host: host, Names: append([]string{host}, aliases...), Node: nodeName, AccountURI: account, Proxies: cloud}
}
