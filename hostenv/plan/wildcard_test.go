package plan_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

func TestWildcardOption(t *testing.T) {
	long := strings.Repeat("a", 60)
	for _, test := range []struct{ domain, nodes, option, want string }{
		{"hosting.test", "{}", `null`, ""},
		{"hosting.test", "{}", `{"enable": false, "apiTokenSecret": null}`, ""},
		{"hosting.test", "{}", `{"enable": true, "apiTokenSecret": "cloudflare/acme_token"}`, "*.hosting.test _wildcard.hosting.test cloudflare/acme_token"},
		{"hosting.test", "{}", `{"enable": true}`, "provider.wildcard.apiTokenSecret is not set, and nodes need a token of Cloudflare's API to order the certificate"},
		{"hosting.test", "{}", `{"enable": true, "apiToken": "cfut_x"}`, "provider.wildcard.apiToken is no option"},
		{"hosting.test", "{}", `true`, "provider.wildcard is a boolean, not an object"},
		{long + "." + long + "." + long + ".test", `{"` + long + `": {}}`, `{"enable": true, "apiTokenSecret": "a"}`,
			"provider.wildcard gives the node " + long + " the name " + long + ".certificate." + long + "." + long + "." + long + ".test, which is refused: it has 260 characters, and the limit is 253"},
	} {
		inv, err := plan.DecodeInventory([]byte(`{"formatVersion": 1, "system": "x86_64-linux", "projects": {}, "provider": {
			"hostenvHostname": "` + test.domain + `", "letsEncrypt": {"acceptTerms": true, "adminEmail": "ops@hosting.test"}, "nodes": ` + test.nodes + `, "wildcard": ` + test.option + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if w := inv.Provider.Wildcard; w != nil {
			got = w.Domain + " " + w.Certificate + " " + w.APITokenSecret
		}
		if problems := inv.Problems(); len(problems) > 0 {
			got = problems[0].Error()
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.option, got, test.want)
		}
	}
}

// The certificate has the names one label below the domain, and no others.
func TestWildcardCovers(t *testing.T) {
	w := plan.WildcardBelow("hosting.test")
	for names, want := range map[string]bool{
		"a.hosting.test": true, "A.Hosting.Test": true, "a.hosting.test b.hosting.test": true,
		"hosting.test": false, "a.b.hosting.test": false, "*.hosting.test": false, "ahosting.test": false,
		"a.hosting.test www.acme.test": false, "a.hosting.test.": false, ".hosting.test": false,
	} {
		if got := w.Covers(strings.Fields(names)); got != want {
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
