//go:build mage

// The targets of a hosting provider, to be run in the folder of its flake.
package main

import (
	"github.com/woolwichweb/hostenv-provider/magefiles/launcher"

	//mage:import
	_ "github.com/woolwichweb/hostenv-provider/magefiles/targets"
)

// The main function that Mage generates reads os.Args after this.
func init() { launcher.Init() }
