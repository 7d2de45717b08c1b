package deployrs_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/internal/deployrs"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// shim replaces nix and ssh, logs its command line, and fails where the test asks
// for it. An activation lasts until it is confirmed, as a real one does. The wait
// for a failed activation does not end.
const shim = `#!/bin/sh
over() { [ -e "$RECORD/over" ] || ! [ -e "$RECORD/data" ]; }
name=${0##*/}
record=$(printf '%s' "$name opts=[$NIX_SSHOPTS]"; for argument do printf ' [%s]' "$argument"; done)
printf '%s\0' "$record" >>"$RECORD/calls"
what=$name
case $name in
nix)
	for argument do
		case $argument in
		eval | check | show-derivation | path-info | build | copy | sign-paths) what=$argument; break ;;
		esac
	done
	case "$*" in "eval --expr"*) what=flakes ;; esac
	;;
ssh)
	for last do :; done
	case $last in
	*"activate-rs"*" activate "*) what=activate ;;
	*"activate-rs"*" wait "*) what=wait ;;
	*"activate-rs"*" revoke "*) what=revoke ;;
	*"rm "*) what=confirm ;;
	esac
	;;
esac
echo "$what" >>"$RECORD/phases"
case " $FAIL " in
*" $what "*) [ "$what" != confirm ] || : >"$RECORD/confirmed"; exit 3 ;;
*" $what@$(grep -cx "$what" "$RECORD/phases") "*) exit 3 ;;
esac
case $what in
eval) cat "$RECORD/data" ;;
show-derivation) [ "$DERIVATIONS" = empty ] && echo '{}' || printf '{"%s": {}}' "$DRV" ;;
path-info) [ "$DERIVATIONS" = old ] && echo /nix/store/out || echo "$DRV" ;;
activate) case $last in *--dry-activate* | *--boot*) ;; *--magic-rollback*)
	rm -f "$RECORD/confirmed"
	: >"$RECORD/activating"
	until [ -e "$RECORD/confirmed" ] || over; do sleep 0.02; done
	rm -f "$RECORD/activating"
	;; esac ;;
wait) until [ -e "$RECORD/activating" ] || over; do sleep 0.02; done ;;
confirm) : >"$RECORD/confirmed" ;;
esac
exit 0
`

const hash = "0123456789abcdfghijklmnpqrsvwxyz"

// storeDir returns a folder whose name is as long as /nix/store: deploy-rs takes
// the hash of a path from where it is in one.
func storeDir(t testing.TB) string {
	t.Helper()
	for {
		dir := fmt.Sprintf("/tmp/%05d", rand.IntN(100000))
		if err := os.Mkdir(dir, 0o755); os.IsExist(err) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
				if err == nil && entry.IsDir() {
					_ = os.Chmod(path, 0o700)
				}
				return nil
			})
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		})
		return dir
	}
}

// fleet is the data of two nodes; n1 has two profiles.
func fleet(path string) map[string]any {
	profile := func(user string) map[string]any {
		return map[string]any{"path": path, "user": user, "profilePath": "/nix/var/nix/profiles/" + user, "tempPath": "/run/hostenv/deploy"}
	}
	return map[string]any{
		"sshOpts": []string{"-v"},
		"nodes": map[string]any{
			"n1": map[string]any{
				"hostname": "n1", "sshUser": "deploy", "sshOpts": []string{"-F", "config"}, "confirmTimeout": 20, "unknown": 1,
				"profilesOrder": []string{"system"},
				"profiles":      map[string]any{"system": profile("root"), "site": profile("site")},
			},
			"n-2.example": map[string]any{
				"hostname": "10.0.0.2", "remoteBuild": true, "fastConnection": true,
				"profiles": map[string]any{"system": map[string]any{"path": path, "user": "root", "sshUser": "root", "magicRollback": false, "activationTimeout": 600}},
			},
		},
	}
}

