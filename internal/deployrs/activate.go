package deployrs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var (
	profileOptions = []option{
		{long: "profile-path", value: true},
		{long: "profile-user", value: true},
		{long: "profile-name", value: true},
	}
	activateOptions = append([]option{
		{long: "confirm-timeout", value: true, check: isUint16},
		{long: "magic-rollback"},
		{long: "auto-rollback"},
		{long: "dry-activate"},
		{long: "boot"},
		{long: "temp-path", value: true, check: isPath},
	}, profileOptions...)
	waitOptions = []option{
		{long: "temp-path", value: true, check: isPath},
		{long: "activation-timeout", value: true, check: isUint16},
	}
)

// The exit status of a panic in Rust.
const panicked = 101

// Activate does the work of activate-rs, and returns its exit status.
func Activate(args []string, log io.Writer) int {
	// A lost connection does not end this process. Children do not inherit that.
	hangup := make(chan os.Signal, 8)
	signal.Notify(hangup, syscall.SIGHUP, syscall.SIGPIPE)
	go func() {
		for s := range hangup {
			if s == syscall.SIGHUP {
				fmt.Println("Received SIGHUP - ignoring...")
			}
		}
	}()

	top, err := parse([]option{{long: "debug-logs", short: "d"}, {long: "log-dir", value: true}}, args, true, true, false)
	if err != nil {
		return usage(log, err)
	}
	if top.help {
		return 0
	}
	if len(top.positionals) == 0 {
		return usage(log, errors.New("a subcommand is missing"))
	}
	options, closures := profileOptions, 1
	var required []string
	switch top.positionals[0] {
	case "help":
		return 0
	case "activate":
		options, required = activateOptions, []string{"confirm-timeout", "temp-path"}
	case "wait":
		options, required = waitOptions, []string{"temp-path"}
	case "revoke":
		closures = 0
	default:
		return usage(log, fmt.Errorf("unrecognized subcommand '%s'", top.positionals[0]))
	}
	p, err := parse(options, top.rest, false, false, false)
	if err != nil {
		return usage(log, err)
	}
	if p.help {
		return 0
	}
	path, user, name := p.has("profile-path"), p.has("profile-user"), p.has("profile-name")
	switch {
	case len(p.positionals) != closures:
		return usage(log, fmt.Errorf("one closure is needed: %q", p.positionals))
	case top.positionals[0] == "activate" && path == user:
		return usage(log, errors.New("one of --profile-path and --profile-user is needed"))
	case user && !name, name && !user && !path:
		return usage(log, errors.New("--profile-user and --profile-name are needed together"))
	}
	for _, r := range required {
		if !p.has(r) {
			return usage(log, fmt.Errorf("--%s is needed", r))
		}
	}
	a := &activation{log: log, magic: p.has("magic-rollback"), auto: p.has("auto-rollback"), dry: p.has("dry-activate"), boot: p.has("boot"), temp: p.get("temp-path")}
	if closures == 1 {
		a.closure = p.positionals[0]
	}
	if top.positionals[0] != "wait" {
		if path == user || path && name {
			return panicked
		}
		a.profile = p.get("profile-path")
		if user {
			a.profile = profileOf(p.get("profile-user"), p.get("profile-name"))
		}
	}
	if a.magic && !a.dry && !a.boot || top.positionals[0] == "wait" {
		if len(a.closure) < len("/nix/store/") || strings.Contains(a.closure[:len("/nix/store/")], "-") {
			return panicked
		}
	}
	switch top.positionals[0] {
	case "activate":
		a.timeout = duration(p.get("confirm-timeout"))
		err = a.activate()
	case "wait":
		a.timeout = 240 * time.Second
		if p.has("activation-timeout") {
			a.timeout = duration(p.get("activation-timeout"))
		}
		err = a.wait()
	case "revoke":
		err = a.deactivate()
	}
	if err != nil {
		a.write("ERROR", err.Error())
		return 1
	}
	return 0
}

func usage(log io.Writer, err error) int {
	fmt.Fprintln(log, "error:", err)
	return 2
}

func duration(seconds string) time.Duration {
	n, _ := strconv.Atoi(seconds) // isUint16
	return time.Duration(n) * time.Second
}

