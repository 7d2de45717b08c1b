package resolver

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

func TestQueryOnTheWire(t *testing.T) {
	for _, recursive := range []bool{false, true} {
		q, err := newQuery(question{name: "www.shop.test", qtype: dns.TypeCAA, unchecked: recursive}, recursive, true, false)
		if err != nil {
			t.Fatal(err)
		}
		var msg dns.Msg
		if err := msg.Unpack(q.wire); err != nil {
			t.Fatal(err)
		}
		opt := msg.IsEdns0()
		if msg.RecursionDesired != recursive || msg.AuthenticatedData != recursive || msg.CheckingDisabled != recursive ||
			opt == nil || opt.Do() != recursive || opt.UDPSize() != 1232 {
			t.Errorf("recursive %v: %v", recursive, &msg)
		}
		if asked := msg.Question[0]; !strings.EqualFold(asked.Name, "www.shop.test.") || asked.Qtype != dns.TypeCAA || asked.Qclass != dns.ClassINET {
			t.Errorf("question %v", asked)
		}
	}
}

// Ids and the case of letters differ from query to query, for every letter.
func TestQueriesCannotBeGuessed(t *testing.T) {
	ids, spellings := map[uint16]bool{}, map[string]bool{}
	upper := make([]int, 64)
	const n = 400
	for range n {
		q, err := newQuery(question{name: "abcdefghij.klmnopqrst.uvwxyz", qtype: dns.TypeA}, true, true, false)
		if err != nil {
			t.Fatal(err)
		}
		ids[q.id()] = true
		spellings[string(q.question())] = true
		for i, c := range q.question() {
			if 'A' <= c && c <= 'Z' {
				upper[i]++
			}
		}
	}
	if len(ids) < n*9/10 || len(spellings) != n {
		t.Errorf("%d ids and %d spellings of %d", len(ids), len(spellings), n)
	}
	for i := range len("abcdefghij.klmnopqrst.uvwxyz") {
		if letter := i != 10 && i != 21; letter && (upper[i+1] < n/4 || upper[i+1] > n*3/4) {
			t.Errorf("letter %d was upper case %d times of %d", i, upper[i+1], n)
		}
	}
}

func TestMatch(t *testing.T) {
	q, err := newQuery(question{name: "www.shop.test", qtype: dns.TypeA}, true, true, false)
	if err != nil {
		t.Fatal(err)
	}
	reply := func(change func(b []byte) []byte) []byte {
		b := bytes.Clone(q.wire)
		b[2] |= 0x80
		if change != nil {
			b = change(b)
		}
		return b
	}
	for _, test := range []struct {
		reason string
		reply  []byte
		want   match
	}{
		{"the question itself is no reply", q.wire, matchNone},
		{"echoed bit by bit", reply(nil), matchExact},
		{"one letter differs in case", reply(func(b []byte) []byte { b[14] ^= 0x20; return b }), matchCase},
		{"another letter", reply(func(b []byte) []byte { b[14] = 'q'; return b }), matchNone},
		{"another id", reply(func(b []byte) []byte { b[1]++; return b }), matchNone},
		{"another type", reply(func(b []byte) []byte { b[q.end-3] = 28; return b }), matchNone},
		{"another class", reply(func(b []byte) []byte { b[q.end-1] = 3; return b }), matchNone},
		{"cut off", reply(func(b []byte) []byte { return b[:q.end-1] }), matchNone},
		{"no header", []byte{1, 2, 3}, matchNone},
		{"an error without the question", reply(func(b []byte) []byte { b[5], b[3] = 0, b[3]|dns.RcodeNotImplemented; return b[:12] }), matchBare},
		{"an answer without the question", reply(func(b []byte) []byte { b[5] = 0; return b }), matchNone},
		{"two questions", reply(func(b []byte) []byte { b[5] = 2; return b }), matchNone},
	} {
		if got := q.match(test.reply); got != test.want {
			t.Errorf("%s: %d, want %d", test.reason, got, test.want)
		}
	}
}

