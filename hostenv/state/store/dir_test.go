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
		t.Errorf("Read in a missing folder returns %v, want fs.ErrNotExist", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("Open or Read created the folder")
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
		{"", "is the folder"},
		{".", "is the folder"},
		{"..", "is the parent folder"},
		{"../state.json", "is outside of the folder"},
		{"/etc/passwd", "is outside of the folder"},
		{"sub/state.json", "is in a folder with another lock"},
		{"state.json/", "is not a file"},
		{".hostenv.lock", "is the lock, which a rename would replace"},
		{".state.json.1-1.tmp", "is a temporary file, which the next lock would remove"},
	} {
		if _, err := d.Write(tt.name, doc("x", 100)); err == nil {
			t.Errorf("Write accepts the name %q, which %s", tt.name, tt.reason)
		}
		if _, err := d.Read(tt.name); err == nil {
			t.Errorf("Read accepts the name %q, which %s", tt.name, tt.reason)
		}
	}
	wantNames(t, d.Path())
	wantNames(t, filepath.Dir(d.Path()), "generated")
}
