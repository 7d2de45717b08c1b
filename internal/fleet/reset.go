package fleet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Reset sets the active path of each profile "node/name", as its only generation,
// and removes the links of all other profiles. It clears activations, behaviours,
// canaries and counted commands, but undoes no other fault. The nodes' stores must
// have the paths. Reset takes milliseconds, for tests with many repetitions.
func (f *Fleet) Reset(t testing.TB, active map[string]string) {
	t.Helper()
	for _, n := range f.Nodes {
		for _, profile := range n.Profiles() {
			must(t, n.setOnly(profile, active[n.Name+"/"+profile]))
			must(t, os.RemoveAll(n.Path(filepath.Join(activationLogs, profile))))
			n.OnActivation(t, profile, Behaviour{})
			canaries, err := filepath.Glob(n.Path(temp(profile)) + "/deploy-rs-canary-*")
			must(t, err)
			for _, canary := range canaries {
				must(t, os.Remove(canary))
			}
		}
	}
	f.ResetCounts(t)
}

// setOnly makes a path the only generation of a profile, "" none.
func (n *Node) setOnly(profile, path string) error {
	generations, err := n.generations(profile)
	if err != nil {
		return err
	}
	at := filepath.Join(n.dir, link(profile))
	for _, name := range append(generations, at, at+".activated") {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	if path == "" {
		return nil
	}
	if _, err := os.Lstat(filepath.Join(n.dir, path)); err != nil {
		return err
	}
	for _, l := range [][2]string{{path, at + "-1-link"}, {filepath.Base(at) + "-1-link", at}} {
		if err := os.Symlink(l[0], l[1]); err != nil {
			return err
		}
		if err := os.Lchown(l[1], n.users[profile], n.users[profile]); err != nil { // root's for the system
			return err
		}
	}
	return n.cameUp(profile, path)
}

// cameUp writes the file that a successful activation writes.
func (n *Node) cameUp(profile, path string) error {
	activated := filepath.Join(n.dir, link(profile)) + ".activated"
	if err := os.WriteFile(activated, []byte(path+"\n"), 0o644); err != nil {
		return err
	}
	return os.Chown(activated, n.users[profile], n.users[profile]) // root's for the system
}

// CameUp returns the path whose activation of the profile was the last that succeeded, ""
// for none.
func (n *Node) CameUp(t testing.TB, profile string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(n.dir, link(profile)) + ".activated")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func (n *Node) generations(profile string) ([]string, error) {
	return filepath.Glob(filepath.Join(n.dir, link(profile)) + "-*-link")
}

// Generations returns the paths of a profile's generations by number.
func (n *Node) Generations(t testing.TB, profile string) map[string]string {
	t.Helper()
	links, err := n.generations(profile)
	must(t, err)
	paths := map[string]string{}
	for _, name := range links {
		number := strings.TrimSuffix(strings.TrimPrefix(name, filepath.Join(n.dir, link(profile))+"-"), "-link")
		paths[number], err = os.Readlink(name)
		must(t, err)
	}
	return paths
}

// Receive copies the closures of paths from this machine's store to the node's,
// without ssh and without checking signatures.
func (n *Node) Receive(t testing.TB, paths ...string) {
	t.Helper()
	must(t, n.receive(paths))
}
