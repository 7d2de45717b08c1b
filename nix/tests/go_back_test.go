package nix_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// If activate-rs dies before it went back, as it does without the connection to print
// to, the node goes back beside it: after a failed activation, and after one that still
// waited for its confirmation.
func TestSystemGoesBackAlone(t *testing.T) {
	const hash = "0123456789abcdfghijklmnpqrsvwxyz"
	script := string(first(t).run(t, "eval", "--raw", "--impure", "--expr", `(import ../lib/activation.nix).system { config = { }; coreutils = ""; sed = ""; limit = "900"; }`))
	for _, tt := range []struct {
		reason  string
		options string
		fails   bool   // the activation
		then    string // what happens before activate-rs ends
		back    bool   // whether the node goes back beside it
		none    bool   // nothing waits for the end of activate-rs
	}{
		{"it fails", "--auto-rollback", true, "", true, false},
		{"it fails, and activate-rs goes back", "--auto-rollback", true, "ln -sfn system-1-link system; ln -sfn $DIR/store/old $DIR/current", false, false},
		{"it fails, and activate-rs dies before it activates the old one", "--auto-rollback", true, "ln -sfn system-1-link system", true, false},
		{"it fails, and another version is deployed", "--auto-rollback", true, "ln -sfn $DIR/store/other system", false, false},
		{"it may not go back", "", true, "", false, true},
		{"it waits for its confirmation", "--magic-rollback --auto-rollback", false, "touch $DIR/temp/deploy-rs-canary-" + hash, true, false},
		{"it is confirmed", "--magic-rollback --auto-rollback", false, "", false, false},
		{"it needs no confirmation", "--auto-rollback", false, "", false, true},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			t.Parallel()
			a := activation{dir: t.TempDir()}
			status := 0
			if tt.fails {
				status = 2
			}
			for _, dir := range []string{"store/old", "store/" + hash + "-new", "store/other", "profiles", "temp", "proc/1"} {
				if err := os.MkdirAll(a.path(dir), 0o777); err != nil {
					t.Fatal(err)
				}
			}
			text := strings.NewReplacer("/var/log/", a.path("log")+"/", "/run/current-system", a.path("current"), "/nix/store/", a.path("store")+"/", "/proc/[0-9]*", a.path("proc")+"/[0-9]*").Replace(script)
			for _, version := range []string{"old", hash + "-new", "other"} {
				write(t, a.path("store/"+version+"/activate"), "", 0o777)
				write(t, a.path("store/"+version+"/bin/switch-to-configuration"), fmt.Sprintf("#!/usr/bin/env bash\nln -sfn %s %s\nexit %d\n", a.path("store/"+version), a.path("current"), status), 0o777)
			}
			write(t, a.path("store/"+hash+"-new/deploy-rs-activate"), text, 0o777)
			write(t, a.path("store/old/deploy-rs-activate"), "#!/usr/bin/env bash\n[ -z \"${HOSTENV_GO_BACK:-}\" ] && [ \"$PROFILE\" = \""+a.path("profiles/system")+"\" ] && touch \"$DIR/old-activated\"\n", 0o777)
			for link, to := range map[string]string{"profiles/system-1-link": a.path("store/old"), "profiles/system-2-link": a.path("store/" + hash + "-new"), "profiles/system": "system-2-link", "current": a.path("store/old")} {
				if err := os.Symlink(to, a.path(link)); err != nil {
					t.Fatal(err)
				}
			}
			write(t, a.path("bin/nix-env"), "#!/usr/bin/env bash\necho \"$*\" >>\"$DIR/nix-env\"\n", 0o777)
			// A unit that outlives what starts it.
			write(t, a.path("bin/systemd-run"), `#!/usr/bin/env bash
while [ "$1" != -- ]; do
	case $1 in --setenv=*) export "${1#--setenv=}" ;; esac
	shift
done
shift
touch "$DIR/waits"
(setsid "$@"; touch "$DIR/ended") </dev/null >"$DIR/unit.log" 2>&1 &
`, 0o777)
			// activate-rs: it runs the activation, and ends when it is let go.
			write(t, a.path("activate-rs"), `PROFILE=$DIR/profiles/system bash "$DIR/profiles/system/deploy-rs-activate" >"$DIR/out" 2>&1
echo $? >"$DIR/status"
while [ ! -e "$DIR/let-go" ]; do sleep 0.05; done
`, 0o777)
			cmd := exec.CommandContext(t.Context(), testenv.Need(t, "bash"), append([]string{a.path("activate-rs"), "activate", "--temp-path", a.path("temp")}, strings.Fields(tt.options)...)...)
			cmd.Env = append(a.env(), "PATH="+a.path("bin")+":"+os.Getenv("PATH"))
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			testenv.Await(t, "the activation", func() bool { return a.exists("status") })
			if out, err := exec.Command("sh", "-c", "cd "+a.path("profiles")+" && "+strings.ReplaceAll(tt.then, "$DIR", a.dir)).CombinedOutput(); tt.then != "" && err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			write(t, a.path("let-go"), "", 0o666)
			_ = cmd.Wait()
			if waits := a.exists("waits"); waits == tt.none {
				out, _ := os.ReadFile(a.path("out"))
				t.Fatalf("something waits for the end: %v\n%s", waits, out)
			}
			if tt.none {
				return
			}
			testenv.Await(t, "the end of what waited", func() bool { return a.exists("ended") })
			if back := a.exists("old-activated"); back != tt.back {
				log, _ := os.ReadFile(a.path("unit.log"))
				t.Errorf("the node went back: %v\n%s", back, log)
			}
			set, _ := os.ReadFile(a.path("nix-env"))
			if link, _ := os.Readlink(a.path("profiles/system")); tt.back && link == "system-2-link" && string(set) != "-p "+filepath.Join(a.dir, "profiles/system")+" --set "+a.path("store/old")+"\n" {
				t.Errorf("nix-env was called with %q", set)
			}
		})
	}
}
