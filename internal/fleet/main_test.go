package fleet_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/internal/fleet"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

const waitEnv = "HOSTENV_FLEET_TEST_WAIT"

// TestWait is part of TestKilled: it runs a fleet until it is killed.
func TestWait(t *testing.T) {
	if os.Getenv(waitEnv) == "" {
		return // not started by TestKilled
	}
	f := fleet.Start(t, fleet.Options{Nodes: 2, Environments: 1, Deployed: true})
	n := f.Nodes[0]
	user, path := n.Users()[0], n.Active(t, n.Users()[0])
	n.OnActivation(t, user, fleet.Behaviour{Block: true})
	go func() {
		_, _ = ssh(t, f, n, "sudo -n -u "+user+" "+path+"/activate-rs activate "+path+" --profile-path "+n.Deploy().Profiles[1].Link+" --temp-path "+n.Deploy().Profiles[1].Temp+" --confirm-timeout 30")
	}()
	n.WaitBlocked(t, user)
	fmt.Println("the fleet is there")
	testenv.UntilKilled()
}

// Killed tests leave no processes and no files.
func TestKilled(t *testing.T) {
	fleet.Start(t, fleet.Options{Nodes: 1}) // skips the test where fleets cannot run
	before, temporary := namespaces(t), folders(t)
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestWait$", "-test.v")
	// Run the test as from outside of this test's namespaces.
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "HOSTENV_FLEET_") }), waitEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	output, ready := "", false
	for lines := bufio.NewScanner(out); !ready && lines.Scan(); {
		output += lines.Text() + "\n"
		ready = strings.Contains(lines.Text(), "the fleet is there")
	}
	if !ready {
		_ = cmd.Wait()
		t.Fatalf("there is no fleet:\n%s", output)
	}
	// The namespace of the tests, and one for each node.
	if during := namespaces(t); len(during) != len(before)+3 {
		t.Errorf("%d namespaces of processes, and with the fleet %d; want three more", len(before), len(during))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if !testenv.Poll(func() bool { return len(namespaces(t)) == len(before) }) {
		t.Fatalf("there were %v, and are %v", before, namespaces(t))
	}
	if now := folders(t); !slices.Equal(now, temporary) {
		t.Errorf("left behind: %q, before there were %q", now, temporary)
	}
}

// namespaces returns the number of processes in each PID namespace.
func namespaces(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	processes, err := filepath.Glob("/proc/[0-9]*/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	for _, process := range processes {
		if namespace, err := os.Readlink(process); err == nil {
			all[namespace]++
		}
	}
	return all
}

// folders returns the folders that a fleet could leave behind in temporary folders.
func folders(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), "TestKilled") {
			names = append(names, entry.Name())
		}
	}
	return names
}

// Eight nodes with five environments each start within seconds.
func TestLargest(t *testing.T) {
	began := time.Now()
	lap := func(what string) {
		t.Logf("%s in %v", what, time.Since(began).Round(time.Millisecond))
		began = time.Now()
	}
	f := fleet.Start(t, fleet.Options{Nodes: fleet.MaxNodes, Environments: 5})
	lap("started")
	paths := f.Provider.Build(t)
	lap("built")
	if err := f.Install(); err != nil {
		t.Fatal(err)
	}
	lap("installed")
	for _, n := range f.Nodes {
		for _, profile := range n.Profiles() {
			if got := n.Active(t, profile); got != paths[n.Name+"/"+profile] || got == "" {
				t.Errorf("%s/%s is %q", n.Name, profile, got)
			}
		}
	}
	if len(paths) != 8*6 {
		t.Errorf("there are %d profiles", len(paths))
	}
}

// The real deploy-rs can deploy to the fleet: it accepts the specification, the rules
// of sudo, the signatures and the canary.
func TestDeployRS(t *testing.T) {
	dir := testenv.Need(t, "deploy-rs")
	f := fleet.Start(t, fleet.Options{Nodes: 2, Environments: 1, ActivateRS: filepath.Join(dir, "activate")})
	n := f.Nodes[0]
	paths := f.Provider.Build(t)
	for _, profile := range n.Profiles() {
		path := paths[n.Name+"/"+profile]
		out, err := run(t, f, "LOCAL_KEY="+f.SigningKey, filepath.Join(dir, "deploy"), fmt.Sprintf(".#%q.%q", n.Name, profile), "--skip-checks", "--rollback-succeeded", "false")
		if err != nil || n.Active(t, profile) != path || n.Activated(t, profile, path) != 1 {
			t.Errorf("%s: %v, active is %q after %+v\n%s", profile, err, n.Active(t, profile), n.Activations(t, profile), out)
		}
	}
	if f.Nodes[1].Has(paths["n1/system"]) {
		t.Error("the other node was deployed to")
	}
}
