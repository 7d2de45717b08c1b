package nodes_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// TestSudo lets sudo itself decide on the command lines of deploy-rs
// (build_activate_command and similar functions in its src/deploy.rs), and on
// others that deploy-rs does not run.
func TestSudo(t *testing.T) {
	sudo := testenv.Need(t, "sudo")
	// sudo 1.9.10 is the first with regular expressions for arguments.
	version, err := exec.Command(sudo, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	var major, minor, patch int
	if _, err := fmt.Sscanf(string(version), "Sudo version %d.%d.%d", &major, &minor, &patch); err != nil {
		t.Fatalf("%v: %s", err, version)
	}
	if major*10000+minor*100+patch < 10910 {
		testenv.LeaveOut(t, "sudo", "this one is %d.%d.%d and not at least 1.9.10", major, minor, patch)
	}

	// An environment whose user exists on this machine.
	dir := scenario(t, "101")
	plan := read(t, filepath.Join(dir, "plan.json"))
	environments := path(plan, "environments")
	daemon := map[string]any{
		"node": nodeName, "enable": true, "uid": 1,
		"hostenv": map[string]any{"userName": "daemon", "organisation": "acme", "project": "site"},
	}
	environments["daemon"] = daemon
	path(plan, "profiles")["daemon"] = map[string]any{"profileLink": "/nix/var/nix/profiles/per-user/daemon/hostenv", "tempPath": "/run/hostenv/deploy/daemon", "activationTimeout": 900}
	got, err := evaluate[values](t, "values", map[string]node{"": {Plan: write(t, "plan.json", encode(t, plan)), Node: nodeName, Provider: provider(t, dir), Sops: true}})
	if err != nil {
		t.Fatal(err)
	}

	const (
		hash    = "0123456789abcdfghijklmnpqrsvwxyz"
		store   = "/nix/store/" + hash + "-activatable-nixos-system-node-a-25.05"
		profile = " --profile-path '/nix/var/nix/profiles/system'"
		temp    = " --temp-path '/run/hostenv/deploy'"
		canary  = "/run/hostenv/deploy/deploy-rs-canary-" + hash
	)
	activate := "sudo -u root " + store + "/activate-rs activate '" + store + "'" + profile + temp + " --confirm-timeout 30"
	// The same for an environment.
	const (
		ownProfile = " --profile-path '/nix/var/nix/profiles/per-user/daemon/hostenv'"
		ownTemp    = " --temp-path '/run/hostenv/deploy/daemon'"
		ownCanary  = "/run/hostenv/deploy/daemon/deploy-rs-canary-" + hash
	)
	own := "sudo -u daemon " + store + "/activate-rs activate '" + store + "'" + ownProfile + ownTemp + " --confirm-timeout 30"
	prepare := write(t, "prepare.sh", strings.NewReplacer("STORE", store, "OWNCANARY", ownCanary, "CANARY", canary).Replace(`
		mkdir -p STORE/bin /run/current-system/sw/bin /run/hostenv/deploy/daemon
		chmod 0711 /run/hostenv/deploy
		chown daemon /run/hostenv/deploy/daemon
		chmod 0700 /run/hostenv/deploy/daemon
		touch CANARY OWNCANARY
		for program in STORE/activate-rs STORE/bin/switch-to-configuration /run/current-system/sw/bin/nix-env /run/current-system/sw/bin/hostenv-move /run/current-system/sw/bin/hostenv-units /run/current-system/sw/bin/hostenv-users /run/evil/hostenv-users /run/evil/hostenv-move /run/evil/nix-env /run/evil/rm; do
			printf '#!/bin/sh\necho "$(/usr/bin/basename "$0") as $(/usr/bin/id -un) with PATH=$PATH"\n' >$program
			chmod +x $program
		done
		cp /bin/rm /run/current-system/sw/bin/rm
		mkdir -p /nix/var/nix/profiles/per-user/daemon
		chown daemon /nix/var/nix/profiles/per-user/daemon
		ln -s hostenv-1-link /nix/var/nix/profiles/per-user/daemon/hostenv
		ln -s system-1-link /nix/var/nix/profiles/system
	`))
	const (
		asRoot  = " as root with PATH=/run/wrappers/bin:/run/current-system/sw/bin"
		asOwner = " as daemon with PATH=/run/wrappers/bin:/run/current-system/sw/bin"
	)
	tests := []struct{ command, want string }{
		{activate + " --magic-rollback --auto-rollback", "ran activate-rs" + asRoot},
		{activate + " --auto-rollback --dry-activate", "ran activate-rs" + asRoot},
		{activate + " --boot", "ran activate-rs" + asRoot},
		{activate, "ran activate-rs" + asRoot},
		{"sudo -u root " + store + "/activate-rs wait '" + store + "'" + temp, "ran activate-rs" + asRoot},
		{"sudo -u root " + store + "/activate-rs wait '" + store + "'" + temp + " --activation-timeout 240", "ran activate-rs" + asRoot},
		{"sudo -u root " + store + "/activate-rs revoke" + profile, "ran activate-rs" + asRoot},
		{"sudo -u root rm " + canary, "ran "},
		{"sudo -u root nix-env -p /nix/var/nix/profiles/system --set " + store, "ran nix-env" + asRoot},
		{"sudo -u root " + store + "/bin/switch-to-configuration switch", "ran switch-to-configuration" + asRoot},

		{own + " --magic-rollback --auto-rollback", "ran activate-rs" + asOwner},
		{"sudo -u daemon " + store + "/activate-rs wait '" + store + "'" + ownTemp, "ran activate-rs" + asOwner},
		{"sudo -u daemon " + store + "/activate-rs revoke" + ownProfile, "ran activate-rs" + asOwner},
		{"sudo -u daemon rm " + ownCanary, "ran "},
		{"sudo -u daemon nix-env -p /nix/var/nix/profiles/per-user/daemon/hostenv --set " + store, "ran nix-env" + asOwner},
		{"sudo -u daemon rm /nix/var/nix/profiles/per-user/daemon/hostenv", "ran "},
		{"sudo -u daemon hostenv-move backup drupal-migrate", "ran hostenv-move" + asOwner},
		{"sudo -u daemon hostenv-move snapshots drupal-migrate tagged", "ran hostenv-move" + asOwner},
		{"sudo -u daemon hostenv-move snapshots " + strings.Repeat("d", 100) + " all", "ran hostenv-move" + asOwner},
		{"sudo -u daemon hostenv-move journal drupal-migrate 1795405000", "ran hostenv-move" + asOwner},
		{"sudo -u daemon hostenv-move holds drupal-migrate", "ran hostenv-move" + asOwner},
		{"sudo -u daemon hostenv-move plan 120", "ran hostenv-move" + asOwner},
		{"sudo -u daemon hostenv-move discard", "ran hostenv-move" + asOwner},
		{"sudo -u daemon hostenv-units stop", "ran hostenv-units" + asOwner},

		{"sudo -u root hostenv-users list", "ran hostenv-users" + asRoot},
		{"sudo -u root hostenv-users remove site-main-b7ea262 40001", "ran hostenv-users" + asRoot},

		{"sudo -u root hostenv-users", "refused"},
		{"sudo -u root hostenv-users activate", "refused"},
		{"sudo -u root hostenv-users list all", "refused"},
		{"sudo -u root hostenv-users remove site-main-b7ea262", "refused"},
		{"sudo -u root hostenv-users remove ../root 40001", "refused"},
		{"sudo -u root hostenv-users remove -f 40001", "refused"},
		{"sudo -u root hostenv-users remove site 0", "refused"},
		{"sudo -u root hostenv-users remove site 40001 other", "refused"},
		{"sudo -u root hostenv-users remove 'site 40001' 40001", "refused"},
		{"sudo -u daemon hostenv-users list", "refused"},
		{"sudo -u root /run/evil/hostenv-users list", "refused"},
		{"sudo -u root PATH=/run/evil hostenv-users list", "refused"},
		{"sudo -u daemon hostenv-move", "refused"},
		{"sudo -u daemon hostenv-move backup", "refused"},
		{"sudo -u daemon hostenv-move backup 'a b'", "refused"},
		{"sudo -u daemon hostenv-move backup a b", "refused"},
		{"sudo -u daemon hostenv-move backup ../a", "refused"},
		{"sudo -u daemon hostenv-move holds ../a", "refused"},
		{"sudo -u daemon hostenv-move holds", "refused"},
		{"sudo -u daemon hostenv-move backup '-a'", "refused"},
		{"sudo -u daemon hostenv-move backup 'a;id'", "refused"},
		{"sudo -u daemon hostenv-move snapshots a none", "refused"},
		{"sudo -u daemon hostenv-move snapshots " + strings.Repeat("d", 101) + " all", "refused"},
		{"sudo -u daemon hostenv-move restore a", "refused"},
		{"sudo -u root hostenv-move discard", "refused"},
		{"sudo -u daemon hostenv-units", "refused"},
		{"sudo -u daemon hostenv-units stop now", "refused"},
		{"sudo -u root hostenv-units stop", "refused"},
		{"sudo -u nobody hostenv-units stop", "refused"},
		{"sudo -u nobody hostenv-move discard", "refused"},
		{"sudo -u daemon /run/evil/hostenv-move discard", "refused"},
		{"sudo -u daemon XDG_RUNTIME_DIR=/tmp hostenv-move discard", "refused"},
		{strings.Replace(own, "-u daemon", "-u root", 1), "refused"},
		{strings.Replace(own, "-u daemon", "-u nobody", 1), "refused"},
		{strings.Replace(own, ownProfile, profile, 1), "refused"},
		{strings.Replace(own, ownTemp, temp, 1), "refused"},
		{"sudo -u daemon " + store + "/bin/switch-to-configuration switch", "refused"},
		{"sudo -u daemon sh", "refused"},
		{activate + " --log-dir /etc", "refused"},
		{strings.Replace(activate, "profiles/system", "profiles/per-user/root/profile", 1), "refused"},
		{strings.Replace(activate, "/run/hostenv/deploy", "/tmp", 1), "refused"},
		{strings.Replace(activate, "'"+store+"'", "/tmp/closure", 1), "refused"},
		{"sudo -u root " + store + "/activate-rs", "refused"},
		{"sudo -u root " + store + "/activate-rs revoke --profile-path /etc", "refused"},
		{"sudo -u root FOO=1 " + store + "/activate-rs revoke" + profile, "refused"},
		{"sudo -u root rm " + canary + " /etc/shadow", "refused"},
		{"sudo -u root rm -r /run/hostenv/deploy", "refused"},
		{"sudo -u root rm /nix/var/nix/profiles/system", "refused"},
		{"sudo -u root rm /nix/var/nix/profiles/per-user/daemon/hostenv", "refused"},
		{"sudo -u daemon rm -r /nix/var/nix/profiles/per-user/daemon/hostenv", "refused"},
		{"sudo -u daemon rm /nix/var/nix/profiles/per-user/daemon/hostenv-1-link", "refused"},
		{"sudo -u daemon rm /nix/var/nix/profiles/per-user/daemon", "refused"},
		{"sudo -u daemon rm /nix/var/nix/profiles/per-user/daemon/hostenv /etc/shadow", "refused"},
		{"sudo -u root rm /run/hostenv/deploy/deploy-rs-canary-../../../etc/shadow", "refused"},
		{"sudo -u root /run/evil/rm " + canary, "refused"},
		{"sudo -u root nix-env -p /nix/var/nix/profiles/system --set /tmp/system", "refused"},
		{"sudo -u root nix-env -p /nix/var/nix/profiles/system --set " + store + " --option x y", "refused"},
		{"sudo -u root " + store + "/bin/switch-to-configuration test", "refused"},
		{"sudo -u root " + store + "/../../../bin/sh", "refused"},
		{"sudo -u root sh", "refused"},
		{"sudo -u nobody " + store + "/activate-rs revoke" + profile, "refused"},
	}
	var commands strings.Builder
	for _, test := range tests {
		commands.WriteString(test.command + "\n")
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--propagation", "private", "testdata/sudo.sh", write(t, "sudoers", got[""].Sudoers), prepare)
	cmd.Stdin = strings.NewReader(commands.String())
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	answers := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(answers) != len(tests) {
		t.Fatalf("%d answers to %d commands:\n%s%s", len(answers), len(tests), out, log.String())
	}
	for i, test := range tests {
		if answers[i] != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.command, answers[i], test.want)
		}
	}
}
