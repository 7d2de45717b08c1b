package store_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/woolwichweb/hostenv-provider/hostenv/state/store"
	"github.com/woolwichweb/hostenv-provider/internal/killtest"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

func init() {
	parts["save"] = func(args []string) error { return marked(args, save) }
	parts["save in place"] = func(args []string) error { return marked(args, saveInPlace) }
}

// marked runs saver on one thread, between two marks. args are a folder, the size
// of a document, and the names to write.
func marked(args []string, saver func(dir string, data []byte, names []string) error) error {
	size, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	data := doc("new", size)
	runtime.LockOSThread()
	killtest.Mark()
	defer killtest.Mark()
	return saver(args[0], data, args[2:])
}

// save locks the folder and writes files, as the planner does.
func save(dir string, data []byte, names []string) error {
	d := store.Open(dir)
	unlock, err := d.Lock(context.Background())
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := d.Write(name, data); err != nil {
			return err
		}
	}
	return unlock()
}

// saveInPlace overwrites files without a lock, as many programs do.
func saveInPlace(dir string, data []byte, names []string) error {
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// crash is a folder after a save that was killed.
type crash struct {
	k    int    // before its k-th system call
	call uint64 // the number of that system call
	dir  string
}

// eachCrash kills a save before its first system call, before its second, and so
// on until a save completes, each in a new folder that prepare fills. It returns
// the numbers of the system calls of a complete save.
func eachCrash(t *testing.T, part string, size int, names []string, prepare func(dir string), check func(crash)) []uint64 {
	t.Helper()
	// Without preemption and garbage collection the calls are always the same.
	env := append(os.Environ(), childEnv+"="+part, "GODEBUG=asyncpreemptoff=1", "GOGC=off")
	var seen []uint64
	for k := 1; ; k++ {
		dir := filepath.Join(t.TempDir(), "generated")
		prepare(dir)
		argv := append([]string{"store.test", dir, strconv.Itoa(size)}, names...)
		calls, done, err := killtest.Before(k, argv, env, os.Stderr.Fd())
		if errors.Is(err, killtest.ErrNoTrace) {
			testenv.LeaveOut(t, "ptrace", "cannot kill a process between system calls: %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		// Each run makes the calls of the run before, and one more.
		if len(calls) < len(seen) || !slices.Equal(calls[:len(seen)], seen) {
			t.Fatalf("run %d made the calls %v, the run before %v", k, calls, seen)
		}
		if done {
			if len(calls) != len(seen) {
				t.Fatalf("run %d completed with the calls %v, the run before made %v", k, calls, seen)
			}
			for _, name := range names {
				wantFile(t, store.Open(dir), name, doc("new", size))
			}
			return seen
		}
		seen = calls
		check(crash{k: k, call: calls[k-1], dir: dir})
		if t.Failed() {
			t.Fatalf("killed before call %d, number %d", k, calls[k-1])
		}
	}
}

// content returns the bytes of the file after a crash, or nil if it is missing.
func content(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := store.Open(dir).Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestKillBeforeEverySyscall(t *testing.T) {
	for _, tt := range []struct {
		name  string
		old   int // size of the files before; 0: there are none, nor a folder
		new   int
		names []string
	}{
		{"first", 0, 3000, []string{"state.json"}},
		{"larger", 1000, 300 << 10, []string{"state.json"}},
		{"smaller", 300 << 10, 1000, []string{"state.json"}},
		{"pair", 2000, 3000, []string{"state.json", "plan.json"}},
		{"first pair", 0, 3000, []string{"state.json", "plan.json"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && tt.name != "pair" {
				t.Skip("500 kills; a short run does the most useful ones")
			}
			before, after := []byte(nil), doc("new", tt.new)
			if tt.old > 0 {
				before = doc("old", tt.old)
			}
			prepare := func(dir string) {
				for _, name := range tt.names {
					if tt.old > 0 {
						put(t, filepath.Join(dir, name), before, 0o600)
					}
				}
			}
			outcomes := map[string]bool{} // of the names, in the order of their writes
			leftovers := 0
			calls := eachCrash(t, "save", tt.new, tt.names, prepare, func(c crash) {
				var outcome strings.Builder
				for _, name := range tt.names {
					switch data := content(t, c.dir, name); {
					case data != nil && bytes.Equal(data, after):
						outcome.WriteString("new ")
					case bytes.Equal(data, before) && (data == nil) == (before == nil):
						outcome.WriteString("old ")
					default:
						t.Errorf("%s has neither the old nor the new bytes: %v", name, whole(data))
					}
				}
				outcomes[outcome.String()] = true
				tmps, err := filepath.Glob(filepath.Join(c.dir, ".*.tmp"))
				if err != nil {
					t.Fatal(err)
				}
				leftovers += len(tmps)
				for _, tmp := range tmps {
					if info, err := os.Stat(tmp); err != nil || tt.old > 0 && info.Mode().Perm() != 0o600 {
						t.Errorf("the temporary file of a private file is %v (%v)", info, err)
					}
				}

				// The next run gets the lock at once, finds no leftovers, and
				// its write works.
				d := store.Open(c.dir)
				unlock := lock(t, d)
				if tmps, _ := filepath.Glob(filepath.Join(c.dir, ".*.tmp")); len(tmps) > 0 {
					t.Errorf("Lock left %q", tmps)
				}
				for _, name := range tt.names {
					write(t, d, name, doc("next", 5000), true)
				}
				unlock()
				wantNames(t, c.dir, tt.names...)
			})

			// Kills must happen before, between and after the renames.
			want := []string{"new ", "old "}
			if len(tt.names) == 2 {
				want = []string{"new new ", "new old ", "old old "} // never "old new "
			}
			if got := sortedKeys(outcomes); !slices.Equal(got, want) {
				t.Errorf("outcomes are %q, want %q", got, want)
			}
			if leftovers == 0 {
				t.Error("no kill left a temporary file")
			}
			if got := len(durable.FindAllString(filework(calls), -1)); got != len(tt.names) {
				t.Errorf("the file work of a save is %s, want %d times %s", filework(calls), len(tt.names), durable)
			}
			if made := strings.HasPrefix(strings.ReplaceAll(filework(calls), "r", ""), "F"); made != (tt.old == 0) {
				t.Errorf("the file work of a save is %s, which must begin with an fsync of the parent folder if and only if the folder is new", filework(calls))
			}
			t.Logf("kills before each of %d system calls left %d temporary files", len(calls), leftovers)
		})
	}
}

// filework spells what system calls do to files: write, Fsync, read, Rename.
func filework(calls []uint64) string {
	var b strings.Builder
	for _, nr := range calls {
		switch nr {
		case unix.SYS_WRITE:
			b.WriteByte('w')
		case unix.SYS_FSYNC:
			b.WriteByte('F')
		case unix.SYS_READ:
			b.WriteByte('r')
		case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
			b.WriteByte('R')
		}
	}
	return b.String()
}

// durable is the file work of one durable write: write the bytes, read them back,
// rename, fsync the folder. A test cannot cut the power, so it checks the calls.
var durable = regexp.MustCompile(`wFr+RF`)

// A write of the same bytes still makes them durable, because an earlier writer
// may have died between its rename and its fsync.
func TestNoOpIsMadeDurable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "generated")
	put(t, filepath.Join(dir, "state.json"), doc("new", 3000), 0o644)
	calls, done, err := killtest.Before(math.MaxInt, []string{"store.test", dir, "3000", "state.json"},
		append(os.Environ(), childEnv+"=save"), os.Stderr.Fd())
	if errors.Is(err, killtest.ErrNoTrace) {
		testenv.LeaveOut(t, "ptrace", "cannot watch a process: %v", err)
	}
	if err != nil || !done {
		t.Fatal(done, err)
	}
	work := strings.ReplaceAll(filework(calls), "r", "")
	if want := "wFF"; work != want { // the holder's name, then the file and the folder
		t.Errorf("the file work of a save without change is %s, want %s", work, want)
	}
}

func sortedKeys(m map[string]bool) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// eachCrash finds the torn files of a program that writes in place.
func TestKillFindsTornFiles(t *testing.T) {
	before, after := doc("old", 1000), doc("new", 3000)
	torn := 0
	calls := eachCrash(t, "save in place", len(after), []string{"state.json"}, func(dir string) {
		put(t, filepath.Join(dir, "state.json"), before, 0o644)
	}, func(c crash) {
		data := content(t, c.dir, "state.json")
		if !bytes.Equal(data, before) && !bytes.Equal(data, after) {
			torn++
			if err := whole(data); err == nil {
				t.Error("whole accepts a torn document")
			}
		}
	})
	if torn == 0 {
		t.Errorf("none of %d kills tore a file that was written in place", len(calls))
	}
	t.Logf("%d of %d kills tore the file", torn, len(calls))
}
