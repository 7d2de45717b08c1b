package nixosnodes_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
)

// Only the owner of a secret can read it. Secrets are encrypted for the node's host
// key, and their clear text is only in the node's memory.
func TestSecrets(t *testing.T) {
	t.Parallel()
	s := begin(t, "node-a")
	n := s.Node("node-a")
	// Each secret has a word that no other file has, to search for.
	const (
		ofAcme, envOfAcme = "zibeth-41-passphrase", "zibeth-42-credentials"
		ofBeta, envOfBeta = "zibeth-43-passphrase", "zibeth-44-credentials"
		ofNode            = "zibeth-45-node"
		anew              = "zibeth-46-changed"
	)
	write := func(acme string) {
		s.Provider.Secrets(t, map[string]map[string]string{
			"acme":         {"backups_secret": acme, "backups_env": "KEY=" + envOfAcme + "\n"},
			"beta__portal": {"backups_secret": "not the place of a project"},
			"beta_portal":  {"backups_secret": ofBeta, "backups_env": "KEY=" + envOfBeta + "\n"},
			"monitoring":   {"token": ofNode},
		})
	}
	write(ofAcme)
	s.Provider.Module(t, "monitoring", `{ sops.secrets."monitoring/token" = { group = "nginx"; mode = "0440"; }; }`)
	backups := map[string]nixosnode.Environment{
		"main": s.reachable(nixosnode.Environment{Hostenv: map[string]any{"backupsRepoHost": "s3:https://s3.example.com"}}),
	}
	s.Provider.Add(t,
		nixosnode.Customer{Organisation: "acme", Project: "shop", Environments: backups},
		nixosnode.Customer{Organisation: "beta", Project: "portal", Environments: backups},
	)
	var output strings.Builder
	mage := func(args ...string) {
		t.Helper()
		r := s.mage(0, args...)
		output.WriteString(r.Stdout + r.Stderr)
	}
	mage("plan")
	mage("dnsGate", "-allowFlips") // the names have no addresses, so no node orders a certificate
	mage("deploy")

	acme, beta := s.user("acme", "shop"), s.user("beta", "portal")
	holds := func(file, owner, group, mode, content string) {
		t.Helper()
		file = "/run/secrets/" + file
		if got := n.Run(t, "stat", "-L", "-c", "%U %G %a", file); got != owner+" "+group+" "+mode {
			t.Errorf("%s is %s, want %s %s %s", file, got, owner, group, mode)
		}
		if got := n.Run(t, "cat", file); got != content {
			t.Errorf("%s holds %q, want %q", file, got, content)
		}
	}
	holds(acme+"/backups_secret", acme, acme, "400", ofAcme)
	holds(acme+"/backups_env", acme, acme, "400", "KEY="+envOfAcme)
	holds(beta+"/backups_secret", beta, beta, "400", ofBeta)
	holds(beta+"/backups_env", beta, beta, "400", "KEY="+envOfBeta)
	holds("monitoring/token", "root", "nginx", "440", ofNode)

	// The owners read their secrets.
	if got := s.ssh(n, acme, "cat /run/secrets/"+acme+"/backups_secret"); got != ofAcme {
		t.Errorf("%s reads the passphrase %q", acme, got)
	}
	for user, others := range map[string][]string{
		acme:     {beta + "/backups_secret", beta + "/backups_env", "monitoring/token"},
		beta:     {acme + "/backups_secret", acme + "/backups_env", "monitoring/token"},
		"deploy": {acme + "/backups_secret", beta + "/backups_env", "monitoring/token"},
	} {
		for _, file := range others {
			if got := s.ssh(n, user, "cat /run/secrets/"+file+" 2>/dev/null || true; cat /run/secrets.d/*/"+file+" 2>/dev/null || true"); got != "" {
				t.Errorf("%s reads %s: %q", user, file, got)
			}
		}
	}

	// A changed secret arrives with the next deploy, which changes no environment.
	active := n.Profile(t, acme)
	write(anew)
	s.Provider.Commit(t)
	mage("plan")
	mage("deploy")
	holds(acme+"/backups_secret", acme, acme, "400", anew)
	holds(beta+"/backups_secret", beta, beta, "400", ofBeta)
	if now := n.Profile(t, acme); now != active {
		t.Errorf("a changed secret changed the environment: %s, before %s", now, active)
	}

	// After a reboot the secrets are installed again before environments start.
	n.Reboot(t)
	holds(acme+"/backups_env", acme, acme, "400", "KEY="+envOfAcme)

	// The node removes the secrets of a removed environment.
	s.Provider.Remove(t, "beta", "portal")
	mage("plan")
	mage("deploy")
	if out, err := n.Exec("sh", "-c", "cat /run/secrets/"+beta+"/* /run/secrets.d/*/"+beta+"/*"); err == nil {
		t.Errorf("the node still has the secrets of a removed environment: %q", out)
	}

	// No other place has a word of the secrets: the stores, the repository with its
	// plan and its history, outputs, logs, the journal.
	mage("status")
	if strings.Contains(output.String(), "zibeth") {
		t.Errorf("a secret was printed:\n%s", output.String())
	}
	s.Operator.Run(t, "git", "commit", "--quiet", "--all", "--message", "the plan")
	s.Operator.Run(t, "sh", "-c", "git rev-list --objects --all | cut -d' ' -f1 | git cat-file --batch >/tmp/history")
	// Each search must find the encrypted file, which proves that it searches.
	const found = "grep -rasohF -e zibeth -e 'backups_secret: ENC' "
	for what, out := range map[string]string{
		"the node's disk":      n.Run(t, "sh", "-c", found+"/nix /etc /var /home /tmp; true"),
		"the operator's store": s.Operator.Run(t, "sh", "-c", found+"/nix/store; true"),
		"the repository":       s.Operator.Run(t, "sh", "-c", found+"/srv/provider; true"),
		"its history":          s.Operator.Run(t, "sh", "-c", found+"/tmp/history; true"),
	} {
		if strings.Contains(out, "zibeth") || !strings.Contains(out, "ENC") {
			t.Errorf("%s has words of secrets: %q", what, out)
		}
	}
	journal := n.Run(t, "journalctl", "--no-pager", "--output=export")
	if strings.Contains(journal, "zibeth") || !strings.Contains(journal, acme) {
		t.Error("the node's journal has a secret, or no line about the environments")
	}
	if logs, err := filepath.Glob(s.Operator.Path("/srv/provider/generated/.hostenv/runs/*/*/*.log")); err != nil || len(logs) == 0 {
		t.Errorf("there are no logs of deploys: %v", err)
	}
}
