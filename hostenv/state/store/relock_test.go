package store

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gofrs/flock"
)

// tryLock releases the lock of a file that was deleted between open and flock,
// because such a lock excludes no other process.
func TestTryLockReleasesDeletedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), lockName)
	for _, tt := range []struct {
		name      string
		meanwhile func() error
	}{
		{"deleted", func() error { return os.Remove(path) }},
		{"replaced", func() error {
			if err := os.WriteFile(path+"x", nil, 0o644); err != nil {
				return err
			}
			return os.Rename(path+"x", path)
		}},
	} {
		fl := flock.New(path)
		if ok, err := tryLock(fl); !ok || err != nil {
			t.Fatalf("%s: tryLock of a free file: %v", tt.name, err)
		}
		if err := tt.meanwhile(); err != nil {
			t.Fatal(err)
		}
		if ok, err := tryLock(fl); ok || err != nil {
			t.Errorf("%s: tryLock accepts the lock (%v)", tt.name, err)
		}
		if ok, err := tryLock(fl); !ok || err != nil {
			t.Errorf("%s: the next tryLock does not lock the new file: %v", tt.name, err)
		}
		if err := fl.Unlock(); err != nil {
			t.Error(err)
		}
	}
}
