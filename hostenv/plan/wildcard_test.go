package plan_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

func TestWildcardOption(t *testing.T) {
	long := strings.Repeat("a", 60)
	for _, test := range []struct{ domain, nodes, option, want string }{
		{"hosting.test", "{}", `null`, ""},
		{"hosting.test", "{}", `{"enable": false, "apiTokenSecret": null}`, ""},
		{"hosting.test", "{}", `{"enable": true, "apiTokenSecret": "cloudflare/acme_token"}`, "*.hosting.test _wildcard.hosting.test cloudflare/acme_token"},
		{"hosting.test", "{}", `{"enable": true}`, "provider.wildcard.apiTokenSecret is not set, and nodes need a token of Cloudflare's API to order the certificate"},
		{"hosting.test", "{}", `{"enable": true, "apiTokenSecret": "a", "apiToken": "cfut_x"}`, "provider.wildcard.apiToken is no option"},
		{"hosting.test", "{}", `true`, "provider.wildcard is a boolean, not an object"},
		{"hosting.test", "{}", `{"enable": true, "apiTokenSecret": "a/b/c"}`, "provider.wildcard.apiTokenSecret is no key of the first or the second level"},
		{"hosting.test", "{}", `{"zones": {"acme.test": {"apiTokenSecret": "acme/token"}, "Shop.Beta.test.": {"apiTokenSecret": "beta"}}}`, "zone acme.test acme/token, zone shop.beta.test beta"},
		{"hosting.test", "{}", `{"zones": {"acme.test": {}}}`, `provider.wildcard.zones."acme.test".apiTokenSecret is not set, and nodes need a token of Cloudflare's API that edits the zone`},
		{"hosting.test", "{}", `{"zones": {"acme.test": {"apiTokenSecret": "a", "token": "cfut_x"}}}`, `provider.wildcard.zones."acme.test".token is no option`},
		{"hosting.test", "{}", `{"zones": {"acme.test": {"apiTokenSecret": "a"}, "ACME.test": {"apiTokenSecret": "b"}}}`, `provider.wildcard.zones."acme.test" is the same domain as another entry`},
		{"hosting.test", "{}", `{"zones": {"*.acme.test": {"apiTokenSecret": "a"}}}`, `provider.wildcard.zones."*.acme.test" is a wildcard`},
		{"hosting.test", "{}", `{"zones": {"a..test": {"apiTokenSecret": "a"}}}`, `provider.wildcard.zones."a..test" is no domain: it has an empty label`},
		{"hosting.test", "{}", `{"zones": {"github.io": {"apiTokenSecret": "a"}, "uk": {"apiTokenSecret": "a"}, "co.uk": {"apiTokenSecret": "a"}}}`,
			`provider.wildcard.zones."co.uk" is a public suffix, below which anyone registers names; provider.wildcard.zones."github.io" is a public suffix, below which anyone registers names; provider.wildcard.zones.uk is a public suffix, below which anyone registers names`},
		{"at.hosting.test", "{}", `{"zones": {"at.hosting.test": {"apiTokenSecret": "a"}, "hosting.test": {"apiTokenSecret": "a"}, "x.at.hosting.test": {"apiTokenSecret": "a"}, "xat.hosting.test": {"apiTokenSecret": "a"}}}`,
			`provider.wildcard.zones."at.hosting.test" is at, above or below provider.hostenvHostname, at.hosting.test, which is no customer's; provider.wildcard.zones."hosting.test" is at, above or below provider.hostenvHostname, at.hosting.test, which is no customer's; provider.wildcard.zones."x.at.hosting.test" is at, above or below provider.hostenvHostname, at.hosting.test, which is no customer's`},
		{long + "." + long + "." + long + ".test", `{"` + long + `": {}}`, `{"enable": true, "apiTokenSecret": "a"}`,
			"provider.wildcard gives the node " + long + " the name " + long + ".certificate." + long + "." + long + "." + long + ".test, which is refused: it has 260 characters, and the limit is 253"},
	} {
		inv, err := plan.DecodeInventory([]byte(`{"formatVersion": 1, "system": "x86_64-linux", "projects": {}, "provider": {
			"hostenvHostname": "` + test.domain + `", "letsEncrypt": {"acceptTerms": true, "adminEmail": "ops@hosting.test"}, "nodes": ` + test.nodes + `, "wildcard": ` + test.option + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if w := inv.Provider.Wildcard; w.Generated != "" {
			domain, certificate := plan.GeneratedWildcard(inv.Provider.HostenvHostname)
			got = domain + " " + certificate + " " + w.Generated
		}
		for i, zone := range slices.Sorted(maps.Keys(inv.Provider.Wildcard.Zones)) {
			if i > 0 {
				got += ", "
			}
			got += "zone " + zone + " " + inv.Provider.Wildcard.Zones[zone]
		}
		var problems []string
		for _, err := range inv.Problems() {
			problems = append(problems, err.Error())
			if problem.Hint(err) == "" {
				t.Errorf("%v has no hint", err)
			}
		}
		if len(problems) > 0 {
			got = strings.Join(problems, "; ")
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.option, got, test.want)
		}
	}
}

// The certificate has the names one label below the domain, and no others.
func TestWildcardCovers(t *testing.T) {
	w, _ := plan.GeneratedWildcard("hosting.test")
	for names, want := range map[string]bool{
		"a.hosting.test": true, "A.Hosting.Test": true, "a.hosting.test b.hosting.test": true,
		"hosting.test": false, "a.b.hosting.test": false, "*.hosting.test": false, "ahosting.test": false,
		"a.hosting.test www.acme.test": false, "a.hosting.test.": false, ".hosting.test": false,
	} {
		if got := plan.Covers(w, strings.Fields(names)); got != want {
			t.Errorf("%s: %v, want %v", names, got, want)
		}
	}
}

// A plan has the option as it is now, also for what stays of the last plan: a host with
// the certificate of an option that is off would have no certificate.
func TestWildcardOnAndOff(t *testing.T) {
	const scenario = "../../golden/152-wildcard"
	decoded := func(option any) *plan.Inventory {
		t.Helper()
		var tree map[string]any
		if err := json.Unmarshal(readInventory(t, scenario), &tree); err != nil {
			t.Fatal(err)
		}
		if at(tree, "provider")["wildcard"] = option; option == nil {
			delete(at(tree, "provider"), "wildcard")
		}
		text, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		inv, err := plan.DecodeInventory(text)
		if err != nil {
			t.Fatal(err)
		}
		return inv
	}
	const host, user = "site-main-b7ea262.hostenv.sh", "site-main-b7ea262"
	tlsOf := func(d plan.Document) string {
		own, served := d.Environments[user].VirtualHosts[host].TLS(), d.Nodes[d.Environments[user].Node].Services.Nginx.VirtualHosts[host].TLS()
		if own != served {
			t.Errorf("%+v in the environment, and %+v on the node", own, served)
		}
		return fmt.Sprint(own)
	}
	option := map[string]any{"enable": true, "apiTokenSecret": "cloudflare/acme_token"}
	const shared, alone = "{false true _wildcard.hostenv.sh}", "{true true }"
	other := plan.Selection{Projects: []string{"beta__portal"}}
	for _, test := range []struct {
		reason      string
		before, now any
		only        plan.Selection
		want        string
	}{
		{"on", nil, option, plan.Selection{}, shared},
		{"off", option, nil, plan.Selection{}, alone},
		{"as before", option, option, plan.Selection{}, shared},
		{"on, and the project stays", nil, option, other, shared},
		{"off, and the project stays", option, nil, other, alone},
		{"as before, and the project stays", option, option, other, shared},
	} {
		first, err := plan.Compute(plan.Input{Inventory: decoded(test.before)})
		if err != nil {
			t.Fatal(err)
		}
		now := decoded(test.now)
		now.Only = test.only
		next, err := plan.Compute(plan.Input{Inventory: now, State: first.State, Last: &first.Plan})
		if err != nil {
			t.Fatalf("%s: %v", test.reason, err)
		}
		checkResult(t, test.reason, next)
		if got := tlsOf(next.Plan); got != test.want {
			t.Errorf("%s: %s, want %s", test.reason, got, test.want)
		}
		if has := strings.Contains(string(next.Plan.Encode()), "_wildcard"); has != (test.want == shared) {
			t.Errorf("%s: the plan has the certificate: %v", test.reason, has)
		}
	}
}

// A virtual host with a wildcard has a certificate by DNS-01 if all its names are its
// organisation's, in zones of one token.
func TestWildcardZones(t *testing.T) {
	const (
		raw   = `, "frontDoor": {"raw": ["acme", "beta"]}`
		zones = raw + `, "domains": {"acme.net": "acme", "beta.net": "beta"}, "wildcard": {"zones": {"acme.net": {"apiTokenSecret": "acme/token"}, "beta.net": {"apiTokenSecret": "beta/token"}}}`
		only  = "Let's Encrypt issues wildcards by DNS-01 only"
	)
	for _, test := range []struct {
		reason string
		market
		before   market   // planned first, if it has names
		want     []string // certificates by DNS-01
		warnings []string // a part of each, and of its hint
		http     []string // hosts with a certificate by HTTP-01
		errs     []string
	}{
		{reason: "a wildcard of its organisation's zone", market: market{acme: []string{"*.acme.net", "www.acme.net"}, provider: zones},
			want: []string{"n1 _wildcard._.acme.net acme/token *.acme.net"}, http: []string{"www.acme.net"}},
		{reason: "one that asks for no certificate", market: market{acme: []string{"*.acme.net"}, provider: zones, certified: false}},
		{reason: "a wildcard further below", market: market{acme: []string{"*.shop.acme.net"}, provider: zones},
			want: []string{"n1 _wildcard._.shop.acme.net acme/token *.shop.acme.net"}},
		{reason: "each organisation by its own token", market: market{acme: []string{"*.acme.net"}, beta: []string{"*.beta.net"}, provider: zones},
			want: []string{"n1 _wildcard._.acme.net acme/token *.acme.net", "n1 _wildcard._.beta.net beta/token *.beta.net"}},
		{reason: "a wildcard among the aliases, which covers one of them", market: market{acme: []string{"acme.net", "*.acme.net.net"}, aliases: map[string][]string{"acme.net": {"www.acme.net", "*.acme.net", "a.b.acme.net"}}, provider: zones},
			want: []string{"n1 _wildcard.acme.net acme/token *.acme.net a.b.acme.net acme.net"}, warnings: []string{`"*.acme.net.net" is served without TLS: ` + only}},
		{reason: "the names of certificates are unique", market: market{acme: []string{"www.acme.net", "*.www.acme.net"}, aliases: map[string][]string{"www.acme.net": {"*.x.acme.net"}}, provider: zones},
			want: []string{"n1 _wildcard._.www.acme.net acme/token *.www.acme.net", "n1 _wildcard.www.acme.net acme/token *.x.acme.net www.acme.net"}},
		{reason: "without a zone", market: market{acme: []string{"*.acme.net"}},
			warnings: []string{`the wildcard "*.acme.net" is served without TLS: ` + only + `; if acme.net is a zone at Cloudflare, set provider.wildcard.zones."acme.net".apiTokenSecret`}},
		{reason: "one name outside of the zone", market: market{acme: []string{"*.acme.net"}, aliases: map[string][]string{"*.acme.net": {"www.other.net"}}, provider: zones},
			warnings: []string{only + `; if other.net is a zone`}},
		{reason: "another organisation's zone", before: market{beta: []string{"*.x.acme.net"}, provider: raw}, market: market{beta: []string{"*.x.acme.net"}, provider: zones},
			warnings: []string{`the wildcard "*.x.acme.net" is served without TLS: acme.net is acme's, and the token of provider.wildcard.zones."acme.net" is for names of one organisation; if the domain changed hands, set provider.domains."acme.net" = "beta"`}},
		{reason: "a part of the domain that is another organisation's", before: market{acme: []string{"*.x.acme.net"}, provider: raw},
			market:   market{acme: []string{"*.x.acme.net"}, provider: strings.Replace(zones, `"acme.net": "acme"`, `"acme.net": "acme", "x.acme.net": "beta"`, 1)},
			warnings: []string{`x.acme.net is beta's, and the token of provider.wildcard.zones."acme.net" is for names of one organisation`}},
		{reason: "that organisation gets no token of the domain above", market: market{beta: []string{"*.x.acme.net"}, provider: strings.Replace(zones, `"acme.net": "acme"`, `"acme.net": "acme", "x.acme.net": "beta"`, 1)},
			warnings: []string{`acme.net is acme's`}},
		{reason: "two zones, and two tokens", market: market{acme: []string{"*.acme.net"}, aliases: map[string][]string{"*.acme.net": {"*.acme.org"}},
			provider: raw + `, "domains": {"acme.net": "acme", "acme.org": "acme"}, "wildcard": {"zones": {"acme.net": {"apiTokenSecret": "a"}, "acme.org": {"apiTokenSecret": "b"}}}`},
			warnings: []string{`its names are in the zones acme.net and acme.org, and an order has the token of one; name one token that edits them all in apiTokenSecret of each, or give the names of each zone a virtual host of their own`}},
		{reason: "two zones, and one token", market: market{acme: []string{"*.acme.net"}, aliases: map[string][]string{"*.acme.net": {"*.acme.org"}},
			provider: raw + `, "domains": {"acme.net": "acme", "acme.org": "acme"}, "wildcard": {"zones": {"acme.net": {"apiTokenSecret": "a"}, "acme.org": {"apiTokenSecret": "a"}}}`},
			want: []string{"n1 _wildcard._.acme.net a *.acme.net *.acme.org"}},
		{reason: "a zone within a zone", market: market{acme: []string{"*.shop.acme.net", "*.acme.net"}, provider: `, "domains": {"acme.net": "acme"}, "wildcard": {"zones": {"acme.net": {"apiTokenSecret": "a"}, "shop.acme.net": {"apiTokenSecret": "b"}}}`},
			want: []string{"n1 _wildcard._.acme.net a *.acme.net", "n1 _wildcard._.shop.acme.net b *.shop.acme.net"}},
		{reason: "a record proves the domain", market: market{acme: []string{"*.acme.net"}, seen: map[string][]string{"acme.net": tokens("acme")}, provider: `, "wildcard": {"zones": {"acme.net": {"apiTokenSecret": "a"}}}`},
			want: []string{"n1 _wildcard._.acme.net a *.acme.net"}},
		{reason: "zones of no organisation, or of another", market: market{acme: []string{"*.acme.net"}, seen: map[string][]string{"acme.net": tokens("beta")}, provider: `, "wildcard": {"zones": {"other.org": {"apiTokenSecret": "b"}, "acme.net": {"apiTokenSecret": "a"}}}`},
			errs: []string{`provider.wildcard.zones."acme.net" is a domain that is not known to be an organisation's`, `provider.wildcard.zones."other.org" is a domain that is not known to be an organisation's`}},
		{reason: "without the terms", market: market{acme: []string{"*.acme.net"}, declined: true, provider: zones},
			errs: []string{`acceptTerms is false`}},
	} {
		t.Run(test.reason, func(t *testing.T) {
			test.certified = test.reason != "one that asks for no certificate"
			prior := state.New()
			if len(test.before.acme)+len(test.before.beta) > 0 {
				first, err := plan.Compute(plan.Input{Inventory: test.before.inventory(t), State: prior})
				if err != nil {
					t.Fatal(err)
				}
				prior = first.State
			}
			result, err := refusing(plan.Input{Inventory: test.inventory(t), State: prior})
			var errs []string
			for _, err := range problem.Leaves(err) {
				errs = append(errs, err.Error())
				if problem.Hint(err) == "" {
					t.Errorf("%v has no hint", err)
				}
			}
			contain(t, "errors", errs, test.errs)
			if err != nil {
				return
			}
			var got, http, warnings []string
			for _, w := range result.Plan.Wildcards {
				got = append(got, strings.Join(append([]string{w.Node, w.Certificate, w.APITokenSecret}, w.Names...), " "))
			}
			for host, v := range result.Plan.Nodes["n1"].Services.Nginx.VirtualHosts {
				tls := v.TLS()
				if tls.EnableACME {
					http = append(http, host)
				}
				if tls.ForceSSL != (tls.EnableACME || tls.Shared != "") {
					t.Errorf("%s: %+v", host, tls)
				}
				ordered := slices.ContainsFunc(result.Plan.Wildcards, func(w plan.Wildcard) bool { return w.Certificate == tls.Shared })
				if tls.Shared != "" && !ordered {
					t.Errorf("%s uses %s, which no node orders", host, tls.Shared)
				}
			}
			for _, w := range result.Warnings {
				if strings.Contains(w.Message, "without TLS") {
					warnings = append(warnings, w.Message+"; "+w.Hint)
				}
			}
			if !slices.Equal(got, test.want) || !slices.Equal(http, test.http) {
				t.Errorf("by DNS-01:\n%s\nwant\n%s\nby HTTP-01 %v, want %v", strings.Join(got, "\n"), strings.Join(test.want, "\n"), http, test.http)
			}
			contain(t, "warnings", warnings, test.warnings)
		})
	}
}

// contain compares texts with a part of each.
func contain(t *testing.T, what string, texts, parts []string) {
	t.Helper()
	if len(texts) != len(parts) {
		t.Errorf("%d %s, want %d:\n%s", len(texts), what, len(parts), strings.Join(texts, "\n"))
		return
	}
	for i, part := range parts {
		if !strings.Contains(texts[i], part) {
			t.Errorf("%s:\n%s\nwant\n%s", what, texts[i], part)
		}
	}
}

// What stays of the last plan has the zones as they are now: a certificate whose zone is
// gone would have no token.
func TestWildcardZoneOnAndOff(t *testing.T) {
	const zone = `, "domains": {"acme.net": "acme"}, "wildcard": {"zones": {"acme.net": {"apiTokenSecret": "a"}}}`
	with := market{acme: []string{"*.acme.net"}, certified: true, provider: zone}
	without := with
	without.provider = `, "domains": {"acme.net": "acme"}`
	for _, test := range []struct {
		reason      string
		before, now market
		stays       bool
		want        string
	}{
		{"on", without, with, false, "{false true _wildcard._.acme.net} 1"},
		{"off", with, without, false, "{false false } 0"},
		{"off, and the project stays", with, without, true, "{false false } 0"},
		{"as before, and the project stays", with, with, true, "{false true _wildcard._.acme.net} 1"},
	} {
		first, err := plan.Compute(plan.Input{Inventory: test.before.inventory(t)})
		if err != nil {
			t.Fatal(err)
		}
		now := test.now.inventory(t)
		if test.stays {
			now.Only = plan.Selection{Projects: []string{"beta__site"}}
		}
		next, err := plan.Compute(plan.Input{Inventory: now, State: first.State, Last: &first.Plan})
		if err != nil {
			t.Fatalf("%s: %v", test.reason, err)
		}
		own, served := next.Plan.Environments[acmeUser].VirtualHosts["*.acme.net"].TLS(), next.Plan.Nodes["n1"].Services.Nginx.VirtualHosts["*.acme.net"].TLS()
		if got := fmt.Sprint(own, len(next.Plan.Wildcards)); own != served || got != test.want {
			t.Errorf("%s: %s, and %v on the node, want %s", test.reason, got, served, test.want)
		}
	}
}
