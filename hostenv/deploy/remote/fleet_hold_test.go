package remote_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A node's own garbage collector takes nothing that a session holds, whichever Nix the
// node has: neither what is copied in pieces, nor what the node had by chance, nor
// the path before once its generation is gone.
func TestHold(t *testing.T) {
	for _, binary := range testenv.NixBinaries(t) {
		out, err := exec.Command(binary, "--version").Output()
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(string(out))
		t.Run(words[len(words)-1], func(t *testing.T) { testHold(t, binary) })
	}
}

func testHold(t *testing.T, binary string) {
	f := fleet.Start(t, fleet.Options{Nodes: 1, Environments: 1, Deployed: true, NodeNix: binary})
	n := f.Nodes[0]
	d := n.Deploy()
	p := d.Profiles[1]
	old := n.Active(t, p.Name)
	f.Provider.SetVersion(t, "2")
	next := f.Provider.Build(t)[p.Key()]
	nix := func(env []string, argv ...string) string {
		t.Helper()
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", argv, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	closure := strings.Fields(nix(f.Env(), "nix-store", "--query", "--requisites", next)) // what others need comes first
	nix(f.Env(), "nix", "--extra-experimental-features", "nix-command", "store", "sign", "--recursive", "--key-file", f.SigningKey, next)
	push := func(path string) {
		t.Helper()
		nix(append(f.Env(), "NIX_SSHOPTS=-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"),
			"nix", "--extra-experimental-features", "nix-command", "copy", "--to", "ssh-ng://"+fleet.DeployUser+"@"+n.Address, path)
	}
	collect := func() {
		t.Helper()
		if out, err := n.Exec("nix-collect-garbage", "-d"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	valid := func(path string) bool {
		_, err := n.Exec("nix-store", "--check-validity", path)
		return err == nil
	}
	is := func(when, path string, want bool) {
		t.Helper()
		if got := valid(path); got != want {
			t.Errorf("%s, the node has %s: %v", when, path, got)
		}
	}

	// What nothing holds is lost, so the checks below mean something.
	push(closure[0])
	collect()
	is("without a hold", closure[0], false)

	s, err := onFleet(t, f, d, lockAs("alice", 0))
	if err != nil {
		t.Fatal(err)
	}
	room, err := s.Room(t.Context(), append(closure, old))
	if err != nil {
		t.Fatal(err)
	}
	if len(room.Lacking) != len(closure) || room.Disks[deploy.FolderStore].Free == 0 {
		t.Errorf("of %d paths and one that it has it lacks %d; its disks are %v", len(closure), len(room.Lacking), room.Disks)
	}
	roots := []deploy.Root{{Profile: p.Name, Kind: deploy.RootNext, Path: next}, {Profile: p.Name, Kind: deploy.RootPrevious, Path: old}}
	if err := s.Hold(t.Context(), roots, append(closure, old)); err != nil {
		t.Fatal(err)
	}
	for _, path := range closure {
		push(path)
		collect()
		is("after a collection in mid-copy", path, true)
	}
	if room, err = s.Room(t.Context(), closure); err != nil || len(room.Lacking) != 0 {
		t.Errorf("after the copy it lacks %v: %v", room.Lacking, err)
	}
	// A second hold adds to the first.
	if err := s.Hold(t.Context(), []deploy.Root{{Profile: "system", Kind: deploy.RootNext, Path: next}}, []string{old}); err != nil {
		t.Fatal(err)
	}
	// The activation makes a generation, and the collection removes the one before.
	if err := n.Activate(p.Name, next); err != nil {
		t.Fatal(err)
	}
	collect()
	is("activated", next, true)
	is("activated", old, true)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.Activate(p.Name, old); err != nil {
		t.Fatal(err)
	}
	if !testenv.Poll(func() bool { // the daemon of the hold ends with the session
		for _, command := range n.Processes(t) {
			if strings.Contains(command, "--stdio") {
				return false
			}
		}
		return true
	}) {
		t.Errorf("the session ended, and its processes have not: %v", n.Processes(t))
	}
	collect()
	is("the session ended", next, true)

	// The next run sees the roots, and removes them.
	if s, err = onFleet(t, f, d, lockAs("bob", 0)); err != nil {
		t.Fatal(err)
	}
	o := s.Observation()
	if got := strings.Join(o.Roots, " "); got != p.Name+"-next "+p.Name+"-previous system-next" {
		t.Errorf("the roots are %s", got)
	}
	if o.Profiles[p.Name].Previous != old {
		t.Errorf("the path before is %q, want %s", o.Profiles[p.Name].Previous, old)
	}
	if err := s.Release(t.Context(), append(o.Roots, "gone-next")); err != nil {
		t.Fatal(err)
	}
	collect()
	is("released", next, false)
	is("active", old, true)
	if entries, err := os.ReadDir(n.Path("/var/lib/deploy/.hostenv-deploy/roots")); err != nil || len(entries) > 0 {
		t.Errorf("left are %v: %v", entries, err)
	}
	for _, bad := range []deploy.Root{{Profile: "../x", Kind: deploy.RootNext, Path: next}, {Profile: p.Name, Kind: deploy.RootNext, Path: "/etc/shadow"}, {Profile: p.Name, Kind: "x", Path: next}} {
		if err := s.Hold(t.Context(), []deploy.Root{bad}, nil); err == nil {
			t.Errorf("%+v is a root", bad)
		}
	}
	if err := s.Release(t.Context(), []string{"../lock"}); err == nil {
		t.Error("a file that is no root is removed")
	}
}
