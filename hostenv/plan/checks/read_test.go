package checks_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan/checks"
)

// document is a plan with one environment, shop, on node-a. It serves
// www.shop.test and its alias over TLS, and plain.shop.test without TLS. The text
// is its verification. The node also serves another customer's blog.other.test
// over TLS.
func document(t *testing.T, verification string) plan.Document {
	t.Helper()
	hosts := `
		"www.shop.test": {"forceSSL": true, "enableACME": true, "serverAliases": ["alias.shop.test"]},
		"old.shop.test": {"forceSSL": true},
		"plain.shop.test": {"forceSSL": false},
		"gated.shop.test": {"forceSSL": false, "enableACME": true},
		"*.wild.shop.test": {}`
	d, err := plan.DecodeDocument([]byte(`{"formatVersion": 1, "environments": {"shop": {"enable": true, "node": "node-a", "hostenv": {"hostname": "plain.shop.test"},
			"virtualHosts": {` + hosts + `}, "deploymentVerification": ` + verification + `}},
		"nodes": {"node-a": {"services": {"nginx": {"virtualHosts": {"blog.other.test": {"onlySSL": true}, "others.wild.shop.test": {}, ` + hosts + `}}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// read reads a verification that has no problems.
func read(t *testing.T, verification string) checks.Spec {
	t.Helper()
	spec := document(t, verification).Checks()["shop"]
	if len(spec.Problems) > 0 {
		t.Fatalf("%s: %v", verification, spec.Problems)
	}
	return spec
}

// verification returns a verification with a single check.
func verification(request, constraints string) string {
	return `{"checks": [{"name": "it", "request": ` + request + `, "constraints": ` + constraints + `}]}`
}

func TestRead(t *testing.T) {
	// The checks of hostenv's Drupal, word for word.
	spec := read(t, verification(
		`{"virtualHost": "WWW.shop.test", "path": "/user/login", "method": "GET", "targetHostSource": "nodeConnectionHost",
		  "followRedirects": true, "maxRedirects": 3, "timeoutSeconds": 20, "tlsMode": "insecure"}`,
		`[{"rule": "allowNonZeroExitStatus", "value": false}, {"rule": "minHttpStatus", "value": 200},
		  {"rule": "maxHttpStatus", "value": 299}, {"rule": "minHttpStatus", "value": 201}, {"rule": "maxHttpStatus", "value": 300},
		  {"rule": "stdoutRegexMustMatch", "value": "^<meta[[:space:]]+name=\"Generator\"[[:space:]]+content=\"Drupal [0-9]"}]`))
	q := spec.Requests[0]
	if !spec.Enforce || q.URL() != "https://www.shop.test/user/login" || q.Method != "GET" || !q.FollowRedirects ||
		q.MaxRedirects != 3 || q.Timeout != 20*time.Second || !q.Insecure || q.Name != "it" {
		t.Errorf("%+v", q)
	}
	if c := q.Constraints; c.MinStatus != 201 || c.MaxStatus != 299 || c.AllowFailure || c.SkipBodyOnRedirect || len(c.Error) != 0 ||
		!c.Body[0].MatchString("<html>\n<meta  name=\"Generator\" content=\"Drupal 10\">") {
		t.Errorf("%+v", c)
	}

	// A check with defaults, and with its constraints as an object.
	spec = read(t, `{"checks": [
		{"request": {}, "constraints": {"allowNonZeroExitStatus": true, "minHttpStatus": null, "skipStdoutRegexOnRedirect": true}}, {"request": null}]}`)
	q = spec.Requests[0]
	if q.URL() != "http://plain.shop.test/" || q.Method != "GET" || q.FollowRedirects || q.Insecure || q.Timeout != 15*time.Second || !spec.Enforce {
		t.Errorf("%+v", q)
	}
	if c := q.Constraints; !c.AllowFailure || !c.SkipBodyOnRedirect || c.MinStatus != 0 || c.MaxStatus != 0 {
		t.Errorf("%+v", c)
	}
	if spec.Requests[1].Constraints.AllowFailure {
		t.Error("a check without constraints allows failures")
	}
}

// TestDefaults expects hostenv's defaults: checks run, and a failure counts.
func TestDefaults(t *testing.T) {
	for _, test := range []struct {
		verification   string
		asks, enforces bool
	}{
		{`{"checks": [{}]}`, true, true},
		{`{"enable": null, "enforce": null, "checks": [{}]}`, true, true},
		{`{"enforce": false, "checks": [{}]}`, true, false},
		{`{"enable": false, "checks": [{}]}`, false, false},
	} {
		spec := read(t, test.verification)
		if asks := len(spec.Requests) == 1; asks != test.asks || spec.Enforce != test.enforces {
			t.Errorf("%s: %+v", test.verification, spec)
		}
	}
}

// TestNormal normalises a path and a method, which hostenv does not check.
func TestNormal(t *testing.T) {
	for request, want := range map[string]string{
		`{"path": "user/login", "method": "post"}`: "POST http://plain.shop.test/user/login",
		`{"path": "", "method": "Head"}`:           "HEAD http://plain.shop.test/",
		`{"path": "/a?b=c", "method": "GET"}`:      "GET http://plain.shop.test/a?b=c",
		`{"path": "?b=c"}`:                         "GET http://plain.shop.test/?b=c",
	} {
		if q := read(t, verification(request, `[]`)).Requests[0]; q.Method+" "+q.URL() != want {
			t.Errorf("%s is %s %s, not %s", request, q.Method, q.URL(), want)
		}
	}
}

// TestScheme expects the scheme that the node serves and not the one that the
// project asks for.
func TestScheme(t *testing.T) {
	for host, want := range map[string]string{
		"www.shop.test": "https", "alias.shop.test": "https", "plain.shop.test": "http", "gated.shop.test": "http",
		"a.wild.shop.test": "http", "a.b.wild.shop.test": "http",
	} {
		spec := read(t, verification(`{"virtualHost": "`+host+`"}`, `[]`))
		if q := spec.Requests[0]; q.Scheme != want || q.VirtualHost != host || !spec.Hosts[host] {
			t.Errorf("%s: %+v, want %s", host, spec, want)
		}
	}
}

func TestReadNothing(t *testing.T) {
	for _, verification := range []string{`null`, `{}`, `{"checks": []}`, `{"enable": false, "checks": "whatever"}`} {
		if spec := read(t, verification); len(spec.Requests) != 0 {
			t.Errorf("%s: %+v", verification, spec)
		}
	}
	disabled := document(t, `7`)
	shop := disabled.Environments["shop"]
	shop.Enable = new(bool)
	disabled.Environments["shop"] = shop
	if specs := disabled.Checks(); len(specs) != 0 {
		t.Errorf("of a disabled environment: %+v", specs)
	}
	golden, err := os.ReadFile("../../../golden/124-unknown-keys/plan.json")
	if err != nil {
		t.Fatal(err)
	}
	d, err := plan.DecodeDocument(golden)
	if err != nil {
		t.Fatal(err)
	}
	if specs := d.Checks(); len(specs) != 1 || len(specs["site-main-b7ea262"].Requests) != 0 {
		t.Errorf("%v", specs)
	}
}

// TestReadRefuses expects one problem for every mistake of a verification.
func TestReadRefuses(t *testing.T) {
	tests := []struct{ request, constraints, want string }{
		{`{"virtualHost": "*.wild.shop.test"}`, `[]`, `which is no host name that can be asked for`},
		{`{"virtualHost": "blog.other.test"}`, `[]`, `which is no name of the environment`},
		{`{"virtualHost": "others.wild.shop.test"}`, `[]`, `which is no name of the environment`},
		{`{"virtualHost": "node-a.hosting.test"}`, `[]`, `which is no name of the environment`},
		{`{"virtualHost": "wild.shop.test"}`, `[]`, `which is no name of the environment`},
		{`{}`, `{"stdoutRegexMustMatch": "` + strings.Repeat("x", 1001) + `"}`, `has 1001 characters`},
		{`{}`, `{"stdoutRegexMustMatch": "` + strings.Repeat(".{1000}", 6) + `"}`, `is too large`},
		{`{}`, `{"stdoutRegexMustMatch": "((x{10}y){10}z){10}` + strings.Repeat("a", 900) + `{9}` + strings.Repeat("(ab|c){900}", 2) + `"}`, `is too large`},
		{`{}`, `[` + strings.Repeat(`{"rule": "stdoutRegexMustMatch", "value": "x"}, `, 10) + `{"rule": "stderrRegexMustNotMatch", "value": "x"}]`, `11 regular expressions`},
		{`{"virtualHost": 3}`, `[]`, `virtualHost is an integer, not text`},
		{`{"path": "log in"}`, `[]`, `path is "/log in"`},
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
	for tests := range slices.Chunk(tests, 17) {
		list := []string{`{"name": "good"}`}
		for _, test := range tests {
			list = append(list, `{"name": "c", "request": `+test.request+`, "constraints": `+test.constraints+`}`)
		}
		list = append(list, `{"type": "ping"}`, `7`)
		spec := document(t, `{"checks": [`+strings.Join(list, ",")+`]}`).Checks()["shop"]
		if len(spec.Problems) != len(tests)+2 || !spec.Enforce {
			t.Fatalf("%d problems of %d mistakes: %v", len(spec.Problems), len(tests)+2, spec)
		}
		// Read also returns the checks without mistakes.
		if len(spec.Requests) != 1 || spec.Requests[0].Name != "good" {
			t.Errorf("%+v", spec.Requests)
		}
		for i, test := range tests {
			where := fmt.Sprintf(`deploymentVerification.checks[%d] ("c"): `, i+1)
			if got := spec.Problems[i].String(); !strings.HasPrefix(got, where) || !strings.Contains(got, test.want) {
				t.Errorf("%s %s\n got %s\nwant %s...%s", test.request, test.constraints, got, where, test.want)
			}
		}
	}
}

// TestReadNoObject expects a problem that counts, also if the whole verification
// cannot be read.
func TestReadNoObject(t *testing.T) {
	for verification, want := range map[string]string{
		`[{"checks": []}]`:  "it is a list, not an object",
		`true`:              "it is a boolean, not an object",
		`{"enable": "on"}`:  "enable is a string, neither true nor false",
		`{"enforce": 1}`:    "enforce is an integer, neither true nor false",
		`{"checks": "all"}`: "checks is a string, not a list",
	} {
		spec := document(t, verification).Checks()["shop"]
		if len(spec.Problems) != 1 || spec.Problems[0].String() != "deploymentVerification: "+want || !spec.Enforce {
			t.Errorf("%s: %+v, want %s", verification, spec, want)
		}
	}
}

// TestManyChecks bounds the checks of an environment.
func TestManyChecks(t *testing.T) {
	spec := document(t, `{"checks": [{}`+strings.Repeat(`, {}`, 999)+`]}`).Checks()["shop"]
	if len(spec.Requests) != 20 || len(spec.Problems) != 1 || !strings.Contains(spec.Problems[0].Message, "1000 checks") {
		t.Errorf("%d requests, %v", len(spec.Requests), spec.Problems)
	}
}

// A node's checks may request every name, over the scheme that the provider chooses,
// and are enforced.
func TestReadNode(t *testing.T) {
	d, err := plan.DecodeDocument([]byte(`{"formatVersion": 1, "environments": {}, "nodes": {"node-a": {"services": {"nginx": {"virtualHosts": {"www.shop.test": {"forceSSL": true}}}}}},
		"nodeConnections": {"node-b": {}, "node-a": {"checks": [
			{"name": "status", "request": {"virtualHost": "status.hosting.test", "path": "/health", "scheme": "https"}, "constraints": {"maxHttpStatus": 299}},
			{"name": "shop", "request": {"virtualHost": "www.shop.test"}},
			{"name": "plain", "request": {"virtualHost": "plain.hosting.test", "scheme": null}},
			{"name": "odd", "request": {"virtualHost": "plain.hosting.test", "scheme": "ftp"}},
			{"name": "none", "request": {}}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	specs := d.NodeChecks()
	spec := specs["node-a"]
	var urls []string
	for _, q := range spec.Requests {
		urls = append(urls, q.URL())
	}
	if want := []string{"https://status.hosting.test/health", "https://www.shop.test/", "http://plain.hosting.test/"}; !slices.Equal(urls, want) || !spec.Enforce || len(specs) != 1 {
		t.Errorf("%q, %+v", urls, specs)
	}
	if len(spec.Problems) != 2 || spec.Problems[0].Check != "odd" || spec.Problems[1].Check != "none" || !spec.Hosts["status.hosting.test"] || spec.Hosts["other.test"] {
		t.Errorf("%+v", spec)
	}
}
