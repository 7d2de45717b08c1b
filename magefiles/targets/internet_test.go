package targets_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/cloudflare"
	"github.com/woolwichweb/hostenv-provider/hostenv/domains"
	"github.com/woolwichweb/hostenv-provider/internal/fakecloudflare"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// An internet is what a gate meets, in a network namespace without a way out: the
// servers of zones at port 53 of public addresses, a resolver that remembers
// negative answers, web servers, and a Cloudflare whose servers show what is
// written to it one after the other.
//
// A file describes it, which is read again before every answer. Its lines:
//
//	zone ORIGIN ADDRESS...           a zone and its servers
//	cloudflare ORIGIN ID ADDRESS...  the same, of what Cloudflare has
//	record NAME TYPE DATA            a record, as in a zone file
//	foreign ID NAME TYPE CONTENT [COMMENT]  a record at Cloudflare that is there before
//	fault ADDRESS silent|servfail    the fault of a server, or of the resolver
//	web ADDRESS:PORT [LOCATION]      a web server, which redirects; with the
//	                                 port none there is no server
type internet struct {
	file string
	fake *fakecloudflare.Fake

	mu       sync.Mutex
	text     []byte
	zones    map[string]internetZone
	records  []dns.RR
	faults   map[string]string
	started  map[string]bool
	negative map[string]*dns.Msg  // the resolver's memory
	since    map[string]time.Time // when Cloudflare's servers could see a record
	first    bool
}

type internetZone struct {
	addresses []string
	id        string // at Cloudflare
}

const (
	resolverAddress = "11.53.0.53"
	// behind is how much later than its first server the other servers of a zone at
	// Cloudflare have a new record: longer than a wait's first pause.
	behind = 1500 * time.Millisecond
)

// runInternet is a program: internet FILE READY. When all servers run it writes its
// pid to READY, and Cloudflare's URL to READY.url. It writes the requests to
// Cloudflare to READY.requests, and Cloudflare's records to READY.records.
func runInternet() {
	in := &internet{file: os.Args[1], started: map[string]bool{}, negative: map[string]*dns.Msg{}, since: map[string]time.Time{}, first: true}
	for _, line := range []string{"link set lo up", "route add local 11.0.0.0/16 dev lo", "route add local 11.53.0.0/16 dev lo"} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			panic(fmt.Sprintf("ip %s: %v: %s", line, err, out))
		}
	}
	in.fake = fakecloudflare.New(in)
	ready := os.Args[2]
	in.fake.Committed = func(_ string, before, after map[string]cloudflare.Record) {
		for id := range after {
			if _, old := before[id]; !old {
				in.since[id] = time.Now()
			}
		}
	}
	publish := func() {
		var all []string
		for id, records := range in.fake.Records {
			for _, r := range fakecloudflare.Sorted(records) {
				all = append(all, fmt.Sprintf("%s %s %s %s %q", id, r.Name, r.Type, r.Content, r.Comment))
			}
		}
		slices.Sort(all)
		writeFile(ready+".records", strings.Join(all, "\n")+"\n")
		writeFile(ready+".requests", strings.Join(in.fake.Requests, "\n")+"\n")
	}
	// The next request publishes what one wrote; the last request only reads.
	in.fake.Fault = func(*http.Request) fakecloudflare.Fault {
		publish()
		return fakecloudflare.Fault{}
	}
	in.read()
	in.serve(resolverAddress)
	in.fake.Mu.Lock()
	publish()
	in.fake.Mu.Unlock()
	writeFile(ready+".url", in.fake.URL+"\n")
	writeFile(ready, fmt.Sprintln(os.Getpid()))
	testenv.UntilKilled()
}

