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
	// roleEnv names the role of this process. The children of a test do not inherit it.
	roleEnv = "HOSTENV_NIXOSNODE_ROLE"

	// insideEnv carries [made] from the process that makes the namespaces to the tests.
	insideEnv = "HOSTENV_NIXOSNODE_INSIDE"
)

// Paths in the namespaces of the tests: a tmpfs that other processes of this
// machine do not see, and that ends with the namespaces.
const (
	rootDir = "/run/nixosnode"
	tempDir = rootDir + "/tmp"
)

// Main runs the tests of a package with nodes, in place of m.Run:
//
//	func TestMain(m *testing.M) { nixosnode.Main(m) }
//
// It makes what needs the network (the Debian tree, programs), and runs this
// program again in new namespaces for mounts, network and processes. So the
// tests have networks of their own, and every process that they start ends with
// them, even if they are killed. If the machine lacks what nodes need, Main runs
// the tests without namespaces, and [Start] skips them.
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
		fatal(runNode()) // returns only if it fails
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

// inside returns what [Main] made for the tests, or nil outside the namespaces.
func inside() *made {
	text, ok := os.LookupEnv(insideEnv)
	if !ok {
		return nil
	}
	var m made
	m.parse(text)
	return &m
}

// command returns a command that runs this program in a role, in new namespaces.
// Lock the thread that starts it: the kernel sends Pdeathsig when that thread
// ends.
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

// runInit is process 1 of the tests' namespaces. It prepares them, runs the
// tests, and reaps the processes that they leave behind.
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

// unmount unmounts what is mounted on target and below it.
func unmount(target string) error {
	if err := unix.Unmount(target, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", target, err)
	}
	return nil
}

// output runs a command. Its error includes what the command printed.
func output(cmd *exec.Cmd) (string, error) {
	var output strings.Builder
	cmd.Stderr = &output
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, out, output.String())
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
