package nix_test

import (
	"testing"

	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
)

func TestVersion(t *testing.T) {
	each(t, func(t *testing.T, n nix) {
		got, err := n.runner(".").Version(t.Context())
		if err != nil || got != version(t, n.binary) {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestAtLeast(t *testing.T) {
	for version, want := range map[string]bool{"2.8.0": false, "2.32.4": false, "2.33.0": true, "2.33pre2025": true, "2.34.8": true, "3.0": true, "2": false, "1.99": false} {
		if hostnix.AtLeast(version, 2, 33) != want {
			t.Errorf("%s: want %v", version, want)
		}
	}
}