// A scenario is one command line and the environment in which it runs.
type scenario struct {
	args []string
	fail string   // which commands fail, "what" or "what@nth"
	drvs string   // what Nix prints for derivations: "old", "empty"
	env  []string // in addition
	data func(map[string]any)
	bare bool // the profile has no activate-rs
}

func line(text string) []string { return strings.Fields(text) }

func TestDeployMatchesReal(t *testing.T) {
	real := filepath.Join(testenv.Need(t, "deploy-rs"), "deploy")
	standIn := filepath.Join(deployrs.Build(t), "deploy")

	n1 := `.#"n1"."system"`
	scenarios := []scenario{
		{args: line("--skip-checks --checksigs --rollback-succeeded false " + n1)},
		{args: line("--skip-checks --magic-rollback false --auto-rollback false " + n1)},
		{args: line("--skip-checks --magic-rollback true --auto-rollback false " + n1)},
		{args: line(n1)},
		{args: line("-s " + n1 + " -- --offline -L")},
		{args: line(n1 + " -- --offline")},
		{args: line("-s .#n1")},
		{args: line("-s .#n1.site")},
		{args: line("-s .#n-2.site")},
		{args: line(`-s .#"n-2.example"."system"`)},
		{args: line(`-s .#"n-2.example"."system" --ssh-user deploy`)},
		{args: line(`-s .#"n-2.example"."system" --hostname other --debug-logs --log-dir /tmp`)},
		{args: line("-s --targets .#n1.site " + n1)},
		{args: line("-s --targets .#n1.site .#n1.site")},
		{args: line("--targets .#n1.site -s -- -L")},
		{args: line("-s --remote-build " + n1)},
		{args: line("-s --remote-build " + n1), drvs: "old"},
		{args: line("-s " + n1), drvs: "old"},
		{args: line("-s " + n1), drvs: "empty"},
		{args: line("-s --ssh-opts -p --fast-connection true " + n1)},
		{args: append(line("-s "+n1), "--ssh-opts=-p  22 -o X")},
		{args: line("-s --hostname=h --profile-user u --ssh-user u " + n1)},
		{args: line("-s --profile-user u --sudo doas --temp-path /elsewhere " + n1)},
		{args: line("-s --confirm-timeout +007 --activation-timeout 65535 " + n1)},
		{args: line("-s --dry-activate " + n1)},
		{args: line("-s --boot " + n1)},
		{args: line("-s --dry-activate --boot " + n1)},
		{args: line("-sk " + n1)},
		{args: line("-skr results " + n1)},
		{args: line("-s -r=results -k " + n1)},
		{args: line("-s -kd " + n1)},
		{args: line("-s " + n1), env: []string{"LOCAL_KEY=/run/key"}},
		{args: line("-s --interactive-sudo false " + n1)},

		// phases that fail
		{args: line(n1), fail: "check"},
		{args: line("-s " + n1), fail: "eval"},
		{args: line("-s " + n1), fail: "show-derivation"},
		{args: line("-s " + n1), fail: "path-info"},
		{args: line("-s " + n1), fail: "build"},
		{args: line("-s " + n1), fail: "copy"},
		{args: line("-s " + n1), fail: "wait"},
		{args: line("-s " + n1), fail: "activate"},
		{args: line("-s " + n1), fail: "confirm"},
		{args: line("-s --magic-rollback false " + n1), fail: "activate"},
		{args: line("-s --boot .#n1"), fail: "activate"},
		{args: line("-s " + n1), fail: "sign-paths", env: []string{"LOCAL_KEY=k"}},
		{args: line("-s " + n1), bare: true},
		{args: line("-s --remote-build " + n1), fail: "copy"},
		{args: line("-s --remote-build " + n1), fail: "build"},
		{args: line("-s --remote-build " + n1), bare: true},

		// revoking profiles that had succeeded
		{args: line("-s --magic-rollback false .#n1"), fail: "activate@2"},
		{args: line("-s --magic-rollback false --rollback-succeeded false .#n1"), fail: "activate@2"},
		{args: line("-s --magic-rollback false --rollback-succeeded true --auto-rollback false .#n1"), fail: "activate@2"},
		{args: line("-s --magic-rollback false .#n1"), fail: "activate@2 revoke"},
		{args: line("-s --dry-activate .#n1"), fail: "activate@2"},
		{args: line("-s --magic-rollback false .#n1"), fail: "activate@2", data: each("autoRollback", false)},

		// malformed data
		{args: line("-s .#n1.missing")},
		{args: line("-s .#missing.system")},
		{args: line("-s .#missing")},
		{args: line("-s " + n1), data: each("path", 1)},
		{args: line("-s " + n1), data: each("path", nil)},
		{args: line("-s " + n1), data: each("sshOpts", nil)},
		{args: line("-s " + n1), data: each("sshOpts", "-v")},
		{args: line("-s " + n1), data: each("confirmTimeout", 65536)},
		{args: line("-s " + n1), data: each("confirmTimeout", "30")},
		{args: line("-s " + n1), data: each("confirmTimeout", nil)},
		{args: line("-s " + n1), data: each("user", nil)},
		{args: line("-s " + n1), data: each("user", "deploy")},
		{args: line("-s " + n1), data: each("profilePath", nil)},
		{args: line("-s " + n1), data: each("tempPath", nil)},
		{args: line("-s " + n1), data: each("sudo", "doas -u")},
		{args: line("-s " + n1), data: each("unheardOf", true)},
		{args: line("-s " + n1), data: func(d map[string]any) { delete(d, "nodes") }},
		{args: line("-s " + n1), data: func(d map[string]any) { delete(d["nodes"].(map[string]any)["n1"].(map[string]any), "hostname") }},
	}
	// Command lines that clap refuses, and odd ones that it accepts. Most targets name
	// a node that does not exist, so that accepted ones end soon.
	for _, args := range []string{
		"--version", "-V", "-h", "--help", "--version=1", "-sV",
		"--skip-checks --skip-checks", "--skip-checks=true", "-s=x", "-sz", "-z", "--unknown", "--skip-check", "-1", "-", "a b",
		"--hostname", "--hostname -x", "--hostname -- x", "--hostname= -s .#x.y", "--temp-path= .#x.y", "--ssh-opts", "--ssh-opts --",
		"-s --ssh-opts a --ssh-opts b .#x.y", "-f", "-r a -r b", "-d -d", "--magic-rollback", "--magic-rollback yes", "--magic-rollback True",
		"--magic-rollback=false -s .#x.y", "--auto-rollback false --auto-rollback false", "--rollback-succeeded", "--rollback-succeeded no",
		"--confirm-timeout 65536", "--confirm-timeout -1", "--confirm-timeout x", "--confirm-timeout 0x10", "--confirm-timeout=", "--activation-timeout 1.5",
		"--targets", "--targets -s", "--targets=a b", "a --targets b", "--targets a --targets b", "-s --targets .#x.y -- a", "--interactive-sudo 1",
		"-s .#a.b.c", `-s .#"a"`, "-s .#.a", "-s .#(a).b", "-s .#a.let", "-s .#let.a", "-s .#-a.b", "-s .#{}.a", `-s .#"a.b`, "-s .#x.", "-s .#or.y", "-s .#x.y#z",
		`-s .#"a\"b".c`, "-s .#x'.y'", "-s .#a/**/.b", "-s .#http://x",
	} {
		scenarios = append(scenarios, scenario{args: line(args), data: one})
	}
	for _, args := range [][]string{
		{"-s", ".#a b"}, {"-s", ".# x.y "}, {"-s", `.#x."y z"`}, {"-s", ".#a.b or c"}, {"--hostname", "\xff"}, {"\xff"}, {"-s", "--hostname", "", ".#x.y"}, {"--confirm-timeout", ""},
	} {
		scenarios = append(scenarios, scenario{args: args, data: one})
	}
	t.Logf("%d command lines", len(scenarios))
	for _, s := range scenarios {
		t.Run(strings.Join(s.args, " ")+" "+s.fail+s.drvs, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(storeDir(t), hash+"-profile")
			want, wantCode := play(t, real, s, path)
			got, gotCode := play(t, standIn, s, path)
			if gotCode != wantCode {
				t.Errorf("deploy %q: exit status %d, of the real one %d", s.args, gotCode, wantCode)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("deploy %q: calls of the real one (-) and of the stand-in (+):\n%s", s.args, diff)
			}
		})
	}
}

