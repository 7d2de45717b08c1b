//go:build mage

// What a hosting provider runs in his own repository, where his flake is.
package main

import (
	"github.com/woolwichweb/hostenv-provider/magefiles/launcher"

	//mage:import
	_ "github.com/woolwichweb/hostenv-provider/magefiles/targets"
)

// The generated main reads os.Args; this is the one place before it.
func init() { launcher.Init() }
