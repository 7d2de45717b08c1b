package verify_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/verify"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// document is a plan with one environment, shop, on node-a: www.shop.test and
// its alias over TLS, plain.shop.test without. Its verification is the text.
func document(t *testing.T, verification string) plan.Document {
	t.Helper()
	hosts := `{
		"www.shop.test": {"forceSSL": true, "enableACME": true, "serverAliases": ["alias.shop.test"]},
		"old.shop.test": {"forceSSL": true},
		"plain.shop.test": {"forceSSL": false},
		"gated.shop.test": {"forceSSL": false, "enableACME": true},
		"*.wild.shop.test": {}}`
	d, err := plan.DecodeDocument([]byte(`{"formatVersion": 1, "hostenvHostname": "hosting.test",
		"environments": {"shop": {"enable": true, "node": "node-a", "hostenv": {"hostname": "plain.shop.test"},
			"virtualHosts": ` + hosts + `, "deploymentVerification": ` + verification + `}},
		"nodes": {"node-a": {"services": {"nginx": {"virtualHosts": ` + hosts + `}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// verification is one with a single enforced check.
func verification(request, constraints string) string {
	return `{"enable": true, "enforce": true, "checks": [{"name": "it", "type": "httpHostHeaderCurl",
		"request": ` + request + `, "constraints": ` + constraints + `}]}`
}

func TestRead(t *testing.T) {
	// What hostenv's Drupal has, word for word.
	specs, err := verify.Read(document(t, verification(
		`{"virtualHost": "WWW.shop.test", "path": "/user/login", "method": "GET", "targetHostSource": "nodeConnectionHost",
		  "followRedirects": true, "maxRedirects": 3, "timeoutSeconds": 20, "tlsMode": "insecure"}`,
		`[{"rule": "allowNonZeroExitStatus", "value": false}, {"rule": "minHttpStatus", "value": 200},
		  {"rule": "maxHttpStatus", "value": 299}, {"rule": "minHttpStatus", "value": 201}, {"rule": "maxHttpStatus", "value": 300},
		  {"rule": "stdoutRegexMustMatch", "value": "^<meta[[:space:]]+name=\"Generator\"[[:space:]]+content=\"Drupal [0-9]"}]`)))
	if err != nil {
		t.Fatal(err)
	}
	spec := specs["shop"]
	q := spec.Requests[0]
	if !spec.Enforce || q.URL() != "https://www.shop.test/user/login" || q.Method != "GET" || !q.FollowRedirects ||
		q.MaxRedirects != 3 || q.Timeout != 20*time.Second || !q.Insecure || q.Name != "it" {
		t.Errorf("%+v", q)
	}
	if c := q.Constraints; c.MinStatus != 201 || c.MaxStatus != 299 || c.AllowFailure || c.SkipBodyOnRedirect || len(c.Error) != 0 ||
		!c.Body[0].MatchString("<html>\n<meta  name=\"Generator\" content=\"Drupal 10\">") {
		t.Errorf("%+v", c)
	}

	// What is left out, and constraints as an object.
	specs, err = verify.Read(document(t, `{"enable": true, "checks": [
		{"request": {}, "constraints": {"allowNonZeroExitStatus": true, "minHttpStatus": null, "skipStdoutRegexOnRedirect": true}}, {"request": null}]}`))
	if err != nil {
		t.Fatal(err)
	}
	q = specs["shop"].Requests[0]
	if q.URL() != "http://plain.shop.test/" || q.Method != "GET" || q.FollowRedirects || q.Insecure || q.Timeout != 15*time.Second || specs["shop"].Enforce {
		t.Errorf("%+v", q)
	}
	if c := q.Constraints; !c.AllowFailure || !c.SkipBodyOnRedirect || c.MinStatus != 0 || c.MaxStatus != 0 {
		t.Errorf("%+v", c)
	}
	if specs["shop"].Requests[1].Constraints.AllowFailure {
		t.Error("a check without constraints allows failures")
	}
}

// TestScheme asks for the scheme that the node serves, not the project wanted.
func TestScheme(t *testing.T) {
	for host, want := range map[string]string{
		"www.shop.test": "https", "alias.shop.test": "https", "plain.shop.test": "http", "gated.shop.test": "http",
	} {
		specs, err := verify.Read(document(t, verification(`{"virtualHost": "`+host+`"}`, `[]`)))
		if err != nil || specs["shop"].Requests[0].Scheme != want {
			t.Errorf("%s: %v, %+v, want %s", host, err, specs, want)
		}
	}
}

func TestReadNothing(t *testing.T) {
	for _, verification := range []string{`null`, `{}`, `{"enable": false, "checks": "whatever"}`} {
		if specs, err := verify.Read(document(t, verification)); err != nil || len(specs) != 0 {
			t.Errorf("%s: %v, %v", verification, specs, err)
		}
	}
	golden, err := os.ReadFile("../../../golden/124-unknown-keys/plan.json")
	if err != nil {
		t.Fatal(err)
	}
	d, err := plan.DecodeDocument(golden)
	if err != nil {
		t.Fatal(err)
	}
	if specs, err := verify.Read(d); err != nil || len(specs) != 1 || len(specs["site-main-b7ea262"].Requests) != 0 {
		t.Errorf("%v, %v", specs, err)
	}
}

// TestReadRefuses has every mistake of a plan in one error.
func TestReadRefuses(t *testing.T) {
	tests := []struct{ request, constraints, want string }{
		{`{"virtualHost": "other.test"}`, `[]`, `virtualHost is "other.test", which is none of the environment's`},
		{`{"virtualHost": "*.wild.shop.test"}`, `[]`, `which is no host name that can be asked for`},
		{`{"virtualHost": 3}`, `[]`, `virtualHost is an integer, not text`},
		{`{"path": "login"}`, `[]`, `path is "login"`},
		{`{"path": "/a\r\nHost: x"}`, `[]`, `which is no path`},
		{`{"method": "CONNECT"}`, `[]`, `method is "CONNECT"`},
		{`{"method": "GET / HTTP/1.1\r\n"}`, `[]`, `which is none of GET`},
		{`{"tlsMode": "lax"}`, `[]`, `tlsMode is "lax"`},
		{`{"timeoutSeconds": 0}`, `[]`, `timeoutSeconds is not a whole number from 1 to 600`},
		{`{"timeoutSeconds": 1.5}`, `[]`, `timeoutSeconds`},
		{`{"maxRedirects": -1}`, `[]`, `maxRedirects is not a whole number from 0 to 50`},
		{`{"followRedirects": "yes"}`, `[]`, `followRedirects is a string, neither`},
		{`[]`, `[]`, `request is a list, not an object`},
		{`{}`, `[{"rule": "minHttpStatus", "value": "200"}]`, `minHttpStatus is not a whole number`},
		{`{}`, `{"minHttpStatus": 300, "maxHttpStatus": 299}`, `no status is at least 300 and at most 299`},
		{`{}`, `[{"rule": "certificateMustBeGreen", "value": true}]`, `"certificateMustBeGreen" is not known`},
		{`{}`, `[{"value": 1}]`, `not { rule, value }`},
		{`{}`, `"none"`, `neither a list nor an object`},
		{`{}`, `[{"rule": "stdoutRegexMustMatch", "value": "(a)\\1"}]`, "invalid escape sequence: `\\1` (the syntax is RE2's"},
		{`{}`, `[{"rule": "stderrRegexMustNotMatch", "value": "(?=x)"}]`, "stderrRegexMustNotMatch: error parsing"},
	}
	var checks []string
	for _, test := range tests {
		checks = append(checks, `{"name": "c", "request": `+test.request+`, "constraints": `+test.constraints+`}`)
	}
	checks = append(checks, `{"type": "ping"}`, `7`)
	_, err := verify.New(document(t, `{"enable": true, "checks": [`+strings.Join(checks, ",")+`]}`), verify.Options{})
	var invalid *verify.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("%v", err)
	}
	if len(invalid.Problems) != len(tests)+2 || !strings.Contains(invalid.Hint(), "-skipVerification") {
		t.Errorf("%d problems of %d mistakes: %v\nhint: %s", len(invalid.Problems), len(tests)+2, err, invalid.Hint())
	}
	for i, test := range tests {
		where := "environments.shop.deploymentVerification.checks[" + string(mustJSON(t, i)) + `] ("c"): `
		if !strings.HasPrefix(invalid.Problems[i], where) || !strings.Contains(invalid.Problems[i], test.want) {
			t.Errorf("%s %s\n got %s\nwant %s...%s", test.request, test.constraints, invalid.Problems[i], where, test.want)
		}
	}
}

// TestReadNoObject: what cannot be read at all is not left out either.
func TestReadNoObject(t *testing.T) {
	for verification, want := range map[string]string{
		`[{"checks": []}]`: "it is a list, not an object",
		`true`:             "it is a boolean, not an object",
		`{"enable": "on"}`: "enable is a string, neither true nor false",
	} {
		_, err := verify.Read(document(t, verification))
		if err == nil || !strings.Contains(err.Error(), "environments.shop.deploymentVerification: "+want) {
			t.Errorf("%s: %v, want %s", verification, err, want)
		}
	}
}

func mustJSON(t *testing.T, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
