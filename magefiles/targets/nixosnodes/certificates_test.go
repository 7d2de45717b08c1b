package nixosnodes_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
)

// From DNS to certificates: nodes order a certificate if the gate passes its name,
// and none if the gate fails it. A name whose order fails does not affect others.
func TestCertificates(t *testing.T) {
	t.Parallel()
	s := begin(t, "node-a")
	n := s.Node("node-a")
	const (
		// Its certificate is the first of all by name, which NixOS has make the
		// account for all others.
		moving = "again.example.org"
		later  = "later.example.org"
		alias  = "more.example.org"
		away   = "192.4.200.1"
	)
	host := func(aliases ...string) map[string]any {
		return map[string]any{"enableLetsEncrypt": true, "serverAliases": append([]string{}, aliases...)}
	}
	portal := nixosnode.Customer{Organisation: "beta", Project: "portal", Environments: map[string]nixosnode.Environment{
		"main": {Type: "production", VirtualHosts: map[string]any{moving: host()}},
	}}
	s.Provider.Set(t, "frontDoor", `{ raw = [ "acme" "beta" ]; }`)
	s.Provider.Add(t, portal, nixosnode.Customer{Organisation: "acme", Project: "shop", Environments: map[string]nixosnode.Environment{
		"main": {Type: "production", VirtualHosts: map[string]any{later: host()}},
	}})

	// One name has no address. Another one moves away after the gate has passed it.
	s.mage(0, "plan")
	s.pointAll()
	s.DNS.Set(later)
	contains(t, s.mage(0, "dnsGate").Stdout, "nxdomain")
	s.DNS.Set(moving, away)
	s.mage(0, "deploy")

	s.answersPlainly(n, later, "acme__shop")
	s.serves("https://"+s.host("acme", "shop")+"/", "acme__shop")
	s.serves("https://"+s.host("beta", "portal")+"/", "beta__portal")
	if orders := s.CA().Validations(later); orders != 0 {
		t.Errorf("%d orders for a name that the gate failed", orders)
	}
	if state := n.Unit(t, "acme-"+later+".service", "LoadState"); state != "not-found" {
		t.Errorf("a name that the gate failed has an order unit: %s", state)
	}
	s.certificate(n, moving, 1)
	s.issued(n, moving, "minica")
	if ordered, switched := s.when(n, "--unit=acme-"+moving+".service"), s.when(n, "--identifier=nixos", "--grep=^finished switching"); ordered < switched {
		t.Errorf("the first order begins at %f, within the switch, which ends at %f", ordered, switched)
	}
	s.certificate(n, s.host("acme", "shop"), 0)
	s.certificate(n, s.host("beta", "portal"), 0)
	result := s.mage(2, "status")
	if nixosnode.HasLego() { // Debian's says it otherwise
		s.shows("nodes.md", result)
	}
	status := result.Stdout
	t.Log(status)
	contains(t, status, "in-sync", moving+"  failed", "self-signed", "acme: error:", "hint: run `mage dnsGate`", "2 certificates are valid")
	s.healthy(n)

	// The order also fails at a boot: the node is up, and reports the failure. A power
	// cut came while another certificate was written, and nginx cannot start with that.
	s.longAgo(n, moving)
	n.Run(t, "cp", "/var/lib/acme/"+moving+"/key.pem", "/var/lib/acme/"+s.host("acme", "shop")+"/key.pem")
	n.PowerCut(t)
	n.Start(t)
	n.WaitUp(t)
	s.certificate(n, moving, 2)
	s.serves("https://"+s.host("acme", "shop")+"/", "acme__shop")
	s.healthy(n)

	// DNS is repaired. The timer orders the failed certificate again.
	if state := n.Unit(t, "hostenv-certificates.timer", "ActiveState"); state != "active" {
		t.Errorf("the timer is %s", state)
	}
	s.point(n, moving, later)
	s.longAgo(n, moving)
	n.Run(t, "systemctl", "start", n.Unit(t, "hostenv-certificates.timer", "Unit"))
	s.serves("https://"+moving+"/", "beta__portal")
	// The next run of the gate passes the name that it failed before.
	s.mage(0, "dnsGate")
	s.mage(0, "deploy")
	s.serves("https://"+later+"/", "acme__shop")
	s.certificate(n, later, 0)
	contains(t, s.mage(0, "status").Stdout, "4 certificates are valid")

	// The CA has lost its accounts, and a certificate gets another name.
	trusting := s.Client()
	s.StartPebble(t)
	portal.Environments["main"].VirtualHosts[moving] = host(alias)
	s.Provider.Add(t, portal)
	s.mage(0, "plan")
	s.pointAll()
	s.point(n, alias)
	s.mage(0, "dnsGate")
	s.mage(0, "deploy")
	s.certificate(n, moving, 1)
	response, err := trusting.Get("https://" + moving + "/")
	if err != nil {
		t.Fatalf("the old certificate is gone: %v", err)
	}
	response.Body.Close()
	status = s.mage(2, "status").Stdout
	t.Log(status)
	contains(t, status, moving+"  failed  valid until", "the CA does not know the node's account", "3 certificates are valid")
	s.healthy(n)
	_, hint, _ := strings.Cut(status, "hint: ")
	_, hint, _ = strings.Cut(hint, "`")
	forget, hint, _ := strings.Cut(hint, "`")
	_, hint, _ = strings.Cut(hint, "`")
	retry, _, _ := strings.Cut(hint, "`")
	for _, command := range []string{forget, retry} {
		n.Run(t, "sh", "-c", command)
	}
	s.serves("https://"+moving+"/", "beta__portal")
	s.serves("https://"+alias+"/", "beta__portal")

	// A new machine orders all certificates at its first boot.
	n.Reset(t)
	s.Install(t, n)
	for _, name := range []string{moving, alias, later, s.host("acme", "shop")} {
		s.issued(n, name, "Pebble")
	}
	s.healthy(n)
}

