package publicsuffix

import (
	"os"
	"regexp"
	"testing"

	"github.com/weppos/publicsuffix-go/publicsuffix"
)

func TestSuffixes(t *testing.T) {
	for _, test := range []struct{ name, icann, registrable, reason string }{
		{"www.shop.example.co.uk", "co.uk", "example.co.uk", "a suffix of two labels"},
		{"co.uk", "co.uk", "", "a suffix has no domain"},
		{"com", "com", "", "a top-level domain has none"},
		{"www.acme.com", "com", "acme.com", "the common case"},
		{"www.acme.github.io", "io", "acme.github.io", "the private part counts for domains alone"},
		{"github.io", "io", "", "a private suffix has no domain"},
		{"www.a.kobe.jp", "a.kobe.jp", "www.a.kobe.jp", "a wildcard"},
		{"www.city.kobe.jp", "kobe.jp", "city.kobe.jp", "an exception from it"},
		{"kobe.jp", "jp", "kobe.jp", "the parent of a wildcard"},
		{"www.acme.test", "", "acme.test", "a top-level domain that is not listed"},
		{"test", "", "", "it alone"},
		{"", "", "", "no name"},
		{"www.xn--caf-dma.com", "com", "xn--caf-dma.com", "A-labels"},
		{"www.online.ge", "online.ge", "www.online.ge", "a suffix of 2026, which golang.org/x/net does not have"},
		{"www.shop.kh", "kh", "shop.kh", "a wildcard that was removed in 2026"},
		{"www.acme.codepen.app", "app", "acme.codepen.app", "a private suffix of 2026"},
	} {
		if got := ICANN(test.name); got != test.icann {
			t.Errorf("ICANN(%q) = %q, want %q: %s", test.name, got, test.icann, test.reason)
		}
		if got := Registrable(test.name); got != test.registrable {
			t.Errorf("Registrable(%q) = %q, want %q: %s", test.name, got, test.registrable, test.reason)
		}
	}
}

// Boulder's rate limits count by this function.
func FuzzRegistrable(f *testing.F) {
	rules := publicsuffix.DefaultRules()
	for i := 0; i < len(rules); i += 97 {
		f.Add("www.shop." + rules[i].Value)
		f.Add(rules[i].Value)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if !regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)*$`).MatchString(name) {
			return
		}
		want, err := publicsuffix.Domain(name)
		if err != nil {
			want = ""
		}
		if got := Registrable(name); got != want {
			t.Errorf("Registrable(%q) = %q, and Boulder has %q, %v", name, got, want, err)
		}
	})
}

// The laboratory's go.mod has the list that Boulder needs. It is older than ours, or
// newer, only after one of both was changed alone.
func TestAsNewAsBoulders(t *testing.T) {
	const module = "github.com/weppos/publicsuffix-go"
	version := func(file string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(module + ` (v\S+)`).FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s does not name %s", file, module)
		}
		return string(found[1])
	}
	ours, boulders := version("../../../go.mod"), version("../../dnsgate/conformance/go.mod")
	if ours != boulders {
		t.Errorf("the public suffix list is %s, and Boulder's is %s: run `go get %s@%s`, and `go mod tidy` here and in hostenv/dnsgate/conformance", ours, boulders, module, boulders)
	}
}
