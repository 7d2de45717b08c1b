package store

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gofrs/flock"
)

// Between the open and the flock of the lock file, somebody may delete it. A
// lock on a file without a name excludes nobody.
func TestLockOfDeletedFileIsGivenBack(t *testing.T) {
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
			t.Fatalf("%s: the free lock was not given: %v", tt.name, err)
		}
		if err := tt.meanwhile(); err != nil {
			t.Fatal(err)
		}
		if ok, err := tryLock(fl); ok || err != nil {
			t.Errorf("%s: the lock counts as one (%v)", tt.name, err)
		}
		if ok, err := tryLock(fl); !ok || err != nil {
			t.Errorf("%s: the next try does not find the new file: %v", tt.name, err)
		}
		if err := fl.Unlock(); err != nil {
			t.Error(err)
		}
	}
}
