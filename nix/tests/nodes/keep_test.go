package nodes_test

import (
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// TestKeepsCertificate evaluates the plans that the DNS gate makes of a host with HSTS.
// While its certificate is kept, the node serves it as before, and no switch starts the
// order that would fail. After that the host answers over plain HTTP, without the header.
func TestKeepsCertificate(t *testing.T) {
	const strict = "strict.example.com" // no certificate has a name below .test
	result, err := planned(t, customers(map[string]any{strict: map[string]any{"hsts": true, "security": map[string]any{"hsts": true}}}))
	if err != nil {
		t.Fatal(err)
	}
	const end = "2027-01-15T00:00:00Z"
	served := map[string]*dnsgate.Served{strict: {Issuer: "CN=R12", Subject: "CN=" + strict, Names: []string{strict}, NotAfter: end}}
	gate := func(d plan.Document, result dnsgate.Result, reason dnsgate.Reason, now string) plan.Document {
		t.Helper()
		verdict := dnsgate.Verdict{Result: result, Reason: reason, Name: strict}
		gated, err := dnsgate.Gate(d, map[string]dnsgate.Verdict{strict: verdict}, dnsgate.Policy{Now: now, Served: served})
		if err != nil {
			t.Fatal(err)
		}
		return gated.Plan
	}
	passed := gate(result.Plan, dnsgate.Pass, dnsgate.ReasonAMatch, "2026-11-01T00:00:00Z")
	kept := gate(passed, dnsgate.Fail, dnsgate.ReasonAMismatch, "2026-12-01T00:00:00Z")
	equal(t, "keepUntil", kept.DNSGate[strict].KeepUntil, end)
	ended := gate(kept, dnsgate.Fail, dnsgate.ReasonAMismatch, "2027-01-16T00:00:00Z")

	nodes := map[string]node{}
	for name, d := range map[string]plan.Document{"passed": passed, "kept": kept, "ended": ended} {
		nodes[name] = node{Plan: write(t, name+".json", string(d.Encode())), Node: nodeName, Provider: map[string]any{}}
	}
	got, err := evaluate[values](t, "values", nodes)
	if err != nil {
		t.Fatal(err)
	}
	host := got["kept"].VirtualHosts[strict]
	if !host.ForceSSL || !strings.Contains(host.ExtraConfig, "Strict-Transport-Security") {
		t.Errorf("the kept host is %+v", host)
	}
	equal(t, "the kept host", host, got["passed"].VirtualHosts[strict])
	equal(t, "the kept certificates", got["kept"].Certificates, got["passed"].Certificates)
	equal(t, "what starts an order", got["kept"].Certificates[strict].StartedBy, []string{"acme-finished-" + strict + ".target"})
	equal(t, "what starts the target of an order", got["kept"].Reached["acme-finished-"+strict], []string{})

	host = got["ended"].VirtualHosts[strict]
	if _, ordered := got["ended"].Certificates[strict]; ordered || host.ForceSSL || strings.Contains(host.ExtraConfig, "Strict-Transport-Security") {
		t.Errorf("the host whose certificate ended has a certificate: %v, and is %+v", ordered, host)
	}
	for _, name := range []string{"kept", "ended"} {
		equal(t, name+": assertions", got[name].Assertions, got["passed"].Assertions)
	}
}
