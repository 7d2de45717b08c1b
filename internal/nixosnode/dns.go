package nixosnode

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// A DNS is a lab's name server. It is the authority for every zone, and the
// resolver of the operator, the nodes and [Pebble]. Domains below com, net and
// org are zones.
type DNS struct {
	address string
	servers []*dns.Server

	mu      sync.Mutex
	records map[string][]dns.RR // by name
	down    bool
}

const nameServer = "ns.example.net."

// commonAddress is the name server in the resolv.conf of all nodes, because
// resolv.conf is part of a system and labs share systems. A question from a
// lab's network is answered by the DNS of that lab.
const commonAddress = "192.4.255.1"

var common struct {
	sync.Once
	err error

	mu   sync.Mutex
	labs map[byte]*DNS // by the third number of their addresses
}

// answerCommon answers a question as the DNS of the lab that sent it.
func answerCommon(w dns.ResponseWriter, request *dns.Msg) {
	host, _, _ := net.SplitHostPort(w.RemoteAddr().String())
	address, err := netip.ParseAddr(host)
	if err != nil {
		return
	}
	common.mu.Lock()
	lab := common.labs[address.As4()[2]]
	common.mu.Unlock()
	if lab != nil {
		lab.ServeDNS(w, request)
	}
}

// listen starts servers on an address, over UDP and TCP.
func listen(address string, handler dns.Handler) ([]*dns.Server, error) {
	packets, err := net.ListenPacket("udp4", net.JoinHostPort(address, "53"))
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp4", net.JoinHostPort(address, "53"))
	if err != nil {
		return nil, errors.Join(err, packets.Close())
	}
	servers := []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: listener, Handler: handler}}
	for _, s := range servers {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe() }()
		<-started
	}
	return servers, nil
}

func newDNS(address string) (*DNS, error) {
	d := &DNS{address: address, records: map[string][]dns.RR{}}
	d.Set(strings.TrimSuffix(nameServer, "."), address)
	common.Do(func() {
		common.labs = map[byte]*DNS{}
		_, common.err = listen(commonAddress, dns.HandlerFunc(answerCommon))
	})
	if common.err != nil {
		return nil, common.err
	}
	var err error
	if d.servers, err = listen(address, d); err != nil {
		return nil, err
	}
	common.mu.Lock()
	defer common.mu.Unlock()
	common.labs[d.network()] = d
	return d, nil
}

func (d *DNS) network() byte { return netip.MustParseAddr(d.address).As4()[2] }

func (d *DNS) close() error {
	common.mu.Lock()
	delete(common.labs, d.network())
	common.mu.Unlock()
	var errs []error
	for _, s := range d.servers {
		errs = append(errs, s.Shutdown())
	}
	return errors.Join(errs...)
}

// Set replaces all records of a name by these addresses. Without addresses, the
// name does not exist.
func (d *DNS) Set(name string, addresses ...string) {
	records := make([]string, len(addresses))
	for i, address := range addresses {
		records[i] = "A " + address
		if strings.Contains(address, ":") {
			records[i] = "AAAA " + address
		}
	}
	if err := d.set(name, records...); err != nil {
		panic(err) // an address
	}
}

// Records gives a name records in the syntax of zone files, such as "CNAME
// node-a.hosting.example.net." and `CAA 0 issue "example.org"`.
func (d *DNS) Records(t testing.TB, name string, records ...string) {
	t.Helper()
	must(t, d.set(name, records...))
}

func (d *DNS) set(name string, records ...string) error {
	name = dns.CanonicalName(name)
	var all []dns.RR
	for _, text := range records {
		rr, err := dns.NewRR(fmt.Sprintf("%s 1 IN %s", name, text))
		if err != nil {
			return fmt.Errorf("record %q: %w", text, err)
		}
		all = append(all, rr)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.records, name)
	if all != nil {
		d.records[name] = all
	}
	return nil
}

// Fail sets whether the server answers all questions with SERVFAIL.
func (d *DNS) Fail(down bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = down
}

// zoneOf returns the zone of a name: its last two labels.
func zoneOf(name string) string {
	labels := dns.SplitDomainName(name)
	return dns.Fqdn(strings.Join(labels[max(0, len(labels)-2):], "."))
}

// ServeDNS answers a question: see [dns.Handler].
func (d *DNS) ServeDNS(w dns.ResponseWriter, request *dns.Msg) {
	d.mu.Lock()
	defer d.mu.Unlock()
	reply := new(dns.Msg).SetReply(request)
	reply.Authoritative, reply.RecursionAvailable = true, true
	if len(request.Question) != 1 || d.down {
		reply.Rcode = dns.RcodeServerFailure
		_ = w.WriteMsg(reply)
		return
	}
	if edns := request.IsEdns0(); edns != nil {
		reply.SetEdns0(1232, edns.Do())
	}
	q := request.Question[0]
	name := dns.CanonicalName(q.Name)
	exists := d.answer(reply, name, q.Name, q.Qtype, 8)
	if len(reply.Answer) == 0 {
		if !exists {
			reply.Rcode = dns.RcodeNameError
		}
		reply.Ns = []dns.RR{soa(zoneOf(name))}
	}
	_ = w.WriteMsg(reply)
}

// answer adds the records of a name and type, with the name spelled as in the
// question, and reports whether the name exists.
func (d *DNS) answer(reply *dns.Msg, name, spelled string, kind uint16, depth int) (exists bool) {
	zone := zoneOf(name)
	isZone := dns.CountLabel(name) <= 2 && (name == zone) // root and top-level domains are zones too
	records := d.records[name]
	if isZone {
		own := []dns.RR{soa(name)}
		if !slices.ContainsFunc(records, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeNS }) {
			ns, _ := dns.NewRR(name + " 60 IN NS " + nameServer)
			own = append(own, ns)
		}
		records = append(own, records...)
	}
	for _, rr := range records {
		cname, isAlias := rr.(*dns.CNAME)
		if rr.Header().Rrtype != kind && !isAlias {
			continue
		}
		rr = dns.Copy(rr)
		rr.Header().Name = spelled
		reply.Answer = append(reply.Answer, rr)
		if isAlias && kind != dns.TypeCNAME && depth > 0 {
			d.answer(reply, dns.CanonicalName(cname.Target), cname.Target, kind, depth-1)
		}
	}
	if isZone || records != nil {
		return true
	}
	// A name above one with records exists, without records of its own.
	for other := range d.records {
		if strings.HasSuffix(other, "."+name) {
			return true
		}
	}
	return false
}

func soa(zone string) dns.RR {
	rr, err := dns.NewRR(zone + " 1 IN SOA " + nameServer + " hostmaster.example.net. 1 3600 600 86400 1")
	if err != nil {
		panic(err)
	}
	return rr
}