// profileOf returns the path of a user's profile, which depends on the folders
// that exist.
func profileOf(user, name string) string {
	state := "/nix/var/nix"
	if dir, ok := os.LookupEnv("NIX_STATE_DIR"); ok {
		state = dir
	}
	old := state + "/profiles/per-user/" + user
	if user == "root" {
		if name == "system" {
			return state + "/profiles/system"
		}
		return old + "/" + name
	}
	if _, err := os.Stat(old); err == nil {
		return old + "/" + name
	}
	home, ok := os.LookupEnv("XDG_STATE_HOME")
	if !ok {
		home = os.Getenv("HOME") + "/.local/state"
	}
	return home + "/nix/profiles/" + name
}

// An activation is one run of activate-rs.
type activation struct {
	log                    io.Writer
	closure, profile, temp string
	timeout                time.Duration
	magic, auto, dry, boot bool
}

// write writes a line of the log. If the reader is gone, for example after a lost
// connection, the process ends at once, without confirmation or rollback, as the one
// of deploy-rs does.
func (a *activation) write(level, text string) {
	if _, err := fmt.Fprintf(a.log, "[activate] [%s] %s\n", level, text); err != nil {
		os.Exit(panicked)
	}
}

func (a *activation) activate() error {
	if !a.dry {
		a.write("INFO", "Activating profile")
		if err := a.nixEnv("--set", a.closure); err != nil {
			var exit *exec.ExitError
			if errors.As(err, &exit) && a.auto {
				if err := a.deactivate(); err != nil {
					return err
				}
			}
			return fmt.Errorf("set profile: %w", err)
		}
	}
	location := a.profile
	if a.dry {
		location = a.closure
	}
	err := script(location, "DRY_ACTIVATE="+digit(a.dry), "BOOT="+digit(a.boot))
	var exit *exec.ExitError
	if a.dry && errors.As(err, &exit) {
		return nil // deploy-rs ignores a failed dry run
	}
	if err != nil {
		if a.auto && !a.dry {
			if err := a.deactivate(); err != nil {
				return err
			}
		}
		return fmt.Errorf("activation script: %w", err)
	}
	if a.dry {
		return nil
	}
	a.write("INFO", "Activation succeeded!")
	if a.magic && !a.boot {
		if err := a.confirmed(); err != nil {
			if err := a.deactivate(); err != nil {
				return err
			}
			return fmt.Errorf("get activation confirmation: %w", err)
		}
	}
	return nil
}

func digit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// script runs deploy-rs-activate.
func script(location string, env ...string) error {
	cmd := exec.Command(location + "/deploy-rs-activate")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Dir = location
	cmd.Env = append(append(os.Environ(), "PROFILE="+location), env...)
	return cmd.Run()
}

func (a *activation) nixEnv(args ...string) error {
	cmd := exec.Command("nix-env", append([]string{"-p", a.profile}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

// deactivate goes back one generation, and deletes the last one in the list, as
// deploy-rs does.
func (a *activation) deactivate() error {
	a.write("WARN", "De-activating due to error")
	if err := a.nixEnv("--rollback"); err != nil {
		return fmt.Errorf("rollback: %w", err)
	}
	out, err := exec.Command("nix-env", "-p", a.profile, "--list-generations").Output()
	if err != nil {
		return fmt.Errorf("list generations: %w", err)
	}
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	fields := strings.Fields(lines[len(lines)-1])
	if len(fields) == 0 {
		os.Exit(panicked)
	}
	a.write("WARN", "Removing generation by ID "+fields[0])
	if err := a.nixEnv("--delete-generations", fields[0]); err != nil {
		return fmt.Errorf("delete generation: %w", err)
	}
	a.write("INFO", "Attempting to re-activate the last generation")
	if err := script(a.profile); err != nil {
		return fmt.Errorf("re-activate: %w", err)
	}
	return nil
}

// confirmed waits until the canary is removed.
func (a *activation) confirmed() error {
	path := canary(a.temp, a.closure)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	a.write("INFO", "Waiting for confirmation event...")
	return a.poll(func() bool { _, err := os.Lstat(path); return err != nil })
}

// wait waits until there is a canary.
func (a *activation) wait() error {
	if _, err := os.Stat(a.temp); err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	path := canary(a.temp, a.closure)
	return a.poll(func() bool { _, err := os.Stat(path); return err == nil })
}

func (a *activation) poll(done func() bool) error {
	for deadline := time.Now().Add(a.timeout); !done(); time.Sleep(10 * time.Millisecond) {
		if !time.Now().Before(deadline) {
			return errors.New("timeout elapsed for confirmation")
		}
	}
	return nil
}
