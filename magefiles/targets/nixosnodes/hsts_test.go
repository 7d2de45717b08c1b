package nixosnodes_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
)

// A host with HSTS whose name moves away keeps its certificate on the node as long as
// that is valid. Orders that fail meanwhile do not fail a switch.
func TestHSTS(t *testing.T) {
	t.Parallel()
	s := begin(t, "node-a")
	n := s.Node("node-a")
	const (
		name  = "strict.example.org"
		alias = "more.example.org"
		away  = "192.4.200.1"
	)
	shop := func(aliases ...string) nixosnode.Customer {
		return nixosnode.Customer{Organisation: "acme", Project: "shop", Environments: map[string]nixosnode.Environment{
			"main": {Type: "production", VirtualHosts: map[string]any{name: map[string]any{
				"enableLetsEncrypt": true, "hsts": true, "serverAliases": append([]string{}, aliases...),
			}}},
		}}
	}
	s.Provider.Set(t, "frontDoor", `{ raw = [ "acme" ]; }`)
	s.Provider.Add(t, shop())
	s.mage(0, "plan")
	s.pointAll()
	s.mage(0, "dnsGate")
	s.mage(0, "deploy")
	s.certificate(n, name, 0)
	s.issued(n, name, "Pebble")

	// The name moves away. The certificate stays on, until it ends.
	s.DNS.Set(name, away)
	result := s.mage(0, "dnsGate")
	t.Log(result.Stdout)
	contains(t, result.Stdout, "a-mismatch", "on until", "Out of reach (HSTS)", "acme__shop")
	s.mage(0, "deploy")
	s.issued(n, name, "Pebble")

	// Another name is added, so the node orders anew, which fails.
	s.Provider.Add(t, shop(alias))
	s.mage(0, "plan")
	s.point(n, alias)
	const facts = "/root/facts.json"
	contains(t, s.mage(0, "dnsGate", "-record="+facts).Stdout, "on until")
	s.mage(0, "deploy")
	s.certificate(n, name, 1)
	s.issued(n, name, "Pebble")
	s.healthy(n)

	// The certificate has ended: the host is off, and still in the list.
	var recorded dnsgate.Facts
	text, err := os.ReadFile(s.Operator.Path(facts))
	if err == nil {
		err = json.Unmarshal(text, &recorded)
	}
	if err != nil {
		t.Fatal(err)
	}
	served := recorded.Served[name]
	if served == nil || served.Error != "" || !strings.Contains(served.HSTS, "max-age=") {
		t.Fatalf("the gate saw %+v", served)
	}
	const ended = "2026-01-02T03:04:05Z"
	served.NotAfter = ended
	if text, err = recorded.Encode(); err == nil {
		err = os.WriteFile(s.Operator.Path(facts), text, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	contains(t, s.mage(0, "dnsGate", "-facts="+facts).Stdout, "off (was on)", "Out of reach (HSTS)", ended)
	s.mage(0, "deploy")
	s.answersPlainly(n, name, "acme__shop")

	// The name comes back, and so does the certificate.
	s.point(n, name)
	if out := s.mage(0, "dnsGate").Stdout; strings.Contains(out, "Out of reach") {
		t.Errorf("a name that passes is out of reach:\n%s", out)
	}
	s.mage(0, "deploy")
	s.certificate(n, name, 0)
	s.serves("https://"+name+"/", "acme__shop")
}
