package conformance

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// Fleet has all authoritative servers of the laboratory's Internet.
type Fleet struct {
	mu      sync.RWMutex
	zones   map[string]*zone // by origin, in lower case with a final dot
	servers []*dns.Server
}

// Servers holds the addresses of the name servers by the label of their name,
// <label>.dnsfleet.net.
var Servers = map[string]netip.Addr{
	"root": netip.MustParseAddr("11.53.0.1"),
	"tld":  netip.MustParseAddr("11.53.0.2"),
	"p1":   netip.MustParseAddr("11.53.0.3"), // the provider's own
	"p2":   netip.MustParseAddr("11.53.0.4"),
	"ns1":  netip.MustParseAddr("11.53.1.1"), // the customers'
	"ns2":  netip.MustParseAddr("11.53.1.2"),
	"ns3":  netip.MustParseAddr("11.53.1.3"),
	"ns4":  netip.MustParseAddr("11.53.1.4"),
	// The faulty ones.
	"lame":    netip.MustParseAddr("11.53.1.8"), // has no zone
	"silent":  netip.MustParseAddr("11.53.1.9"), // reads and does not answer
	"silent2": netip.MustParseAddr("11.53.1.10"),
	"closed":  netip.MustParseAddr("11.53.1.11"), // has no server process
	"hole":    netip.MustParseAddr("11.9.53.1"),  // does not exist
	// "nameless" has no address in DNS.
}

const fleetDomain = "dnsfleet.net."

// A Zone is a zone and its servers.
type Zone struct {
	Origin  string   `json:"origin"`
	Servers []string `json:"servers"`
	// Records are lines of a zone file. The fleet adds SOA and NS.
	Records string `json:"records,omitempty"`
	// At holds the records of servers whose records differ.
	At map[string]string `json:"at,omitempty"`
	// Faults are tried in order; the first that matches applies.
	Faults []Fault `json:"faults,omitempty"`
	// Delegate lists the servers that the parent names, if they differ from
	// Servers.
	Delegate []string `json:"delegate,omitempty"`
	// Glue makes the servers' names lie in the zone, as <label>.<origin>. The parent then
	// has the address of the server Glue[label] for them, or their own if it is empty.
	Glue map[string]string `json:"glue,omitempty"`
	// NoNS leaves the NS records at the zone's apex out.
	NoNS bool `json:"noNS,omitempty"`
}

// A Fault replaces a server's right answer.
type Fault struct {
	Server string `json:"server,omitempty"` // empty: all
	// Name is relative to the zone, "@" its origin; empty: all.
	Name string    `json:"name,omitempty"`
	Type string    `json:"type,omitempty"` // empty: all
	Kind FaultKind `json:"kind"`
	// Times limits how often it applies, for each name, type, server and client; 0 is
	// no limit.
	Times int `json:"times,omitempty"`
}

// FaultKind is the effect of a fault.
type FaultKind string

const (
	FaultServFail     FaultKind = "servfail"
	FaultRefused      FaultKind = "refused"
	FaultNotImp       FaultKind = "notimp"
	FaultFormErr      FaultKind = "formerr"
	FaultNXDomain     FaultKind = "nxdomain"
	FaultEmpty        FaultKind = "empty"        // no data
	FaultDrop         FaultKind = "drop"         // no answer
	FaultTruncate     FaultKind = "truncate"     // TC over UDP, right over TCP
	FaultTCPDead      FaultKind = "tcpdead"      // TC over UDP, no answer over TCP
	FaultGarbage      FaultKind = "garbage"      // not a DNS message
	FaultSlow         FaultKind = "slow"         // right, after 700 ms
	FaultNoEDNS       FaultKind = "noedns"       // FORMERR to EDNS, else right
	FaultNoAA         FaultKind = "noaa"         // right but not authoritative
	FaultUpward       FaultKind = "upward"       // a referral to the root
	FaultSelf         FaultKind = "self"         // no data as a referral to the zone itself
	FaultMixedGone    FaultKind = "mixedgone"    // NXDOMAIN to a name in upper and lower case
	FaultMixedRefused FaultKind = "mixedrefused" // REFUSED to it
	FaultMixedSilent  FaultKind = "mixedsilent"  // no answer to it
	FaultGoneThere    FaultKind = "gonethere"    // the records, with NXDOMAIN
	FaultLowerCase    FaultKind = "lower"        // the question comes back in lower case
)

type zone struct {
	origin   string
	delegate []string
	glue     map[string]string
	sets     map[string]records // by server
	faults   []Fault
	mu       sync.Mutex
	fired    map[string]int
}

// records holds the record sets of a zone by name and type. A name that exists only
// because of one below it has an empty map.
type records map[string]map[uint16][]dns.RR

func parseRecords(origin, text string) (records, error) {
	out := records{}
	parser := dns.NewZoneParser(strings.NewReader(text+"\n"), origin, "")
	parser.SetDefaultTTL(0)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		out.add(origin, rr)
	}
	if err := parser.Err(); err != nil {
		return nil, fmt.Errorf("records of %s: %w", origin, err)
	}
	return out, nil
}

