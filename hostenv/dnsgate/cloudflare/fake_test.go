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

// fakeToken is what the fake lets in.
const fakeToken = fakecloudflare.Token

func newFake(t testing.TB, zones ...cloudflare.Zone) *fake { return fakecloudflare.New(t, zones...) }

// zone is an ordinary one.
func zone(id, name string) cloudflare.Zone { return fakecloudflare.Zone(id, name) }