func writeFile(path, text string) {
	if err := os.WriteFile(path+".new", []byte(text), 0o666); err != nil {
		panic(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		panic(err)
	}
}

// The internet takes the place of a test for its Cloudflare.
func (in *internet) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (in *internet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (in *internet) Cleanup(func())                    {}

// read reads the file if it has changed, and starts what is new in it.
func (in *internet) read() {
	text, err := os.ReadFile(in.file)
	if err != nil {
		panic(err)
	}
	in.mu.Lock()
	if bytes.Equal(text, in.text) {
		in.mu.Unlock()
		return
	}
	in.text = text
	in.zones, in.records, in.faults = map[string]internetZone{}, nil, map[string]string{}
	clear(in.negative)
	var servers []string
	for line := range strings.Lines(string(text)) {
		word := strings.Fields(line)
		if len(word) == 0 || word[0] == "#" {
			continue
		}
		switch word[0] {
		case "zone":
			in.zones[word[1]] = internetZone{addresses: word[2:]}
			servers = append(servers, word[2:]...)
		case "cloudflare":
			in.zones[word[1]] = internetZone{addresses: word[3:], id: word[2]}
			servers = append(servers, word[3:]...)
			if in.first {
				in.fake.AddZone(fakecloudflare.Zone(word[2], word[1]))
			}
		case "record":
			in.records = append(in.records, recordOf(strings.TrimPrefix(strings.TrimSpace(line), "record ")))
		case "foreign":
			if in.first {
				in.fake.Add(word[1], cloudflare.Record{Name: word[2], Type: word[3], Content: word[4], TTL: 60, Comment: strings.Join(word[5:], " ")})
			}
		case "fault":
			in.faults[word[1]] = word[2]
		case "web":
			in.web(word[1:])
		default:
			panic("unknown line " + line)
		}
	}
	in.first = false
	in.mu.Unlock()
	for _, address := range servers {
		in.serve(address)
	}
}

func recordOf(text string) dns.RR {
	name, rest, _ := strings.Cut(text, " ")
	rr, err := dns.NewRR(dns.Fqdn(name) + " 60 IN " + rest)
	if err != nil {
		panic(err)
	}
	return rr
}

// own gives this machine an IPv6 address; it has those of IPv4 by their route.
func own(address string) {
	if !strings.Contains(address, ":") {
		return
	}
	if out, err := exec.Command("ip", "-6", "addr", "replace", address+"/128", "dev", "lo", "nodad").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v: %s", err, out))
	}
}

func (in *internet) web(word []string) {
	if in.started[word[0]] {
		return
	}
	in.started[word[0]] = true
	host, port, err := net.SplitHostPort(word[0])
	if err != nil {
		panic(err)
	}
	own(host)
	if port == "none" { // an address without a server
		return
	}
	listener, err := net.Listen("tcp", word[0])
	if err != nil {
		panic(err)
	}
	go func() {
		panic(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if len(word) > 1 && strings.HasPrefix(word[1], "token:") && r.URL.Path == dnsgate.ChallengePath+dnsgate.Token {
				fmt.Fprintln(w, strings.TrimPrefix(word[1], "token:"))
				return
			}
			if len(word) == 1 || !strings.HasPrefix(word[1], "http:") {
				w.Header().Set("Server", strings.Join(word[1:], " ")) // not the node's
				http.NotFound(w, r)
				return
			}
			http.Redirect(w, r, word[1]+r.URL.Path, http.StatusFound)
		})))
	}()
}

func (in *internet) serve(address string) {
	in.mu.Lock()
	started := in.started[address]
	in.started[address] = true
	in.mu.Unlock()
	if started {
		return
	}
	own(address)
	at := net.JoinHostPort(address, "53")
	packet, err := net.ListenPacket("udp", at)
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", at)
	if err != nil {
		panic(err)
	}
	for _, server := range []*dns.Server{{PacketConn: packet}, {Listener: listener}} {
		server.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, request *dns.Msg) {
			if reply := in.answer(address, request); reply != nil {
				_ = w.WriteMsg(reply)
			}
		})
		go func() { panic(server.ActivateAndServe()) }()
	}
}

