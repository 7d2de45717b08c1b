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
// A target ends with 0 if all is well, 1 after an error, 2 with
// -detailedExitcode if there are changes, 3 if another run holds the lock or the
// DNS gate has no ground to decide on, and 4 if the plan is older than the state.
// Deploy ends with 3 if a part of it failed, and with 5 if another deploy is at
// work. Mage ends with 2 if it does not understand the command line.
//
// Standard output has what the target was asked for, standard error all else.
// After an error the last line of a target that writes files says what it wrote.
package targets

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"strings"

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

// usage refuses a command line that gives a flag twice, of which Mage takes the
// last: with `-skipMigrations=a -skipMigrations=b` a's data would move. It also
// refuses empty lists, such as -node=$UNSET: without the flag the target is about
// everything, which a script that forgot its variable does not mean.
func usage(lists map[string]*string) error {
	if err := launcher.Repeated(os.Args[1:]); err != nil {
		return err
	}
	var empty problem.List
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		if flag := lists[name]; flag != nil && len(list(flag)) == 0 {
			empty.Addf(name, "leave the flag out to name everything", "names nothing")
		}
	}
	return empty.Err()
}
