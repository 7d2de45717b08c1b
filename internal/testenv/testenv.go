// Package testenv finds the outside programs that tests need.
//
// A test that needs a program calls [Need]. If the program is missing, the test is
// skipped with the reason, or fails if HOSTENV_TEST_REQUIRE names the program or is
// 1. CI names all programs that it installs, so that it cannot skip their tests.
// `mage test` prints the same table before it runs.
package testenv

import (
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A Tool is a program, or a prepared folder, that some tests need.
type Tool struct {
	Name string // how tests ask for it
	For  string // what tests use it for
	Get  string // how to get it
	find func() string
}

// Path returns the path of the tool, or "" if it is missing.
func (t Tool) Path() string {
	if t.find != nil {
		return t.find()
	}
	path, err := exec.LookPath(t.Name)
	if err != nil {
		return ""
	}
	return path
}

// server finds a program that Debian puts into a folder of root's PATH only.
func server(name string) func() string {
	return func() string {
		for _, path := range []string{name, "/usr/sbin/" + name} {
			if path, err := exec.LookPath(path); err == nil {
				return path
			}
		}
		return ""
	}
}

// namespaces finds unshare, if it can make the namespaces that a fleet needs.
func namespaces() string {
	path, err := exec.LookPath("unshare")
	const overlay = "mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w /mnt/m && mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/m"
	if err != nil || os.Geteuid() != 0 || exec.Command(path, "--mount", "--net", "--pid", "--uts", "--fork", "sh", "-c", overlay).Run() != nil {
		return ""
	}
	return path
}

// Tools lists all tools that a test of this repository may need.
var Tools = []Tool{
	{Name: "nix", For: "the evaluation of real flakes, the nix/ library, differential decoding", Get: "apt-get install nix-bin"},
	{Name: "git", For: "merges of state.json, locking of sources, the example provider", Get: "apt-get install git"},
	{Name: "newer-nix", For: "the same under a newer Nix", Get: "set HOSTENV_TEST_NIX to nix binaries, separated by colons", find: func() string {
		return os.Getenv("HOSTENV_TEST_NIX")
	}},
	{Name: "nixos-eval", For: "whole NixOS systems of every node of every golden plan", Get: "set HOSTENV_TEST_NIXOS_EVAL to a folder that holds run.sh", find: func() string {
		dir := os.Getenv("HOSTENV_TEST_NIXOS_EVAL")
		if _, err := os.Stat(filepath.Join(dir, "run.sh")); dir == "" || err != nil {
			return ""
		}
		return dir
	}},
	{Name: "real-hostenv", For: "the comparison of plans and nodes with those of hostenv itself, and docs/migrating.md", Get: "set HOSTENV_TEST_REAL_HOSTENV to a folder that holds run.sh and setup.sh", find: func() string {
		dir := os.Getenv("HOSTENV_TEST_REAL_HOSTENV")
		for _, name := range []string{"run.sh", "setup.sh"} {
			if _, err := os.Stat(filepath.Join(dir, name)); dir == "" || err != nil {
				return ""
			}
		}
		return dir
	}},
	{Name: "nixos-nodes", For: "deployment to real NixOS nodes", Get: "as root, where namespaces, overlay mounts and version 2 of cgroups are: apt-get install mmdebstrap debian-archive-keyring iproute2, and set HOSTENV_TEST_NIXOS_EVAL to a folder with nixpkgs/, sops-nix/ and pkgs-names.json", find: func() string {
		dir := os.Getenv("HOSTENV_TEST_NIXOS_EVAL")
		for _, name := range []string{"nixpkgs/lib", "nixpkgs/nixos", "sops-nix/modules", "pkgs-names.json"} {
			if _, err := os.Stat(filepath.Join(dir, name)); dir == "" || err != nil {
				return ""
			}
		}
		for _, name := range []string{"mmdebstrap", "ip", "nsenter", "ssh-keygen", "go"} {
			if server(name)() == "" {
				return ""
			}
		}
		for _, path := range []string{"/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/unified/cgroup.procs"} {
			if file, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
				file.Close()
				if namespaces() == "" {
					return ""
				}
				return dir
			}
		}
		return ""
	}},
	{Name: "kernel", For: "limits of environments, in a machine whose cgroups have controllers", Get: "apt-get install qemu-system-x86, and set HOSTENV_TEST_KERNEL to a Linux kernel that can write to a serial console, such as the vmlinuz of Debian's linux-image-cloud-amd64", find: func() string {
		if _, err := os.Stat(os.Getenv("HOSTENV_TEST_KERNEL")); err != nil || server("qemu-system-x86_64")() == "" {
			return ""
		}
		return os.Getenv("HOSTENV_TEST_KERNEL")
	}},
	{Name: "nginx", For: "how nginx handles the headers of the front door", Get: "apt-get install nginx-light"},
	{Name: "sudo", For: "which commands sudo lets the deploy user run", Get: "as root, where mount namespaces are allowed: apt-get install sudo", find: func() string {
		path, err := exec.LookPath("sudo")
		if err != nil || os.Geteuid() != 0 || exec.Command("unshare", "--mount", "--propagation", "private", "true").Run() != nil {
			return ""
		}
		return path
	}},
	{Name: "bwrap", For: "the evaluation of projects without a home and without a network", Get: "apt-get install bubblewrap, where user namespaces are allowed", find: func() string {
		path, err := exec.LookPath("bwrap")
		if err != nil || exec.Command(path, "--unshare-all", "--ro-bind", "/", "/", "true").Run() != nil {
			return ""
		}
		return path
	}},
	{Name: "namespaces", For: "deployment to a fleet of nodes, each with its own Nix, sshd and users", Get: "run as root, where namespaces and overlay mounts are allowed", find: namespaces},
	{Name: "mounts", For: "disks that are full, read-only or another file system", Get: "run where mount namespaces are allowed, as root or in user namespaces", find: func() string {
		path, err := exec.LookPath("unshare")
		if err != nil || exec.Command(path, "--mount", "true").Run() != nil && exec.Command(path, "--mount", "--map-root-user", "true").Run() != nil {
			return ""
		}
		return path
	}},
	{Name: "ssh", For: "the same, and the ssh_config of a deploy", Get: "apt-get install openssh-client"},
	{Name: "sshd", For: "the same", Get: "apt-get install openssh-server", find: server("sshd")},
	{Name: "nix-daemon", For: "the same", Get: "apt-get install nix-bin"},
	{Name: "unshare", For: "the DNS gate against Let's Encrypt's own code, in a network of its own", Get: "run as root, or permit user namespaces", find: func() string {
		path, err := exec.LookPath("unshare")
		if err != nil || exec.Command(path, "--net", "true").Run() != nil && exec.Command(path, "--net", "--map-root-user", "true").Run() != nil {
			return ""
		}
		return path
	}},
	{Name: "ip", For: "the same", Get: "apt-get install iproute2"},
	{Name: "ipv6", For: "name servers that have IPv6 addresses alone", Get: "let the loopback device have ::1", find: func() string {
		listener, err := net.Listen("tcp6", "[::1]:0")
		if err != nil {
			return ""
		}
		listener.Close()
		return "::1"
	}},
	{Name: "unbound", For: "the same, and the DNS gate against a real resolver", Get: "apt-get install unbound"},
	{Name: "nsd", For: "the DNS gate against real authoritative servers", Get: "apt-get install nsd"},
	{Name: "dig", For: "the comparison of the DNS gate with one process for each query", Get: "apt-get install bind9-dnsutils"},
	{Name: "pebble", For: "a whole issuance over ACME", Get: "apt-get install pebble"},
	{Name: "deploy-rs", For: "deploys through the real deploy-rs, and its replacement in other tests", Get: "set HOSTENV_TEST_DEPLOY_RS to a folder with deploy and activate, as `cargo build --release` makes them", find: func() string {
		dir := os.Getenv("HOSTENV_TEST_DEPLOY_RS")
		for _, name := range []string{"deploy", "activate"} {
			if _, err := os.Stat(filepath.Join(dir, name)); dir == "" || err != nil {
				return ""
			}
		}
		return dir
	}},
	{Name: "bash", For: "the activation scripts of deploy-rs's profiles", Get: "apt-get install bash"},
	{Name: "zsh", For: "completion of the program's command line in zsh", Get: "apt-get install zsh"},
	{Name: "fish", For: "the same in fish", Get: "apt-get install fish"},
	{Name: "mandoc", For: "the program's manual page", Get: "apt-get install mandoc"},
	{Name: "groff", For: "the same", Get: "apt-get install groff-base"},
	{Name: "man", For: "the same", Get: "apt-get install man-db"},
	{Name: "jq", For: "the certificate records and the metrics of nodes, notifications by mail", Get: "apt-get install jq"},
	{Name: "curl", For: "notifications by a webhook and by mail", Get: "apt-get install curl"},
	{Name: "promtool", For: "the format of metrics, by Prometheus' own parser", Get: "apt-get install prometheus"},
	{Name: "openssl", For: "the same", Get: "apt-get install openssl"},
	{Name: "dash", For: "the wrapper of hostenv under a plain POSIX shell", Get: "apt-get install dash"},
	{Name: "shellcheck", For: "the shell programs", Get: "apt-get install shellcheck"},
	{Name: "python3-yaml", For: "the pipelines of the template", Get: "apt-get install python3-yaml", find: func() string {
		path, err := exec.LookPath("python3")
		if err != nil || exec.Command(path, "-c", "import yaml").Run() != nil {
			return ""
		}
		return path
	}},
	{Name: "chromium", For: "the fleet page in a browser", Get: "apt-get install chromium"},
	{Name: "axe-core", For: "the search for obstacles in the fleet page, beside our own tests", Get: "set HOSTENV_TEST_AXE to axe.min.js of axe-core", find: func() string {
		if _, err := os.Stat(os.Getenv("HOSTENV_TEST_AXE")); err != nil {
			return ""
		}
		return os.Getenv("HOSTENV_TEST_AXE")
	}},
	{Name: "strace", For: "the search for a token in the command lines and files of all processes", Get: "where ptrace is allowed: apt-get install strace", find: func() string {
		path, err := exec.LookPath("strace")
		if err != nil || exec.Command(path, "-o", os.DevNull, "true").Run() != nil {
			return ""
		}
		return path
	}},
	{Name: "systemd", For: "moves between nodes: how a user's systemd runs backups", Get: "as root, where mount and cgroup namespaces are allowed: apt-get install systemd dbus-user-session", find: func() string {
		const path = "/usr/lib/systemd/systemd"
		// systemctl uses the user's bus, which the user's units start.
		_, noBus := os.Stat("/usr/lib/systemd/user/dbus.socket")
		if _, err := os.Stat(path); err != nil || noBus != nil || os.Geteuid() != 0 || exec.Command("unshare", "--mount", "--cgroup", "--propagation", "private", "true").Run() != nil {
			return ""
		}
		return path
	}},
	{Name: "restic", For: "moves between nodes: the snapshots of real backups", Get: "apt-get install restic"},
	{Name: "mirrors", For: "files of other projects, such as deploy-rs's schema; the flake module under flake-parts; docs/options.md", Get: "set HOSTENV_TEST_MIRRORS to a folder of git repositories, each OWNER+NAME/repo", find: func() string {
		dir := os.Getenv("HOSTENV_TEST_MIRRORS")
		if info, err := os.Stat(dir); dir == "" || err != nil || !info.IsDir() {
			return ""
		}
		return dir
	}},
}

