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
// Every exported function here is a target, for Mage takes it for one; what
// they do stands in the packages below hostenv/.
//
// A target ends with 0 when all is well, 1 on an error, 2 where it was asked
// with -detailedExitcode and there are changes, 3 when another run holds the
// lock or the DNS gate finds no ground to decide on, 4 when a plan is older than
// the state. Deploy ends with 3 where a part of it failed, and with 5 where
// another one is at work. Mage itself ends with 2 as well where it does not
// understand the command line.
//
// What was asked for goes to standard output, all else to standard error.
// Whatever goes wrong, the last line says what was written until then.
package targets

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/magefiles/launcher"
)

// Mage refuses `plan --dry-run`, which is how hostenv's own hostenv-provider
// was called, before a target could say so.
func init() { launcher.InitFlags() }

// The exit codes.
const (
	exitError    = 1
	exitChanges  = 2
	exitLocked   = 3
	exitWithheld = 3
	exitStale    = 4
)

// value is what a flag says, or its default. An empty text, such as that of
// -out=$UNSET, says nothing.
func value[T comparable](flag *T, fallback T) T {
	if flag == nil {
		return fallback
	}
	return cmp.Or(*flag, fallback)
}

// list splits a flag at its commas.
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
// last: with `-skipMigrations=a -skipMigrations=b` a's data would move. It refuses
// lists that are there and name nothing, such as -node=$UNSET, as well: without
// the flag all is meant, which a script that forgot its variable is not.
func usage(lists map[string]*string) error {
	if err := launcher.Repeated(os.Args[1:]); err != nil {
		return err
	}
	var empty []string
	for name, flag := range lists {
		if flag != nil && len(list(flag)) == 0 {
			empty = append(empty, name)
		}
	}
	if len(empty) == 0 {
		return nil
	}
	slices.Sort(empty)
	return hinted(fmt.Errorf("%s: nothing is named", strings.Join(empty, ", ")), "leave the flag away if all is meant")
}
