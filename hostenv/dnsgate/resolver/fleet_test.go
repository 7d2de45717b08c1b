package resolver

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A fault is how a server answers the questions for a name and type wrongly.
type fault int

const (
	fine      fault = iota
	silent          // no reply
	dropFirst       // no reply to the first question for each name and type
	servfail
	refused
	notimp
	truncate    // over UDP; correct over TCP
	tcpSilent   // truncated over UDP; no answer over TCP
	wrongCase   // over UDP
	flipCase    // the name in lower case, as from a server that does not keep its case; correct over TCP
	wrongID     // over UDP
	wrongName   // over UDP: the reply is to another question
	noAuthority // and the zone's servers beside an answer
	garbage
	formErrOPT     // a server from before EDNS
	selfReferral   // no data as a referral to the zone itself
	mixedGone      // NXDOMAIN to a name in upper and lower case
	mixedRefused   // REFUSED to it
	mixedSilent    // no reply to it
	goneWithAnswer // the records, with NXDOMAIN
	bogus          // SERVFAIL with the extended error "DNSSEC bogus"
)

// A fleet is a small Internet on loopback: the servers of a root, a top-level
// domain and zones, each at its own address, and a resolver. All have the same port,
// except the servers at IPv6 addresses: loopback has only one, so each of them has
// its own port.
type fleet struct {
	t       testing.TB
	port    int
	mu      sync.Mutex
	servers map[string]*fakeServer // by address
}

// A fakeServer is authoritative for zones, or is the resolver for all zones of the
// fleet.
type fakeServer struct {
	fleet     *fleet
	address   string
	at        string // address that it listens on
	recursive bool
	zones     map[string][]dns.RR       // by origin, canonical
	faults    map[string]fault          // by "name TYPE", "name" or ""
	asked     map[string]int            // by "name TYPE", over UDP and TCP
	seen      map[string]map[string]int // the same, by the upper and lower case of the name
	overTCP   int
}

const resolverAddress = "127.0.1.1"

// newFleet starts the servers of the top-level domain "test" and its resolver.
func newFleet(t testing.TB) *fleet {
	t.Helper()
	f := &fleet{t: t, servers: map[string]*fakeServer{}}
	f.server(resolverAddress).recursive = true
	f.zone("", "127.0.1.2")
	f.zone("test", "127.0.1.3")
	return f
}

// zone adds a zone with records as in a zone file, relative to its name. The servers
// are its name servers ns1.nic.test and so on.
func (f *fleet) zone(origin string, addresses ...string) *fleet {
	f.t.Helper()
	var records []string
	for _, address := range addresses {
		ns := nameServerName(address)
		records = append(records, fmt.Sprintf("@ NS %s.", ns))
	}
	for _, address := range addresses {
		f.records(address, origin, records...)
	}
	if f.servers["127.0.1.3"] != nil {
		for _, address := range addresses {
			kind := "A"
			if isIPv6(address) {
				kind = "AAAA"
			}
			f.records("127.0.1.3", "test", fmt.Sprintf("%s. %s %s", nameServerName(address), kind, address))
		}
	}
	return f
}

func nameServerName(address string) string {
	return "ns-" + strings.NewReplacer(".", "-", ":", "-").Replace(address) + ".nic.test"
}

func isIPv6(address string) bool { return strings.Contains(address, ":") }

// everywhere adds records to a zone at all servers that have it.
func (f *fleet) everywhere(origin string, records ...string) *fleet {
	f.t.Helper()
	for address, s := range f.servers {
		if _, ok := s.zones[origin]; ok {
			f.records(address, origin, records...)
		}
	}
	return f
}

func (f *fleet) records(address, origin string, records ...string) {
	f.t.Helper()
	s := f.server(address)
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.zones[origin] == nil {
		s.zones[origin] = []dns.RR{parseRR(f.t, origin, "@ SOA ns.nic.test. hostmaster.nic.test. 1 3600 600 86400 60")}
	}
	for _, text := range records {
		s.zones[origin] = append(s.zones[origin], parseRR(f.t, origin, text))
	}
}

