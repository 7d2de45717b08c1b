package nixosnode

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

const killedEnv = "HOSTENV_NIXOSNODE_KILLED"

// TestKilled runs this test in namespaces of its own, and kills it.
func TestKilledProcess(t *testing.T) {
	file := os.Getenv(killedEnv)
	if file == "" {
		t.Skip("TestKilled runs it")
	}
	l := Start(t, Options{Nodes: []string{"node-a"}})
	l.Operator.Mage(t, "state:init").Want(t, 0)
	l.Operator.Mage(t, "plan").Want(t, 0)
	l.Install(t)
	if err := os.WriteFile(file, []byte(inside().cgroup), 0o600); err != nil {
		t.Fatal(err)
	}
	<-t.Context().Done()
}

// When the tests are killed, all their processes end, and the next run removes
// what they left behind.
func TestKilled(t *testing.T) {
	testenv.Need(t, "nixos-nodes")
	file := filepath.Join("/dev/shm", fmt.Sprintf("hostenv-killed-%d", os.Getpid())) // their namespaces have it too
	t.Cleanup(func() { _ = os.Remove(file) })
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestKilledProcess$")
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, insideEnv+"=") }), killedEnv+"="+file)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	var cgroup string
	Eventually(t, "a node of other tests", func() error {
		select {
		case <-ended:
			t.Fatalf("the tests ended before they were killed: %s", output.String())
		default:
		}
		data, err := os.ReadFile(file)
		if err == nil && len(data) == 0 {
			err = fmt.Errorf("%s is empty", file)
		}
		cgroup = string(data)
		return err
	})
	if n := len(processesIn(t, cgroup)); n < 5 {
		t.Fatalf("there are %d processes in %s, which is too few for a node", n, cgroup)
	}
	must(t, cmd.Process.Signal(syscall.SIGKILL))
	<-ended
	Eventually(t, "the end of all that they started", func() error {
		if left := processesIn(t, cgroup); len(left) > 0 {
			return fmt.Errorf("there are still %v", left)
		}
		return nil
	})
	must(t, sweepRuns())
	if _, err := os.Stat(cgroup); err == nil {
		t.Errorf("%s was not swept", cgroup)
	}
}

func processesIn(t *testing.T, cgroup string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(cgroup, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == "cgroup.procs" {
			data, _ := os.ReadFile(path) // the process may be gone
			all = append(all, strings.Fields(string(data))...)
		}
		return nil
	})
	must(t, err)
	return all
}
