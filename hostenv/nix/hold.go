package nix

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits are those of the evaluation of one project.
type Limits struct {
	Time   time.Duration
	Memory int64 // bytes
	Output int64 // bytes, of the result and of what is printed
}

// defaultLimits are those of provider.evaluation.
var defaultLimits = Limits{Time: time.Minute, Memory: 2 << 30, Output: 1 << 20}

// A holder runs Nix for code that a customer wrote. The process has an empty home,
// no variable but those that Nix itself needs, no credentials, and limits. Nix
// evaluates in pure and restricted mode, and builds nothing. Where bubblewrap works,
// the process has no network and sees no home, and no source but its own.
type holder struct {
	runner *Runner
	limits Limits
	home   string     // empty, removed by close
	store  storeFiles // where the store's files are
	wrap   []string   // the command of bubblewrap, nil without it
	hidden []string   // store paths of customers' sources
}

// storeFiles says where the files of a store are.
type storeFiles struct {
	dir     string   // as Nix names it: /nix/store
	files   string   // where its files are
	folders []string // that Nix reads and writes
}

// storeOf reads the variables by which Nix finds its store.
func storeOf(env []string, dir string) storeFiles {
	s := storeFiles{dir: dir, files: dir, folders: []string{"/nix"}}
	root := ""
	remote := variable(env, "NIX_REMOTE")
	if _, query, ok := strings.Cut(remote, "root="); ok {
		root, _, _ = strings.Cut(query, "&")
	} else if strings.HasPrefix(remote, "/") {
		root = remote
	}
	if root != "" {
		s.files = filepath.Join(root, dir)
		s.folders = append(s.folders, root)
	}
	for _, name := range []string{"NIX_STORE_DIR", "NIX_STATE_DIR", "NIX_LOG_DIR"} {
		if folder := variable(env, name); folder != "" {
			s.folders = append(s.folders, folder)
		}
	}
	return s
}

