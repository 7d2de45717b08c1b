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
		t.Fatalf("%s did not happen within %v", what, Patience)
	}
}

// UntilKilled waits until a test kills the program. An empty select would also
// wait, but without cgo Go takes it for a deadlock.
func UntilKilled() {
	for {
		time.Sleep(time.Hour)
	}
}
