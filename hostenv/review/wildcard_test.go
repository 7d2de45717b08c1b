package review_test

import (
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/review"
)

// The virtual hosts of environments change by provider.wildcard, and not by their
// customers.
func TestWildcard(t *testing.T) {
	f := newFleet(1, 1, 1, 1)
	before := f.plan(t, none)
	f.at("provider")["wildcard"] = object{"enable": true, "apiTokenSecret": "cloudflare/acme_token"}
	options := 0
	for _, c := range review.Of(before, f.plan(t, before), nil).Changes {
		if c.Reason != review.ReasonProvider {
			t.Errorf("%+v", c)
		}
		if c.Kind == review.KindOption {
			options++
		}
	}
	if options != 2 { // enableACME and useACMEHost
		t.Errorf("%d changes of the environment, want 2", options)
	}
}
