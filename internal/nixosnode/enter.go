package nixosnode

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// A machine describes what process 1 of a node sets up in its namespaces.
type machine struct {
	Name    string `json:"name"`
	Root    string `json:"root"` // complete, except for the kernel's file systems
	Console string `json:"console"`
	Address string `json:"address"`
	Gateway string `json:"gateway"`
}

// runNode is process 1 of a node until it executes NixOS's init. It returns only
// if it fails.
func runNode() error {
	// The namespaces belong to this thread, which init replaces.
	runtime.LockOSThread()
	var m machine
	if err := json.NewDecoder(os.Stdin).Decode(&m); err != nil {
		return err
	}
	// This process is in the node's cgroup by now, so the node sees that as root.
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("node %s: unshare cgroups: %w", m.Name, err)
	}
	if err := m.enter(); err != nil {
		return fmt.Errorf("node %s: %w", m.Name, err)
	}
	const init = "/nix/var/nix/profiles/system/init"
	err := unix.Exec(init, []string{init}, []string{"container=nixosnode", "PATH=/usr/bin:/bin"})
	return fmt.Errorf("node %s: execute %s: %w", m.Name, init, err)
}

func (m machine) enter() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for _, line := range []string{"link set lo up", "addr add " + m.Address + "/24 dev eth0", "link set eth0 up", "route add default via " + m.Gateway} {
		if err := ip("%s", line); err != nil {
			return err
		}
	}
	if err := unix.Sethostname([]byte(m.Name)); err != nil {
		return err
	}
	if err := bind(m.Root, m.Root); err != nil {
		return err
	}
	if err := os.Chdir(m.Root); err != nil {
		return err
	}
	if err := kernel(m.Console); err != nil {
		return err
	}
	// See pivot_root(2): the old root is stacked on the new one, then unmounted.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	// systemd does that when a machine starts, and expects it of a container's manager:
	// otherwise it mounts the credentials of services where none sees them.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts: %w", err)
	}
	return os.Chdir("/")
}

// kernel mounts, below the working directory, what a kernel and its initial RAM
// disk provide on a machine.
func kernel(console string) error {
	const quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	mounts := []struct {
		kind, target, options string
		flags                 uintptr
	}{
		{"proc", "proc", "", quiet},
		{"sysfs", "sys", "", quiet | unix.MS_RDONLY},
		{"cgroup2", "sys/fs/cgroup", "", quiet},
		{"tmpfs", "dev", "mode=755", unix.MS_NOSUID},
		{"devpts", "dev/pts", "newinstance,ptmxmode=0666,mode=620,gid=3", 0},
		{"tmpfs", "dev/shm", "mode=1777", unix.MS_NOSUID | unix.MS_NODEV},
		{"mqueue", "dev/mqueue", "", quiet},
		{"tmpfs", "run", "mode=755", unix.MS_NOSUID | unix.MS_NODEV},
		{"tmpfs", "tmp", "mode=1777", unix.MS_NOSUID | unix.MS_NODEV},
	}
	for _, mnt := range mounts {
		if mnt.target != "sys/fs/cgroup" { // sysfs has this folder
			if err := os.MkdirAll(mnt.target, 0o755); err != nil {
				return err
			}
		}
		if err := unix.Mount(mnt.kind, mnt.target, mnt.kind, mnt.flags, mnt.options); err != nil {
			return fmt.Errorf("mount %s on %s: %w", mnt.kind, mnt.target, err)
		}
	}
	// Kernel settings belong to the whole machine, except those of the network.
	if err := bind("proc/sys", "proc/sys"); err != nil {
		return err
	}
	if err := unix.Mount("", "proc/sys", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return err
	}
	unix.Umask(0)
	defer unix.Umask(0o022)
	for name, number := range map[string]uint64{
		"null": unix.Mkdev(1, 3), "zero": unix.Mkdev(1, 5), "full": unix.Mkdev(1, 7),
		"random": unix.Mkdev(1, 8), "urandom": unix.Mkdev(1, 9), "tty": unix.Mkdev(5, 0),
	} {
		if err := unix.Mknod("dev/"+name, unix.S_IFCHR|0o666, int(number)); err != nil {
			return fmt.Errorf("make /dev/%s: %w", name, err)
		}
	}
	for name, to := range map[string]string{"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := os.Symlink(to, "dev/"+name); err != nil {
			return err
		}
	}
	if err := os.WriteFile("dev/console", nil, 0o600); err != nil {
		return err
	}
	return bind(console, "dev/console")
}

// layOut makes the folders of a root that has no system yet.
func layOut(root string) error {
	for _, dir := range []string{"usr", "nix", "proc", "sys", "dev", "run", "tmp", "etc", "var", "root", "home"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	for _, dir := range strings.Fields("bin sbin lib lib64") {
		if err := os.Symlink("usr/"+dir, filepath.Join(root, dir)); err != nil {
			return err
		}
	}
	return os.Chmod(filepath.Join(root, "root"), 0o700)
}
