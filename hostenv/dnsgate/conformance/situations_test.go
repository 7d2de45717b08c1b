package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// Situations returns all situations, with unique names. They do not record Let's
// Encrypt's decision: the test asks Boulder.
func Situations() []Situation {
	var all []Situation
	for _, list := range [][]Situation{
		addressSituations(), nodeSituations(), aliasSituations(), caaSituations(), faultSituations(), serverSituations(),
		nameSituations(), forwardSituations(), redirectSituations(), rememberedSituations(), bogusSituations(), certificateSituations(), foundSituations(),
	} {
		all = append(all, list...)
	}
	slices.SortStableFunc(all, func(a, b Situation) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// simple returns a situation with one zone that has these records.
func simple(name, records string) Situation {
	return Situation{Name: name, Zones: []Zone{{Records: records}}}
}

func lines(owner, kind string, values ...string) string {
	var text strings.Builder
	for _, value := range values {
		fmt.Fprintf(&text, "%s %s %s\n", owner, kind, value)
	}
	return text.String()
}

// addressSituations combine every kind of A set with every kind of AAAA set.
func addressSituations() []Situation {
	type set struct {
		name   string
		values []string
	}
	v4 := []set{
		{"none", nil}, {"the node's", []string{"{n4}"}}, {"elsewhere", []string{"{e4}"}}, {"mixed", []string{"{n4}", "{e4}"}},
		{"refuses", []string{"{r4}"}}, {"mixed with one that refuses", []string{"{n4}", "{r4}"}}, {"black hole", []string{"{h4}"}},
		{"reserved", []string{"192.168.7.7"}}, {"the node's and a reserved one", []string{"{n4}", "10.1.2.3"}},
	}
	v6 := []set{
		{"none", nil}, {"the node's", []string{"{n6}"}}, {"elsewhere", []string{"{e6}"}}, {"mixed", []string{"{n6}", "{e6}"}},
		{"refuses", []string{"{r6}"}}, {"mixed with one that refuses", []string{"{n6}", "{r6}"}}, {"black hole", []string{"{h6}"}},
		{"reserved", []string{"fd00::7"}}, {"the node's and a reserved one", []string{"{n6}", "2001:db8::7"}},
		{"one refuses and one answers elsewhere", []string{"{r6}", "{e6}"}},
	}
	var all []Situation
	for _, a := range v4 {
		for _, aaaa := range v6 {
			s := simple(fmt.Sprintf("addresses: A %s, AAAA %s", a.name, aaaa.name),
				"@ A {n4}\nwww TXT there\n"+lines("www", "A", a.values...)+lines("www", "AAAA", aaaa.values...))
			all = append(all, s)
		}
	}
	for name, values := range map[string][]string{
		"loopback":                {"127.0.0.1"},
		"documentation":           {"192.0.2.1", "198.51.100.7", "203.0.113.9"},
		"shared address space":    {"100.64.0.1"},
		"unspecified":             {"0.0.0.0"},
		"broadcast":               {"255.255.255.255"},
		"multicast":               {"224.0.0.1"},
		"link-local":              {"169.254.1.1"},
		"6to4 relay anycast":      {"192.88.99.1"},
		"benchmarking":            {"198.18.0.1"},
		"future use":              {"240.0.0.1"},
		"PCP anycast":             {"192.0.0.9"},
		"AS112":                   {"192.31.196.1"},
		"direct delegation AS112": {"192.175.48.1"},
	} {
		all = append(all, simple("reserved IPv4: "+name, lines("www", "A", values...)),
			simple("reserved IPv4 beside the node's: "+name, lines("www", "A", append(values, "{n4}")...)))
	}
	for name, value := range map[string]string{
		"loopback": "::1", "unspecified": "::", "IPv4-mapped": "::ffff:11.0.0.10", "NAT64": "64:ff9b::b00:a", "documentation": "2001:db8::1",
		"new documentation": "3fff::1", "6to4": "2002:b00:a::1", "Teredo": "2001:0:1::1", "unique local": "fc00::1", "link-local": "fe80::1",
		"multicast": "ff02::1", "discard": "100::1", "ORCHIDv2": "2001:20::1", "site-local": "fec0::1", "SRv6": "5f00::1",
	} {
		all = append(all, simple("reserved IPv6: "+name+", A the node's", "www A {n4}\n"+lines("www", "AAAA", value)),
			simple("reserved IPv6: "+name+", A elsewhere", "www A {e4}\n"+lines("www", "AAAA", value)))
	}
	return all
}

// nodeSituations use nodes with other addresses than one of each family.
func nodeSituations() []Situation {
	with := func(node, name, text string) Situation {
		s := simple(fmt.Sprintf("node %s: %s", node, name), text)
		s.Node = node
		return s
	}
	return []Situation{
		with("m1", "one of its addresses", "www A {m4}"),
		with("m1", "both", "www A {m4}\nwww A {m4b}"),
		with("m1", "both and elsewhere", "www A {m4}\nwww A {m4b}\nwww A {e4}"),
		with("m1", "both of IPv6, A elsewhere", "www AAAA {m6}\nwww AAAA {m6b}\nwww A {e4}"),
		with("m1", "one of IPv6 and elsewhere's", "www AAAA {m6}\nwww AAAA {e6}\nwww A {m4}"),
		with("m1", "another node's", "www A {n4}"),
		with("m1", "another node's and its own", "www A {n4}\nwww A {m4}"),
		with("m1", "a CNAME to it", "www CNAME {node}."),
		with("old", "a CNAME to it", "www CNAME {node}."),
		with("old", "its address", "www A {o4}"),
		with("old", "its address and another node's IPv6", "www A {o4}\nwww AAAA {n6}"),
		with("old", "its address and IPv6 that refuses", "www A {o4}\nwww AAAA {r6}"),
		with("old", "its address and two of IPv6 that refuse", "www A {o4}\nwww AAAA {r6}\nwww AAAA {h6}"),
		with("old", "only another node's IPv6", "www AAAA {n6}"),
		with("six", "a CNAME to it", "www CNAME {node}."),
		with("six", "its address", "www AAAA {s6}"),
		with("six", "its address, A elsewhere", "www AAAA {s6}\nwww A {e4}"),
		with("six", "only A elsewhere", "www A {e4}"),
		with("gone", "a CNAME to a node without a name", "www CNAME {node}."),
		with("gone", "an address", "www A {n4}"),
		with("sick", "a CNAME to a node whose name is SERVFAIL", "www CNAME {node}."),
		with("sick", "an address", "www A {n4}"),
		with("void", "a CNAME to a node without addresses", "www CNAME {node}."),
		with("void", "an address", "www A {n4}"),
	}
}

// chain returns a chain of n CNAMEs from www, with a record at its end.
func chain(n int, end string) string {
	var text strings.Builder
	from := "www"
	for i := range n {
		to := fmt.Sprintf("c%d", i)
		fmt.Fprintf(&text, "%s CNAME %s\n", from, to)
		from = to
	}
	return text.String() + from + " " + end
}

// chainAcross returns a chain that alternates between two domains, so that the resolver
// has to ask for each CNAME.
func chainAcross(n int) []Zone {
	zones := [2]Zone{{Origin: "{z}"}, {Origin: "{t}"}}
	from := "www"
	for i := range n {
		to := fmt.Sprintf("c%d", i)
		zones[i%2].Records += fmt.Sprintf("%s CNAME %s.%s.\n", from, to, zones[(i+1)%2].Origin)
		from = to
	}
	zones[n%2].Records += from + " A {n4}\n"
	return zones[:]
}

func aliasSituations() []Situation {
	all := []Situation{
		simple("alias: to the node's name", "www CNAME {node}."),
		simple("alias: to elsewhere", "www CNAME there\nthere A {e4}"),
		simple("alias: dangling in the zone", "www CNAME gone"),
		simple("alias: dangling outside", "www CNAME gone.{z}x.com."),
		simple("alias: to a name without address", "www CNAME there\nthere TXT x"),
		simple("alias: to the root", "www CNAME ."),
		simple("alias: to itself", "www CNAME www"),
		simple("alias: loop of two", "www CNAME two\ntwo CNAME www"),
		simple("alias: loop of three", "www CNAME two\ntwo CNAME three\nthree CNAME www"),
		simple("alias: to a loop", "www CNAME two\ntwo CNAME three\nthree CNAME two"),
		simple("alias: in upper case", "www CNAME THERE\nthere A {n4}"),
		simple("alias: to a name with underscore", "www CNAME _there\n_there A {n4}"),
		simple("alias: by a wildcard", "* CNAME {node}."),
		simple("alias: to a wildcard", "www CNAME a.b.c.deep\n*.deep A {n4}"),
		simple("alias: with A beside it", "www CNAME {node}.\nwww A {e4}"),
		simple("alias: to an unknown name beside the nodes", "www CNAME unknown.hosting.net."),
		simple("alias: to an address", "www CNAME 11.0.0.10."),
		simple("alias: DNAME to where the node is", "old DNAME new\nwww.new A {n4}"),
		{Name: "alias: apex to the node", Host: "{z}", Zones: []Zone{{Records: "@ CNAME {node}."}}},
		{Name: "alias: apex flattened", Host: "{z}", Zones: []Zone{{Records: "@ A {n4}\n@ AAAA {n6}"}}},
		{Name: "alias: to another domain", Zones: []Zone{{Records: "www CNAME web.{t}."}, {Origin: "{t}", Records: "web A {n4}"}}},
		{Name: "alias: to another domain that is lame", Zones: []Zone{{Records: "www CNAME web.{t}."}, {Origin: "{t}", Servers: []string{"ns3"}, Delegate: []string{"lame"}, Records: "web A {n4}"}}},
		{Name: "alias: to another domain with one lame server", Zones: []Zone{{Records: "www CNAME web.{t}."}, {Origin: "{t}", Servers: []string{"ns3"}, Delegate: []string{"ns3", "lame"}, Records: "web A {n4}"}}},
		{Name: "alias: to another domain whose servers disagree", Zones: []Zone{{Records: "www CNAME web.{t}."}, {Origin: "{t}", Servers: []string{"ns3", "ns4"}, Records: "web A {n4}", At: map[string]string{"ns4": "web A {e4}"}}}},
		{Name: "alias: to another domain, of whose servers one has NXDOMAIN", Zones: []Zone{{Records: "www CNAME web.{t}."}, {Origin: "{t}", Servers: []string{"ns3", "ns4"}, Records: "web A {n4}", At: map[string]string{"ns4": "mail A {e4}"}}}},
		{Name: "alias: to another domain that is SERVFAIL", Zones: []Zone{{Records: "www CNAME web.{t}."}, {Origin: "{t}", Records: "web A {n4}", Faults: []Fault{{Kind: FaultServFail}}}}},
		{Name: "alias: to another domain that is silent", Zones: []Zone{{Records: "www CNAME web.{t}."}, {Origin: "{t}", Servers: []string{"ns3"}, Delegate: []string{"silent"}, Records: "web A {n4}"}}},
		{Name: "alias: DNAME", Host: "www.old.{z}", Zones: []Zone{{Records: "old DNAME new\nwww.new A {n4}"}}},
		{Name: "alias: DNAME to another domain", Host: "www.old.{z}", Zones: []Zone{{Records: "old DNAME {t}."}, {Origin: "{t}", Records: "www A {n4}"}}},
		{Name: "alias: DNAME to elsewhere", Host: "www.old.{z}", Zones: []Zone{{Records: "old DNAME new\nwww.new A {e4}"}}},
	}
	for _, n := range []int{1, 2, 6, 7, 8, 9, 10, 11, 12, 14, 17} {
		all = append(all, simple(fmt.Sprintf("alias: chain of %d in the zone", n), chain(n, "A {n4}")),
			Situation{Name: fmt.Sprintf("alias: chain of %d across domains", n), Zones: chainAcross(n)})
	}
	return append(all, simple("alias: chain of 6 to elsewhere", chain(6, "A {e4}")))
}

// issueValues are values of issue records.
var issueValues = []string{
	"letsencrypt.org", "ca.example", ";", "", "LetsEncrypt.org", "letsencrypt.org.", " letsencrypt.org ", "letsencrypt.org;",
	"letsencrypt.org ;", "letsencrypt.org;;", "letsencrypt.org; ", "www.letsencrypt.org", "letsencrypt.org ca.example", "letsencrypt.org,ca.example",
	"letsencrypt.org; validationmethods=http-01", "letsencrypt.org;validationmethods=dns-01,http-01", "letsencrypt.org; validationmethods=dns-01",
	"letsencrypt.org; validationmethods=HTTP-01", "letsencrypt.org; validationmethods=", "letsencrypt.org; validationmethods=http-01;validationmethods=http-01",
	"letsencrypt.org; validationmethods=dns_01,http-01", "letsencrypt.org; validationmethods=http-01,dns_01", "letsencrypt.org; validationmethods=http-01, dns-01", "letsencrypt.org; validationmethods=unheard-of,http-01",
	"letsencrypt.org; ValidationMethods=dns-01", "letsencrypt.org; accounturi=" + Account, "letsencrypt.org; accounturi=" + accountPrefix + "1",
	"letsencrypt.org; accounturi=" + Account + "; validationmethods=http-01", "letsencrypt.org; accounturi=" + Account + "; validationmethods=dns-01",
	"letsencrypt.org; accounturi=" + Account + "; accounturi=" + Account, "letsencrypt.org; AccountURI=" + accountPrefix + "1", "letsencrypt.org; accounturi=",
	"letsencrypt.org; accounturi=" + Account + "/", "letsencrypt.org; accounturi=%zz", "letsencrypt.org; policy=ev", "letsencrypt.org; policy=a=b", "letsencrypt.org; policy", "letsencrypt.org policy=ev",
	"letsencrypt.org; policy-id=1", "letsencrypt.org; a--b=1", "letsencrypt.org; -a=1", "letsencrypt.org; a-=1", "letsencrypt.org; =1",
	"letsencrypt.org; policy=a\\\\b", "letsencrypt.org\\\\", "letsencrypt.org; a\\\\b=1",
	"letsencrypt.org; pol-icy=ev", "letsencrypt.org; pol_icy=ev", "letsencrypt.org; policy=e v", "letsencrypt.org; =ev", "letsencrypt.org; policy=",
	"letsencrypt.org; policy=ev;", "letsencrypt.org\\009;\\009policy=ev", "letsencrypt.org; policy=\\195\\188", "\\195\\188.letsencrypt.org", "; letsencrypt.org", "%%%",
}

func caaSituations() []Situation {
	var all []Situation
	quoted := func(value string) string { return `"` + strings.ReplaceAll(value, ";", `\;`) + `"` }
	for _, value := range issueValues {
		all = append(all, simple("CAA: issue "+quoted(value), "www A {n4}\nwww CAA 0 issue "+quoted(value)))
	}
	for name, text := range map[string]string{
		"at the parent, another issuer":       `@ CAA 0 issue "ca.example"`,
		"at the parent, ours":                 `@ CAA 0 issue "letsencrypt.org"`,
		"parent denies, name allows":          "@ CAA 0 issue \";\"\nwww CAA 0 issue \"letsencrypt.org\"",
		"parent allows, name denies":          "@ CAA 0 issue \"letsencrypt.org\"\nwww CAA 0 issue \";\"",
		"parent denies, name has only iodef":  "@ CAA 0 issue \";\"\nwww CAA 0 iodef \"mailto:a@example.com\"",
		"only issuewild ;":                    `www CAA 0 issuewild ";"`,
		"issue ours and issuewild ;":          "www CAA 0 issue \"letsencrypt.org\"\nwww CAA 0 issuewild \";\"",
		"issue another and issuewild ours":    "www CAA 0 issue \"ca.example\"\nwww CAA 0 issuewild \"letsencrypt.org\"",
		"only iodef":                          `www CAA 0 iodef "mailto:a@example.com"`,
		"critical iodef":                      `www CAA 128 iodef "mailto:a@example.com"`,
		"critical issue ours":                 `www CAA 128 issue "letsencrypt.org"`,
		"critical issue another":              `www CAA 128 issue "ca.example"`,
		"critical issuemail":                  `www CAA 128 issuemail ";"`,
		"critical issuevmc":                   `www CAA 128 issuevmc ";"`,
		"critical ISSUEMAIL":                  `www CAA 128 ISSUEMAIL ";"`,
		"unknown tag":                         `www CAA 0 future "x"`,
		"unknown tag, critical 128":           `www CAA 128 future "x"`,
		"unknown tag, critical 1":             `www CAA 1 future "x"`,
		"unknown tag, flag 2":                 `www CAA 2 future "x"`,
		"unknown tag, flag 64":                `www CAA 64 future "x"`,
		"unknown tag, flag 129":               `www CAA 129 future "x"`,
		"unknown critical beside ours":        "www CAA 0 issue \"letsencrypt.org\"\nwww CAA 128 future \"x\"",
		"unknown critical at the parent":      `@ CAA 128 future "x"`,
		"unknown critical hidden by the name": "@ CAA 128 future \"x\"\nwww CAA 0 issue \"letsencrypt.org\"",
		"tag in upper case, another issuer":   `www CAA 0 ISSUE "ca.example"`,
		"tag in upper case, ours":             `www CAA 0 ISSUE "letsencrypt.org"`,
		"tag issueWild":                       `www CAA 0 issueWild ";"`,
		"ours and another":                    "www CAA 0 issue \"ca.example\"\nwww CAA 0 issue \"letsencrypt.org\"",
		"another and ; ":                      "www CAA 0 issue \"ca.example\"\nwww CAA 0 issue \";\"",
		"ours and ;":                          "www CAA 0 issue \";\"\nwww CAA 0 issue \"letsencrypt.org\"",
		"other account and ours":              "www CAA 0 issue \"letsencrypt.org; accounturi=" + accountPrefix + "1\"\nwww CAA 0 issue \"letsencrypt.org; accounturi=" + Account + "\"",
		"by a wildcard":                       "*.w CAA 0 issue \";\"",
	} {
		all = append(all, simple("CAA: "+name, "www A {n4}\n"+text))
	}
	account := simple("CAA: an account, and ours is not known", "www A {n4}\nwww CAA 0 issue \"letsencrypt.org; accounturi="+Account+"\"")
	account.NoAccount = true
	many := "www A {n4}\n"
	for i := range 60 {
		many += fmt.Sprintf("www CAA 0 issue \"ca-number-%d.example\"\n", i)
	}
	return append(all, account,
		simple("CAA: sixty of others, over TCP", many), simple("CAA: sixty of others and ours, over TCP", many+"www CAA 0 issue \"letsencrypt.org\""),
		simple("CAA: at the CNAME's target, denies", "www CNAME there\nthere A {n4}\nthere CAA 0 issue \";\""),
		simple("CAA: at the CNAME's target, allows, parent denies", "www CNAME there\nthere A {n4}\nthere CAA 0 issue \"letsencrypt.org\"\n@ CAA 0 issue \";\""),
		Situation{Name: "CAA: at the CNAME's target's parent, denies", Zones: []Zone{{Records: "www CNAME web.{t}."}, {Origin: "{t}", Records: "web A {n4}\n@ CAA 0 issue \";\""}}},
		Situation{Name: "CAA: at the parent's CNAME's target, denies", Host: "a.www.{z}", Zones: []Zone{{Records: "a.www A {n4}\nwww CNAME web.{t}."}, {Origin: "{t}", Records: "web A {n4}\nweb CAA 0 issue \";\""}}},
		Situation{Name: "CAA: at the wildcard that answers", Host: "a.w.{z}", Zones: []Zone{{Records: "*.w A {n4}\n*.w CAA 0 issue \";\""}}},
		Situation{Name: "CAA: at a sibling", Zones: []Zone{{Records: "www A {n4}\nsib CAA 0 issue \";\""}}},
		Situation{Name: "CAA: three labels up", Host: "a.b.c.{z}", Zones: []Zone{{Records: "a.b.c A {n4}\n@ CAA 0 issue \";\""}}},
		Situation{Name: "CAA: one label up, allows, three denies", Host: "a.b.c.{z}", Zones: []Zone{{Records: "a.b.c A {n4}\n@ CAA 0 issue \";\"\nb.c CAA 0 issue \"letsencrypt.org\""}}},
		Situation{Name: "CAA: in the parent zone across a cut, denies", Host: "www.sub.{z}", Zones: []Zone{{Records: "@ CAA 0 issue \";\""}, {Origin: "sub.{z}", Servers: []string{"ns3", "ns4"}, Records: "www A {n4}"}}},
		Situation{Name: "CAA: servers disagree", Zones: []Zone{{Records: "www A {n4}", At: map[string]string{"ns2": "www A {n4}\nwww CAA 0 issue \";\""}}}},
		Situation{Name: "CAA: parent zone SERVFAIL across a cut", Host: "www.sub.{z}", Zones: []Zone{{Faults: []Fault{{Type: "CAA", Kind: FaultServFail}}}, {Origin: "sub.{z}", Servers: []string{"ns3", "ns4"}, Records: "www A {n4}"}}},
		Situation{Name: "CAA: parent SERVFAIL, name allows", Zones: []Zone{{Records: "www A {n4}\nwww CAA 0 issue \"letsencrypt.org\"", Faults: []Fault{{Name: "@", Type: "CAA", Kind: FaultServFail}}}}},
		Situation{Name: "CAA: parent SERVFAIL, name denies", Zones: []Zone{{Records: "www A {n4}\nwww CAA 0 issue \";\"", Faults: []Fault{{Name: "@", Type: "CAA", Kind: FaultServFail}}}}},
		Situation{Name: "CAA: target of the CNAME SERVFAIL for CAA", Zones: []Zone{{Records: "www CNAME web.{t}."}, {Origin: "{t}", Records: "web A {n4}", Faults: []Fault{{Type: "CAA", Kind: FaultServFail}}}}},
		Situation{Name: "CAA: A elsewhere and CAA SERVFAIL", Zones: []Zone{{Records: "www A {e4}", Faults: []Fault{{Type: "CAA", Kind: FaultServFail}}}}},
	)
}

var faultKinds = []FaultKind{
	FaultServFail, FaultRefused, FaultNotImp, FaultFormErr, FaultNXDomain, FaultEmpty, FaultDrop, FaultTruncate, FaultTCPDead, FaultGarbage,
	FaultSlow, FaultNoEDNS, FaultNoAA, FaultUpward, FaultLowerCase, FaultGoneThere,
	FaultMixedGone, FaultMixedRefused, FaultMixedSilent, FaultSelf,
}

// faultSituations are every fault with every type, at one server and at both.
func faultSituations() []Situation {
	var all []Situation
	text := "@ A {n4}\nwww A {n4}\nwww AAAA {n6}"
	for _, kind := range faultKinds {
		for _, kindOf := range []string{"A", "AAAA", "CAA", "NS", ""} {
			for _, server := range []string{"ns1", ""} {
				where := map[string]string{"ns1": "one server", "": "both servers"}[server]
				what := kindOf
				if what == "" {
					what = "everything"
				}
				all = append(all, Situation{
					Name:  fmt.Sprintf("fault: %s for %s at %s", kind, what, where),
					Zones: []Zone{{Records: text, Faults: []Fault{{Server: server, Name: map[bool]string{true: "www"}[kindOf == "A" || kindOf == "AAAA"], Type: kindOf, Kind: kind}}}},
				})
			}
		}
	}
	for _, s := range []Situation{
		{Name: "first query of each is dropped", Zones: []Zone{{Records: text, Faults: []Fault{{Kind: FaultDrop, Times: 1}}}}},
		{Name: "first query of each is SERVFAIL", Zones: []Zone{{Records: text, Faults: []Fault{{Kind: FaultServFail, Times: 1}}}}},
		{Name: "A is SERVFAIL, AAAA elsewhere", Zones: []Zone{{Records: "www A {n4}\nwww AAAA {e6}", Faults: []Fault{{Name: "www", Type: "A", Kind: FaultServFail}}}}},
		{Name: "A is SERVFAIL, no AAAA", Zones: []Zone{{Records: "www A {n4}", Faults: []Fault{{Name: "www", Type: "A", Kind: FaultServFail}}}}},
		{Name: "A elsewhere, AAAA is SERVFAIL", Zones: []Zone{{Records: "www A {e4}", Faults: []Fault{{Name: "www", Type: "AAAA", Kind: FaultServFail}}}}},
		{Name: "A is SERVFAIL, AAAA refuses connections", Zones: []Zone{{Records: "www A {n4}\nwww AAAA {r6}", Faults: []Fault{{Name: "www", Type: "A", Kind: FaultServFail}}}}},
		{Name: "A mixed, AAAA is SERVFAIL", Zones: []Zone{{Records: "www A {n4}\nwww A {e4}", Faults: []Fault{{Name: "www", Type: "AAAA", Kind: FaultServFail}}}}},
		{Name: "apex is NXDOMAIN at both, name is there", Zones: []Zone{{Records: text, Faults: []Fault{{Name: "@", Kind: FaultNXDomain}}}}},
	} {
		s.Name = "fault: " + s.Name
		all = append(all, s)
	}
	return all
}

// serverSituations are about the zone's servers.
func serverSituations() []Situation {
	at := func(name, ns1, ns2 string) Situation {
		return Situation{Name: "servers disagree: " + name, Zones: []Zone{{Records: ns1, At: map[string]string{"ns2": ns2}}}}
	}
	with := func(name string, delegate ...string) Situation {
		return Situation{Name: "servers: " + name, Zones: []Zone{{Records: "@ A {n4}\nwww A {n4}\nwww AAAA {n6}", Servers: []string{"ns1", "ns2"}, Delegate: delegate}}}
	}
	return []Situation{
		at("the node's and elsewhere", "www A {n4}", "www A {e4}"),
		at("the node's and NXDOMAIN", "www A {n4}", "mail A {n4}"),
		at("the node's and no data", "www A {n4}", "www TXT x"),
		at("the node's and a CNAME to it", "www A {n4}", "www CNAME {node}."),
		at("CNAME to it and elsewhere", "www CNAME {node}.", "www A {e4}"),
		at("two CNAMEs", "www CNAME {node}.", "www CNAME there\nthere A {e4}"),
		at("two CNAMEs that both lead to the node", "www CNAME {node}.", "www CNAME there\nthere A {n4}"),
		at("CNAME to it and NXDOMAIN", "www CNAME {node}.", "mail A {n4}"),
		at("CNAME to it and no data", "www CNAME {node}.", "www TXT x"),
		at("AAAA at one, A the node's at both", "www A {n4}\nwww AAAA {n6}", "www A {n4}"),
		at("AAAA elsewhere at one, A the node's at both", "www A {n4}\nwww AAAA {e6}", "www A {n4}"),
		at("the node's and a redirect to it", "www A {n4}", "www A {f301}"), at("the node's and a proxy before it", "www A {n4}", "www A {proxy}"),
		at("the node's and mixed", "www A {n4}", "www A {n4}\nwww A {e4}"), at("AAAA the node's, at one a redirect to it", "www AAAA {n6}", "www AAAA {f6}"),
		at("AAAA that refuses at one, A the node's at both", "www A {n4}\nwww AAAA {r6}", "www A {n4}"),
		at("A elsewhere at one, AAAA the node's at both", "www A {n4}\nwww AAAA {n6}", "www A {e4}\nwww AAAA {n6}"),
		at("A elsewhere at one, AAAA the node's only there", "www A {n4}", "www A {e4}\nwww AAAA {n6}"),
		at("only A at one, only AAAA at the other", "www A {n4}", "www AAAA {n6}"),
		at("other order", "www A {n4}\nwww A 10.0.0.1", "www A 10.0.0.1\nwww A {n4}"),
		at("a reserved one more at one", "www A {n4}\nwww A 10.0.0.1", "www A {n4}"),
		at("only a reserved one at one", "www A {n4}", "www A 10.0.0.1"),
		at("both wrong", "www A {e4}", "www A {e4b}"),
		at("both missing, other ways", "www TXT x", "mail A {n4}"),
		{Name: "servers disagree: one of four", Zones: []Zone{{Servers: []string{"ns1", "ns2", "ns3", "ns4"}, Records: "www A {n4}", At: map[string]string{"ns4": "www A {e4}"}}}},
		{Name: "servers disagree: one of four has NXDOMAIN", Zones: []Zone{{Servers: []string{"ns1", "ns2", "ns3", "ns4"}, Records: "www A {n4}", At: map[string]string{"ns4": "mail A {e4}"}}}},
		{Name: "servers disagree: the wrong one is not delegated to", Zones: []Zone{{Servers: []string{"ns1", "ns2"}, Delegate: []string{"ns1"}, Records: "www A {n4}", At: map[string]string{"ns2": "www A {e4}"}}}},
		{Name: "servers disagree: the wrong one is delegated to alone", Zones: []Zone{{Servers: []string{"ns1", "ns2"}, Delegate: []string{"ns2"}, Records: "www A {n4}", At: map[string]string{"ns2": "www A {e4}"}}}},
		with("one of two lame", "ns1", "lame"), with("one of two silent", "ns1", "silent"), with("one of two closed", "ns1", "closed"),
		with("one of two in a black hole", "ns1", "hole"), with("one of two without address", "ns1", "nameless"),
		with("all lame", "lame"), with("all silent", "silent", "silent2"), with("all closed", "closed"), with("all without address", "nameless"),
		with("one, and it is right", "ns1"), with("lame, silent and one right", "lame", "silent", "ns1"),
		{Name: "servers: zone is not delegated"},
		{Name: "servers: delegated to servers that do not have it", Zones: []Zone{{Servers: []string{"ns3"}, Delegate: []string{"ns1", "ns2"}, Records: "www A {n4}"}}},
		{Name: "servers: subzone", Host: "www.sub.{z}", Zones: []Zone{{Records: "@ A {e4}"}, {Origin: "sub.{z}", Servers: []string{"ns3", "ns4"}, Records: "www A {n4}"}}},
		{Name: "servers: subzone at the same servers", Host: "www.sub.{z}", Zones: []Zone{{Records: "@ A {e4}"}, {Origin: "sub.{z}", Records: "www A {n4}"}}},
		{Name: "servers: subzone that is lame", Host: "www.sub.{z}", Zones: []Zone{{Records: "@ A {e4}"}, {Origin: "sub.{z}", Servers: []string{"ns3"}, Delegate: []string{"lame"}, Records: "www A {n4}"}}},
		{Name: "servers: the name is a zone of its own", Zones: []Zone{{Records: "@ A {e4}"}, {Origin: "www.{z}", Servers: []string{"ns3", "ns4"}, Records: "@ A {n4}"}}},
		{Name: "servers: subzone whose servers disagree", Host: "www.sub.{z}", Zones: []Zone{{Records: "@ A {e4}"}, {Origin: "sub.{z}", Servers: []string{"ns3", "ns4"}, Records: "www A {n4}", At: map[string]string{"ns4": "www A {e4}"}}}},
		{Name: "glue: names of servers in the zone", Zones: []Zone{{Glue: map[string]string{}, Records: "www A {n4}"}}},
		{Name: "glue: another server's address, which leads elsewhere", Zones: []Zone{{Servers: []string{"ns1"}, Glue: map[string]string{"ns1": "ns3"}, Records: "www A {n4}", At: map[string]string{"ns3": "www A {e4}"}}}},
		{Name: "glue: another server's address, which leads to the node", Zones: []Zone{{Servers: []string{"ns1"}, Glue: map[string]string{"ns1": "ns3"}, Records: "www A {e4}", At: map[string]string{"ns3": "www A {n4}"}}}},
		{Name: "glue: another server's address, with the same records", Zones: []Zone{{Servers: []string{"ns1"}, Glue: map[string]string{"ns1": "ns3"}, Records: "www A {n4}"}}},
		{Name: "glue: one of two differs, and leads elsewhere", Zones: []Zone{{Glue: map[string]string{"ns1": "ns3"}, Records: "www A {n4}", At: map[string]string{"ns3": "www A {e4}"}}}},
		{Name: "glue: a lame server's address", Zones: []Zone{{Servers: []string{"ns1", "ns2"}, Glue: map[string]string{"ns1": "lame"}, Records: "www A {n4}", At: map[string]string{"lame": ""}}}},
		{Name: "no data: a referral to itself for AAAA and CAA", Zones: []Zone{{Records: "www A {n4}", Faults: []Fault{{Name: "www", Type: "AAAA", Kind: FaultSelf}, {Type: "CAA", Kind: FaultSelf}}}}},
		{Name: "CAA: beside a CNAME, forbids", Zones: []Zone{{Records: "www CNAME {node}.\nwww CAA 0 issue \"ca.example\""}}},
		{Name: "CAA: beside a CNAME, allows", Zones: []Zone{{Records: "www CNAME {node}.\nwww CAA 0 issue \"letsencrypt.org\""}}},
		{Name: "servers: no NS at the apex", Zones: []Zone{{NoNS: true, Records: "www A {n4}"}}}, {Name: "servers: no NS at the apex, elsewhere", Zones: []Zone{{NoNS: true, Records: "www A {e4}"}}},
		simple("wildcard: answers for the name", "* A {n4}"), simple("wildcard: elsewhere", "* A {e4}"),
		simple("wildcard: hidden by the name without addresses", "* A {n4}\nwww TXT x"),
		simple("wildcard: hidden by an empty non-terminal", "* A {n4}\na.www TXT x"),
		{Name: "wildcard: does not reach over a name", Host: "a.b.{z}", Zones: []Zone{{Records: "* A {n4}\nb A {n4}"}}},
		{Name: "wildcard: two levels", Host: "a.b.{z}", Zones: []Zone{{Records: "* A {n4}"}}},
		simple("no data: only MX", "www MX 10 mail"), simple("no data: empty non-terminal", "a.www A {n4}"), simple("nxdomain: name is not there", "mail A {n4}"),
	}
}

func nameSituations() []Situation {
	named := func(name, host, records string) Situation {
		return Situation{Name: "name: " + name, Host: host, Zones: []Zone{{Records: records}}}
	}
	all := "* A {n4}\n@ A {n4}"
	label := strings.Repeat("a", 63)
	list := []Situation{
		named("wildcard", "*.{z}", all), named("wildcard in the middle", "a.*.{z}", all), named("part of a wildcard", "a*.{z}", all),
		named("underscore", "_dmarc.{z}", all), named("underscore within", "a_b.{z}", all), named("hyphens at 3 and 4", "ab--c.{z}", all),
		named("hyphens at 2 and 3", "a--c.{z}", all), named("hyphen first", "-a.{z}", all), named("hyphen last", "a-.{z}", all),
		named("label of 63", label+".{z}", all), named("label of 64", label+"a.{z}", all), named("bad punycode", "xn--zzzzzz---.{z}", all),
		named("punycode of ASCII", "xn--abc-.{z}", all), named("A-label", "xn--mnchen-3ya.{z}", all), named("U-label", "münchen.{z}", all), named("U-label in upper case", "MÜNCHEN.{z}", all),
		named("A-label in upper case", "XN--MNCHEN-3YA.{z}", all), named("not NFC", "xn--u-ccb.{z}", all), named("upper case", "WWW.{Z}", all), named("final dot", "www.{z}.", all),
		named("empty label", "a..{z}", all), named("blank", "a b.{z}", all), named("10 labels", "1.2.3.4.5.6.7.8.{z}", all), named("11 labels", "1.2.3.4.5.6.7.8.9.{z}", all),
		named("about 240 octets", strings.Repeat(label+".", 3)+strings.Repeat("b", 35)+".{z}", all), named("over 253 octets", strings.Repeat(label+".", 4)+"{z}", all), named("digits", "123.{z}", all), named("apex", "{z}", all), named("deep", "a.b.c.{z}", "a.b.c A {n4}"),
		{Name: "name: public suffix of one label", Host: "com"}, {Name: "name: public suffix of two labels", Host: "co.uk"},
		{Name: "name: no public suffix", Host: "www.example.internal"}, {Name: "name: localhost", Host: "localhost"}, {Name: "name: one label", Host: "host"},
		{Name: "name: IPv4 address", Host: "11.0.0.10"}, {Name: "name: IPv6 address", Host: "2e00:db8::10"}, {Name: "name: empty label first", Host: ".{z}", Zones: []Zone{{Records: all}}},
		{Name: "name: below .uk", Domain: "co.uk", Zones: []Zone{{Records: all}}}, {Name: "name: below an IDN top-level domain", Domain: "xn--p1ai", Zones: []Zone{{Records: all}}},
		{Name: "name: below a private suffix", Host: "www.{z}", Domain: "github.io", Zones: []Zone{{Records: all}}}, {Name: "name: a private suffix itself", Host: "github.io", Zones: []Zone{{Origin: "github.io", Records: "@ A {n4}"}}},
		{Name: "name: below example", Host: "www.{z}", Domain: "example", Zones: []Zone{{Records: all}}}, {Name: "name: ARPA", Host: "1.0.0.11.in-addr.arpa"},
	}
	for i := range list {
		if list[i].Host == "" {
			list[i].Host = "www.{z}"
		}
	}
	return list
}

// rememberedSituations are zones that changed a moment ago, of which the gate's resolver
// has the old records.
func rememberedSituations() []Situation {
	changed := func(name, before, now string) Situation {
		return Situation{Name: "remembered: " + name, Before: before, Zones: []Zone{{Records: now}}}
	}
	return []Situation{
		changed("moved to us", "www A {e4}", "www A {n4}"), changed("moved away", "www A {n4}", "www A {e4}"), changed("an alias of the node by now", "www A {e4}", "www CNAME {node}."),
		changed("an alias of the node before", "www CNAME {node}.", "www A {e4}"), changed("AAAA is gone", "www A {n4}\nwww AAAA {e6}", "www A {n4}"), changed("AAAA is new", "www A {n4}", "www A {n4}\nwww AAAA {e6}"),
		changed("CAA is gone", "www A {n4}\nwww CAA 0 issue \"ca.example\"", "www A {n4}"), changed("CAA is new", "www A {n4}\nwww CAA 0 issue \"letsencrypt.org\"", "www A {n4}\nwww CAA 0 issue \"ca.example\""),
		changed("CAA is gone, that above it forbids", "www A {n4}\nwww CAA 0 issue \"letsencrypt.org\"\n@ CAA 0 issue \"ca.example\"", "www A {n4}\n@ CAA 0 issue \"ca.example\""),
		changed("deleted", "www A {n4}", "mail A {n4}"), {Name: "remembered: moved to us, at one of two", Before: "www A {e4}", Zones: []Zone{{Records: "www A {n4}", At: map[string]string{"ns2": "www A {e4}"}}}},
		{Name: "remembered: moved to us, and one of two is lame", Before: "www A {e4}", Zones: []Zone{{Records: "www A {n4}", Delegate: []string{"ns1", "lame"}}}},
	}
}

// forwardSituations are machines that hand the challenge on.
func forwardSituations() []Situation {
	var all []Situation
	for _, host := range []string{"f301", "f302", "f303", "f307", "f308", "floop", "fport", "faway", "fhttps", "ftwice", "fsame", "fbare", "fip", "fown", "slowhost", "reset", "proxy"} {
		all = append(all, simple("forward: A at "+host, "www A {"+host+"}"))
	}
	known := simple("forward: a proxy that is known", "www A {proxy}")
	known.Proxies = []string{"11.0.3.0/24"}
	known6 := simple("forward: a proxy that is known, both kinds", "www A {proxy}\nwww AAAA {proxy6}")
	known6.Proxies = []string{"11.0.3.0/24", hosts["proxy6"] + "/128"}
	dead := simple("forward: a known proxy that does not hand on", "www A {f303}")
	dead.Proxies = []string{hosts["f303"] + "/32"}
	beside := simple("forward: a proxy that is known, beside the node", "www A {proxy}\nwww A {n4}")
	beside.Proxies = []string{hosts["proxy"] + "/32"}
	beside6 := simple("forward: a known proxy's AAAA beside the node's, A the node's", "www AAAA {proxy6}\nwww AAAA {n6}\nwww A {n4}")
	beside6.Proxies = []string{hosts["proxy6"] + "/128"}
	return append(all, known, known6, dead, beside, beside6,
		simple("forward: AAAA at a redirect", "www AAAA {f6}"), simple("forward: AAAA at a redirect, A the node's", "www AAAA {f6}\nwww A {n4}"),
		simple("forward: A of two that both redirect", "www A {f301}\nwww A {f302}"), simple("forward: A of a redirect and elsewhere", "www A {f301}\nwww A {e4}"),
		simple("forward: A of a redirect and the node", "www A {f301}\nwww A {n4}"), simple("forward: AAAA elsewhere, A at a redirect", "www A {f301}\nwww AAAA {e6}"),
		simple("forward: AAAA refuses, A at a redirect", "www A {f301}\nwww AAAA {r6}"),
		simple("forward: AAAA refuses, A at a redirect and the node", "www A {f301}\nwww A {n4}\nwww AAAA {r6}"),
		simple("forward: AAAA of a redirect and one that refuses, A the node's", "www A {n4}\nwww AAAA {r6}\nwww AAAA {f6}"),
		simple("forward: AAAA of a redirect and one that refuses, A elsewhere", "www A {e4}\nwww AAAA {r6}\nwww AAAA {f6}"),
		simple("forward: AAAA of a redirect and the node", "www AAAA {n6}\nwww AAAA {f6}"),
		simple("forward: AAAA elsewhere and at a redirect", "www AAAA {e6}\nwww AAAA {f6}"),
		simple("forward: A of a redirect to itself and the node", "www A {fown}\nwww A {n4}"),
		simple("forward: A of two redirects and the node", "www A {f308}\nwww A {ftwice}\nwww A {n4}"),
		simple("forward: A at a proxy and the node", "www A {proxy}\nwww A {n4}"), simple("forward: A at a proxy and elsewhere", "www A {proxy}\nwww A {e4}"),
		simple("forward: AAAA at a proxy", "www AAAA {proxy6}"), simple("forward: AAAA at a proxy, A elsewhere", "www AAAA {proxy6}\nwww A {e4}"),
		simple("forward: AAAA refuses, A at a proxy", "www AAAA {r6}\nwww A {proxy}"), simple("forward: A at a proxy and at a redirect", "www A {proxy}\nwww A {f301}"),
		simple("forward: A at a host that runs what the node runs", "www A {twin}"), simple("forward: A at a host that runs another version", "www A {older}"),
		simple("forward: A of five redirects", "www A {f301}\nwww A {f302}\nwww A {f307}\nwww A {f308}\nwww A {ftwice}"),
	)
}

// redirectSituations are redirects with their paths, their number and the addresses of
// the hosts that they lead to.
func redirectSituations() []Situation {
	to := func(name, records string, redirects ...string) Situation {
		return Situation{Name: "redirect: " + name, Redirects: redirects, Zones: []Zone{{Records: records}}}
	}
	a := "www A {c4}\n"
	self := func(n int, last string) []string {
		return append(slices.Repeat([]string{"http://{host}{path}?{hop}"}, n), last)
	}
	long := strings.Repeat("a", 1990)
	return []Situation{
		to("to the node", a, "http://{node}{path}"), to("to the node's front page", a, "http://{node}/"), to("to the node by https, without a path", a, "https://{node}"),
		to("to another path of the node", a, "http://{node}/blog{path}"), to("to the path as a folder", a, "http://{node}{path}/"),
		to("with slashes to merge", a, "http://{node}/{path}"), to("with dots", a, "http://{node}/x/..{path}"), to("with an escape", a, "http://{node}/%2ewell-known/../{path}"), to("with a query", a, "http://{node}{path}?a=b"),
		to("to a port with a zero before", a, "http://{node}:080{path}"), to("to port 443 by http", a, "http://{node}:443{path}"), to("to port 81", a, "http://{node}:81{path}"), to("to an empty port", a, "http://{node}:{path}"),
		to("to a long path", a, "http://{node}/"+long+"/.."+"{path}"), to("to a path that is too long", a, "http://{node}/"+strings.Repeat("a", 2001)),
		to("to a host without a public top-level domain", a, "http://node.internal{path}"), to("to a host with a final dot", a, "http://{node}.{path}"), to("to a host in upper case", a, "http://WEB.{z}{path}", "http://{node}{path}"),
		to("to the host itself, for ever", a, "http://{host}{path}"), to("nine, and the node", a, self(8, "http://{node}{path}")...), to("ten, and the node", a, self(9, "http://{node}{path}")...),
		to("eight, after a dead IPv6", a+"www AAAA {r6}", self(1, "http://{node}{path}")...), to("nine, after a dead IPv6", a+"www AAAA {r6}", self(8, "http://{node}{path}")...),
		to("nine, to a host whose IPv6 is dead", a+"web A {n4}\nweb AAAA {r6}", self(8, "http://web.{z}{path}")...), to("eight, to a host whose IPv6 is dead", a+"web A {n4}\nweb AAAA {r6}", self(7, "http://web.{z}{path}")...),
		to("to a host with reserved addresses beside the node's", a+"web A {n4}\nweb A 10.0.0.1\nweb AAAA fd00::1", "http://web.{z}{path}"), to("to a host of reserved addresses", a+"web A 10.0.0.1", "http://web.{z}{path}"),
		to("to a host that is the node's and another", a+"web A {n4}\nweb A {e4}", "http://web.{z}{path}"), to("to a host of two, one of which redirects on", a+"web A {n4}\nweb A {f301}", "http://web.{z}{path}"),
		to("to a host that is the node over IPv4, with another's IPv6", a+"web A {n4}\nweb AAAA {e6}", "http://web.{z}{path}"), to("to a host with multicast beside the node", a+"web A {n4}\nweb AAAA ff02::1", "http://web.{z}{path}"),
		to("to a host that is nowhere", a, "http://gone.{z}{path}"), to("to an alias of the node", a+"web CNAME {node}.", "http://web.{z}{path}"),
		to("to https on itself, whose IPv6 has no port 443", a+"www AAAA {c6}", "https://{host}{path}?{hop}", "http://{node}{path}"),
		to("to https on itself, whose IPv6 has no port 443, A the node's", "www A {n4}\nwww AAAA {c6}", "https://{host}{path}"),
		to("to http on itself, A the node's", "www A {n4}\nwww AAAA {c6}", "http://{host}{path}?{hop}"), to("to http on itself, A the node's and AAAA of two", "www A {n4}\nwww AAAA {c6}\nwww AAAA {r6}", "http://{host}{path}?{hop}", "http://{node}{path}"),
		to("to https on itself over IPv6 alone, without port 443", "www AAAA {c6}", "https://{host}{path}"),
	}
}

func bogusSituations() []Situation {
	var all []Situation
	for _, s := range []Situation{
		simple("bogus: the node's", "www A {n4}\nwww AAAA {n6}"), simple("bogus: nothing there", "mail A {n4}"), simple("bogus: elsewhere", "www A {e4}"),
		simple("bogus: no zone at all", ""),
	} {
		s.Domain = strings.TrimSuffix(BogusZone, ".")
		all = append(all, s)
	}
	all[3].Zones = nil
	return append(all, Situation{Name: "bogus: alias into a bogus zone", Zones: []Zone{{Records: "www CNAME web.{z}.bogus.com."}, {Origin: "{z}.bogus.com", Records: "web A {n4}"}}})
}

// certificateSituations are certificates of several names.
func certificateSituations() []Situation {
	names := map[string]string{
		"good":        "{o} A {n4}",
		"aliased":     "{o} CNAME {node}.",
		"elsewhere":   "{o} A {e4}",
		"missing":     "",
		"dead IPv6":   "{o} A {n4}\n{o} AAAA {r6}",
		"forwards":    "{o} A {f301}",
		"denied":      "{o} A {n4}\n{o} CAA 0 issue \"ca.example\"",
		"unknown":     "{o} A {n4}", // CAA is SERVFAIL
		"a proxy's":   "{o} A {proxy}",
		"another one": "{o} A {n4}\n{o} AAAA {n6}",
	}
	with := func(host string, aliases ...string) Situation {
		s := Situation{Name: "certificate: " + strings.Join(append([]string{host}, aliases...), ", "), Zones: []Zone{{Records: "@ A {n4}\n"}}}
		for i, kind := range append([]string{host}, aliases...) {
			owner := "www"
			if i > 0 {
				owner = fmt.Sprintf("alias%d", i)
				s.Aliases = append(s.Aliases, owner+".{z}")
			}
			s.Zones[0].Records += strings.ReplaceAll(names[kind], "{o}", owner) + "\n"
			if kind == "unknown" {
				s.Zones[0].Faults = append(s.Zones[0].Faults, Fault{Name: owner, Type: "CAA", Kind: FaultServFail})
			}
		}
		return s
	}
	of := func(name string, aliases ...string) Situation {
		return Situation{Name: "certificate: " + name, Aliases: aliases, Zones: []Zone{{Records: "@ A {n4}\n* A {n4}"}}}
	}
	two := Situation{Name: "certificate: names of two domains", Aliases: []string{"www.{t}"}, Zones: []Zone{{Records: "www A {n4}"}, {Origin: "{t}", Records: "www A {n4}"}}}
	torn := Situation{Name: "certificate: names of two domains, of which one has servers that disagree", Aliases: []string{"www.{t}"}, Zones: []Zone{{Records: "www A {n4}"}, {Origin: "{t}", Records: "www A {n4}", At: map[string]string{"ns2": "www A {e4}"}}}}
	lame := Situation{Name: "certificate: names of two domains, of which one is lame", Aliases: []string{"www.{t}"}, Zones: []Zone{{Records: "www A {n4}"}, {Origin: "{t}", Delegate: []string{"lame"}, Records: "www A {n4}"}}}
	return []Situation{
		with("good", "good"), with("good", "aliased", "another one"), with("good", "dead IPv6", "forwards"), with("forwards", "good"),
		with("good", "elsewhere"), with("elsewhere", "good"), with("elsewhere", "elsewhere"), with("good", "missing"), with("missing", "good"),
		with("good", "denied"), with("aliased", "good", "another one", "good", "elsewhere"), with("good", "unknown"), with("unknown", "good"), with("unknown", "elsewhere"), with("elsewhere", "unknown"),
		with("good", "unknown", "elsewhere"), with("good", "a proxy's"), with("good", "a proxy's", "elsewhere"), with("dead IPv6", "denied"),
		with("good", "aliased", "dead IPv6", "forwards", "another one", "a proxy's"),
		two, torn, lame,
		of("the apex", "{z}"), of("the same name twice", "www.{z}"), of("the same name in upper case", "WWW.{Z}"), of("a wildcard among them", "*.{z}"),
		of("an invalid name among them", "a_b.{z}"), of("a public suffix among them", "com"), of("ten names", "a.{z}", "b.{z}", "c.{z}", "d.{z}", "e.{z}", "f.{z}", "g.{z}", "h.{z}", "i.{z}"),
	}
}

// foundSituations were found by [Random] and shrunk.
func foundSituations() []Situation {
	of := func(name, node string, zones ...Zone) Situation {
		return Situation{Name: "found: " + name, Node: node, Zones: zones}
	}
	since := func(s Situation, before string) Situation {
		s.Before = before
		return s
	}
	two := func(ns1, ns2 string) Zone {
		return Zone{Records: ns1, At: map[string]string{"ns2": ns2}}
	}
	return []Situation{
		of("A mixed behind AAAA that refuses", "m1", Zone{Records: "www A {m4b}\nwww A {e4}\nwww AAAA {r6}"}),
		of("A mixed with one that refuses behind AAAA that refuses", "old", Zone{Records: "www A {r4}\nwww A {o4}\nwww AAAA {r6}"}),
		of("AAAA of which one refuses and one answers, A the node's", "n1", Zone{Records: "www A {n4}\nwww AAAA {r6}\nwww AAAA {e6}"}),
		of("AAAA elsewhere and a reserved one, A the node's", "n1", Zone{Records: "* A {n4}\n* AAAA {e6}\n* AAAA 2001:db8::1"}),
		of("an alias to what only one server has", "old", two("www A {o4}", "www CNAME there\nthere A {o4}")),
		of("two aliases, one to what only one server has", "six", two("www CNAME {node}.", "www CNAME there\nthere A {e4}\nthere AAAA {s6}")),
		of("an alias to the node at one server, nothing at the other", "n1", two("", "www CNAME {node}.")),
		of("an alias to the node at one server, AAAA that refuses at the other", "six", two("www AAAA {r6}", "www CNAME {node}.")),
		of("an alias to the node, and one server has no data", "n1", Zone{Records: "www CNAME {node}.", Faults: []Fault{{Server: "ns1", Name: "www", Kind: FaultEmpty}}}),
		of("an alias to the node, and one server has no data for A", "m1", Zone{Records: "www CNAME {node}.", Faults: []Fault{{Server: "ns1", Name: "www", Type: "A", Kind: FaultEmpty}}}),
		of("an alias to the node, and one server has NXDOMAIN for A", "n1", Zone{Records: "www CNAME {node}.", Faults: []Fault{{Server: "ns1", Name: "www", Type: "A", Kind: FaultNXDomain}}}),
		of("an alias, and one server has NXDOMAIN for AAAA", "n1", Zone{Records: "www CNAME there\nthere AAAA {n6}", Faults: []Fault{{Server: "ns1", Name: "www", Type: "AAAA", Kind: FaultNXDomain}}}),
		of("AAAA that refuses, and one server has none", "n1", Zone{Records: "www A {n4}\nwww AAAA {r6}", Faults: []Fault{{Server: "ns1", Name: "www", Type: "AAAA", Kind: FaultEmpty}}}),
		of("CAA at the name hides that above it at one server, the other has none at the name", "old", two("www CNAME {node}.", "* A {o4}\n@ CAA 0 issue \";\"\n* CAA 0 future \"x\"")),
		of("an alias to another domain at one server, its address at the other", "old", two("www CNAME web.{t}.", "www A {o4}"), Zone{Origin: "{t}", Servers: []string{"ns3"}, Records: "web A {o4}"}),
		of("A is SERVFAIL, an alias to the node at one server", "n1", Zone{Records: "www A {n4}\nwww A {r4}", At: map[string]string{"ns2": "www CNAME {node}."}, Delegate: []string{"lame", "ns1", "ns2"},
			Faults: []Fault{{Server: "ns1", Name: "www", Type: "CNAME", Kind: FaultServFail}, {Name: "www", Type: "A", Kind: FaultServFail}}}),
		of("an alias to the node at one server, A mixed and no AAAA at the other", "n1", two("www CNAME {node}.", "www A {n4}\nwww A {r4}")),
		of("an alias to the node at two servers, AAAA mixed at the third", "n1", Zone{Servers: []string{"ns1", "ns2", "ns3"}, Records: "www CNAME {node}.", At: map[string]string{"ns2": "www AAAA {r6}\nwww AAAA {n6}"}}),
		of("CAA above an alias, whose target has other CAA", "n1", Zone{Servers: []string{"ns1"}, Records: "www CNAME web.{t}.\n@ CAA 1 issue \"ca.example\""}, Zone{Origin: "{t}", Servers: []string{"ns1"}, Records: "web AAAA {n6}\nweb CAA 0 future \"ca.example\""}),
		of("CAA of an alias is refused by all servers", "m1", Zone{Records: "www CNAME web.{t}.", Delegate: []string{"lame", "ns1", "ns2"}, Faults: []Fault{{Name: "www", Type: "CAA", Kind: FaultRefused}}},
			Zone{Origin: "{t}", Servers: []string{"ns1"}, Records: "web A {m4}"}),
		of("an alias for AAAA alone, whose target the other server has not", "n1", Zone{Records: "www CNAME there\nthere A {n4}", At: map[string]string{"ns2": "www A {n4}\nwww AAAA {n6}"}, Faults: []Fault{{Name: "www", Type: "A", Kind: FaultEmpty}}}),
		of("an alias to the node at three of four", "n1", Zone{Servers: []string{"ns1", "ns2", "ns3", "ns4"}, Records: "www CNAME {node}.", At: map[string]string{"ns2": "www A {r4}"}}),
		of("an alias to the node at one server, no data for A at the other", "old", Zone{Records: "www CNAME {node}.", Faults: []Fault{{Server: "ns1", Name: "www", Type: "A", Kind: FaultEmpty}}}),
		of("an alias to the node at one server, CAA that forbids at the other", "n1", Zone{Records: "www CNAME {node}.", At: map[string]string{"ns2": "www A {n4}\nwww CAA 1 issue \"\\;\"\nwww CAA 128 issuewild \"letsencrypt.org\""}, Faults: []Fault{{Server: "ns1", Name: "www", Type: "CAA", Kind: FaultNXDomain}}}),
		of("an alias to another domain, and one server has NXDOMAIN for A", "n1", Zone{Records: "www CNAME web.{t}.", Faults: []Fault{{Server: "ns1", Name: "www", Type: "A", Kind: FaultNXDomain}}}, Zone{Origin: "{t}", Servers: []string{"ns1"}, Records: "web A {n4}"}),
		of("an alias in the zone at one server, the other fails for the name", "n1", Zone{Records: "www A {n4}\nwww AAAA {e6}", At: map[string]string{"ns2": "www CNAME there\nthere A {n4}"}, Faults: []Fault{{Server: "ns1", Name: "www", Kind: FaultFormErr}}}),
		of("CAA above an alias, whose target has other CAA, and NXDOMAIN for CAA at it", "n1", Zone{Servers: []string{"ns1"}, Records: "www CNAME web.{t}.\n@ CAA 1 issue \"ca.example\"", Faults: []Fault{{Server: "ns1", Name: "www", Type: "CAA", Kind: FaultNXDomain}}},
			Zone{Origin: "{t}", Servers: []string{"ns1"}, Records: "web AAAA {n6}\nweb CAA 0 future \"ca.example\""}),
		of("two aliases, and AAAA is SERVFAIL at the one that leads nowhere", "n1", Zone{Records: "www CNAME web.{t}.", At: map[string]string{"ns2": "www CNAME {node}."}, Faults: []Fault{{Server: "ns1", Type: "AAAA", Kind: FaultServFail}}}),
		of("AAAA is SERVFAIL at both, of an alias to a node of IPv6 alone", "six", Zone{Records: "www CNAME {node}.", Faults: []Fault{{Name: "www", Type: "AAAA", Kind: FaultServFail}, {Server: "ns1", Name: "www", Kind: FaultNoEDNS}}}),
		of("an alias at one server to another domain, nothing at the other", "old", two("", "www CNAME web.{t}."), Zone{Origin: "{t}", Servers: []string{"ns1"}, Records: "web A {o4}"}),
		of("A beside an alias to the node, and the alias is seen for AAAA", "m1", Zone{Records: "www CNAME there\nthere A {m4}\nwww A {c4}"}),
		of("A and AAAA beside an alias to the node, and the alias is seen for CAA", "m1", Zone{Records: "www CNAME there\nthere A {m4}\nwww A {c4}\nwww AAAA {c6}", At: map[string]string{"ns2": "www A {m4}\nwww AAAA {m6}\nwww CAA 0 issue \"letsencrypt.org\""}}),
		of("an alias at the address of a server that the glue does not have, and its target has CAA that forbids", "n1", Zone{Servers: []string{"ns1"}, Records: "www CNAME web.{t}.", At: map[string]string{"ns3": "* A {n4}"}, Glue: map[string]string{"ns1": "ns3"}},
			Zone{Origin: "{t}", Servers: []string{"ns2", "ns3"}, Records: "web A {e4}\nweb CAA 0 issue \"ca.example\""}),
		since(of("the servers that are delegated are lame", "n1", Zone{Servers: []string{"ns1"}, Records: "www A {n4}", Delegate: []string{"lame"}}), "www A {n4}"),
		since(of("an alias to the node by now, and one server has no data for A", "n1", Zone{Records: "www CNAME {node}.", Faults: []Fault{{Server: "ns1", Name: "www", Type: "A", Kind: FaultEmpty}}}), "www A {r4}\nwww AAAA {r6}"),
		since(of("an alias into a zone that was not there before", "n1", Zone{Records: "www CNAME web.{t}."}, Zone{Origin: "{t}", Servers: []string{"ns1"}, Records: "web A {n4}"}), "www CNAME web.{t}."),
		since(of("an alias into a zone that is not there", "n1", Zone{Records: "www CNAME web.{t}."}), "www CNAME web.{t}."),
		since(of("A beside an alias into a zone that was not there before", "n1", Zone{Records: "www CNAME web.{t}.\nwww A {c4}"}, Zone{Origin: "{t}", Servers: []string{"ns1"}, Records: "web A {n4}"}), "www CNAME web.{t}."),
		since(of("AAAA of the node before the delegated server is lame", "six", Zone{Servers: []string{"ns1"}, Records: "www A {e4}", Delegate: []string{"lame"}, Faults: []Fault{{Server: "ns1", Name: "www", Kind: FaultFormErr}}}), "www A {e4}\nwww AAAA {s6}"),
		of("an alias that the server sends with NXDOMAIN, whose target is there", "n1", Zone{Servers: []string{"ns1"}, Records: "www CNAME there\nthere AAAA {n6}", Faults: []Fault{{Server: "ns1", Name: "www", Kind: FaultGoneThere}}, NoNS: true}),
		since(of("CAA that forbids was here before, and a server has another address beside the glue", "m1", Zone{Records: "www A {m4b}\nwww A {c4}", At: map[string]string{"ns4": "www A {m4b}"}, Glue: map[string]string{"ns1": "ns4"}}), "www A {m4}\nwww AAAA {m6}\nwww CAA 0 issue \"ca.example\""),
		since(of("CAA that forbids was here before, and one server is lame", "n1", Zone{Records: "www A {n4}", Delegate: []string{"lame", "ns1", "ns2"}}), "www A {n4}\nwww CAA 0 issue \"ca.example\""),
		since(of("A of an alias is one of two by now, and AAAA is NXDOMAIN", "old", Zone{Records: "www CNAME there\nthere A {e4}\nthere A {o4}", Faults: []Fault{{Type: "AAAA", Kind: FaultNXDomain}}}), "www A {o4}"),
		since(of("an alias to the node before all servers fail", "old", Zone{Servers: []string{"ns1"}, Records: "www CNAME web.{t}.", Faults: []Fault{{Name: "www", Type: "A", Kind: FaultServFail}, {Name: "www", Type: "AAAA", Kind: FaultServFail}}}, Zone{Origin: "{t}", Servers: []string{"ns1"}, Records: "web A {o4}\nweb AAAA {r6}"}), "www CNAME {node}."),
		of("an alias to the node at the glue of one server, A elsewhere at the other", "m1", Zone{Records: "* A {e4}\nwww A {c4}", At: map[string]string{"ns3": "www CNAME web.{t}."}, Glue: map[string]string{"ns1": "ns3"}}, Zone{Origin: "{t}", Servers: []string{"ns3", "ns4"}, Records: "web A {m4}"}),
		since(of("CAA that forbids was here before the alias", "n1", Zone{Servers: []string{"ns1"}, Records: "www CNAME {node}."}), "www A {n4}\nwww A {r4}\nwww CAA 1 issue \"\\;\""),
		since(of("CAA that forbids was at another alias", "old", Zone{Servers: []string{"ns1"}, Records: "www CNAME {node}.", Faults: []Fault{{Type: "CNAME", Kind: FaultServFail}}}), "www CNAME there\nthere A {o4}\nthere CAA 0 issue \"ca.example\""),
		since(of("the servers contradict themselves, and AAAA was elsewhere", "n1", Zone{Records: "* A {n4}\nwww A {n4}", Faults: []Fault{{Name: "www", Type: "AAAA", Kind: FaultGoneThere}}}), "www A {n4}\nwww AAAA {e6}"),
		since(of("an alias to the node before one for AAAA alone", "n1", Zone{Servers: []string{"ns1"}, Records: "www CNAME web.{t}.", Faults: []Fault{{Type: "CNAME", Kind: FaultNXDomain}, {Name: "www", Type: "A", Kind: FaultNXDomain}}},
			Zone{Origin: "{t}", Servers: []string{"ns2", "ns3"}, Records: "web A {e4}"}), "www CNAME {node}."),
		{Name: "found: a redirect to the host itself, which was an alias to the node", Node: "six", Before: "www CNAME {node}.", Redirects: []string{"https://{host}{path}?{hop}", "https://{node}{path}"},
			Zones: []Zone{{Records: "www A {r4}\nwww A {c4}\nwww AAAA {c6}"}}},
	}
}
