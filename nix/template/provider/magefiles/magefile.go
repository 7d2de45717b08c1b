//go:build mage

// The tasks of this provider.
package main

import (
	//mage:import
	"github.com/woolwichweb/hostenv-provider/magefiles/targets"
)

// Aliases lets Mage accept the target names of the hostenv-provider program. Mage
// reads aliases only from this package, not from the imported one.
var Aliases = map[string]any{
	"dns-gate":    targets.DnsGate,
	"nodes-build": targets.NodesBuild,
}
