package targets

import (
	"fmt"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// hintWildcard names provider.wildcard, if it would save orders that a limit holds back.
func hintWildcard(saving dnsgate.Saving, limits []dnsgate.Shortage) {
	if saving.Relieves(limits) {
		fmt.Fprintf(stderr(), "hint: provider.wildcard.enable = true orders %s\n", saving)
	}
}