func variable(env []string, name string) string {
	for _, kv := range slices.Backward(env) { // of two, the last counts
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}

// needed are the variables that Nix itself needs, to find its store and settings.
var needed = []string{
	"PATH", "NIX_REMOTE", "NIX_STORE_DIR", "NIX_STATE_DIR", "NIX_LOG_DIR", "NIX_CONF_DIR", "NIX_DATA_DIR", "NIX_DAEMON_SOCKET_PATH",
	"LOCALE_ARCHIVE", "LD_LIBRARY_PATH", "GC_INITIAL_HEAP_SIZE",
}

// environment is that of a held process.
func (h *holder) environment() []string {
	from := h.runner.environment()
	env := []string{"HOME=" + h.home, "XDG_CACHE_HOME=" + h.home, "TMPDIR=" + h.home, "NIX_USER_CONF_FILES=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0"}
	for _, name := range needed {
		if value := variable(from, name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	// Settings may hold tokens. Those that say where the store is stay. Without the
	// feature flakes there is no builtins.getFlake, which asks for no allowed URI.
	kept := []string{"experimental-features = nix-command"}
	for line := range strings.Lines(variable(from, "NIX_CONFIG")) {
		name, _, _ := strings.Cut(line, "=")
		switch strings.TrimPrefix(strings.TrimSpace(name), "extra-") {
		case "sandbox", "build-users-group", "store", "substituters":
			kept = append(kept, strings.TrimSpace(line))
		}
	}
	return append(env, "NIX_CONFIG="+strings.Join(kept, "\n"))
}

// settings of Nix that hold what it evaluates. Sources are in the store already, so
// no URI is allowed.
var settings = []string{
	"pure-eval=true", "restrict-eval=true", "allowed-uris=", "allow-import-from-derivation=false",
	"access-tokens=", "netrc-file=/dev/null", "substitute=false", "builders=", "eval-cache=false",
	"allow-unsafe-native-code-during-evaluation=false", "post-build-hook=", "plugin-files=", "max-jobs=0",
}

// newHolder makes a holder. It tries whether bubblewrap works here.
func (r *Runner) newHolder(ctx context.Context, limits Limits, storeDir string) (*holder, error) {
	home, err := os.MkdirTemp("", "hostenv-held-")
	if err != nil {
		return nil, fmt.Errorf("make an empty home: %w", err)
	}
	h := &holder{runner: r, limits: limits, home: home, store: storeOf(r.environment(), storeDir)}
	h.wrap, err = h.bubblewrap(ctx)
	if err != nil {
		h.close()
	}
	return h, err
}

func (h *holder) close() { _ = os.RemoveAll(h.home) }

// system are folders with programs, libraries and settings, and none of a user.
var system = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/run/current-system", "/run/booted-system", "/opt"}

// bubblewrap returns the command before nix, nil where the machine lacks it or does
// not let it make namespaces.
func (h *holder) bubblewrap(ctx context.Context) ([]string, error) {
	program, err := h.runner.lookPath("bwrap")
	if err != nil {
		return nil, nil //nolint:nilerr // docs/security.md says what is then not held
	}
	nix, err := h.program()
	if err != nil {
		return nil, err
	}
	command := []string{program, "--unshare-all", "--die-with-parent", "--new-session", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"}
	for _, folder := range system {
		command = append(command, "--ro-bind-try", folder, folder)
	}
	// Nix itself, and beside it what it was installed with, unless that is a home.
	beside := filepath.Dir(filepath.Dir(nix))
	if user := os.Getenv("HOME"); user != "" && strings.HasPrefix(filepath.Clean(user)+"/", strings.TrimSuffix(beside, "/")+"/") {
		beside = nix
	}
	if !slices.Contains(system, beside) && !strings.HasPrefix(beside, "/nix/") {
		command = append(command, "--ro-bind", beside, beside)
	}
	if folder := variable(h.runner.environment(), "NIX_CONF_DIR"); folder != "" {
		command = append(command, "--ro-bind-try", folder, folder)
	}
	for _, folder := range h.store.folders {
		command = append(command, "--bind-try", folder, folder)
	}
	command = append(command, "--bind", h.home, h.home, "--chdir", h.home)
	probe := exec.CommandContext(ctx, command[0], append(slices.Clone(command[1:]), nix, "--version")...)
	probe.Env = h.environment()
	if err := probe.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, nil // this machine does not let it
	}
	return command, nil
}

// program is the path of nix without symbolic links, which may lead through a home.
func (h *holder) program() (string, error) {
	nix, err := h.runner.find("")
	if err != nil {
		return "", err
	}
	if nix, err = filepath.EvalSymlinks(nix); err == nil {
		nix, err = filepath.Abs(nix)
	}
	if err != nil {
		return "", fmt.Errorf("find nix: %w", err)
	}
	return nix, nil
}

// command is the whole command of a held nix. `visible` are the store paths of
// customers' sources that the process may see.
func (h *holder) command(nix string, args, visible []string) []string {
	// The shell is only there for its limits. dash and bash know both.
	limits := "ulimit -c 0; ulimit -t " + strconv.FormatInt(int64(h.limits.Time/time.Second)+1, 10) + " 2>/dev/null; " +
		"ulimit -v " + strconv.FormatInt(h.limits.Memory>>10, 10) + ` 2>/dev/null; exec "$@"`
	command := slices.Clone(h.wrap)
	if command != nil {
		for _, path := range h.hidden {
			if name, ok := strings.CutPrefix(path, h.store.dir+"/"); ok && !slices.Contains(visible, path) {
				file := filepath.Join(h.store.files, name)
				if info, err := os.Stat(file); err == nil && info.IsDir() {
					command = append(command, "--tmpfs", file)
				}
			}
		}
	}
	command = append(command, "/bin/sh", "-c", limits, "sh", nix)
	command = append(command, args...)
	return command
}

// eval evaluates an expression and returns its JSON. Within is what earlier processes
// of the same evaluation left of the limit of time. The error is a *CommandError if Nix
// failed or was stopped at a limit.
func (h *holder) eval(ctx context.Context, expression string, visible []string, within time.Duration) ([]byte, error) {
	nix, err := h.program()
	if err != nil {
		return nil, err
	}
	args := []string{"eval", "--json"}
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		args = append(args, "--option", name, value)
	}
	if len(expression) > maxArgument {
		over := fmt.Errorf("what its evaluation needs of flake.lock is longer than %d bytes", maxArgument)
		return nil, &CommandError{Log: "error: " + over.Error(), Err: over}
	}
	args = append(args, "--expr", expression)

	limited, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	timer := time.AfterFunc(within, func() { stop(fmt.Errorf("its evaluation took longer than %s", h.limits.Time)) })
	defer timer.Stop()
	tooMuch := func(what string) func() {
		return func() { stop(fmt.Errorf("%s is longer than %d bytes", what, h.limits.Output)) }
	}
	stdout := &capped{limit: h.limits.Output, exceeded: tooMuch("its inventory")}
	output := &capped{limit: h.limits.Output, exceeded: tooMuch("what it prints")}

	command := h.command(nix, args, visible)
	cmd := exec.CommandContext(limited, command[0], command[1:]...)
	cmd.Dir, cmd.Env = h.home, h.environment()
	cmd.Stdout, cmd.Stderr = stdout, output
	newGroup(cmd)
	err = cmd.Run()
	if limited.Err() != nil {
		killGroup(cmd)
	}
	log := redact(plain(string(output.kept)))
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case limited.Err() != nil:
		return nil, &CommandError{Log: "error: " + context.Cause(limited).Error(), Err: context.Cause(limited)}
	case err != nil && outOfMemory(log, cmd):
		over := fmt.Errorf("its evaluation needs more than %d MB of memory, or ended without a reason", h.limits.Memory>>20)
		return nil, &CommandError{Log: "error: " + over.Error(), Err: over}
	case err != nil && cmd.ProcessState == nil:
		return nil, fmt.Errorf("run nix: %w", err)
	case err != nil:
		return nil, &CommandError{Log: log, Err: err}
	}
	return stdout.kept, nil
}

// maxArgument is below the limit of the kernel for one argument, 128 KiB.
const maxArgument = 120 << 10

// outOfMemory reports whether Nix ended without an error of its own, or says that it
// has no memory.
func outOfMemory(log string, cmd *exec.Cmd) bool {
	return cmd.ProcessState != nil && !strings.Contains(log, "error:") || strings.Contains(log, "GC Warning") || lacksMemory(log)
}

// lacksMemory reports whether Nix says that it got no memory.
func lacksMemory(log string) bool {
	return strings.Contains(log, "out of memory") || strings.Contains(log, "Out of Memory") || strings.Contains(log, "bad_alloc")
}

// A capped keeps what is written, up to a limit.
type capped struct {
	limit    int64
	kept     []byte
	exceeded func()
	mu       sync.Mutex
}

func (c *capped) Write(text []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if int64(len(c.kept)+len(text)) > c.limit {
		c.exceeded()
		return len(text), nil
	}
	c.kept = append(c.kept, text...)
	return len(text), nil
}
