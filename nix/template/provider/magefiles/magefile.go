//go:build mage

// The tasks of this provider.
package main

import (
	//mage:import
	"github.com/woolwichweb/hostenv-provider/magefiles/targets"
)

// Aliases are the targets as the hostenv-provider program spells them; Mage
// takes them from here alone.
var Aliases = map[string]any{
	"dns-gate":    targets.DnsGate,
	"nodes-build": targets.NodesBuild,
}