// Need returns the path of a tool of [Tools]. If the tool is missing, it skips the test,
// or fails it if HOSTENV_TEST_REQUIRE is 1 or a list, separated by commas, that names the
// tool.
func Need(t testing.TB, name string) string {
	t.Helper()
	i := slices.IndexFunc(Tools, func(tool Tool) bool { return tool.Name == name })
	if i < 0 {
		t.Fatalf("no tool is called %q in testenv.Tools", name)
	}
	path := Tools[i].Path()
	if path == "" {
		if Required(name) {
			t.Fatalf("%s is required and missing: %s", name, Tools[i].Get)
		}
		t.Skipf("%s is missing: %s (%s)", name, Tools[i].For, Tools[i].Get)
	}
	return path
}

// LeaveOut skips a test for a reason that the test has found. It fails the test
// instead if HOSTENV_TEST_REQUIRE names the tool. The name can also be that of an
// ability, such as "ptrace": to kill a process between system calls.
func LeaveOut(t testing.TB, name, format string, args ...any) {
	t.Helper()
	if reason := fmt.Sprintf(format, args...); Required(name) {
		t.Fatalf("%s is required: %s", name, reason)
	} else {
		t.Skipf("%s is missing: %s", name, reason)
	}
}

// Required reports whether HOSTENV_TEST_REQUIRE requires the tool.
func Required(name string) bool {
	require := os.Getenv("HOSTENV_TEST_REQUIRE")
	return require == "1" || slices.Contains(strings.Split(require, ","), name)
}

