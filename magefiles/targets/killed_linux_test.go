package targets_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/internal/killtest"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
	"github.com/woolwichweb/hostenv-provider/magefiles/targets"
)

func init() { programs["gate-to-kill"] = gateToKill }

// gateToKill is a program that runs the gate on one thread, with the folder and the
// facts of its arguments.
func gateToKill() {
	runtime.LockOSThread()
	killtest.Mark()
	err := gate(os.Args[1], os.Args[2])
	killtest.Mark()
	if err != nil {
		panic(err)
	}
}

func gate(folder, facts string) error {
	allowFlips := true // no name leads to its node
	return targets.DnsGate(context.Background(), nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, &allowFlips, nil, nil, nil, nil, nil, nil, &facts, nil, &folder)
}

// Wherever the gate is killed, the plan is the old or the new one, no other file
// has changed, and the next run makes the new plan.
func TestGateKilledBeforeEverySyscall(t *testing.T) {
	t.Setenv("PATH", "") // no git: it would be another process
	golden := filepath.Join(root(t), "golden", "001-a-empty-state")
	read := func(path string) []byte {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	write := func(path string, text []byte) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	before, state := read(filepath.Join(golden, "plan.json")), read(filepath.Join(golden, "next-state.json"))
	facts := filepath.Join(t.TempDir(), "facts.json")
	write(facts, factsOf(t, before))
	prepare := func() (folder string) {
		folder = filepath.Join(t.TempDir(), "generated")
		if err := os.Mkdir(folder, 0o777); err != nil {
			t.Fatal(err)
		}
		write(filepath.Join(folder, "plan.json"), before)
		write(filepath.Join(folder, "state.json"), state)
		return folder
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()

	whole := prepare()
	kill := func(k int, folder string) (calls []uint64, done bool) {
		t.Helper()
		env := append(os.Environ(), "GODEBUG=asyncpreemptoff=1", "GOGC=off")
		calls, done, err := killtest.Before(k, []string{"gate-to-kill", folder, facts}, env, null.Fd())
		if errors.Is(err, killtest.ErrNoTrace) {
			testenv.LeaveOut(t, "ptrace", "cannot kill a process between system calls: %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		return calls, done
	}
	all, done := kill(1<<30, whole)
	after := read(filepath.Join(whole, "plan.json"))
	if !done || bytes.Equal(before, after) || !slices.Contains(all, unix.SYS_FSYNC) {
		t.Fatalf("the whole run makes %d calls, and changes no plan or calls no fsync", len(all))
	}

	outcomes := map[string]int{}
	leftovers := 0
	for k := 1; k <= len(all); k++ {
		folder := prepare()
		if _, done := kill(k, folder); done {
			break
		}
		switch got := read(filepath.Join(folder, "plan.json")); {
		case bytes.Equal(got, before):
			outcomes["old"]++
		case bytes.Equal(got, after):
			outcomes["new"]++
		default:
			t.Fatalf("killed before call %d of %d: the plan is neither the old one nor the new one", k, len(all))
		}
		temporary, err := filepath.Glob(filepath.Join(folder, ".*.tmp"))
		if err != nil {
			t.Fatal(err)
		}
		leftovers += len(temporary)
		next := exec.Cmd{Path: "/proc/self/exe", Args: []string{"gate-to-kill", folder, facts}}
		if out, err := next.CombinedOutput(); err != nil {
			t.Fatalf("killed before call %d: the next run: %v\n%s", k, err, out)
		}
		if !bytes.Equal(read(filepath.Join(folder, "plan.json")), after) {
			t.Fatalf("killed before call %d: the next run makes another plan", k)
		}
		if !bytes.Equal(read(filepath.Join(folder, "state.json")), state) {
			t.Fatalf("killed before call %d: the state has changed", k)
		}
		if temporary, _ := filepath.Glob(filepath.Join(folder, ".*.tmp")); len(temporary) > 0 {
			t.Fatalf("killed before call %d: the next run leaves %q", k, temporary)
		}
	}
	if outcomes["old"] == 0 || outcomes["new"] == 0 || leftovers == 0 {
		t.Errorf("all kills were on one side of the write: %v, %d temporary files", outcomes, leftovers)
	}
	t.Logf("killed before each of %d system calls: the plan was %d times the old one, %d times the new one; %d temporary files were left",
		len(all), outcomes["old"], outcomes["new"], leftovers)
}

// factsOf returns facts by which no name of a plan leads to its node.
func factsOf(t *testing.T, text []byte) []byte {
	t.Helper()
	document, err := plan.DecodeDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	certificates, err := dnsgate.Certificates(document, dnsgate.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	at := func(address string) (a, aaaa dnsgate.Lookup) {
		return dnsgate.Lookup{Outcome: dnsgate.OutcomeAnswer, Addresses: []string{address}}, dnsgate.Lookup{Outcome: dnsgate.OutcomeNoData}
	}
	facts := &dnsgate.Facts{
		FormatVersion: dnsgate.FormatVersion, Taken: "2026-03-01T12:00:00Z",
		Nodes: map[string]*dnsgate.NodeFacts{}, Names: map[string]*dnsgate.NameFacts{},
	}
	question := dnsgate.QuestionOf(certificates, dnsgate.LiveNever)
	for _, name := range question.Nodes {
		n := &dnsgate.NodeFacts{Name: name}
		n.A, n.AAAA = at("11.0.0.1")
		facts.Nodes[name] = n
	}
	for _, name := range question.Names {
		n := &dnsgate.NameFacts{Name: name}
		n.A, n.AAAA = at("11.0.0.99")
		facts.Names[name] = n
	}
	encoded, err := facts.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}
