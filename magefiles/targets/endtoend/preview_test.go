package endtoend_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

// A preview reports for new and changed profiles the old path, the new path and
// what has to be copied. It changes neither the nodes nor the provider's folder.
func TestPreview(t *testing.T) {
	w := newWorld(t, standIn(t), fleet.Options{Nodes: 2, Environments: 2, Payload: 256 << 10})
	paths := w.Provider.Paths(t)
	before := w.everything()

	r := w.wants(w.deploy("-plan"), 0)
	w.each(func(n *fleet.Node, profile string) {
		contains(t, r.stdout, fmt.Sprintf("%s %s: pending (new)\n  - nothing\n  + %s\n", n.Name, profile, paths[n.Name+"/"+profile]))
	})
	contains(t, r.stdout, "  + library 1\n", "to copy in", "6 to be activated")
	w.wants(w.deploy("-plan", "-detailedExitcode"), 2)
	r = w.wants(w.deploy("-dryRun"), 0)
	contains(t, r.stdout, "s1e1-main-91222f5: pending (new)", "6 to be activated")
	if strings.Contains(r.stdout, "to copy") {
		t.Errorf("without building, the preview reports closures:\n%s", r.stdout)
	}
	w.ResetCounts(t)
	w.wants(w.deploy("-dryRun", "-detailedExitcode"), 2)
	// A process for each node, two about Nix itself, and two for each node about what this
	// machine has already, and its node has room for.
	if got := w.Counts(t); got["nix"] != 4 || got["nix-store"] > 4 {
		t.Errorf("a dry run only evaluates and builds nothing: %v", got)
	}
	if diff := cmp.Diff(before, w.everything()); diff != "" {
		t.Error("previews of new profiles changed something:", diff)
	}

	w.wants(w.deploy(), 0)
	w.wants(w.deploy("-plan", "-detailedExitcode"), 0)
	w.wants(w.deploy("-dryRun", "-detailedExitcode"), 0)
	user := w.Nodes[1].Users()[0]
	w.Provider.SetVersion(t, "2", "n2/"+user)
	old, planned := paths["n2/"+user], w.Provider.Paths(t)["n2/"+user]
	before = w.everything()
	r = w.wants(w.deploy("-plan", "-detailedExitcode"), 2)
	contains(t, r.stdout, fmt.Sprintf("n2 %s: pending (changed)\n  - %s\n  + %s\n", user, old, planned), "~ library 1 -> 2\n", "5 in sync, 1 to be activated")
	if strings.Contains(r.stdout, "n1 ") {
		t.Errorf("what is in sync is shown:\n%s", r.stdout)
	}
	contains(t, w.wants(w.deploy("-plan", "-node=n1", "-detailedExitcode"), 0).stdout, "3 in sync")

	// The same as JSON.
	_, events := w.events(w.wants(w.deploy("-plan", "-json", "-detailedExitcode"), 2))
	var diffs []deploy.Event
	for _, e := range events {
		if e.Type == deploy.TypeDiff {
			diffs = append(diffs, e)
		}
	}
	if len(diffs) != 1 || diffs[0].Profile != user {
		t.Fatalf("the differences are %+v", diffs)
	}
	d := diffs[0].Diff
	library := deploy.PackageChange{Name: "library", Old: []string{"1"}, New: []string{"2"}}
	if !slices.ContainsFunc(d.Changed, func(c deploy.PackageChange) bool { return cmp.Equal(c, library) }) || len(d.Added)+len(d.Removed) > 0 {
		t.Errorf("the difference is %+v", d)
	}
	if d.Copy < 256<<10 || d.Copy > 300<<10 || d.Paths != 3 || d.Size < d.Copy {
		t.Errorf("the preview copies %d bytes in %d paths, of %d", d.Copy, d.Paths, d.Size)
	}

	// A preview reports a node that is off, and shows the others.
	w.Nodes[0].StopSSH(t)
	r = w.wants(w.deploy("-plan", "-detailedExitcode"), 2)
	contains(t, r.stdout, "n1 system: unreachable", "1 to be activated")
	w.Nodes[0].StartSSH(t)
	if diff := cmp.Diff(before, w.everything()); diff != "" {
		t.Error("previews of changed profiles changed something:", diff)
	}
}

// everything returns what must not change. Of each node this is the store and its
// database, the profiles, the roots, and all other files that a deploy writes. It
// also includes the provider's folder.
func (w *world) everything() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	add := func(key, dir string) {
		// With "/." at its end, the path is followed if it is a link.
		maps.Copy(all, files(w.t, key, dir+"/."))
	}
	for _, n := range w.Nodes {
		for _, dir := range []string{"/nix/store", "/nix/var/nix/profiles", "/nix/var/nix/gcroots", "/run/hostenv", "/var/lib", "/home", "/var/log/hostenv-fleet"} {
			add(n.Name+dir, n.Path(dir))
		}
		known, err := n.Exec("nix-store", "--dump-db")
		if err != nil {
			w.t.Fatal(err)
		}
		all[n.Name+" knows"] = known
	}
	add("provider", w.Provider.Dir)
	maps.DeleteFunc(all, func(name, _ string) bool {
		// Nix makes the second one for every command. What was evaluated is kept, also by a
		// preview.
		return name == "provider/generated/.hostenv" || strings.HasPrefix(name, "provider/generated/.hostenv/evaluations") ||
			strings.HasPrefix(name, "provider/.git/") || strings.HasSuffix(name, "/per-user/deploy")
	})
	return all
}

func files(t testing.TB, key, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name = key + "/" + name
		switch {
		case entry.Type()&fs.ModeSymlink != 0:
			found[name], err = os.Readlink(path)
		case entry.Type().IsRegular():
			var text []byte
			text, err = os.ReadFile(path)
			found[name] = fmt.Sprintf("%x", sha256.Sum256(text))
		default:
			found[name] = entry.Type().String()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
