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

// asking are environments whose virtual hosts ask for security headers.
const asking = `{"a":{"node":"n","virtualHosts":{
		   "all.test":{"hsts":true,"security":{"hsts":true,"csp":"default-src 'self'; ","cspMode":"report-only","cspReportTo":"g","reportTo":"{\"a\":1}","referrerPolicy":"no-referrer","xFrameOptions":null,"xContentTypeOptions":true}},
		   "robots.test":{"allowIndexing":false,"security":{"xFrameOptions":"DENY"}},
		   "value.test":{"security":{"xFrameOptions":"DENY"}},
		   "extra.test":{"security":{"xFrameOptions":"DENY"}},
		   "less.test":{"security":{"xFrameOptions":"DENY","referrerPolicy":"no-referrer"}},
		   "raw.test":{"security":{"xFrameOptions":"DENY"}},
		   "plain.test":{"hsts":true,"security":{"xFrameOptions":"DENY"}}}}}`

// TestExplain checks which row explains a difference, if any.
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
		"units that are named after a UID change with it, and others do not",
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
		"a repeated key may be written once, but not removed",
		`{"environments":{"a":{"authorizedKeys":["x","y","x"]},"b":{"authorizedKeys":["x","y"]}}}`,
		`{"environments":{"a":{"authorizedKeys":["x","y"]},"b":{"authorizedKeys":["x"]}}}`,
		[]string{"plan changed /environments/a/authorizedKeys: keys-once", "plan changed /environments/b/authorizedKeys: "},
	}, {
		"the same keys are removed after each environment's own keys, and no own key",
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
		"the header replaces allowIndexing = false, after the project's own configuration",
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
		"an option without a value, such as basicAuthFile: front-door-form",
		`{"environments":{"a":{"virtualHosts":{"h":{"basicAuthFile":null,"locations":{"/x":{"return":null,"alias":null},"/y":{"alias":"/"}}},"i":{}}}},"nodes":{"n":{"services":{"nginx":{"virtualHosts":{
		   "h":{"basicAuthFile":null,"root":"/","locations":{"/x":{"return":null}}},"i":{}}}}}}}`,
		`{"environments":{"a":{"virtualHosts":{"h":{"locations":{"/x":{"return":null},"/y":{}}}}}},"nodes":{"n":{"services":{"nginx":{"virtualHosts":{
		   "h":{"globalRedirect":null,"redirectCode":301,"locations":{}}}}}}}}`,
		[]string{
			"plan removed /environments/a/virtualHosts/h/basicAuthFile: front-door-form",
			"plan removed /environments/a/virtualHosts/h/locations/~1x/alias: front-door-form",
			"plan removed /environments/a/virtualHosts/h/locations/~1y/alias: ",
			"plan removed /environments/a/virtualHosts/i: ",
			"plan removed /nodes/n/services/nginx/virtualHosts/h/basicAuthFile: front-door-form",
			"plan added /nodes/n/services/nginx/virtualHosts/h/globalRedirect: front-door-form",
			"plan removed /nodes/n/services/nginx/virtualHosts/h/locations/~1x: front-door-form",
			"plan added /nodes/n/services/nginx/virtualHosts/h/redirectCode: front-door-form",
			"plan removed /nodes/n/services/nginx/virtualHosts/h/root: ",
			"plan removed /nodes/n/services/nginx/virtualHosts/i: ",
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
		"a disabled environment leaves its node, and no other environment does",
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
		"a new node without environments is expected, one with an environment is not",
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
		"a wildcard may lose its certificate, other names may not",
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
		"the plan no longer names a token file on the node",
		`{"environments":{},"cloudflare":{"apiTokenFile":"/run/secrets/token"}}`,
		`{"environments":{},"cloudflare":{}}`,
		[]string{"plan removed /cloudflare/apiTokenFile: "},
	}, {
		"a certificate that hostenv's name asks for, or declines, is asked for by NixOS's",
		`{"environments":{"a":{"virtualHosts":{
		   "on.test":{"enableLetsEncrypt":true},"off.test":{"enableLetsEncrypt":false},"lost.test":{"enableLetsEncrypt":true},
		   "half.test":{"enableLetsEncrypt":true},"*.a.test":{"enableLetsEncrypt":true},"none.test":{}}}}}`,
		`{"environments":{"a":{"virtualHosts":{
		   "on.test":{"enableACME":true,"forceSSL":true},"off.test":{"enableACME":false,"forceSSL":false},"lost.test":{"enableACME":false,"forceSSL":false},
		   "half.test":{"enableACME":true,"forceSSL":false},"*.a.test":{"enableACME":false,"forceSSL":false},"none.test":{"enableACME":true,"forceSSL":true}}}}}`,
		[]string{
			"plan added /environments/a/virtualHosts/*.a.test/enableACME: wildcard-certificate",
			"plan removed /environments/a/virtualHosts/*.a.test/enableLetsEncrypt: wildcard-certificate",
			"plan added /environments/a/virtualHosts/*.a.test/forceSSL: wildcard-certificate",
			"plan added /environments/a/virtualHosts/half.test/enableACME: ",
			"plan removed /environments/a/virtualHosts/half.test/enableLetsEncrypt: ",
			"plan added /environments/a/virtualHosts/half.test/forceSSL: ",
			"plan added /environments/a/virtualHosts/lost.test/enableACME: ",
			"plan removed /environments/a/virtualHosts/lost.test/enableLetsEncrypt: ",
			"plan added /environments/a/virtualHosts/lost.test/forceSSL: ",
			"plan added /environments/a/virtualHosts/none.test/enableACME: ",
			"plan added /environments/a/virtualHosts/none.test/forceSSL: ",
			"plan added /environments/a/virtualHosts/off.test/enableACME: certificate-name",
			"plan removed /environments/a/virtualHosts/off.test/enableLetsEncrypt: certificate-name",
			"plan added /environments/a/virtualHosts/off.test/forceSSL: certificate-name",
			"plan added /environments/a/virtualHosts/on.test/enableACME: certificate-name",
			"plan removed /environments/a/virtualHosts/on.test/enableLetsEncrypt: certificate-name",
			"plan added /environments/a/virtualHosts/on.test/forceSSL: certificate-name",
		},
	}, {
		"a certificate that the older gate turned off is asked for again, by its environment and on its node",
		`{"environments":{"a":{"node":"n","virtualHosts":{"off.test":{"enableLetsEncrypt":false}}},"b":{"node":"n","virtualHosts":{"older.test":{"enableACME":false,"forceSSL":false}}}},
		  "nodes":{"n":{"services":{"nginx":{"virtualHosts":{
		   "off.test":{"enableACME":false,"forceSSL":false},"older.test":{"enableACME":false,"forceSSL":false},"alien.test":{"enableACME":false,"forceSSL":false}}}}}}}`,
		`{"environments":{"a":{"node":"n","virtualHosts":{"off.test":{"enableACME":true,"forceSSL":true}}},"b":{"node":"n","virtualHosts":{"older.test":{"enableACME":true,"forceSSL":true}}}},
		  "nodes":{"n":{"services":{"nginx":{"virtualHosts":{
		   "off.test":{"enableACME":true,"forceSSL":true},"older.test":{"enableACME":true,"forceSSL":true},"alien.test":{"enableACME":true,"forceSSL":true}}}}}}}`,
		[]string{
			"plan added /environments/a/virtualHosts/off.test/enableACME: gated-certificate",
			"plan removed /environments/a/virtualHosts/off.test/enableLetsEncrypt: gated-certificate",
			"plan added /environments/a/virtualHosts/off.test/forceSSL: gated-certificate",
			"plan changed /environments/b/virtualHosts/older.test/enableACME: gated-certificate",
			"plan changed /environments/b/virtualHosts/older.test/forceSSL: gated-certificate",
			"plan changed /nodes/n/services/nginx/virtualHosts/alien.test/enableACME: ",
			"plan changed /nodes/n/services/nginx/virtualHosts/alien.test/forceSSL: ",
			"plan changed /nodes/n/services/nginx/virtualHosts/off.test/enableACME: gated-certificate",
			"plan changed /nodes/n/services/nginx/virtualHosts/off.test/forceSSL: gated-certificate",
			"plan changed /nodes/n/services/nginx/virtualHosts/older.test/enableACME: gated-certificate",
			"plan changed /nodes/n/services/nginx/virtualHosts/older.test/forceSSL: gated-certificate",
		},
	}, {
		"a certificate that is gone, and TLS without one, are no work of a gate",
		`{"environments":{"a":{"node":"n","virtualHosts":{"gone.test":{"enableACME":true,"forceSSL":true},"half.test":{"enableACME":true,"forceSSL":false}}}}}`,
		`{"environments":{"a":{"node":"n","virtualHosts":{"gone.test":{"enableACME":false,"forceSSL":false},"half.test":{"enableACME":true,"forceSSL":true}}}}}`,
		[]string{
			"plan changed /environments/a/virtualHosts/gone.test/enableACME: ",
			"plan changed /environments/a/virtualHosts/gone.test/forceSSL: ",
			"plan changed /environments/a/virtualHosts/half.test/forceSSL: ",
		},
	}, {
		"the environment has the proxy that only the node had",
		`{"environments":{"a":{"node":"n","virtualHosts":{"h.test":{"locations":{}},"i.test":{"locations":{}}}}},
		  "nodes":{"n":{"services":{"nginx":{"virtualHosts":{"h.test":{"locations":{"/":{"proxyPass":"http://a_upstream"}}},"i.test":{"locations":{"/":{"proxyPass":"http://a_upstream"}}}}}}}}}`,
		`{"environments":{"a":{"node":"n","virtualHosts":{"h.test":{"locations":{"/":{"proxyPass":"http://a_upstream"}}},"i.test":{"locations":{"/":{"proxyPass":"http://b_upstream"}}}}}},
		  "nodes":{"n":{"services":{"nginx":{"virtualHosts":{"h.test":{"locations":{"/":{"proxyPass":"http://a_upstream"}}},"i.test":{"locations":{"/":{"proxyPass":"http://a_upstream"}}}}}}}}}`,
		[]string{
			"plan added /environments/a/virtualHosts/h.test/locations/~1: same-proxy",
			"plan added /environments/a/virtualHosts/i.test/locations/~1: ",
		},
	}, {
		"a previous node may be left out where there was none",
		`{"environments":{"a":{"previousNode":null},"b":{"previousNode":"n"}}}`,
		`{"environments":{"a":{},"b":{}}}`,
		[]string{"plan removed /environments/a/previousNode: no-previous-node", "plan removed /environments/b/previousNode: "},
	}, {
		"a port among the options of ssh is the node's sshPort, and no option is lost",
		`{"environments":{},"nodeConnections":{
		   "a":{"hostname":"a.test","sshOpts":["-p","2222","-o","X=y"]},"b":{"hostname":"b.test","sshOpts":["-p","2222","-o","X=y"]},
		   "c":{"hostname":"c.test","sshOpts":["-p","2222"]},"d":{"hostname":"d.test","sshOpts":[]},"e":{"hostname":"e.test","sshOpts":["-v"]}}}`,
		`{"environments":{},"nodeConnections":{
		   "a":{"hostname":"a.test","sshPort":2222,"sshOpts":["-o","X=y"],"system":"x86_64-linux","magicRollback":false},"b":{"hostname":"b.test","sshPort":2222,"sshOpts":[]},
		   "c":{"hostname":"other.test","sshPort":22,"sshOpts":[]},"d":{"hostname":"d.test"},"e":{"hostname":"e.test"}}}`,
		[]string{
			"plan added /nodeConnections/a/magicRollback: node-options",
			"plan changed /nodeConnections/a/sshOpts: connection",
			"plan added /nodeConnections/a/sshPort: connection",
			"plan added /nodeConnections/a/system: node-options",
			"plan changed /nodeConnections/b/sshOpts: ",
			"plan added /nodeConnections/b/sshPort: ",
			"plan changed /nodeConnections/c/hostname: ",
			"plan changed /nodeConnections/c/sshOpts: ",
			"plan added /nodeConnections/c/sshPort: ",
			"plan removed /nodeConnections/d/sshOpts: connection",
			"plan removed /nodeConnections/e/sshOpts: ",
		},
	}, {
		"the nodes that build for themselves are the same, in another place",
		`{"environments":{},"nodeRemoteBuild":{"a":true,"b":false},"nodeConnections":{"a":{},"b":{}}}`,
		`{"environments":{},"nodeConnections":{"a":{"remoteBuild":true},"b":{}}}`,
		[]string{"plan added /nodeConnections/a/remoteBuild: remote-build", "plan removed /nodeRemoteBuild: remote-build"},
	}, {
		"a node that built for itself is missing",
		`{"environments":{},"nodeRemoteBuild":{"a":true,"b":true},"nodeConnections":{"a":{},"b":{}}}`,
		`{"environments":{},"nodeConnections":{"a":{"remoteBuild":true},"b":{}}}`,
		[]string{"plan added /nodeConnections/a/remoteBuild: ", "plan removed /nodeRemoteBuild: "},
	}, {
		"a node without environments is reached where it was not mentioned",
		`{"environments":{"a":{"node":"n"}},"nodeConnections":{"n":{}}}`,
		`{"environments":{"a":{"node":"n"}},"nodeConnections":{"n":{},"m":{"hostname":"m.test"}}}`,
		[]string{"plan added /nodeConnections/m: empty-nodes"},
	}, {
		"the plan no longer has what the node's modules make of its environments, but keeps everything else",
		`{"environments":{"a":{"node":"n"}},"nodes":{
		   "n":{"networking":{"firewall":{"allowedTCPPorts":[80,443,22]}},
		        "services":{"nginx":{"enable":true,"recommendedProxySettings":true,"upstreams":{"a_upstream":{"servers":{"unix:/run/hostenv/nginx/a/in.sock":{}}}}}}},
		   "m":{"networking":{"firewall":{"allowedTCPPorts":[80,8080]}},
		        "services":{"nginx":{"enable":false,"recommendedProxySettings":false,"upstreams":{"a_upstream":{"servers":{"unix:/run/hostenv/nginx/b/in.sock":{}}}}}}},
		   "o":{"networking":{"firewall":{"allowedTCPPorts":[80]},"hostName":"o"}}}}`,
		`{"environments":{"a":{"node":"n"}},"nodes":{"n":{"services":{"nginx":{}}},"m":{"services":{"nginx":{}}},"o":{}}}`,
		[]string{
			"plan removed /nodes/m/networking: ",
			"plan removed /nodes/m/services/nginx/enable: ",
			"plan removed /nodes/m/services/nginx/recommendedProxySettings: ",
			"plan removed /nodes/m/services/nginx/upstreams: ",
			"plan removed /nodes/n/networking: node-modules",
			"plan removed /nodes/n/services/nginx/enable: node-modules",
			"plan removed /nodes/n/services/nginx/recommendedProxySettings: node-modules",
			"plan removed /nodes/n/services/nginx/upstreams: node-modules",
			"plan removed /nodes/o/networking: ",
		},
	}, {
		"the deploy user and the trusted keys are those of the plan, and its keys the provider's",
		`{"environments":{},"nodes":{
		   "a":{"provider":{"deployUser":"deploy","nixSigning":{"trustedPublicKeys":["s"]},"deployPublicKeys":["k1"]}},
		   "b":{"provider":{"deployUser":"root","nixSigning":{"trustedPublicKeys":["s"]},"deployPublicKeys":["k1"]}},
		   "c":{"provider":{"deployUser":"deploy","nixSigning":{"trustedPublicKeys":["t"]},"deployPublicKeys":["k1"]}},
		   "d":{"provider":{"deployUser":"deploy","nixSigning":{"trustedPublicKeys":["s"]},"deployPublicKeys":["k1","lost"]}},
		   "e":{"provider":{"deployUser":"deploy","nixSigning":{"trustedPublicKeys":["s"]},"deployPublicKeys":["k1"],"more":true}}}}`,
		`{"environments":{},"deployUser":"deploy","nixSigning":{"trustedPublicKeys":["s"]},"nodes":{"a":{},"b":{},"c":{},"d":{},"e":{}}}`,
		[]string{
			"plan added /deployUser: added-plan",
			"plan added /nixSigning: added-plan",
			"plan removed /nodes/a/provider: node-provider",
			"plan removed /nodes/b/provider: ",
			"plan removed /nodes/c/provider: ",
			"plan removed /nodes/d/provider: ",
			"plan removed /nodes/e/provider: ",
		},
	}, {
		"the headers that an environment asks for come from its node, every one with its value",
		`{"environments":` + asking + `,
		  "nodes":{"n":{"services":{"nginx":{"virtualHosts":{
		   "all.test":{"http2":true,"extraConfig":"add_header Report-To '{\"a\":1}' always;\nadd_header Referrer-Policy \"no-referrer\" always;\nadd_header Strict-Transport-Security \"max-age=63072000; includeSubDomains; preload\" always;\nadd_header X-Content-Type-Options \"nosniff\" always;\nadd_header Content-Security-Policy-Report-Only \"default-src 'self'; report-to g\" always;"},
		   "robots.test":{"http2":false,"extraConfig":"add_header X-Frame-Options \"DENY\" always;\nadd_header X-Robots-Tag \"noindex\" always;"},
		   "value.test":{"extraConfig":"add_header X-Frame-Options \"SAMEORIGIN\" always;"},
		   "extra.test":{"extraConfig":"add_header X-Frame-Options \"DENY\" always;\nadd_header X-Other \"1\" always;"},
		   "less.test":{"extraConfig":"add_header X-Frame-Options \"DENY\" always;"},
		   "raw.test":{"extraConfig":"add_header X-Frame-Options \"DENY\" always;\nclient_max_body_size 1g;"},
		   "plain.test":{"forceSSL":false,"extraConfig":"add_header X-Frame-Options \"DENY\" always;"}}}}}}}`,
		`{"environments":` + asking + `,
		  "nodes":{"n":{"services":{"nginx":{"virtualHosts":{
		   "all.test":{},"robots.test":{"extraConfig":"add_header X-Robots-Tag \"noindex\" always;\n"},"value.test":{},"extra.test":{},"less.test":{},"raw.test":{},"plain.test":{"forceSSL":false}}}}}}}`,
		[]string{
			"plan removed /nodes/n/services/nginx/virtualHosts/all.test/extraConfig: security-headers",
			"plan removed /nodes/n/services/nginx/virtualHosts/all.test/http2: http2",
			"plan removed /nodes/n/services/nginx/virtualHosts/extra.test/extraConfig: ",
			"plan removed /nodes/n/services/nginx/virtualHosts/less.test/extraConfig: ",
			"plan removed /nodes/n/services/nginx/virtualHosts/plain.test/extraConfig: security-headers",
			"plan removed /nodes/n/services/nginx/virtualHosts/raw.test/extraConfig: ",
			"plan changed /nodes/n/services/nginx/virtualHosts/robots.test/extraConfig: security-headers",
			"plan removed /nodes/n/services/nginx/virtualHosts/robots.test/http2: ",
			"plan removed /nodes/n/services/nginx/virtualHosts/value.test/extraConfig: ",
		},
	}, {
		"a token file on the node whose token is named by a key now",
		`{"environments":{},"cloudflare":{"apiTokenFile":"/run/secrets/token"}}`,
		`{"environments":{},"cloudflare":{"apiTokenSecret":"cloudflare/api_token"}}`,
		[]string{"plan removed /cloudflare/apiTokenFile: api-token", "plan added /cloudflare/apiTokenSecret: api-token"},
	}, {
		"the plan's word about itself goes, no other",
		`{"_description":"It contains ...","environments":{"a":{"_description":"mine"}}}`,
		`{"environments":{"a":{}}}`,
		[]string{"plan removed /_description: plan-description", "plan removed /environments/a/_description: "},
	}, {
		"an environment's paths are its own",
		`{"environments":{"a":{"node":"n"}},"nodeConnections":{"n":{}}}`,
		`{"environments":{"a":{"node":"n"}},
		  "profiles":{"a":{"profileLink":"/nix/var/nix/profiles/per-user/a/hostenv","tempPath":"/run/x/a","activationTimeout":900}},
		  "nodeConnections":{"n":{"tempPath":"/run/x"}}}`,
		[]string{"plan added /nodeConnections/n/tempPath: node-options", "plan added /profiles: paths"},
	}, {
		"an environment has the paths of another",
		`{"environments":{"a":{"node":"n"},"b":{"node":"n"}},"nodeConnections":{"n":{"tempPath":"/run/x"}}}`,
		`{"environments":{"a":{"node":"n"},"b":{"node":"n"}},
		  "profiles":{
		   "a":{"profileLink":"/nix/var/nix/profiles/per-user/a/hostenv","tempPath":"/run/x/a","activationTimeout":900},
		   "b":{"profileLink":"/nix/var/nix/profiles/per-user/a/hostenv","tempPath":"/run/x/a","activationTimeout":900}},
		  "nodeConnections":{"n":{"tempPath":"/run/x"}}}`,
		[]string{"plan added /profiles: "},
	}, {
		"an environment has no profile",
		`{"environments":{"a":{"node":"n"}},"nodeConnections":{"n":{"tempPath":"/run/x"}}}`,
		`{"environments":{"a":{"node":"n"}},"profiles":{},"nodeConnections":{"n":{"tempPath":"/run/x"}}}`,
		[]string{"plan added /profiles: "},
	}, {
		"new keys beside the old ones are expected, and others are not",
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
			c := parity.NewComparison(parity.Documents{Plan: object(t, test.before)}, parity.Documents{Plan: object(t, test.after), DeployPublicKeys: []string{"k1", "k2"}})
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

// In the state, a name may move to another entry of its project only.
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

// TestTampering changes each member of the recorded plans: those that our plan
// shares, and those that it does not have. No row may explain such a change.
func TestTampering(t *testing.T) {
	dirs, err := filepath.Glob("../../../golden/0*")
	newest, newestErr := filepath.Glob("../../../golden/201*")
	dirs = append(dirs, newest...)
	if err := errors.Join(err, newestErr); err != nil || len(newest) != 1 {
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
		newest := old.Plan["nodeConnections"] != nil
		if newest {
			ours.DeployPublicKeys = deployKeys(old.Plan)
		}
		sound := len(parity.Compare(old, ours).Unexpected())
		uids := map[any]int{}
		for _, e := range old.Plan["environments"].(map[string]any) {
			uids[e.(map[string]any)["uid"]]++
		}
		check := func(path string, value any) {
			tampered++
			if shared, ok := value.(int64); ok && uids[shared] > 1 {
				return // the row dense-uids explains a change of this UID
			}
			if got := parity.Compare(old, ours); len(got.Unexpected()) <= sound {
				t.Errorf("%s: %s was changed, and still only %d differences are unexpected", filepath.Base(dir), path, sound)
			}
		}
		tamper("", old.Plan, ours.Plan, check)
		if newest {
			tamperOld("", old.Plan, ours.Plan, false, func(path string) {
				tampered++
				if got := parity.Compare(old, ours); len(got.Unexpected()) <= sound {
					t.Errorf("%s: %s of the older plan was changed, and still only %d differences are unexpected", filepath.Base(dir), path, sound)
				}
			})
		}
	}
	if tampered < 1000 {
		t.Errorf("only %d members were tampered with", tampered)
	}
}

// tamper changes each leaf that is equal on both sides, calls check, and restores it.
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

// deployKeys returns the public keys, which a plan of the newest legacy generator has
// for each node.
func deployKeys(plan map[string]any) []string {
	var keys []string
	for _, node := range plan["nodes"].(map[string]any) {
		for _, key := range node.(map[string]any)["provider"].(map[string]any)["deployPublicKeys"].([]any) {
			keys = append(keys, key.(string))
		}
	}
	return keys
}

// tamperOld changes each leaf of the older plan that is missing or different in ours,
// calls check, and restores it.
func tamperOld(path string, old, ours map[string]any, gone bool, check func(string)) {
	for name, value := range maps.Clone(old) {
		at := path + "/" + name
		kept, ok := ours[name]
		gone := gone || !ok
		inner, isObject := value.(map[string]any)
		keptObject, _ := kept.(map[string]any)
		switch {
		case isObject && len(inner) > 0:
			tamperOld(at, inner, keptObject, gone, check)
			continue
		case at == "/_description":
			continue // this text may differ
		case !gone && bytes.Equal(canonjson.Encode(value), canonjson.Encode(kept)):
			continue
		}
		old[name] = "tampered"
		check(at)
		old[name] = value
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
			t.Errorf("DecodeDocuments accepts %s as a plan", text)
		} else if hinter := (interface{ Hint() string })(nil); !errors.As(err, &hinter) && text != `[]` {
			t.Errorf("%s: %v has no hint", text, err)
		}
	}
}