func (r records) add(origin string, rr dns.RR) {
	name := strings.ToLower(rr.Header().Name)
	if r[name] == nil {
		r[name] = map[uint16][]dns.RR{}
	}
	r[name][rr.Header().Rrtype] = append(r[name][rr.Header().Rrtype], rr)
	for name != origin && dns.IsSubDomain(origin, name) {
		name = parent(name)
		if r[name] == nil {
			r[name] = map[uint16][]dns.RR{}
		}
	}
}

func parent(name string) string {
	if i, end := dns.NextLabel(name, 0); !end {
		return name[i:]
	}
	return "."
}

func serverName(label string) string { return label + "." + fleetDomain }

// Add puts a zone into the fleet, and its delegation into the zone above.
func (f *Fleet) Add(z Zone) error {
	origin := dns.CanonicalName(z.Origin)
	entry := &zone{origin: origin, faults: z.Faults, delegate: z.Delegate, glue: z.Glue, sets: map[string]records{}, fired: map[string]int{}}
	if entry.delegate == nil {
		entry.delegate = z.Servers
	}
	holders := slices.Clone(z.Servers)
	for _, label := range z.Glue {
		if label != "" && !slices.Contains(holders, label) {
			holders = append(holders, label)
		}
	}
	for _, server := range holders {
		text, ok := z.At[server]
		if !ok {
			text = z.Records
		}
		set, err := parseRecords(origin, text)
		if err != nil {
			return err
		}
		set.add(origin, soa(origin))
		for _, ns := range z.Servers {
			if !z.NoNS {
				set.add(origin, entry.ns(ns))
			}
			if z.Glue != nil {
				set.add(origin, entry.address(ns, ns))
			}
		}
		entry.sets[server] = set
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.zones[origin] != nil {
		return fmt.Errorf("the zone %s exists already", origin)
	}
	f.zones[origin] = entry
	return nil
}

// Remove takes zones out.
func (f *Fleet) Remove(origins ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, origin := range origins {
		delete(f.zones, dns.CanonicalName(origin))
	}
}

// soa sets how long resolvers keep negative answers: an hour above the customers'
// zones, and not at all in them.
func soa(origin string) dns.RR {
	var ttl uint32
	if origin == "." || slices.Contains(topLevel, origin) {
		ttl = 3600
	}
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: origin, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: ttl},
		Ns:  serverName("p1"), Mbox: "hostmaster." + fleetDomain,
		Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: ttl,
	}
}

// topLevel lists the zones of the servers root and tld.
var topLevel = []string{"com.", "net.", "org.", "de.", "dk.", "io.", "uk.", "co.uk.", "xn--p1ai."}

// StartFleet starts the servers, with the upper zones and the servers' own zone.
func StartFleet() (*Fleet, error) {
	f := &Fleet{zones: map[string]*zone{}}
	if err := f.Add(Zone{Origin: ".", Servers: []string{"root"}}); err != nil {
		return nil, err
	}
	for _, origin := range topLevel {
		if err := f.Add(Zone{Origin: origin, Servers: []string{"tld"}}); err != nil {
			return nil, err
		}
	}
	var own strings.Builder
	for label, addr := range Servers {
		fmt.Fprintf(&own, "%s 3600 IN A %s\n", label, addr)
	}
	if err := f.Add(Zone{Origin: fleetDomain, Servers: []string{"p1", "p2"}, Records: own.String()}); err != nil {
		return nil, err
	}
	for label, addr := range Servers {
		if label == "closed" || label == "hole" {
			continue
		}
		handler := dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) { f.serve(label, w, query) })
		address := netip.AddrPortFrom(addr, 53).String()
		packets, err := net.ListenPacket("udp", address)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("start name server %s: %w", label, err), f.Close())
		}
		if udp, ok := packets.(*net.UDPConn); ok {
			_ = udp.SetReadBuffer(4 << 20)
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("start name server %s: %w", label, err), packets.Close(), f.Close())
		}
		for _, server := range []*dns.Server{
			{PacketConn: packets, Handler: handler, UDPSize: 4096},
			{Listener: listener, Handler: handler, MaxTCPQueries: -1},
		} {
			f.servers = append(f.servers, server)
			go func() { _ = server.ActivateAndServe() }()
		}
	}
	return f, nil
}

// Close stops the servers.
func (f *Fleet) Close() error {
	var errs []error
	for _, server := range f.servers {
		errs = append(errs, server.Shutdown())
	}
	return errors.Join(errs...)
}

func (f *Fleet) serve(label string, w dns.ResponseWriter, query *dns.Msg) {
	if len(query.Question) != 1 || strings.HasPrefix(label, "silent") {
		return
	}
	asker, _, _ := net.SplitHostPort(w.RemoteAddr().String())
	tcp := w.RemoteAddr().Network() == "tcp"
	answer := f.answer(label, asker, query, tcp)
	if answer == nil {
		return
	}
	if !tcp {
		size := dns.MinMsgSize
		if opt := query.IsEdns0(); opt != nil {
			size = min(max(size, int(opt.UDPSize())), 1232)
		}
		answer.Truncate(size)
	}
	_ = w.WriteMsg(answer)
}