// Mirror returns the git repository of another project "owner/name" among the
// mirrors, and the environment in which git reads it even if another user owns it.
func Mirror(t testing.TB, repository string) (dir string, env []string) {
	t.Helper()
	dir = filepath.Join(Need(t, "mirrors"), strings.Replace(repository, "/", "+", 1), "repo")
	if _, err := os.Stat(dir); err != nil {
		if Required("mirrors") {
			t.Fatalf("the mirror of %s is missing: %v", repository, err)
		}
		t.Skipf("the mirror of %s is missing: %v", repository, err)
	}
	return dir, append(os.Environ(), "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
}

// Mirrored returns a file, as committed last, of another project's repository
// "owner/name" among the mirrors. Tests read it there and never copy it into this
// repository, because it has its own licence and changes.
func Mirrored(t testing.TB, repository, path string) []byte {
	t.Helper()
	mirror, env := Mirror(t, repository)
	cmd := exec.CommandContext(t.Context(), Need(t, "git"), "-C", mirror, "show", "HEAD:"+path)
	cmd.Env = env
	data, err := cmd.Output()
	if err != nil {
		t.Fatalf("read %s of %s: %v", path, repository, err)
	}
	return data
}

// NixBinaries returns every Nix to test with: the one on PATH and those of
// HOSTENV_TEST_NIX. If nix is missing, the test is skipped, see [Need].
func NixBinaries(t testing.TB) []string {
	t.Helper()
	binaries := []string{Need(t, "nix")}
	for _, path := range filepath.SplitList(os.Getenv("HOSTENV_TEST_NIX")) {
		if path != "" && !slices.Contains(binaries, path) {
			binaries = append(binaries, path)
		}
	}
	return binaries
}

// NixDir returns an empty folder for [NixEnv] and removes it after the test. t.TempDir
// cannot remove it, because the folders of a Nix store are read-only.
func NixDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hostenv-nix-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				_ = os.Chmod(path, 0o700)
			}
			return nil
		})
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove a Nix store after the test: %v", err)
		}
	})
	return dir
}

