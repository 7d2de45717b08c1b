package targets

import (
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/calendar"
)

// An order that waits says for what.
func TestDescribed(t *testing.T) {
	for waits, want := range map[dnsgate.Reason]string{
		"":                      "first order",
		dnsgate.ReasonQuota:     "first order, if `mage dnsGate` runs: the project's quota holds it back until then",
		dnsgate.ReasonRateLimit: "first order, if `mage dnsGate` runs: a limit of Let's Encrypt holds it back until then",
		"not-judged":            "first order, if `mage dnsGate` passes it",
	} {
		if got := described(calendar.Event{Kind: calendar.First, Safe: true, Waits: waits}); got != want {
			t.Errorf("one that waits for %q is %q, want %q", waits, got, want)
		}
	}
}
