package nixosnodes_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/fakecloudflare"
	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
)

// Each node orders one certificate for all generated names, by DNS-01 through
// Cloudflare, in place of one for each environment. Sites keep their certificates until
// the node has it.
func TestWildcard(t *testing.T) {
	t.Parallel()
	nixosnode.NeedLego(t)
	s := begin(t, "node-a", "node-b")
	cloudflare := s.StartCloudflare(t)
	const (
		own    = "www.example.org" // has a certificate of its own, by HTTP-01
		domain = "*." + nixosnode.Domain
		wrong  = "zibeth-51-no-token"
	)
	// While the node's lego asks Cloudflare, no process has a token among its arguments or in
	// its environment.
	asked := 0
	cloudflare.Fault = func(*http.Request) (none fakecloudflare.Fault) {
		legos, exposed := exposing(fakecloudflare.Token, wrong)
		if legos > 0 {
			asked++
		}
		for _, process := range exposed {
			t.Errorf("a process has the token: %s", process)
		}
		return none
	}
	shop := nixosnode.Customer{Organisation: "acme", Project: "shop", Environments: map[string]nixosnode.Environment{
		"main": {Type: "production", VirtualHosts: map[string]any{own: map[string]any{"enableLetsEncrypt": true}}},
	}}
	s.Provider.Set(t, "placement", `{ beta__portal = "node-b"; }`)
	s.Provider.Add(t, shop, nixosnode.Customer{Organisation: "acme", Project: "blog"}, nixosnode.Customer{Organisation: "beta", Project: "portal"})

	gated := func() string {
		t.Helper()
		s.mage(0, "plan")
		s.pointAll()
		return s.mage(0, "dnsGate").Stdout
	}
	gated()
	s.mage(0, "deploy")
	sites := map[string]string{} // by host
	for _, site := range [][3]string{{"acme", "shop", "node-a"}, {"acme", "blog", "node-a"}, {"beta", "portal", "node-b"}} {
		host := s.host(site[0], site[1])
		sites[host] = site[2]
		s.certificate(s.Node(site[2]), host, 0)
		s.serves("https://"+host+"/", site[0]+"__"+site[1])
	}
	s.certificate(s.Node("node-a"), own, 0)
	before := map[string]int{}
	for host := range sites {
		before[host] = s.CA().Validations(host)
	}

	// With a token that Cloudflare refuses the order fails, within the switch. Both nodes
	// go back, and all sites keep their certificates.
	s.Provider.Set(t, "wildcard", `{ enable = true; apiTokenSecret = "cloudflare/acme_token"; }`)
	s.Provider.Secrets(t, map[string]map[string]string{"cloudflare": {"acme_token": wrong}})
	s.Provider.Commit(t)
	told := gated()
	contains(t, told, "wildcard "+domain+": 2 in place of 3 certificates", own)
	for host := range sites {
		if strings.Contains(told, host) {
			t.Errorf("the gate judges %s:\n%s", host, told)
		}
	}
	failed := s.Operator.Mage(t, "deploy")
	if failed.Code == 0 {
		t.Errorf("the deploy succeeds without a certificate:\n%s", failed.Stdout)
	}
	for host, node := range sites {
		if names := s.namesOf(s.Node(node), host); !slices.Equal(names, []string{host}) {
			t.Errorf("%s is served with the certificate of %v", host, names)
		}
		if code, _, err := s.get("https://" + host + "/"); err != nil || code != http.StatusOK {
			t.Errorf("https://%s: %d %v", host, code, err)
		}
	}

	// With the right one, every node has its certificate before it serves a site with it.
	s.Provider.Secrets(t, map[string]map[string]string{"cloudflare": {"acme_token": fakecloudflare.Token}})
	s.Provider.Commit(t)
	gated()
	var output strings.Builder
	deploy := s.mage(0, "deploy")
	output.WriteString(deploy.Stdout + deploy.Stderr)
	for host, node := range sites {
		want := []string{domain, node + ".certificate." + nixosnode.Domain}
		if names := s.namesOf(s.Node(node), host); !slices.Equal(names, want) {
			t.Errorf("%s is served with the certificate of %v, want %v", host, names, want)
		}
		s.issued(s.Node(node), host, "Pebble")
		if code, _, err := s.get("https://" + host + "/"); err != nil || code != http.StatusOK {
			t.Errorf("https://%s: %d %v", host, code, err)
		}
		// Plain HTTP leads to HTTPS, and there is the token, which the gate asks for once the
		// site has a certificate of its own again.
		const token = "/.well-known/acme-challenge/hostenv-provider"
		for _, path := range []string{"/", token} {
			if code, _, err := s.get("http://" + host + path); err != nil || code != http.StatusMovedPermanently {
				t.Errorf("http://%s%s: %d %v", host, path, code, err)
			}
		}
		if _, body, err := s.get("https://" + host + token); err != nil || strings.TrimSpace(body) != s.Node(node).PublicName+" "+host {
			t.Errorf("https://%s has the token %q, %v", host, body, err)
		}
		if now := s.CA().Validations(host); now != before[host] {
			t.Errorf("%s was ordered %d times by HTTP-01", host, now-before[host])
		}
	}
	if names := s.namesOf(s.Node("node-a"), own); !slices.Equal(names, []string{own}) {
		t.Errorf("%s is served with the certificate of %v", own, names)
	}
	cloudflare.Mu.Lock()
	if asked == 0 {
		t.Error("no lego was seen that asks Cloudflare")
	}
	cloudflare.Mu.Unlock()
	if left := cloudflare.All("023e105f4ecef8ad9ca31a8372d0c353"); len(left) != 0 {
		t.Errorf("records of challenges are left: %v", left)
	}
	result := s.mage(0, "status")
	t.Log(result.Stdout)
	output.WriteString(result.Stdout + result.Stderr)
	contains(t, result.Stdout, "3 certificates are valid") // one for each node, and own

	// A new environment is served at once, without an order.
	issued := strings.Count(s.CA().Log(), "Issued certificate")
	s.Provider.Add(t, nixosnode.Customer{Organisation: "gamma", Project: "wiki"})
	gated()
	s.mage(0, "deploy")
	wiki := s.host("gamma", "wiki")
	if names := s.namesOf(s.Node("node-a"), wiki); !slices.Contains(names, domain) {
		t.Errorf("%s is served with the certificate of %v", wiki, names)
	}
	s.serves("https://"+wiki+"/", "gamma__wiki")
	if now := strings.Count(s.CA().Log(), "Issued certificate"); issued == 0 || now != issued {
		t.Errorf("a new environment has the CA issue %d certificates, of %d", now-issued, issued)
	}

	// Only root can read the token on a node, and it is nowhere else.
	for _, n := range s.Nodes {
		if got := n.Run(t, "stat", "-L", "-c", "%U %G %a", "/run/secrets/hostenv-wildcard/_wildcard."+nixosnode.Domain); got != "root root 400" {
			t.Errorf("on %s the token is %s", n.Name, got)
		}
		if got := n.Run(t, "stat", "-c", "%U %G %a", "/var/lib/acme/_wildcard."+nixosnode.Domain+"/key.pem"); got != "acme nginx 640" {
			t.Errorf("on %s the key is %s", n.Name, got)
		}
		for _, token := range []string{fakecloudflare.Token, wrong} {
			if found := n.Run(t, "sh", "-c", "grep -rlF -e "+token+" /nix /etc /var /home /tmp; journalctl --no-pager --output=export | grep -F -e "+token+"; true"); found != "" {
				t.Errorf("%s has the token in %s", n.Name, found)
			}
		}
		s.healthy(n)
	}
	if strings.Contains(output.String(), fakecloudflare.Token) || strings.Contains(s.Provider.Read(t, "generated/plan.json"), fakecloudflare.Token) {
		t.Error("the token was printed, or is in the plan")
	}
	if found := s.Operator.Run(t, "sh", "-c", "grep -rlF -e "+fakecloudflare.Token+" /nix/store /srv/provider; true"); found != "" {
		t.Errorf("the operator has the token in %s", found)
	}

	// Without the option each site has a certificate of its own again.
	s.Provider.Set(t, "wildcard", "")
	s.Provider.Commit(t)
	gated()
	s.mage(0, "deploy")
	for host, node := range sites {
		nixosnode.Eventually(t, "a certificate of "+host, func() error {
			if names := s.namesOf(s.Node(node), host); !slices.Equal(names, []string{host}) {
				return fmt.Errorf("it is served with the certificate of %v", names)
			}
			return nil
		})
		s.issued(s.Node(node), host, "Pebble")
	}
}

// exposing returns how many processes, on all nodes, are lego with a DNS provider, and
// those that have one of the texts among their arguments or in their environment.
func exposing(texts ...string) (legos int, exposed []string) {
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		arguments, _ := os.ReadFile(process + "/cmdline") // the process may have ended
		environment, _ := os.ReadFile(process + "/environ")
		program, _, _ := bytes.Cut(arguments, []byte{0})
		if filepath.Base(string(program)) == "lego" && bytes.Contains(arguments, []byte("\x00--dns\x00")) {
			legos++
		}
		for _, text := range texts {
			if bytes.Contains(arguments, []byte(text)) || bytes.Contains(environment, []byte(text)) {
				exposed = append(exposed, strings.ReplaceAll(string(arguments), "\x00", " "))
			}
		}
	}
	return legos, exposed
}

// namesOf returns the names of the certificate that a node serves a host with.
func (s *labTest) namesOf(n *nixosnode.Node, host string) []string {
	s.t.Helper()
	conn, err := tls.Dial("tcp", net.JoinHostPort(n.Address, "443"), &tls.Config{ServerName: host, InsecureSkipVerify: true})
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].DNSNames
}
