package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/state/store"
)

func TestOpenDoesNoIO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "generated")
	d := store.Open(path + "/")
	if d.Path() != path {
		t.Errorf("Path is %s, want %s", d.Path(), path)
	}
	if _, err := d.Read("state.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading from no folder gives %v, want fs.ErrNotExist", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("Open or Read has made the folder")
	}
}

func TestReadMissing(t *testing.T) {
	d := store.Open(t.TempDir())
	_, err := d.Read("state.json")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("error is %v, want fs.ErrNotExist", err)
	}
	if want := "read " + filepath.Join(d.Path(), "state.json") + ": no such file or directory"; err.Error() != want {
		t.Errorf("error is %q, want %q", err, want)
	}
	wantNames(t, d.Path())
}

func TestNames(t *testing.T) {
	d := store.Open(filepath.Join(t.TempDir(), "generated"))
	defer lock(t, d)()
	for _, tt := range []struct{ name, reason string }{
		{"", "the folder itself"},
		{".", "the folder itself"},
		{"..", "the folder above"},
		{"../state.json", "leads out of the folder"},
		{"/etc/passwd", "leads out of the folder"},
		{"sub/state.json", "is in a folder that has a lock of its own"},
		{"state.json/", "is no file"},
		{".hostenv.lock", "a rename would take the lock away"},
		{".state.json.1-1.tmp", "the next lock would sweep it"},
	} {
		if _, err := d.Write(tt.name, doc("x", 100)); err == nil {
			t.Errorf("Write took the name %q, which %s", tt.name, tt.reason)
		}
		if _, err := d.Read(tt.name); err == nil {
			t.Errorf("Read took the name %q, which %s", tt.name, tt.reason)
		}
	}
	wantNames(t, d.Path())
	wantNames(t, filepath.Dir(d.Path()), "generated")
}
