package conformance

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

var (
	only     = flag.String("situation", "", "only situations whose name matches this expression; prints all facts of each")
	parallel = flag.Int("oracles", 96, "how many names the oracle is asked about at a time")
)

// TestConformance compares the gate with Let's Encrypt in every situation. The gate
// passes no name that Let's Encrypt refuses, fails no name that it issues, and has
// a cause for each unknown. With the live checks there is no exception. From DNS
// alone, the gate does not know which hosts are dead and which forward. So it may
// fail a name that the live checks pass: by the four reasons about addresses, and
// if servers disagree on an address that is dead or forwards.
func TestConformance(t *testing.T) {
	lab := laboratory(t)
	situations := Situations()
	seen := map[string]bool{}
	for _, s := range situations {
		if seen[s.Name] {
			t.Errorf("two situations are called %q", s.Name)
		}
		seen[s.Name] = true
	}
	if *only != "" {
		want := regexp.MustCompile(*only)
		situations = slices.DeleteFunc(situations, func(s Situation) bool { return !want.MatchString(s.Name) })
	}
	began := time.Now()
	results, err := lab.Compare(t.Context(), situations, Repeats{Pass: 3, Fail: 16}, *parallel)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range results {
		if *only != "" {
			t.Logf("%s: %s %s, without live checks %s %s; Let's Encrypt %s (%d of %d): %s\n%s", c.Name, c.Verdict.Result, c.Verdict.Reason,
				c.Plain.Result, c.Plain.Reason, c.Class(), c.Issued, c.Issued+c.Refused, c.Refusal.Detail, encode(c.Facts))
		}
	}
	for _, c := range disagreements(t, lab, situations, results) {
		live, plain := c.Disagrees(c.Verdict), c.Disagrees(c.Plain)
		if live != "" {
			t.Errorf("%s", report(c, live, c.Verdict))
		}
		if plain != "" && (plain != "wrong fail" || !c.Excused()) {
			t.Errorf("from DNS alone: %s", report(c, plain, c.Plain))
		}
	}
	t.Logf("%d situations in %s\n%s", len(results), time.Since(began).Round(time.Second), matrix(results))
}

func report(c Comparison, wrong string, v dnsgate.Verdict) string {
	return fmt.Sprintf("%s: %q (%s on %s): the gate says %s, %s; Let's Encrypt %s (%d of %d) %s %s\n  zones %s\n  evidence %s\n  facts %s", wrong, c.Name, c.Host, c.NodeName(),
		v.Result, v.Reason, c.Class(), c.Issued, c.Issued+c.Refused, c.Refusal.Stage, c.Refusal.Detail, encode(c.Zones), encode(v.Evidence), encode(c.Facts))
}

func encode(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// matrix counts reasons by what Let's Encrypt did.
func matrix(results []Comparison) string {
	type cell struct{ issues, sometimes, refuses int }
	var text strings.Builder
	for _, table := range []struct {
		name string
		of   func(Comparison) dnsgate.Verdict
	}{
		{"with live checks", func(c Comparison) dnsgate.Verdict { return c.Verdict }},
		{"from DNS alone", func(c Comparison) dnsgate.Verdict { return c.Plain }},
	} {
		cells := map[string]cell{}
		count := func(key string, c Comparison) {
			at := cells[key]
			switch c.Class() {
			case "issues":
				at.issues++
			case "sometimes":
				at.sometimes++
			default:
				at.refuses++
			}
			cells[key] = at
		}
		for _, c := range results {
			v := table.of(c)
			count(string(v.Result), c)
			count(fmt.Sprintf("%s %s", v.Result, v.Reason), c)
		}
		fmt.Fprintf(&text, "%-50s %8s %10s %8s\n", table.name, "issues", "sometimes", "refuses")
		for _, key := range slices.SortedFunc(maps.Keys(cells), cmp.Compare[string]) {
			name, at := key, cells[key]
			if strings.Contains(key, " ") {
				name = "  " + key[strings.Index(key, " ")+1:]
			}
			fmt.Fprintf(&text, "%-50s %8d %10d %8d\n", name, at.issues, at.sometimes, at.refuses)
		}
	}
	return text.String()
}
