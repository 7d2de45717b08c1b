//go:build mage

// A provider's magefile, as the package comment of targets has it.
package main

import (
	//mage:import
	_ "github.com/woolwichweb/hostenv-provider/magefiles/targets"
)
