package endtoend_test

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

// A frontDoor answers at a node's public name.
type frontDoor struct {
	mu    sync.Mutex
	asked []string // hosts and paths
}

func openDoor(t *testing.T, n *fleet.Node, status func(host string) int) *frontDoor {
	t.Helper()
	d := &frontDoor{}
	l, err := net.Listen("tcp", net.JoinHostPort(n.PublicAddress, "80"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.asked = append(d.asked, r.Host+r.URL.Path)
		w.WriteHeader(status(r.Host))
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return d
}

// all returns the requests since the last call, sorted and without duplicates.
func (d *frontDoor) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := slices.Compact(slices.Sorted(slices.Values(d.asked)))
	d.asked = nil
	return asked
}

// After their activation, deploy checks environments at their node's public name.
// One that fails an enforced check and passed it before goes back, unless the operator
// keeps it. One that fails a check that is not enforced stays active.
func TestVerification(t *testing.T) {
	enforced := map[string]bool{"s1e1": true, "s1e2": false, "s2e1": true, "s2e2": true}
	w := newWorld(t, standIn(t), fleet.Options{Nodes: 2, Environments: 2, Inventory: func(inventory map[string]any) {
		for project, enforce := range enforced {
			environment := inventory["projects"].(map[string]any)["acme__"+project].(map[string]any)["environments"].(map[string]any)["main"].(map[string]any)
			// This one is served without TLS, as an environment without certificate.
			for _, host := range environment["virtualHosts"].(map[string]any) {
				host.(map[string]any)["enableLetsEncrypt"] = false
			}
			environment["deploymentVerification"] = map[string]any{"enable": true, "enforce": enforce, "checks": []any{map[string]any{
				"name": "health", "request": map[string]any{"path": "/health", "timeoutSeconds": 300},
				"constraints": []any{map[string]any{"rule": "maxHttpStatus", "value": 399}},
			}}}
		}
	}})
	status := map[string]int{}    // by host
	broken := map[string]string{} // the path with which a host has that status, "" for every path
	var mu sync.Mutex
	answer := func(n *fleet.Node) func(host string) int {
		return func(host string) int {
			mu.Lock()
			defer mu.Unlock()
			path := broken[host]
			if code := status[host]; code != 0 && (path == "" || n.Active(t, strings.TrimSuffix(host, "."+fleet.Domain)) == path) {
				return code
			}
			return 204
		}
	}
	set := func(user string, code int, path string) {
		mu.Lock()
		defer mu.Unlock()
		status[user+"."+fleet.Domain], broken[user+"."+fleet.Domain] = code, path
	}
	doors := []*frontDoor{openDoor(t, w.Nodes[0], answer(w.Nodes[0])), openDoor(t, w.Nodes[1], answer(w.Nodes[1]))}
	n1, n2 := w.Nodes[0].Users(), w.Nodes[1].Users()
	url := func(user string) string { return user + "." + fleet.Domain + "/health" }

	w.wants(w.deploy(), 0)
	for i, users := range [][]string{n1, n2} {
		if got, want := doors[i].all(), []string{url(users[0]), url(users[1])}; !slices.Equal(got, want) {
			t.Errorf("%s was asked for %q, want %q", w.Nodes[i].Name, got, want)
		}
	}
	doors[0].all() // the checks before the activation
	// Deploy does not check what it did not activate.
	w.wants(w.deploy(), 0)
	if asked := append(doors[0].all(), doors[1].all()...); len(asked) > 0 {
		t.Errorf("an unchanged fleet was asked for %q", asked)
	}

	// Two checks fail: an enforced one and one that is not enforced.
	w.Provider.SetVersion(t, "2")
	was := w.Nodes[0].Active(t, n1[0])
	paths := w.Provider.Paths(t)
	set(n1[0], 500, paths["n1/"+n1[0]])
	set(n1[1], 503, "")
	r := w.wants(w.deploy(), 3)
	contains(t, r.stdout,
		"n1 "+n1[0]+": 1 of 1 checks failed\n- http://"+url(n1[0])+": ", "back at the version before: works",
		"n1 "+n1[1]+": 1 of 1 checks failed, which is not enforced\n- http://"+url(n1[1])+": ",
		"failed (health)", "active, does not work", "5 activated, 1 failed")
	contains(t, r.stderr, "n1 "+n1[1]+": 1 of 1 checks failed, which is not enforced")
	if now := w.Nodes[0].Active(t, n1[0]); now != was {
		t.Errorf("%s is at %s, and was at %s", n1[0], now, was)
	}
	for _, p := range w.outcome().Profiles {
		if bad := p.Profile == n1[0]; p.Good() == bad || p.State == deploy.StateFailed != bad {
			t.Errorf("%s/%s is %s, and good: %v", p.Node, p.Profile, p.State, p.Good())
		}
	}
	w.wants(w.run("status"), 2)

	// The operator keeps it, to look at it.
	contains(t, w.wants(w.deploy("-keep"), 3).stdout, "active, does not work", "1 activated, 5 in sync")
	w.each(func(n *fleet.Node, profile string) {
		if got := n.Active(t, profile); got != paths[n.Name+"/"+profile] {
			t.Errorf("%s/%s is at %s", n.Name, profile, got)
		}
	})

	// A resumed run checks again what failed, and only that.
	set(n1[0], 200, "")
	doors[0].all()
	doors[1].all()
	contains(t, w.wants(w.deploy("-resume"), 0).stdout, "6 in sync")
	if got, want := doors[0].all(), []string{url(n1[0])}; !slices.Equal(got, want) {
		t.Errorf("the resumed run asked for %q, want %q", got, want)
	}
	if asked := doors[1].all(); len(asked) > 0 {
		t.Errorf("the resumed run asked for %q, which works", asked)
	}

	w.Provider.SetVersion(t, "3", "n1/"+n1[1])
	r = w.wants(w.deploy(), 0)
	contains(t, r.stdout, "which is not enforced", "1 activated, 5 in sync")

	set(n2[0], 500, "")
	doors[1].all()
	w.Provider.SetVersion(t, "4", "n2/"+n2[0])
	w.wants(w.deploy("-skipVerification"), 0)
	if asked := doors[1].all(); len(asked) > 0 {
		t.Errorf("without verification, the deploy asked for %q", asked)
	}

	// What failed before does not convict the new version.
	w.Provider.SetVersion(t, "5", "n2/"+n2[0])
	contains(t, w.wants(w.deploy("-env="+n2[0]), 0).stdout, "active, does not work, as before", "1 of 1 checks failed, as before the activation")

	// If every deployed environment fails its check, the run fails.
	w.Provider.SetVersion(t, "6", "n2/"+n2[0])
	set(n2[0], 500, w.Provider.Paths(t)["n2/"+n2[0]])
	was = w.Nodes[1].Active(t, n2[0])
	w.wants(w.deploy("-env="+n2[0]), 1)
	if now := w.Nodes[1].Active(t, n2[0]); now != was {
		t.Errorf("%s is at %s, and was at %s", n2[0], now, was)
	}
}

// Over TLS, deploy asks for the virtual host's name, and the certificate must be
// valid for it, unless the project accepts any certificate.
func TestVerificationOverTLS(t *testing.T) {
	check := func(mode string) map[string]any {
		return map[string]any{"enable": true, "enforce": true, "checks": []any{map[string]any{"request": map[string]any{"tlsMode": mode, "timeoutSeconds": 300}}}}
	}
	w := newWorld(t, standIn(t), fleet.Options{Nodes: 1, Environments: 1, Inventory: func(inventory map[string]any) {
		environmentOf(inventory)["deploymentVerification"] = check("insecure")
	}})
	n := w.Nodes[0]
	host := n.Users()[0] + "." + fleet.Domain
	asked := make(chan [2]string, 100)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- [2]string{r.Host, r.TLS.ServerName}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	_ = server.Listener.Close()
	var err error
	if server.Listener, err = net.Listen("tcp", net.JoinHostPort(n.PublicAddress, "443")); err != nil {
		t.Fatal(err)
	}
	server.StartTLS() // its certificate is from no CA
	t.Cleanup(server.Close)

	w.wants(w.deploy(), 0)
	if got := <-asked; got != [2]string{host, host} {
		t.Errorf("it was asked for %q", got)
	}
	w.Provider.Replan(t, func(inventory map[string]any) { environmentOf(inventory)["deploymentVerification"] = check("strict") })
	w.Provider.SetVersion(t, "2")
	contains(t, w.wants(w.deploy(), 3).stdout, "- https://"+host+"/: ", "certificate")
}

// A check that cannot be parsed fails the deploy of its environment only. All other
// checks run. Checks follow hostenv: its defaults, and any path and method.
func TestVerificationUnreadable(t *testing.T) {
	w := newWorld(t, standIn(t), fleet.Options{Nodes: 1, Environments: 2, Inventory: func(inventory map[string]any) {
		checks := map[string][]any{
			"s1e1": {
				map[string]any{"name": "good", "request": map[string]any{"path": "login", "method": "get"}},
				map[string]any{"name": "odd", "request": map[string]any{"virtualHost": "$(touch owned)"}},
			},
			"s1e2": {map[string]any{"name": "good", "request": map[string]any{"path": "login"}}},
		}
		for project, list := range checks {
			environment := inventory["projects"].(map[string]any)["acme__"+project].(map[string]any)["environments"].(map[string]any)["main"].(map[string]any)
			for _, host := range environment["virtualHosts"].(map[string]any) {
				host.(map[string]any)["enableLetsEncrypt"] = false
			}
			environment["deploymentVerification"] = map[string]any{"checks": list}
		}
	}})
	n := w.Nodes[0]
	door := openDoor(t, n, func(string) int { return 200 })
	odd, fine := n.Users()[0], n.Users()[1]
	r := w.wants(w.deploy(), 3)
	contains(t, r.stdout, "n1 "+odd+": 1 of 2 checks failed, which shows nothing about the version\n- odd: cannot be read: deploymentVerification.checks[1]", "$(touch owned)", "mage plan", "active, does not work", "3 activated")
	if want := []string{odd + "." + fleet.Domain + "/login", fine + "." + fleet.Domain + "/login"}; !slices.Equal(door.all(), want) {
		t.Errorf("the deploy did not ask for %q", want)
	}
	for _, p := range w.outcome().Profiles {
		if bad := p.Profile == odd; p.Good() == bad {
			t.Errorf("%s is good: %v", p.Profile, p.Good())
		}
	}
}
