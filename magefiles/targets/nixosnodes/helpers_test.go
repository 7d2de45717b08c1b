package nixosnodes_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
)

// A story is a lab and the test that runs in it.
type story struct {
	*nixosnode.Lab
	t testing.TB
}

// begin makes a lab with a CA, whose nodes have the systems of a provider
// without customers, as they are after their installation.
func begin(t *testing.T, nodes ...string) *story {
	t.Helper()
	begun := time.Now()
	s := &story{Lab: nixosnode.Start(t, nixosnode.Options{Nodes: nodes}), t: t}
	s.StartPebble(t)
	s.Provider.Commit(t)
	s.mage(0, "state:init")
	s.mage(0, "plan")
	s.Install(t)
	t.Logf("%d nodes were up after %s", len(s.Nodes), time.Since(begun).Round(time.Millisecond))
	return s
}

// mage runs a target, which must end with this exit code.
func (s *story) mage(code int, args ...string) nixosnode.Result {
	s.t.Helper()
	r := s.Operator.Mage(s.t, args...).Want(s.t, code)
	s.t.Logf("mage %s took %s", strings.Join(args, " "), r.Took.Round(time.Millisecond))
	return r
}

// user is that of a project's environment main.
func (s *story) user(organisation, project string) string {
	s.t.Helper()
	return s.Provider.User(s.t, organisation, project, "main")
}

// host is the name that hostenv gives to that environment; it leads to its node.
func (s *story) host(organisation, project string) string {
	s.t.Helper()
	return s.user(organisation, project) + "." + nixosnode.Domain
}

// point lets names lead to a node, by DNS.
func (s *story) point(n *nixosnode.Node, names ...string) {
	for _, name := range names {
		s.DNS.Set(name, n.Address)
	}
}

// pointAll lets every virtual host of the plan lead to its node.
func (s *story) pointAll() {
	s.t.Helper()
	for _, environment := range s.Provider.Plan(s.t).Environments {
		for host := range environment.VirtualHosts {
			s.point(s.Node(environment.Node), host)
		}
	}
}

// get asks for a URL, and returns the status and the body.
func (s *story) get(url string) (int, string, error) {
	response, err := s.Client().Get(url)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, strings.TrimSpace(string(body)), err
}

// serves waits until a URL is answered with 200 and this text.
func (s *story) serves(url, want string) {
	s.t.Helper()
	nixosnode.Eventually(s.t, url, func() error {
		code, body, err := s.get(url)
		if err == nil && (code != http.StatusOK || body != want) {
			err = fmt.Errorf("it answers %d %q, want %q", code, body, want)
		}
		return err
	})
}

// contains holds a text to parts of it.
func contains(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("there is no %q in\n%s", part, text)
		}
	}
}