// For any input, only a reply with the same question is read, and its outcome fits
// its records.
func FuzzReply(f *testing.F) {
	q, err := newQuery(question{name: "www.shop.test", qtype: dns.TypeA}, false, true, false)
	if err != nil {
		f.Fatal(err)
	}
	q.setID(7)
	copy(q.wire[headerLen:], "\x03WwW\x04shOp\x04TeSt\x00")
	answered := new(dns.Msg)
	if err := answered.Unpack(q.wire); err != nil {
		f.Fatal(err)
	}
	answered.Response, answered.Authoritative = true, true
	f.Add(must(answered.Pack()))
	for _, text := range []string{"WwW.shOp.TeSt. CNAME a.shop.test.", "a.shop.test. A 192.0.2.1", "a.shop.test. CNAME www.shop.test."} {
		answered.Answer = append(answered.Answer, must(dns.NewRR(text)))
		f.Add(must(answered.Pack()))
	}
	f.Fuzz(func(t *testing.T, reply []byte) {
		how := q.match(reply)
		if how == matchExact && (binary.BigEndian.Uint16(reply) != 7 || !bytes.Equal(reply[headerLen:q.end], q.question())) {
			t.Fatal("a reply to another question matches")
		}
		if len(reply) < headerLen {
			return
		}
		msg, err := unpack(reply)
		if err != nil {
			return
		}
		a := read(msg, "www.shop.test", dns.TypeA, true)
		switch a.Outcome {
		case dnsgate.OutcomeAnswer:
			if len(a.Addresses) == 0 || a.Error != "" || !msg.Authoritative {
				t.Fatalf("answer: %s", show(a.Lookup))
			}
		case dnsgate.OutcomeNoData, dnsgate.OutcomeNXDomain:
			if len(a.Addresses) > 0 || a.Error != "" || !msg.Authoritative {
				t.Fatalf("no answer: %s", show(a.Lookup))
			}
		case dnsgate.OutcomeError:
			if a.Error == "" || len(a.Addresses) > 0 {
				t.Fatalf("error: %s", show(a.Lookup))
			}
		default:
			t.Fatalf("no outcome: %s", show(a.Lookup))
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestRoundTrip(t *testing.T) {
	var r roundTrip
	if r.timeout() < time.Minute {
		t.Error("trusted without a sample")
	}
	for range 20 {
		r.add(50 * time.Millisecond)
	}
	if got := r.timeout(); got != 100*time.Millisecond {
		t.Errorf("steady 50 ms: %v", got)
	}
	for i := range 40 {
		r.add(time.Duration(i%2) * 400 * time.Millisecond)
	}
	if got := r.timeout(); got < 700*time.Millisecond || got%rttStep != 0 {
		t.Errorf("0 and 400 ms in turn: %v", got)
	}
}

func TestResolverAddresses(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte("search x.test\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ config, want string }{
		{"", "192.0.2.53:53,[2001:db8::53]:53"},
		{"127.0.0.1", "127.0.0.1:53"},
		{"127.0.0.1:5300, ::1,[::1]:5301,[::1]", "127.0.0.1:5300,[::1]:53,[::1]:5301,[::1]:53"},
	} {
		got, err := Config{Resolver: test.config, ResolvConf: conf}.withDefaults().resolvers()
		if err != nil || joinAddrs(got) != test.want {
			t.Errorf("%q: %s, %v", test.config, joinAddrs(got), err)
		}
	}
}

func TestDialAddrMapsServers(t *testing.T) {
	config := Config{Port: 53, Private: loopback, DialAddr: func(addr string) string { return strings.Replace(addr, "192.0.2.", "127.0.9.", 1) + "53" }}
	got, err := config.mapped(netip.MustParseAddr("192.0.2.7"), 53)
	if err != nil || got.String() != "127.0.9.7:5353" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestNames(t *testing.T) {
	if got := labels("a.b.test"); !slices.Equal(got, []string{"a.b.test", "b.test", "test"}) {
		t.Error(got)
	}
	for _, test := range []struct {
		name, zone string
		want       bool
	}{{"a.test", "test", true}, {"test", "test", true}, {"atest", "test", false}, {"test", "a.test", false}, {"x", "", true}} {
		if within(test.name, test.zone) != test.want {
			t.Errorf("%+v", test)
		}
	}
	if got := unescape(`a\"b\\c\009d\`); got != "a\"b\\c\td\\" {
		t.Errorf("%q", got)
	}
}
