package closure

import "testing"

// WithoutParts leaves parts of all keys out until the test ends.
func WithoutParts(t *testing.T, names []string) {
	withoutParts = names
	t.Cleanup(func() { withoutParts = nil })
}
