package nix_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// specs makes the deploy specification of each plan of a list, with store paths in the
// form that deploy-rs's functions return.
const specs = `plans:
  map
    (file:
      let plan = builtins.fromJSON (builtins.readFile file); in
      (import ../lib/deploy.nix).specOf {
        inherit plan;
        systems = builtins.mapAttrs (node: _: { config.system.build.toplevel = builtins.toFile "nixos-${node}" ""; }) plan.nodes;
        packages = builtins.mapAttrs (user: _: builtins.toFile "env-${user}" "") plan.environments;
        activate = _: {
          nixos = throw "custom can do it";
          custom = { __functor = _: base: script: builtins.toFile "activatable" (base + script); };
        };
      })
    plans`

// TestInterface checks the specification of every golden plan against deploy-rs's own
// schema.
func TestInterface(t *testing.T) {
	schemaText := testenv.Mirrored(t, "serokell/deploy-rs", "interface.json")
	schema := compile(t, schemaText)
	plans, err := filepath.Glob("../../golden/*/plan.json")
	if err != nil || len(plans) == 0 {
		t.Fatalf("no golden plans: %v", err)
	}
	known := map[string]bool{
		// deploy-rs reads it (src/data.rs), but its schema does not have it.
		"remoteBuild": true,
	}
	var anyValue any
	if err := json.Unmarshal(schemaText, &anyValue); err != nil {
		t.Fatal(err)
	}
	propertiesOf(anyValue, known)
	if data := testenv.Mirrored(t, "serokell/deploy-rs", "src/data.rs"); !bytes.Contains(data, []byte(`"remoteBuild"`)) {
		t.Error("deploy-rs no longer reads remoteBuild")
	}

	each(t, func(t *testing.T, n nix) {
		out := n.run(t, "eval", "--impure", "--json", "--expr", "("+specs+") ["+strings.Join(plans, " ")+"]")
		decoded, err := jsonschema.UnmarshalJSON(bytes.NewReader(out))
		if err != nil {
			t.Fatal(err)
		}
		list := decoded.([]any)
		if len(list) != len(plans) {
			t.Fatalf("%d specifications of %d plans", len(list), len(plans))
		}
		withEnvironments := 0
		for i, spec := range list {
			if err := schema.Validate(spec); err != nil {
				t.Errorf("%s: %v", plans[i], err)
			}
			for name, node := range spec.(map[string]any)["nodes"].(map[string]any) {
				node := node.(map[string]any)
				profiles := node["profiles"].(map[string]any)
				withEnvironments += len(profiles) - 1
				keys := slices.Collect(maps.Keys(node))
				for _, profile := range profiles {
					keys = slices.AppendSeq(keys, maps.Keys(profile.(map[string]any)))
				}
				for _, key := range keys {
					if !known[key] {
						t.Errorf("%s: node %s: deploy-rs ignores %q, silently", plans[i], name, key)
					}
				}
			}
		}
		if withEnvironments == 0 {
			t.Error("there was no environment in any of them")
		}
	})

	t.Run("refuses", func(t *testing.T) {
		for name, text := range map[string]string{
			"a node without a host name":  `{"nodes": {"n1": {"profiles": {}}}}`,
			"a profile without a path":    `{"nodes": {"n1": {"hostname": "n1", "profiles": {"system": {}}}}}`,
			"a port that is a number":     `{"nodes": {"n1": {"hostname": "n1", "sshOpts": ["-p", 22]}}}`,
			"a node that is a number":     `{"nodes": {"10": {"hostname": "n1"}}}`,
			"an order that repeats":       `{"nodes": {"n1": {"hostname": "n1", "profilesOrder": ["a", "a"]}}}`,
			"a rollback that is no truth": `{"nodes": {"n1": {"hostname": "n1", "autoRollback": "yes"}}}`,
		} {
			decoded, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if schema.Validate(decoded) == nil {
				t.Errorf("the schema takes %s: %s", name, text)
			}
		}
	})
}

