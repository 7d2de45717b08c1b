// Package wrapper_test runs the wrapper of `hostenv`, and hostenv's module with the
// same effect, in real shells. Stand-ins for the programs record their calls.
package wrapper_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A call records one call of a stand-in.
type call struct {
	Program  string
	Args     [][]byte // unlike string, []byte keeps invalid UTF-8 in JSON
	Stdin    string
	Pid      int
	Terminal [3]bool
	Dir      string
}

// The test binary acts as the stand-in if it is run by one of these names.
func TestMain(m *testing.M) {
	if name := filepath.Base(os.Args[0]); name == "hostenv" || name == "hostenv-provider" {
		standIn(name)
	}
	os.Exit(m.Run())
}

func standIn(name string) {
	c := call{Program: name, Pid: os.Getpid(), Args: [][]byte{}}
	for _, arg := range os.Args[1:] {
		c.Args = append(c.Args, []byte(arg))
	}
	for fd := range c.Terminal {
		c.Terminal[fd] = term.IsTerminal(fd)
	}
	c.Dir, _ = os.Getwd()
	if !c.Terminal[0] {
		stdin, _ := io.ReadAll(os.Stdin)
		c.Stdin = string(stdin)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	text, err := json.Marshal(c)
	if err == nil {
		err = os.WriteFile(os.Getenv("RECORD")+".new", text, 0o666)
	}
	if err == nil {
		err = os.Rename(os.Getenv("RECORD")+".new", os.Getenv("RECORD"))
	}
	if err != nil {
		panic(err)
	}
	fmt.Println("out of", name)
	fmt.Fprintln(os.Stderr, "err of", name)
	code := 0
	if _, err := fmt.Sscan(os.Getenv("EXIT"), &code); err != nil {
		<-signals
		code = 42
	}
	os.Exit(code)
}

// A world is a folder with a wrapper and stand-ins.
type world struct {
	dir, record, script string
	path                string // PATH, with hostenv-provider if it is installed
}

// shells returns the installed shells by name.
func shells(t *testing.T, test func(t *testing.T, shell string)) {
	for _, name := range []string{"bash", "dash"} {
		t.Run(name, func(t *testing.T) {
			test(t, testenv.Need(t, name))
		})
	}
}

// provider has the files by which a provider's folder is recognised.
var provider = []string{"flake.nix", "generated/plan.json", "generated/state.json"}

func newWorld(t *testing.T, installed bool, files ...string) *world {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The scripts must quote this name correctly.
	root := filepath.Join(t.TempDir(), "it's a $(false) folder")
	w := &world{dir: filepath.Join(root, "work"), record: filepath.Join(root, "record"), script: filepath.Join(root, "wrapper")}
	bin := filepath.Join(root, "bin")
	for _, dir := range []string{w.dir, bin, filepath.Join(root, "real")} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	links := []string{filepath.Join(root, "real", "hostenv")}
	if installed {
		links = append(links, filepath.Join(bin, "hostenv-provider"))
	}
	for _, link := range links {
		if err := os.Symlink(self, link); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range files {
		write(t, filepath.Join(w.dir, file), "", 0o666)
	}
	w.path = bin
	return w
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// program returns the path of the wrapped `hostenv`.
func (w *world) program() string { return filepath.Join(filepath.Dir(w.dir), "real", "hostenv") }

// wrapper returns the text that script.nix makes. TestScript checks that they are equal.
func wrapper(t *testing.T, shell, program, mode string) string {
	t.Helper()
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	return "#!" + shell + "\n" +
		strings.ReplaceAll(read("deploy.sh"), "@mode@", mode) +
		strings.ReplaceAll(read("wrapper.sh"), "@hostenv@", "'"+strings.ReplaceAll(program, "'", `'\''`)+"'")
}

func (w *world) command(env []string, args ...string) *exec.Cmd {
	cmd := exec.Command(w.script, args...)
	cmd.Dir = w.dir
	cmd.Env = append([]string{"PATH=" + w.path, "RECORD=" + w.record, "EXIT=0"}, env...)
	return cmd
}

// run returns the recorded call, or nil if there was none.
func (w *world) run(t *testing.T, cmd *exec.Cmd) (made *call, stdout, stderr string, code int) {
	t.Helper()
	_ = os.Remove(w.record)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return w.made(t), out.String(), log.String(), cmd.ProcessState.ExitCode()
}

func (w *world) made(t *testing.T) *call {
	t.Helper()
	text, err := os.ReadFile(w.record)
	if err != nil {
		return nil
	}
	made := new(call)
	if err := json.Unmarshal(text, made); err != nil {
		t.Fatal(err)
	}
	return made
}

func (c *call) String() string {
	if c == nil {
		return "nothing"
	}
	return fmt.Sprintf("%s %q", c.Program, c.Args)
}

// awkward are arguments that a careless script would lose, split or expand.
var awkward = []string{"", " ", "a b", "new\nline\n", "\n", "*", "?[a-z]*", "~", "$HOME", "$(touch x)", "`touch x`", `"`, `'`, `\`, `\n`, "-n", "-", "--", "é", "\xff\xfe", "!", "#", ";", "&&", "deploy"}

// TestOthers checks that all calls except `hostenv deploy` are passed on byte for byte,
// with standard input, output and exit code.
func TestOthers(t *testing.T) {
	shells(t, func(t *testing.T, shell string) {
		w := newWorld(t, true, provider...)
		for _, mode := range []string{"warn", "forward", "off"} {
			write(t, w.script, wrapper(t, shell, w.program(), mode), 0o777)
			for _, args := range [][]string{
				{}, {""}, {"help"}, {"ssh", "deploy"}, {"-e", "deploy", "ssh"}, {"--env", "deploy", "list"}, {"--env=deploy", "list"},
				{"--tty_mode", "deploy", "ssh"}, {"-f", "ssh", "--", "deploy"}, {"--", "ssh", "deploy"}, {"deployed"}, {"-", "deploy"}, {"--deploy"}, {"-e", "deploy"},
				append([]string{"ssh"}, awkward...), awkward,
			} {
				cmd := w.command([]string{"EXIT=7"}, args...)
				cmd.Stdin = strings.NewReader("what is\x00typed")
				made, stdout, stderr, code := w.run(t, cmd)
				if made == nil || made.Program != "hostenv" || made.Stdin != "what is\x00typed" || made.Dir != w.dir {
					t.Fatalf("%q called %v", args, made)
				}
				if diff := cmp.Diff(args, made.args()); diff != "" {
					t.Errorf("arguments (-given +received):\n%s", diff)
				}
				if stdout != "out of hostenv\n" || stderr != "err of hostenv\n" || code != 7 {
					t.Errorf("%q: output %q, errors %q, code %d", args, stdout, stderr, code)
				}
			}
		}
	})
}

func (c *call) args() []string {
	args := make([]string, len(c.Args))
	for i, arg := range c.Args {
		args[i] = string(arg)
	}
	return args
}

const (
	deprecated = "hostenv: warning: `hostenv deploy` is deprecated"
	switched   = "hostenv: `hostenv deploy` is switched off"
)

// TestDeploy checks which program `hostenv deploy` runs, and its arguments.
func TestDeploy(t *testing.T) {
	tests := []struct {
		name      string
		mode      string // the mode that the provider chose
		env       string // HOSTENV_DEPLOY, or - if it is unset
		installed bool
		files     []string
		program   string // "" if no program runs
		message   string
		code      int
	}{
		{"forwarded", "forward", "-", true, provider, "hostenv-provider", deprecated, 7},
		{"not installed", "forward", "-", false, provider, "hostenv", deprecated, 7},
		{"not a provider's", "forward", "-", true, nil, "hostenv", deprecated, 7},
		{"no plan yet", "forward", "-", true, []string{"flake.nix", "generated/state.json"}, "hostenv", deprecated, 7},
		{"no flake", "forward", "-", true, provider[1:], "hostenv", deprecated, 7},
		{"no state", "forward", "-", true, provider[:2], "hostenv", deprecated, 7},
		{"warned of", "warn", "-", true, provider, "hostenv", deprecated, 7},
		{"off", "off", "-", true, provider, "", switched, 1},
		{"switched off", "forward", "off", true, provider, "", switched, 1},
		{"switched off where it would not be forwarded", "warn", "off", false, nil, "", switched, 1},
		{"switched on", "off", "warn", true, provider, "hostenv", deprecated, 7},
		{"switched to forwarding", "warn", "forward", true, provider, "hostenv-provider", deprecated, 7},
		{"an empty variable counts as unset", "off", "", true, provider, "", switched, 1},
		{"an unknown word", "forward", "never", true, provider, "", `hostenv: HOSTENV_DEPLOY is "never", and can be warn, forward or off`, 2},
	}
	shells(t, func(t *testing.T, shell string) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				w := newWorld(t, test.installed, test.files...)
				write(t, w.script, wrapper(t, shell, w.program(), test.mode), 0o777)
				env := []string{"EXIT=7"}
				if test.env != "-" {
					env = append(env, "HOSTENV_DEPLOY="+test.env)
				}
				for _, before := range [][]string{nil, {"-f"}, {"-e", "main", "--tty_mode", "off"}, {"--env=main"}, {"--"}} {
					args := slices.Concat(before, []string{"deploy"}, awkward)
					cmd := w.command(env, args...)
					cmd.Stdin = strings.NewReader("y\n")
					made, stdout, stderr, code := w.run(t, cmd)
					if code != test.code || !strings.HasPrefix(stderr, test.message) {
						t.Errorf("code %d, and %q; want %d, and %q", code, stderr, test.code, test.message)
					}
					if test.program == "" {
						if made != nil || stdout != "" {
							t.Errorf("ran %v, which writes %q", made, stdout)
						}
						continue
					}
					want := args
					if test.program == "hostenv-provider" {
						want = slices.Concat([]string{"deploy"}, before, awkward)
					}
					if made == nil || made.Program != test.program || made.Stdin != "y\n" {
						t.Fatalf("ran %v, want %s", made, test.program)
					}
					if diff := cmp.Diff(want, made.args()); diff != "" {
						t.Errorf("arguments (-want +received):\n%s", diff)
					}
					if stdout != "out of "+test.program+"\n" {
						t.Errorf("standard output is %q", stdout)
					}
				}
			})
		}
	})
}

// TestSignal checks that the program replaces the wrapper's process: it gets the
// signals, and its exit code is the result.
func TestSignal(t *testing.T) {
	shells(t, func(t *testing.T, shell string) {
		for _, args := range [][]string{{"ssh"}, {"deploy"}} {
			w := newWorld(t, true, provider...)
			write(t, w.script, wrapper(t, shell, w.program(), "forward"), 0o777)
			cmd := w.command([]string{"EXIT=wait"}, args...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var made *call
			testenv.Await(t, "the program", func() bool { made = w.made(t); return made != nil })
			if made.Pid != cmd.Process.Pid {
				t.Errorf("%v is not process %d", made, cmd.Process.Pid)
			}
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 42 {
				t.Errorf("%v ended with %d after a signal, want 42", args, code)
			}
		}
	})
}

// TestTerminal checks that the program has the terminal.
func TestTerminal(t *testing.T) {
	shells(t, func(t *testing.T, shell string) {
		for _, args := range [][]string{{"ssh"}, {"deploy"}} {
			w := newWorld(t, true, provider...)
			write(t, w.script, wrapper(t, shell, w.program(), "forward"), 0o777)
			master, slave := terminal(t)
			cmd := w.command(nil, args...)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			if made := w.made(t); made == nil || made.Terminal != [3]bool{true, true, true} {
				t.Errorf("%v has %v for terminals", args, made)
			}
			_ = slave.Close()
			shown, _ := io.ReadAll(master) // fails when no process has the other end open
			if warned := strings.Contains(string(shown), deprecated); warned != (args[0] == "deploy") {
				t.Errorf("%v shows %q", args, shown)
			}
		}
	})
}

// terminal returns both ends of a new terminal.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// eachNix runs a test under every installed Nix. eval returns the JSON of an
// expression.
func eachNix(t *testing.T, test func(t *testing.T, eval func(expression string) (string, error))) {
	for _, binary := range testenv.NixBinaries(t) {
		t.Run(binary, func(t *testing.T) {
			env := testenv.NixEnv(testenv.NixDir(t))
			test(t, func(expression string) (string, error) {
				cmd := exec.CommandContext(t.Context(), binary, "eval", "--impure", "--json", "--expr", expression)
				cmd.Env = env
				var log bytes.Buffer
				cmd.Stderr = &log
				out, err := cmd.Output()
				if err != nil {
					return "", fmt.Errorf("%w\n%s", err, log.String())
				}
				return string(out), nil
			})
		})
	}
}

func here(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestScript checks that script.nix makes the text that the other tests run.
func TestScript(t *testing.T) {
	eachNix(t, func(t *testing.T, eval func(string) (string, error)) {
		const program = "/nix/store/it's a hostenv"
		got, err := eval(fmt.Sprintf(`import %s/script.nix { shell = "/bin/sh"; hostenv = %q; deploy = "warn"; }`, here(t), program))
		if err != nil {
			t.Fatal(err)
		}
		var text string
		if err := json.Unmarshal([]byte(got), &text); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wrapper(t, "/bin/sh", program, "warn"), text); diff != "" {
			t.Errorf("differs (-tested +made):\n%s", diff)
		}
		if _, err := eval(fmt.Sprintf(`import %s/script.nix { shell = "/bin/sh"; hostenv = "x"; deploy = "never"; }`, here(t))); err == nil || !strings.Contains(err.Error(), `deploy is "never"`) {
			t.Errorf("an unknown mode: %v", err)
		}
	})
}

// old has hostenv's own sub-commands. The tests define them with a low
// priority, like hostenv's module, so that another module can replace them.
const old = `
  deploy = { exec = helpers: "echo old ${helpers.word}\nprintf '[%s]' \"$@\"\nexit 5"; description = "Deploy."; makeScript = false; internal = false; runtimeInputs = [ ]; };
  ssh = { exec = helpers: "echo ssh"; description = "Log in."; makeScript = false; internal = false; runtimeInputs = [ ]; };
`

// TestModule evaluates the module as a plain function, with only the functions of
// nixpkgs's library that it calls.
func TestModule(t *testing.T) {
	eachNix(t, func(t *testing.T, eval func(string) (string, error)) {
		for _, mode := range []string{"warn", "forward", "off"} {
			got, err := eval(fmt.Sprintf(`
				let
				  lib = { mkOption = option: option; types.enum = values: values; };
				  module = import %s/../modules/hostenv-cli-deploy.nix { inherit lib; config.hostenv.deploy = %q; };
				  apply = module.options.hostenv.subCommands.apply;
				  applied = apply {%s};
				in {
				  exec = applied.deploy.exec { word = "word"; };
				  inherit (applied.deploy) description makeScript;
				  ssh = applied.ssh.exec { };
				  without = apply { };
				}`, here(t), mode, old))
			if err != nil {
				t.Fatal(err)
			}
			checkModule(t, mode, got)
		}
	})
}

// TestModuleWithModuleSystem evaluates the module with hostenv's own declarations in
// nixpkgs's module system.
func TestModuleWithModuleSystem(t *testing.T) {
	lib := mirroredFolder(t, "nix-community/nixpkgs.lib", "lib")
	eachNix(t, func(t *testing.T, eval func(string) (string, error)) {
		for _, mode := range []string{"warn", "forward", "off"} {
			got, err := eval(fmt.Sprintf(`
				let
				  lib = import %s;
				  tools = { lib, ... }: {
				    options.hostenv.subCommands = lib.mkOption {
				      type = lib.types.attrsOf (lib.types.submodule {
				        options = {
				          exec = lib.mkOption { type = lib.types.functionTo lib.types.lines; };
				          description = lib.mkOption { type = lib.types.str; default = ""; };
				          runtimeInputs = lib.mkOption { type = lib.types.listOf lib.types.package; default = [ ]; };
				          makeScript = lib.mkOption { type = lib.types.bool; default = false; };
				          internal = lib.mkOption { type = lib.types.bool; default = false; };
				        };
				      });
				      default = { };
				    };
				    config.hostenv.subCommands = lib.mapAttrs (_: lib.mkDefault) {%s};
				  };
				  evaluated = modules: (lib.evalModules { modules = [ tools %s/../modules/hostenv-cli-deploy.nix ] ++ modules; }).config.hostenv.subCommands;
				  applied = evaluated [ { hostenv.deploy = %q; } ];
				  replaced = evaluated [ { hostenv.subCommands.deploy.exec = _: "echo a service's"; } ];
				in {
				  exec = applied.deploy.exec { word = "word"; };
				  inherit (applied.deploy) description makeScript;
				  ssh = applied.ssh.exec { };
				  without = { };
				  replaced = assert lib.hasSuffix "hostenv_deploy \"$@\"\necho a service's" (replaced.deploy.exec { }); true;
				}`, lib, old, here(t), mode))
			if err != nil {
				t.Fatal(err)
			}
			checkModule(t, mode, got)
		}
		if _, err := eval(fmt.Sprintf(`
			let lib = import %s; in
			(lib.evalModules { modules = [ %s/../modules/hostenv-cli-deploy.nix { hostenv.deploy = "never"; } ]; }).config.hostenv.deploy`, lib, here(t))); err == nil || !strings.Contains(err.Error(), "hostenv.deploy") {
			t.Errorf("an unknown mode: %v", err)
		}
	})
}

// checkModule runs the module's sub-command deploy like hostenv: in bash with strict
// settings, with the arguments after the sub-command.
func checkModule(t *testing.T, mode, evaluated string) {
	t.Helper()
	var got struct {
		Exec, Description, SSH string
		MakeScript             bool
		Without                map[string]any
	}
	if err := json.Unmarshal([]byte(evaluated), &got); err != nil {
		t.Fatal(err)
	}
	if got.SSH != "echo ssh" || got.MakeScript || len(got.Without) != 0 {
		t.Errorf("other sub-commands: %+v", got)
	}
	if !strings.HasPrefix(got.Description, "Deploy.\nDeprecated: ") {
		t.Errorf("the description is %q", got.Description)
	}
	bash := testenv.Need(t, "bash")
	for _, isProvider := range []bool{true, false} {
		files := provider
		if !isProvider {
			files = nil
		}
		w := newWorld(t, true, files...)
		write(t, w.script, "#!"+bash+"\nset -o errexit -o pipefail -o nounset\nsub=$1; shift || true\ncase \"$sub\" in\ndeploy)\n"+got.Exec+"\n;;\nesac\n", 0o777)
		made, stdout, stderr, code := w.run(t, w.command([]string{"EXIT=7"}, append([]string{"deploy"}, awkward...)...))
		brackets := "old word\n[" + strings.Join(awkward, "][") + "]"
		switch {
		case mode == "off":
			if made != nil || stdout != "" || code != 1 || !strings.HasPrefix(stderr, switched) {
				t.Errorf("off: %v, %q, %q, code %d", made, stdout, stderr, code)
			}
		case mode == "forward" && isProvider:
			if made == nil || made.Program != "hostenv-provider" || code != 7 || !strings.HasPrefix(stderr, deprecated) {
				t.Fatalf("forward: %v, %q, code %d", made, stderr, code)
			}
			if diff := cmp.Diff(append([]string{"deploy"}, awkward...), made.args()); diff != "" {
				t.Errorf("arguments (-want +received):\n%s", diff)
			}
		default:
			if made != nil || stdout != brackets || code != 5 || !strings.HasPrefix(stderr, deprecated) {
				t.Errorf("%s, in a provider's folder %t: %v, %q, %q, code %d", mode, isProvider, made, stdout, stderr, code)
			}
		}
	}
}

// mirroredFolder copies a folder of a mirrored repository to a temporary one.
func mirroredFolder(t *testing.T, repository, folder string) string {
	t.Helper()
	testenv.Mirrored(t, repository, folder) // skips with a message if the mirror is missing
	mirror := filepath.Join(testenv.Need(t, "mirrors"), strings.Replace(repository, "/", "+", 1), "repo")
	dest := t.TempDir()
	archive := exec.CommandContext(t.Context(), "git", "-C", mirror, "archive", "--format=tar", "HEAD", folder)
	archive.Env = append(os.Environ(), "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
	text, err := archive.Output()
	if err != nil {
		t.Fatal(err)
	}
	unpack := exec.CommandContext(t.Context(), "tar", "-x", "-C", dest)
	unpack.Stdin = bytes.NewReader(text)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dest, folder)
}
