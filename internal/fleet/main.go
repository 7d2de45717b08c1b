package fleet

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// The process that runs in a role finds it here; a test's own children do not.
const roleEnv = "HOSTENV_FLEET_ROLE"

// insideEnv is set for the tests and their children, once there are namespaces.
const insideEnv = "HOSTENV_FLEET_INSIDE"

// Folders in the namespaces of the tests: a tmpfs that other processes of this
// machine do not see, and that ends with the namespaces.
const (
	rootDir = "/run/fleet"
	homeDir = rootDir + "/home" // root's, by passwd, which is where ssh looks
	tempDir = rootDir + "/tmp"
)

// Main runs the tests of a package that starts fleets, in place of m.Run:
//
//	func TestMain(m *testing.M) { fleet.Main(m) }
//
// It runs this program again in new namespaces of mounts, network and processes, so
// that the tests may use any port, and so that all their processes end with them,
// even if they are killed. If a tool is missing, the tests run without namespaces,
// and [Start] skips those that need a fleet.
//
// It builds the programs first, because the namespaces have no network, see
// [testenv.Prepare].
func Main(m *testing.M, programs ...testenv.Program) {
	playRole()
	if Inside() || len(Missing()) > 0 {
		os.Exit(m.Run())
	}
	remove, err := testenv.Prepare(programs...)
	if err != nil {
		fatal(err)
	}
	code, err := reexec()
	remove()
	if err != nil {
		fatal(err)
	}
	os.Exit(code)
}

// Enter is [Main] for a program that is not a test: it returns in the namespaces,
// and outside of them ends the process with the exit code of the one inside.
func Enter() {
	playRole()
	if Inside() {
		return
	}
	code, err := reexec()
	if err != nil {
		fatal(err)
	}
	os.Exit(code)
}

// Missing returns the names of the tools that a fleet needs and this machine
// does not have.
func Missing() []string {
	return slices.DeleteFunc(slices.Clone(tools), func(tool string) bool { return testenv.Find(tool) != "" })
}

// playRole runs the role for which [command] started this process, if any, and ends
// the process.
func playRole() {
	role := os.Getenv(roleEnv)
	if err := os.Unsetenv(roleEnv); err != nil {
		fatal(err)
	}
	switch role {
	case "init":
		code, err := runInit()
		if err != nil {
			fatal(err)
		}
		os.Exit(code)
	case "node":
		if err := runNode(os.Stdin, os.Stdout); err != nil {
			fatal(err)
		}
		os.Exit(0)
	}
}

// Inside reports whether this process runs in the namespaces of [Main].
func Inside() bool { return os.Getenv(insideEnv) != "" }

func fatal(err error) {
	fmt.Fprintf(os.Stderr, "fleet: %v\n", err)
	os.Exit(1)
}

// command is this program in a role, in new namespaces.
func command(role string, flags uintptr) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	return cmd
}

func reexec() (code int, err error) {
	// The kernel sends Pdeathsig when the thread that started the process ends.
	runtime.LockOSThread()
	cmd := command("init", unix.CLONE_NEWNS|unix.CLONE_NEWNET|unix.CLONE_NEWPID)
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
		Env:   append(os.Environ(), insideEnv+"=1", "TMPDIR="+tempDir),
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

// prepare makes the deploying machine, with its own store, home, loopback device
// and hosts file.
func prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := mount("proc", "/proc", "proc", ""); err != nil {
		return err
	}
	if err := mount("tmpfs", "/run", "tmpfs", "mode=0755"); err != nil {
		return err
	}
	for _, dir := range []string{"/nix", homeDir, tempDir, rootDir + "/etc"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := keepMachineNix(); err != nil {
		return err
	}
	if err := mountNix("/nix", "", 0); err != nil {
		return err
	}
	var hosts strings.Builder
	hosts.WriteString("127.0.0.1 localhost\n")
	for i := 1; i <= MaxNodes; i++ {
		fmt.Fprintf(&hosts, "%s %s.%s %[2]s\n%s %[2]s.%[5]s\n", publicAddress(i), nodeName(i), Domain, address(i), sshDomain)
	}
	passwd, err := withHome("/etc/passwd", "root", homeDir)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"hosts": hosts.String(), "passwd": passwd} {
		file := filepath.Join(rootDir, "etc", name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
		if err := bind(file, "/etc/"+name); err != nil {
			return err
		}
	}
	// With loopback addresses only, Nix reports that there is no Internet.
	for _, line := range []string{"link set lo up", "addr add 192.0.2.1/32 dev lo"} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", line, err, out)
		}
	}
	return nil
}

// withHome returns a copy of a passwd file with another home for a user.
func withHome(file, user, home string) (string, error) {
	data, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer data.Close()
	var text strings.Builder
	for lines := bufio.NewScanner(data); lines.Scan(); {
		fields := strings.Split(lines.Text(), ":")
		if fields[0] == user && len(fields) == 7 {
			fields[5] = home
		}
		text.WriteString(strings.Join(fields, ":") + "\n")
	}
	return text.String(), nil
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
