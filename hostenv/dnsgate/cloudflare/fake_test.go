package cloudflare_test

import (
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/cloudflare"
	"github.com/woolwichweb/hostenv-provider/internal/fakecloudflare"
)

type (
	fake  = fakecloudflare.Fake
	fault = fakecloudflare.Fault
)

// fakeToken is the token that the fake accepts.
const fakeToken = fakecloudflare.Token

func newFake(t testing.TB, zones ...cloudflare.Zone) *fake { return fakecloudflare.New(t, zones...) }

// zone returns an active zone.
func zone(id, name string) cloudflare.Zone { return fakecloudflare.Zone(id, name) }
