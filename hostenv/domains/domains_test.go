package domains_test

import (
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/domains"
)

func TestRegistrable(t *testing.T) {
	for host, want := range map[string]string{
		"victim.example":            "victim.example",
		"www.shop.victim.example":   "victim.example",
		"*.victim.example":          "victim.example",
		"www.victim.co.uk":          "victim.co.uk",
		"*.victim.co.uk":            "victim.co.uk",
		"co.uk":                     "",
		"*.co.uk":                   "",
		"com":                       "",
		"*.com":                     "",
		"user.github.io":            "user.github.io",
		"*.github.io":               "",
		"a.b.test":                  "b.test",
		"xn--mnchen-3ya.de":         "xn--mnchen-3ya.de",
		"shop.xn--mnchen-3ya.de":    "xn--mnchen-3ya.de",
		"city.kawasaki.jp":          "city.kawasaki.jp", // an exception of the list
		"www.something.kawasaki.jp": "www.something.kawasaki.jp",
		"notvictim.example":         "notvictim.example",
	} {
		if got := domains.Registrable(host); got != want {
			t.Errorf("%s has %q, want %q", host, got, want)
		}
	}
}

func TestOwners(t *testing.T) {
	owners := domains.Owners{"victim.example": "beta", "shop.victim.example": "gamma"}
	for host, want := range map[string]string{
		"victim.example":           "beta",
		"*.victim.example":         "beta",
		"a.b.victim.example":       "beta",
		"shop.victim.example":      "gamma",
		"*.shop.victim.example":    "gamma",
		"a.shop.victim.example":    "gamma",
		"myshop.victim.example":    "beta",
		"notvictim.example":        "",
		"victim.example.evil.test": "",
		"example":                  "",
	} {
		if _, got := owners.Of(host); got != want {
			t.Errorf("%s belongs to %q, want %q", host, got, want)
		}
	}
}

// A token names one organisation of one provider, whatever their names are made of.
func TestToken(t *testing.T) {
	seen := map[string][2]string{}
	for _, pair := range [][2]string{
		{"hosting.example", "beta"}, {"hosting.example", "acme"}, {"hosting.test", "beta"},
		{"hosting.example\x00b", "eta"}, {"hosting.example", "\x00beta"}, {"hosting", ".examplebeta"}, {"", "hosting.examplebeta"},
	} {
		token := domains.Token(pair[0], pair[1])
		if other, ok := seen[token]; ok {
			t.Errorf("%q and %q have one token", pair, other)
		}
		seen[token] = pair
		if len(token) != 40 || strings.Trim(token, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("the token %q is not plain", token)
		}
	}
	// Records that stand in the zones of customers must stay valid.
	if got := domains.Token("hosting.example", "beta"); got != "hostenv-04575c7e3f6ea75cd0fe9533042e8a83" {
		t.Errorf("the token of beta is now %s", got)
	}
}

func TestMatch(t *testing.T) {
	token := func(o string) string { return domains.Token("hosting.example", o) }
	all := []string{"beta", "acme"}
	for _, tt := range []struct {
		records []string
		want    string
	}{
		{nil, ""},
		{[]string{"v=spf1 -all"}, ""},
		{[]string{"v=spf1 -all", token("beta")}, "beta"},
		{[]string{token("gamma")}, ""},
		{[]string{domains.Token("other.example", "beta")}, ""},
		{[]string{token("beta") + " "}, ""},
		{[]string{token("beta"), token("acme")}, "acme beta"},
	} {
		if got := strings.Join(domains.Match("hosting.example", all, tt.records), " "); got != tt.want {
			t.Errorf("%q prove %q, want %q", tt.records, got, tt.want)
		}
	}
}

// FuzzOwners holds that a domain covers itself and the names below it, and no other.
func FuzzOwners(f *testing.F) {
	f.Add("www.victim.example", "victim.example")
	f.Add("victim.example", "ictim.example")
	f.Fuzz(func(t *testing.T, host, domain string) {
		_, got := domains.Owners{domain: "beta"}.Of(host)
		bare := strings.TrimPrefix(host, "*.")
		if want := bare != "" && (bare == domain || strings.HasSuffix(bare, "."+domain)); want != (got == "beta") && domain != "" {
			t.Errorf("%q belongs to the owner of %q: %v", host, domain, got == "beta")
		}
		if domain := domains.Registrable(host); domain != "" && bare != domain && !strings.HasSuffix(bare, "."+domain) {
			t.Errorf("%q has the domain %q", host, domain)
		}
	})
}
