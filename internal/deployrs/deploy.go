package deployrs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
)

// deployOptions are those of src/cli.rs.
var deployOptions = []option{
	{long: "targets", value: true, greedy: true},
	{long: "file", short: "f", value: true},
	{long: "checksigs", short: "c"},
	{long: "interactive", short: "i"},
	{long: "debug-logs", short: "d"},
	{long: "log-dir", value: true},
	{long: "keep-result", short: "k"},
	{long: "result-path", short: "r", value: true},
	{long: "skip-checks", short: "s"},
	{long: "remote-build"},
	{long: "ssh-user", value: true},
	{long: "profile-user", value: true},
	{long: "ssh-opts", value: true, hyphens: true},
	{long: "fast-connection", value: true, check: isBool},
	{long: "auto-rollback", value: true, check: isBool},
	{long: "hostname", value: true},
	{long: "magic-rollback", value: true, check: isBool},
	{long: "confirm-timeout", value: true, check: isUint16},
	{long: "activation-timeout", value: true, check: isUint16},
	{long: "temp-path", value: true, check: isPath},
	{long: "dry-activate"},
	{long: "boot"},
	{long: "rollback-succeeded", value: true, check: isBool},
	{long: "sudo", value: true},
	{long: "interactive-sudo", value: true, check: isBool},
}

// A run is one of `deploy`.
type run struct {
	*parsed
	log io.Writer
}

// Deploy acts as deploy-rs's `deploy`, and returns its exit status.
func Deploy(args []string, log io.Writer) int {
	p, err := parse(deployOptions, args, false, true, true)
	if err == nil && p.help {
		return 0
	}
	if err == nil && len(p.positionals) > 1 {
		err = fmt.Errorf("unexpected argument '%s'", p.positionals[1])
	}
	if err == nil && len(p.positionals) > 0 && p.has("targets") {
		err = errors.New("the argument '[TARGET]' cannot be used with '--targets <TARGETS>...'")
	}
	if err != nil {
		fmt.Fprintln(log, "error:", err)
		return 2
	}
	err = (&run{p, log}).deploy()
	switch {
	case errors.Is(err, errPanic):
		return panicked
	case err != nil:
		fmt.Fprintln(log, "[deploy] [ERROR]", err)
		return 1
	}
	return 0
}

func (r *run) deploy() error {
	texts := append(slices.Clone(r.options["targets"]), r.positionals...)
	if len(texts) == 0 {
		texts = []string{"."}
	}
	var targets []target
	for _, text := range texts {
		t, err := parseTarget(text)
		if err != nil {
			return err
		}
		targets = append(targets, t)
	}
	if flakes := exec.Command("nix", "eval", "--expr", "builtins.getFlake").Run(); flakes != nil {
		var exit *exec.ExitError
		if !errors.As(flakes, &exit) {
			return fmt.Errorf("failed to test for flake support: %w", flakes)
		}
		return errors.New("the stand-in supports only a Nix with flakes")
	}
	if !r.has("skip-checks") {
		for _, t := range targets {
			if err := r.command(nil, "nix", append([]string{"flake", "check", t.repo}, r.last...)...); err != nil {
				return fmt.Errorf("check deployment: %w", err)
			}
		}
	}
	jobs, err := r.evaluate(targets)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if err := r.build(j); err != nil {
			return fmt.Errorf("build profile on node %s: %w", j.nodeName, err)
		}
	}
	for _, j := range jobs {
		if err := r.push(j); err != nil {
			return fmt.Errorf("push profile to node %s: %w", j.nodeName, err)
		}
	}
	for i, j := range jobs {
		err := r.activate(j)
		if err == nil {
			continue
		}
		if errors.Is(err, errPanic) {
			return err
		}
		// Even after a dry run, as deploy-rs does.
		if r.get("rollback-succeeded") != "false" && r.get("auto-rollback") != "false" {
			for _, done := range jobs[:i] {
				if or(done.AutoRollback, true) {
					if err := r.ssh(done, done.sudo+r.activateRs(done)+" revoke "+done.profilePath).Run(); err != nil {
						return fmt.Errorf("revoke profile for node %s: %w", done.nodeName, err)
					}
				}
			}
		}
		return fmt.Errorf("deploy profile to node %s: %w", j.nodeName, err)
	}
	return nil
}

