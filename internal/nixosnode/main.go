package nixosnode

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

const (
	// A process that runs in a role finds it here; a test's own children do not.
	roleEnv = "HOSTENV_NIXOSNODE_ROLE"

	// What the process that made the namespaces hands to the tests.
	insideEnv = "HOSTENV_NIXOSNODE_INSIDE"
)

// Where things are in the namespaces of the tests: a tmpfs that no other process
// of this machine sees, and that is gone with them.
const (
	rootDir = "/run/nixosnode"
	tempDir = rootDir + "/tmp"
)

// Main runs the tests of a package with nodes, in place of m.Run:
//
//	func TestMain(m *testing.M) { nixosnode.Main(m) }
//
// It makes what needs the network (the Debian tree, programs), and runs this
// program once more in namespaces of its own, of mounts, network and processes:
// the tests' networks are theirs alone, and all that they start ends with them,
// even where they are killed. Without what nodes need the tests run as they
// are, and [Start] leaves them out.
func Main(m *testing.M) {
	role := os.Getenv(roleEnv)
	if err := os.Unsetenv(roleEnv); err != nil {
		fatal(err)
	}
	switch {
	case role == "init":
		code, err := runInit()
		if err != nil {
			fatal(err)
		}
		os.Exit(code)
	case role == "node":
		fatal(runNode()) // which returns only if it fails
	case inside() != nil || testenv.Find("nixos-nodes") == "" || lists():
		os.Exit(m.Run())
	default:
		code, err := reexec()
		if err != nil {
			fatal(err)
		}
		os.Exit(code)
	}
}

func fatal(err error) {
	fmt.Fprintf(os.Stderr, "nixosnode: %v\n", err)
	os.Exit(1)
}

// lists reports whether the tests are only to be listed.
func lists() bool {
	for _, arg := range os.Args {
		if strings.HasPrefix(strings.TrimLeft(arg, "-"), "test.list") {
			return true
		}
	}
	return false
}

// inside returns what the tests were told, nil outside of the namespaces.
func inside() *made {
	text, ok := os.LookupEnv(insideEnv)
	if !ok {
		return nil
	}
	var m made
	m.parse(text)
	return &m
}

// command is this program in a role, in new namespaces. The thread that starts
// it must be locked: the signal of Pdeathsig comes when that ends.
func command(role string, flags uintptr, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	return cmd
}

func reexec() (code int, err error) {
	r, err := newRun()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	m, err := makeOutside(r)
	if err != nil {
		return 0, err
	}

	runtime.LockOSThread()
	cmd := command("init", unix.CLONE_NEWNS|unix.CLONE_NEWNET|unix.CLONE_NEWPID, os.Args[1:]...)
	cmd.Env = append(cmd.Env, insideEnv+"="+m.String())
	cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
	if err := cmd.Run(); err != nil {
		if _, ended := errors.AsType[*exec.ExitError](err); !ended {
			return 0, fmt.Errorf("make namespaces: %w", err)
		}
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code, nil
	}
	return 1, nil
}

// runInit is process 1 of the tests' namespaces: it prepares them, runs the
// tests, and reaps what they leave behind.
func runInit() (code int, err error) {
	if err := prepare(); err != nil {
		return 0, fmt.Errorf("prepare the namespaces: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	tests, err := os.StartProcess(self, os.Args, &os.ProcAttr{
		Env:   append(os.Environ(), "TMPDIR="+tempDir),
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return 0, err
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, fmt.Errorf("wait for the tests: %w", err)
		case pid == tests.Pid && status.Exited():
			return status.ExitStatus(), nil
		case pid == tests.Pid:
			return 128 + int(status.Signal()), nil
		}
	}
}

func prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := mount("proc", "/proc", "proc", ""); err != nil {
		return err
	}
	if err := mount("tmpfs", "/run", "tmpfs", "mode=0755,size=80%"); err != nil {
		return err
	}
	if err := os.MkdirAll(tempDir, 0o1777); err != nil {
		return err
	}
	return errors.Join(ip("link set lo up"), ip("addr add %s/32 dev lo", commonAddress))
}

// ip runs ip(8).
func ip(line string, args ...any) error {
	words := strings.Fields(fmt.Sprintf(line, args...))
	program, err := exec.LookPath("ip")
	if err != nil {
		program = "/usr/sbin/ip"
	}
	if out, err := exec.Command(program, words...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(words, " "), err, out)
	}
	return nil
}

func mount(source, target, kind, options string) error {
	if err := unix.Mount(source, target, kind, 0, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", kind, target, err)
	}
	return nil
}

func bind(source, target string) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", source, target, err)
	}
	return nil
}

// overlay mounts lower on target; changes go to dir/name.upper.
func overlay(lower, dir, name, target string) error {
	upper, work := filepath.Join(dir, name+".upper"), filepath.Join(dir, name+".work")
	for _, d := range []string{upper, work, target} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	return mount("overlay", target, "overlay", fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work))
}

// unmount takes away what is mounted on target, and below it.
func unmount(target string) error {
	if err := unix.Unmount(target, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", target, err)
	}
	return nil
}

// output runs a command; its error has what the command said.
func output(cmd *exec.Cmd) (string, error) {
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, out, said.String())
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
