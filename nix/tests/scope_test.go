package nix_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// hostenv-enter-slice.sh puts the session of an activation into a scope that a real systemd
// ends after its time, all its processes. Another session has no such limit.
func TestScopeOfAnActivationEnds(t *testing.T) {
	systemd, bash := testenv.Need(t, "systemd"), testenv.Need(t, "bash")
	for _, tt := range []struct{ reason, command, want string }{
		{"an activation", "/nix/store/x/activate-rs", "RuntimeMaxUSec=3s\nended\n"},
		{"another command of sudo", "/run/current-system/sw/bin/nix-env", "RuntimeMaxUSec=infinity\n"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			dir := t.TempDir()
			text, err := os.ReadFile("../modules/hostenv-enter-slice.sh")
			if err != nil {
				t.Fatal(err)
			}
			program := string(text)
			for from, to := range map[string]string{"@path@": "/usr/bin:/bin", "/etc/hostenv/slices": filepath.Join(dir, "slices"), "busctl --quiet": "busctl --user --quiet"} {
				if !strings.Contains(program, from) {
					t.Fatalf("the program has no %q", from)
				}
				program = strings.ReplaceAll(program, from, to)
			}
			write(t, filepath.Join(dir, "enter"), "#!"+bash+"\n"+strings.ReplaceAll(program, "systemd-user-sessions.service", "basic.target"), 0o755)
			write(t, filepath.Join(dir, "slices"), "other app.slice 1\nshop app.slice 3\n", 0o644)
			write(t, filepath.Join(dir, "units/none"), "", 0o644)
			write(t, filepath.Join(dir, "sudo"), `
				PAM_SERVICE=sudo PAM_USER=shop "$DIR/enter" || exit
				setsid bash -c 'while :; do sleep 0.2; done' &
				touch "$DIR/entered"
				while :; do sleep 0.2; done`, 0o644)
			cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--cgroup", "--propagation", "private", "../../hostenv/deploy/move/testdata/systemd.sh",
				systemd, filepath.Join(dir, "units"), bash, "-c", `
				"$BASH" "$DIR/sudo" "$1" >/dev/null 2>"$DIR/errors" & sudo=$!
				until [ -e "$DIR/entered" ]; do kill -0 "$sudo" || { cat "$DIR/errors" >&2; exit 1; }; sleep 0.05; done
				scope=$(systemctl --user list-units --plain --no-legend 'hostenv-sudo-*.scope' | cut -d ' ' -f 1)
				systemctl --user show --property=RuntimeMaxUSec "$scope"
				case $1 in
				*/activate-rs) while kill -0 "$sudo" 2>/dev/null; do sleep 0.2; done; echo ended ;;
				*) kill -9 "$sudo"; systemctl --user kill --signal=KILL "$scope" ;;
				esac`, "scope", tt.command)
			cmd.Env = append(cmd.Environ(), "DIR="+dir)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 77 {
				testenv.LeaveOut(t, "systemd", "it does not run here: %s", stderr.String())
			}
			if err != nil || string(out) != tt.want {
				t.Errorf("%v: %q, want %q\n%s", err, out, tt.want, stderr.String())
			}
		})
	}
}