func parseRR(t testing.TB, origin, text string) dns.RR {
	t.Helper()
	parser := dns.NewZoneParser(strings.NewReader("$TTL 60\n"+text+"\n"), dns.Fqdn(origin), "")
	rr, ok := parser.Next()
	if !ok {
		t.Fatalf("record %q: %v", text, parser.Err())
	}
	return rr
}

func (f *fleet) fault(address, what string, fault fault) {
	s := f.server(address)
	f.mu.Lock()
	defer f.mu.Unlock()
	s.faults[what] = fault
}

// server returns the server at an address, and starts a new one if there is none.
func (f *fleet) server(address string) *fakeServer {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.servers[address]; s != nil {
		return s
	}
	s := &fakeServer{fleet: f, address: address, zones: map[string][]dns.RR{}, faults: map[string]fault{},
		asked: map[string]int{}, seen: map[string]map[string]int{}}
	f.servers[address] = s
	packet, listener := f.listen(address)
	s.at = listener.Addr().String()
	var wg sync.WaitGroup
	f.t.Cleanup(wg.Wait)
	for _, server := range []*dns.Server{{PacketConn: packet}, {Listener: listener}} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		server.Handler = s
		wg.Go(func() { _ = server.ActivateAndServe() })
		<-started
		f.t.Cleanup(func() { _ = server.Shutdown() })
	}
	return s
}

