package store_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/state/store"
)

// link creates a symbolic link and the folders above it.
func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func TestLinkedFolder(t *testing.T) {
	base := t.TempDir()
	real := filepath.Join(base, "elsewhere", "generated")
	if err := os.MkdirAll(real, 0o755); err != nil {
		t.Fatal(err)
	}
	link(t, "elsewhere/generated", filepath.Join(base, "generated"))
	d := store.Open(filepath.Join(base, "generated"))
	unlock := lock(t, d)
	wantHeld(t, store.Open(real), "one folder by two names has one lock")
	write(t, d, "state.json", doc("x", 100), true)
	unlock()
	wantFile(t, store.Open(real), "state.json", doc("x", 100))
	wantNames(t, real, "state.json")
	wantNames(t, base, "elsewhere", "generated")
}

func TestLinkedFile(t *testing.T) {
	for _, tt := range []struct {
		name   string
		target string // of generated/state.json
		file   string // where the bytes are to be, from the base
		exists bool
	}{
		{"beside", "real.json", "generated/real.json", true},
		{"elsewhere", "../shared/state.json", "shared/state.json", true},
		{"dangling", "../shared/state.json", "shared/state.json", false},
		{"link to a link", "../hop/state.json", "far/away/state.json", true},
		{"dangling link to a link", "../hop/state.json", "far/away/state.json", false},
		{"through a linked folder", "../hopdir/../state.json", "far/state.json", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base := t.TempDir()
			for _, dir := range []string{"generated", "shared", "far/away"} {
				if err := os.MkdirAll(filepath.Join(base, dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			link(t, filepath.Join(base, "far/away/state.json"), filepath.Join(base, "hop/state.json"))
			link(t, "far/away", filepath.Join(base, "hopdir"))
			link(t, tt.target, filepath.Join(base, "generated/state.json"))
			file := filepath.Join(base, tt.file)
			if tt.exists {
				put(t, file, doc("old", 200), 0o640)
			}
			// A dead writer's file beside the target, and one that belongs to
			// another file.
			dead := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".1-1.tmp")
			put(t, dead, []byte("torn"), 0o644)
			names := []string{filepath.Base(file)}
			if filepath.Dir(file) == filepath.Join(base, "generated") {
				names = append(names, "state.json")
			} else {
				put(t, filepath.Join(filepath.Dir(file), ".other.json.1-1.tmp"), nil, 0o644)
				names = append(names, ".other.json.1-1.tmp")
			}
			if tt.file == "far/state.json" {
				names = append(names, "away")
			}

			d := store.Open(filepath.Join(base, "generated"))
			unlock := lock(t, d)
			write(t, d, "state.json", doc("new", 100), true)
			write(t, d, "state.json", doc("new", 100), false)
			unlock()

			if got, err := os.Readlink(filepath.Join(base, "generated/state.json")); got != tt.target {
				t.Errorf("the link leads to %q (%v), want %q as before", got, err, tt.target)
			}
			info, err := os.Lstat(file)
			if err != nil {
				t.Fatal(err)
			}
			if !info.Mode().IsRegular() || tt.exists && info.Mode().Perm() != 0o640 {
				t.Errorf("the target's mode is %s", info.Mode())
			}
			wantFile(t, store.Open(filepath.Dir(file)), filepath.Base(file), doc("new", 100))
			wantNames(t, filepath.Dir(file), names...)
		})
	}
}

func TestLinkedFileRefused(t *testing.T) {
	d := store.Open(t.TempDir())
	link(t, "state.json", filepath.Join(d.Path(), "state.json"))
	link(t, "nowhere/plan.json", filepath.Join(d.Path(), "plan.json"))
	defer lock(t, d)()
	_, err := d.Write("state.json", doc("x", 100))
	wantError(t, err, syscall.ELOOP, filepath.Join(d.Path(), "state.json"), "symbolic link")
	if _, err := d.Write("plan.json", doc("x", 100)); err == nil {
		t.Error("Write created the missing folder of a link's target")
	}
	wantNames(t, d.Path(), "plan.json", "state.json")
}

// Lock overwrites the content of the lock file, so it must not follow a link.
func TestLinkedLockFile(t *testing.T) {
	base := t.TempDir()
	precious := filepath.Join(base, "precious")
	put(t, precious, []byte("precious"), 0o644)
	d := store.Open(filepath.Join(base, "generated"))
	link(t, precious, filepath.Join(d.Path(), ".hostenv.lock"))
	_, err := d.Lock(t.Context())
	wantError(t, err, syscall.ELOOP, filepath.Join(d.Path(), ".hostenv.lock"), "symbolic link")
	if got, _ := os.ReadFile(precious); string(got) != "precious" {
		t.Errorf("Lock wrote through a link: %q", got)
	}
}
