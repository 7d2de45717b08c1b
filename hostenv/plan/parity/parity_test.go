package parity_test

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan/parity"
)

func object(t testing.TB, text string) map[string]any {
	t.Helper()
	v, err := canonjson.Decode([]byte(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v.(map[string]any)
}

// TestExplain holds single differences: which row explains it, or none.
func TestExplain(t *testing.T) {
	tests := []struct {
		name, before, after string // plans
		want                []string
	}{{
		"a UID that two environments share",
		`{"environments":{"a":{"uid":1002},"b":{"uid":1002}}}`,
		`{"environments":{"a":{"uid":1002},"b":{"uid":1003}}}`,
		[]string{"plan changed /environments/b/uid: dense-uids"},
	}, {
		"a UID that only one environment has",
		`{"environments":{"a":{"uid":1002},"b":{"uid":1003}}}`,
		`{"environments":{"a":{"uid":1002},"b":{"uid":1004}}}`,
		[]string{"plan changed /environments/b/uid: "},
	}, {
		"what is called after a UID follows it, and nothing else",
		`{"environments":{"a-1":{"uid":1002,"hostenv":{"organisation":"o"}},"b-1":{"uid":1002,"hostenv":{"organisation":"o"}},"c-1":{"uid":1005}},
		  "nodes":{"n":{"systemd":{"services":{"user@1002":{"serviceConfig":{"Slice":"user-o-b-1002.slice"}},"user@1005":{}}}},"m":{"systemd":{"services":{}}}}}`,
		`{"environments":{"a-1":{"uid":1002,"hostenv":{"organisation":"o"}},"b-1":{"uid":1003,"hostenv":{"organisation":"o"}},"c-1":{"uid":1005}},
		  "nodes":{"n":{"systemd":{"services":{"user@1002":{"serviceConfig":{"Slice":"user-o-a-1002.slice"}},
		    "user@1003":{"serviceConfig":{"Slice":"user-o-b-1003.slice"}},"user@1006":{}}}},
		    "m":{"systemd":{"services":{"user@1003":{"serviceConfig":{"Slice":"user-o-a-1003.slice"}}}}}}}`,
		[]string{
			"plan changed /environments/b-1/uid: dense-uids",
			"plan added /nodes/m/systemd/services/user@1003: ",
			"plan changed /nodes/n/systemd/services/user@1002/serviceConfig/Slice: dense-uids",
			"plan added /nodes/n/systemd/services/user@1003: dense-uids",
			"plan removed /nodes/n/systemd/services/user@1005: ",
			"plan added /nodes/n/systemd/services/user@1006: ",
		},
	}, {
		"a repeated key that stands once is expected, one that is gone is not",
		`{"environments":{"a":{"authorizedKeys":["x","y","x"]},"b":{"authorizedKeys":["x","y"]}}}`,
		`{"environments":{"a":{"authorizedKeys":["x","y"]},"b":{"authorizedKeys":["x"]}}}`,
		[]string{"plan changed /environments/a/authorizedKeys: keys-once", "plan changed /environments/b/authorizedKeys: "},
	}, {
		"keys after each environment's own leave its user, the same of all, and no key of its own does",
		`{"environments":{"a":{"authorizedKeys":["x","x","y"]},"b":{"authorizedKeys":["x","y"]},"c":{"authorizedKeys":[]},"d":{"authorizedKeys":["z"]}},
		  "nodes":{"n":{"users":{"users":{
		   "a":{"openssh":{"authorizedKeys":{"keys":["x","x","y","k1","k2"]}}},
		   "b":{"openssh":{"authorizedKeys":{"keys":["x","y","k1","k2"]}}},
		   "c":{"openssh":{"authorizedKeys":{"keys":["k1","k2"]}}},
		   "d":{"openssh":{"authorizedKeys":{"keys":["z","k1","k2"]}}}}}}}}`,
		`{"environments":{"a":{"authorizedKeys":["x","x","y"]},"b":{"authorizedKeys":["x","y"]},"c":{"authorizedKeys":[]},"d":{"authorizedKeys":["z"]}},
		  "nodes":{"n":{"users":{"users":{
		   "a":{"openssh":{"authorizedKeys":{"keys":["x","y"]}}},
		   "b":{"openssh":{"authorizedKeys":{"keys":["y"]}}},
		   "c":{"openssh":{"authorizedKeys":{"keys":[]}}},
		   "d":{"openssh":{"authorizedKeys":{"keys":["z","k1"]}}}}}}}}`,
		[]string{
			"plan changed /nodes/n/users/users/a/openssh/authorizedKeys/keys: no-deploy-keys",
			"plan changed /nodes/n/users/users/b/openssh/authorizedKeys/keys: ",
			"plan changed /nodes/n/users/users/c/openssh/authorizedKeys/keys: no-deploy-keys",
			"plan changed /nodes/n/users/users/d/openssh/authorizedKeys/keys: ",
		},
	}, {
		"a key that only one environment's user had besides is no deploy key",
		`{"environments":{"a":{"authorizedKeys":["x"]},"b":{"authorizedKeys":["y"]}},
		  "nodes":{"n":{"users":{"users":{"a":{"openssh":{"authorizedKeys":{"keys":["x","k"]}}}}}},
		           "m":{"users":{"users":{"b":{"openssh":{"authorizedKeys":{"keys":["y"]}}}}}}}}`,
		`{"environments":{"a":{"authorizedKeys":["x"]},"b":{"authorizedKeys":["y"]}},
		  "nodes":{"n":{"users":{"users":{"a":{"openssh":{"authorizedKeys":{"keys":["x"]}}}}}},
		           "m":{"users":{"users":{"b":{"openssh":{"authorizedKeys":{"keys":["y"]}}}}}}}}`,
		[]string{"plan changed /nodes/n/users/users/a/openssh/authorizedKeys/keys: "},
	}, {
		"keys that come back to an environment's user are not expected",
		`{"environments":{"a":{"authorizedKeys":["x"]}},"nodes":{"n":{"users":{"users":{"a":{"openssh":{"authorizedKeys":{"keys":["x"]}}}}}}}}`,
		`{"environments":{"a":{"authorizedKeys":["x"]}},"nodes":{"n":{"users":{"users":{"a":{"openssh":{"authorizedKeys":{"keys":["x","k"]}}}}}}}}`,
		[]string{"plan changed /nodes/n/users/users/a/openssh/authorizedKeys/keys: "},
	}, {
		"the header stands for allowIndexing = false, after the project's own configuration",
		`{"environments":{},"nodes":{"n":{"services":{"nginx":{"virtualHosts":{
		   "a":{"allowIndexing":false},"b":{"allowIndexing":false,"extraConfig":"x;\n"},"c":{"allowIndexing":true},"d":{"allowIndexing":false}}}}}}}`,
		`{"environments":{},"nodes":{"n":{"services":{"nginx":{"virtualHosts":{
		   "a":{"extraConfig":"add_header X-Robots-Tag \"noindex\" always;\n"},
		   "b":{"extraConfig":"x;\nadd_header X-Robots-Tag \"noindex\" always;\n"},
		   "c":{"extraConfig":"add_header X-Robots-Tag \"noindex\" always;\n"},
		   "d":{"extraConfig":"add_header X-Other 1;\n"}}}}}}}`,
		[]string{
			"plan removed /nodes/n/services/nginx/virtualHosts/a/allowIndexing: nginx-options",
			"plan added /nodes/n/services/nginx/virtualHosts/a/extraConfig: nginx-options",
			"plan removed /nodes/n/services/nginx/virtualHosts/b/allowIndexing: nginx-options",
			"plan changed /nodes/n/services/nginx/virtualHosts/b/extraConfig: nginx-options",
			"plan removed /nodes/n/services/nginx/virtualHosts/c/allowIndexing: nginx-options",
			"plan added /nodes/n/services/nginx/virtualHosts/c/extraConfig: ",
			"plan removed /nodes/n/services/nginx/virtualHosts/d/allowIndexing: nginx-options",
			"plan added /nodes/n/services/nginx/virtualHosts/d/extraConfig: ",
		},
	}, {
		"a location of the project's own wins over the proxy, not over what was its own already",
		`{"environments":{"a":{"virtualHosts":{
		   "h":{"locations":{"/":{"proxyPass":"http://a_upstream","recommendedProxySettings":true}}},
		   "i":{"locations":{"/":{"return":"301 /x"}}},
		   "j":{"locations":{"/":{"proxyPass":"http://a_upstream","recommendedProxySettings":true}}}}}}}`,
		`{"environments":{"a":{"virtualHosts":{
		   "h":{"locations":{"/":{"root":"/srv"}}},
		   "i":{"locations":{"/":{"return":"301 /y"}}},
		   "j":{"locations":{"/":{"proxyPass":"http://b_upstream","recommendedProxySettings":true}}}}}}}`,
		[]string{
			"plan removed /environments/a/virtualHosts/h/locations/~1/proxyPass: own-root-location",
			"plan removed /environments/a/virtualHosts/h/locations/~1/recommendedProxySettings: own-root-location",
			"plan added /environments/a/virtualHosts/h/locations/~1/root: own-root-location",
			"plan changed /environments/a/virtualHosts/i/locations/~1/return: ",
			"plan changed /environments/a/virtualHosts/j/locations/~1/proxyPass: ",
		},
	}, {
		"a disabled environment leaves its node, and takes nobody else along",
		`{"environments":{"off-x":{"enable":false,"node":"n","uid":7,"hostenv":{"organisation":"o"},"virtualHosts":{"off.test":{}}},
		                  "on-x":{"enable":true,"node":"n","uid":8,"hostenv":{"organisation":"o"},"virtualHosts":{"on.test":{}}}},
		  "nodes":{"n":{"users":{"users":{"off-x":{},"on-x":{}},"groups":{"off-x":{}}},
		    "systemd":{"services":{"user@7":{},"user@8":{}},"slices":{"user-o-off":{},"user-o-on":{}}},
		    "services":{"nginx":{"virtualHosts":{"off.test":{},"on.test":{}}}}}}}`,
		`{"environments":{"off-x":{"enable":false,"node":"n","uid":7,"hostenv":{"organisation":"o"},"virtualHosts":{"off.test":{}}},
		                  "on-x":{"enable":true,"node":"n","uid":8,"hostenv":{"organisation":"o"},"virtualHosts":{"on.test":{}}}},
		  "nodes":{"n":{"users":{"users":{},"groups":{}},"systemd":{"services":{},"slices":{}},"services":{"nginx":{"virtualHosts":{}}}}}}`,
		[]string{
			"plan removed /nodes/n/services/nginx/virtualHosts/off.test: disabled",
			"plan removed /nodes/n/services/nginx/virtualHosts/on.test: ",
			"plan removed /nodes/n/systemd/services/user@7: disabled",
			"plan removed /nodes/n/systemd/services/user@8: ",
			"plan removed /nodes/n/systemd/slices/user-o-off: disabled",
			"plan removed /nodes/n/systemd/slices/user-o-on: ",
			"plan removed /nodes/n/users/groups/off-x: disabled",
			"plan removed /nodes/n/users/users/off-x: disabled",
			"plan removed /nodes/n/users/users/on-x: ",
		},
	}, {
		"a node that only disabled environments had",
		`{"environments":{"a":{"enable":false,"node":"n"},"b":{"enable":true,"node":"m"}},"nodes":{"n":{},"m":{}}}`,
		`{"environments":{"a":{"enable":false,"node":"n"},"b":{"enable":true,"node":"m"}},"nodes":{}}`,
		[]string{"plan removed /nodes/m: ", "plan removed /nodes/n: disabled"},
	}, {
		"a node without environments is new, one with an environment is another thing",
		`{"environments":{"a":{"node":"n"}},"nodes":{"n":{}}}`,
		`{"environments":{"a":{"node":"m"}},"nodes":{"n":{},"m":{},"o":{}}}`,
		[]string{"plan changed /environments/a/node: ", "plan added /nodes/m: ", "plan added /nodes/o: empty-nodes"},
	}, {
		"a store path is written relative to the source, and stays the same path",
		`{"environments":{"a":{"hostenv":{"root":"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-source"},
		   "x":"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-source/.hostenv/files",
		   "y":"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-source/files","z":"/etc/files"}}}`,
		`{"environments":{"a":{"hostenv":{"root":"."},"x":".hostenv/files","y":"other","z":"files"}}}`,
		[]string{
			"plan changed /environments/a/hostenv/root: root-relative",
			"plan changed /environments/a/x: root-relative",
			"plan changed /environments/a/y: ",
			"plan changed /environments/a/z: ",
		},
	}, {
		"a wildcard does without a certificate, other names do not",
		`{"environments":{"a":{"virtualHosts":{"*.a.test":{"enableACME":true,"forceSSL":true},"a.test":{"enableACME":true,"forceSSL":true}}}}}`,
		`{"environments":{"a":{"virtualHosts":{"*.a.test":{"enableACME":false,"forceSSL":false},"a.test":{"enableACME":false,"forceSSL":true}}}}}`,
		[]string{
			"plan changed /environments/a/virtualHosts/*.a.test/enableACME: wildcard-certificate",
			"plan changed /environments/a/virtualHosts/*.a.test/forceSSL: wildcard-certificate",
			"plan changed /environments/a/virtualHosts/a.test/enableACME: ",
		},
	}, {
		"a name is spelled in one way, and nothing else about its host changes",
		`{"environments":{"a":{"virtualHosts":{"WWW.A.test.":{"x":1},"Shop.A.test":{"x":1},"gone.test":{}}}}}`,
		`{"environments":{"a":{"virtualHosts":{"www.a.test":{"x":1},"shop.a.test":{"x":2},"new.test":{}}}}}`,
		[]string{
			"plan removed /environments/a/virtualHosts/Shop.A.test: ",
			"plan removed /environments/a/virtualHosts/WWW.A.test.: normalised-names",
			"plan removed /environments/a/virtualHosts/gone.test: ",
			"plan added /environments/a/virtualHosts/new.test: ",
			"plan added /environments/a/virtualHosts/shop.a.test: ",
			"plan added /environments/a/virtualHosts/www.a.test: normalised-names",
		},
	}, {
		"another spelling, and what is deliberate about the host itself",
		`{"environments":{},"nodes":{"n":{"services":{"nginx":{"virtualHosts":{"A.test":{"allowIndexing":false}}}}}}}`,
		`{"environments":{},"nodes":{"n":{"services":{"nginx":{"virtualHosts":{"a.test":{"extraConfig":"add_header X-Robots-Tag \"noindex\" always;\n"}}}}}}}`,
		[]string{
			"plan removed /nodes/n/services/nginx/virtualHosts/A.test: normalised-names",
			"plan added /nodes/n/services/nginx/virtualHosts/a.test: normalised-names",
		},
	}, {
		"a token that was in the store is named by a key, one on the node stays",
		`{"environments":{},"cloudflare":{"apiTokenFile":"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-token","zoneId":"1"}}`,
		`{"environments":{},"cloudflare":{"apiTokenSecret":"cloudflare_token","zoneId":"2"}}`,
		[]string{
			"plan removed /cloudflare/apiTokenFile: api-token",
			"plan added /cloudflare/apiTokenSecret: api-token",
			"plan changed /cloudflare/zoneId: ",
		},
	}, {
		"a token file on the node that is not named any more",
		`{"environments":{},"cloudflare":{"apiTokenFile":"/run/secrets/token"}}`,
		`{"environments":{},"cloudflare":{}}`,
		[]string{"plan removed /cloudflare/apiTokenFile: "},
	}, {
		"keys that are new stand beside the old ones, and others are not expected",
		`{"environments":{"a":{}}}`,
		`{"environments":{"a":{"source":{},"placement":"p","type":"x"}},"formatVersion":1,"stateDigest":"0","extra":1}`,
		[]string{
			"plan added /environments/a/placement: added-environment",
			"plan added /environments/a/source: added-environment",
			"plan added /environments/a/type: ",
			"plan added /extra: ",
			"plan added /formatVersion: added-plan",
			"plan added /stateDigest: added-plan",
		},
	}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := parity.NewComparison(parity.Documents{Plan: object(t, test.before)}, parity.Documents{Plan: object(t, test.after)})
			if diff := cmp.Diff(test.want, explained(c)); diff != "" {
				t.Errorf("differs (-want +got):\n%s", diff)
			}
		})
	}
}

