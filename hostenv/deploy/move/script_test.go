package move_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/move"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A machine runs the hostenv-move of a node with stand-ins for systemd. The service
// of a backup is the program units/<unit>, and its output is the journal. The
// machine keeps every command line of the stand-ins.
type machine struct {
	deploy.Session
	t                     *testing.T
	dir, profile, runtime string
	script, home, calls   string
	units, bin            string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	bash := testenv.Need(t, "bash")
	dir := t.TempDir()
	m := &machine{
		t: t, dir: dir, profile: filepath.Join(dir, "profile of a user"), runtime: filepath.Join(dir, "runtime"),
		script: filepath.Join(dir, "hostenv-move"), home: filepath.Join(dir, "home"), calls: filepath.Join(dir, "calls"),
		units: filepath.Join(dir, "units"), bin: filepath.Join(dir, "bin"),
	}
	for _, folder := range []string{m.profile, m.runtime, m.home, m.units, m.bin} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile("../../../nix/modules/hostenv-move.sh")
	if err != nil {
		t.Fatal(err)
	}
	m.program(m.script, "", bash, strings.NewReplacer("@profile@", m.profile, "@runtime@", m.runtime).Replace(string(text)))
	record := fmt.Sprintf(`printf '%%s\n' "$(basename "$0") $* [$XDG_RUNTIME_DIR]" >>'%s'`+"\n", m.calls)
	m.program(m.bin, "systemctl", bash, record+fmt.Sprintf(`
		unit='%s'/${!#}
		case "$*" in
		*LoadState*) [ -e "$unit" ] && echo loaded || echo not-found ;;
		*ActiveState*) cat "$unit.active" 2>/dev/null || echo inactive; rm -f "$unit.active" ;;
		*Result*) cat "$unit.result" 2>/dev/null || echo success ;;
		*start*) "$unit" >"$unit.journal" 2>&1 ;;
		*stop*) : >"$unit.stopped" ;;
		*) exit 99 ;;
		esac`, m.units))
	m.program(m.bin, "journalctl", bash, record+fmt.Sprintf(`
		for argument; do case "$argument" in --user-unit=*) cat '%s'/"${argument#*=}.journal" ;; esac; done`, m.units))
	return m
}

// program writes an executable.
func (m *machine) program(folder, name, bash, text string) {
	m.t.Helper()
	path := filepath.Join(folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!"+bash+"\n"+text+"\n"), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) Run(ctx context.Context, _ string, input []byte, argv ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, m.script, argv[1:]...)
	cmd.Env = []string{"PATH=" + m.bin + ":" + os.Getenv("PATH"), "HOME=" + m.home}
	cmd.Stdin = bytes.NewReader(input)
	var output bytes.Buffer
	cmd.Stderr = &output
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, output.String())
	}
	return out, err
}

// recorded returns the calls since it was last asked.
func (m *machine) recorded() string {
	text, err := os.ReadFile(m.calls)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		m.t.Fatal(err)
	}
	_ = os.Remove(m.calls)
	return string(text)
}

