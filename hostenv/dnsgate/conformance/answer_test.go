package conformance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// answer returns the reply of a server, nil for silence.
func (f *Fleet) answer(label, asker string, query *dns.Msg, tcp bool) *dns.Msg {
	question := query.Question[0]
	name := strings.ToLower(question.Name)
	reply := new(dns.Msg)
	reply.SetReply(query)
	reply.RecursionAvailable = false
	if opt := query.IsEdns0(); opt != nil {
		reply.SetEdns0(1232, opt.Do())
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	zone := f.find(label, name, question.Qtype == dns.TypeDS)
	if zone == nil {
		reply.Rcode = dns.RcodeRefused
		return reply
	}
	kind := zone.fault(label, asker, name, question.Qtype)
	if plain, ok := toMixedCase[kind]; ok {
		kind = ""
		if question.Name != name {
			kind = plain
		}
	}
	if kind == FaultSlow {
		f.mu.RUnlock()
		time.Sleep(700 * time.Millisecond)
		f.mu.RLock()
	}
	switch spoiled, whole := spoil(kind, reply, zone, tcp); {
	case spoiled == nil:
		return nil
	case whole:
		return spoiled
	}
	if kind == FaultLowerCase {
		reply.Question[0].Name = name
	}
	f.fill(reply, zone, zone.sets[label], name, question.Qtype, 0)
	if kind == FaultGoneThere {
		reply.Rcode = dns.RcodeNameError
	}
	if kind == FaultNoAA {
		reply.Authoritative = false
	}
	return reply
}

// spoiledCodes holds the faults that answer only with an error code.
var spoiledCodes = map[FaultKind]int{
	FaultServFail: dns.RcodeServerFailure,
	FaultRefused:  dns.RcodeRefused,
	FaultNotImp:   dns.RcodeNotImplemented,
	FaultFormErr:  dns.RcodeFormatError,
}

// toMixedCase holds the faults of servers that know names in lower case alone.
var toMixedCase = map[FaultKind]FaultKind{FaultMixedGone: FaultNXDomain, FaultMixedRefused: FaultRefused, FaultMixedSilent: FaultDrop}

// spoil makes the whole reply of faults that do not use the zone's records: nil
// for silence. It does not change the reply of other faults.
func spoil(kind FaultKind, reply *dns.Msg, zone *zone, tcp bool) (spoiled *dns.Msg, whole bool) {
	if code, ok := spoiledCodes[kind]; ok {
		reply.Rcode = code
		return reply, true
	}
	switch kind {
	case FaultNXDomain:
		reply.Authoritative, reply.Rcode, reply.Ns = true, dns.RcodeNameError, []dns.RR{soa(zone.origin)}
	case FaultSelf:
		for _, label := range zone.delegate {
			reply.Ns = append(reply.Ns, zone.ns(label))
		}
	case FaultEmpty:
		reply.Authoritative, reply.Ns = true, []dns.RR{soa(zone.origin)}
	case FaultGarbage:
		reply.Question, reply.Response = nil, false
	case FaultUpward:
		reply.Ns = []dns.RR{nsRecord(".", "root")}
	case FaultTruncate, FaultTCPDead:
		switch {
		case tcp && kind == FaultTCPDead:
			return nil, true
		case tcp:
			return reply, false
		}
		reply.Authoritative, reply.Truncated = true, true
	case FaultNoEDNS:
		if reply.IsEdns0() == nil {
			return reply, false
		}
		reply.Rcode, reply.Extra = dns.RcodeFormatError, nil
	case FaultDrop:
		return nil, true
	default:
		return reply, false
	}
	return reply, true
}

// find returns the lowest zone above the name that the server has.
func (f *Fleet) find(label, name string, above bool) *zone {
	for at := name; ; at = parent(at) {
		if zone := f.zones[at]; zone != nil && (!above || at != name || at == ".") {
			if _, ok := zone.sets[label]; ok {
				return zone
			}
		}
		if at == "." {
			break
		}
	}
	if above { // the server has no zone above: it is asked for its own apex
		return f.find(label, name, false)
	}
	return nil
}

func (z *zone) fault(label, asker, name string, qtype uint16) FaultKind {
	for _, fault := range z.faults {
		if fault.Server != "" && fault.Server != label || fault.Type != "" && dns.StringToType[fault.Type] != qtype {
			continue
		}
		if fault.Name != "" && absolute(fault.Name, z.origin) != name {
			continue
		}
		if fault.Times > 0 {
			key := fmt.Sprint(label, asker, name, qtype, fault.Kind)
			z.mu.Lock()
			z.fired[key]++
			n := z.fired[key]
			z.mu.Unlock()
			if n > fault.Times {
				continue
			}
		}
		return fault.Kind
	}
	return ""
}

func absolute(name, origin string) string {
	switch {
	case name == "@":
		return origin
	case strings.HasSuffix(name, "."):
		return strings.ToLower(name)
	default:
		return strings.ToLower(name) + "." + origin
	}
}

// fill answers from a zone's records as RFC 1034 4.3.2 says, following CNAMEs
// within the zone.
func (f *Fleet) fill(reply *dns.Msg, zone *zone, set records, name string, qtype uint16, depth int) {
	if child := f.cut(zone, name, qtype); child != nil {
		referral(reply, child)
		return
	}
	reply.Authoritative = true
	owner, dname := set.owner(zone.origin, name)
	if dname != nil {
		f.follow(reply, zone, set, name, dname, qtype, depth)
		return
	}
	if owner == "" {
		if depth == 0 || len(reply.Answer) > 0 {
			reply.Rcode = dns.RcodeNameError
		}
		reply.Ns = append(reply.Ns, soa(zone.origin))
		return
	}
	sets := set[owner]
	if rrs := sets[qtype]; len(rrs) > 0 {
		reply.Answer = append(reply.Answer, named(rrs, owner, name)...)
		if qtype != dns.TypeNS { // so that resolvers learn what the zone itself says of its servers
			reply.Ns = append(reply.Ns, set[zone.origin][dns.TypeNS]...)
		}
		return
	}
	if cname := sets[dns.TypeCNAME]; len(cname) > 0 && qtype != dns.TypeDS {
		reply.Answer = append(reply.Answer, named(cname[:1], owner, name)...)
		target := strings.ToLower(cname[0].(*dns.CNAME).Target)
		if depth < 20 && dns.IsSubDomain(zone.origin, target) && !seen(reply.Answer, target) && f.cut(zone, target, 0) == nil {
			f.fill(reply, zone, set, target, qtype, depth+1)
		}
		return
	}
	reply.Ns = append(reply.Ns, soa(zone.origin))
}

// cut returns the highest zone between a zone and a name, nil if there is none.
// The DS records of a name stand above the cut.
func (f *Fleet) cut(zone *zone, name string, qtype uint16) (child *zone) {
	for at := name; at != zone.origin && at != "."; at = parent(at) {
		if z := f.zones[at]; z != nil && (at != name || qtype != dns.TypeDS) {
			child = z
		}
	}
	return child
}

// owner returns the name that answers for a name: itself, or the wildcard that
// covers it, "" for none; or the DNAME above it.
func (set records) owner(origin, name string) (string, *dns.DNAME) {
	if _, found := set[name]; found {
		return name, nil
	}
	for at := parent(name); ; at = parent(at) {
		if _, found := set["*."+at]; found {
			return "*." + at, nil
		}
		if dname := set[at][dns.TypeDNAME]; len(dname) > 0 {
			return "", dname[0].(*dns.DNAME)
		}
		if _, there := set[at]; there || at == origin || at == "." {
			return "", nil
		}
	}
}

// named returns records of an owner under the name that was asked for.
func named(rrs []dns.RR, owner, name string) []dns.RR {
	if owner == name {
		return rrs
	}
	out := make([]dns.RR, len(rrs))
	for i, rr := range rrs {
		out[i] = dns.Copy(rr)
		out[i].Header().Name = name
	}
	return out
}

func (f *Fleet) follow(reply *dns.Msg, zone *zone, set records, name string, dname *dns.DNAME, qtype uint16, depth int) {
	target := strings.TrimSuffix(name, strings.ToLower(dname.Hdr.Name)) + dname.Target
	reply.Answer = append(reply.Answer, dname, &dns.CNAME{
		Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET}, Target: target,
	})
	if depth < 20 && dns.IsSubDomain(zone.origin, target) && f.cut(zone, target, 0) == nil {
		f.fill(reply, zone, set, strings.ToLower(target), qtype, depth+1)
	}
}