func explained(c *parity.Comparison) []string {
	var got []string
	for _, d := range c.Differences() {
		id := ""
		if rows := c.Explain(d); len(rows) > 0 {
			id = rows[0].ID
		}
		got = append(got, d.String()+": "+id)
	}
	return got
}

// A name may leave an entry of the state for another of its project, and for
// nobody else.
func TestExplainState(t *testing.T) {
	plan := object(t, `{"environments":{}}`)
	before := object(t, `{
	  "a":{"virtualHosts":["one.test","two.test"]},"b":{"virtualHosts":[]},
	  "c":{"virtualHosts":["three.test"]},"d":{"virtualHosts":[]},"E":{"virtualHosts":["Four.Test.","five.test"]}}`)
	after := object(t, `{
	  "a":{"virtualHosts":["two.test"],"organisation":"o","project":"p"},"b":{"virtualHosts":["one.test"],"organisation":"o","project":"p"},
	  "c":{"virtualHosts":[],"organisation":"o","project":"p"},"d":{"virtualHosts":["three.test"],"organisation":"o","project":"q"},
	  "E":{"virtualHosts":["five.test","four.test"]}}`)
	c := parity.NewComparison(parity.Documents{Plan: plan, State: before}, parity.Documents{Plan: plan, State: after})
	got := slices.DeleteFunc(explained(c), func(line string) bool { return !strings.Contains(line, "virtualHosts") })
	want := []string{
		"state changed /E/virtualHosts: normalised-names",
		"state changed /a/virtualHosts: name-moves",
		"state changed /b/virtualHosts: ",
		"state changed /c/virtualHosts: ",
		"state changed /d/virtualHosts: ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differs (-want +got):\n%s", diff)
	}
}

