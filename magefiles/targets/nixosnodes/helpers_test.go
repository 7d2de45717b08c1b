package nixosnodes_test

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/internal/console"
	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
)

var update = flag.Bool("update", false, "rewrite the outputs that docs/ shows")

// A labTest is a lab and the test that runs in it.
type labTest struct {
	*nixosnode.Lab
	t testing.TB
}

// begin makes a lab with a CA. Its nodes are just installed, with the systems of a
// provider that has no customers.
func begin(t *testing.T, nodes ...string) *labTest {
	t.Helper()
	begun := time.Now()
	s := &labTest{Lab: nixosnode.Start(t, nixosnode.Options{Nodes: nodes}), t: t}
	s.StartPebble(t)
	s.Provider.Commit(t)
	s.mage(0, "state:init")
	s.mage(0, "plan")
	s.Install(t)
	t.Logf("%d nodes were up after %s", len(s.Nodes), time.Since(begun).Round(time.Millisecond))
	return s
}

// mage runs a target, and checks its exit code.
func (s *labTest) mage(code int, args ...string) nixosnode.Result {
	s.t.Helper()
	r := s.Operator.Mage(s.t, args...).Want(s.t, code)
	s.t.Logf("mage %s took %s", strings.Join(args, " "), r.Took.Round(time.Millisecond))
	return r
}

// user returns the user of a project's environment main.
func (s *labTest) user(organisation, project string) string {
	s.t.Helper()
	return s.Provider.User(s.t, organisation, project, "main")
}

// host returns the name that hostenv gives that environment. DNS has its node's
// address for it.
func (s *labTest) host(organisation, project string) string {
	s.t.Helper()
	return s.user(organisation, project) + "." + nixosnode.Domain
}

// point sets names to the address of a node, in DNS.
func (s *labTest) point(n *nixosnode.Node, names ...string) {
	for _, name := range names {
		s.DNS.Set(name, n.Address)
	}
}

// pointAll sets every virtual host of the plan to the address of its node.
func (s *labTest) pointAll() {
	s.t.Helper()
	for _, environment := range s.Provider.Plan(s.t).Environments {
		for host := range environment.VirtualHosts {
			s.point(s.Node(environment.Node), host)
		}
	}
}

// get requests a URL, and returns the status and the body.
func (s *labTest) get(url string) (int, string, error) {
	return answered(s.Client().Get(url))
}

// answered returns the status and the body of a response.
func answered(response *http.Response, err error) (int, string, error) {
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, strings.TrimSpace(string(body)), err
}

// serves waits until the answer for a URL is 200 with this text.
func (s *labTest) serves(url, want string) {
	s.t.Helper()
	nixosnode.Eventually(s.t, url, func() error {
		code, body, err := s.get(url)
		if err == nil && (code != http.StatusOK || body != want) {
			err = fmt.Errorf("the site answers %d %q, want %q", code, body, want)
		}
		return err
	})
}

// shows checks that a document shows what a run of the targets printed.
func (s *labTest) shows(document string, r nixosnode.Result) {
	s.t.Helper()
	console.Check(s.t, "../../../docs/"+document, *update, "mage "+strings.Join(r.Args, " "), r.Stdout)
}

// contains checks that a text has these parts.
func contains(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("want %q in\n%s", part, text)
		}
	}
}
