package resolver

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"

	"github.com/miekg/dns"
)

const (
	headerLen = 12
	// udpSize is the largest reply that is not fragmented on the way (DNS flag
	// day 2020).
	udpSize = 1232
)

// A question is a name and a type. A run asks a resolver each question only once.
type question struct {
	name  string
	qtype uint16
	// unchecked asks a validating resolver not to validate (CD). It serves to find
	// name servers, whose answers are checked elsewhere.
	unchecked bool
}

// A query is a question on the wire, with a random id and, for an authoritative server, a
// name in random upper and lower case (draft-vixie-dnsext-dns0x20). A resolver passes the
// spelling on, and some servers know names in lower case alone, so it gets them in lower
// case. Each server gets a query of its own.
type query struct {
	wire []byte
	end  int // end of the question section
}

// newQuery packs a question. It asks a resolver for recursion and DNSSEC, an
// authoritative server for neither. The name is in lower case if lower is set.
func newQuery(q question, recursive, edns, lower bool) (query, error) {
	var buf [headerLen + 255 + 4 + 11]byte
	var entropy [40]byte
	rand.Read(entropy[:])
	copy(buf[:2], entropy[:2])
	if recursive {
		buf[2] |= 0x01 // RD
		buf[3] |= 0x20 // AD: the reply says whether it is authentic (RFC 6840)
	}
	if q.unchecked {
		buf[3] |= 0x10 // CD
	}
	buf[5] = 1 // one question
	end, err := dns.PackDomainName(dns.Fqdn(q.name), buf[:headerLen+255], headerLen, nil, false)
	if err != nil {
		return query{}, err
	}
	if !lower {
		mixCase(buf[headerLen:end], entropy[2:])
	}
	binary.BigEndian.PutUint16(buf[end:], q.qtype)
	binary.BigEndian.PutUint16(buf[end+2:], dns.ClassINET)
	end += 4
	length := end
	if edns {
		buf[11] = 1 // one additional record: OPT (RFC 6891)
		buf[length+2] = byte(dns.TypeOPT)
		binary.BigEndian.PutUint16(buf[length+3:], udpSize)
		if recursive {
			buf[length+7] = 0x80 // DO
		}
		length += 11
	}
	return query{wire: bytes.Clone(buf[:length]), end: end}, nil
}

func (q query) id() uint16       { return binary.BigEndian.Uint16(q.wire) }
func (q query) setID(id uint16)  { binary.BigEndian.PutUint16(q.wire, id) }
func (q query) question() []byte { return q.wire[headerLen:q.end] }

// mixCase changes the case of each letter of a name with a chance of one half.
func mixCase(name, entropy []byte) {
	bit := 0
	for i := 0; i < len(name); {
		n := int(name[i])
		for j := i + 1; j <= i+n && j < len(name); j++ {
			if c := name[j] | 0x20; 'a' <= c && c <= 'z' {
				name[j] ^= entropy[bit/8%len(entropy)] >> (bit % 8) & 1 << 5
				bit++
			}
		}
		i += n + 1
	}
}

// A match is how well a reply fits a query.
type match int

const (
	matchNone  match = iota // a reply to another question, or not a reply
	matchCase               // the question in other upper and lower case: forged, or the server does not keep it
	matchBare               // an error without the question, as old servers send
	matchExact              // the same bytes of the question
)

func (q query) match(reply []byte) match {
	if len(reply) < headerLen || reply[2]&0x80 == 0 || reply[0] != q.wire[0] || reply[1] != q.wire[1] {
		return matchNone
	}
	switch binary.BigEndian.Uint16(reply[4:]) {
	case 0:
		if rcode := int(reply[3] & 0xf); rcode != dns.RcodeSuccess && rcode != dns.RcodeNameError {
			return matchBare
		}
		return matchNone
	case 1:
	default:
		return matchNone
	}
	if len(reply) < q.end {
		return matchNone
	}
	echoed, name := reply[headerLen:q.end], q.end-4-headerLen
	switch {
	case bytes.Equal(echoed, q.question()):
		return matchExact
	case bytes.Equal(echoed[name:], q.question()[name:]) && bytes.EqualFold(echoed[:name], q.question()[:name]):
		return matchCase
	}
	return matchNone
}

func truncated(reply []byte) bool { return reply[2]&0x02 != 0 }

// unpack parses a reply. The library accepts a reply with fewer records than its
// header counts; unpack does not, because a missing record could be the one that
// decides.
func unpack(reply []byte) (*dns.Msg, error) {
	msg := new(dns.Msg)
	if err := msg.Unpack(reply); err != nil {
		return nil, errMismatch
	}
	for i, got := range []int{len(msg.Question), len(msg.Answer), len(msg.Ns), len(msg.Extra)} {
		if int(binary.BigEndian.Uint16(reply[4+2*i:])) != got {
			return nil, errMismatch
		}
	}
	return msg, nil
}