func (f *fleet) listen(address string) (net.PacketConn, net.Listener) {
	family, port := "4", f.port
	if isIPv6(address) {
		testenv.Need(f.t, "ipv6")
		family, port, address = "6", 0, "::1"
	}
	for range 50 {
		packet, err := net.ListenPacket("udp"+family, net.JoinHostPort(address, strconv.Itoa(port)))
		if err != nil {
			f.t.Fatalf("listen on loopback: %v", err)
		}
		listener, err := net.Listen("tcp"+family, packet.LocalAddr().String())
		if err == nil {
			if family == "4" {
				f.port = packet.LocalAddr().(*net.UDPAddr).Port
			}
			return packet, listener
		}
		packet.Close()
		if port != 0 {
			f.t.Fatalf("listen on loopback: %v", err)
		}
	}
	f.t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

// Servers of tests are on loopback, and so are those that stand for the addresses
// of documentation.
var (
	loopback      = networks("127.0.0.0/8", "::1/128")
	documentation = networks("192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32")
)

func networks(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// config returns the configuration for the fleet. Its timeouts are shorter if a test has
// to wait for a fault, and long in both cases: a slow machine must not look like a silent
// server.
func (f *fleet) config() Config {
	const ms = time.Millisecond
	timeouts := []time.Duration{2000 * ms, 4000 * ms, 8000 * ms}
	resolverTimeouts := timeouts
	if f.wordless() {
		// The others must answer within all three tries together, on a slow machine too.
		timeouts = []time.Duration{500 * ms, 1000 * ms, 3000 * ms}
		resolverTimeouts = timeouts
	}
	return Config{
		Resolver:         fmt.Sprintf("%s:%d", resolverAddress, f.port),
		Port:             f.port,
		DialAddr:         f.dialAddr,
		Private:          loopback,
		Timeouts:         timeouts,
		ResolverTimeouts: resolverTimeouts,
		Now:              func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
	}
}

// wordless reports whether a server sends no reply that a client could read.
func (f *fleet) wordless() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.servers {
		for _, what := range s.faults {
			if slices.Contains([]fault{silent, mixedSilent, dropFirst, wrongCase, flipCase, wrongID, wrongName}, what) {
				return true
			}
		}
	}
	return false
}

// dialAddr returns where the server of an address listens.
func (f *fleet) dialAddr(addr string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if host, _, err := net.SplitHostPort(addr); err == nil && f.servers[host] != nil {
		return f.servers[host].at
	}
	return addr
}

func (f *fleet) collect(names ...string) *dnsgate.Facts {
	f.t.Helper()
	facts, err := New(f.config()).Collect(context.Background(), dnsgate.Question{Names: names})
	if err != nil {
		f.t.Fatal(err)
	}
	return facts
}

// questions counts the questions that a server got.
func (f *fleet) questions(address, what string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.servers[address].asked[what]
}

// ServeDNS answers from the zones, unless the question has a fault.
func (s *fakeServer) ServeDNS(w dns.ResponseWriter, request *dns.Msg) {
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	q := request.Question[0]
	name := canonical(q.Name)
	kind := name + " " + dns.TypeToString[q.Qtype]
	s.asked[kind]++
	if s.seen[kind] == nil {
		s.seen[kind] = map[string]int{}
	}
	s.seen[kind][q.Name]++
	_, tcp := w.RemoteAddr().(*net.TCPAddr)
	if tcp {
		s.overTCP++
	}
	what := s.faultFor(name, kind)
	mixed := q.Name != strings.ToLower(q.Name)
	if what == silent || what == mixedSilent && mixed || what == tcpSilent && tcp || what == dropFirst && s.asked[kind] == 1 {
		return
	}
	reply := new(dns.Msg)
	reply.SetReply(request)
	if opt := request.IsEdns0(); opt != nil {
		reply.SetEdns0(1232, opt.Do())
	}
	if s.recursive {
		reply.RecursionAvailable = true
		s.fleet.resolve(reply, name, q.Qtype)
	} else {
		s.answer(reply, name, q.Qtype)
	}
	s.spoil(reply, what, tcp)
	if what == garbage {
		packed, _ := reply.Pack()
		packed[7] = 9 // the header counts nine answers
		_, _ = w.Write(packed)
		return
	}
	_ = w.WriteMsg(reply)
}

func (s *fakeServer) faultFor(name, kind string) fault {
	for _, key := range []string{kind, name, ""} {
		if what, ok := s.faults[key]; ok {
			return what
		}
	}
	return fine
}

func (s *fakeServer) spoil(reply *dns.Msg, what fault, tcp bool) {
	empty := func(rcode int) { reply.Rcode, reply.Answer, reply.Ns = rcode, nil, nil }
	switch {
	case what == servfail:
		empty(dns.RcodeServerFailure)
	case what == bogus && !reply.CheckingDisabled:
		empty(dns.RcodeServerFailure)
		opt := reply.IsEdns0()
		opt.Option = append(opt.Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeDNSBogus, ExtraText: "no signature"})
	case what == selfReferral:
		empty(dns.RcodeSuccess)
		reply.Authoritative = false
		origin, _ := s.origin(canonical(reply.Question[0].Name))
		reply.Ns, _ = matching(s.zones[origin], origin, dns.TypeNS)
	case what == goneWithAnswer:
		reply.Rcode = dns.RcodeNameError
	case what == mixedGone && reply.Question[0].Name != strings.ToLower(reply.Question[0].Name):
		empty(dns.RcodeNameError)
	case what == refused, what == mixedRefused && reply.Question[0].Name != strings.ToLower(reply.Question[0].Name):
		empty(dns.RcodeRefused)
	case what == notimp:
		empty(dns.RcodeNotImplemented)
	case what == noAuthority:
		reply.Authoritative = false
		if len(reply.Answer) > 0 {
			origin, _ := s.origin(canonical(reply.Question[0].Name))
			reply.Ns, _ = matching(s.zones[origin], origin, dns.TypeNS)
		}
	case what == formErrOPT && reply.IsEdns0() != nil:
		empty(dns.RcodeFormatError)
		reply.Extra = nil
	case tcp:
	case what == truncate, what == tcpSilent:
		empty(dns.RcodeSuccess)
		reply.Truncated = true
	case what == wrongCase:
		reply.Question[0].Name = swapCase(reply.Question[0].Name)
	case what == flipCase:
		reply.Question[0].Name = strings.ToLower(reply.Question[0].Name)
	case what == wrongID:
		reply.Id++
	case what == wrongName:
		reply.Question[0].Name = "other." + reply.Question[0].Name
	}
}

func swapCase(name string) string {
	return strings.Map(func(r rune) rune {
		if c := r | 0x20; 'a' <= c && c <= 'z' {
			return r ^ 0x20
		}
		return r
	}, name)
}

