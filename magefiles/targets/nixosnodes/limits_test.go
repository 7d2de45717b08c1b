package nixosnodes_test

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// reachable returns a customer with an environment that the operator can log in
// to, as the customer's developers do.
func (s *labTest) reachable(more nixosnode.Environment) nixosnode.Environment {
	more.Users = map[string]any{"ops": map[string]any{"publicKeys": []string{s.Operator.PublicKey}}}
	if more.Type == "" {
		more.Type = "production"
	}
	return more
}

// ssh runs a shell command as a user of a node, by ssh.
func (s *labTest) ssh(n *nixosnode.Node, user, command string) string {
	s.t.Helper()
	out, err := s.Operator.SSH(n, user, command)
	if err != nil {
		s.t.Fatalf("ssh %s@%s: %v", user, n.Name, err)
	}
	return out
}

// cgroup returns the cgroup of version 2 that a /proc/PID/cgroup names.
func cgroup(t testing.TB, text string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSpace(path)
		}
	}
	t.Fatalf("no cgroup of version 2 is in %q", text)
	return ""
}

// uid returns the UID of a user of a node.
func uid(t testing.TB, n *nixosnode.Node, user string) string {
	t.Helper()
	return n.Run(t, "id", "-u", user)
}

var (
	//go:embed testdata/machine.sh
	machineScript string
	//go:embed testdata/limits.sh
	limitsScript string
)

// inMachine tests limits in a machine with a kernel of its own, where version 2 of
// cgroups has controllers. Debian's systemd runs there with a node's slices, and
// the node's own program puts sessions of two users into them. The emulated
// machine is slow, but needs no hardware. inMachine returns what
// testdata/limits.sh finds.
func (s *labTest) inMachine(t *testing.T, n *nixosnode.Node, slice, user, other string) map[string]string {
	t.Helper()
	kernel := testenv.Need(t, "kernel")
	o := s.Operator
	program := n.Run(t, "grep", "-o", "/nix/store/[^ ]*-hostenv-enter-slice", "/etc/pam.d/sshd")
	enter := regexp.MustCompile("(?m)^export PATH=.*$").ReplaceAllString(n.Run(t, "cat", program), "export PATH=/usr/bin")
	const dir = "/tmp/machine"
	for file, text := range map[string]string{
		"enter-slice":                                 enter,
		"limits.sh":                                   limitsScript,
		"etc/hostenv/slices":                          n.Run(t, "cat", "/etc/hostenv/slices") + "\n",
		"etc/systemd/system/" + path.Base(slice):      n.Run(t, "cat", "/etc/systemd/system/"+path.Base(slice)),
		"etc/systemd/system/dbus.service.d/more.conf": "[Unit]\nDefaultDependencies=no\n",
		"etc/systemd/system/dbus.socket.d/more.conf":  "[Unit]\nDefaultDependencies=no\n",
		"etc/systemd/system/limits.service": "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\nAfter=dbus.socket\n" +
			"[Service]\nType=oneshot\nTimeoutStartSec=infinity\nExecStart=/bin/bash /limits.sh " + slice + " " + user + " " + other + "\n",
	} {
		o.Write(t, dir+"/"+file, text)
	}
	o.Write(t, "/tmp/machine.sh", machineScript)
	o.Run(t, "bash", "/tmp/machine.sh", dir, "/tmp/machine.cpio")

	ctx, cancel := context.WithTimeout(t.Context(), 2*nixosnode.Deadline)
	defer cancel()
	console, err := exec.CommandContext(ctx, "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1024", "-nic", "none",
		"-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot", "-kernel", kernel, "-initrd", o.Path("/tmp/machine.cpio"),
		"-append", "console=ttyS0 quiet panic=-1 cgroup_no_v1=all rdinit=/init systemd.unit=limits.service systemd.show_status=no").CombinedOutput()
	if err != nil {
		t.Fatalf("the machine: %v\n%s", err, console)
	}
	found := map[string]string{}
	for line := range strings.Lines(string(console)) {
		if _, result, ok := strings.Cut(line, "RESULT "); ok {
			name, value, _ := strings.Cut(strings.TrimSpace(result), " ")
			found[name] = value
		}
	}
	if len(found) != 4 {
		t.Fatalf("the machine found %v:\n%s", found, console)
	}
	return found
}

