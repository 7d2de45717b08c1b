package dnsgate

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRuleNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rules {
		if seen[r.name] || r.name == "" {
			t.Errorf("two rules have the name %q", r.name)
		}
		seen[r.name] = true
		if (r.warns == nil) == (r.evidence == nil) {
			t.Errorf("%s must either decide or warn", r.name)
		}
		if r.evidence != nil && (fixes[r.reason] == nil) != (r.result == Pass) {
			t.Errorf("%s: the reason %s has a fix: %v", r.name, r.reason, fixes[r.reason] != nil)
		}
	}
}

// Every rule decides, or warns, in one of the situations.
func TestEveryRuleIsReached(t *testing.T) {
	reached := map[string]bool{}
	look := func(s *subject) {
		for _, r := range rules {
			if r.warns != nil && s.DNS {
				continue
			}
			if r.warns != nil {
				reached[r.name] = reached[r.name] || len(r.warns(s)) > 0
			} else if len(r.applies(s)) > 0 {
				reached[r.name] = true
				return
			}
		}
		t.Errorf("no rule decides about %s", s.name)
	}
	look(&subject{name: host, tooMany: true, invalid: errWildcard})
	for _, name := range []string{"*.example.com", "a_b.example.com"} {
		look(newSubject(world(), asks(), name))
	}
	for _, s := range situations {
		look(newSubject(s.facts, asks(), host))
	}
	request := asks()
	request.AccountURI = ""
	look(newSubject(world(caaAt(host, caa("0 issue letsencrypt.org; accounturi="+account))), request, host))
	for _, s := range dnsSituations {
		look(newSubject(s.facts, asksDNS(), "*."+host))
	}
	for _, r := range rules {
		if !reached[r.name] {
			t.Errorf("no situation reaches %s", r.name)
		}
	}
}

// docs/dnsgate.md has a row for each reason, in the order of their first rules,
// with the result of those rules.
func TestReasonsAreDocumented(t *testing.T) {
	var want []string
	for _, r := range rules {
		if r.evidence == nil {
			continue
		}
		if row := string(r.reason) + ": " + string(r.result); !slices.Contains(want, row) {
			want = append(want, row)
		}
	}
	text, err := os.ReadFile("../../docs/dnsgate.md")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\| (pass|fail|unknown)(?:, retry)? \\|").FindAllSubmatch(text, -1) {
		got = append(got, string(m[1])+": "+string(m[2]))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the table of reasons (-rules +docs):\n%s", diff)
	}
}
