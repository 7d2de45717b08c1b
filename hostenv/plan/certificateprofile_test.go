package plan_test

import (
	"testing"

	"github.com/tidwall/gjson"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// A profile is one that Let's Encrypt has, or none.
func TestCertificateProfileOption(t *testing.T) {
	for option, want := range map[string]string{
		`null`: "", `"classic"`: "classic", `"tlsserver"`: "tlsserver", `"shortlived"`: "shortlived",
		`"fast"`: `provider.letsEncrypt.profile is "fast", which is no certificate profile of Let's Encrypt`,
		`""`:     "",
		`25`:     "provider.letsEncrypt.profile is an integer, not a string",
	} {
		inv, err := plan.DecodeInventory([]byte(`{"formatVersion": 1, "system": "x86_64-linux", "projects": {}, "provider": {
			"hostenvHostname": "hosting.test", "letsEncrypt": {"acceptTerms": true, "adminEmail": "ops@hosting.test", "profile": ` + option + `}, "nodes": {}}}`))
		if err != nil {
			t.Fatal(err)
		}
		got := string(inv.Provider.LetsEncrypt.Profile)
		if problems := inv.Problems(); len(problems) > 0 {
			got = problems[0].Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", option, got, want)
		}
	}
}

// The plan has the profile, and no key without one.
func TestCertificateProfile(t *testing.T) {
	inv, err := plan.DecodeInventory(readInventory(t, "../../golden/152-wildcard"))
	if err != nil {
		t.Fatal(err)
	}
	for _, profile := range append(plan.CertificateProfiles(), "") {
		inv.Provider.LetsEncrypt.Profile = profile
		result, err := plan.Compute(plan.Input{Inventory: inv})
		if err != nil {
			t.Fatal(err)
		}
		checkResult(t, string(profile), result)
		if got := gjson.GetBytes(result.Plan.Encode(), "certificateProfile"); got.Str != string(profile) || got.Exists() != (profile != "") {
			t.Errorf("%q: the plan has %s", profile, got.Raw)
		}
	}
}
