package dnsgate

import (
	"fmt"
	"slices"
	"strings"
)

// advice has, for every reason, what we tell the customer; of a certificate that passes
// as well. It writes to a reader who does not know DNS, and "we" are the provider. The
// subject is nil for the reasons that [Gate] gives.
var advice = map[Reason]func(*subject) Advice{
	// The certificate and its names.
	ReasonTooManyNames: func(s *subject) Advice {
		return Advice{
			Wrong: []string{fmt.Sprintf("The site has %s, and a certificate can have %d.", s.invalid, mostNames(s.Profile))},
			First: []string{fmt.Sprintf("Ask the developer of the site to spread its names over several virtual hosts in the project's configuration, with %d names each at most.",
				mostNames(s.Profile))},
		}
	},
	ReasonWildcard: func(s *subject) Advice {
		return Advice{
			Wrong: []string{"The star in " + quote(s.name) + " means all names of that form. Our certificates are for single names."},
			First: []string{"Ask the developer of the site to list the names that you need in the project's configuration, in place of " + quote(s.name) +
				". If it needs no certificate, they set " + quote("enableLetsEncrypt = false") + " for it."},
		}
	},
	ReasonNameInvalid: func(s *subject) Advice {
		return Advice{
			Wrong: []string{"No certificate can have the name " + quote(s.name) + ": " + quote(s.invalid.Error()) + "."},
			First: []string{"Ask the developer of the site to choose another name in the project's configuration. If it needs no certificate, they set " +
				quote("enableLetsEncrypt = false") + " for it."},
		}
	},
	ReasonQuota: func(*subject) Advice {
		return Advice{Ours: true, Wrong: []string{"Your project got many new certificates within a week, and we limit their number. " +
			"This one follows as soon as the first of them are a week old. If you need it earlier, please write to us."}}
	},
	ReasonRateLimit: func(*subject) Advice {
		return Advice{Ours: true, Wrong: []string{"Let's Encrypt limits how many new certificates we may order at a time, and we shared them out among our customers. " +
			"This one follows as soon as there is room, mostly within a few days. If you need it earlier, please write to us."}}
	},

	// What the provider has to see to.
	ReasonNodeUnresolved: func(*subject) Advice {
		return Advice{Ours: true, Wrong: []string{"We cannot look up the address of our own server at the moment. We repair this."}}
	},
	ReasonCAAAccountUnknown: func(s *subject) Advice {
		return Advice{Ours: true, Wrong: []string{"Your domain has a CAA record at " + quote(s.caa.at.Name) +
			", which says who may issue certificates for it. It allows one account at Let's Encrypt only. We have to check that this is ours."}}
	},

	// Faults of the zone or its servers.
	ReasonDNSSECBogus: func(s *subject) Advice {
		zone := s.zone()
		return s.ask(Advice{
			Wrong: []string{"The DNS of " + quote(zone) + " is signed (DNSSEC), and the signatures are not valid. Let's Encrypt, and many providers of internet access, then do not accept its answers."},
			First: []string{"Send the message below to the company that keeps your DNS. If you moved your DNS to another company, the company where you registered " +
				quote(zone) + " may still have the old DS record. Ask that company to replace or delete it."},
			Ask: []string{"The DNSSEC signatures of the zone " + quote(zone) + " are not valid. Please sign the zone again, or have its DS record removed at the registry."},
		})
	},
	ReasonLookupFailed: func(s *subject) Advice {
		zone := s.zone()
		return s.ask(Advice{
			Wrong: []string{"The name servers of " + quote(zone) + ", which tell the internet where " + quote(s.name) + " leads, did not answer us completely. This may be a short disturbance, also one of our own."},
			First: []string{"If it stays like this for a day, send the message below to the company that keeps your DNS."},
			Ask:   []string{"Some name servers of the zone " + quote(zone) + " do not answer, or not for all types of records. Let's Encrypt asks each of them for A, AAAA and CAA, also over TCP. Please check them."},
		})
	},
	ReasonCAALookupFailed: func(s *subject) Advice {
		zone := s.zone()
		return s.ask(Advice{
			Wrong: []string{"Let's Encrypt asks the name servers of " + quote(zone) + " who may issue certificates (CAA records). They did not answer that. This may be a short disturbance, also one of our own."},
			First: []string{"If it stays like this for a day, send the message below to the company that keeps your DNS."},
			Ask:   []string{"The name servers of the zone " + quote(zone) + " do not answer questions for CAA records. If there are none, the answer must say so, without an error. Please repair this."},
		})
	},
	ReasonContradiction: func(s *subject) Advice {
		zone := s.zone()
		return s.ask(Advice{
			Wrong: []string{"A name server of " + quote(zone) + " contradicts itself: asked in one way it has " + quote(s.name) + ", asked in another way it denies it."},
			First: []string{"Send the message below to the company that keeps your DNS."},
			Ask:   []string{"A name server of the zone " + quote(zone) + " has " + quote(s.name) + ", or its CNAME, for one of the types A, AAAA and CAA, and denies it for another. Please repair it."},
		})
	},
	ReasonInPart:       (*subject).adviseServers,
	ReasonInconsistent: (*subject).adviseServers,

	// CAA.
	ReasonCAACritical: func(s *subject) Advice {
		a := Advice{
			Wrong: []string{"Your domain has a CAA record at " + quote(s.caa.at.Name) + " that Let's Encrypt does not know, and that is marked as critical. It refuses every certificate then."},
		}
		owner := s.caaOwner()
		for _, r := range readCAA(s.caa.at.Lookup.CAA).critical {
			a.Remove = append(a.Remove, Record{owner, "CAA", caaText(r)})
		}
		return s.ask(a)
	},
	ReasonCAAForbids: func(s *subject) Advice {
		owner, tag := s.caaOwner(), s.issueTag()
		a := Advice{
			Wrong: []string{"The CAA records of a domain say who may issue certificates for it. Those at " + quote(owner) + " do not allow Let's Encrypt, or not in the way that our servers use."},
			Set:   []Record{{owner, "CAA", "0 " + tag + ` "` + issuer + `"`}},
			Then:  []string{"If a form asks for the parts of a CAA record: the flag is " + quote("0") + ", the tag " + quote(tag) + ", the value " + quote(issuer) + ", in lower case. Leave all CAA records that are not named here as they are."},
		}
		for _, r := range s.caa.at.Lookup.CAA {
			if strings.EqualFold(r.Tag, tag) && strings.Contains(strings.ToLower(r.Value), issuer) {
				a.Remove = append(a.Remove, Record{owner, "CAA", caaText(r)})
			}
		}
		if owner != s.caa.at.Name {
			a.Then = append(a.Then, quote(s.caa.at.Name)+" is another name for "+quote(owner)+" (a CNAME record), so the CAA records there count. If "+quote(owner)+
				" is not yours, change the CNAME record of "+quote(s.caa.at.Name)+" so that it leads to us: its value is "+quote(s.Node)+".")
		}
		return s.ask(a)
	},

	// Addresses.
	ReasonNXDomain: func(s *subject) Advice {
		if target := s.firstTarget(); target != "" {
			return s.moveHere(quote(s.name) + " is another name for " + quote(target) + " (a CNAME record), and that name, or the one that it leads to, does not exist. Browsers cannot open it.")
		}
		return s.moveHere("The name " + quote(s.name) + " does not exist in DNS yet. Browsers cannot open it.")
	},
	ReasonNoAddress: func(s *subject) Advice {
		return s.moveHere("In DNS, " + quote(s.name) + " leads to no server. Browsers cannot open it.")
	},
	ReasonOnlyReserved: func(s *subject) Advice {
		return s.moveHere("In DNS, " + quote(s.name) + " has only addresses of private networks, which the internet cannot reach.")
	},
	ReasonAMismatch: func(s *subject) Advice {
		return s.moveHere("In DNS, " + quote(s.name) + " leads to " + quoted(texts(s.route.outside)) + ". That is not our server: its visitors reach another one.")
	},
	ReasonAMixed:    (*subject).adviseMixed,
	ReasonAAAAMixed: (*subject).adviseMixed,
	ReasonAAAAMismatch: func(s *subject) Advice {
		return s.adviseIPv6(quote(s.name) + " has " + quoted(texts(s.route.outside)) + " there, which is not our server.")
	},
	ReasonNoRoute: func(s *subject) Advice {
		if !s.route.six {
			return s.moveHere("In DNS, " + quote(s.name) + " leads to another server, and we cannot see whether that one passes requests on to ours.")
		}
		return s.adviseIPv6(quote(s.name) + " has " + quoted(texts(s.route.outside)) + " there. That is not our server, and we cannot see whether a server answers there at all.")
	},
	ReasonForwardsSome: func(s *subject) Advice {
		return s.moveHere("In DNS, " + quote(s.name) + " has several addresses. Some lead to our server, and some do not: " + quoted(texts(s.route.outside)) + ".")
	},
	ReasonAnswersAlike: func(s *subject) Advice {
		a := s.moveHere("In DNS, " + quote(s.name) + " leads to " + quoted(texts(s.route.outside)) + ". The server there answers as ours does, so we cannot tell whether it passes requests on to us.")
		a.First = append(a.First, "If that server is yours and passes all requests on to us, change nothing: everything is right. If not, change these records.")
		return a
	},
	ReasonProxied: func(s *subject) Advice {
		a := s.moveHere("Requests for " + quote(s.name) + " go through Cloudflare. We cannot see whether Cloudflare passes them on to our server.")
		a.Remove = nil
		a.First = append(a.First,
			"Log in to Cloudflare and open the DNS records of "+quote(s.zone())+". The record of "+quote(s.name)+
				" must have the value below. Cloudflare's proxy (the orange cloud) may stay on.",
			"If rules at Cloudflare block or change requests, let them leave out the path "+quote(ChallengePath)+": Let's Encrypt asks there, over plain "+quote("http://")+".",
		)
		a.look = nil // it has Cloudflare's addresses before and after
		return a
	},

	// Wildcards.
	ReasonZoneElsewhere: func(s *subject) Advice {
		zone := s.zone()
		return s.ask(Advice{
			Wrong: []string{"The star in " + quote(s.certified()) + " means all names of that form. We prove such a name by a record that we write at Cloudflare, and other companies keep the DNS of " +
				quote(zone) + " too, or instead."},
			First: []string{"If Cloudflare is to keep your DNS, log in to Cloudflare, open " + quote(zone) + ", and follow what it says about name servers. The company where you registered " + quote(zone) +
				" must have Cloudflare's name servers and no others.",
				"If another company is to keep it, ask the developer of the site to list the names that you need in the project's configuration, in place of " + quote(s.certified()) + "."},
		})
	},

	// Passes.
	ReasonZoneProvable: func(s *subject) Advice {
		return Advice{Wrong: []string{"Cloudflare keeps the DNS of " + quote(s.zone()) + ", where we prove " + quote(s.certified()) + " by a record. Leave the records of " +
			quote("_acme-challenge."+s.name) + " to us."}}
	},
	ReasonAMatch: (*subject).adviseNothing,
	ReasonAAAAMatch: func(s *subject) Advice {
		others := s.v4.outside(s.node.v4)
		if len(others) == 0 || !s.node.v4Known || s.firstTarget() != "" {
			return s.adviseNothing()
		}
		a := Advice{
			Wrong:  []string{"The AAAA record of " + quote(s.name) + " leads to our server, and that is enough for the certificate. Its A record leads to another server: visitors without IPv6 reach that one."},
			Remove: s.outsideRecords(),
		}
		for _, own := range texts(s.node.v4) {
			a.Set = append(a.Set, Record{s.name, "A", own})
		}
		return s.ask(a)
	},
	ReasonAAAADead: func(s *subject) Advice {
		a := Advice{
			Wrong:  []string{"The A record of " + quote(s.name) + " leads to our server, and that is enough for the certificate. No server answers at the address of its AAAA record: that slows down many visitors."},
			Remove: s.outsideRecords(),
		}
		return s.ask(a)
	},
	ReasonForwardsChallenge: func(s *subject) Advice {
		return Advice{Wrong: []string{quote(s.name) + " leads to another server, which passes requests on to ours. Keep it like that for the path " + quote(ChallengePath) +
			": Let's Encrypt asks there again before each renewal."}}
	},
}

