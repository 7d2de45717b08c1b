package resolver

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// A lossy Internet has zones at two of 200 servers each, some of them dead, on a slow
// network that loses packets. Its records are computed, so that 10,000 zones need no
// memory.
type lossy struct {
	loss  float64 // of each packet, both ways
	delay time.Duration
	dead  int // servers, of lossyServers
}

const lossyServers = 200

// start runs the servers and the resolver, and returns the configuration for them.
func (l lossy) start(t testing.TB) Config {
	t.Helper()
	port := 0
	for i := range lossyServers + 1 {
		address := "127.0.5.1"
		if i > 0 {
			address = fmt.Sprintf("127.0.4.%d", i)
		}
		conn, err := net.ListenPacket("udp4", fmt.Sprintf("%s:%d", address, port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		port = conn.LocalAddr().(*net.UDPAddr).Port
		if i > 0 && i <= l.dead {
			continue // it listens and does not answer
		}
		go l.serve(conn.(*net.UDPConn), i == 0)
	}
	return Config{Resolver: fmt.Sprintf("127.0.5.1:%d", port), Port: port, Private: loopback}
}

func (l lossy) serve(conn *net.UDPConn, recursive bool) {
	_ = conn.SetReadBuffer(4 << 20)
	buf := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if rand.Float64() < l.loss {
			continue
		}
		request := new(dns.Msg)
		if request.Unpack(buf[:n]) != nil {
			continue
		}
		reply, err := lossyReply(request, recursive).Pack()
		if err != nil || rand.Float64() < l.loss {
			continue
		}
		send := func(to netip.AddrPort) { _, _ = conn.WriteToUDPAddrPort(reply, to) }
		if l.delay == 0 {
			send(from)
		} else {
			time.AfterFunc(l.delay, func() { send(from) })
		}
	}
}

// lossyReply answers for www.zN.com, whose records follow from N, for its zone, and
// for the name servers.
func lossyReply(request *dns.Msg, recursive bool) *dns.Msg {
	reply := new(dns.Msg).SetReply(request)
	reply.Authoritative = !recursive
	reply.SetEdns0(1232, false)
	q := request.Question[0]
	name := canonical(q.Name)
	first, rest, _ := strings.Cut(name, ".")
	zone := "com"
	add := func(rr dns.RR) {
		*rr.Header() = dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: 60}
		reply.Answer = append(reply.Answer, rr)
	}
	switch label := strings.TrimSuffix(rest, ".com"); {
	case rest == "nic.com":
		addr := "11.0.0.1" // n1
		if first[0] == 's' {
			addr = "127.0.4." + first[1:]
		}
		if q.Qtype == dns.TypeA {
			add(&dns.A{A: net.ParseIP(addr)})
		}
	case (name == "nic.com" || name == "com") && q.Qtype == dns.TypeNS:
		add(&dns.NS{Ns: "s100.nic.com."})
		add(&dns.NS{Ns: "s101.nic.com."})
	case strings.HasPrefix(first, "z") && rest == "com":
		zone = name
		n, _ := strconv.Atoi(first[1:])
		switch {
		case q.Qtype == dns.TypeNS:
			add(&dns.NS{Ns: fmt.Sprintf("s%d.nic.com.", 1+n%lossyServers)})
			add(&dns.NS{Ns: fmt.Sprintf("s%d.nic.com.", 1+(n+lossyServers/2)%lossyServers)})
		case q.Qtype == dns.TypeCAA && n%10 == 3:
			add(&dns.CAA{Tag: "issue", Value: ";"})
		}
	case first == "www" && strings.HasPrefix(label, "z"):
		zone = rest
		n, _ := strconv.Atoi(label[1:])
		switch {
		case n%10 == 4:
			reply.Rcode = dns.RcodeNameError
		case q.Qtype == dns.TypeA:
			add(&dns.A{A: net.ParseIP([]string{"11.0.0.1", "11.0.0.99"}[min(1, n%10/7)])})
		case q.Qtype == dns.TypeAAAA && n%10 == 5:
			add(&dns.AAAA{AAAA: net.ParseIP("2600::1")})
		}
	}
	if len(reply.Answer) == 0 {
		reply.Ns = append(reply.Ns, &dns.SOA{Hdr: dns.RR_Header{Name: dns.Fqdn(zone), Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60},
			Ns: "s100.nic.com.", Mbox: "h.nic.com.", Minttl: 60})
	}
	return reply
}

func lossyQuestion(n int) dnsgate.Question {
	q := dnsgate.Question{Nodes: []string{"n1.nic.com"}}
	for i := range n {
		q.Names = append(q.Names, fmt.Sprintf("www.z%d.com", i))
	}
	return q
}

