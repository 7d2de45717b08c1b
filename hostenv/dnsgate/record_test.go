package dnsgate

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
)

// A program that embeds the judge and the gate needs no DNS library and no Mage.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Skip("skipped, because go is missing:", err)
	}
	for dep := range strings.Lines(string(out)) {
		for _, unwanted := range []string{"miekg/dns", "cloudflare", "magefile", "os/exec"} {
			if strings.Contains(dep, unwanted) {
				t.Errorf("the package imports %s", strings.TrimSpace(dep))
			}
		}
	}
}

func TestRecord(t *testing.T) {
	facts := world(aaaa(failed(ErrorServFail, 6)), probe(ProbeFacts{Hops: []Hop{{Status: 301, URL: "http://x/"}}, Reached: true}))
	text, err := facts.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeFacts(text)
	if err != nil {
		t.Fatal(err)
	}
	if text2, err := again.Encode(); err != nil || !bytes.Equal(text, text2) {
		t.Errorf("the second record differs:\n%s\n%s", text, text2)
	}
	for _, c := range []struct{ text, why string }{
		{``, "empty"},
		{`{}`, "no version"},
		{`{"formatVersion":2}`, "another version"},
		{`{"formatVersion":1,"formatVersion":1}`, "a key twice"},
		{`{"formatVersion":1,"names":{"a":null}}`, "no facts of a name"},
		{`{"formatVersion":1,"nodes":{"a":null}}`, "no facts of a node"},
		{`{"formatVersion":1,"names":7}`, "another type"},
		{`{"formatVersion":1} x`, "text after the end"},
	} {
		if _, err := DecodeFacts([]byte(c.text)); err == nil {
			t.Errorf("%s is accepted: %s", c.text, c.why)
		}
	}
}

// Texts of hostile servers cannot stop the gate, control the terminal or fill the plan.
func TestHostileTexts(t *testing.T) {
	const evil = "\xff\x1b[2J\u202e\x00"
	long := strings.Repeat("x", 1<<20)
	for name, facts := range map[string]*Facts{
		"CAA tag":      world(caaAt(host, caa("128 "+evil+" x"))),
		"CAA value":    world(caaAt(host, caa("0 issue "+strings.ReplaceAll(evil, " ", "")))),
		"headers":      world(a(has(else4)), probe(ProbeFacts{Status: 404, Server: evil, ContentType: evil}), own(ProbeFacts{Status: 404, Server: evil, ContentType: evil})),
		"redirect":     world(a(has(else4)), probe(ProbeFacts{Status: 404, Hops: []Hop{{301, "http://" + evil, else4}}})),
		"error":        world(a(has(else4)), probe(ProbeFacts{Error: "malformed MIME header line: " + evil})),
		"long headers": world(a(has(else4)), probe(ProbeFacts{Status: 404, Server: long}), own(ProbeFacts{Status: 404, Server: long})),
		"long error":   world(a(has(else4)), probe(ProbeFacts{Error: long})),
		"long CAA":     world(caaAt(host, caa("128 tbs "+long))),
	} {
		v := Judge(facts, asks())
		if v.Result == Pass {
			t.Errorf("%s: it passes", name)
		}
		plan := gated(t, planOf(asking{host, "u", "n1", true}), v, Policy{}, host)
		if text := plan.Encode(); len(text) > 8<<10 {
			t.Errorf("%s: the plan has %d bytes", name, len(text))
		} else if _, err := canonjson.Decode(text); err != nil {
			t.Errorf("%s: the plan cannot be read: %v", name, err)
		}
		for _, text := range []string{v.Text(""), Explain(facts, asks())} {
			if odd := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); odd >= 0 || !utf8.ValidString(text) {
				t.Errorf("%s: it shows %q", name, text)
			}
		}
	}
}

func TestExplain(t *testing.T) {
	facts := world(a(has(else4)), dials(map[string]Dial{else6: DialRefused}), probe(ProbeFacts{Status: 404}),
		servers(server("ns2", has(else4), has()), silent("ns1", ErrorTimeout)))
	text := Explain(facts, asks("*.example.com"))
	for _, want := range []string{
		host + " on " + nodeName + ": fail, a-mismatch\n",
		"  " + host + " A: " + else4 + "\n",
		"  fix: ",
		"node " + nodeName + "\n",
		"  ns1 192.4.1.2:53: A timeout; AAAA timeout; CNAME timeout\n",
		"  CAA of example.com: no such record\n",
		"  port 80 of " + else6 + ": refused\n",
		"  probe of 192.4.0.99: status 404, not by the node\n",
		"name *.example.com: fail, wildcard-needs-dns01\n  not looked up\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the explanation lacks %q:\n%s", want, text)
		}
	}
	if text := Explain(nil, asks()); !strings.Contains(text, "unknown") {
		t.Errorf("without facts it says %q", text)
	}
}

// Ten thousand virtual hosts are judged and gated.
func BenchmarkGate(b *testing.B) {
	var hosts []asking
	facts := &Facts{Nodes: world().Nodes, Names: map[string]*NameFacts{}}
	for i := range 10_000 {
		name := strings.Repeat("a", 1+i%7) + "." + strings.Repeat("b", 1+i%50) + ".z" + string(rune('a'+i%26)) + strings.Repeat("c", 1+i/1000) + ".com"
		if facts.Names[name] != nil {
			continue
		}
		hosts = append(hosts, asking{name, "u", "n1", true})
		facts.Names[name] = named(name)
	}
	plan := planOf(hosts...)
	for b.Loop() {
		verdicts := map[string]Verdict{}
		for _, h := range hosts {
			verdicts[h.host] = Judge(facts, Request{Host: h.host, Node: nodeName, Proxies: Proxies})
		}
		if _, err := Gate(plan, verdicts, Policy{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(hosts)), "hosts")
}
