// Package targets holds the Mage targets of a provider's repository. Import
// them into a magefile of your own:
//
//	//go:build mage
//
//	package main
//
//	//mage:import
//	import _ "github.com/woolwichweb/hostenv-provider/magefiles/targets"
//
// Mage makes a target of every exported function here. The packages below
// hostenv/ do the work.
//
// A target ends with 0 after success, 1 after an error, 2 with -detailedExitcode if
// there are changes, 3 if another run holds the lock or the DNS gate cannot decide,
// 4 if the plan is older than the state, and 6 after success if projects are held
// back. Deploy ends with 3 if a part of it
// failed, and with 5 if another deploy is running. Mage ends with 2 if it does not
// understand the command line.
//
// The result of a target goes to standard output, everything else to standard
// error.
// After an error the last line of a target that writes files says what it wrote.
package targets

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/magefiles/launcher"
)

// Mage would refuse `plan --dry-run`, the spelling of the legacy generator.
func init() { launcher.InitFlags() }

// The exit codes.
const (
	exitError    = 1
	exitChanges  = 2
	exitLocked   = 3
	exitWithheld = 3
	exitStale    = 4
	exitHeld     = deploy.ExitHeld
)

// value returns the value of a flag, or its default if the flag is not given or
// is empty, as -out=$UNSET is.
func value[T comparable](flag *T, fallback T) T {
	if flag == nil {
		return fallback
	}
	return cmp.Or(*flag, fallback)
}

// list returns the items of a flag, which commas separate.
func list(flag *string) []string {
	var items []string
	for item := range strings.SplitSeq(value(flag, ""), ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// usage refuses a command line that gives a flag twice: Mage takes the last value,
// and with `-skipMigrations=a -skipMigrations=b` the data of a would move. It also
// refuses empty lists, such as -node=$UNSET: without the flag the target works on
// everything, and a script whose variable is not set does not mean that.
func usage(lists map[string]*string) error {
	if err := launcher.Repeated(os.Args[1:]); err != nil {
		return err
	}
	var empty problem.List
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		if flag := lists[name]; flag != nil && len(list(flag)) == 0 {
			empty.Addf(name, "leave the flag out to select everything", "is empty")
		}
	}
	return empty.Err()
}