// answer returns the answer of the server at an address, nil for none.
func (in *internet) answer(address string, request *dns.Msg) *dns.Msg {
	in.read()
	in.mu.Lock()
	defer in.mu.Unlock()
	reply := new(dns.Msg).SetReply(request)
	reply.SetEdns0(1232, false)
	q := request.Question[0]
	name := strings.ToLower(strings.TrimSuffix(q.Name, "."))
	switch in.faults[address] {
	case "silent":
		return nil
	case "servfail":
		reply.Rcode = dns.RcodeServerFailure
		return reply
	}
	if address == resolverAddress {
		in.resolve(reply, name, q.Qtype)
		return reply
	}
	origin := in.origin(name, func(z internetZone) bool { return slices.Contains(z.addresses, address) })
	if origin == "" {
		reply.Rcode = dns.RcodeRefused
		return reply
	}
	reply.Authoritative = true
	in.zoneReply(reply, origin, slices.Index(in.zones[origin].addresses, address), name, q.Qtype)
	return reply
}

// origin returns the innermost zone of a name among those for which has is true.
func (in *internet) origin(name string, has func(internetZone) bool) string {
	for at := name; at != ""; _, at, _ = strings.Cut(at, ".") {
		if z, ok := in.zones[at]; ok && has(z) {
			return at
		}
	}
	return ""
}

// resolve asks the last server of each zone, and remembers a negative answer for
// ever.
func (in *internet) resolve(reply *dns.Msg, name string, qtype uint16) {
	reply.RecursionAvailable = true
	key := fmt.Sprint(name, " ", qtype)
	if old := in.negative[key]; old != nil {
		reply.Rcode, reply.Answer, reply.Ns = old.Rcode, old.Answer, old.Ns
		return
	}
	for range 8 {
		origin := in.origin(name, func(internetZone) bool { return true })
		if !slices.ContainsFunc(in.zones[origin].addresses, func(at string) bool { return in.faults[at] == "" }) {
			reply.Rcode, reply.Answer = dns.RcodeServerFailure, nil
			return
		}
		before := len(reply.Answer)
		in.zoneReply(reply, origin, len(in.zones[origin].addresses)-1, name, qtype)
		if len(reply.Answer) == before {
			in.negative[key] = reply.Copy()
			return
		}
		cname, ok := reply.Answer[len(reply.Answer)-1].(*dns.CNAME)
		if !ok || qtype == dns.TypeCNAME {
			return
		}
		name = strings.ToLower(strings.TrimSuffix(cname.Target, "."))
	}
}

// zoneReply answers from one zone, by the records of one of its servers.
func (in *internet) zoneReply(reply *dns.Msg, origin string, server int, name string, qtype uint16) {
	exists := name == origin
	for _, rr := range in.recordsOf(origin, server) {
		owner := strings.TrimSuffix(rr.Header().Name, ".")
		exists = exists || owner == name || strings.HasSuffix(owner, "."+name)
		if owner == name && (rr.Header().Rrtype == qtype || rr.Header().Rrtype == dns.TypeCNAME) {
			rr = dns.Copy(rr)
			reply.Answer = append(reply.Answer, rr)
		}
	}
	if !exists {
		reply.Rcode = dns.RcodeNameError
	}
	if len(reply.Answer) == 0 {
		reply.Ns = []dns.RR{recordOf(origin + " SOA ns0." + origin + ". hostmaster." + origin + ". 1 3600 600 86400 3600")}
	}
}