func (s *subject) adviseNothing() Advice {
	return Advice{Wrong: []string{"In DNS, " + quote(s.name) + " leads to our server."}}
}

// adviseServers is for name servers that give different answers.
func (s *subject) adviseServers() Advice {
	zone := s.zone()
	a := s.moveHere("The name servers of " + quote(zone) + " do not all give the same answer for " + quote(s.name) + ". Let's Encrypt asks from several places in the world, and each may ask another of them.")
	a.Remove = nil
	a.First = append(a.First,
		"If you have just changed something, wait for a day: all name servers get the change by then.",
		"If it stays like this, see that "+quote(s.name)+" has these records and no other of the types A, AAAA and CNAME, and send the message below to the company that keeps your DNS.",
	)
	a.Ask = []string{"The name servers of the zone " + quote(zone) + " give different answers for " + quote(s.name) + ". Please see that all of them have the same version of the zone."}
	return a
}

// adviseIPv6 is for AAAA records that lead elsewhere.
func (s *subject) adviseIPv6(wrong string) Advice {
	wrong = "An AAAA record has the address for IPv6, the newer kind of internet address. Let's Encrypt, and most visitors, use it if there is one. " + wrong
	if len(s.v4) == 0 || !s.v4.allIn(s.node.v4) || s.firstTarget() != "" {
		return s.moveHere(wrong)
	}
	a := Advice{Wrong: []string{wrong}, Remove: s.outsideRecords()}
	for _, own := range texts(s.node.v6) {
		a.Set = append(a.Set, Record{s.name, "AAAA", own})
	}
	return s.ask(a)
}