// command runs a command and shows its output, except stdout if discarded.
func (r *run) command(env []string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if slices.Contains(args, "build") || slices.Contains(args, "--derivation") {
		cmd.Stdout = nil
	}
	cmd.Env = append(os.Environ(), env...)
	return cmd.Run()
}

func (r *run) evaluate(targets []target) ([]job, error) {
	whoami := "unknown"
	if u, err := user.Current(); err == nil {
		whoami = u.Username
	}
	decoded := make([]*data, len(targets))
	for i, t := range targets {
		apply := "deploy: deploy"
		switch {
		case t.profile != "":
			apply = fmt.Sprintf(`deploy: deploy // { nodes = { "%[1]s" = deploy.nodes."%[1]s" // { profiles = { inherit (deploy.nodes."%[1]s".profiles) "%[2]s"; }; }; }; }`, t.node, t.profile)
		case t.node != "":
			apply = fmt.Sprintf(`deploy: deploy // { nodes = { inherit (deploy.nodes) "%s"; }; }`, t.node)
		}
		cmd := exec.Command("nix", append([]string{"eval", "--json", t.repo + "#deploy", "--apply", apply}, r.last...)...)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("evaluate deployment data: %w", err)
		}
		if decoded[i], err = decode(out); err != nil {
			return nil, fmt.Errorf("evaluate deployment data: %w", err)
		}
	}
	var all []job
	for i, t := range targets {
		jobs, err := decoded[i].jobs(t, overridesOf(r.parsed), whoami)
		if err != nil {
			return nil, err
		}
		all = append(all, jobs...)
	}
	return all, nil
}

func (r *run) build(j job) error {
	shown := exec.Command("nix", "show-derivation", j.path)
	out, err := shown.Output()
	if err != nil {
		return fmt.Errorf("show-derivation: %w", err)
	}
	var derivations map[string]json.RawMessage
	if err := json.Unmarshal(out, &derivations); err != nil || len(derivations) == 0 {
		return fmt.Errorf("parse the output of show-derivation: %w", err)
	}
	var drv string
	for drv = range derivations { // any of them
		break
	}
	if !strings.HasPrefix(drv, "/nix/store/") {
		drv = "/nix/store/" + drv
	}
	var exit *exec.ExitError
	info, err := exec.Command("nix", "--experimental-features", "nix-command", "path-info", drv).Output()
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	// From 2.15 on that is the derivation's own path, and its outputs are named.
	if strings.TrimSpace(string(info)) == drv {
		drv += "^out"
	}
	if or(j.RemoteBuild, false) {
		store := "ssh-ng://" + j.sshUser + "@" + j.hostname
		opts := []string{"NIX_SSHOPTS=" + strings.Join(j.opts, " ")}
		if err := r.command(opts, "nix", "--experimental-features", "nix-command", "copy", "-s", "--to", store, "--derivation", drv); err != nil {
			return err
		}
		return r.command(opts, "nix", append([]string{"--experimental-features", "nix-command", "build", drv, "--eval-store", "auto", "--store", store}, r.last...)...)
	}
	args := []string{"build", drv, "--no-link"}
	if r.has("keep-result") {
		dir := "./.deploy-gc"
		if r.has("result-path") {
			dir = r.get("result-path")
		}
		args = []string{"build", drv, "--out-link", dir + "/" + j.nodeName + "/" + j.profileName}
	}
	if err := r.command(nil, "nix", append(args, r.last...)...); err != nil {
		return err
	}
	for _, name := range []string{"deploy-rs-activate", "activate-rs"} {
		if _, err := os.Stat(j.path + "/" + name); err != nil {
			return fmt.Errorf("activation script %s does not exist in profile", name)
		}
	}
	if key, ok := os.LookupEnv("LOCAL_KEY"); ok {
		return r.command(nil, "nix", "sign-paths", "-r", "-k", key, j.path)
	}
	return nil
}

