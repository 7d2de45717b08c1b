// Command activate replaces the activate of deploy-rs in tests.
package main

import (
	"os"

	"github.com/woolwichweb/hostenv-provider/internal/deployrs"
)

func main() { os.Exit(deployrs.Activate(os.Args[1:], os.Stderr)) }