// TestTampering changes and removes every member of every recorded plan that
// ours has in common with it: no such change passes for a deliberate one.
func TestTampering(t *testing.T) {
	dirs, err := filepath.Glob("../../../golden/0*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	tampered := 0
	for _, dir := range dirs {
		before, err := os.ReadFile(filepath.Join(dir, "legacy-plan.json"))
		if err != nil {
			continue
		}
		after, err := os.ReadFile(filepath.Join(dir, "plan.json"))
		if err != nil {
			continue
		}
		old, ours := parity.Documents{Plan: object(t, string(before))}, parity.Documents{Plan: object(t, string(after))}
		sound := len(parity.Compare(old, ours).Unexpected())
		uids := map[any]int{}
		for _, e := range old.Plan["environments"].(map[string]any) {
			uids[e.(map[string]any)["uid"]]++
		}
		check := func(path string, value any) {
			tampered++
			if shared, ok := value.(int64); ok && uids[shared] > 1 {
				return // may be another one: that is what the row dense-uids says
			}
			if got := parity.Compare(old, ours); len(got.Unexpected()) <= sound {
				t.Errorf("%s: %s was tampered with, and no more than %d differences are unexpected", filepath.Base(dir), path, sound)
			}
		}
		tamper("", old.Plan, ours.Plan, check)
	}
	if tampered < 1000 {
		t.Errorf("only %d members were tampered with", tampered)
	}
}

// tamper changes each leaf that is the same on both sides, and puts it back.
func tamper(path string, old, ours map[string]any, check func(string, any)) {
	for name, value := range maps.Clone(ours) {
		was, ok := old[name]
		inner, isObject := value.(map[string]any)
		before, wasObject := was.(map[string]any)
		switch {
		case !ok:
			continue
		case isObject && wasObject && len(inner) > 0:
			tamper(path+"/"+name, before, inner, check)
			continue
		case !bytes.Equal(canonjson.Encode(value), canonjson.Encode(was)):
			continue
		}
		ours[name] = "tampered"
		check(path+"/"+name, was)
		ours[name] = value
	}
}

func TestReport(t *testing.T) {
	before, err := parity.DecodeDocuments([]byte(`{"environments":{"a":{"uid":1002,"type":"x"},"b":{"uid":1002}}}`), []byte(`{"a":{"uid":1002}}`))
	if err != nil {
		t.Fatal(err)
	}
	after, err := parity.DecodeDocuments([]byte(`{"environments":{"a":{"uid":1002,"type":"y"},"b":{"uid":1003}},"formatVersion":1}`), []byte(`{"a":{"uid":1002,"project":"p"}}`))
	if err != nil {
		t.Fatal(err)
	}
	r := parity.Compare(before, after)
	want := `expected, dense-uids: dense, unique UIDs in the order of userName
  ~ plan /environments/b/uid: 1002 -> 1003
expected, added-plan: new keys at the top of the plan, beside which the old ones stand as they were
  + plan /formatVersion: 1
expected, added-state: per entry of the state: organisation, project, environment, deployedNode, retired
  + state /a/project: "p"
unexpected:
  ~ plan /environments/a/type: "x" -> "y"
4 differences, 3 expected, 1 unexpected
`
	if diff := cmp.Diff(want, r.Text()); diff != "" {
		t.Errorf("the text differs (-want +got):\n%s", diff)
	}
	v := object(t, string(r.Encode()))
	if len(v["expected"].([]any)) != 3 || len(v["unexpected"].([]any)) != 1 || v["formatVersion"] != int64(1) {
		t.Errorf("as JSON: %v", v)
	}
	first := v["expected"].([]any)[0].(map[string]any)
	wantFirst := map[string]any{
		"document": "plan", "kind": "changed", "path": "/environments/b/uid", "before": int64(1002), "after": int64(1003), "row": "dense-uids",
		"today": "several new environments in one plan all get the same UID", "now": "dense, unique UIDs in the order of userName",
	}
	if diff := cmp.Diff(wantFirst, first); diff != "" {
		t.Errorf("the first difference as JSON (-want +got):\n%s", diff)
	}
	if got, want := parity.Compare(before, before).Text(), "no differences\n"; got != want {
		t.Errorf("without differences: %q, want %q", got, want)
	}
}

func TestDecodeDocuments(t *testing.T) {
	for _, text := range []string{``, `[]`, `{"environments":1}`, `{"a":{"uid":1002}}`, `{"environments":{},"environments":{}}`} {
		if _, err := parity.DecodeDocuments([]byte(text), nil); err == nil {
			t.Errorf("%s passes for a plan", text)
		} else if hinter := (interface{ Hint() string })(nil); !errors.As(err, &hinter) && text != `[]` {
			t.Errorf("%s: %v has no hint", text, err)
		}
	}
}
