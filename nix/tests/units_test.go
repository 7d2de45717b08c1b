package nix_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// hostenv-units stops the units of an environment, and removes hostenv's links to them,
// also if a unit does not stop.
func TestUnits(t *testing.T) {
	text, err := os.ReadFile("../modules/hostenv-units.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		reason  string
		argv    string
		stop    string // the exit statuses of systemctl stop
		folder  bool   // whether the units are in a folder in place of a link
		calls   string // of systemctl, without show-environment
		status  int
		removed bool
	}{
		{"all stop", "stop", "0", false, "stop -- a.service b@*.service c.timer|daemon-reload|reset-failed", 0, true},
		{"one is killed", "stop", "1 0", false, "stop -- a.service b@*.service c.timer|kill --signal=SIGKILL -- a.service b@*.service c.timer|stop -- a.service b@*.service c.timer|daemon-reload|reset-failed", 0, true},
		{"one stays", "stop", "1 1", false, "stop -- a.service b@*.service c.timer|kill --signal=SIGKILL -- a.service b@*.service c.timer|stop -- a.service b@*.service c.timer|daemon-reload|reset-failed", 1, true},
		{"units that hostenv did not link", "stop", "0", true, "stop -- a.service b@*.service c.timer|daemon-reload|reset-failed", 0, false},
		{"another verb", "start", "0", false, "", 64, false},
		{"two words", "stop a.service", "0", false, "", 64, false},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := func(name string) string { return filepath.Join(dir, name) }
			units := "store/units/user"
			if tt.folder {
				units = "config/systemd/user"
			}
			for _, name := range []string{"a.service", "b@.service", "c.timer", "default.target.wants/a.service", "readme"} {
				write(t, path(units+"/"+name), "", 0o666)
			}
			for _, link := range []string{"config/systemd", "state/hostenv/current-state/systemd"} {
				if err := os.MkdirAll(filepath.Dir(path(link)), 0o777); err != nil {
					t.Fatal(err)
				}
				if !tt.folder || link != "config/systemd" {
					if err := os.Symlink(path("store/units"), path(link)); err != nil {
						t.Fatal(err)
					}
				}
			}
			write(t, path("statuses"), strings.ReplaceAll(tt.stop, " ", "\n")+"\n", 0o666)
			write(t, path("bin/systemctl"), `#!/usr/bin/env bash
shift
if [ "$1" = show-environment ]; then
	printf '%s\n' "LANG=C" "XDG_CONFIG_HOME=$DIR/config" "XDG_STATE_HOME=$DIR/state"
	exit
fi
echo "$*" >>"$DIR/calls"
[ "$1" = stop ] || exit 0
read -r status <"$DIR/statuses"
sed -i 1d "$DIR/statuses"
exit "$status"
`, 0o777)
			write(t, path("hostenv-units"), string(text), 0o777)
			cmd := exec.CommandContext(t.Context(), testenv.Need(t, "bash"), append([]string{path("hostenv-units")}, strings.Fields(tt.argv)...)...)
			cmd.Env = append(os.Environ(), "DIR="+dir, "PATH="+path("bin")+":"+os.Getenv("PATH"))
			out, _ := cmd.CombinedOutput()
			if status := cmd.ProcessState.ExitCode(); status != tt.status {
				t.Errorf("it ended with %d: %s", status, out)
			}
			calls, _ := os.ReadFile(path("calls"))
			if got := strings.ReplaceAll(strings.TrimSpace(string(calls)), "\n", "|"); got != tt.calls {
				t.Errorf("it called %s\n%s", got, out)
			}
			if _, err := os.Lstat(path("config/systemd")); os.IsNotExist(err) != tt.removed {
				t.Errorf("the link to the units is gone: %v", !tt.removed)
			}
			_, err := os.Lstat(path("state/hostenv/current-state/systemd"))
			if gone := os.IsNotExist(err); gone != (tt.status != 64) {
				t.Errorf("the link to those that were started is gone: %v", gone)
			}
		})
	}
}