func seen(answer []dns.RR, name string) bool {
	return slices.ContainsFunc(answer, func(rr dns.RR) bool { return strings.EqualFold(rr.Header().Name, name) })
}

func nsRecord(owner, label string) *dns.NS {
	return &dns.NS{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 3600}, Ns: serverName(label)}
}

// ns returns the NS record of a server of the zone.
func (z *zone) ns(label string) *dns.NS {
	rr := nsRecord(z.origin, label)
	if z.glue != nil {
		rr.Ns = label + "." + z.origin
		rr.Hdr.Ttl = 0
	}
	return rr
}

// address returns the record of a server whose name is in the zone, with the address of
// the server at.
func (z *zone) address(label, at string) *dns.A {
	return &dns.A{Hdr: dns.RR_Header{Name: label + "." + z.origin, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: Servers[at].AsSlice()}
}

// referral sends the client to the servers of a zone below.
func referral(reply *dns.Msg, child *zone) {
	reply.Ns, reply.Answer = nil, reply.Answer[:0]
	extra := reply.Extra[:0]
	for _, rr := range reply.Extra {
		if rr.Header().Rrtype == dns.TypeOPT {
			extra = append(extra, rr)
		}
	}
	reply.Extra = extra
	for _, label := range child.delegate {
		reply.Ns = append(reply.Ns, child.ns(label))
		if child.glue != nil {
			at := child.glue[label]
			if at == "" {
				at = label
			}
			reply.Extra = append(reply.Extra, child.address(label, at))
		} else if addr, ok := Servers[label]; ok {
			reply.Extra = append(reply.Extra, &dns.A{Hdr: dns.RR_Header{Name: serverName(label), Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 3600}, A: addr.AsSlice()})
		}
	}
}
