//go:build mage

// This is the build script of hostenv-provider itself. A provider's repository
// has one of its own, which imports the same targets.
package main

import (
	//mage:import
	_ "github.com/woolwichweb/hostenv-provider/magefiles/targets"
)