func (r *run) push(j job) error {
	if or(j.RemoteBuild, false) {
		return nil
	}
	args := []string{"copy"}
	if !or(j.FastConnection, false) {
		args = append(args, "--substitute-on-destination")
	}
	if !r.has("checksigs") {
		args = append(args, "--no-check-sigs")
	}
	args = append(args, "--to", "ssh://"+j.sshUser+"@"+j.hostname, j.path)
	return r.command([]string{"NIX_SSHOPTS=" + strings.Join(j.opts, " ")}, "nix", args...)
}

// ssh returns the ssh process for a shell command on the node.
func (r *run) ssh(j job, command string) *exec.Cmd {
	cmd := exec.Command("ssh", append(append([]string{j.sshUser + "@" + j.hostname}, j.opts...), command)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	_, _ = cmd.StdinPipe() // for sudo's password; nothing is written, and it stays open
	return cmd
}

func (r *run) activateRs(j job) string {
	command := j.path + "/activate-rs"
	if r.has("debug-logs") {
		command += " --debug-logs"
	}
	if r.has("log-dir") {
		command += " --log-dir " + r.get("log-dir")
	}
	return command
}

// activate activates, and waits and confirms over further connections.
func (r *run) activate(j job) error {
	temp := or(j.TempPath, "/tmp")
	magic := or(j.MagicRollback, true)
	once := !magic || r.has("dry-activate") || r.has("boot")
	command := fmt.Sprintf("%s%s activate '%s' %s --temp-path '%s' --confirm-timeout %d",
		j.sudo, r.activateRs(j), j.path, j.profilePath, temp, or(j.ConfirmTimeout, 30))
	for _, flag := range []struct {
		on   bool
		name string
	}{{magic, "magic-rollback"}, {or(j.AutoRollback, true), "auto-rollback"}, {r.has("dry-activate"), "dry-activate"}, {r.has("boot"), "boot"}} {
		if flag.on {
			command += " --" + flag.name
		}
	}
	activating := r.ssh(j, command)
	if once {
		return activating.Run()
	}
	wait := fmt.Sprintf("%s%s wait '%s' --temp-path '%s'", j.sudo, r.activateRs(j), j.path, temp)
	if j.ActivationTimeout != nil {
		wait += fmt.Sprintf(" --activation-timeout %d", *j.ActivationTimeout)
	}
	if err := activating.Start(); err != nil {
		return err
	}
	activated := make(chan error, 1)
	go func() { activated <- activating.Wait() }()
	waiting := r.ssh(j, wait)
	if err := waiting.Start(); err != nil {
		return err
	}
	waited := make(chan error, 1)
	go func() { waited <- waiting.Wait() }()

	// Wait for the first to end; the other is left running. deploy-rs panics if an
	// activation succeeds before it was confirmed.
	select {
	case err := <-waited:
		if err != nil {
			return fmt.Errorf("waiting over SSH: %w", err)
		}
	case err := <-activated:
		if err == nil {
			return errPanic
		}
		return fmt.Errorf("activating over SSH: %w", err)
	}
	confirmed := r.ssh(j, j.sudo+"rm "+canary(temp, j.path)).Run()
	// deploy-rs panics too if the activation fails after the confirmation.
	if err := <-activated; err != nil {
		return errPanic
	}
	if confirmed != nil {
		return fmt.Errorf("confirming over SSH: %w", confirmed)
	}
	return nil
}

var errPanic = errors.New("a panic, in deploy-rs")

// canary is the file whose removal confirms an activation.
func canary(temp, path string) string {
	end := strings.IndexByte(path, '-')
	if end < 0 {
		end = len(path)
	}
	return filepath.Join(temp, "deploy-rs-canary-"+path[len("/nix/store/"):end])
}