func compile(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	decoded, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	// Its $schema is not a known URL: it has http, and a # at the end.
	delete(decoded.(map[string]any), "$schema")
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2019)
	if err := compiler.AddResource("interface.json", decoded); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("interface.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// propertiesOf adds the names of all properties of a schema.
func propertiesOf(schema any, names map[string]bool) {
	switch v := schema.(type) {
	case map[string]any:
		for key, member := range v {
			if properties, ok := member.(map[string]any); ok && key == "properties" {
				for name := range properties {
					names[name] = true
				}
			}
			propertiesOf(member, names)
		}
	case []any:
		for _, member := range v {
			propertiesOf(member, names)
		}
	}
}

// TestWithDeployRs makes profiles by deploy-rs's own functions, with stand-ins for
// packages, and runs the deploy-rs-activate that they make.
func TestWithDeployRs(t *testing.T) {
	a := activation{dir: t.TempDir()}
	write(t, a.path("deploy-rs.nix"), string(testenv.Mirrored(t, "serokell/deploy-rs", "flake.nix")), 0o666)
	expr := fmt.Sprintf(`
	let
		final = {
			buildEnv = env: { outPath = builtins.toJSON (builtins.listToAttrs env.paths); };
			writeTextFile = file: { name = file.destination; value = file.text; };
			writeScript = name: text: "/store/${name}";
			runtimeShell = "/bin/bash";
			deploy-rs.deploy-rs = "/store/deploy-rs";
			lib.optionalString = condition: text: if condition then text else "";
		};
		outputs = (import %[1]s/deploy-rs.nix).outputs {
			self = { };
			nixpkgs = { };
			utils.lib = { eachSystem = _: _: { }; defaultSystems = [ ]; };
		};
		package = { name = "package"; value = ""; };
	in
	builtins.mapAttrs (_: profile: builtins.fromJSON profile.path) ((import ../lib/deploy.nix).specOf {
		plan = {
			deployUser = "deploy"; nodes.n1 = { }; nodeConnections.n1 = { hostname = "n1.example"; system = "x86_64-linux"; profileLink = "/nix/var/nix/profiles/system"; tempPath = "/run/hostenv/deploy"; remoteBuild = false; autoRollback = true; magicRollback = true; activationTimeout = 3600; };
			profiles.shop-main = { profileLink = "/nix/var/nix/profiles/per-user/shop-main/hostenv"; tempPath = "/run/hostenv/deploy/shop-main"; activationTimeout = 900; };
			environments.shop-main = { node = "n1"; uid = %[2]d; hostenv.stateDir = "%[1]s/state"; };
		};
		systems.n1.config = { system.build.toplevel = package; boot.loader.systemd-boot.enable = true; boot.loader.efi.efiSysMountPoint = "%[1]s"; };
		packages.shop-main = package;
		activate = _: (outputs.overlays.default final { }).deploy-rs.lib.activate;
	}).nodes.n1.profiles`, a.dir, os.Getuid())
	var profiles map[string]map[string]string
	if err := json.Unmarshal(first(t).run(t, "eval", "--impure", "--json", "--expr", expr), &profiles); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"activate", "switch-to-configuration"} {
		write(t, a.path("profile/bin/"+program), "#!/usr/bin/env bash\necho ran "+program+" \"$@\"\n", 0o777)
	}
	write(t, a.path("loader/loader.conf"), "timeout 5\ndefault nixos-generation-1.conf\neditor 0\n", 0o666)
	for _, test := range []struct{ profile, env, want string }{
		{"shop-main", "", "ran activate\n"},
		{"shop-main", "DRY_ACTIVATE=1", "/store/activate\n"},
		{"system", "DRY_ACTIVATE=1", "ran switch-to-configuration dry-activate\n"},
		{"system", "BOOT=1", "ran switch-to-configuration boot\n"},
		{"system", "", "ran switch-to-configuration switch\n"},
	} {
		script := strings.ReplaceAll(profiles[test.profile]["/deploy-rs-activate"], "/var/log/", a.path("log")+"/")
		write(t, a.path("deploy-rs-activate"), script, 0o777)
		cmd := exec.CommandContext(t.Context(), testenv.Need(t, "bash"), a.path("deploy-rs-activate"))
		cmd.Env = append(a.env(), test.env)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), test.want) || (test.env != "" && string(out) != test.want) {
			t.Errorf("%s %s: %v: %q, not %q", test.profile, test.env, err, out, test.want)
		}
	}
	logs, err := filepath.Glob(a.path("log/hostenv/activation/*.log"))
	if err != nil || len(logs) != 1 {
		t.Errorf("not one log of the system: %q, %v", logs, err)
	}
	if conf, err := os.ReadFile(a.path("loader/loader.conf")); err != nil || string(conf) != "timeout 5\neditor 0\n" {
		t.Errorf("loader.conf is %q, %v", conf, err)
	}
}

