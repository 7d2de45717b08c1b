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

// marked puts all of saver's calls on one thread, between two marks. Its
// arguments are a folder, a document's size, and the names to write.
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

// save is what a run of the planner does to the folder.
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

// saveInPlace is what many a program does instead.
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
	call uint64 // whose number is this
	dir  string
}

// eachCrash kills a save before its first system call, before its second, and
// so on until it gets to its end, each in a folder that prepare has made. It
// returns the numbers of all calls that the whole save makes.
func eachCrash(t *testing.T, part string, size int, names []string, prepare func(dir string), check func(crash)) []uint64 {
	t.Helper()
	// No signals to preempt the thread, and no collector to take turns with.
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
		// Every run is the one before and one call more, or calls were missed.
		if len(calls) < len(seen) || !slices.Equal(calls[:len(seen)], seen) {
			t.Fatalf("run %d made the calls %v, the run before %v", k, calls, seen)
		}
		if done {
			if len(calls) != len(seen) {
				t.Fatalf("run %d went to its end with the calls %v, after %v", k, calls, seen)
			}
			for _, name := range names {
				wantFile(t, store.Open(dir), name, doc("new", size))
			}
			return seen
		}
		seen = calls
		check(crash{k: k, call: calls[k-1], dir: dir})
		if t.Failed() {
			t.Fatalf("killed before its call %d, number %d", k, calls[k-1])
		}
	}
}

// content returns what the file has after a crash, and nil if it is not there.
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
				t.Skip("half a thousand kills; the short run makes the most telling ones")
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
						t.Errorf("%s is neither the old nor the new one: %v", name, whole(data))
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
						t.Errorf("of a private file, the temporary one is %v (%v)", info, err)
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

			// Had the kills not come before, between and behind the renames,
			// they would have shown nothing.
			want := []string{"new ", "old "}
			if len(tt.names) == 2 {
				want = []string{"new new ", "new old ", "old old "} // and never "old new "
			}
			if got := sortedKeys(outcomes); !slices.Equal(got, want) {
				t.Errorf("outcomes are %q, want %q", got, want)
			}
			if leftovers == 0 {
				t.Error("no kill has left a temporary file")
			}
			if got := len(durable.FindAllString(filework(calls), -1)); got != len(tt.names) {
				t.Errorf("the file work of a save is %s, want %d times %s", filework(calls), len(tt.names), durable)
			}
			if made := strings.HasPrefix(strings.ReplaceAll(filework(calls), "r", ""), "F"); made != (tt.old == 0) {
				t.Errorf("the file work of a save is %s: the folder above is to be fsynced first, if and only if the folder is new", filework(calls))
			}
			t.Logf("killed before each of %d system calls, which left %d temporary files", len(calls), leftovers)
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

// durable is the file work of one write that survives a power cut, which no
// test can make: the bytes first, read back, then the name, then the folder.
var durable = regexp.MustCompile(`wFr+RF`)

// The writer before may have died behind its rename, so to find the right bytes
// is not to find them on the disk.
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

// The test of the test: of a program that writes in place it finds what it
// found nowhere in the store.
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
				t.Error("a torn document passes for a whole one")
			}
		}
	})
	if torn == 0 {
		t.Errorf("none of %d kills tore a file that is written in place", len(calls))
	}
	t.Logf("%d of %d kills tore the file", torn, len(calls))
}
