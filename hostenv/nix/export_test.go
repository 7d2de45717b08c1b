package nix

import (
	"slices"
	"strings"
	"testing"
)

// AlterKeys calls a function for the parts of all keys, until the test ends.
func AlterKeys(t *testing.T, alter func(parts map[string]any)) {
	before := alterKey
	alterKey = alter
	t.Cleanup(func() { alterKey = before })
}

// ChangeOptions replaces one of the settings by which an evaluation is held, until the test
// ends, as another version of this package would have it.
func ChangeOptions(t *testing.T, from, to string) {
	before := settings
	t.Cleanup(func() { settings = before })
	at := slices.Index(settings, from)
	if at < 0 {
		t.Fatalf("%q is no setting of %q", from, settings)
	}
	settings = slices.Clone(settings)
	settings[at] = to
}

// ChangeOfHeld replaces text that the expression of [Runner.Provider] has once, until the
// test ends.
func ChangeOfHeld(t *testing.T, from, to string) {
	before := ofHeld
	t.Cleanup(func() { ofHeld = before })
	if strings.Count(ofHeld, from) != 1 {
		t.Fatalf("there is not one %q in\n%s", from, ofHeld)
	}
	ofHeld = strings.Replace(ofHeld, from, to, 1)
}
