package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/state/store"
)

func TestWrite(t *testing.T) {
	d := store.Open(filepath.Join(t.TempDir(), "generated"))
	defer lock(t, d)()
	for _, size := range []int{100, 5_000_000, 256 << 10, 256<<10 + 1, 100} {
		data := doc(fmt.Sprint(size), size)
		write(t, d, "state.json", data, true)
		write(t, d, "state.json", data, false)
		wantNames(t, d.Path(), "state.json")
	}
	// The same length, and a different last byte, which no first buffer holds.
	data := doc("x", 300<<10)
	write(t, d, "state.json", data, true)
	other := append([]byte(nil), data...)
	other[len(other)-1] ^= 1
	write(t, d, "state.json", other, true)
	write(t, d, "state.json", nil, true)
	write(t, d, "state.json", nil, false)
	wantNames(t, d.Path(), "state.json")
}

func TestWriteNeedsTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "generated")
	d := store.Open(path)
	refused := func(when string) {
		t.Helper()
		changed, err := d.Write("state.json", doc("x", 100))
		if changed || !errors.Is(err, store.ErrNotLocked) {
			t.Errorf("%s: Write returns %v, %v, want ErrNotLocked", when, changed, err)
		}
	}
	refused("never locked")
	unlock := lock(t, d)
	unlock()
	refused("unlocked again")
	defer lock(t, store.Open(path))()
	refused("locked through another Dir")
	wantNames(t, path)
}

// `git clean -x` deletes the lock file. From then on its holder does not exclude
// others, and must not write.
func TestWriteAfterLockFileIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "generated")
	d := store.Open(path)
	unlock := lock(t, d)
	write(t, d, "state.json", doc("old", 100), true)
	if err := os.Remove(filepath.Join(path, ".hostenv.lock")); err != nil {
		t.Fatal(err)
	}
	_, err := d.Write("state.json", doc("new", 100))
	wantError(t, err, store.ErrNotLocked, filepath.Join(path, "state.json"), "run the command again")

	next := store.Open(path)
	defer lock(t, next)()
	if _, err := d.Write("state.json", doc("new", 100)); !errors.Is(err, store.ErrNotLocked) {
		t.Errorf("with a new lock file, the old holder's error is %v, want ErrNotLocked", err)
	}
	unlock()
	wantFile(t, next, "state.json", doc("old", 100))
	write(t, next, "state.json", doc("next", 100), true)
	wantNames(t, path, "state.json")
}

func TestMode(t *testing.T) {
	for _, tt := range []struct {
		umask  int
		old    fs.FileMode // 0: no file
		want   fs.FileMode
		reason string
	}{
		{0o022, 0, 0o644, "a new file gets the usual mode"},
		{0o077, 0, 0o600, "the umask may hide new files"},
		{0o077, 0o664, 0o664, "the umask does not apply to an existing file"},
		{0o002, 0o600, 0o600, "a private file stays private"},
		{0o022, 0o444, 0o444, "a read-only file can be replaced"},
		{0o022, 0o755, 0o755, "every permission bit is kept"},
	} {
		d := store.Open(t.TempDir())
		if tt.old != 0 {
			put(t, filepath.Join(d.Path(), "state.json"), doc("old", 100), tt.old)
		}
		before := syscall.Umask(tt.umask)
		unlock := lock(t, d)
		_, err := d.Write("state.json", doc("new", 200))
		unlock()
		syscall.Umask(before)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(d.Path(), "state.json"))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != tt.want {
			t.Errorf("umask %03o, file %03o: mode is %03o, want %03o: %s", tt.umask, tt.old, got, tt.want, tt.reason)
		}
	}
}

func TestNoOpTouchesNothing(t *testing.T) {
	d := store.Open(t.TempDir())
	file := filepath.Join(d.Path(), "state.json")
	defer lock(t, d)()
	data := doc("x", 700_000)
	write(t, d, "state.json", data, true)

	// A time long ago, so that any change shows even with a coarse clock.
	past := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, path := range []string{file, d.Path()} {
		if err := os.Chtimes(path, past, past); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, d, "state.json", data, false)
	after, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("the file is another inode")
	}
	if !after.ModTime().Equal(past) {
		t.Errorf("the file was modified at %s", after.ModTime())
	}
	// A temporary file would have changed this, even if it was removed again.
	folder, err := os.Stat(d.Path())
	if err != nil {
		t.Fatal(err)
	}
	if !folder.ModTime().Equal(past) {
		t.Errorf("the folder was modified at %s", folder.ModTime())
	}
}

func TestNotARegularFile(t *testing.T) {
	d := store.Open(t.TempDir())
	defer lock(t, d)()
	if err := os.Mkdir(filepath.Join(d.Path(), "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	// To open a FIFO would block until another process opens it.
	if err := syscall.Mkfifo(filepath.Join(d.Path(), "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"folder", "fifo"} {
		if changed, err := d.Write(name, doc("x", 100)); changed || err == nil {
			t.Errorf("Write replaced a %s", name)
		}
	}
	wantNames(t, d.Path(), "fifo", "folder")
}

// Readers take no lock. During writes they see whole documents, and never an older
// one after a newer one.
func TestReadersSeeWholeDocuments(t *testing.T) {
	const writes, readers = 500, 4
	d := store.Open(t.TempDir())
	defer lock(t, d)()
	docs := make([][]byte, writes)
	order := make(map[string]int, writes)
	for i := range docs {
		docs[i] = doc(fmt.Sprint(i), 100+(i*7919)%40_000)
		order[string(docs[i])] = i
	}
	write(t, d, "state.json", docs[0], true)

	done := make(chan struct{})
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			last, reads := 0, 0
			for stop := false; !stop; reads++ {
				select {
				case <-done:
					stop = true
				default:
				}
				data, err := store.Open(d.Path()).Read("state.json")
				if err != nil {
					t.Errorf("read: %v", err)
					return
				}
				if err := whole(data); err != nil {
					t.Errorf("read: %v", err)
					return
				}
				at := order[string(data)]
				if at < last {
					t.Errorf("read document %d after document %d", at, last)
				}
				last = at
			}
			if last != writes-1 {
				t.Errorf("the last of %d reads gave document %d, want %d", reads, last, writes-1)
			}
		})
	}
	for i := 1; i < writes; i++ {
		if _, err := d.Write("state.json", docs[i]); err != nil {
			t.Error(err)
			break
		}
	}
	close(done)
	wg.Wait()
	wantNames(t, d.Path(), "state.json")
}

func BenchmarkWrite(b *testing.B) {
	const size = 25 << 20
	docs := [][]byte{doc("even", size), doc("odd", size)}
	for _, bb := range []struct {
		name string
		pick func(i int) []byte
	}{
		{"changed", func(i int) []byte { return docs[i%2] }},
		{"same", func(int) []byte { return docs[0] }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			d := store.Open(b.TempDir())
			unlock, err := d.Lock(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			defer unlock()
			if _, err := d.Write("plan.json", docs[0]); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(size)
			b.ReportAllocs()
			for i := 1; b.Loop(); i++ {
				if _, err := d.Write("plan.json", bb.pick(i)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
