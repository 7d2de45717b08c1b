package dnsgate

import (
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

func TestTerms(t *testing.T) {
	for _, test := range []struct {
		profile plan.CertificateProfile
		at      string
		want    string
	}{
		{"", "2027-02-09T23:59:59Z", "classic certificates live 90 days, and authorizations are reused for 30 days"},
		{plan.Classic, "2027-02-09T23:59:59Z", "classic certificates live 90 days, and authorizations are reused for 30 days"},
		{plan.Classic, "2027-02-10T00:00:00Z", "classic certificates live 64 days, and authorizations are reused for 10 days"},
		{plan.Classic, "2028-02-16T00:00:00Z", "classic certificates live 45 days, and authorizations are reused for 7 hours"},
		{plan.TLSServer, "2026-11-30T00:00:00Z", "tlsserver certificates live 45 days, and authorizations are reused for 7 hours"},
		{plan.Shortlived, "2026-11-30T00:00:00Z", "shortlived certificates live 160 hours, and authorizations are reused for 7 hours"},
	} {
		at, err := time.Parse(time.RFC3339, test.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := TermsAt(test.profile, at).String(); got != test.want {
			t.Errorf("at %s: %q, want %q", test.at, got, test.want)
		}
	}
	for _, p := range plan.CertificateProfiles() {
		if terms := TermsAt(p, time.Time{}); terms.Profile != p || terms.Lifetime == 0 || terms.Names == 0 {
			t.Errorf("the terms of %s are %+v", p, terms)
		}
	}
}