// lossyWants checks the facts of a name against its true records: the answer of the
// resolver, and those of the servers that answer.
func lossyWants(t testing.TB, i int, f *dnsgate.NameFacts) {
	t.Helper()
	a, aaaa := "answer 11.0.0.1", "nodata"
	switch i % 10 {
	case 4:
		a, aaaa = "nxdomain", "nxdomain"
	case 5:
		aaaa = "answer 2600::1"
	case 7, 8, 9:
		a = "answer 11.0.0.99"
	}
	caa := "nodata"
	if i%10 == 3 {
		caa = `answer 0 issue ";"`
	}
	if brief(f.A) != a || brief(f.AAAA) != aaaa || len(f.CAA) < 2 || brief(f.CAA[1].Lookup) != caa {
		t.Fatalf("%d: want %s, %s and CAA %s:\n%s", i, a, aaaa, caa, show(f))
	}
	spoke := 0
	for _, s := range f.Servers {
		if brief(s.A) != a && s.A.Error != dnsgate.ErrorTimeout || brief(s.AAAA) != aaaa && s.AAAA.Error != dnsgate.ErrorTimeout {
			t.Fatalf("%d: %s", i, show(s))
		}
		if !s.A.Failed() && !s.AAAA.Failed() {
			spoke++
		}
	}
	if len(f.Servers) != 2 || spoke == 0 {
		t.Fatalf("%d: %d of %d servers spoke:\n%s", i, spoke, len(f.Servers), show(f))
	}
}

// lossyVerdicts judges every name against its node. lossyReply decides where the
// names lead.
func lossyVerdicts(facts *dnsgate.Facts, question dnsgate.Question) []string {
	verdicts := make([]string, len(question.Names))
	for i, name := range question.Names {
		v := dnsgate.Judge(facts, dnsgate.Request{Host: name, Names: []string{name}, Node: question.Nodes[0]})
		verdicts[i] = fmt.Sprint(name, " ", v.Result, " ", v.Reason)
	}
	return verdicts
}

// cleanVerdicts returns the verdicts over a network that loses no packets, from
// servers that are all alive.
func cleanVerdicts(t testing.TB, question dnsgate.Question) []string {
	t.Helper()
	facts, err := New(lossy{}.start(t)).Collect(t.Context(), question)
	if err != nil {
		t.Fatal(err)
	}
	return lossyVerdicts(facts, question)
}

// lossySame fails the test if the verdicts differ from the clean ones.
func lossySame(t testing.TB, clean, got []string) {
	t.Helper()
	kinds := map[string]int{}
	differ := 0
	for i := range clean {
		_, kind, _ := strings.Cut(clean[i], " ")
		kinds[kind]++
		if got[i] != clean[i] {
			differ++
			t.Errorf("%s, and over the network that loses packets %s", clean[i], got[i])
		}
	}
	for _, kind := range []string{"pass a-match", "fail nxdomain", "fail aaaa-mismatch", "fail a-mismatch", "fail caa-forbids"} {
		if kinds[kind] < len(clean)/20 {
			t.Errorf("only %d of %d verdicts are %s: too few to compare (%v)", kinds[kind], len(clean), kind, kinds)
		}
	}
	t.Logf("%d verdicts, %d of which differ: %v", len(clean), differ, kinds)
}

func TestLossAndDeadServers(t *testing.T) {
	question := lossyQuestion(300)
	clean := cleanVerdicts(t, question)
	config := lossy{loss: 0.05, delay: 5 * time.Millisecond, dead: lossyServers / 50}.start(t)
	const ms = time.Millisecond
	config.Timeouts = []time.Duration{100 * ms, 200 * ms, 200 * ms, 400 * ms, 400 * ms, 800 * ms, 800 * ms}
	config.ResolverTimeouts = append(config.Timeouts, 800*ms)
	facts, err := New(config).Collect(t.Context(), question)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range question.Names {
		lossyWants(t, i, facts.Names[name])
	}
	lossySame(t, clean, lossyVerdicts(facts, question))
}

// BenchmarkLossy collects facts of 10,000 hosts in 10,000 zones of 200 servers, 4 of
// which are dead, over a network that loses 5 % of the packets each way and takes
// 50 ms, to the resolver too. The verdicts must be those over a perfect network.
func BenchmarkLossy(b *testing.B) {
	question := lossyQuestion(10_000)
	clean := cleanVerdicts(b, question)
	debug.FreeOSMemory() // the memory of the clean run must not count
	config := lossy{loss: 0.05, delay: 50 * time.Millisecond, dead: lossyServers / 50}.start(b)
	for b.Loop() {
		resetPeak()
		var last Progress
		config.Progress = func(p Progress) { last = p }
		facts, err := New(config).Collect(b.Context(), question)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		b.ReportMetric(float64(peak())/1024, "MB-peak")
		b.ReportMetric(float64(last.Retries), "retries")
		b.ReportMetric(float64(last.Silent), "silent")
		for i, name := range question.Names {
			lossyWants(b, i, facts.Names[name])
		}
		lossySame(b, clean, lossyVerdicts(facts, question))
		b.StartTimer()
	}
}
