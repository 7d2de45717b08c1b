package conformance

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// insideEnv is set for the process that runs in the namespace.
const insideEnv = "HOSTENV_CONFORMANCE_INSIDE"

// Inside reports whether this process runs in the laboratory's namespace.
func Inside() bool { return os.Getenv(insideEnv) != "" }

// Reexec runs this program again, with the same arguments, in a new network
// namespace, and returns its exit code. If the user is not root, the program also
// gets a user namespace in which it is root. Reexec returns an error if the machine
// does not permit that.
func Reexec() (code int, err error) {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = attr
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("make a network namespace: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		if cmd.ProcessState.ExitCode() > 0 {
			return cmd.ProcessState.ExitCode(), nil
		}
		return 1, nil
	}
	return 0, nil
}

// setupNetwork brings the loopback device up and makes the laboratory's
// addresses local to it.
func setupNetwork() error {
	lines := []string{
		"link set lo up",
		"route add local 11.0.0.0/16 dev lo",
		"route add local 11.53.0.0/16 dev lo",
		// Packets to it return, belong to no process, and are dropped. (With IPv6 the
		// kernel reports that to the sender: see the host h6.)
		"route add 11.9.0.0/16 dev lo",
	}
	for _, addr := range hosts { // IPv6 wants each address by itself
		if strings.Contains(addr, ":") {
			lines = append(lines, "-6 addr add "+addr+"/128 dev lo nodad")
		}
	}
	for _, line := range lines {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", line, err, out)
		}
	}
	return nil
}
