package fleet

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	deployUID = 990
	// The PATH of a session on NixOS, as far as a user has no profile.
	nodePath = "/run/wrappers/bin:/run/current-system/sw/bin"
	// Where the nodes have the program that profiles call activate-rs.
	activateRS = "/run/hostenv-fleet/activate-rs"
	// The records and the rules of activations: see activation.sh.
	activationLogs  = "/var/log/hostenv-fleet"
	activationRules = "/var/lib/hostenv-fleet"
)

func nodeEnv() []string {
	return []string{"PATH=" + nodePath, "HOME=/root", "USER=root", "LANG=C.UTF-8"}
}

// software lists the programs of NixOS's default PATH that a deploy may use.
var software = strings.Fields(`
	bash sh env
	arch b2sum base32 base64 basename cat chgrp chmod chown cksum comm cp csplit cut date dd df dir dirname du echo
	expand expr factor false fmt fold groups head hostid id install join link ln logname ls md5sum mkdir mkfifo mknod
	mktemp mv nice nl nohup nproc numfmt od paste pathchk pr printenv printf ptx pwd readlink realpath rm rmdir seq
	sha1sum sha256sum shred shuf sleep sort split stat stdbuf stty sum sync tac tail tee test timeout touch tr true
	truncate tsort tty uname unexpand uniq unlink users vdir wc who whoami yes [
	grep egrep fgrep sed awk find xargs tar gzip gunzip cmp diff
	flock setpriv nsenter unshare mountpoint mount umount findmnt logger kill
	getent ps pgrep pkill pidof ssh
	nix nix-build nix-channel nix-collect-garbage nix-copy-closure nix-daemon nix-env nix-hash nix-instantiate
	nix-prefetch-url nix-shell nix-store`)

func platform() string {
	return map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] + "-linux"
}

// A file is a file to create, or a folder if mode has the bit of folders.
type file struct {
	path string
	mode os.FileMode
	uid  int // and GID
	text string
}

func folder(path string, perm os.FileMode, uid int) file {
	return file{path: path, mode: os.ModeDir | perm, uid: uid}
}

func (f file) make() error {
	if f.mode.IsDir() {
		if err := os.MkdirAll(f.path, 0o755); err != nil {
			return err
		}
	} else if err := os.WriteFile(f.path, []byte(f.text), f.mode.Perm()); err != nil {
		return err
	}
	if err := os.Chown(f.path, f.uid, f.uid); err != nil {
		return err
	}
	return os.Chmod(f.path, f.mode) // chown removes bits, and the umask did too
}

func (f *Fleet) storeSize() int64 { return cmp.Or(f.options.Store, 1<<30) }

