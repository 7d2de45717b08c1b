package deploy_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// A fixed session gives the same answer to every command.
type fixed struct {
	deploy.Session
	out string
	err error
	ran *[][]string
}

func (a fixed) Run(_ context.Context, user string, _ []byte, argv ...string) ([]byte, error) {
	if a.ran != nil {
		*a.ran = append(*a.ran, append([]string{user}, argv...))
	}
	return []byte(a.out), a.err
}

func look(t *testing.T, out string) []deploy.Certificate {
	t.Helper()
	c := deploy.Certificates{Now: func() time.Time { return time.Unix(2_000_000_000, 0) }}
	if err := c.Ask(t.Context(), deploy.Node{Name: "n1", User: "deploy"}, fixed{out: out}); err != nil {
		t.Fatal(err)
	}
	return c.All()
}

func TestCertificateStates(t *testing.T) {
	const failed = `"failed": {"since": 1999990000, "times": 3, "exit": "10", "said": ""}`
	tests := []struct {
		reason, record string
		want           deploy.CertificateState
	}{
		{"in place, and not over", `"issuer": "ca", "notAfter": 2000000001`, deploy.CertificateValid},
		{"in place, and over", `"issuer": "ca", "notAfter": 2000000000`, deploy.CertificateExpired},
		{"never ordered, and nothing in place", `"changed": true`, deploy.CertificateWaiting},
		{"never ordered", `"issuer": "self-signed", "notAfter": 2100000000, "changed": true`, deploy.CertificateWaiting},
		{"ordered, and the files are gone", `"issuer": "self-signed", "notAfter": 2100000000`, deploy.CertificateWaiting},
		{"another name since its order", `"issuer": "ca", "notAfter": 2100000000, "changed": true`, deploy.CertificateWaiting},
		{"an order is running", `"issuer": "self-signed", "notAfter": 2100000000, "changed": true, "ordering": true`, deploy.CertificateOrdering},
		{"the first order failed", `"issuer": "self-signed", "notAfter": 2100000000, ` + failed, deploy.CertificateFailed},
		{"the renewal failed", `"issuer": "ca", "notAfter": 2100000000, ` + failed, deploy.CertificateFailed},
		{"it failed, and is ordered again", `"issuer": "ca", "notAfter": 2100000000, "ordering": true, ` + failed, deploy.CertificateOrdering},
		{"it failed with a name that it has no more", `"issuer": "ca", "notAfter": 2100000000, "changed": true, ` + failed, deploy.CertificateWaiting},
		{"an unknown issuer", `"issuer": "the moon", "notAfter": 2100000000`, deploy.CertificateWaiting},
	}
	for _, test := range tests {
		all := look(t, `[{"name": "www.test", `+test.record+`}]`)
		if len(all) != 1 || all[0].State != test.want {
			t.Errorf("%s: %+v, want %s", test.reason, all, test.want)
		}
		alarming := test.want == deploy.CertificateFailed || test.want == deploy.CertificateExpired
		if deploy.OrdersFailed(all) != alarming {
			t.Errorf("%s: it is reported as failed: %v", test.reason, !alarming)
		}
	}
}