// answer returns the reply of an authoritative server.
func (s *fakeServer) answer(reply *dns.Msg, name string, qtype uint16) {
	origin, ok := s.origin(name)
	if !ok {
		reply.Rcode = dns.RcodeRefused
		return
	}
	if s.refer(reply, origin, name) {
		return
	}
	reply.Authoritative = true
	for range 40 {
		records, exists := matching(s.zones[origin], name, qtype)
		reply.Answer = append(reply.Answer, records...)
		if len(records) == 1 && qtype != dns.TypeCNAME {
			if cname, ok := records[0].(*dns.CNAME); ok {
				if name = canonical(cname.Target); !within(name, origin) {
					return
				}
				continue
			}
		}
		if len(records) == 0 {
			if !exists {
				reply.Rcode = dns.RcodeNameError
			}
			reply.Ns = append(reply.Ns, s.zones[origin][0])
		}
		return
	}
}

// refer adds the referral to the servers of a delegated zone.
func (s *fakeServer) refer(reply *dns.Msg, origin, name string) bool {
	for _, rr := range s.zones[origin] {
		if owner := canonical(rr.Header().Name); rr.Header().Rrtype == dns.TypeNS && owner != origin && within(name, owner) {
			reply.Ns = append(reply.Ns, rr)
			glue, _ := matching(s.zones[origin], canonical(rr.(*dns.NS).Ns), dns.TypeA)
			reply.Extra = append(reply.Extra, glue...)
		}
	}
	return len(reply.Ns) > 0
}

func (s *fakeServer) origin(name string) (string, bool) {
	for _, origin := range append(labels(name), "") {
		if _, ok := s.zones[origin]; ok {
			return origin, true
		}
	}
	return "", false
}

// matching returns the records of a name, its CNAME instead, or those of a wildcard;
// and whether the name exists.
func matching(zone []dns.RR, name string, qtype uint16) (records []dns.RR, exists bool) {
	for _, rr := range zone {
		owner := canonical(rr.Header().Name)
		if within(owner, name) {
			exists = true
		}
		if owner == name && (rr.Header().Rrtype == qtype || rr.Header().Rrtype == dns.TypeCNAME) {
			records = append(records, rr)
		}
	}
	if !exists && parent(name) != "" && !strings.HasPrefix(name, "*.") {
		if wild, ok := matching(zone, "*."+parent(name), qtype); ok {
			for _, rr := range wild {
				rr = dns.Copy(rr)
				rr.Header().Name = dns.Fqdn(name)
				records = append(records, rr)
			}
			return records, true
		}
	}
	return records, exists
}

// resolve answers as the resolver of the fleet, from the first server of each zone.
// It ignores the faults of the other servers, but not its own.
func (f *fleet) resolve(reply *dns.Msg, name string, qtype uint16) {
	for range 12 {
		s := f.holder(name)
		if s == nil {
			reply.Rcode = dns.RcodeServerFailure
			return
		}
		part := new(dns.Msg)
		s.answer(part, name, qtype)
		reply.Answer = append(reply.Answer, part.Answer...)
		reply.Ns, reply.Rcode = part.Ns, part.Rcode
		for len(part.Answer) > 0 {
			i := slices.IndexFunc(part.Answer, func(rr dns.RR) bool {
				return rr.Header().Rrtype == dns.TypeCNAME && sameName(rr.Header().Name, name)
			})
			if i < 0 || qtype == dns.TypeCNAME {
				return
			}
			name = canonical(part.Answer[i].(*dns.CNAME).Target)
			part.Answer = slices.Delete(part.Answer, i, i+1)
		}
		if len(part.Answer) == 0 && len(part.Ns) > 0 {
			return
		}
	}
	reply.Rcode, reply.Answer = dns.RcodeServerFailure, nil // a loop, or a chain too long
}

// holder returns the first server, by address, of the innermost zone of a name.
func (f *fleet) holder(name string) *fakeServer {
	for _, origin := range append(labels(name), "") {
		var first *fakeServer
		for _, s := range f.servers {
			if _, ok := s.zones[origin]; ok && !s.recursive && (first == nil || s.address < first.address) {
				first = s
			}
		}
		if first != nil {
			return first
		}
	}
	return nil
}

// show returns facts as readable text, for messages.
func show(facts any) string {
	text, err := json.MarshalIndent(facts, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}