// adviseMixed is for several addresses, some of which are the node's.
func (s *subject) adviseMixed() Advice {
	wrong := "In DNS, " + quote(s.name) + " has several addresses. " + quoted(texts(s.route.outside)) + " is not our server, and each visit may reach it."
	if len(s.route.outside) > 1 {
		wrong = "In DNS, " + quote(s.name) + " has several addresses. " + quoted(texts(s.route.outside)) + " are not our server, and each visit may reach them."
	}
	if s.firstTarget() != "" {
		return s.moveHere(wrong)
	}
	return s.ask(Advice{
		Wrong: []string{wrong}, Remove: s.outsideRecords(),
		Then: []string{"Leave the records with the addresses of our server as they are: " + quoted(texts(s.node.all())) + "."},
	})
}

// moveHere is the advice to lead the name to the node, by new records.
func (s *subject) moveHere(wrong string) Advice {
	a := Advice{Wrong: []string{wrong}}
	addresses := s.addressRecords()
	target := s.firstTarget()
	switch {
	case target != "" && target != s.Node:
		a.Remove = []Record{{s.name, "CNAME", target}}
	case target == "" && s.apex():
		a.Remove = s.outsideRecords()
	case target == "":
		a.Remove = s.present()
	}
	a.Set = addresses
	if !s.apex() {
		a.Set, a.Or = []Record{{s.name, "CNAME", s.Node}}, addresses
	}
	a.look = []string{s.name}
	return s.ask(a)
}