// one keeps only one profile, because the order of several is random.
func one(d map[string]any) {
	nodes := d["nodes"].(map[string]any)
	delete(nodes, "n1")
	nodes["n-2.example"].(map[string]any)["remoteBuild"] = false
}

// each sets a key of every profile.
func each(key string, value any) func(map[string]any) {
	return func(d map[string]any) {
		for _, n := range d["nodes"].(map[string]any) {
			for _, p := range n.(map[string]any)["profiles"].(map[string]any) {
				p.(map[string]any)[key] = value
			}
		}
	}
}

// play runs a program among the shims, and returns its calls and its exit status.
func play(t *testing.T, program string, s scenario, path string) ([]string, int) {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nix", "ssh"} {
		write(t, filepath.Join(bin, name), shim, 0o755)
	}
	settle()
	if !s.bare {
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, path+"/deploy-rs-activate", "", 0o755)
		write(t, path+"/activate-rs", "", 0o755)
	}
	data := fleet(path)
	if s.data != nil {
		s.data(data)
	}
	text, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "data"), string(text), 0o644)
	write(t, filepath.Join(dir, "phases"), "", 0o644)

	cmd := exec.CommandContext(t.Context(), program, s.args...)
	cmd.Dir = dir
	cmd.Env = append([]string{
		"PATH=" + bin + ":/usr/bin:/bin", "HOME=" + dir, "RECORD=" + dir, "FAIL=" + s.fail, "DERIVATIONS=" + s.drvs,
		"DRV=/nix/store/" + hash + "-profile.drv",
	}, s.env...)
	// Not a pipe: processes that are left running would keep it open.
	output, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	// The wait for a failed activation may have started late.
	if phases := read(t, filepath.Join(dir, "phases")); strings.Contains(s.fail, "activate") && strings.Contains(phases, "activate\n") && strings.Contains(read(t, filepath.Join(dir, "calls")), "--magic-rollback") && !slices.Contains(s.args, "--boot") && !slices.Contains(s.args, "--dry-activate") {
		testenv.Await(t, "the wait for the activation", func() bool { return strings.Contains(read(t, filepath.Join(dir, "phases")), "wait\n") })
	}
	write(t, filepath.Join(dir, "over"), "", 0o644)
	// This ends the processes that are left running, which write until then.
	if cmd.Process != nil {
		testenv.Await(t, "the end of what is left behind", func() bool { return syscall.Kill(-cmd.Process.Pid, 0) != nil })
	}
	if t.Failed() {
		t.Log(read(t, output.Name()))
	}

	var calls []string
	if text, err := os.ReadFile(filepath.Join(dir, "calls")); err == nil {
		calls = strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	}
	for i, call := range calls {
		if strings.Contains(call, "[--apply]") {
			// The language allows spaces and parentheses.
			calls[i] = strings.NewReplacer(" ", "", "\n", "", "(", "", ")", "").Replace(call)
		}
		// deploy-rs makes two connections at once.
		if i > 0 && strings.Contains(call, " activate '") && strings.Contains(calls[i-1], " wait '") {
			calls[i-1], calls[i] = call, calls[i-1]
		}
	}
	return calls, cmd.ProcessState.ExitCode()
}

// settle waits until every process that parallel tests are starting has called
// exec. Until then a forked process has the files of this one open, and a program
// that is open for writing cannot be executed.
func settle() {
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