// TestHostKeyIsInTheStore checks that the file that the ssh options name exists after
// an evaluation, also a pure one.
func TestHostKeyIsInTheStore(t *testing.T) {
	each(t, func(t *testing.T, n nix) {
		dir := t.TempDir()
		if err := os.CopyFS(filepath.Join(dir, "lib"), os.DirFS("../lib")); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "flake.nix"), `{ outputs = _: { deploy = (import ./lib/deploy.nix).specOf {
				plan = {
					deployUser = "deploy"; nodes.n1 = { }; environments = { };
					nodeConnections.n1 = { hostname = "n1.example"; system = "x86_64-linux"; profileLink = "/nix/var/nix/profiles/system"; tempPath = "/run/hostenv/deploy"; remoteBuild = false; autoRollback = true; magicRollback = true; activationTimeout = 3600; hostKey = "ssh-ed25519 AAAAHOST"; };
				};
				systems = { }; packages = { }; activate = _: { };
			}; }; }`, 0o666)
		var opts []string
		if err := json.Unmarshal(n.run(t, "eval", "--json", "path:"+dir+"#deploy.nodes.n1.sshOpts"), &opts); err != nil {
			t.Fatal(err)
		}
		for _, opt := range opts {
			if path, ok := strings.CutPrefix(opt, "UserKnownHostsFile="); ok {
				got, err := os.ReadFile(filepath.Join(n.dir, "nix-root", path))
				if err != nil || string(got) != "n1 ssh-ed25519 AAAAHOST\n" {
					t.Errorf("%s holds %q, %v", path, got, err)
				}
				return
			}
		}
		t.Errorf("no UserKnownHostsFile in %q", opts)
	})
}

// An activation is the script of an environment's profile, with its surroundings.
type activation struct {
	dir    string // holds all files
	script string
}

// newActivation makes a profile with the given shell text as bin/activate.
func newActivation(t *testing.T, activate string) activation {
	t.Helper()
	a := activation{dir: t.TempDir()}
	expr := fmt.Sprintf(`((import ../lib/deploy.nix).specOf {
		plan = {
			deployUser = "deploy"; nodes.n1 = { }; nodeConnections.n1 = { hostname = "n1.example"; system = "x86_64-linux"; profileLink = "/nix/var/nix/profiles/system"; tempPath = "/run/hostenv/deploy"; remoteBuild = false; autoRollback = true; magicRollback = true; activationTimeout = 3600; };
			profiles.shop-main = { profileLink = "/nix/var/nix/profiles/per-user/shop-main/hostenv"; tempPath = "/run/hostenv/deploy/shop-main"; activationTimeout = 900; };
			environments.shop-main = { node = "n1"; uid = %d; hostenv.stateDir = %q; };
		};
		systems = { };
		packages.shop-main = "";
		activate = _: { custom = _: script: script; };
	}).nodes.n1.profiles.shop-main.path`, os.Getuid(), a.path("state"))
	a.script = string(first(t).run(t, "eval", "--impure", "--raw", "--expr", expr))
	write(t, a.path("profile/bin/activate"), "#!/usr/bin/env bash\n"+activate, 0o777)
	return a
}

func (a activation) path(name string) string { return filepath.Join(a.dir, name) }
func (a activation) logs() string            { return a.path("state/hostenv/activation") }

// command returns the script as deploy-rs runs it: in an else branch, with strict
// settings and few environment variables.
func (a activation) command(t *testing.T) *exec.Cmd {
	t.Helper()
	write(t, a.path("deploy-rs-activate"), "set -euo pipefail\nif false; then\n  :\nelse\n"+a.script+"\nfi\n", 0o666)
	cmd := exec.CommandContext(t.Context(), testenv.Need(t, "bash"), a.path("deploy-rs-activate"))
	cmd.Env = a.env()
	cmd.Dir = a.path("profile")
	return cmd
}

func (a activation) env() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "PROFILE=" + a.path("profile"), "HOME=" + a.dir, "DIR=" + a.dir}
}

