package nix_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// If activate-rs ends after an activation that failed, or that no machine confirms, and has
// not gone back, the node does it: activate-rs ends at its next line without the connection
// to print to. An environment that works stays without a confirmation.
func TestGoesBackAlone(t *testing.T) {
	for _, tt := range []struct {
		reason  string
		options string
		status  int    // of the activation
		then    string // what activate-rs does after it
		back    bool   // whether the node goes back
		set     bool   // whether that sets the profile
		confirm bool   // whether a machine confirms after that
	}{
		{"activate-rs dies", "--magic-rollback --auto-rollback", 2, "", true, true, false},
		{"it dies before it activates the old version", "--auto-rollback", 2, "ln -sfn profile-1-link profile", true, true, false},
		{"it goes back", "--auto-rollback", 2, `ln -sfn profile-1-link profile; PROFILE=$DIR/profile store/old/deploy-rs-activate; rm old-activated`, false, false, false},
		{"it cannot activate the old version", "--auto-rollback", 2, `ln -sfn profile-1-link profile; rm -f profile.activated`, false, false, false},
		{"another version is deployed", "--auto-rollback", 2, "ln -sfn $DIR/store/other profile", false, false, false},
		{"it may not go back", "--magic-rollback", 2, "", false, false, false},
		{"it succeeds", "--auto-rollback", 0, "", false, false, false},
		{"it succeeds, and activate-rs dies", "--magic-rollback --auto-rollback", 0, "", true, true, false},
		{"it succeeds, and activate-rs dies while it waits", "--magic-rollback", 0, "touch temp/deploy-rs-canary-new", true, true, false},
		{"it succeeds, activate-rs dies, and a machine confirms", "--magic-rollback --auto-rollback", 0, "", false, false, true},
		{"it succeeds, activate-rs dies while it waits, and a machine confirms", "--magic-rollback", 0, "touch temp/deploy-rs-canary-new", false, false, true},
		{"it is confirmed", "--magic-rollback --auto-rollback", 0, "touch temp/deploy-rs-canary-new; rm temp/deploy-rs-canary-new", false, false, false},
		{"it is not confirmed, and goes back", "--magic-rollback", 0, `touch temp/deploy-rs-canary-new; ln -sfn profile-1-link profile; PROFILE=$DIR/profile store/old/deploy-rs-activate; rm old-activated`, false, false, false},
		{"it is not confirmed, and activate-rs dies before it activates the old version", "--magic-rollback", 0, `touch temp/deploy-rs-canary-new; ln -sfn profile-1-link profile`, true, true, false},
		{"it is not confirmed, and another version is deployed", "--magic-rollback", 0, "touch temp/deploy-rs-canary-new; ln -sfn $DIR/store/other profile", false, false, false},
	} {
		for _, kind := range []string{"environment", "system", "system that deploy-rs did not deploy"} {
			t.Run(tt.reason+"/"+kind, func(t *testing.T) {
				t.Parallel()
				a := newActivation(t, "")
				if kind != "environment" {
					a.script = string(first(t).run(t, "eval", "--raw", "--impure", "--expr", `(import ../lib/activation.nix).system { config = { }; coreutils = ""; sed = ""; limit = "900"; }`))
					a.script = strings.NewReplacer("/var/log/", a.path("log")+"/", "/run/current-system", a.path("current"), "/etc/hostenv/canary", a.path("canary")).Replace(a.script)
				}
				sh := func(script string) {
					t.Helper()
					cmd := exec.CommandContext(t.Context(), testenv.Need(t, "bash"), "-euc", script)
					cmd.Dir, cmd.Env = a.dir, a.env()
					if out, err := cmd.CombinedOutput(); err != nil {
						t.Fatalf("%v: %s", err, out)
					}
				}
				sh("rm -r profile; mkdir -p temp store/old/bin store/new/bin store/other bin; for v in old new other; do touch store/$v/activate; done")
				const activated = "#!/usr/bin/env bash\ntouch \"$DIR/old-activated\"\necho \"$DIR/store/old\" >\"$DIR/profile.activated\"\n"
				write(t, a.path("store/old/deploy-rs-activate"), activated, 0o777)
				if kind == "system that deploy-rs did not deploy" {
					write(t, a.path("store/old/bin/switch-to-configuration"), activated, 0o777)
				} else {
					write(t, a.path("store/old/activate-rs"), `#!/usr/bin/env bash
set -eu
[ "$*" = "activate $DIR/store/old --profile-path $DIR/profile --temp-path $DIR/temp --confirm-timeout 30" ]
nix-env -p "$DIR/profile" --set "$2"
PROFILE=$4 "$2/deploy-rs-activate"
`, 0o777)
				}
				for _, program := range []string{"activate", "switch-to-configuration"} {
					write(t, a.path("store/new/bin/"+program), fmt.Sprintf("#!/usr/bin/env bash\nexit %d\n", tt.status), 0o777)
				}
				a.command(t)
				sh("mv deploy-rs-activate store/new/; ln -s $DIR/store/old profile-1-link; ln -s $DIR/store/new profile-2-link; ln -s profile-2-link profile; ln -s store/old current; echo $DIR/store/old >profile.activated")
				write(t, a.path("bin/nix-env"), "#!/usr/bin/env bash\necho \"$*\" >>\"$DIR/nix-env\"\n", 0o777)
				write(t, a.path("activate-rs"), `cd "$DIR"
PROFILE=$DIR/profile bash "$DIR/profile/deploy-rs-activate"
echo $? >status
while [ ! -e let-go ]; do sleep 0.05; done
`+tt.then, 0o777)

				stays := kind == "environment" && tt.status == 0
				patience := "3"
				if tt.confirm {
					patience = "3600"
				}
				// Its output ends when nothing waits for it any more.
				cmd := exec.CommandContext(t.Context(), testenv.Need(t, "bash"), append([]string{a.path("activate-rs"), "activate", a.path("store/new"), "--profile-path", a.path("profile"), "--temp-path", a.path("temp"), "--confirm-timeout", patience}, strings.Fields(tt.options)...)...)
				cmd.Env = append(a.env(), "PATH="+a.path("bin")+":"+os.Getenv("PATH"))
				output, err := os.Create(a.path("output"))
				if err != nil {
					t.Fatal(err)
				}
				cmd.Stdout, cmd.Stderr = output, output
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				testenv.Await(t, "the activation", func() bool { return a.exists("status") })
				waiting := func() bool {
					return exec.Command("pgrep", "-f", "activate-rs activate "+a.path("store/old")+" --profile-path").Run() == nil
				}
				shown := tt.status != 0 && strings.Contains(tt.options, "--auto-rollback") || tt.status == 0 && strings.Contains(tt.options, "--magic-rollback") && !stays
				if waiting() != shown {
					t.Errorf("something is shown to other deploys as an activation: %v", !shown)
				}
				write(t, a.path("let-go"), "", 0o666)
				_ = cmd.Wait()
				if tt.confirm && !stays {
					testenv.Await(t, "the confirmation", func() bool { return os.Remove(a.path("temp/deploy-rs-canary-new")) == nil })
				}
				testenv.Await(t, "the end of what waits", func() bool {
					return len(withVariable(t, "activated="+a.path("profile.activated"))) == 0 && !waiting()
				})
				text, _ := os.ReadFile(a.path("output"))
				if back := tt.back && !stays; a.exists("old-activated") != back {
					t.Errorf("the node went back: %v\n%s", !back, text)
				}
				want := ""
				if tt.set && !stays {
					want = "-p " + a.path("profile") + " --set " + a.path("store/old") + "\n"
				}
				if set, _ := os.ReadFile(a.path("nix-env")); string(set) != want {
					t.Errorf("nix-env was called with %q", set)
				}
			})
		}
	}
}
