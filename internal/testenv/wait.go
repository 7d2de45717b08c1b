package testenv

import (
	"testing"
	"time"
)

// Patience is how long a test waits for what is sure to come. It bounds a test
// that would hang, and measures nothing: a machine may be as slow as it likes.
const Patience = 10 * time.Minute

// Poll waits until something is so, and reports whether it came to be.
func Poll(is func() bool) bool {
	for end := time.Now().Add(Patience); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// Await waits until something is so, and ends the test where that never comes.
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
