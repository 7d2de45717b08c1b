package testenv

import (
	"testing"
	"time"
)

// Patience is how long a test waits for an event before it fails. It is long enough
// for a slow machine.
const Patience = 10 * time.Minute

// Poll waits until a condition is true, and reports whether it became true.
func Poll(is func() bool) bool {
	for end := time.Now().Add(Patience); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// Await waits until a condition is true, and fails the test after [Patience].
func Await(t testing.TB, what string, is func() bool) {
	t.Helper()
	if !Poll(is) {
		t.Fatalf("%s does not come in %v", what, Patience)
	}
}

// UntilKilled is for a program that stays until a test kills it. An empty select
// would do so as well, but where Go is without cgo it is taken for a deadlock.
func UntilKilled() {
	for {
		time.Sleep(time.Hour)
	}
}