// Every process of an environment's user is within the slice of its project: the
// user manager, the sessions, what sessions leave running, and what a deploy
// runs as the user. So the limits of the project hold for all of them together.
func TestLimits(t *testing.T) {
	t.Parallel()
	s := begin(t, "node-a")
	n := s.Node("node-a")
	s.Provider.Set(t, "limits", `{ organisations.acme = { memoryMax = "128M"; cpuQuota = "50%"; }; }`)
	main, staging := s.reachable(nixosnode.Environment{}), s.reachable(nixosnode.Environment{Type: "testing"})
	s.Provider.Add(t,
		nixosnode.Customer{Organisation: "acme", Project: "shop", Environments: map[string]nixosnode.Environment{"main": main, "staging": staging}},
		nixosnode.Customer{Organisation: "beta", Project: "portal", Environments: map[string]nixosnode.Environment{"main": main}},
	)
	s.mage(0, "plan")
	s.mage(0, "dnsGate", "-allowFlips") // the names have no addresses, so no node orders a certificate
	s.mage(0, "deploy")

	const ofShop = "/user.slice/user-acme.slice/user-acme-shop.slice"
	users := map[string]string{ // by user, where it belongs
		s.user("acme", "shop"):                        ofShop + "/user-acme-shop-%s.slice",
		s.Provider.User(t, "acme", "shop", "staging"): ofShop + "/user-acme-shop-%s.slice",
		s.user("beta", "portal"):                      "/user.slice/user-beta.slice/user-beta-portal.slice/user-beta-portal-%s.slice",
	}
	for user, slice := range users {
		uid := uid(t, n, user)
		slice = fmt.Sprintf(slice, uid)
		within := func(what, cgroup string) {
			t.Helper()
			if path.Dir(cgroup) != slice {
				t.Errorf("%s of %s is in %s, want %s", what, user, cgroup, slice)
			}
		}
		within("the user manager", n.Unit(t, "user@"+uid, "ControlGroup"))
		within("a command by ssh", cgroup(t, s.ssh(n, user, "cat /proc/self/cgroup")))
		terminal, err := s.Operator.Command("ssh", "-tt", "-o", "HostKeyAlias="+n.Name, user+"@"+n.Address, "cat /proc/self/cgroup").Output()
		if err != nil {
			t.Fatal(err)
		}
		within("a terminal", cgroup(t, string(terminal)))
		within("the activation", cgroup(t, n.Run(t, "cat", "/home/"+user+"/activation.cgroup")))

		// logind and the user's systemd still have it as a session.
		const asks = `loginctl show-session --value --property=Name "$XDG_SESSION_ID"; echo "$XDG_RUNTIME_DIR"; systemctl --user is-active site.service`
		if out := s.ssh(n, user, asks); out != user+"\n/run/user/"+uid+"\nactive" {
			t.Errorf("a session of %s finds %q", user, out)
		}
	}
	// The deploy user belongs to no environment, and stays where systemd puts it.
	if got := cgroup(t, s.ssh(n, "deploy", "cat /proc/self/cgroup")); !strings.HasPrefix(got, "/user.slice/user-"+uid(t, n, "deploy")+".slice/session-") {
		t.Errorf("a session of the deploy user is in %s", got)
	}

	shop, beta := s.user("acme", "shop"), s.user("beta", "portal")
	slice := "user-acme-shop-" + uid(t, n, shop) + ".slice"
	t.Run("limits", func(t *testing.T) {
		for unit, want := range map[string][2]string{"user-acme-shop.slice": {"134217728", "500ms"}, "user-beta-portal.slice": {"12884901888", "2s"}} {
			if got := [2]string{n.Unit(t, unit, "MemoryMax"), n.Unit(t, unit, "CPUQuotaPerSecUSec")}; got != want {
				t.Errorf("%s has %v, want %v", unit, got, want)
			}
		}
		// systemd computes the limit of a session from all slices above it.
		scope := path.Base(cgroup(t, s.ssh(n, shop, "(sleep 600 >/dev/null 2>&1 </dev/null &) ; cat /proc/self/cgroup")))
		if got := n.Unit(t, scope, "EffectiveMemoryMax"); got != "134217728" {
			t.Errorf("%s may use %s bytes, want 134217728", scope, got)
		}
		// What a session leaves running stays in its scope, and ends with the slice.
		if state := n.Unit(t, scope, "ActiveState"); state != "active" {
			t.Errorf("%s, which has a process, is %s", scope, state)
		}
		n.Run(t, "systemctl", "kill", "--signal=KILL", scope)
		nixosnode.Eventually(t, "the end of "+scope, func() error {
			if state := n.Unit(t, scope, "LoadState"); state != "not-found" {
				return errors.New("it is " + state)
			}
			return nil
		})
	})

	t.Run("enforced", func(t *testing.T) {
		got := map[string]string{}
		if controllers := nixosnode.Controllers(); slices.Contains(controllers, "memory") && slices.Contains(controllers, "cpu") {
			manager := n.Unit(t, "user@"+uid(t, n, beta), "MainPID")
			for _, user := range []string{shop, beta} {
				got[user] = "0"
				if _, err := s.Operator.SSH(n, user, "head -c 192M /dev/zero | tail -c 192M >/dev/null"); err != nil {
					got[user] = "137" // or the kernel chose another process of the session
				}
			}
			s.ssh(n, shop, "SECONDS=0; while [ $SECONDS -lt 2 ]; do :; done")
			for line := range strings.Lines(n.Run(t, "cat", "/sys/fs/cgroup"+ofShop+"/memory.events", "/sys/fs/cgroup"+ofShop+"/cpu.stat")) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
				got[name] = value
			}
			if now := n.Unit(t, "user@"+uid(t, n, beta), "MainPID"); now != manager {
				t.Errorf("the manager of %s is %s, want %s as before", beta, now, manager)
			}
		} else {
			t.Logf("version 2 of this machine's cgroups has the controllers %q: the limits are tested in another machine", controllers)
			got = s.inMachine(t, n, ofShop, shop, beta)
		}
		if got[shop] != "137" || got["oom_kill"] == "0" || got["oom_kill"] == "" {
			t.Errorf("a session that takes 192 MiB, with a limit of 128, is not killed: %v", got)
		}
		if got[beta] != "0" {
			t.Errorf("a session of another customer cannot take 192 MiB: %v", got)
		}
		if got["nr_throttled"] == "0" || got["nr_throttled"] == "" {
			t.Errorf("a busy session is not limited to half a processor: %v", got)
		}
	})

	t.Run("refused", func(t *testing.T) {
		// A session that cannot be limited is refused.
		n.Run(t, "sh", "-c", "sed 's/ .*/ no-slice/' /etc/hostenv/slices >/tmp/slices && mount --bind /tmp/slices /etc/hostenv/slices")
		var both sync.WaitGroup // each gives up after a while
		both.Go(func() {
			if out, err := s.Operator.SSH(n, shop, "echo in"); err == nil || strings.Contains(out, "in") {
				t.Errorf("a session without a slice was opened: %q", out)
			}
		})
		both.Go(func() {
			if out, err := s.Operator.SSH(n, "deploy", "sudo -n -u "+shop+" hostenv-move discard"); err == nil || !strings.Contains(err.Error(), "session initialization") {
				t.Errorf("sudo must not run a command without a slice: %q, %v", out, err)
			}
		})
		both.Wait()
		contains(t, n.Run(t, "journalctl", "--identifier=hostenv-enter-slice", "--output=cat", "--no-pager"),
			"refused the session of "+shop+" by sshd, because it cannot be put into no-slice: ", "refused the session of "+shop+" by sudo")
		s.ssh(n, "deploy", "true")
		n.Run(t, "umount", "/etc/hostenv/slices")
		s.ssh(n, shop, "true")
	})

	// A changed limit holds at once, also for processes that run already.
	s.Provider.Set(t, "limits", `{ organisations.acme = { memoryMax = "256M"; cpuQuota = "50%"; }; }`)
	s.Provider.Commit(t)
	s.mage(0, "plan")
	manager := n.Unit(t, "user@"+uid(t, n, shop), "MainPID")
	s.mage(0, "deploy")
	if got := n.Unit(t, slice, "EffectiveMemoryMax"); got != "268435456" {
		t.Errorf("%s may use %s bytes, want 268435456", slice, got)
	}
	if now := n.Unit(t, "user@"+uid(t, n, shop), "MainPID"); now != manager {
		t.Errorf("a changed limit restarted the manager of %s", shop)
	}

	// All processes of an environment end with its slice, and start again with its
	// manager.
	id := uid(t, n, shop)
	n.Run(t, "systemctl", "stop", slice)
	if out, err := n.Exec("pgrep", "--list-full", "--euid", id); err == nil {
		t.Errorf("%s was stopped, and %s has processes:\n%s", slice, shop, out)
	}
	n.Run(t, "systemctl", "start", "user@"+id)
	nixosnode.Eventually(t, "the site of "+shop, func() error {
		_, err := s.Operator.SSH(n, shop, "systemctl --user is-active site.service")
		return err
	})
}