func TestCertificateFailure(t *testing.T) {
	got := look(t, `[{"name": "www.test", "issuer": "ca", "notAfter": 2100000000, "tried": 1999999000,
		"failed": {"since": 1999990000, "times": 2, "exit": "10", "said": "2026/11/29 error:\n\n  [www.test] acme: \u001b[2Jgone\u202e 403\n"}}]`)
	want := []deploy.Certificate{{Node: "n1", Name: "www.test", State: deploy.CertificateFailed, Issuer: deploy.IssuerCA, NotAfter: time.Unix(2_100_000_000, 0).UTC(),
		Failure: &deploy.OrderFailure{Since: time.Unix(1_999_990_000, 0).UTC(), Last: time.Unix(1_999_999_000, 0).UTC(), Times: 2, Exit: "10",
			Output: []string{"2026/11/29 error:", `[www.test] acme: \u001b[2Jgone\u202e 403`}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// An answer that is too long is cut off.
	long := look(t, `[{"name": "www.test", "failed": {"times": 1, "said": "`+strings.Repeat(strings.Repeat("é", 5000)+`\n`, 500)+`"}}]`)
	if lines := long[0].Failure.Output; len(lines) > 50 || slices.ContainsFunc(lines, func(line string) bool { return len([]rune(line)) > 1000 }) {
		t.Errorf("%d lines of %d", len(lines), len(lines[0]))
	}
}

func TestCertificateHint(t *testing.T) {
	tests := []struct {
		reason, name, output string
		want, not            string
	}{
		{"its DNS leads elsewhere", "www.test", "[www.test] acme: error: 403 :: urn:ietf:params:acme:error:unauthorized :: no", "hostenv-certificates retry www.test`", "accounts"},
		{"the account is another CA's", "www.test", "2026/11/29 07:00:00 Could not obtain certificates:\n\tacme: error: 400 :: POST :: https://ca/order :: urn:ietf:params:acme:error:accountDoesNotExist :: no", "rm -r /var/lib/acme/.lego/accounts/", "dnsGate"},
		{"a web server pretends that", "www.test", "[www.test] acme: error: 403 :: Invalid response: acme: error: 400 :: urn:ietf:params:acme:error:accountDoesNotExist", "dnsGate", "accounts"},
		{"the wildcard", "_wildcard.hosting.test", "[*.hosting.test] [*.hosting.test] acme: error presenting token: cloudflare: Authentication error", "check that its token (apiTokenSecret in provider.wildcard) may edit", "mage dnsGate"},
		{"a customer's wildcard", "_wildcard._.acme.test", "[*.acme.test] [*.acme.test] acme: error presenting token: cloudflare: Authentication error", "check that its token (apiTokenSecret in provider.wildcard) may edit", "mage dnsGate"},
		{"a name that is a command", "x; rm -rf /", "", "hostenv-certificates retry`", "rm -rf"},
	}
	for _, test := range tests {
		c := deploy.Certificate{Node: "n1", Name: test.name, Failure: &deploy.OrderFailure{Output: strings.Split(test.output, "\n")}}
		if hint := c.Hint(); !strings.Contains(hint, test.want) || strings.Contains(hint, test.not) {
			t.Errorf("%s: %s", test.reason, hint)
		}
	}
	if hint := (deploy.Certificate{}).Hint(); hint != "" {
		t.Errorf("nothing failed, and the hint is %q", hint)
	}
}

// One node that fails does not hide the certificates of the others.
func TestCertificatesOfNodes(t *testing.T) {
	var c deploy.Certificates
	var ran [][]string
	lost := errors.New("the connection was lost")
	err := errors.Join(
		c.Ask(t.Context(), deploy.Node{Name: "n3", User: "ops"}, fixed{out: `[{"name": "b.test"}, {"name": "a.test"}]`, ran: &ran}),
		c.Ask(t.Context(), deploy.Node{Name: "n2", User: "ops"}, fixed{err: lost}),
		c.Ask(t.Context(), deploy.Node{Name: "n1", User: "ops"}, fixed{out: `[{"name": 1`}),
	)
	all := c.All()
	if len(all) != 2 || all[0].Name != "a.test" || all[1].Name != "b.test" {
		t.Errorf("%+v", all)
	}
	if !errors.Is(err, lost) || !strings.Contains(err.Error(), "node n1: cannot read its certificates: read the output") {
		t.Error(err)
	}
	// As the deploy user itself, which needs no rule of sudo.
	if len(ran) != 1 || ran[0][0] != "ops" {
		t.Errorf("%q", ran)
	}
}

// relying is a Verifier whose checks rely on the certificate of www.test.
type relying struct {
	verifying
	names []string
}

func (r relying) Certificates(deploy.Node, string) []string { return r.names }

// The checks of an environment run once the orders of the certificates that they
// rely on have succeeded, failed or timed out.
func TestVerificationWaitsForOrders(t *testing.T) {
	status := func(name, state string) string {
		return `[{"name": "` + name + `", "issuer": "ca", "notAfter": 4000000000, ` + state + `}]`
	}
	const ordering, waiting, valid = `"ordering": true`, `"changed": true`, `"tried": 1`
	tests := []struct {
		reason string
		names  []string
		says   []string // answers of the node; it repeats the last one
		looks  int      // how often it is asked until the environment is
		took   time.Duration
	}{
		{"it is ordered", []string{"www.test"}, []string{status("www.test", waiting), status("www.test", ordering), status("www.test", valid)}, 3, 2 * time.Second},
		{"it fails", []string{"www.test"}, []string{status("www.test", ordering), status("www.test", `"failed": {"times": 1}`)}, 2, time.Second},
		{"another one is ordered", []string{"www.test"}, []string{status("other.test", ordering)}, 1, 0},
		{"the order never ends", []string{"www.test"}, []string{status("www.test", ordering)}, 0, 2 * time.Minute},
		{"no check relies on any", nil, []string{status("www.test", ordering)}, 0, 0},
		{"the node does not say", []string{"www.test"}, []string{"nonsense"}, 1, 0},
	}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes := fleet(1, 1)
				w := newWorld(t, nodes)
				looks := 0
				w.command = func(argv []string) []byte {
					if !strings.Contains(strings.Join(argv, " "), "hostenv-certificates status") {
						return nil
					}
					looks++
					return []byte(test.says[min(looks, len(test.says))-1])
				}
				r := w.runner(t.TempDir(), "")
				var asked []string
				r.Verifier = relying{verifying{&asked}, test.names}
				begun := time.Now()
				if _, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes); err != nil {
					t.Fatal(err)
				}
				if len(asked) != 1 || test.looks > 0 && looks != test.looks || test.looks == 0 && test.took == 0 && looks != 0 {
					t.Errorf("asked %v after %d looks, want %d", asked, looks, test.looks)
				}
				if took := time.Since(begun); took != test.took {
					t.Errorf("it took %v, want %v", took, test.took)
				}
			})
		})
	}
}

// Survey calls the further functions for every node that answers.
func TestSurveyTakesNoLock(t *testing.T) {
	nodes := fleet(3, 1)
	w := newWorld(t, nodes)
	w.nodes["n2"].unreached = true
	looked := make(chan string, 3)
	if _, err := deploy.Survey(t.Context(), w, nodes, func(_ context.Context, n deploy.Node, s deploy.Session) error {
		if s == nil {
			t.Errorf("%s has no session", n.Name)
		}
		looked <- n.Name
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	close(looked)
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range looked {
			if !yield(name) {
				return
			}
		}
	})
	if !slices.Equal(names, []string{"n1", "n3"}) {
		t.Errorf("looked at %v", names)
	}
}