// certificate waits until a node reports, to any user, that it has a certificate,
// or that this many of its orders failed.
func (s *labTest) certificate(n *nixosnode.Node, name string, failures int) {
	s.t.Helper()
	nixosnode.Eventually(s.t, fmt.Sprintf("a certificate of %s, after %d failures", name, failures), func() error {
		var all []struct {
			Name, Issuer      string
			Ordering, Changed bool
			Failed            struct{ Times int }
		}
		out, err := n.Exec("setpriv", "--reuid=deploy", "--regid=deploy", "--clear-groups", "hostenv-certificates", "status")
		if err == nil {
			err = json.Unmarshal([]byte(out), &all)
		}
		if err != nil {
			return err
		}
		for _, c := range all {
			if c.Name == name && !c.Ordering && !c.Changed && c.Failed.Times == failures && (failures > 0 || c.Issuer == "ca") {
				return nil
			}
		}
		return errors.New(out)
	})
}

// when returns the time of the first line in a node's journal that matches.
func (s *labTest) when(n *nixosnode.Node, of ...string) float64 {
	s.t.Helper()
	lines := n.Run(s.t, append([]string{"journalctl", "--quiet", "--output=short-unix"}, of...)...)
	first, _, _ := strings.Cut(lines, " ")
	at, err := strconv.ParseFloat(first, 64)
	if err != nil {
		s.t.Fatalf("%v in the journal of %s: %v", of, n.Name, err)
	}
	return at
}

// answersPlainly waits until a node answers for a name over HTTP. It does not ask
// DNS for the node.
func (s *labTest) answersPlainly(n *nixosnode.Node, name, want string) {
	s.t.Helper()
	nixosnode.Eventually(s.t, "http://"+name, func() error {
		request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+n.Address+"/", nil)
		if err != nil {
			return err
		}
		request.Host = name
		response, err := s.Client().Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && (response.StatusCode != http.StatusOK || strings.TrimSpace(string(body)) != want) {
			err = fmt.Errorf("the node answers %s %q, want %q", response.Status, body, want)
		}
		return err
	})
}

// longAgo sets the last order of a certificate to a time long ago.
func (s *labTest) longAgo(n *nixosnode.Node, name string) {
	s.t.Helper()
	n.Run(s.t, "sed", "-i", `s/"tried":[0-9]*/"tried":1/`, "/var/lib/hostenv-certificates/"+name+".json")
}

// issued waits until a node serves a certificate of this issuer for a name.
func (s *labTest) issued(n *nixosnode.Node, name, issuer string) {
	s.t.Helper()
	nixosnode.Eventually(s.t, "a certificate of "+name, func() error {
		conn, err := tls.Dial("tcp", net.JoinHostPort(n.Address, "443"), &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		defer conn.Close()
		if got := conn.ConnectionState().PeerCertificates[0].Issuer.String(); !strings.Contains(got, issuer) {
			return fmt.Errorf("the issuer is %q, want %s", got, issuer)
		}
		return nil
	})
}

// healthy checks that no unit of a node failed.
func (s *labTest) healthy(n *nixosnode.Node) {
	s.t.Helper()
	if failed := n.Run(s.t, "systemctl", "--failed", "--no-legend", "--plain"); failed != "" {
		s.t.Errorf("units failed on %s: %s", n.Name, failed)
	}
}
