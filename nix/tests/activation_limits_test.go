package nix_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// limited makes an activation whose limits are short.
func limited(t *testing.T, activate string) activation {
	t.Helper()
	a := newActivation(t, activate)
	a.edit(t, "\nlimit=900 ", "\nlimit=2 ")
	a.edit(t, "\ngrace=10\n", "\ngrace=1\n")
	a.edit(t, "\nmost=$((64 << 20)) ", "\nmost=$((1 << 20)) ")
	t.Cleanup(func() { // what a failed test left
		for _, pid := range a.processes(t) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return a
}

// edit replaces a part of the script.
func (a *activation) edit(t *testing.T, from, to string) {
	t.Helper()
	script := strings.Replace(a.script, from, to, 1)
	if script == a.script {
		t.Fatalf("the script has no %q", from)
	}
	a.script = script
}

// mark is a line of a test's activation that gives the processes of it a variable by
// which processes finds them.
const mark = "export MARK=$DIR\n"

// processes returns the processes that still run, and have the activation's mark.
func (a activation) processes(t *testing.T) []int {
	t.Helper()
	return withVariable(t, "MARK="+a.dir)
}

// withVariable returns the processes that began with a variable.
func withVariable(t *testing.T, variable string) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && strings.Contains("\x00"+string(text), "\x00"+variable+"\x00") {
			var pid int
			if _, err := fmt.Sscanf(file, "/proc/%d/", &pid); err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

func (a activation) noneLeft(t *testing.T) {
	t.Helper()
	if !testenv.Poll(func() bool { return len(a.processes(t)) == 0 }) {
		t.Errorf("still running: %v", a.processes(t))
	}
}

// endless are activations that do not end by themselves, or leave processes that write
// to its output for ever.
var endless = []struct {
	reason, activate string
	status           int
	says             string
	left             bool // whether the processes may still run
}{
	{"it hangs", "sleep 1000", 124, "took longer than 2 seconds", false},
	{"it is stopped", "kill -STOP $BASHPID", 124, "took longer than 2 seconds", false},
	{"it ignores SIGTERM", "trap '' TERM; while :; do sleep 0.1; done", 124, "took longer than 2 seconds", false},
	{"a child ignores SIGTERM", "(trap '' TERM; sleep 1000 & wait) & sleep 1000", 124, "took longer than 2 seconds", false},
	{"a child has a session of its own", "setsid bash -c 'trap \"\" TERM; sleep 1000' & sleep 1000", 124, "took longer than 2 seconds", false},
	{"it ends with 0 on SIGTERM", "trap 'exit 0' TERM; while :; do sleep 0.1; done", 124, "took longer than 2 seconds", false},
	{"it prints for ever", "yes", 124, "printed more than 1 MiB", false},
	{"it fails, and leaves a process", "sleep 1000 >/dev/null 2>&1 & exit 3", 3, "", false},
	{"it fails, and leaves a process that prints", "yes & exit 3", 3, "", false},
	{"it fails, and leaves a process in a session of its own", "setsid bash -c 'sleep 1000 &'; exit 3", 3, "", false},
	{"it leaves a process that keeps the output open", "sleep 1000 &", 0, "left processes that kept its output open", false},
	{"it leaves a process that prints", "yes &", 0, "left processes that kept its output open", false},
	{"it leaves a stopped process", "bash -c 'while :; do kill -STOP $$; done' &", 0, "left processes that kept its output open", false},
	{"it leaves a process in a session of its own", "setsid bash -c 'trap \"\" TERM HUP; yes &'", 0, "left processes that kept its output open", false},
	{"it leaves a process that has closed the output", "sleep 1000 >/dev/null 2>&1 &", 0, "", true},
	{"it leaves a process that closes the output later", "bash -c 'sleep 0.3; exec sleep 1000 >/dev/null 2>&1' &", 0, "", true},
}

func TestActivationEnds(t *testing.T) {
	for _, test := range endless {
		t.Run(test.reason, func(t *testing.T) {
			t.Parallel()
			a := limited(t, mark+test.activate)
			if test.left { // it has all the time that it takes
				a.edit(t, "\ngrace=1\n", "\ngrace=600\n")
			}
			out, status := a.run(t)
			if len(out) > 10000 {
				out = out[:1000] + "..." + out[len(out)-1000:]
			}
			if status != test.status || test.says != "" && !strings.Contains(out, "\nactivation of shop-main "+test.says) || test.says == "" && strings.Contains(out, "\nactivation of shop-main ended with exit status") && strings.Contains(out, "ended:") {
				t.Errorf("it ended with %d and printed %q", status, out)
			}
			if !strings.HasSuffix(out, fmt.Sprintf("\nactivation of shop-main ended with exit status %d\n", test.status)) {
				t.Errorf("it printed %q", out)
			}
			if a.exists("profile.activated") != (test.status == 0) {
				t.Errorf("the path counts as active: %t", a.exists("profile.activated"))
			}
			if !test.left {
				a.noneLeft(t)
			} else if len(a.processes(t)) == 0 {
				t.Error("what it left was ended")
			}
			info, err := os.Stat(a.only(t))
			if err != nil || info.Size() > 1<<20 {
				t.Errorf("the log has %d bytes, %v", info.Size(), err)
			}
		})
	}
	// An activation has its whole limit, at whatever part of a second it begins.
	for _, part := range []int{0, 500, 900} {
		t.Run(fmt.Sprintf("it begins at %d ms of a second", part), func(t *testing.T) {
			t.Parallel()
			a := limited(t, mark+"begun=${EPOCHREALTIME/[.,]}; while :; do echo \"$((${EPOCHREALTIME/[.,]} - begun))\"; sleep 0.05; done")
			begin := fmt.Sprintf("until part=$((10#${EPOCHREALTIME#*[.,]})); [ \"$part\" -ge %d ] && [ \"$part\" -lt %d ]; do sleep 0.01; done", part*1000, part*1000+90000)
			a.edit(t, "\nSECONDS=0\n", "\n"+begin+"\nSECONDS=0\n")
			a.edit(t, "while \"${coreutils}sleep\" 1;", "while \"${coreutils}sleep\" 0.1;")
			out, status := a.run(t)
			var last int
			for line := range strings.Lines(out) {
				if n, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
					last = n
				}
			}
			if status != 124 || last < 1_900_000 {
				t.Errorf("it ended with %d, %d microseconds after it began", status, last)
			}
		})
	}
	// The limits hold where no connection and no log are left.
	t.Run("the connection is lost", func(t *testing.T) {
		t.Parallel()
		a := limited(t, mark+"echo line 1\nuntil [ -e \"$DIR/lost\" ]; do sleep 0.01; done\nyes")
		if status := a.runLost(t, a.command(t)); status != 124 {
			t.Errorf("it ended with %d", status)
		}
		a.noneLeft(t)
	})
	t.Run("there is no log", func(t *testing.T) {
		t.Parallel()
		a := limited(t, mark+"yes")
		write(t, a.path("state"), "a file, and no folder", 0o666)
		if _, status := a.run(t); status != 124 {
			t.Errorf("it ended with %d", status)
		}
		a.noneLeft(t)
	})
	t.Run("a process cannot be ended", func(t *testing.T) {
		t.Parallel()
		a := limited(t, mark+`sleep 1000 & echo $! >"$DIR/immortal"`)
		a.script = `kill() {
			local all=() each
			for each; do
				if ! [ -e "$DIR/immortal" ] || [ "$each" != "$(cat "$DIR/immortal")" ]; then all+=("$each"); fi
			done
			builtin kill "${all[@]}"
		}
		` + a.script
		if out, status := a.run(t); status != 0 || !strings.Contains(out, "left processes") {
			t.Errorf("it ended with %d and printed %q", status, out)
		}
		if len(a.processes(t)) != 1 {
			t.Errorf("there are %v", a.processes(t))
		}
	})
	t.Run("this script is gone", func(t *testing.T) {
		t.Parallel()
		a := limited(t, mark+`until [ -e "$DIR/lost" ]; do sleep 0.5; done`)
		cmd := a.command(t)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if !testenv.Poll(func() bool { return len(a.processes(t)) > 0 }) {
			t.Fatal("it did not begin")
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		watchers := func() bool {
			out, _ := exec.Command("pgrep", "-f", a.path("deploy-rs-activate")).Output()
			return len(strings.Fields(string(out))) > 2 // the activation and the writer of the log are copies of the script
		}
		if !testenv.Poll(func() bool { return !watchers() }) {
			t.Error("it is still watched")
		}
		write(t, a.path("lost"), "", 0o666)
		a.noneLeft(t)
	})
	t.Run("it restores data", func(t *testing.T) {
		t.Parallel()
		a := limited(t, mark+"sleep 4")
		a.script = strings.Replace(a.script, "/run/hostenv/user/shop-main/restore/", a.path("runtime/restore")+"/", 1)
		write(t, a.path("runtime/restore/plan.json"), "{}", 0o600)
		if out, status := a.run(t); status != 0 {
			t.Errorf("it ended with %d and printed %q", status, out)
		}
	})
	t.Run("a unit hangs", func(t *testing.T) {
		t.Parallel()
		a := limited(t, mark+`echo begun >"$DIR/begun"; until [ -e "$DIR/cancelled" ]; do sleep 0.1; done; echo "Job for site.service canceled."; exit 1`)
		write(t, a.path("bin/systemctl"), `#!/usr/bin/env bash
case "$*" in
*--user*list-jobs*)
	echo "7 old.service start running"
	if [ -e "$DIR/begun" ]; then
		echo "12 site.service start running"
		echo "13 default.target start waiting"
	fi
	;;
*--user*cancel*) echo "${*: -1}" >>"$DIR/cancelled" ;;
esac
`, 0o777)
		cmd := a.command(t)
		cmd.Env = append(cmd.Env, "PATH="+a.path("bin")+":"+os.Getenv("PATH"))
		begun := time.Now()
		out, _ := cmd.CombinedOutput()
		if status := cmd.ProcessState.ExitCode(); status != 124 || !strings.Contains(string(out), "\nhanging unit: site.service\n") || !strings.Contains(string(out), "canceled.\n") ||
			strings.Contains(string(out), "unit: old") || strings.Contains(string(out), "unit: default") || time.Since(begun) > 25*time.Second {
			t.Errorf("it ended with %d after %v and printed %q", status, time.Since(begun), out)
		}
		if text, err := os.ReadFile(a.path("cancelled")); err != nil || string(text) != "12\n13\n" {
			t.Errorf("cancelled are %q, %v", text, err)
		}
	})
}
