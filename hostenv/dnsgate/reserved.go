package dnsgate

import (
	"net/netip"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/public"
)

// IsReserved reports whether Let's Encrypt would drop an address, because it lies
// in a block of IANA's registries of special-purpose addresses, whether or not the
// registry calls it globally reachable.
func IsReserved(a netip.Addr) bool { return public.Listed(a) }
