package nixosnodes_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
)

// Customers' wildcards have certificates by DNS-01, each through its own zone at
// Cloudflare and by its own token. One whose token is wrong harms no switch and no other
// customer, and only nodes with such a host have its token.
func TestWildcardsOfCustomers(t *testing.T) {
	t.Parallel()
	nixosnode.NeedLego(t)
	s := begin(t, "node-a", "node-b")
	a, b := s.Node("node-a"), s.Node("node-b")
	cloudflare := s.StartCloudflare(t)
	const (
		acmeToken, betaToken, wrong = "cfut_acme-83-zone", "cfut_beta-19-zone", "cfut_wrong-77-zone"
		acmeZone, betaZone          = "acme-shop.com", "beta-portal.com"
		acmeCertificate             = "_wildcard._." + acmeZone
		betaCertificate             = "_wildcard._." + betaZone
	)
	zones := []string{s.ZoneAtCloudflare(t, cloudflare, acmeZone, acmeToken), s.ZoneAtCloudflare(t, cloudflare, betaZone, betaToken)}
	asks := map[string]any{"enableLetsEncrypt": true}
	site := func(organisation, project string, hosts ...string) nixosnode.Customer {
		virtualHosts := map[string]any{}
		for _, host := range hosts {
			virtualHosts[host] = asks
		}
		return nixosnode.Customer{Organisation: organisation, Project: project, Environments: map[string]nixosnode.Environment{"main": {Type: "production", VirtualHosts: virtualHosts}}}
	}
	s.Provider.Set(t, "placement", `{ gamma__wiki = "node-b"; }`)
	s.Provider.Set(t, "domains", `{ "`+acmeZone+`" = "acme"; "`+betaZone+`" = "beta"; }`)
	s.Provider.Set(t, "wildcard", `{ zones."`+acmeZone+`".apiTokenSecret = "acme/cloudflare"; zones."`+betaZone+`".apiTokenSecret = "beta/cloudflare"; }`)
	secrets := func(beta string) {
		s.Provider.Secrets(t, map[string]map[string]string{"acme": {"cloudflare": acmeToken}, "beta": {"cloudflare": beta}})
		s.Provider.Commit(t)
	}
	secrets(wrong)
	s.Provider.Add(t, site("acme", "shop", "*."+acmeZone), site("beta", "portal", "*."+betaZone), site("gamma", "wiki"))

	gated := func() string {
		t.Helper()
		s.mage(0, "plan")
		s.pointAll()
		s.point(a, "www."+acmeZone, "www."+betaZone)
		return s.mage(0, "dnsGate").Stdout
	}
	told := gated()
	t.Log(told)
	for _, host := range []string{"*." + acmeZone, "*." + betaZone} {
		if !strings.Contains(told, host) {
			t.Errorf("the gate does not judge %s", host)
		}
	}
	contains(t, told, "zone-at-cloudflare")

	// The switch succeeds, whatever becomes of the orders. All other sites are served.
	s.mage(0, "deploy")
	s.issued(a, "www."+acmeZone, "Pebble")
	if names := s.namesOf(a, "www."+acmeZone); !slices.Equal(names, []string{"*." + acmeZone}) {
		t.Errorf("acme's site has the certificate of %v", names)
	}
	s.serves("https://www."+acmeZone+"/", "acme__shop")
	s.certificate(a, betaCertificate, 1)
	for _, customer := range [][3]string{{"acme", "shop", "node-a"}, {"beta", "portal", "node-a"}, {"gamma", "wiki", "node-b"}} {
		s.certificate(s.Node(customer[2]), s.host(customer[0], customer[1]), 0)
		s.serves("https://"+s.host(customer[0], customer[1])+"/", customer[0]+"__"+customer[1])
	}
	for _, n := range s.Nodes {
		s.healthy(n)
	}
	status := s.mage(2, "status").Stdout
	t.Log(status)
	contains(t, status, betaCertificate+"  failed", "check that its token (apiTokenSecret in provider.wildcard) may edit the zone")
	if strings.Contains(status, acmeCertificate+"  failed") {
		t.Error("acme's order failed too")
	}

	// With the right token the order succeeds.
	secrets(betaToken)
	gated()
	s.mage(0, "deploy")
	a.Run(t, "hostenv-certificates", "retry")
	s.issued(a, "www."+betaZone, "Pebble")
	if names := s.namesOf(a, "www."+betaZone); !slices.Equal(names, []string{"*." + betaZone}) {
		t.Errorf("beta's site has the certificate of %v", names)
	}
	s.serves("https://www."+betaZone+"/", "beta__portal")
	if code, _, err := s.get("http://www." + betaZone + "/"); err != nil || code != http.StatusMovedPermanently {
		t.Errorf("http://www.%s: %d %v", betaZone, code, err)
	}
	for _, zone := range zones {
		if left := cloudflare.All(zone); len(left) != 0 {
			t.Errorf("records of challenges are left: %v", left)
		}
	}

	// The node with these hosts has the tokens, for root alone, and the other one has none.
	for _, name := range []string{acmeCertificate, betaCertificate} {
		if got := a.Run(t, "stat", "-L", "-c", "%U %G %a", "/run/secrets/hostenv-wildcard/"+name); got != "root root 400" {
			t.Errorf("the token is %s", got)
		}
	}
	if found := b.Run(t, "sh", "-c", "ls -R /run/secrets/ /run/secrets.d/ 2>/dev/null | grep wildcard; true"); found != "" {
		t.Errorf("%s has %s", b.Name, found)
	}
	for _, token := range []string{acmeToken, betaToken, wrong} {
		for _, n := range s.Nodes {
			if found := n.Run(t, "sh", "-c", "grep -rlF -e "+token+" /nix /etc /var /home /tmp; journalctl --no-pager --output=export | grep -F -e "+token+"; true"); found != "" {
				t.Errorf("%s has a token in %s", n.Name, found)
			}
		}
		if strings.Contains(s.Provider.Read(t, "generated/plan.json"), token) {
			t.Error("the plan has a token")
		}
	}
}
