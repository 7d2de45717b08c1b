package targets

import (
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/cloudflare"
	"github.com/woolwichweb/hostenv-provider/hostenv/domains"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// A customer declares a name in a zone that the token can see, of another customer
// or of the provider: no record is written there.
func TestUpdateWritesOnlyForTheOwner(t *testing.T) {
	document := plan.Document{
		HostenvHostname: "hosting.example",
		Domains:         domains.Owners{"victim.example": "beta", "acme.example": "acme", "part.shared.example": "acme"},
		Environments: map[string]plan.Environment{
			"site-main-b7ea262": {Hostenv: plan.Identity{Organisation: "acme"}},
			"nobody-main-1":     {},
		},
	}
	all := []want{}
	add := func(user string, hosts ...string) {
		for _, host := range hosts {
			all = append(all, want{cloudflare.Want{Host: host, Target: "n1.hosting.example"}, user})
		}
	}
	add("site-main-b7ea262", "www.acme.example", "a.part.shared.example", "site-main-b7ea262.hosting.example",
		"www.victim.example", "victim.example", "www.provider.example", "a.shared.example", "hosting.example", "other-main-1234567.hosting.example", "notacme.example")
	add("nobody-main-1", "x.acme.example", "unowned.example")
	wants, foreign := own(document, all)
	var written []string
	for _, w := range wants {
		written = append(written, w.Host)
	}
	if want := []string{"www.acme.example", "a.part.shared.example", "site-main-b7ea262.hosting.example"}; !slices.Equal(written, want) {
		t.Errorf("records of %q would be written, want %q", written, want)
	}
	if len(foreign) != len(all)-3 {
		t.Errorf("%d outcomes", len(foreign))
	}
	for _, o := range foreign {
		if o.Kind != cloudflare.Refused || o.Reason != cloudflare.ReasonDomain || !strings.Contains(o.Hint(), "provider.domains") {
			t.Errorf("%+v: %s", o, o.Hint())
		}
	}
}
