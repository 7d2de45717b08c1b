package endtoend_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

const mib = 1 << 20

// A node's store has 64 MiB, and the node collects garbage all the time: nix-collect-garbage
// -d, in each step of each deploy. Closures of 10 to 160 MiB become active, or are refused
// before a byte is copied; no copy finds the disk full, and no path is lost, that of a
// version that fails or the one before.
//
// The run copies what is built first while it builds the other. So in a step that is not
// built before, both closures have room together, or neither has alone. They have it also
// beside what was active before and each version that failed: deploy-rs's program that
// waits for an activation may outlive a failed one, and keeps its closure.
func TestRoomWithCollections(t *testing.T) {
	w := newWorld(t, standIn(t), fleet.Options{Nodes: 1, Environments: 1, Store: 64 * mib})
	n := w.Nodes[0]
	user := n.Users()[0]
	// Versions that begin with 9 do not come up.
	n.OnActivation(t, user, fleet.Behaviour{Run: `if grep -q ^9 "$PROFILE/share/version"; then exit 3; fi`})
	steps := []struct {
		mib     int    // of the closures of the system and the environment together
		version string // of the environment
	}{
		{10, "1"}, {20, "2"}, {10, "93"}, {10, "4"}, {160, "5"}, {20, "96"}, {10, "7"}, {60, "8"}, {10, "99"}, {60, "10"}, {8, "11"}, {8, "912"}, {8, "13"},
	}
	refused, failed, active, collections := 0, 0, 0, 0
	for i, step := range steps {
		w.Provider.SetVersion(t, fmt.Sprint(i+1), "n1/system")
		w.Provider.SetVersion(t, step.version, "n1/"+user)
		w.Provider.SetPayload(t, step.mib*mib/2)
		paths := w.Provider.Paths(t)
		before := map[string]string{"system": n.Active(t, "system"), user: n.Active(t, user)}
		built := i%2 == 1 // the preflight then knows the sizes
		if built {
			w.Provider.Build(t)
		}
		kinds := map[string]bool{}
		deployBeside := func() (result, deploy.Outcome) {
			p := w.start(w.deployArgs()...)
			for over := false; !over; {
				select {
				case <-p.ended:
					over = true
				default:
				}
				if out, err := n.Exec("nix-collect-garbage", "-d"); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				collections++
				if events := p.events(); len(events) > 0 {
					kinds[string(events[len(events)-1].Type)+" "+string(events[len(events)-1].State)] = true
				}
			}
			return p.wait(), w.outcome()
		}
		name := fmt.Sprintf("step %d, %d MiB, version %s: ", i+1, step.mib, step.version)
		r, o := deployBeside()
		for range 10 {
			if !w.lostGeneration(o) {
				break
			}
			t.Logf("%sa collection deleted a new generation before it was the current one: %s", name, r)
			for _, p := range o.Profiles {
				if got := n.Active(t, p.Profile); r.code == 0 || got != before[p.Profile] && got != paths["n1/"+p.Profile] {
					t.Errorf("%s%s is at %q, neither the version before nor the planned one: %s", name, p.Profile, got, r)
				}
			}
			r, o = deployBeside()
		}
		if text := r.stdout + r.stderr; strings.Contains(text, "No space left") || strings.Contains(text, "no room left") || strings.Contains(text, "no longer on the node") {
			t.Errorf("%sthe disk was full, or a path was lost: %s", name, r)
		}
		for _, e := range o.Findings {
			switch e.Finding.Code {
			case deploy.FindingNoRoots, deploy.FindingDiskUnknown:
				t.Errorf("%s%+v", name, e.Finding)
			}
		}
		want := maps.Clone(before)
		switch {
		case len(o.Profiles) > 0 && o.Profiles[0].Reason == deploy.ReasonNoRoom:
			refused++
			if builds := strings.Contains(r.stderr, ": building"); builds == built || r.code != 1 {
				t.Errorf("%srefused after a build: %v, built before: %v: %s", name, builds, built, r)
			}
			for _, path := range paths {
				if n.Has(path) {
					t.Errorf("%srefused, and the node has %s", name, path)
				}
			}
		case strings.HasPrefix(step.version, "9"):
			failed++
			want["system"] = paths["n1/system"]
			if r.code != 3 {
				t.Errorf("%s%s", name, r)
			}
		default:
			active++
			want = map[string]string{"system": paths["n1/system"], user: paths["n1/"+user]}
			if r.code != 0 {
				t.Errorf("%s%s", name, r)
			}
		}
		// After one more collection each profile has its whole closure.
		if out, err := n.Exec("nix-collect-garbage", "-d"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for profile, path := range want {
			if got := n.Active(t, profile); got != path {
				t.Errorf("%s%s is at %q, want %q: %s", name, profile, got, path, r)
			}
			if path == "" {
				continue
			}
			if out, err := n.Exec("sh", "-c", "nix-store --verify-path $(nix-store --query --requisites "+path+")"); err != nil {
				t.Errorf("%s%s is broken: %v\n%s", name, path, err, out)
			}
		}
		if out, err := n.ExecAs(fleet.DeployUser, "sh", "-c", "ls ~/.hostenv-deploy/roots"); err != nil || out != "" {
			t.Errorf("%sleft are the roots %q: %v", name, out, err)
		}
		t.Logf("%s%d, collections behind %d kinds of events", name, r.code, len(kinds))
	}
	t.Logf("%d became active, %d failed and went back, %d were refused, in %d collections", active, failed, refused, collections)
	if active < 3 || failed < 2 || refused < 2 {
		t.Error("that is too one-sided to show anything")
	}
	if out, err := exec.Command("df", "-k", n.Path("/nix")).CombinedOutput(); err == nil {
		t.Logf("%s", out)
	}
}

// lostGeneration reports whether a profile was not activated because nix-collect-garbage -d
// deleted its generation: nix-env makes a generation and then makes it the current one, and
// has no lock in between. The slower the machine, the longer that takes.
func (w *world) lostGeneration(o deploy.Outcome) bool {
	w.t.Helper()
	for _, p := range o.Profiles {
		if p.State != deploy.StateFailed || p.Log == "" {
			continue
		}
		file := p.Log
		if !filepath.IsAbs(file) {
			file = filepath.Join(w.Provider.Dir, file)
		}
		log, err := os.ReadFile(file)
		if err != nil {
			w.t.Fatal(err)
		}
		if strings.Contains(string(log), "env: cannot change directory to") {
			return true
		}
	}
	return false
}
