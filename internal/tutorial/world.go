package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/examples"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

// Paths and addresses in the namespaces of the tutorial.
const (
	dir      = "/run/tutorial"
	provider = dir + "/provider"
	bin      = "/run/tutorial-bin"
)

const (
	domain    = "hosting.example.net"
	elsewhere = "192.4.7.9" // the address of a name that its customer has not changed yet
)

var machines = []fleet.Machine{{Name: "node-a", Address: "192.4.0.1"}, {Name: "node-b", Address: "192.4.0.2"}}

// hostsOf has the virtual hosts of the customers, and the node of each.
var hostsOf = map[string]int{
	"acme.example.com": 0, "www.acme.example.com": 0, "site-main-b7ea262." + domain: 0,
	"staging.acme.example.com": 1, "site-staging-d6e4934." + domain: 1, "site-search-e299ccb." + domain: 1,
	"portal.beta.example.org": 0, "old-portal.beta.example.org": 0, "portal-production-24ba128." + domain: 0,
	"uat.portal.beta.example.org": 1, "portal-uat-4ecd082." + domain: 1,
}

// late is the host whose DNS its customer changes during the tutorial.
const late = "old-portal.beta.example.org"

var (
	//go:embed deploy-rs.nix
	deployRs string
	//go:embed switch.sh
	switchScript string
)

// A world is the fleet and the environment variables of the tutorial shell.
type world struct {
	fleet *fleet.Fleet
	env   []string
}

// open makes the world from a checkout of this repository, and from a folder with
// the programs activate, deploy and hostenv-provider.
func open(ctx context.Context, checkout, programs string) (_ *world, err error) {
	w := &world{}
	if w.fleet, err = fleet.StartBare(filepath.Join(programs, "activate"), machines...); err != nil {
		return nil, err
	}
	if err := w.prepare(ctx, checkout, programs); err != nil {
		w.fleet.End()
		return nil, fmt.Errorf("make the tutorial's provider: %w", err)
	}
	return w, nil
}

func (w *world) prepare(ctx context.Context, checkout, programs string) error {
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	for name, program := range map[string]string{"mage": "hostenv-provider", "hostenv-provider": "hostenv-provider", "deploy": "deploy"} {
		if err := os.Symlink(filepath.Join(programs, program), filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	w.env = slices.DeleteFunc(w.fleet.Env(), func(kv string) bool { return strings.HasPrefix(kv, "PATH=") })
	w.env = append(w.env, "PATH="+bin+":"+os.Getenv("PATH"), "NO_COLOR=1", "GIT_PAGER=cat", "HOSTENV_SIGNING_KEY_FILE="+w.fleet.SigningKey)
	for _, role := range []string{"AUTHOR", "COMMITTER"} {
		w.env = append(w.env, "GIT_"+role+"_NAME=you", "GIT_"+role+"_EMAIL=you@"+domain)
	}
	options, err := w.options(checkout)
	if err != nil {
		return err
	}
	if err := examples.Make(ctx, dir, options); err != nil {
		return err
	}
	return errors.Join(writeDNS(), serve(w.fleet.Nodes))
}

// options turns the example into a provider of these machines, with names and
// addresses that Let's Encrypt accepts.
func (w *world) options(checkout string) (examples.Options, error) {
	public, err := os.ReadFile(w.fleet.SSHKey + ".pub")
	if err != nil {
		return examples.Options{}, err
	}
	rename := []string{
		"hosting.example", domain, "acme.example", "acme.example.com", "beta.example", "beta.example.org",
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIpV594cTdpe+o1y0IiFHricBDmVkjMpBQoyJeYIqCeo deploy@hosting.example", strings.TrimSpace(string(public)),
		"deployUser = \"deploy\";", fmt.Sprintf("deployUser = \"deploy\";\n      nixSigning.trustedPublicKeys = [ %q ];\n\n      # The tutorial's nodes have coreutils on PATH, and none of nixpkgs.\n      pkgsFor = null;\n", w.fleet.PublicKey),
	}
	for i, n := range w.fleet.Nodes {
		rename = append(rename, fmt.Sprintf("address = \"192.0.2.%d\";", 10*(i+1)), fmt.Sprintf("address = %q; hostKey = %q;", n.Address, n.HostKey))
	}
	return examples.Options{
		Library: checkout, Env: w.env, Rename: strings.NewReplacer(rename...),
		Files: map[string]string{"inputs/deploy-rs/flake.nix": deployRs, "inputs/deploy-rs/switch.sh": switchScript},
	}, nil
}

// writeDNS writes the DNS facts at the beginning, and those after a customer changes
// DNS.
func writeDNS() error {
	nodes, names := map[string]string{}, map[string]string{}
	for _, m := range machines {
		nodes[m.Name+"."+domain] = m.Address
	}
	hosts, err := os.OpenFile("/etc/hosts", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer hosts.Close()
	for host, node := range hostsOf {
		names[host] = machines[node].Address
		if _, err := fmt.Fprintf(hosts, "%s %s\n", machines[node].Address, host); err != nil {
			return err
		}
	}
	for _, file := range []string{"dns-later.json", "dns.json"} {
		data, err := dnsFacts(nodes, names)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o644); err != nil {
			return err
		}
		names[late] = elsewhere
	}
	return nil
}

// serve answers for the nodes at port 80, in place of nginx. The answer is the page
// in the home of the user whose virtual host is requested.
func serve(nodes []*fleet.Node) error {
	for _, n := range nodes {
		listener, err := net.Listen("tcp", net.JoinHostPort(n.Address, "80"))
		if err != nil {
			return err
		}
		go func() {
			_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // for the length of a tutorial
				page, err := pageOf(n, r.Host)
				if err != nil {
					http.Error(w, fmt.Sprintf("%s does not serve %s", n.Name, r.Host), http.StatusNotFound)
					return
				}
				_, _ = w.Write(page)
			}))
		}()
	}
	return nil
}

func pageOf(n *fleet.Node, host string) ([]byte, error) {
	list, err := os.ReadFile(n.Path("/etc/hostenv-hosts"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(list)) {
		if name, user, _ := strings.Cut(strings.TrimSpace(line), " "); name == host {
			return os.ReadFile(n.Path("/home/" + user + "/page"))
		}
	}
	return nil, os.ErrNotExist
}
