package conformance

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"
)

var (
	cases = flag.Int("cases", 100, "how many random situations")
	first = flag.Int("first", 0, "which random situation is the first")
	seed  = flag.Uint64("seed", 1, "of the random situations")
)

// TestRandom compares the gate with Let's Encrypt in random situations, and shrinks
// those on which they disagree. Add a case that it finds to foundSituations.
func TestRandom(t *testing.T) {
	lab := laboratory(t)
	began := time.Now()
	const batch = 500
	var all []Comparison
	wrong := 0
	for at := *first; at < *first+*cases && wrong < 30; at += batch {
		var situations []Situation
		for n := at; n < min(at+batch, *first+*cases); n++ {
			situations = append(situations, Random(rand.New(rand.NewPCG(*seed, uint64(n))), n))
		}
		results, err := lab.Compare(t.Context(), situations, Repeats{Pass: 1, Fail: 16}, *parallel)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range results {
			if !disagree(c) {
				continue
			}
			wrong++
			small, found := shrink(t, lab, situations[i])
			if found == nil {
				t.Logf("only once: %s", report(c, verdictOf(c), c.Verdict))
				continue
			}
			t.Errorf("%s\n  as a situation: %s", report(*found, verdictOf(*found), found.Verdict), encode(small))
		}
		all = append(all, results...)
	}
	t.Logf("%d random situations in %s, %d disagreements\n%s", len(all), time.Since(began).Round(time.Second), wrong, matrix(all))
}

func verdictOf(c Comparison) string {
	if wrong := c.Disagrees(c.Verdict); wrong != "" {
		return wrong
	}
	return "from DNS alone, " + c.Disagrees(c.Plain)
}

func disagree(c Comparison) bool {
	if c.Disagrees(c.Verdict) != "" {
		return true
	}
	wrong := c.Disagrees(c.Plain)
	return wrong != "" && (wrong != "wrong fail" || !c.Excused())
}

// shrink removes elements while the two still disagree. It returns nil if they no
// longer disagree.
func shrink(t *testing.T, lab *Lab, s Situation) (Situation, *Comparison) {
	still := func(all []Situation) (Situation, *Comparison) {
		results, err := lab.Compare(t.Context(), all, Repeats{Pass: 4, Fail: 16}, *parallel)
		if err != nil { // a zone that is none any more, such as one with a CNAME beside itself
			t.Log(err)
			return s, nil
		}
		for i, c := range results {
			if disagree(c) {
				return all[i], &c
			}
		}
		return s, nil
	}
	small, found := still([]Situation{s})
	for found != nil {
		next, again := still(Smaller(small))
		if again == nil {
			break
		}
		small, found = next, again
	}
	return small, found
}
