// Command deploy replaces the deploy of deploy-rs in tests.
package main

import (
	"os"

	"github.com/woolwichweb/hostenv-provider/internal/deployrs"
)

func main() { os.Exit(deployrs.Deploy(os.Args[1:], os.Stderr)) }
