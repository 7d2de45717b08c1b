package dnsgate

import (
	"fmt"
	"strings"
)

// fix returns the one sentence that an operator passes on: what to change, and
// to what.
func (t *trial) fix(reason Reason) string {
	switch reason {
	case ReasonWildcard:
		return fmt.Sprintf("list the names that are needed in place of %s, or switch enableLetsEncrypt off for it", t.name)
	case ReasonNameInvalid:
		return fmt.Sprintf("rename %s to a name that can be in a certificate, or switch enableLetsEncrypt off for it", t.name)
	case ReasonNodeUnresolved:
		return fmt.Sprintf("publish an A or AAAA record for %s, the node's own name, and see that the zone's servers answer", t.Node)
	case ReasonDNSSECBogus:
		return fmt.Sprintf("sign the zone of %s anew, or remove its DS record at the registrar", t.name)
	case ReasonNXDomain, ReasonNoAddress, ReasonOnlyReserved:
		return "create " + t.records()
	case ReasonLookupFailed:
		return fmt.Sprintf("try again; if it stays so, let whoever runs the name servers of %s mend them", t.zone())
	case ReasonInconsistent, ReasonInPart:
		return fmt.Sprintf("wait until all name servers of %s have the same version of the zone, or mend the one that is behind", t.zone())
	case ReasonContradiction:
		return fmt.Sprintf("let whoever runs the name servers of %s mend the one that denies for one type what it has for another", t.zone())
	case ReasonCAALookupFailed:
		return fmt.Sprintf("try again; if it stays so, the name servers of %s must answer questions for CAA, at least with no data", t.zone())
	case ReasonCAACritical:
		return "remove the critical CAA record that Let's Encrypt does not know"
	case ReasonCAAForbids:
		return fmt.Sprintf(`add the CAA record 0 issue "%s" beside those that are there`, issuer)
	case ReasonCAAAccountUnknown:
		return "name the node's ACME account (-accountUri), for the CAA record names one"
	case ReasonAAAAMixed, ReasonAAAAMismatch:
		if len(t.node.v6) == 0 {
			return fmt.Sprintf("remove the AAAA records of %s: its node has no IPv6 address", t.name)
		}
		return "leave no other AAAA record than " + t.records()
	case ReasonAMixed:
		return "leave no other A record than " + t.records()
	case ReasonForwardsSome:
		return fmt.Sprintf("leave one address of %s that forwards /.well-known/acme-challenge/, or change it to %s", t.name, t.records())
	case ReasonAnswersAlike:
		return fmt.Sprintf("change it to %s; or, if what answers for %s is a proxy before the node, leave it, and if not, run the gate without -live", t.records(), t.name)
	case ReasonProxied:
		return fmt.Sprintf("let the proxy in front of %s pass /.well-known/acme-challenge/ on over plain HTTP, then run the gate with -live", t.name)
	default:
		return "change it to " + t.records()
	}
}

// records names what leads to the node.
func (t *trial) records() string {
	var own []string
	if len(t.node.v4) > 0 {
		own = append(own, "A "+t.node.v4.String())
	}
	if len(t.node.v6) > 0 {
		own = append(own, "AAAA "+t.node.v6.String())
	}
	addresses := strings.Join(own, " and ")
	if t.facts.Zone == t.name {
		return fmt.Sprintf("%s for %s", addresses, t.name) // beside SOA and NS no CNAME may stand
	}
	return fmt.Sprintf("CNAME %s -> %s, or %s", t.name, t.Node, addresses)
}

func (t *trial) zone() string {
	if t.facts != nil && t.facts.Zone != "" {
		return t.facts.Zone
	}
	return t.name
}