// NixEnv returns the environment for a Nix that uses no network: with flakes, without
// substituters, sandbox and build users, with an empty registry, and with its own store,
// caches and settings below dir.
func NixEnv(dir string) []string {
	config := strings.Join([]string{
		"experimental-features = nix-command flakes",
		"sandbox = false",
		"substituters =",
		"build-users-group =",
		"flake-registry = ",
	}, "\n")
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "NIX_") || strings.HasPrefix(kv, "XDG_") || strings.HasPrefix(kv, "HOME=")
	})
	return append(env,
		"HOME="+filepath.Join(dir, "home"),
		"NIX_CONFIG="+config,
		"NIX_CONF_DIR="+filepath.Join(dir, "etc"),
		"NIX_REMOTE=local?root="+filepath.Join(dir, "nix-root"),
		"GIT_CONFIG_GLOBAL="+os.DevNull,
		"GIT_CONFIG_SYSTEM="+os.DevNull,
	)
}

// Find returns the path of the named tool of [Tools], or "".
func Find(name string) string {
	for _, tool := range Tools {
		if tool.Name == name {
			return tool.Path()
		}
	}
	return ""
}

// PrintMissing prints which tests this machine skips, and how to enable them.
func PrintMissing(w io.Writer) {
	for _, tool := range Tools {
		if tool.Path() == "" {
			fmt.Fprintf(w, "skipped, because %s is missing: %s (%s)\n", tool.Name, tool.For, tool.Get)
		}
	}
}
