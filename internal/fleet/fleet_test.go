package fleet_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

func TestMain(m *testing.M) { fleet.Main(m) }

// run runs a command as whoever deploys, and returns all that it says.
func run(t *testing.T, f *fleet.Fleet, argv ...string) (string, error) {
	t.Helper()
	// By PATH of the fleet, so that it is counted.
	cmd := exec.CommandContext(t.Context(), "env", argv...)
	cmd.Env, cmd.Dir = f.Env(), f.Provider.Dir
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// ssh runs a command on a node as the deploy user.
func ssh(t *testing.T, f *fleet.Fleet, n *fleet.Node, options []string, command string) (string, error) {
	t.Helper()
	argv := []string{"ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=" + knownHosts(t, n.Address, n.HostKey)}
	return run(t, f, append(append(argv, options...), fleet.DeployUser+"@"+n.Address, command)...)
}

func knownHosts(t *testing.T, address, key string) string {
	t.Helper()
	file := t.TempDir() + "/known_hosts"
	if err := os.WriteFile(file, []byte(address+" "+key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestANode(t *testing.T) {
	f := fleet.Start(t, fleet.Options{Nodes: 1, Environments: 1})
	n := f.Nodes[0]
	user := n.Users()[0]
	for command, want := range map[string]string{
		"id -un; id -u":               "deploy\n990",
		"uname -n":                    "n1",
		". /etc/os-release; echo $ID": "nixos",
		"command -v nix-store":        "/run/current-system/sw/bin/nix-store",
		"command -v sudo":             "/run/wrappers/bin/sudo",
		"ls /home":                    user,
		"echo $PATH":                  "/run/wrappers/bin:/run/current-system/sw/bin",
		"stat -c %a:%U /run/hostenv/deploy /run/hostenv/deploy/" + user: "711:root\n700:" + user,
		"ls /nix/store":               "",
		"cat /proc/1/cmdline | wc -l": "0",
	} {
		got, err := ssh(t, f, n, nil, command)
		if err != nil || got != want {
			t.Errorf("%s\n got %s (%v)\nwant %s", command, got, err, want)
		}
	}
	if got := f.Counts(t)["ssh"]; got != 10 {
		t.Errorf("%d ssh processes were counted, want 10", got)
	}
	// The plan is a real one.
	data, err := os.ReadFile(f.Provider.Dir + "/generated/plan.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.DecodeDocument(data); err != nil {
		t.Error(err)
	}
	if err := plan.CheckFresh(data, f.Provider.State); err != nil {
		t.Error(err)
	}
	if p, ok := n.Deploy().Profile(user); !ok || p.UID != 40000 {
		t.Errorf("the profile of %s is %+v", user, p)
	}
}

func TestEight(t *testing.T) {
	began := time.Now()
	f := fleet.Start(t, fleet.Options{Nodes: 8, Environments: 5})
	t.Logf("8 nodes of 5 environments started in %v", time.Since(began))
	began = time.Now()
	f.Provider.Build(t)
	t.Logf("built in %v", time.Since(began))
	began = time.Now()
	if err := f.Install(); err != nil {
		t.Fatal(err)
	}
	t.Logf("installed in %v", time.Since(began))
	for _, n := range f.Nodes {
		if n.Active(t, deploy.SystemProfile) == "" {
			t.Errorf("%s has no system", n.Name)
		}
	}
}
