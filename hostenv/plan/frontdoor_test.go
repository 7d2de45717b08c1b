package plan_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

const (
	ownUser = "site-main-b7ea262"
	ownHost = "www.acme.test"
)

// twoCustomers returns an inventory in which acme__site has the given virtual hosts,
// beta__portal has one of its own, and provider.frontDoor.raw the given entries.
func twoCustomers(virtualHosts any, raw ...string) []byte {
	environment := func(organisation, project, user string, hosts any) map[string]any {
		return map[string]any{
			"defaultEnvironment": "main",
			"source":             map[string]any{"original": map[string]any{"type": "git", "url": "ssh://git@git.test/" + organisation + ".git"}},
			"environments": map[string]any{"main": map[string]any{
				"enable": true, "type": "production", "virtualHosts": hosts,
				"users": map[string]any{"alice": map[string]any{"publicKeys": []any{"ssh-ed25519 AAAA alice"}}},
				"hostenv": map[string]any{
					"organisation": organisation, "project": project, "environmentName": "main", "gitRef": "main", "userName": user,
					"hostname": user + ".hosting.test", "hostenvHostname": "hosting.test",
				},
			}},
		}
	}
	return canonjson.Encode(map[string]any{
		"formatVersion": 1,
		"provider": map[string]any{
			"hostenvHostname": "hosting.test", "letsEncrypt": map[string]any{"acceptTerms": true, "adminEmail": "ops@hosting.test"},
			"deployPublicKeys": []any{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIpV594cTdpe+o1y0IiFHricBDmVkjMpBQoyJeYIqCeo deploy"}, "nodeFor": map[string]any{"default": "node-a"},
			"frontDoor": map[string]any{"raw": raw},
		},
		"projects": map[string]any{
			"acme__site":   environment("acme", "site", ownUser, virtualHosts),
			"beta__portal": environment("beta", "portal", "portal-main-2d5b67c", map[string]any{"www.beta.test": map[string]any{"enableLetsEncrypt": true}}),
		},
	})
}

// planOf computes the plan of an inventory.
func planOf(t testing.TB, inventory []byte) (*plan.Result, error) {
	t.Helper()
	inv, err := plan.DecodeInventory(inventory)
	if err != nil {
		t.Fatalf("%v\n%s", err, inventory)
	}
	return refusing(plan.Input{Inventory: inv, State: state.New()})
}

func object(t testing.TB, text string) map[string]any {
	t.Helper()
	v, err := canonjson.Decode([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return v.(map[string]any)
}

// closedAttacks are values with which a virtual host reached another customer's
// files, sockets, certificates or names, or kept nginx from starting for all: by
// name, the options of the host www.acme.test, and what the refusal names.
var closedAttacks = map[string]struct{ options, names string }{
	"another's socket":           {`{"locations":{"/":{"proxyPass":"http://portal-main-2d5b67c_upstream"}}}`, "locations.<path>.proxyPass"},
	"a service of the node":      {`{"locations":{"/m":{"proxyPass":"http://127.0.0.1:9100/metrics"}}}`, "locations.<path>.proxyPass"},
	"a unix socket":              {`{"locations":{"/m":{"proxyPass":"http://unix:/run/hostenv/nginx/portal-main-2d5b67c/in.sock"}}}`, "locations.<path>.proxyPass"},
	"a variable of its own":      {`{"locations":{"/m":{"proxyPass":"http://$arg_to"}}}`, "locations.<path>.proxyPass"},
	"all files of the node":      {`{"root":"/"}`, "virtualHosts.<name>.root"},
	"all files in a location":    {`{"locations":{"/f":{"root":"/"}}}`, "locations.<path>.root"},
	"the certificates":           {`{"locations":{"/k/":{"alias":"/var/lib/acme/"}}}`, "locations.<path>.alias"},
	"a server of its own":        {`{"extraConfig":"}\nserver { listen 80 default_server;\n"}`, "virtualHosts.<name>.extraConfig"},
	"a server in a location":     {`{"locations":{"/":{"extraConfig":"} } server { listen 80;"}}}`, "locations.<path>.extraConfig"},
	"addresses of its own":       {`{"listenAddresses":["127.0.0.1"]}`, "virtualHosts.<name>.listenAddresses"},
	"sockets of its own":         {`{"listen":[{"addr":"0.0.0.0","port":22}]}`, "virtualHosts.<name>.listen"},
	"another's certificate":      {`{"useACMEHost":"www.beta.test"}`, "virtualHosts.<name>.useACMEHost"},
	"another's key":              {`{"addSSL":true,"sslCertificateKey":"/var/lib/acme/www.beta.test/key.pem","sslCertificate":"/x"}`, "virtualHosts.<name>.sslCertificateKey"},
	"a folder for challenges":    {`{"acmeRoot":"/run/hostenv"}`, "virtualHosts.<name>.acmeRoot"},
	"a host for challenges":      {`{"acmeFallbackHost":"127.0.0.1:22"}`, "virtualHosts.<name>.acmeFallbackHost"},
	"a password file":            {`{"basicAuthFile":"/run/secrets/x"}`, "virtualHosts.<name>.basicAuthFile"},
	"passwords in the store":     {`{"basicAuth":{"a":"b"}}`, "virtualHosts.<name>.basicAuth"},
	"a password with a line":     {`{"locations":{"/":{"basicAuth":{"a\nb":"c"}}}}`, "locations.<path>.basicAuth"},
	"the node's default":         {`{"default":true}`, "default would replace the catch-all"},
	"aliases":                    {`{"serverAliases":["x.test; } server { "]}`, "virtualHosts.<name>.serverAliases"},
	"another name":               {`{"serverName":"_"}`, "virtualHosts.<name>.serverName"},
	"reuseport":                  {`{"reuseport":true}`, "virtualHosts.<name>.reuseport"},
	"quic":                       {`{"quic":true}`, "virtualHosts.<name>.quic"},
	"no TLS for others":          {`{"rejectSSL":true}`, "virtualHosts.<name>.rejectSSL"},
	"files that are tried":       {`{"locations":{"/":{"tryFiles":"/etc/passwd =404; }"}}}`, "locations.<path>.tryFiles"},
	"an index with directives":   {`{"locations":{"/":{"index":"a; autoindex on"}}}`, "locations.<path>.index"},
	"parameters with directives": {`{"locations":{"/":{"fastcgiParams":{"A":"b\"; fastcgi_pass unix:/x; #"}}}}`, "locations.<path>.fastcgiParams"},
	"an order":                   {`{"locations":{"/x":{"priority":1,"return":410}}}`, "locations.<path>.priority"},
	"a module":                   {`{"security":"/tmp/evil.nix"}`, "security is a string"},
	"a function":                 {`{"__functor":{},"locations":{"/x":{"_module":{"args":{}}}},"security":{"imports":["/tmp/evil.nix"]}}`, "virtualHosts.<name>.__functor"},
	"modules in security":        {`{"security":{"imports":["/tmp/evil.nix"]}}`, "virtualHosts.<name>.security.imports"},
	"another priority":           {`{"_type":"override","content":{"root":"/"},"priority":10}`, "virtualHosts.<name>._type"},

	"a location within a location":     {`{"locations":{"/x { } location /pw { alias /etc/passwd; }":{"return":410}}}`, "is no plain path"},
	"a bad regex":                      {`{"locations":{"~ (":{"return":410}}}`, "is no plain path"},
	"a regex":                          {`{"locations":{"~ .*":{"return":410}}}`, "is no plain path"},
	"a prefix before others":           {`{"locations":{"^~ /":{"return":410}}}`, "is no plain path"},
	"a named location":                 {`{"locations":{"@x":{"return":410}}}`, "is no plain path"},
	"a location twice":                 {`{"locations":{"/a":{"return":410}," /a":{"return":410}}}`, "is no plain path"},
	"an exact location twice":          {`{"locations":{"= /a":{"return":410},"=/a":{"return":410}}}`, "is no plain path"},
	"a quoted location":                {`{"locations":{"\"/a\"":{"return":410}}}`, "is no plain path"},
	"a path with a backslash":          {`{"locations":{"/a\\":{"return":410}}}`, "is no plain path"},
	"a comment":                        {`{"locations":{"/a #":{"return":410}}}`, "is no plain path"},
	"an empty location":                {`{"locations":{"":{"return":410}}}`, "is no plain path"},
	"no path of a server":              {`{"locations":{"x":{"return":410}}}`, "is no plain path"},
	"a long location":                  {`{"locations":{"/` + strings.Repeat("a", 5000) + `":{"return":410}}}`, "has 5001 characters"},
	"the challenges":                   {`{"locations":{"/.well-known/acme-challenge/":{"return":410}}}`, "is where certificates are ordered"},
	"one challenge":                    {`{"locations":{"= /.well-known/acme-challenge/x":{"return":410}}}`, "is where certificates are ordered"},
	"a redirect and a /":               {`{"globalRedirect":"acme.test","locations":{"/":{"return":410}}}`, "globalRedirect answers every request"},
	"a status that nginx refuses":      {`{"locations":{"/a":{"return":"9999"}}}`, `does not begin with a status`},
	"such a status, as a number":       {`{"locations":{"/a":{"return":9999}}}`, `none of`},
	"a negative status":                {`{"locations":{"/a":{"return":-1}}}`, `none of`},
	"a status of nginx's own":          {`{"locations":{"/a":{"return":499}}}`, `none of`},
	"a redirect to nowhere":            {`{"locations":{"/a":{"return":301}}}`, `none of`},
	"a list":                           {`{"locations":{"/a":{"return":[410]}}}`, `return is`},
	"an answer of a text":              {`{"locations":{"/a":{"return":"200 text"}}}`, "whose status is none of"},
	"a directive after an answer":      {`{"locations":{"/a":{"return":"410; alias /etc/passwd"}}}`, "return is"},
	"a directive after a redirect":     {`{"locations":{"/a":{"return":"301 /x;alias"}}}`, "another character"},
	"the end of a server":              {`{"locations":{"/a":{"return":"301 /x}"}}}`, "another character"},
	"the end, on a line of its own":    {`{"locations":{"/a":{"return":"410;\n}\n}\nserver {"}}}`, "return is"},
	"a quote":                          {`{"locations":{"/a":{"return":"301 \"/x"}}}`, "return is"},
	"a variable with another's secret": {`{"locations":{"/a":{"return":"301 /x?$ssl_client_raw_cert"}}}`, "another variable"},
	"a variable with line breaks":      {`{"locations":{"/a":{"return":"301 https://$host$uri"}}}`, "followed by neither"},
	"a variable in braces":             {`{"locations":{"/a":{"return":"301 /${host}"}}}`, "another variable"},
	"a longer variable":                {`{"locations":{"/a":{"return":"301 /$hostname"}}}`, "another variable"},
	"an unknown variable":              {`{"locations":{"/a":{"return":"301 /$x"}}}`, "another variable"},
	"a dollar":                         {`{"locations":{"/a":{"return":"301 /a$"}}}`, "another variable"},
	"another scheme":                   {`{"locations":{"/a":{"return":"301 javascript://x"}}}`, "neither a path nor a URL"},
	"a name of the host's":             {`{"locations":{"/a":{"return":"301 https://$hostile.test/"}}}`, "followed by neither"},
	"a host that goes on":              {`{"locations":{"/a":{"return":"301 https://acme.test$host"}}}`, "followed by neither"},
	"no host":                          {`{"locations":{"/a":{"return":"301 https:///x"}}}`, "the host of its target"},
	"a user":                           {`{"locations":{"/a":{"return":"301 https://acme.test@beta.test/"}}}`, "the host of its target"},
	"a long target":                    {`{"locations":{"/a":{"return":"301 /` + strings.Repeat("a", 5000) + `"}}}`, "has 5001 characters"},
	"a code that NixOS refuses":        {`{"redirectCode":200}`, "redirectCode is 200"},
	"a code without a location":        {`{"redirectCode":304}`, "redirectCode is 304"},
	"a text as a code":                 {`{"redirectCode":"301; }"}`, "redirectCode is a string"},
	"a redirect with a directive":      {`{"globalRedirect":"x.test; } location / { root /"}`, "globalRedirect is"},
	"a redirect to a variable":         {`{"globalRedirect":"$ssl_client_raw_cert"}`, "globalRedirect is"},
	"a redirect to a wildcard":         {`{"globalRedirect":"*.x.test"}`, "wildcard"},
	"a header with a line break":       {`{"security":{"csp":"a\r\nSet-Cookie: b"}}`, "csp has another character"},
	"a header that is too long":        {`{"security":{"csp":"` + strings.Repeat(`$`, 300) + `"}}`, "csp has 5102 characters"},
	"a header's name":                  {`{"security":{"cspMode":"x\" always; root /; #"}}`, "cspMode is"},
	"a frame option":                   {`{"security":{"xFrameOptions":"A; root /"}}`, "xFrameOptions is"},
	"a policy":                         {`{"security":{"referrerPolicy":"x y"}}`, "referrerPolicy is"},
	"a group":                          {`{"security":{"cspReportTo":"x y"}}`, "cspReportTo is"},
	"a text for hsts":                  {`{"hsts":"x"}`, "hsts is a string"},
	"a text for allowIndexing":         {`{"allowIndexing":"x"}`, "allowIndexing is a string"},
	"a WebSocket elsewhere":            {`{"locations":{"/ws":{"proxyWebsockets":true}}}`, "proxyWebsockets is true"},
	"a WebSocket to a redirect":        {`{"globalRedirect":"x.test","locations":{"/":{"proxyWebsockets":true}}}`, "globalRedirect answers every request"},
	"a WebSocket to an answer":         {`{"locations":{"/":{"proxyWebsockets":true,"return":410}}}`, "return answers every request"},
	"a text for proxyWebsockets":       {`{"locations":{"/":{"proxyWebsockets":"true; root /"}}}`, "proxyWebsockets is a string"},
	"a number for proxyWebsockets":     {`{"locations":{"/x":{"proxyWebsockets":1}}}`, "proxyWebsockets is an integer"},
	"locations that are none":          {`{"locations":[]}`, "locations is a list"},
}

func TestClosedFrontDoorRefuses(t *testing.T) {
	for name, attack := range closedAttacks {
		t.Run(name, func(t *testing.T) {
			result, err := planOf(t, twoCustomers(map[string]any{ownHost: object(t, attack.options)}))
			if err == nil {
				t.Fatalf("it is planned:\n%s", result.Plan.Nodes["node-a"].Services.Nginx.VirtualHosts[ownHost].Carried.Value())
			}
			leaves := problem.Leaves(err)
			if !slices.ContainsFunc(leaves, func(err error) bool { return strings.Contains(err.Error(), attack.names) }) {
				t.Errorf("no error names %s:\n%v", attack.names, err)
			}
			for _, err := range leaves {
				if !strings.HasPrefix(err.Error(), "acme__site") {
					t.Errorf("an error does not begin with the project: %v", err)
				}
			}
		})
	}
}

// TestServerNamesAreRefused tries names with which nginx does not start, or which
// are not a customer's.
func TestServerNamesAreRefused(t *testing.T) {
	long := strings.Repeat("a", 50) + "." + strings.Repeat("b", 54) + ".test"
	for name, host := range map[string]string{
		"251 letters":             strings.Repeat(strings.Repeat("a", 49)+".", 5) + "x",
		"one letter too many":     "c" + long,
		"the machine itself":      "localhost",
		"below the machine":       "x.localhost",
		"a whole domain":          "*.com",
		"the catch-all":           "_",
		"the default host":        "default",
		"a regex":                 "~^.*$",
		"a directive":             "x.test; } server { listen 80",
		"a second name":           "x.test www.beta.test",
		"an address":              "127.0.0.1",
		"nothing":                 "",
		"nginx's short form":      ".acme.test",
		"a wildcard at the end":   "www.acme.*",
		"a variable":              "$hostname",
		"a port":                  "acme.test:80",
		"a name of another's own": "www.beta.test",
	} {
		for _, raw := range [][]string{nil, {"acme"}} {
			if _, err := planOf(t, twoCustomers(map[string]any{host: map[string]any{}}, raw...)); err == nil {
				t.Errorf("%s: %q is planned, with raw = %q", name, host, raw)
			}
		}
	}
	if _, err := planOf(t, twoCustomers(map[string]any{long: map[string]any{}})); err != nil {
		t.Errorf("a name of 110 letters is refused: %v", err)
	}
}

// TestNamesOfOneHash tries names for which nginx's hash has one bucket: it does not
// start with some hundred of them.
func TestNamesOfOneHash(t *testing.T) {
	// "an" and "c0" have one hash: 31*'a' + 'n' is 31*'c' + '0'.
	collide := func(i int) string {
		name := ""
		for bit := range 10 {
			name += []string{"an", "c0"}[i>>bit&1]
		}
		return name
	}
	for what, form := range map[string]string{"names": "%s.acme.test", "wildcards": "*.%s.acme.test", "wildcards below": "*.x.%s.acme.test"} {
		hosts := map[string]any{}
		for i := range 9 {
			hosts[fmt.Sprintf(form, collide(i))] = map[string]any{}
			_, err := planOf(t, twoCustomers(hosts))
			if refused := err != nil && strings.Contains(err.Error(), "host names with one hash in nginx"); refused != (i == 8) || !refused && err != nil {
				t.Errorf("%d %s: %v", i+1, what, err)
			}
		}
	}
}

// TestClosedFrontDoorServes states what becomes of each value of the form on a node.
func TestClosedFrontDoorServes(t *testing.T) {
	const proxy = `"/":{"proxyPass":"http://` + ownUser + `_upstream","recommendedProxySettings":true}`
	host := func(redirect, locations, rest string) string {
		return `{"enableACME":true,"forceSSL":true,"globalRedirect":` + redirect + `,"locations":{` + locations + `},"redirectCode":301` + rest + `}`
	}
	for name, test := range map[string]struct{ options, served string }{
		"nothing":             {`{}`, host("null", proxy, "")},
		"hostenv's defaults":  {`{"allowIndexing":true,"enableLetsEncrypt":true,"globalRedirect":null,"hsts":true,"locations":{},"redirectCode":301,"security":{"csp":null,"cspMode":"enforce","cspReportTo":null,"hsts":true,"referrerPolicy":"strict-origin-when-cross-origin","reportTo":null,"xContentTypeOptions":true,"xFrameOptions":"SAMEORIGIN"}}`, host("null", proxy, "")},
		"options of others":   {`{"basicAuthFile":null,"locations":null,"security":null,"redirectCode":null}`, host("null", proxy, "")},
		"not indexed":         {`{"allowIndexing":false}`, host("null", proxy, `,"extraConfig":"add_header X-Robots-Tag \"noindex\" always;\n"`)},
		"no certificate":      {`{"enableLetsEncrypt":false}`, `{"enableACME":false,"forceSSL":false,"globalRedirect":null,"locations":{` + proxy + `},"redirectCode":301}`},
		"redirected":          {`{"globalRedirect":"Bücher.Example."}`, host(`"xn--bcher-kva.example"`, "", "")},
		"redirected for now":  {`{"globalRedirect":"acme.test","redirectCode":307}`, `{"enableACME":true,"forceSSL":true,"globalRedirect":"acme.test","locations":{},"redirectCode":307}`},
		"redirected, / unset": {`{"globalRedirect":"acme.test","locations":{"/":{"return":null}}}`, host(`"acme.test"`, "", "")},
		"a location unset":    {`{"locations":{"/x":{"return":null},"/":{}}}`, host("null", proxy, "")},
		"its own /":           {`{"locations":{"/":{"return":"302 /start"}}}`, host("null", `"/":{"return":"302 /start"}`, "")},
		"a status":            {`{"locations":{"/gone":{"return":410},"= /teapot":{"return":" 418 "}}}`, host("null", proxy+`,"/gone":{"return":410},"= /teapot":{"return":418}`, "")},
		"a redirect":          {`{"locations":{"/old":{"return":"301  https://WWW.acme.test:8443$request_uri"}}}`, host("null", proxy+`,"/old":{"return":"301 https://www.acme.test:8443$request_uri"}`, "")},
		"WebSockets":          {`{"locations":{"/":{"proxyWebsockets":true},"/x":{"proxyWebsockets":false,"return":410}}}`, host("null", strings.Replace(proxy, "}", `,"proxyWebsockets":true}`, 1)+`,"/x":{"return":410}`, "")},
		"no WebSockets":       {`{"locations":{"/":{"proxyWebsockets":false,"return":null},"/x":{"proxyWebsockets":null}}}`, host("null", proxy, "")},
		"none, and no /":      {`{"globalRedirect":"acme.test","locations":{"/":{"proxyWebsockets":false}}}`, host(`"acme.test"`, "", "")},
		"a URL alone":         {`{"locations":{"/old":{"return":"$scheme://$host/new?from=$request_uri#top"}}}`, host("null", proxy+`,"/old":{"return":"302 $scheme://$host/new?from=$request_uri#top"}`, "")},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := planOf(t, twoCustomers(map[string]any{ownHost: object(t, test.options)}))
			if err != nil {
				t.Fatal(err)
			}
			served := decoded(t, canonjson.Encode(result.Plan.Nodes["node-a"].Services.Nginx.VirtualHosts[ownHost]))
			if diff := cmp.Diff(decoded(t, []byte(test.served)), served); diff != "" {
				t.Errorf("on the node (-want +got):\n%s", diff)
			}
			root := func(host plan.VirtualHost) any { return object(t, string(host.Carried.Get("locations")))["/"] }
			here, environment := root(result.Plan.Nodes["node-a"].Services.Nginx.VirtualHosts[ownHost]), root(result.Plan.Environments[ownUser].VirtualHosts[ownHost])
			if diff := cmp.Diff(here, environment); here != nil && diff != "" {
				t.Errorf("the environment's / differs from the node's (-node +environment):\n%s", diff)
			}
			for option := range result.Plan.Environments[ownUser].VirtualHosts[ownHost].Carried {
				if name := result.Plan.Environments[ownUser].VirtualHosts[ownHost].Carried[option].Name; name == "basicAuthFile" {
					t.Errorf("the environment keeps %s", name)
				}
			}
		})
	}
}

// TestRawFrontDoor opens the options of NixOS for an organisation or a project, but for
// those of the whole node.
func TestRawFrontDoor(t *testing.T) {
	own := map[string]any{ownHost: object(t, `{"extraConfig":"gzip on;\n","serverAliases":["acme.test"],"listen":[],"reuseport":false,"locations":{"/ws":{"proxyPass":"http://x_upstream","proxyWebsockets":true}}}`)}
	for _, raw := range []string{"acme", "acme__site"} {
		result, err := planOf(t, twoCustomers(own, raw))
		if err != nil {
			t.Fatal(err)
		}
		served := decoded(t, canonjson.Encode(result.Plan.Nodes["node-a"].Services.Nginx.VirtualHosts[ownHost])).(map[string]any)
		if served["extraConfig"] != "gzip on;\n" || at(served, "locations", "/ws")["proxyWebsockets"] != true {
			t.Errorf("raw = %q: the node has %v", raw, served)
		}
	}
	for _, raw := range [][]string{nil, {"beta"}, {"beta__portal"}, {"site"}, {"acme__"}, {"acme_site"}, {""}} {
		if _, err := planOf(t, twoCustomers(own, raw...)); err == nil {
			t.Errorf("raw = %q opens acme__site", raw)
		}
	}
	result, err := planOf(t, twoCustomers(map[string]any{}, "acme", "gamma"))
	if err != nil || len(result.Warnings) == 0 || !strings.Contains(result.Warnings[0].Message, `"gamma"`) {
		t.Errorf("an entry without effect: %v, %v", result.Warnings, err)
	}
	never := map[string]any{
		"listen": []any{map[string]any{"addr": "0.0.0.0"}}, "listenAddresses": []any{"127.0.0.1"}, "sslCertificate": "/x",
		"sslCertificateKey": "/x", "sslTrustedCertificate": "/x", "acmeRoot": "/x", "acmeFallbackHost": "x.test", "useACMEHost": "www.beta.test",
		"basicAuthFile": "/x", "default": true, "defaultListen": []any{"x"}, "reuseport": true, "quic": true,
	}
	for option, value := range never {
		if _, err := planOf(t, twoCustomers(map[string]any{ownHost: map[string]any{option: value}}, "acme")); err == nil {
			t.Errorf("%s is planned in the raw form", option)
		}
	}
	if _, err := planOf(t, twoCustomers(map[string]any{ownHost: object(t, `{"locations":{"/":{"basicAuthFile":"/run/secrets/x"}}}`)}, "acme")); err == nil {
		t.Error("a location's basicAuthFile is planned in the raw form")
	}
}

// TestOpened lists what the closed form would refuse of a raw project.
func TestOpened(t *testing.T) {
	inv, err := plan.DecodeInventory(twoCustomers(map[string]any{
		ownHost:     object(t, `{"extraConfig":"gzip on;\n","locations":{"~ x":{"return":410}}}`),
		"acme.test": object(t, `{"extraConfig":"gzip on;\n"}`),
	}, "acme"))
	if err != nil {
		t.Fatal(err)
	}
	var opened []string
	for _, err := range inv.Opened() {
		opened = append(opened, err.Error())
	}
	slices.Sort(opened)
	want := []string{
		`acme__site sets virtualHosts.<name>.extraConfig, which the front door does not take (acme__site/main: virtualHosts."acme.test" and 1 more)`,
		`acme__site/main: virtualHosts."www.acme.test".locations."~ x" is no plain path`,
	}
	if diff := cmp.Diff(want, opened); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestManyForeignOptions bounds what one project makes a run say.
func TestManyForeignOptions(t *testing.T) {
	options := map[string]any{}
	for i := range 10_000 {
		options[fmt.Sprintf("option%d\nhint: run this", i)] = true
	}
	_, err := planOf(t, twoCustomers(map[string]any{ownHost: options}))
	leaves := problem.Leaves(err)
	if len(leaves) > 40 {
		t.Errorf("%d errors", len(leaves))
	}
	for _, err := range leaves {
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("a name of an option makes a line: %q", err)
		}
	}
}

// servedByNode is the form of everything that the closed form puts on a node. It is
// written apart from the code that it checks.
var (
	servedPath   = regexp.MustCompile(`^(= )?/[^\s;{}"'\\$#]*$`)
	servedReturn = regexp.MustCompile(`^30[12378] (/|(https?|\$scheme)://(\$host|[a-z0-9.-]+)(:[0-9]+)?)([^\s;{}"'\\$]|\$(request_uri|host|scheme)\b)*$`)
	servedHost   = regexp.MustCompile(`^[a-z0-9.-]+$`)
)

func checkServed(t testing.TB, host map[string]any) {
	t.Helper()
	for option, value := range host {
		ok := false
		switch option {
		case "enableACME", "forceSSL":
			_, ok = value.(bool)
		case "globalRedirect":
			text, isText := value.(string)
			ok = value == nil || isText && servedHost.MatchString(text)
		case "redirectCode":
			ok = slices.Contains([]any{int64(301), int64(302), int64(303), int64(307), int64(308)}, value)
		case "extraConfig":
			ok = value == "add_header X-Robots-Tag \"noindex\" always;\n"
		case "locations":
			ok = true
			for path, location := range value.(map[string]any) {
				location := location.(map[string]any)
				proxied := path == "/" && location["proxyPass"] == "http://"+ownUser+"_upstream" && location["recommendedProxySettings"] == true &&
					(len(location) == 2 || len(location) == 3 && location["proxyWebsockets"] == true)
				text, isText := location["return"].(string)
				status, isStatus := location["return"].(int64)
				answers := len(location) == 1 && (isText && servedReturn.MatchString(text) || isStatus && (status == 200 || status == 204 || 400 <= status && status < 505 && (status < 494 || status > 499)))
				if len(path) > 1002 || !servedPath.MatchString(path) || !proxied && !answers {
					t.Errorf("the location %q is %v", path, location)
				}
				if path == "/" && host["globalRedirect"] != nil {
					t.Error("the host redirects, and has a location /")
				}
			}
		}
		if !ok {
			t.Errorf("the node has %s = %v", option, value)
		}
	}
}

// FuzzFrontDoor tries values of a virtual host, and of its name. What is planned has
// the form of checkServed, and changes neither another customer's host nor the
// node's own.
func FuzzFrontDoor(f *testing.F) {
	for _, name := range slices.Sorted(maps.Keys(closedAttacks)) {
		f.Add(ownHost, closedAttacks[name].options)
	}
	f.Add(ownHost, `{"locations":{"/":{"proxyWebsockets":true}}}`)
	f.Add("*.acme.test", `{"globalRedirect":"acme.test","locations":{"= /x":{"return":"301 https://$host$request_uri"}},"security":{"csp":"a"}}`)
	calm, err := planOf(f, twoCustomers(map[string]any{}))
	if err != nil {
		f.Fatal(err)
	}
	others := func(r *plan.Result) map[string]string {
		all := map[string]string{}
		for _, host := range []string{"default", "www.beta.test"} {
			all[host] = string(canonjson.Encode(r.Plan.Nodes["node-a"].Services.Nginx.VirtualHosts[host]))
		}
		return all
	}
	f.Fuzz(func(t *testing.T, host, options string) {
		value, err := canonjson.Decode([]byte(options))
		if err != nil || !utf8.ValidString(host) {
			return
		}
		inv, err := plan.DecodeInventory(twoCustomers(map[string]any{host: value}))
		if err != nil {
			return
		}
		result, err := refusing(plan.Input{Inventory: inv, State: state.New()})
		if err != nil {
			return
		}
		if diff := cmp.Diff(others(calm), others(result)); diff != "" {
			t.Errorf("another's host changes:\n%s", diff)
		}
		for name, v := range result.Plan.Nodes["node-a"].Services.Nginx.VirtualHosts {
			if name != "default" && name != "www.beta.test" {
				checkServed(t, decoded(t, canonjson.Encode(v)).(map[string]any))
			}
		}
	})
}

// A wildcard among the aliases would be a name of the certificate, which HTTP-01 cannot
// prove. So the virtual host asks for none, as one that is a wildcard itself.
func TestWildcardAlias(t *testing.T) {
	for _, test := range []struct {
		options string
		acme    bool
		warned  string
	}{
		{`{"serverAliases":["acme.test"]}`, true, ""},
		{`{"serverAliases":["acme.test","*.acme.test"]}`, false, `"www.acme.test", with the alias "*.acme.test", is served without TLS`},
		{`{"enableLetsEncrypt":false,"serverAliases":["*.acme.test"]}`, false, ""},
	} {
		result, err := planOf(t, twoCustomers(map[string]any{ownHost: object(t, test.options)}, "acme"))
		if err != nil {
			t.Fatal(err)
		}
		if tls := result.Plan.Nodes["node-a"].Services.Nginx.VirtualHosts[ownHost].TLS(); tls.EnableACME != test.acme || tls.ForceSSL != test.acme {
			t.Errorf("%s: the node has %+v", test.options, tls)
		}
		var warned []string
		for _, w := range result.Warnings {
			if strings.Contains(w.Message, "without TLS") {
				warned = append(warned, w.Message)
			}
		}
		if got := strings.Join(warned, "\n"); !strings.HasPrefix(got, test.warned) || test.warned == "" && got != "" {
			t.Errorf("%s: it warns %q", test.options, got)
		}
	}
}
