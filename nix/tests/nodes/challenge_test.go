package nodes_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// TestChallengeToken asks a node's real nginx for the node's token: for a virtual host
// with a certificate, where it is a file among the challenges, also over HTTP with
// forceSSL; and for one without, which names itself.
func TestChallengeToken(t *testing.T) {
	result, err := planned(t, customers(map[string]any{
		"off.acme.test": map[string]any{"enableLetsEncrypt": false, "locations": map[string]any{"/": map[string]any{"return": 410}}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, "plan.json", string(result.Plan.Encode()))
	got, err := evaluate[values](t, "values", map[string]node{"": {Plan: file, Node: nodeName, Provider: map[string]any{}}})
	if err != nil {
		t.Fatal(err)
	}
	name, path := nodeName+".hosting.test", dnsgate.ChallengePath+dnsgate.Token
	equal(t, "the files", got[""].Challenge, map[string]string{"/var/lib/acme/acme-challenge" + path: name})

	d := openDoor(t, rendered(t, result), result)
	for file, text := range got[""].Challenge {
		file = filepath.Join(d.dir, strings.TrimPrefix(file, "/var/lib/"))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		host      string
		encrypted bool
		path      string
		status    int
		body      string
	}{
		{victimHost, false, path, 200, name},
		{victimHost, true, path, 200, name},
		{victimHost, false, dnsgate.ChallengePath + "another", 404, ""},
		{"off.acme.test", false, path, 200, name + " off.acme.test"},
		{"off.acme.test", false, dnsgate.ChallengePath + "another", 410, ""},
		{"off.acme.test", false, path + "/", 410, ""},
	} {
		page, _, err := d.ask(test.encrypted, test.host, test.path)
		if err != nil {
			t.Fatalf("%s%s: %v", test.host, test.path, err)
		}
		body := strings.TrimSpace(page.body)
		if test.status != 200 {
			body = ""
		}
		equal(t, test.host+test.path, []any{page.status, body}, []any{test.status, test.body})
	}
	d.servesVictim()
}
