package resolver

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// receive handles a reply that arrives at a socket.
func (x *exchange) receive(sock *socket, from netip.AddrPort, reply []byte) {
	x.mu.Lock()
	f, how := sock.match(from, reply)
	if how == matchNone || how == matchCase {
		if how == matchCase {
			f.caseLost = true
		}
		x.stats.Ignored++
		x.mu.Unlock()
		return
	}
	s := f.server()
	s.answered, s.exhausted = true, 0
	if !f.sent.IsZero() {
		s.rtt.add(time.Since(f.sent))
	}
	if f.overTCP {
		x.mu.Unlock()
		return
	}
	if truncated(reply) {
		f.cut = true
		x.overTCP(f)
		return
	}
	x.mu.Unlock()

	msg, err := unpack(reply)
	if err != nil {
		x.mu.Lock()
		x.fail(f, failed(dnsgate.ErrorMalformed))
		return
	}
	x.settle(f, msg)
}

// match returns the flight that a reply answers, and how well it does so.
func (s *socket) match(from netip.AddrPort, reply []byte) (*flight, match) {
	if len(reply) < headerLen {
		return nil, matchNone
	}
	f := s.flights[binary.BigEndian.Uint16(reply)]
	if f == nil || f.server().addr != from {
		return nil, matchNone
	}
	return f, f.query.match(reply)
}

// settle ends a flight with its own reply, or tries once more.
func (x *exchange) settle(f *flight, msg *dns.Msg) {
	noOPT := msg.Rcode == dns.RcodeFormatError && msg.IsEdns0() == nil
	a := read(msg, f.q.name, f.q.qtype, !f.recursive)
	x.mu.Lock()
	switch {
	case f.finished:
		x.mu.Unlock()
	case noOPT && !f.noEDNS: // a server from before EDNS (RFC 6891 section 7)
		f.noEDNS = true
		f.try++
		x.stats.Retries++
		x.again(f)
	case !f.recursive && !f.lower && (a.Outcome == dnsgate.OutcomeNXDomain || a.Error == dnsgate.ErrorRefused):
		// Some servers know the name in lower case alone, as resolvers ask for it.
		f.lower = true
		f.try++
		x.stats.Retries++
		x.again(f)
	case a.Failed() && a.Error != dnsgate.ErrorLoop && a.Error != dnsgate.ErrorChain:
		x.fail(f, a)
	default:
		x.land(f, a)
	}
}
