package resolver

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// maxChain is the number of CNAMEs of one reply that are followed. Resolvers give
// up earlier (unbound after 11).
const maxChain = 32

// An answer is the result of one question: the fact, and the records that help to
// find zones.
type answer struct {
	dnsgate.Lookup

	// zone is the zone that holds the end of the chain: the owner of the SOA record
	// of a negative reply, or the signer of a signed one.
	zone string
	// referral is set in a reply of a server that is not authoritative. It and texts are
	// pointers because few of many answers have them.
	referral *referral
	// texts are those of TXT records, each with its strings joined.
	texts *[]string
}

// A referral is what a server says about the servers of a zone below its own.
type referral struct {
	zone    string
	servers []string
	glue    map[string][]netip.Addr // the addresses that came with it, by the name of the server
}

// to reports whether a referral is to a zone.
func (r *referral) to(zone string) bool { return r != nil && r.zone == zone }

func failed(why dnsgate.LookupError) *answer {
	return &answer{Lookup: dnsgate.Lookup{Outcome: dnsgate.OutcomeError, Error: why}}
}

var rcodeErrors = map[int]dnsgate.LookupError{
	dns.RcodeServerFailure:  dnsgate.ErrorServFail,
	dns.RcodeRefused:        dnsgate.ErrorRefused,
	dns.RcodeNotImplemented: dnsgate.ErrorNotImp,
	dns.RcodeNotAuth:        dnsgate.ErrorLame,
}

// read turns a reply into an answer. A reply of an authoritative server must have
// the authority bit; without it the server is lame.
func read(msg *dns.Msg, name string, qtype uint16, authoritative bool) *answer {
	a := &answer{}
	a.EDE = extendedErrors(msg)
	if msg.Rcode != dns.RcodeSuccess && msg.Rcode != dns.RcodeNameError {
		return a.fail(cmp.Or(rcodeErrors[msg.Rcode], dnsgate.ErrorMalformed))
	}
	if authoritative && !msg.Authoritative {
		if len(msg.Answer) > 0 {
			return a.fail(dnsgate.ErrorLame) // the servers that come with an answer are no referral
		}
		for _, rr := range msg.Ns {
			if ns, ok := rr.(*dns.NS); ok {
				if a.referral == nil {
					a.referral = &referral{}
				}
				a.referral.zone = canonical(ns.Hdr.Name)
				a.referral.servers = append(a.referral.servers, canonical(ns.Ns))
			}
		}
		if a.referral != nil {
			a.referral.glue = glueIn(msg.Extra, a.referral.servers)
		}
		return a.fail(dnsgate.ErrorLame)
	}
	end, why := a.follow(msg.Answer, name)
	if why != "" {
		return a.fail(why)
	}
	found := a.take(msg.Answer, end, qtype)
	for _, rr := range msg.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			a.zone = canonical(soa.Hdr.Name)
		}
	}
	switch {
	case msg.Rcode == dns.RcodeNameError:
		// The code decides, not the records that a server sends with it. Let's Encrypt
		// reads those of CAA nevertheless.
		a.Outcome, a.Addresses, a.Targets, a.texts = dnsgate.OutcomeNXDomain, nil, nil, nil
	case found:
		a.Outcome = dnsgate.OutcomeAnswer
	default:
		a.Outcome = dnsgate.OutcomeNoData
	}
	return a
}

// glueIn returns the addresses of servers in the additional records of a referral.
func glueIn(records []dns.RR, servers []string) map[string][]netip.Addr {
	glue := map[string][]netip.Addr{}
	for _, rr := range records {
		name := canonical(rr.Header().Name)
		if !slices.Contains(servers, name) {
			continue
		}
		var text string
		switch rr := rr.(type) {
		case *dns.A:
			text = rr.A.String()
		case *dns.AAAA:
			text = addressText(rr.AAAA)
		}
		if addr, err := netip.ParseAddr(text); err == nil {
			glue[name] = append(glue[name], addr)
		}
	}
	return glue
}

func (a *answer) fail(why dnsgate.LookupError) *answer {
	a.Outcome, a.Error = dnsgate.OutcomeError, why
	return a
}

// follow walks the CNAMEs of a reply, beginning at name, and adds them to a.Chain. It
// returns the name at the end.
func (a *answer) follow(records []dns.RR, name string) (string, dnsgate.LookupError) {
	for at := name; ; {
		i := slices.IndexFunc(records, func(rr dns.RR) bool {
			return rr.Header().Rrtype == dns.TypeCNAME && sameName(rr.Header().Name, at)
		})
		if i < 0 {
			return at, ""
		}
		at = canonical(records[i].(*dns.CNAME).Target)
		if at == name || slices.Contains(a.Chain, at) {
			return at, dnsgate.ErrorLoop
		}
		if len(a.Chain) == maxChain {
			return at, dnsgate.ErrorChain
		}
		a.Chain = append(a.Chain, at)
	}
}

// take copies the records of the type at the end of the chain.
func (a *answer) take(records []dns.RR, end string, qtype uint16) (found bool) {
	for _, rr := range records {
		if !sameName(rr.Header().Name, end) {
			continue
		}
		if sig, ok := rr.(*dns.RRSIG); ok && sig.TypeCovered == qtype {
			a.zone = canonical(sig.SignerName)
		}
		if rr.Header().Rrtype != qtype {
			continue
		}
		switch rr := rr.(type) {
		case *dns.A:
			a.Addresses = append(a.Addresses, rr.A.String())
		case *dns.AAAA:
			a.Addresses = append(a.Addresses, addressText(rr.AAAA))
		case *dns.NS:
			a.Targets = append(a.Targets, canonical(rr.Ns))
		case *dns.TXT:
			if a.texts == nil {
				a.texts = new([]string)
			}
			*a.texts = append(*a.texts, strings.Join(rr.Txt, ""))
		case *dns.CAA:
			a.CAA = append(a.CAA, dnsgate.CAARecord{Flag: rr.Flag, Tag: recordable(unescape(rr.Tag)), Value: recordable(rr.Value)})
		default:
			continue
		}
		found = true
	}
	// Servers rotate their records. Sorted, the same records make the same facts.
	slices.Sort(a.Addresses)
	slices.Sort(a.Targets)
	a.Addresses = slices.Compact(a.Addresses)
	a.Targets = slices.Compact(a.Targets)
	slices.SortFunc(a.CAA, func(x, y dnsgate.CAARecord) int {
		return cmp.Or(strings.Compare(x.Tag, y.Tag), strings.Compare(x.Value, y.Value), int(x.Flag)-int(y.Flag))
	})
	return found
}

func extendedErrors(msg *dns.Msg) []int {
	opt := msg.IsEdns0()
	if opt == nil {
		return nil
	}
	var codes []int
	for _, option := range opt.Option {
		if ede, ok := option.(*dns.EDNS0_EDE); ok {
			codes = append(codes, int(ede.InfoCode))
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}
