package conformance

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// Random makes a random situation: addresses, aliases, CAA, servers that disagree
// and servers with faults. The same source gives the same situation.
//
// It leaves out what makes every lookup last for seconds (black holes, silence at
// all servers), because tests run 10,000 cases.
func Random(r *rand.Rand, n int) Situation {
	s := Situation{Name: fmt.Sprintf("random %d", n), Node: pick(r, "n1", "n1", "n1", "n1", "m1", "old", "six")}
	main := Zone{Origin: "{z}", Servers: pick(r, []string{"ns1", "ns2"}, []string{"ns1", "ns2"}, []string{"ns1"}, []string{"ns1", "ns2", "ns3", "ns4"})}
	other := Zone{Origin: "{t}", Servers: pick(r, []string{"ns3", "ns4"}, []string{"ns2", "ns3"}, []string{"ns1"})}
	text, far := randomRecords(r, s.Node, "www", true), randomRecords(r, s.Node, "web", false)
	main.Records, other.Records = text, far
	if r.IntN(8) == 0 && len(main.Servers) > 1 {
		main.At = map[string]string{main.Servers[1]: randomRecords(r, s.Node, "www", true)}
	}
	if r.IntN(15) == 0 && len(other.Servers) > 1 {
		other.At = map[string]string{other.Servers[1]: randomRecords(r, s.Node, "web", false)}
	}
	switch r.IntN(12) {
	case 0:
		main.Delegate = append([]string{"lame"}, main.Servers...)
	case 1:
		main.Delegate = append([]string{"closed"}, main.Servers...)
	case 2:
		main.Delegate = []string{"lame"}
	}
	switch r.IntN(24) {
	case 0, 1:
		main.Glue, main.Delegate = map[string]string{main.Servers[0]: pick(r, "", "ns3", "ns4")}, nil
		main.At = map[string]string{"ns3": randomRecords(r, s.Node, "www", true), "ns4": text}
	case 2:
		main.NoNS = true
	}
	for range pick(r, 0, 0, 0, 1, 1, 2) {
		main.Faults = append(main.Faults, Fault{
			Server: pick(r, "", "ns1", "ns1"), Name: pick(r, "www", "www", "@", ""), Type: pick(r, "A", "AAAA", "CAA", "CNAME", "A", "AAAA", "CAA", ""),
			Kind: pick(r, FaultServFail, FaultServFail, FaultRefused, FaultNotImp, FaultFormErr, FaultNXDomain, FaultEmpty, FaultTruncate, FaultNoEDNS, FaultLowerCase, FaultGoneThere, FaultMixedGone, FaultMixedRefused),
		})
	}
	if r.IntN(6) == 0 { // a host that redirects, to a host with addresses of its own
		main.Records += "www A {c4}\n" + pick(r, "", "", "www AAAA {c6}\n", "www AAAA {r6}\n")
		for range pick(r, 1, 2, 2, 1) {
			main.Records += pick(r, "to A {n4}\n", "to A {n4}\n", "to A {e4}\n", "to A 10.0.0.1\n", "to AAAA {n6}\n", "to AAAA {r6}\n", "to AAAA fd00::1\n", "to A {f301}\n")
		}
		s.Redirects = slices.Repeat([]string{pick(r, "http", "https") + "://{host}{path}?{hop}"}, pick(r, 0, 0, 0, 1, 2, 7, 8, 9))
		s.Redirects = append(s.Redirects, pick(r, "http", "http", "https")+"://"+pick(r, "{node}", "to.{z}", "to.{z}", "TO.{z}", "to.{z}:80", "to.{z}:0443", "to.internal")+
			pick(r, "{path}", "{path}", "{path}", "/{path}", "/", "", "{path}?a=b", "{path}/", "/x{path}"))
	}
	if r.IntN(10) == 0 { // the resolver remembers other records
		s.Before = randomRecords(r, s.Node, "www", true)
	}
	s.Zones = []Zone{main}
	if strings.Contains(main.Records+strings.Join(slices.Collect(maps.Values(main.At)), ""), "{t}") {
		s.Zones = append(s.Zones, other)
	}
	return s
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func randomRecords(r *rand.Rand, node, owner string, alias bool) string {
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	at := owner
	switch {
	case !alias:
	case r.IntN(6) == 0:
		line("%s CNAME {node}.", owner)
		at = ""
	case r.IntN(8) == 0:
		line("%s CNAME web.{t}.", owner)
		at = ""
	case r.IntN(8) == 0:
		line("%s CNAME there", owner)
		at = "there"
	case r.IntN(20) == 0:
		line("%s CNAME gone", owner)
		at = ""
	case r.IntN(15) == 0:
		at = "*"
	}
	if at != "" {
		own := nodes[node]
		for range pick(r, 0, 1, 1, 1, 1, 2) {
			line("%s A {%s}", at, pick(r, append([]string{"e4", "r4"}, repeated(own, false)...)...))
		}
		for range pick(r, 0, 0, 0, 1, 1, 2) {
			line("%s AAAA {%s}", at, pick(r, append([]string{"e6", "r6"}, repeated(own, true)...)...))
		}
		if r.IntN(12) == 0 {
			line("%s A %s", at, pick(r, "10.0.0.1", "192.0.2.7", "127.0.0.1"))
		}
		if r.IntN(15) == 0 {
			line("%s AAAA %s", at, pick(r, "fd00::1", "2001:db8::1", "::1"))
		}
	}
	for range pick(r, 0, 0, 0, 1, 1, 2) {
		where := pick(r, owner, owner, "@")
		if where == owner {
			where = at
		}
		if where == "" {
			continue
		}
		tag, value := pick(r, "issue", "issue", "issue", "issue", "issuewild", "iodef", "ISSUE", "future"), pick(r, issueValues...)
		if r.IntN(2) == 0 {
			value = pick(r, "letsencrypt.org", "ca.example", ";")
		}
		line(`%s CAA %d %s "%s"`, where, pick(r, 0, 0, 0, 0, 128, 1, 2), tag, strings.ReplaceAll(value, ";", `\;`))
	}
	return text.String()
}

// repeated returns a node's hosts of one kind several times, because most names are
// right.
func repeated(own []string, six bool) []string {
	var out []string
	for _, host := range own {
		if strings.Contains(hosts[host], ":") == six {
			out = append(out, host, host, host)
		}
	}
	return out
}

// Smaller returns the situations with one element less.
func Smaller(s Situation) []Situation {
	var all []Situation
	change := func(z int, edit func(*Zone)) {
		smaller := s
		smaller.Zones = slices.Clone(s.Zones)
		edit(&smaller.Zones[z])
		all = append(all, smaller)
	}
	if s.Before != "" {
		smaller := s
		smaller.Before = ""
		all = append(all, smaller)
	}
	for i := range s.Redirects {
		smaller := s
		smaller.Redirects = slices.Delete(slices.Clone(s.Redirects), i, i+1)
		all = append(all, smaller)
	}
	for i, zone := range s.Zones {
		if i > 0 {
			smaller := s
			smaller.Zones = slices.Delete(slices.Clone(s.Zones), i, i+1)
			all = append(all, smaller)
		}
		for f := range zone.Faults {
			change(i, func(z *Zone) { z.Faults = slices.Delete(slices.Clone(z.Faults), f, f+1) })
		}
		if zone.At != nil {
			change(i, func(z *Zone) { z.At = nil })
		}
		if zone.Glue != nil {
			change(i, func(z *Zone) { z.Glue = nil })
		}
		if zone.NoNS {
			change(i, func(z *Zone) { z.NoNS = false })
		}
		if zone.Delegate != nil {
			change(i, func(z *Zone) { z.Delegate = nil })
		}
		if len(zone.Servers) > 1 {
			change(i, func(z *Zone) { z.Servers = zone.Servers[:len(zone.Servers)-1] })
		}
		for _, smaller := range fewerLines(zone.Records) {
			change(i, func(z *Zone) { z.Records = smaller })
		}
		for server, text := range zone.At {
			for _, smaller := range fewerLines(text) {
				change(i, func(z *Zone) { z.At = maps.Clone(z.At); z.At[server] = smaller })
			}
		}
	}
	return all
}

func fewerLines(text string) []string {
	lines := strings.SplitAfter(text, "\n")
	var all []string
	for i, line := range lines {
		if line != "" {
			all = append(all, strings.Join(slices.Delete(slices.Clone(lines), i, i+1), ""))
		}
	}
	return all
}