func TestScriptBackup(t *testing.T) {
	m := newMachine(t)
	bash := testenv.Need(t, "bash")
	const unit = "restic-backups-a.b_c-migrate.service"
	run := func() (string, error) {
		out, err := m.Run(t.Context(), "", nil, "hostenv-move", "backup", "a.b_c-migrate")
		return string(out), err
	}
	if out, err := run(); out != "missing\n" || err != nil || strings.Contains(m.recorded(), "start") {
		t.Errorf("%q, %v", out, err)
	}

	m.program(m.units, unit, bash, "echo snapshot 44bbcd7a saved")
	before := time.Now().Unix()
	out, err := run()
	var seconds, nanoseconds int64
	if _, scan := fmt.Sscanf(out, "since %d.%d\n", &seconds, &nanoseconds); scan != nil || err != nil || seconds < before || seconds > time.Now().Unix() {
		t.Errorf("%q, %v", out, err)
	}
	if calls, want := m.recorded(), fmt.Sprintf("systemctl --user start --wait -- %s [/run/user/%d]\n", unit, os.Getuid()); strings.Count(calls, want) != 1 || strings.Count(calls, "start") != 1 {
		t.Errorf("%s\nwant %s", calls, want)
	}
	journal, err := m.Run(t.Context(), "", nil, "hostenv-move", "journal", "a.b_c-migrate", fmt.Sprint(seconds))
	if string(journal) != "snapshot 44bbcd7a saved\n" || err != nil {
		t.Errorf("%q, %v", journal, err)
	}
	if calls := m.recorded(); !strings.Contains(calls, fmt.Sprintf("--user-unit=%s --since=@%d", unit, seconds)) {
		t.Error(calls)
	}

	// A backup that began earlier is waited for, but its snapshot does not count.
	if err := os.WriteFile(filepath.Join(m.units, unit+".active"), []byte("activating\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if out, err := run(); !strings.HasPrefix(out, "since ") || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	if calls := m.recorded(); strings.Count(calls, "start --wait") != 2 {
		t.Error(calls)
	}

	// It fails by its exit status, and only by the report of systemd.
	m.program(m.units, unit, bash, "echo Fatal: wrong password; exit 1")
	if out, err := run(); out != "" || err == nil || !strings.Contains(err.Error(), "error: "+unit+" failed (success). It said:\nFatal: wrong password") {
		t.Errorf("%q, %v", out, err)
	}
	m.program(m.units, unit, bash, "echo as if nothing was")
	if err := os.WriteFile(filepath.Join(m.units, unit+".result"), []byte("oom-kill\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if out, err := run(); out != "" || err == nil || !strings.Contains(err.Error(), "failed (oom-kill)") {
		t.Errorf("%q, %v", out, err)
	}
}

// A backup that does not end is stopped, also if another one ran before.
func TestBackupThatHangs(t *testing.T) {
	for _, active := range []string{"inactive", "activating"} {
		m := newMachine(t)
		text, err := os.ReadFile(m.script)
		if err != nil || !strings.Contains(string(text), "\nlimit=3300\n") {
			t.Fatalf("the script has no limit: %v", err)
		}
		if err := os.WriteFile(m.script, []byte(strings.Replace(string(text), "limit=3300", "limit=8", 1)), 0o755); err != nil {
			t.Fatal(err)
		}
		unit := filepath.Join(m.units, "restic-backups-a-migrate.service")
		m.program(m.units, filepath.Base(unit), testenv.Need(t, "bash"), "exec sleep 100")
		if err := os.WriteFile(unit+".active", []byte(active), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err = m.Run(t.Context(), "", nil, "hostenv-move", "backup", "a-migrate")
		if err == nil || !strings.Contains(err.Error(), "did not end within ") { // of 8 seconds, those that are left
			t.Errorf("%s: it ended with %v", active, err)
		}
		if _, err := os.Stat(unit + ".stopped"); (err == nil) != (active == "inactive") {
			t.Errorf("%s: the unit is stopped: %v", active, err == nil)
		}
	}
}

// TestSystemd runs backups in a user's real systemd: one that succeeds, one that
// fails, one that does not exist, and one that already runs.
func TestSystemd(t *testing.T) {
	systemd := testenv.Need(t, "systemd")
	m := newMachine(t)
	starts := filepath.Join(m.dir, "starts")
	gate := filepath.Join(m.dir, "gate")
	for name, script := range map[string]string{
		"well": "true",
		"bad":  "exit 3",
		"busy": "date +%%s.%%N >>" + starts + "; if [ -p " + gate + " ]; then read x <" + gate + "; rm " + gate + "; fi",
	} {
		text := "[Service]\nType=oneshot\nExecStart=/bin/sh -c '" + script + "'\n"
		if err := os.WriteFile(filepath.Join(m.units, "restic-backups-"+name+".service"), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--cgroup", "--propagation", "private",
		"testdata/systemd.sh", systemd, m.units, testenv.Need(t, "bash"), "-c", `
			for name in well bad gone; do "$0" backup $name; echo "$name: $?"; done
			mkfifo "$1"
			systemctl --user start --no-block restic-backups-busy.service
			until [ -s "$2" ]; do sleep 0.01; done # it is running, and not only requested
			"$0" backup busy & echo >"$1"; wait $!; echo "busy: $?"`, m.script, gate, starts)
	var output bytes.Buffer
	cmd.Stderr = &output
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 77 {
		testenv.LeaveOut(t, "systemd", "it does not run here: %s", output.String())
	}
	var well, busy float64
	if _, scan := fmt.Sscanf(string(out), "since %f\nwell: 0\nbad: 1\nmissing\ngone: 0\nsince %f\nbusy: 0\n", &well, &busy); scan != nil || err != nil {
		t.Fatalf("%v, %v\n%s%s", scan, err, out, output.String())
	}
	if !strings.Contains(output.String(), "error: restic-backups-bad.service failed (exit-code)") {
		t.Error(output.String())
	}
	text, err := os.ReadFile(starts)
	if err != nil {
		t.Fatal(err)
	}
	// The script waited for the last start.
	times := strings.Fields(string(text))
	for i, start := range times {
		at, err := strconv.ParseFloat(start, 64)
		if ours := i == len(times)-1; err != nil || ours != (at >= busy) || len(times) < 2 {
			t.Errorf("the backup was started at\n%s, and is reported as running since %f", text, busy)
		}
	}
}

func TestScriptSnapshots(t *testing.T) {
	m := newMachine(t)
	bash := testenv.Need(t, "bash")
	run := func(which string) (string, error) {
		out, err := m.Run(t.Context(), "", nil, "hostenv-move", "snapshots", "a", which)
		return string(out), err
	}
	if _, err := run("all"); err == nil || !strings.Contains(err.Error(), "has no restic-a") {
		t.Errorf("%v", err)
	}
	m.program(filepath.Join(m.home, ".local/bin"), "restic-a", bash, `echo "home: $*"`)
	if out, err := run("all"); out != "home: snapshots --json --latest 1\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	// The program of the active profile has precedence over one of an older tool.
	m.program(filepath.Join(m.profile, "bin"), "restic-a", bash, `echo "profile: $*"`)
	if out, err := run("tagged"); out != "profile: snapshots --json --latest 1 --tag a\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	// A failure is reported with any output of restic; endless output is cut off.
	m.program(filepath.Join(m.profile, "bin"), "restic-a", bash, `echo '[]'; echo Fatal >&2; exit 1`)
	if _, err := run("all"); err == nil || !strings.Contains(err.Error(), "Fatal") {
		t.Errorf("%v", err)
	}
	m.program(filepath.Join(m.profile, "bin"), "restic-a", bash, `exec yes`)
	if out, err := run("all"); err == nil || len(out) != 4<<20 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

func TestScriptPlan(t *testing.T) {
	m := newMachine(t)
	file := filepath.Join(m.runtime, "restore", "plan.json")
	run := func(input, length string) error {
		_, err := m.Run(t.Context(), "", []byte(input), "hostenv-move", "plan", length)
		return err
	}
	holds := func(want string, entries int) {
		t.Helper()
		got, err := os.ReadFile(file)
		if string(got) != want || want != "" && err != nil {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
		if all, err := os.ReadDir(filepath.Dir(file)); len(all) != entries || err != nil {
			t.Errorf("%v, %v", all, err)
		}
	}
	if err := run("{}\n", "3"); err != nil {
		t.Fatal(err)
	}
	holds("{}\n", 1)
	for path, want := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	// The connection is lost half-way: the old plan stays.
	if err := run(`{"sourceNode"`, "40"); err == nil || !strings.Contains(err.Error(), "did not arrive in full") {
		t.Errorf("%v", err)
	}
	holds("{}\n", 1)
	// A folder that others could read is closed, a link at the plan's place is replaced.
	if err := os.Chmod(filepath.Dir(file), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/null", file); err != nil {
		t.Fatal(err)
	}
	if err := run("{ }\n", "4"); err != nil {
		t.Error(err)
	}
	holds("{ }\n", 1)
	if info, err := os.Stat(filepath.Dir(file)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}

	if err := os.WriteFile(filepath.Join(filepath.Dir(file), ".plan.12345678"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := m.Run(t.Context(), "", nil, "hostenv-move", "discard"); err != nil {
			t.Error(err)
		}
		holds("", 0)
	}
	if err := os.RemoveAll(m.runtime); err != nil {
		t.Fatal(err)
	}
	if err := run("{}\n", "3"); err == nil || !strings.Contains(err.Error(), "which the node's system makes") {
		t.Errorf("%v", err)
	}
	if _, err := m.Run(t.Context(), "", nil, "hostenv-move", "discard"); err != nil {
		t.Error(err)
	}
}

// TestScriptHolds finds the data over which hostenv's own modules do not restore,
// and no others.
func TestScriptHolds(t *testing.T) {
	m := newMachine(t)
	holds := func(name, want string) {
		t.Helper()
		out, err := m.Run(t.Context(), "", nil, "hostenv-move", "holds", name)
		if err != nil || string(out) != want {
			t.Errorf("%s: %q, %v, want %q", name, out, err, want)
		}
	}
	file := func(path string) {
		t.Helper()
		path = filepath.Join(m.home, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	holds("drupal-migrate", "")
	// A database that was started and never filled, as a restore finds it.
	for _, path := range []string{"ibdata1", "mysql/user.frm", "performance_schema/threads.frm", "sys/version.frm", "drupal/db.opt"} {
		file(".local/share/mysql/" + path)
	}
	holds("drupal-migrate", "")
	marker, database := m.home+"/.local/state/hostenv/restored/drupal\n", m.home+"/.local/share/mysql\n"
	file(".local/state/hostenv/restored/drupal")
	holds("drupal-migrate", marker)
	holds("php-app-migrate", "")
	file(".local/share/mysql/drupal/node.ibd")
	holds("drupal-migrate", marker+database)
	holds("php-app-migrate", database)
	holds("other-migrate", "") // whose restore is not hostenv's
}

// TestScriptRefuses: the script runs no command, even if sudo allowed the call.
func TestScriptRefuses(t *testing.T) {
	m := newMachine(t)
	for _, argv := range [][]string{
		{}, {""}, {"restore", "a"}, {"backup"}, {"backup", "a", "b"}, {"discard", "a"}, {"plan"}, {"plan", "-1"}, {"plan", "1e3"}, {"plan", "1234567"},
		{"backup", ""}, {"backup", "-a"}, {"backup", "--help"}, {"backup", "a b"}, {"backup", "../a"}, {"backup", "a/b"}, {"backup", "a;touch x"}, {"backup", "$(touch x)"},
		{"backup", "`touch x`"}, {"backup", "a\nb"}, {"backup", "a@b"}, {"holds"}, {"holds", "../a"}, {"holds", "a", "b"}, {"backup", "é"}, {"backup", strings.Repeat("a", 101)},
		{"snapshots", "a"}, {"snapshots", "a;b", "all"}, {"journal", "a", "yesterday"}, {"journal", "a", "-1"}, {"journal", "a\n", "1"},
	} {
		out, err := m.Run(t.Context(), "", nil, append([]string{"hostenv-move"}, argv...)...)
		if err == nil || len(out) > 0 || !strings.Contains(err.Error(), "error: ") {
			t.Errorf("%q: %q, %v", argv, out, err)
		}
		if calls := m.recorded(); calls != "" {
			t.Errorf("%q ran %s", argv, calls)
		}
	}
	if _, err := m.Run(t.Context(), "", nil, "hostenv-move", "snapshots", "a", "--repo=x"); err == nil {
		t.Error("snapshots took an option")
	}
}

// TestRestic moves with a real restic: from one machine to another by way of a
// repository, and back by the snapshot that the restore plan names.
func TestRestic(t *testing.T) {
	restic, bash := testenv.Need(t, "restic"), testenv.Need(t, "bash")
	from, to := newMachine(t), newMachine(t)
	data := filepath.Join(from.dir, "data")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(data, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	with := fmt.Sprintf("export HOME=%s RESTIC_PASSWORD=x RESTIC_REPOSITORY=%s\n", t.TempDir(), filepath.Join(from.dir, "repository"))
	cmd := exec.CommandContext(t.Context(), bash, "-c", with+restic+" init")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	backup := with + restic + " backup " + data
	move1 := func(t *testing.T) deploy.Moved {
		t.Helper()
		m, err := move.New(document(t, moved), move.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Prepare(t.Context(), from, to, newNode, shop)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(to.runtime, "restore", "plan.json"))
		if err != nil {
			t.Fatal(err)
		}
		// As an environment reads it.
		var restore struct {
			SourceNode string
			Snapshots  map[string]string
		}
		if err := json.Unmarshal(text, &restore); err != nil || restore.SourceNode != "old" {
			t.Fatalf("%v: %s", err, text)
		}
		target := t.TempDir()
		cmd := exec.CommandContext(t.Context(), bash, "-c", with+restic+" restore "+restore.Snapshots["drupal-migrate"]+" --target "+target)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		restored, err := os.ReadFile(filepath.Join(target, data, "file"))
		if want, _ := os.ReadFile(filepath.Join(data, "file")); err != nil || !bytes.Equal(restored, want) {
			t.Errorf("restored %q, want %q: %v", restored, want, err)
		}
		return *got
	}

	from.program(from.units, "restic-backups-drupal-migrate.service", bash, backup+" --tag drupal-migrate --tag migrate")
	from.program(filepath.Join(from.profile, "bin"), "restic-drupal-migrate", bash, with+"exec "+restic+` "$@"`)
	write("file", "one")
	first := move1(t).Snapshots["drupal-migrate"]
	if len(first) != 64 {
		t.Errorf("%q", first)
	}
	// The same data once more is another snapshot, and it is the newer one.
	if second := move1(t).Snapshots["drupal-migrate"]; len(second) != 64 || second == first {
		t.Errorf("%q, %q", first, second)
	}
	t.Run("another node backs up what it still has", func(t *testing.T) {
		from.program(from.units, "restic-backups-drupal-migrate.service", bash, backup+" --tag drupal-migrate; mv "+data+"/file "+data+"/kept; echo stale >"+data+"/file\n"+
			restic+" backup "+data+" --host far --tag drupal-migrate >"+filepath.Join(from.dir, "far")+" 2>&1; mv "+data+"/kept "+data+"/file")
		move1(t)
	})
	t.Run("no tags", func(t *testing.T) {
		from.program(from.units, "restic-backups-drupal-migrate.service", bash, backup)
		write("file", "two")
		move1(t)
	})
	t.Run("no wrapper", func(t *testing.T) {
		if err := os.RemoveAll(from.profile); err != nil {
			t.Fatal(err)
		}
		write("file", "three")
		if got := move1(t).Snapshots["drupal-migrate"]; len(got) != 8 {
			t.Errorf("%q is not the journal's", got)
		}
	})
	t.Run("a base that is older than the other", func(t *testing.T) {
		if err := os.Rename(filepath.Join(from.units, "restic-backups-drupal-migrate.service"), filepath.Join(from.units, "restic-backups-drupal.service")); err != nil {
			t.Fatal(err)
		}
		from.program(filepath.Join(from.home, ".local/bin"), "restic-drupal", bash, with+"exec "+restic+` "$@"`)
		write("file", "four")
		move1(t)
	})
}
