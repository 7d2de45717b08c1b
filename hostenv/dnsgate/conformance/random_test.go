package conformance

import (
	"flag"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var (
	cases = flag.Int("cases", 100, "how many random situations")
	first = flag.Int("first", 0, "which random situation is the first")
	seed  = flag.Uint64("seed", 1, "of the random situations")
	small = flag.Bool("shrink", true, "look for a smaller situation for each disagreement")
)

// TestRandom compares the gate with Let's Encrypt in random situations, and shrinks
// those on which they disagree each time. Add a case that it finds to foundSituations.
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
		confirmed := disagreements(t, lab, situations, results)
		for _, i := range slices.Sorted(maps.Keys(confirmed)) {
			wrong++
			c := confirmed[i]
			t.Errorf("%s\n  as a situation: %s", report(c, verdictOf(c), c.Verdict), encode(situations[i]))
		}
		for _, i := range slices.Sorted(maps.Keys(confirmed)) {
			if *small {
				s, c := shrink(t, lab, situations[i], confirmed[i])
				t.Logf("smaller: %s\n  as a situation: %s", report(c, verdictOf(c), c.Verdict), encode(s))
			}
		}
		all = append(all, results...)
	}
	t.Logf("%d random situations in %s, %d disagreements\n%s", len(all), time.Since(began).Round(time.Second), wrong, matrix(all))
}
