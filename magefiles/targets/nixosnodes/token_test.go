package nixosnodes_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
)

// Each node serves its token beside the challenges of its certificates, for every
// virtual host of an environment, and the gate sees by it that a name behind a proxy
// leads to the node.
func TestToken(t *testing.T) {
	t.Parallel()
	s := begin(t, "node-a")
	n := s.Node("node-a")
	const (
		direct   = "direct.example.org"
		behind   = "behind.example.org"   // a proxy that the gate does not know is in front of the node
		stranger = "stranger.example.org" // another web server has it
		plain    = "plain.example.org"    // asks for no certificate
		unknown  = "unknown.example.org"  // no environment has it
		path     = dnsgate.ChallengePath + dnsgate.Token
		file     = "/var/lib/acme/acme-challenge" + path
	)
	host := func(certificate bool) map[string]any {
		return map[string]any{"enableLetsEncrypt": certificate}
	}
	s.Provider.Add(t, nixosnode.Customer{Organisation: "acme", Project: "shop", Environments: map[string]nixosnode.Environment{
		"main": {Type: "production", VirtualHosts: map[string]any{
			direct: host(true), behind: host(true), stranger: host(true), plain: host(false),
		}},
	}})
	proxy := s.Elsewhere(t, n.Forward())
	other := s.Elsewhere(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "another site") }))

	// token asks an address for the token, with the name of a host.
	token := func(address, host string) string {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		status, body, err := answered(s.Client().Do(request))
		if err != nil {
			return "no answer"
		}
		return fmt.Sprint(status, " ", body)
	}
	served := func(host, want string) {
		t.Helper()
		if got := token(n.Address, host); got != want {
			t.Errorf("for %s the node answers %q, want %q", host, got, want)
		}
	}
	// kept checks the file, and who may write what is around it.
	kept := func(when string) {
		t.Helper()
		if got := n.Run(t, "cat", file); got != n.PublicName {
			t.Errorf("%s the file of the token holds %q, want %s", when, got, n.PublicName)
		}
		if got := n.Run(t, "stat", "-c", "%a", file); got != "644" {
			t.Errorf("%s its mode is %s", when, got)
		}
		for _, folder := range []string{"", "/.well-known", strings.TrimSuffix(dnsgate.ChallengePath, "/")} {
			folder = "/var/lib/acme/acme-challenge" + folder
			// lego's user writes challenges there, and nginx's reads them.
			if got := n.Run(t, "stat", "-c", "%U %G %a", folder); got != "acme nginx 755" && got != "acme acme 755" {
				t.Errorf("%s %s is %s", when, folder, got)
			}
		}
		for user, may := range map[string]bool{"acme": true, "nginx": false, s.user("acme", "shop"): false, "deploy": false} {
			_, err := n.Exec("setpriv", "--reuid="+user, "--regid="+user, "--clear-groups", "test", "-w", strings.TrimSuffix(file, "/"+dnsgate.Token))
			if (err == nil) != may {
				t.Errorf("%s the user %s may write challenges: %v, want %v", when, user, err == nil, may)
			}
		}
		if said := n.Run(t, "sh", "-c", "journalctl --quiet --no-pager --output=cat _COMM=systemd-tmpfiles | grep acme; true"); said != "" {
			t.Errorf("%s systemd-tmpfiles says %s", when, said)
		}
	}

	// The node has no token yet for a name that was not deployed to it.
	s.mage(0, "plan")
	s.pointAll()
	s.DNS.Set(behind, proxy)
	s.DNS.Set(stranger, other)
	first := s.mage(0, "dnsGate", "-live", "-allowFlips").Stdout
	contains(t, first, "a-match", "fail     "+behind, "fail     "+stranger)
	s.mage(0, "deploy")
	kept("after the first switch")
	s.certificate(n, direct, 0)
	kept("after the first orders")

	generated := s.host("acme", "shop")
	for _, host := range []string{direct, generated} { // with a certificate, and all else redirected to HTTPS
		served(host, "200 "+n.PublicName)
	}
	for _, host := range []string{plain, behind, stranger} { // a token of a virtual host alone
		served(host, "200 "+n.PublicName+" "+host)
	}
	// A challenge for a name that no environment has would fail: the token must not come.
	served(unknown, "no answer")
	if got, want := token(proxy, behind), "200 "+n.PublicName+" "+behind; got != want {
		t.Errorf("the proxy answers %q, want %q", got, want)
	}

	// By now the node proves that the proxy leads to it, and that the other server does not.
	contains(t, s.mage(0, "dnsGate", "-explain="+behind).Stdout, n.PublicName)
	second := s.mage(0, "dnsGate", "-live").Stdout
	t.Log(second)
	contains(t, second, "elsewhere-but-forwards-challenge", "fail     "+stranger)
	s.mage(0, "deploy")
	s.certificate(n, behind, 0)
	s.issued(n, behind, "Pebble")
	served(behind, "200 "+n.PublicName)
	kept("after an order through the proxy")
	if orders := s.CA().Validations(stranger); orders != 0 {
		t.Errorf("%d orders for a name that leads elsewhere", orders)
	}
	// Nothing changes by a second look, which takes the token from the file by now.
	contains(t, s.mage(0, "dnsGate").Stdout, "the plan stays as it is")

	n.Reboot(t)
	kept("after a reboot")
	s.healthy(n)
}
