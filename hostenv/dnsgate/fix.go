package dnsgate

import (
	"fmt"
	"strings"
)

// fixes has a sentence for every reason of a failure or an unknown verdict: what to
// change, and to what. The operator can send it to the customer.
var fixes = map[Reason]func(*subject) string{
	ReasonTooManyNames: func(s *subject) string {
		return fmt.Sprintf("spread the names of %s over several virtual hosts, with %d each at most", s.Host, mostNames(s.Profile)) + s.byClassic()
	},
	ReasonWildcard: func(s *subject) string {
		return fmt.Sprintf("list the needed names instead of %s, or switch enableLetsEncrypt off for it", s.name)
	},
	ReasonNameInvalid: func(s *subject) string {
		return fmt.Sprintf("rename %s to a name that a certificate can have, or switch enableLetsEncrypt off for it", s.name)
	},
	ReasonNodeUnresolved: func(s *subject) string {
		return fmt.Sprintf("publish an A or AAAA record for %s, the node's own name, and check that the zone's servers answer", s.Node)
	},
	ReasonDNSSECBogus: func(s *subject) string {
		return fmt.Sprintf("sign the zone of %s again, or remove its DS record at the registrar", s.name)
	},
	ReasonNXDomain:     (*subject).createRecords,
	ReasonNoAddress:    (*subject).createRecords,
	ReasonOnlyReserved: (*subject).createRecords,
	ReasonLookupFailed: func(s *subject) string {
		return fmt.Sprintf("try again; if it fails again, ask the operator of the name servers of %s to repair them", s.zone())
	},
	ReasonInconsistent: (*subject).waitForServers,
	ReasonInPart:       (*subject).waitForServers,
	ReasonContradiction: func(s *subject) string {
		return fmt.Sprintf("ask the operator of the name servers of %s to repair the one that denies for one type what it has for another", s.zone())
	},
	ReasonCAALookupFailed: func(s *subject) string {
		return fmt.Sprintf("try again; if it fails again, the name servers of %s must answer questions for CAA, at least with no data", s.zone())
	},
	ReasonCAACritical: func(*subject) string {
		return "remove the critical CAA record that Let's Encrypt does not know"
	},
	ReasonCAAForbids: func(s *subject) string {
		return fmt.Sprintf(`add the CAA record 0 %s "%s" to the existing ones`, s.issueTag(), issuer)
	},
	ReasonCAAAccountUnknown: func(*subject) string {
		return "name the node's ACME account (-accountUri), because the CAA record names one"
	},
	ReasonAAAAMixed:    (*subject).changeAAAA,
	ReasonAAAAMismatch: (*subject).changeAAAA,
	ReasonAMixed: func(s *subject) string {
		return "keep no A record other than " + s.records()
	},
	ReasonAMismatch: func(s *subject) string {
		return "change it to " + s.records()
	},
	ReasonNoRoute: func(s *subject) string {
		return fmt.Sprintf("run the gate where IPv6 has a route to %s, or change the AAAA record to %s", s.route.outside, s.records())
	},
	ReasonForwardsSome: func(s *subject) string {
		return fmt.Sprintf("keep only addresses of %s that forward /.well-known/acme-challenge/, or change it to %s", s.name, s.records())
	},
	ReasonAnswersAlike: func(s *subject) string {
		return fmt.Sprintf("change it to %s; if the host that answers for %s is a proxy in front of the node, leave it; otherwise run the gate without -live", s.records(), s.name)
	},
	ReasonZoneElsewhere: func(s *subject) string {
		return fmt.Sprintf("let the registrar of %[1]s name Cloudflare's name servers, or list the needed names instead of the wildcard and remove its zone from provider.wildcard.zones; if Cloudflare's records do reach these servers, run the gate once with -onUnknown=keep",
			s.zone())
	},
	ReasonProxied: func(s *subject) string {
		return fmt.Sprintf("let the proxy in front of %s forward /.well-known/acme-challenge/ over plain HTTP, then run the gate with -live", s.name)
	},
}

// byClassic names the way to more names, if the profile allows fewer than another.
func (s *subject) byClassic() string {
	if mostNames(s.Profile) == MaxNames {
		return ""
	}
	return fmt.Sprintf(", or order by the profile classic, which allows %d (provider.letsEncrypt.profile is %s)", MaxNames, s.Profile)
}

// issueTag is the tag of the CAA record that has to allow the certificate.
func (s *subject) issueTag() string {
	if s.wildcard && len(readCAA(s.caa.at.Lookup.CAA).wild) > 0 {
		return "issuewild"
	}
	return "issue"
}

func (s *subject) createRecords() string { return "create " + s.records() }

func (s *subject) waitForServers() string {
	return fmt.Sprintf("wait until all name servers of %s have the same version of the zone, or repair the one that is behind", s.zone())
}

func (s *subject) changeAAAA() string {
	if len(s.node.v6) == 0 {
		return fmt.Sprintf("remove the AAAA records of %s: its node has no IPv6 address", s.name)
	}
	return "keep no AAAA record other than " + s.records()
}

// records names the records that lead to the node.
func (s *subject) records() string {
	var own []string
	if len(s.node.v4) > 0 {
		own = append(own, "A "+s.node.v4.String())
	}
	if len(s.node.v6) > 0 {
		own = append(own, "AAAA "+s.node.v6.String())
	}
	addresses := strings.Join(own, " and ")
	if s.facts.Zone == s.name {
		return fmt.Sprintf("%s for %s", addresses, s.name) // DNS allows no CNAME beside SOA and NS
	}
	return fmt.Sprintf("CNAME %s -> %s, or %s", s.name, s.Node, addresses)
}

func (s *subject) zone() string {
	if s.facts.Zone != "" {
		return s.facts.Zone
	}
	return s.name
}
