package plan_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// The plan has the command of the provider's options, and no project can set it.
func TestNotify(t *testing.T) {
	for list, want := range map[string]string{
		`["./notify", "ops@hosting.test", ""]`: "./notify|ops@hosting.test|",
		`[]`:                                   "",
		`null`:                                 "",
		`["", "x"]`:                            "provider.notify is no command",
		`[["x"]]`:                              "provider.notify holds a list, not a string",
		`"curl"`:                               "provider.notify is a string, not a list of strings",
	} {
		inv, err := plan.DecodeInventory([]byte(`{"formatVersion": 1, "system": "x86_64-linux", "notify": ["evil"], "projects": {"acme__site": {
			"notify": ["evil"], "source": {"original": {"type": "git", "url": "https://git.example/acme/site"}}, "environments": {"main": {"notify": ["evil"],
			"hostenv": {"notify": ["evil"], "organisation": "acme", "project": "site", "environmentName": "main", "userName": "site-main-f9353e8"}}}}}, "provider": {
			"hostenvHostname": "hosting.test", "letsEncrypt": {"acceptTerms": true, "adminEmail": "ops@hosting.test"}, "allowEmpty": true,
			"nodeFor": {"default": "node-a"}, "notify": ` + list + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		if problems := inv.Problems(); len(problems) > 0 {
			if got := problems[0].Error(); got != want {
				t.Errorf("%s: %s, want %s", list, got, want)
			}
			continue
		}
		result, err := plan.Compute(plan.Input{Inventory: inv, State: state.New()})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(result.Plan.Notify, "|"); got != want {
			t.Errorf("%s: the plan has %q", list, got)
		}
		var top map[string]json.RawMessage
		if err := json.Unmarshal(result.Plan.Encode(), &top); err != nil {
			t.Fatal(err)
		}
		if _, ok := top["notify"]; ok != (want != "") {
			t.Errorf("%s: plan.json has notify: %v", list, ok)
		}
		back, err := plan.DecodeDocument(result.Plan.Encode())
		if err != nil || !slices.Equal(back.Notify, result.Plan.Notify) {
			t.Errorf("%s: read again it is %q, %v", list, back.Notify, err)
		}
	}
}
