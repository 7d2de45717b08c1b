package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// Behaviour is what the next activations of a profile do on a node.
type Behaviour struct {
	Fail  int           // the exit status to end with
	Sleep time.Duration // before anything else
	Print int           // the number of lines to print
	Block bool          // wait until the test sets another behaviour
	Run   string        // a bash script to run before it succeeds
	Path  string        // the only store path that behaves so; "" for any
}

// OnActivation sets the behaviour of a profile's activations; with the zero
// Behaviour they succeed. Blocked activations continue.
func (n *Node) OnActivation(t testing.TB, profile string, b Behaviour) {
	t.Helper()
	dir := n.Path(filepath.Join(activationRules, profile))
	set := map[string]string{}
	if b.Fail != 0 {
		set["fail"] = strconv.Itoa(b.Fail)
	}
	if b.Sleep != 0 {
		set["sleep"] = strconv.FormatFloat(b.Sleep.Seconds(), 'f', -1, 64)
	}
	if b.Print != 0 {
		set["print"] = strconv.Itoa(b.Print)
	}
	if b.Run != "" {
		set["run"] = b.Run
	}
	if b.Path != "" {
		set["path"] = b.Path
	}
	if b.Block {
		set["block"] = ""
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"path", "fail", "sleep", "print", "run", "block"} { // block last: its removal lets activations continue
		file := filepath.Join(dir, name)
		var err error
		if text, ok := set[name]; ok {
			err = os.WriteFile(file, []byte(text), 0o644)
		} else {
			err = os.RemoveAll(file)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// An Activation is one run of a profile's activation, from its log.
type Activation struct {
	Verb    string // activate for environments; switch, boot or dry-activate for systems
	User    string // the user that ran it
	Path    string // the store path of the profile
	Blocked bool   // whether it has waited, or waits
	Ended   bool
	Status  int // its exit status if it has ended

	pid string
}

// Activations returns the activations of a profile, in the order of their start. A
// killed one counts as not ended.
func (n *Node) Activations(t testing.TB, profile string) []Activation {
	t.Helper()
	data, err := os.ReadFile(n.Path(filepath.Join(activationLogs, profile)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var all []Activation
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) != 6 {
			continue // being written
		}
		if f[0] == "start" {
			all = append(all, Activation{pid: f[1], Verb: f[2], User: f[3], Path: f[4]})
			continue
		}
		for i := len(all) - 1; i >= 0; i-- {
			if all[i].pid != f[1] || all[i].Ended {
				continue
			}
			if f[0] == "blocked" {
				all[i].Blocked = true
			} else {
				all[i].Ended = true
				all[i].Status, _ = strconv.Atoi(f[5])
			}
			break
		}
	}
	return all
}

// Activated counts the activations of a path by a profile, without dry ones.
func (n *Node) Activated(t testing.TB, profile, path string) int {
	t.Helper()
	count := 0
	for _, a := range n.Activations(t, profile) {
		if a.Path == path && a.Verb != "dry-activate" {
			count++
		}
	}
	return count
}

// WaitBlocked returns once an activation of a profile waits, see [Behaviour].
func (n *Node) WaitBlocked(t testing.TB, profile string) Activation {
	t.Helper()
	return n.wait(t, profile, "waits", func(a Activation) bool { return a.Blocked && !a.Ended })
}

// WaitEnded returns once the last activation of a profile has ended.
func (n *Node) WaitEnded(t testing.TB, profile string) Activation {
	t.Helper()
	return n.wait(t, profile, "has ended", func(a Activation) bool { return a.Ended })
}

func (n *Node) wait(t testing.TB, profile, what string, is func(Activation) bool) Activation {
	t.Helper()
	var last Activation
	if !testenv.Poll(func() bool {
		all := n.Activations(t, profile)
		if len(all) > 0 {
			last = all[len(all)-1]
		}
		return len(all) > 0 && is(last)
	}) {
		t.Fatalf("no activation of %s/%s %s: %+v", n.Name, profile, what, n.Activations(t, profile))
	}
	return last
}

// receive puts the closures of paths from this machine's store into the node's.
func (n *Node) receive(paths []string) error {
	closure, err := n.fleet.nix(append([]string{"nix-store", "--query", "--requisites"}, paths...)...)
	if err != nil {
		return err
	}
	export := exec.Command("nix-store", append([]string{"--export"}, strings.Fields(closure)...)...)
	export.Env = n.fleet.environment(os.Getenv("PATH"))
	archive, err := export.Output()
	if err != nil {
		return fmt.Errorf("nix-store --export: %w", err)
	}
	enter := exec.Command("nsenter", "--target", fmt.Sprint(n.init.Process.Pid), "--mount", "--pid", "--uts", "--", "nix-store", "--import")
	enter.Env = nodeEnv()
	enter.Stdin = bytes.NewReader(archive)
	_, err = output(enter)
	return err
}