// recordsOf returns a zone's records as one of its servers has them: those of the
// file, of the zone's servers, and of Cloudflare.
func (in *internet) recordsOf(origin string, server int) []dns.RR {
	zone := in.zones[origin]
	var all []dns.RR
	for _, rr := range in.records {
		name := strings.TrimSuffix(rr.Header().Name, ".")
		if in.origin(name, func(internetZone) bool { return true }) == origin {
			all = append(all, rr)
		}
	}
	for i, address := range zone.addresses {
		kind := "A"
		if strings.Contains(address, ":") {
			kind = "AAAA"
		}
		all = append(all,
			recordOf(fmt.Sprintf("%s NS ns%d.%s.", origin, i, origin)),
			recordOf(fmt.Sprintf("ns%d.%s %s %s", i, origin, kind, address)))
	}
	if zone.id == "" {
		return all
	}
	in.fake.Mu.Lock()
	defer in.fake.Mu.Unlock()
	for id, r := range in.fake.Records[zone.id] {
		if seen, new := in.since[id]; new && server > 0 && time.Since(seen) < behind {
			continue
		}
		content := r.Content
		if r.Type == "CNAME" {
			content += "."
		}
		all = append(all, recordOf(r.Name+" "+r.Type+" "+content))
	}
	return all
}

// online FILE starts an internet, makes the program online, which runs another
// one in it, and sets $cloudflare to the URL of its Cloudflare.
func online(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: online file")
	}
	need(ts, false, []string{"unshare", "ip"})
	namespaces, enter := []string{"--net"}, []string{"--net"}
	if os.Geteuid() != 0 {
		namespaces, enter = append(namespaces, "--map-root-user"), append(enter, "--user", "--preserve-credentials")
	}
	ready := filepath.Join(ts.Getenv("WORK"), "internet")
	program, err := exec.LookPath("internet")
	ts.Check(err)
	cmd := exec.Command("unshare", append(namespaces, program, ts.MkAbs(args[0]), ready)...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if output.Len() > 0 {
			ts.Logf("the output of the internet:\n%s", output.Bytes())
		}
	})
	pid, url := awaitLine(ts, ready), awaitLine(ts, ready+".url")
	ts.Setenv("cloudflare", url)
	script := fmt.Sprintf("#!/bin/sh\nexec nsenter --target=%s %s -- \"$@\"\n", pid, strings.Join(enter, " "))
	bin := filepath.Join(ts.Getenv("WORK"), ".online")
	ts.Check(os.MkdirAll(bin, 0o777))
	ts.Check(os.WriteFile(filepath.Join(bin, "online"), []byte(script), 0o777))
	settle()
	ts.Setenv("PATH", bin+string(filepath.ListSeparator)+ts.Getenv("PATH"))
}

// inventory FILE NAME... rewrites an inventory to one project on node-a with the
// names as its virtual hosts.
func inventory(ts *testscript.TestScript, _ bool, args []string) {
	text, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	var doc map[string]any
	ts.Check(json.Unmarshal(text, &doc))
	at := func(m map[string]any, path ...string) map[string]any {
		for _, name := range path {
			next, ok := m[name].(map[string]any)
			if !ok {
				next = map[string]any{}
				m[name] = next
			}
			m = next
		}
		return m
	}
	environments := at(doc, "projects", "acme__site", "environments")
	for name := range environments {
		if name != "main" {
			delete(environments, name)
		}
	}
	hosts := at(doc, "projects", "acme__site", "environments", "main", "virtualHosts")
	clear(hosts)
	owners := at(doc, "provider", "domains")
	for _, host := range args[1:] {
		owners[domains.Registrable(host)] = "acme"
		hosts[host] = map[string]any{"enableLetsEncrypt": true, "locations": map[string]any{}}
	}
	options := at(doc, "provider", "cloudflare")
	clear(options)
	options["enable"], options["apiTokenSecret"] = true, "cloudflare/token"
	text, err = json.Marshal(doc)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o666))
}

func awaitLine(ts *testscript.TestScript, path string) string {
	line, whole := "", false
	if !testenv.Poll(func() bool {
		text, _ := os.ReadFile(path)
		line, _, whole = strings.Cut(string(text), "\n")
		return whole
	}) {
		ts.Fatalf("no program writes %s", path)
	}
	return line
}