// run runs the script, and reads all of its output.
func (a activation) run(t *testing.T) (output string, status int) {
	t.Helper()
	cmd := a.command(t)
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

// runLost runs a command as over a connection that is lost after the first line. The
// command continues only after the loss.
func (a activation) runLost(t *testing.T, cmd *exec.Cmd) (status int) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	// Read byte by byte, to read only what was printed before the loss.
	var seen []byte
	for b := make([]byte, 1); !bytes.Contains(seen, []byte("line 1\n")); {
		if _, err := io.ReadFull(read, b); err != nil {
			t.Fatalf("after %q: %v", seen, err)
		}
		seen = append(seen, b...)
	}
	read.Close()
	if err := os.WriteFile(a.path("lost"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	return cmd.ProcessState.ExitCode()
}

// log returns the text of the only log.
func (a activation) log(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir(a.logs())
	if err != nil || len(entries) != 1 {
		t.Fatalf("not one log: %v, %v", entries, err)
	}
	data, err := os.ReadFile(filepath.Join(a.logs(), entries[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (a activation) exists(name string) bool {
	_, err := os.Stat(a.path(name))
	return err == nil
}

// talkative prints more than a pipe holds, on both of its outputs, as soon as the
// connection is lost, and exits with 7.
const talkative = `
echo line 1
until [ -e "$DIR/lost" ]; do sleep 0.01; done
for ((i = 2; i < 10000; i++)); do echo "line $i" >&$((1 + i % 2)); done
touch "$DIR/finished"
exit 7
`

func wholeLog(a activation) string {
	var want strings.Builder
	fmt.Fprintf(&want, "activating shop-main: %s\n", a.path("profile"))
	for i := 1; i < 10000; i++ {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	want.WriteString("activation of shop-main ended with exit status 7\n")
	return want.String()
}

func TestActivationSurvivesALostLink(t *testing.T) {
	t.Run("unchanged", func(t *testing.T) {
		a := newActivation(t, talkative)
		if status := a.runLost(t, a.command(t)); status != 7 {
			t.Errorf("it ended with %d, not 7", status)
		}
		if !a.exists("finished") {
			t.Error("the activation was cut short")
		}
		if diff := cmp.Diff(wholeLog(a), a.log(t)); diff != "" {
			t.Errorf("the log differs (-want +got):\n%s", diff)
		}
	})
	t.Run("without a log", func(t *testing.T) {
		a := newActivation(t, talkative)
		write(t, a.path("state"), "a file, and no folder", 0o666)
		if status := a.runLost(t, a.command(t)); status != 7 || !a.exists("finished") {
			t.Errorf("it ended with %d, finished: %t", status, a.exists("finished"))
		}
	})
	// These show that the tests above fail without the parts of the script they test.
	t.Run("not without tee -p", func(t *testing.T) {
		a := newActivation(t, talkative)
		script := strings.Replace(a.script, `tee" -p --`, `tee" --`, 1)
		if script == a.script {
			t.Fatal("the script has no tee -p")
		}
		a.script = script
		a.runLost(t, a.command(t))
		if got := a.log(t); got == wholeLog(a) {
			t.Error("the log is whole without tee -p as well")
		}
	})
	t.Run("not without tee and cat", func(t *testing.T) {
		a := newActivation(t, talkative)
		script := strings.Replace(strings.Replace(a.script, `tee" -p --`, `tee" --`, 1), `"${coreutils}cat" >/dev/null`, ":", 1)
		a.script = script
		if status := a.runLost(t, a.command(t)); status == 7 || a.exists("finished") {
			t.Errorf("it ended with %d, finished: %t", status, a.exists("finished"))
		}
	})
	t.Run("not without the script", func(t *testing.T) {
		a := newActivation(t, talkative)
		cmd := exec.CommandContext(t.Context(), a.path("profile/bin/activate"))
		cmd.Env = a.env()
		if a.runLost(t, cmd); a.exists("finished") {
			t.Error("an activation that prints survives by itself")
		}
	})
}

func TestActivation(t *testing.T) {
	t.Run("tells what it does and how it ended", func(t *testing.T) {
		for _, want := range []int{0, 1, 77} {
			a := newActivation(t, "echo out; echo err >&2; exit "+strconv.Itoa(want))
			out, status := a.run(t)
			text := fmt.Sprintf("activating shop-main: %s\nout\nerr\nactivation of shop-main ended with exit status %d\n", a.path("profile"), want)
			if status != want || out != text || a.log(t) != text {
				t.Errorf("it ended with %d and printed %q, logged %q", status, out, a.log(t))
			}
		}
	})
	t.Run("names the units that failed, with the ends of their journals", func(t *testing.T) {
		a := newActivation(t, `touch "$DIR/begun"
for unit in site back -o\ x; do echo "Job for $unit.service failed because the control process exited with error code."; done
exit 1`)
		// One unit failed before the activation, one is restarted again and again.
		write(t, a.path("bin/systemctl"), `#!/usr/bin/env bash
case "$*" in
*--user*list-units*)
	echo "old.service loaded failed failed An old one"
	if [ -e "$DIR/begun" ]; then
		echo "site.service loaded failed failed The site"
		echo "crash\\x2dloop.service loaded activating auto-restart Another"
	fi
	;;
*--user*show*InvocationID*) echo "1${*: -1}" ;;
*--user*reset-failed*) [ -e "$DIR/begun" ] || touch "$DIR/reset" ;;
esac
`, 0o777)
		write(t, a.path("bin/journalctl"), `#!/usr/bin/env bash
case "$*" in
*--lines=12*--since=@1*--user-unit=site.service) printf 'no \e[31mcontent\e[0m\r\n'; printf 'x%.0s' {1..1000}; printf '\nFailed with result one\n' ;;
*--user-unit=*) # the journal lags behind
	[ -e "$DIR/asked" ] && echo "Failed with result of ${*: -1}" || echo early
	touch "$DIR/asked"
	;;
esac
`, 0o777)
		cmd := a.command(t)
		cmd.Env = append(cmd.Env, "PATH="+a.path("bin")+":"+os.Getenv("PATH"))
		out, _ := cmd.CombinedOutput()
		if !a.exists("reset") {
			t.Error("what had failed too often before would not be started")
		}
		jobs := ""
		for _, unit := range []string{"site", "back", "-o x"} {
			jobs += "\nJob for " + unit + ".service failed because the control process exited with error code."
		}
		want := "activating shop-main: " + a.path("profile") + jobs + "\nfailed unit: site.service\nfailed unit| no [31mcontent[0m\nfailed unit| " + strings.Repeat("x", 400) +
			"\nfailed unit| Failed with result one\nfailed unit: crash\\x2dloop.service\nfailed unit| Failed with result of --user-unit=crash\\x2dloop.service\nfailed unit: back.service\nfailed unit| Failed with result of --user-unit=back.service\nactivation of shop-main ended with exit status 1\n"
		if diff := cmp.Diff(want, string(out)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("leaves beside the profile what came up", func(t *testing.T) {
		for _, want := range []int{0, 3} {
			a := newActivation(t, `if [ -e "$PROFILE.activated" ]; then touch "$DIR/early"; fi; exit `+strconv.Itoa(want))
			write(t, a.path("profile.activated"), "/nix/store/of-before\n", 0o600)
			if out, status := a.run(t); status != want || a.exists("early") {
				t.Errorf("it ended with %d, and was there meanwhile: %v\n%s", status, a.exists("early"), out)
			}
			left, err := os.ReadFile(a.path("profile.activated"))
			if came := err == nil && string(left) == a.path("profile")+"\n"; came != (want == 0) {
				t.Errorf("after exit status %d it leaves %q, %v", want, left, err)
			}
		}
		a := newActivation(t, strings.Replace(talkative, "exit 7", "exit 0", 1))
		if a.runLost(t, a.command(t)); !a.exists("profile.activated") {
			t.Error("one whose link is lost leaves nothing")
		}
		a = newActivation(t, "exit 0")
		if err := os.MkdirAll(a.path("profile.activated/folder"), 0o777); err != nil {
			t.Fatal(err)
		}
		if out, status := a.run(t); status != 0 || !strings.Contains(out, "warning: the next deploy activates this path again") {
			t.Errorf("where nothing can be left it ended with %d and printed %q", status, out)
		}
	})
	t.Run("is private", func(t *testing.T) {
		a := newActivation(t, "umask")
		if err := os.MkdirAll(a.logs(), 0o777); err != nil {
			t.Fatal(err)
		}
		a.script = "umask 0027\n" + a.script
		out, _ := a.run(t)
		if !strings.Contains(out, "\n0027\n") {
			t.Errorf("the activation's umask is another: %q", out)
		}
		for path, want := range map[string]os.FileMode{a.logs(): 0o700 | os.ModeDir, a.only(t): 0o600} {
			if info, err := os.Stat(path); err != nil || info.Mode() != want {
				t.Errorf("%s is %v, not %v (%v)", path, info.Mode(), want, err)
			}
		}
	})
	t.Run("keeps the newest logs", func(t *testing.T) {
		a := newActivation(t, "")
		for i := range 30 {
			write(t, filepath.Join(a.logs(), fmt.Sprintf("202001%02dT000000Z-1.log", i+1)), "old", 0o600)
		}
		write(t, filepath.Join(a.logs(), "notes.txt"), "kept", 0o600)
		a.run(t)
		entries, err := filepath.Glob(filepath.Join(a.logs(), "*.log"))
		if err != nil || len(entries) != 20 || filepath.Base(entries[0]) != "20200112T000000Z-1.log" || !a.exists("state/hostenv/activation/notes.txt") {
			t.Errorf("left are %d: %q, %v", len(entries), entries, err)
		}
		if newest := filepath.Base(entries[len(entries)-1]); !strings.HasPrefix(newest, "20") || strings.HasPrefix(newest, "2020") || !strings.Contains(newest, "Z-") {
			t.Errorf("the newest is %s", newest)
		}
	})
	t.Run("continues without a log", func(t *testing.T) {
		a := newActivation(t, "exit 3")
		write(t, a.path("state"), "a file, and no folder", 0o666)
		if out, status := a.run(t); status != 3 || !strings.Contains(out, "warning: this activation has no log, because "+a.logs()+" cannot be written\n") {
			t.Errorf("it ended with %d and printed %q", status, out)
		}
	})
	t.Run("has a session", func(t *testing.T) {
		a := newActivation(t, `printf '%s\n' "$HOME" "$XDG_RUNTIME_DIR" "$XDG_CONFIG_HOME" "$XDG_STATE_HOME" "$XDG_DATA_HOME" "$XDG_CACHE_HOME"; cat`)
		cmd := a.command(t)
		cmd.Stdin = strings.NewReader("not to be read")
		cmd.Env = append(cmd.Env, "XDG_CACHE_HOME=/elsewhere")
		out, err := cmd.Output()
		want := strings.Join([]string{a.dir, "/run/user/" + strconv.Itoa(os.Getuid()), a.path(".config"), a.path("state"), a.path(".local/share"), "/elsewhere"}, "\n")
		if err != nil || !strings.Contains(string(out), "\n"+want+"\n") || strings.Contains(string(out), "not to be read") {
			t.Errorf("%v: %s\nnot\n%s", err, out, want)
		}
	})
	t.Run("lets what failed too often be started", func(t *testing.T) {
		for _, status := range []string{"0", "1"} { // 1: as without systemd
			a := newActivation(t, `cat "$DIR/calls"; echo activated`)
			write(t, a.path("bin/systemctl"), "#!/bin/sh\necho \"systemctl $*\" >$DIR/calls\necho noise; exit "+status+"\n", 0o777)
			cmd := a.command(t)
			cmd.Env = append(cmd.Env, "PATH="+a.path("bin")+":"+os.Getenv("PATH"))
			out, err := cmd.Output()
			if err != nil || !strings.Contains(string(out), "\nsystemctl --user reset-failed\nactivated\n") {
				t.Errorf("%v: %s", err, out)
			}
		}
	})
	// The user may not use Nix's daemon, and the last command of hostenv's activation
	// asks it to remove what is not there.
	t.Run("does not depend on Nix", func(t *testing.T) {
		for last, want := range map[string]int{"nix profile remove .hostenv >/dev/null 2>&1": 0, "nix profile remove other": 1, "nix build": 1} {
			a := newActivation(t, "echo activated\n"+last)
			write(t, a.path("bin/nix"), "#!/bin/sh\nexit 1\n", 0o777)
			cmd := a.command(t)
			cmd.Env = append(cmd.Env, "PATH="+a.path("bin")+":"+os.Getenv("PATH"))
			out, _ := cmd.CombinedOutput()
			if status := cmd.ProcessState.ExitCode(); status != want || !strings.Contains(string(out), "\nactivated\n") {
				t.Errorf("%s: it ended with %d, want %d, and printed %q", last, status, want, out)
			}
		}
	})
	t.Run("refuses another user", func(t *testing.T) {
		a := newActivation(t, `touch "$DIR/finished"`)
		a.script = strings.Replace(a.script, fmt.Sprintf("uid=%d\n", os.Getuid()), "uid=123456\n", 1)
		if out, status := a.run(t); status != 1 || a.exists("finished") || !strings.Contains(out, "hint: ") {
			t.Errorf("it ended with %d and printed %q", status, out)
		}
	})
}

// only returns the path of the one log.
func (a activation) only(t *testing.T) string {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(a.logs(), "*.log"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("not one log: %q, %v", logs, err)
	}
	return logs[0]
}

// write makes a file and the folders above it.
func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
