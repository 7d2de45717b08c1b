package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/state/store"
)

func TestSweep(t *testing.T) {
	d := store.Open(filepath.Join(t.TempDir(), "generated"))
	leftovers := []string{".state.json.4194305-1.tmp", ".plan.json.1-20.tmp", ".a.b.c.3-3.tmp"}
	foreign := []string{
		"state.json", "state.json.1-1.tmp", ".state.json.tmp", ".state.json.1-1.tmp~",
		".state.json.x-1.tmp", ".state.json.1.tmp", "..1-1.tmp", ".state.json.swp", "#state.json#",
	}
	for _, name := range append(leftovers, foreign...) {
		put(t, filepath.Join(d.Path(), name), []byte(name), 0o644)
	}
	// Folders and links with the names of temporary files. The store makes only files.
	if err := os.Mkdir(filepath.Join(d.Path(), ".state.json.1-7.tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	link(t, "state.json", filepath.Join(d.Path(), ".state.json.1-8.tmp"))
	foreign = append(foreign, ".state.json.1-7.tmp", ".state.json.1-8.tmp")

	if _, err := d.Read("state.json"); err != nil {
		t.Fatal(err)
	}
	wantNames(t, d.Path(), append(leftovers, foreign...)...) // reading removes no file
	lock(t, d)()
	wantNames(t, d.Path(), foreign...)
	for _, name := range foreign[:9] {
		if got, err := os.ReadFile(filepath.Join(d.Path(), name)); string(got) != name {
			t.Errorf("%s was touched: %q, %v", name, got, err)
		}
	}
}

// A process without the lock must not remove temporary files, because their
// writer may be running.
func TestNoSweepWithoutTheLock(t *testing.T) {
	d := store.Open(t.TempDir())
	unlock := lock(t, d)
	put(t, filepath.Join(d.Path(), ".state.json.1-1.tmp"), []byte("being written"), 0o644)
	wantHeld(t, store.Open(d.Path()), "it is locked")
	wantNames(t, d.Path(), ".state.json.1-1.tmp")
	unlock()
	lock(t, d)()
	wantNames(t, d.Path())
}
