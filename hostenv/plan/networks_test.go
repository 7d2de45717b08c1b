package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

func TestPrivateNetworks(t *testing.T) {
	for list, want := range map[string]string{
		`["10.20.0.0/16", "fd00::/8", "10.20.0.0/16"]`: "10.20.0.0/16 fd00::/8",
		`[]`:                 "",
		`null`:               "",
		`["10.20.0.1/16"]`:   `provider.privateNetworks holds "10.20.0.1/16", which is an address within a network`,
		`["10.20.0.0"]`:      `provider.privateNetworks holds "10.20.0.0", which is not a network`,
		`["10.0.0.0/8", {}]`: `provider.privateNetworks holds an object, not a string`,
		`"10.0.0.0/8"`:       `provider.privateNetworks is a string, not a list of strings`,
	} {
		inv, err := plan.DecodeInventory([]byte(`{"formatVersion": 1, "system": "x86_64-linux", "projects": {}, "provider": {
			"hostenvHostname": "hosting.test", "letsEncrypt": {"acceptTerms": true, "adminEmail": "ops@hosting.test"}, "privateNetworks": ` + list + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		problems := inv.Problems()
		got := strings.Join(inv.Provider.PrivateNetworks, " ")
		if len(problems) > 0 {
			got = problems[0].Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", list, got, want)
		}
	}
	document, err := plan.DecodeDocument([]byte(`{"formatVersion": 1, "privateNetworks": ["10.0.0.0/8", "x", "fd00::/8"]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := document.Private(); len(got) != 2 || !slices.Contains(document.PrivateNetworks, "x") {
		t.Errorf("%v", got)
	}
}