// furnish creates the files that a NixOS node of the plan has.
func (n *Node) furnish(template, sudoers string) error {
	root := func(path string) string { return filepath.Join(n.dir, "root", path) }
	for _, name := range []string{"work", "merged", "nix"} {
		if err := os.MkdirAll(filepath.Join(n.dir, name), 0o755); err != nil {
			return err
		}
	}
	store := filepath.Join(n.dir, "nix")
	if err := mountNix(store, template, n.fleet.storeSize()); err != nil {
		return err
	}

	files := []file{
		folder(root("etc/nix"), 0o755, 0),
		folder(root("etc/pam.d"), 0o755, 0),
		folder(root("etc/ssh/authorized_keys.d"), 0o755, 0),
		{root("etc/hostname"), 0o644, 0, n.Name + "\n"},
		{root("etc/nsswitch.conf"), 0o644, 0, "passwd: files\ngroup: files\nshadow: files\nhosts: files\n"},
		{root("etc/os-release"), 0o644, 0, "ID=nixos\nNAME=NixOS\nVERSION_ID=\"25.11\"\nPRETTY_NAME=\"NixOS 25.11 (a test's)\"\n"},
		{root("etc/pam.d/sudo"), 0o644, 0, "auth required pam_deny.so\naccount required pam_permit.so\nsession required pam_permit.so\n"},
		{root("etc/sudoers"), 0o440, 0, sudoers},
		{root("etc/ssh/sshd_config"), 0o644, 0, n.sshdConfig()},
		{root("etc/nix/nix.conf"), 0o644, 0, n.nixConf()},
		folder(root("root"), 0o700, 0),
		folder(root("home"), 0o755, 0),
		folder(root("var/log"), 0o755, 0),
		folder(root("var/lib"), 0o755, 0),
		folder(root("var/lib/"+DeployUser), 0o700, deployUID),
		folder(root(activationLogs), os.ModeSticky|0o777, 0),
		folder(root(activationRules), 0o755, 0),
		folder(root("run/current-system/sw/bin"), 0o755, 0),
		folder(root("run/wrappers/bin"), 0o755, 0),
		folder(root("run/sshd"), 0o755, 0),
		folder(root("run/hostenv"), 0o755, 0),
		folder(root("run/hostenv/user"), 0o755, 0),
		folder(root("run/user"), 0o755, 0),
		folder(root(filepath.Dir(activateRS)), 0o755, 0),
		folder(root(tempPath), 0o711, 0),
		folder(filepath.Join(store, "var/nix/profiles/per-user"), 0o755, 0),
	}
	for user, uid := range n.users {
		files = append(files,
			folder(root("home/"+user), 0o700, uid),
			folder(root(temp(user)), 0o700, uid),
			folder(root("run/hostenv/user/"+user), os.ModeSetgid|0o700, uid),
			folder(root(fmt.Sprintf("run/user/%d", uid)), 0o700, uid),
			folder(filepath.Join(n.dir, filepath.Dir(link(user))), 0o755, uid),
		)
	}
	hosts, err := os.ReadFile("/etc/hosts")
	if err != nil {
		return err
	}
	key, err := os.ReadFile(n.fleet.SSHKey + ".pub")
	if err != nil {
		return err
	}
	files = append(files,
		file{root("etc/hosts"), 0o644, 0, string(hosts)},
		file{root("etc/ssh/authorized_keys.d/" + DeployUser), 0o644, 0, string(key)})
	for _, f := range append(files, n.accounts(root("etc"))...) {
		if err := f.make(); err != nil {
			return err
		}
	}
	// These folders must not show the machine's files.
	for _, dir := range []string{"root", "home", "var/log", "run"} {
		if err := unix.Setxattr(root(dir), "trusted.overlay.opaque", []byte("y"), 0); err != nil {
			return fmt.Errorf("make %s opaque: %w", dir, err)
		}
	}
	for _, name := range software {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if strings.HasPrefix(path, machineBin) {
			if path, err = os.Readlink(path); err != nil {
				return err
			}
		}
		if nix := n.fleet.options.NodeNix; nix != "" && strings.HasPrefix(name, "nix") {
			path = nix // which does what its name says
		}
		if err := os.Symlink(path, root("run/current-system/sw/bin/"+name)); err != nil {
			return err
		}
	}
	sudo, err := exec.LookPath("sudo")
	if err != nil {
		return err
	}
	if err := os.Symlink(sudo, root("run/wrappers/bin/sudo")); err != nil {
		return err
	}
	return os.Link(n.fleet.activateRS, root(activateRS))
}

// sshdConfig returns NixOS's configuration, but with a fast key exchange: the one
// that ssh prefers takes 80 ms for each of hundreds of connections.
func (n *Node) sshdConfig() string {
	return fmt.Sprintf(`ListenAddress %s
Port %d
HostKey /etc/ssh/%s
AuthorizedKeysFile /etc/ssh/authorized_keys.d/%%u
KexAlgorithms curve25519-sha256
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
UsePAM no
PrintMotd no
LogLevel INFO
PidFile none
SetEnv PATH=%s
Subsystem sftp internal-sftp
`, n.Address, sshdPort, hostKeyName, nodePath)
}

func (n *Node) nixConf(trusted ...string) string {
	if len(trusted) == 0 && !n.fleet.options.Untrusted {
		trusted = []string{n.fleet.PublicKey}
	}
	return fmt.Sprintf(`build-users-group =
experimental-features = nix-command flakes
require-sigs = true
sandbox = false
substituters =
trusted-public-keys = %s
trusted-users = root
`, strings.Join(trusted, " "))
}

// accounts returns passwd, group and shadow. No account has a password, and none is
// locked.
func (n *Node) accounts(dir string) []file {
	const shell = "/run/current-system/sw/bin/bash"
	type account struct {
		name        string
		uid         int
		home, shell string
	}
	all := []account{
		{"root", 0, "/root", shell},
		{DeployUser, deployUID, "/var/lib/" + DeployUser, shell},
		{"sshd", 998, "/var/empty", "/bin/false"},
		{"nobody", 65534, "/var/empty", "/bin/false"},
	}
	for _, user := range slices.Sorted(maps.Keys(n.users)) {
		all = append(all, account{user, n.users[user], "/home/" + user, shell})
	}
	var passwd, group, shadow strings.Builder
	for _, a := range all {
		fmt.Fprintf(&passwd, "%s:x:%d:%d::%s:%s\n", a.name, a.uid, a.uid, a.home, a.shell)
		fmt.Fprintf(&group, "%s:x:%d:\n", a.name, a.uid)
		fmt.Fprintf(&shadow, "%s:*:1::::::\n", a.name)
	}
	return []file{
		{filepath.Join(dir, "passwd"), 0o644, 0, passwd.String()},
		{filepath.Join(dir, "group"), 0o644, 0, group.String()},
		{filepath.Join(dir, "shadow"), 0o640, 0, shadow.String()},
	}
}
