package nixosnodes_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
)

// A secret is a word of beta's that acme must not get.
const (
	inProcess = "zibeth-61-argument"
	inFile    = "zibeth-62-file"
	inLog     = "zibeth-63-log"
	inSecrets = "zibeth-64-passphrase"
	onPage    = "zibeth-65-page"
)

// Two customers log in to one node, and acme tries to see and to take what is
// beta's. Each attempt is one that has an effect for a user who may: beta itself, or
// root.
func TestApart(t *testing.T) {
	t.Parallel()
	s := begin(t, "node-a")
	n := s.Node("node-a")
	s.Provider.Secrets(t, map[string]map[string]string{
		"acme": {"backups_secret": "the passphrase of acme", "backups_env": "KEY=1\n"},
		"beta": {"backups_secret": inSecrets, "backups_env": "KEY=2\n"},
	})
	environments := map[string]nixosnode.Environment{"main": s.reachable(nixosnode.Environment{Hostenv: map[string]any{"backupsRepoHost": "s3:https://s3.example.com"}})}
	shop := nixosnode.Customer{Organisation: "acme", Project: "shop", Environments: environments}
	s.Provider.Add(t, shop,
		nixosnode.Customer{Organisation: "beta", Project: "portal", Environments: environments, Content: onPage},
	)
	s.mage(0, "plan")
	s.mage(0, "dnsGate", "-allowFlips") // the names have no addresses, so no node orders a certificate
	s.mage(0, "deploy")
	acme, beta := s.user("acme", "shop"), s.user("beta", "portal")
	acmeID, betaID := uid(t, n, acme), uid(t, n, beta)

	// What beta has: processes in a session and in a service, files, and a log.
	s.ssh(n, beta, `
		set -e
		(exec -a `+inProcess+` sleep 3600 >/dev/null 2>&1 </dev/null &)
		systemd-run --user --quiet --unit=secret bash -c 'while :; do exec -a `+inProcess+` sleep 3600; done'
		echo `+inLog+` | systemd-cat --identifier=portal
		mkdir -p ~/data
		for file in ~/data/secret /tmp/secret /var/tmp/secret /run/hostenv/user/`+beta+`/secret /run/hostenv/nginx/`+beta+`/secret /run/hostenv/deploy/`+beta+`/secret "$XDG_RUNTIME_DIR/secret"; do
			echo `+inFile+` >"$file"
		done
	`)

	manager := "busctl --json=short call org.freedesktop.systemd1 /org/freedesktop/systemd1"
	inDrv := `derivation { name = "x"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo x >$out" ]; }`
	// Each command prints the word for the control, and must not for acme.
	for name, attack := range map[string]struct {
		command, word string
		control       string // a user, beta's if empty
	}{
		"command lines in /proc":         {command: "cat /proc/[0-9]*/cmdline | tr '\\0' ' '", word: inProcess},
		"any file of a process in /proc": {command: "cat /proc/[0-9]*/{cmdline,environ,comm,stat,maps} 2>/dev/null | tr '\\0' ' '", word: inProcess},
		"any file of another user": {
			command: "find / \\( -path /nix -o -path /proc -o -path /sys \\) -prune -o -user " + beta + " ! -type d ! -type l \\( -readable -o -writable \\) -printf '" + inFile + " %p\\n' 2>/dev/null",
			word:    inFile,
		},
		"any folder of another user": {
			command: "find / \\( -path /nix -o -path /proc -o -path /sys \\) -prune -o -user " + beta + " -type d -writable -printf '" + inFile + " %p\\n' 2>/dev/null",
			word:    inFile,
		},
		"ps":                                 {command: "ps axww", word: inProcess},
		"processes of a service, by systemd": {command: manager + " org.freedesktop.systemd1.Manager GetUnitProcesses s user@" + betaID + ".service", word: inProcess, control: "root"},
		"processes of a slice, by systemd": {
			command: "busctl --json=short call org.freedesktop.systemd1 /org/freedesktop/systemd1/unit/user_2dbeta_2eslice org.freedesktop.systemd1.Slice GetProcesses",
			word:    inProcess, control: "root",
		},
		"systemctl status":          {command: "systemctl --no-pager --full status user-beta.slice", word: inProcess, control: "root"},
		"systemd-cgls":              {command: "systemd-cgls --no-pager --full -u user-beta.slice", word: inProcess, control: "root"},
		"another's journal":         {command: "journalctl --no-pager --quiet --output=cat --since=-1h", word: inLog, control: "root"},
		"another's journal, by UID": {command: "journalctl --no-pager --quiet --output=cat _UID=" + betaID, word: inLog, control: "root"},
		"files of the home":         {command: "cat /home/" + beta + "/data/secret", word: inFile},
		"names in the home":         {command: "ls /home/" + beta + " && echo " + inFile, word: inFile},
		"/tmp":                      {command: "cat /tmp/secret", word: inFile},
		"/var/tmp":                  {command: "cat /var/tmp/secret", word: inFile},
		"the runtime folder":        {command: "cat /run/hostenv/user/" + beta + "/secret", word: inFile},
		"the folder of the socket":  {command: "cat /run/hostenv/nginx/" + beta + "/secret", word: inFile},
		"the folder of activations": {command: "cat /run/hostenv/deploy/" + beta + "/secret", word: inFile},
		"XDG_RUNTIME_DIR":           {command: "cat /run/user/" + betaID + "/secret", word: inFile},
		"secrets":                   {command: "cat /run/secrets/" + beta + "/backups_secret", word: inSecrets},
		"the socket":                {command: "curl --silent --max-time 5 --unix-socket /run/hostenv/nginx/" + beta + "/in.sock http://portal/", word: onPage},
		"another's user manager":    {command: "XDG_RUNTIME_DIR=/run/user/" + betaID + " systemctl --user is-active site.service", word: "active"},
		"another's profile":         {command: "ln -sfn /nonexistent /nix/var/nix/profiles/per-user/" + beta + "/other && echo " + inFile, word: inFile},
		"a signal":                  {command: "kill -0 $(systemctl show --value --property=MainPID user@" + betaID + ") && echo " + inFile, word: inFile},
		"a file in the store":       {command: "cd && echo x >x && nix-store --add x", word: "/nix/store", control: "deploy"},
		"a build":                   {command: "nix-build --no-out-link -E '" + inDrv + "' --option sandbox false", word: "/nix/store", control: "deploy"},
		"garbage collection":        {command: "nix-store --gc --print-dead >/dev/null && echo " + inFile, word: inFile, control: "deploy"},
	} {
		t.Run(name, func(t *testing.T) {
			run := func(user string) string {
				if user == "root" {
					out, err := n.Exec("bash", "-c", attack.command)
					if err != nil {
						out += err.Error()
					}
					return out
				}
				out, err := s.Operator.SSH(n, user, attack.command)
				if err != nil {
					out += err.Error()
				}
				return out
			}
			has := func(out string) bool {
				// The error of a command names the command.
				return strings.Contains(strings.ReplaceAll(out, attack.command, ""), attack.word)
			}
			control := attack.control
			if control == "" {
				control = beta
			}
			if out := run(control); !has(out) {
				t.Errorf("the test shows nothing, because %s does not get it either: %s", control, out)
			}
			if out := run(acme); has(out) {
				t.Errorf("acme gets it: %s", out)
			}
		})
	}

	t.Run("its own", func(t *testing.T) {
		// acme has what it needs: its own processes, services, log, /tmp in a session as
		// in a service, and those of the node that it may know.
		for command, want := range map[string]string{
			"(exec -a own-process sleep 60 >/dev/null 2>&1 </dev/null &); ps -u $UID -o args": "own-process",
			"systemctl --user --no-pager status site.service":                                 "site -socket",
			"systemctl --user is-system-running":                                              "running",
			"systemd-run --user --quiet --pipe --wait cat /proc/self/cgroup":                  "user@" + acmeID + ".service",
			"systemd-run --user --quiet --scope cat /proc/self/cgroup":                        "user@" + acmeID + ".service",
			"loginctl show-session --value --property=Name $XDG_SESSION_ID":                   acme,
			"echo own-log | systemd-cat; for i in 1 2 3 4 5 6 7 8 9; do journalctl --user --quiet --no-pager --output=cat | grep own-log && exit; sleep 1; done": "own-log",
			"echo own-file >/tmp/own && systemd-run --user --quiet --pipe --wait cat /tmp/own":                                                                   "own-file",
			"systemctl is-active nginx": "active",
			"nix --version":             "nix",
			"bash -c 'cat /proc/$$/cmdline | tr \"\\0\" \" \"; ulimit -a >/dev/null; id'": acme,
		} {
			if out, err := s.Operator.SSH(n, acme, command); err != nil || !strings.Contains(out, want) {
				t.Errorf("%s: %q, %v, want %q", command, out, err, want)
			}
		}
		// The site does not depend on whether its socket was made before or after.
		if slice := n.Unit(t, "nix-daemon", "Slice"); slice != "hostenv-nix.slice" {
			t.Errorf("nix-daemon is in %s", slice)
		}
	})

	t.Run("another's page under its own name", func(t *testing.T) {
		s.point(n, s.host("acme", "shop"))
		socket := "/run/hostenv/nginx/" + acme + "/in.sock"
		s.ssh(n, acme, "systemctl --user stop site.service; rm -f "+socket+"; ln -s /run/hostenv/nginx/"+beta+"/in.sock "+socket)
		code, body, err := s.get("http://" + s.host("acme", "shop") + "/")
		if err != nil || code != http.StatusBadGateway || strings.Contains(body, onPage) {
			t.Errorf("acme's name answers %d %q, %v, want a bad gateway", code, body, err)
		}
		s.ssh(n, acme, "rm "+socket+"; systemctl --user start site.service")
		nixosnode.Eventually(t, "acme's page", func() error {
			code, body, err := s.get("http://" + s.host("acme", "shop") + "/")
			if err == nil && code != http.StatusOK {
				err = fmt.Errorf("%d %s", code, body)
			}
			return err
		})
	})

	t.Run("it stays so", func(t *testing.T) {
		// After a change of the node, with the customer's Nix, and after a reboot.
		s.Provider.Module(t, "nix", `{ hostenv.nix.customers = [ "acme" ]; }`)
		shop.Content = "another shop"
		s.Provider.Add(t, shop)
		s.mage(0, "plan")
		s.mage(0, "dnsGate")
		s.mage(0, "deploy")
		if out, err := s.Operator.SSH(n, acme, "cd && echo y >y && nix-store --add y"); err != nil {
			t.Errorf("acme may use Nix, and cannot: %s %v", out, err)
		}
		if out, err := s.Operator.SSH(n, beta, "cd && echo z >z && nix-store --add z"); err == nil {
			t.Errorf("beta uses Nix: %s", out)
		}
		n.Reboot(t)
		for _, user := range []string{acme, beta} {
			nixosnode.Eventually(t, "the site of "+user, func() error {
				_, err := s.Operator.SSH(n, user, "systemctl --user is-active site.service")
				return err
			})
		}
		if out, err := s.Operator.SSH(n, acme, "ps -o pid= -u "+beta); err == nil || strings.TrimSpace(out) != "" {
			t.Errorf("acme sees processes of beta after a reboot: %s", out)
		}
	})
}