// firstTarget is the target of the CNAME at the name, "" if there is none.
func (s *subject) firstTarget() string {
	for _, l := range []Lookup{s.facts.A, s.facts.AAAA} {
		if len(l.Chain) > 0 {
			return l.Chain[0]
		}
	}
	return ""
}

// addressRecords are the records with the node's addresses.
func (s *subject) addressRecords() []Record {
	var all []Record
	for _, a := range texts(s.node.v4) {
		all = append(all, Record{s.name, "A", a})
	}
	for _, a := range texts(s.node.v6) {
		all = append(all, Record{s.name, "AAAA", a})
	}
	return all
}

// present are the address records that the name has.
func (s *subject) present() []Record {
	var all []Record
	for _, a := range texts(parse(s.facts.A.Addresses)) {
		all = append(all, Record{s.name, "A", a})
	}
	for _, a := range texts(parse(s.facts.AAAA.Addresses)) {
		all = append(all, Record{s.name, "AAAA", a})
	}
	return all
}

// outsideRecords are those of present with other addresses than the node's.
func (s *subject) outsideRecords() []Record {
	own := texts(s.node.all())
	return slices.DeleteFunc(s.present(), func(r Record) bool { return slices.Contains(own, r.Value) })
}

// caaOwner is the name that has the CAA records that count.
func (s *subject) caaOwner() string {
	if chain := s.caa.at.Lookup.Chain; len(chain) > 0 {
		return chain[len(chain)-1]
	}
	return s.caa.at.Name
}

func caaText(r CAARecord) string {
	return fmt.Sprintf("%d %s %q", r.Flag, printable(r.Tag), cut(r.Value))
}

// ask completes advice with the name servers of the zone, and with what they said if the
// company that keeps the DNS has to find a fault.
func (s *subject) ask(a Advice) Advice {
	a.zone = s.zone()
	labels := map[string]bool{}
	for _, f := range s.facts.Servers {
		labels[f.label()] = true
		a.servers = join(a.servers, []string{f.Name})
	}
	slices.Sort(a.servers)
	for _, alias := range s.facts.Aliases {
		for _, f := range alias.Servers {
			labels[f.label()] = true
		}
	}
	if len(a.Remove)+len(a.Set) > 0 && len(a.look) == 0 && !slices.ContainsFunc(slices.Concat(a.Remove, a.Set), func(r Record) bool { return r.Type == "CAA" }) {
		a.look = []string{s.name}
	}
	v := decide(s)
	switch v.Reason {
	case ReasonDNSSECBogus, ReasonLookupFailed, ReasonCAALookupFailed, ReasonContradiction, ReasonInPart, ReasonInconsistent:
	default:
		return a
	}
	for _, e := range v.Evidence {
		switch {
		case !slices.Contains([]string{"A", "AAAA", "CNAME", "CAA"}, e.Type):
			continue // a host that was asked, not a name server
		case !labels[e.Server]:
			e.Server = "" // the provider's resolver
		}
		a.Saw = append(a.Saw, quote(e.String()))
	}
	return a
}
