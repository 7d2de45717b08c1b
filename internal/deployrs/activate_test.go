package deployrs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/internal/deployrs"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A step is one command on a node.
type step struct {
	do      string // "activate", "revoke", "nix-env"
	version string // of the profile; "gone" does not exist
	flags   string
	fail    string // the versions whose script fails
	confirm bool   // wait for it, and confirm
}

func up(version, flags string) step { return step{do: "activate", version: version, flags: flags} }
func down(version, flags string) step {
	return step{do: "activate", version: version, flags: flags, fail: version}
}
func (s step) confirmed() step        { s.confirm = true; return s }
func (s step) failing(of string) step { s.fail = of; return s }

func script(version string) string {
	return fmt.Sprintf("#!/bin/sh\necho %s in ${PWD##*/} for ${PROFILE##*/} DRY=$DRY_ACTIVATE BOOT=$BOOT >>\"$RECORD/ran\"\ncase \" $FAIL \" in *\" %[1]s \"*) exit 3 ;; esac\n", version)
}

// After activations and rollbacks, a real nix-env has the expected generations.
func TestActivateMatchesReal(t *testing.T) {
	real := filepath.Join(testenv.Need(t, "deploy-rs"), "activate")
	testenv.Need(t, "nix")
	standIn := filepath.Join(deployrs.Build(t), "activate")

	const auto, magic = "--auto-rollback", "--magic-rollback --auto-rollback"
	scenarios := map[string][]step{
		"first":                      {up("1", "")},
		"first with rollback":        {up("1", auto)},
		"first fails":                {down("1", "")},
		"first fails with rollback":  {down("1", auto)},
		"first is not confirmed":     {up("1", magic)},
		"first is confirmed":         {up("1", magic).confirmed()},
		"second":                     {up("1", auto), up("2", auto)},
		"second fails":               {up("1", auto), down("2", "")},
		"second fails with rollback": {up("1", auto), down("2", auto)},
		"second is not confirmed":    {up("1", auto), up("2", magic)},
		"second is not confirmed, only magic rollback": {up("1", auto), up("2", "--magic-rollback")},
		"second is confirmed":                          {up("1", magic).confirmed(), up("2", magic).confirmed()},
		"the same again fails":                         {up("1", auto), up("2", auto), down("2", auto)},
		"the same again is not confirmed":              {up("1", auto), up("1", magic)},
		"after a rollback by hand":                     {up("1", auto), up("2", auto), {do: "nix-env", flags: "--rollback"}, down("3", auto)},
		"the previous path fails too":                  {up("1", auto), down("2", auto).failing("1 2")},
		"a path that is not there":                     {up("1", auto), up("gone", auto)},
		"a path that is not there, after two":          {up("1", auto), up("2", auto), up("gone", auto)},
		"a path that is not there, no rollback":        {up("1", auto), up("gone", "")},
		"dry":                                          {up("1", auto), up("2", "--dry-activate "+magic)},
		"dry, failing":                                 {up("1", auto), down("2", "--dry-activate "+magic)},
		"dry, the first":                               {up("1", "--dry-activate")},
		"boot":                                         {up("1", auto), up("2", "--boot "+magic)},
		"boot fails":                                   {up("1", auto), down("2", "--boot "+magic)},
		"revoked":                                      {up("1", auto), up("2", auto), {do: "revoke"}},
		"revoked, the first":                           {up("1", auto), {do: "revoke"}},
		"revoked twice":                                {up("1", auto), up("2", auto), up("3", auto), {do: "revoke"}, {do: "revoke"}},
	}
	store := storeDir(t)
	for name, steps := range scenarios {
		t.Run(name, func(t *testing.T) {
			want, got := live(t, real, store, steps), live(t, standIn, store, steps)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the real one (-) and the stand-in (+):\n%s", diff)
			}
		})
	}
}

// live takes the steps on a new profile. It returns the exit status of each step,
// the scripts that ran, and the generations that are left.
func live(t *testing.T, program, store string, steps []step) []string {
	t.Helper()
	dir := t.TempDir()
	env := slices.Clip(append(testenv.NixEnv(dir), "NIX_STORE_DIR="+store, "NIX_STATE_DIR="+dir+"/var", "NIX_LOG_DIR="+dir+"/log", "NIX_REMOTE=local", "RECORD="+dir))
	profile, temp := filepath.Join(dir, "profile"), filepath.Join(dir, "temp")
	if err := os.Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(log, extra string, argv ...string) (string, int) {
		output, err := os.Create(filepath.Join(dir, log))
		if err != nil {
			t.Error(err)
			return "", -1
		}
		defer output.Close()
		cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
		cmd.Env = append(env, extra)
		cmd.Stdout, cmd.Stderr = output, output
		if err := cmd.Run(); cmd.ProcessState == nil {
			t.Error(err)
			return "", -1
		}
		said, _ := os.ReadFile(output.Name())
		return string(said), cmd.ProcessState.ExitCode()
	}
	paths := map[string]string{"gone": store + "/" + hash + "-gone"}
	var results []string
	for i, s := range steps {
		if _, ok := paths[s.version]; !ok {
			src := filepath.Join(dir, "v"+s.version)
			if err := os.Mkdir(src, 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, src+"/deploy-rs-activate", script(s.version), 0o755)
			out, code := run("add", "", "nix-store", "--add", src)
			if code != 0 {
				t.Fatal(out)
			}
			paths[s.version] = strings.TrimSpace(out)
		}
		path := paths[s.version]
		argv := []string{program, "activate", path, "--profile-path", profile, "--temp-path", temp, "--confirm-timeout", "0"}
		if s.confirm {
			argv[len(argv)-1] = "600"
		}
		switch s.do {
		case "revoke":
			argv = []string{program, "revoke", "--profile-path", profile}
		case "nix-env":
			argv = []string{"nix-env", "-p", profile}
		}
		done := make(chan int, 1)
		go func() {
			out, code := run("log", "FAIL="+s.fail, append(argv, strings.Fields(s.flags)...)...)
			t.Logf("%d: %s", code, out)
			done <- code
		}()
		if s.confirm {
			_, code := run("wait", "", program, "wait", path, "--temp-path", temp, "--activation-timeout", "600")
			results = append(results, fmt.Sprintf("step %d: wait ends with %d", i, code))
			canaries, err := os.ReadDir(temp)
			if err != nil || len(canaries) != 1 {
				t.Fatal(canaries, err)
			}
			// The canary is made before it is watched; the output shows that.
			testenv.Await(t, "that it watches the canary", func() bool {
				return strings.Contains(read(t, filepath.Join(dir, "log")), "Waiting for confirmation")
			})
			if err := os.Remove(filepath.Join(temp, canaries[0].Name())); err != nil {
				t.Fatal(err)
			}
		}
		results = append(results, fmt.Sprintf("step %d: %s ends with %d", i, s.do, <-done))
	}
	ran, _ := os.ReadFile(filepath.Join(dir, "ran"))
	results = append(results, "ran: "+string(ran))
	links, err := filepath.Glob(profile + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		to, err := os.Readlink(link)
		results = append(results, fmt.Sprintf("%s -> %s (%v)", filepath.Base(link), filepath.Base(to), err))
	}
	return results
}
