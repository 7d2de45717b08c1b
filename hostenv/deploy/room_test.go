package deploy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

const mib = 1 << 20

func TestShort(t *testing.T) {
	const linux = "/nix/store/7123456789abcdfghijklmnpqrsvwxyz-linux-6.12"
	n := fleet(1, 1)[0]
	disk := func(id, free int64) deploy.Disk { return deploy.Disk{ID: id, Free: free, Files: -1} }
	paths := func(count int, bytes int64) deploy.Addition {
		return deploy.Addition{Paths: count, Size: deploy.Size{Bytes: bytes, Files: int64(count)}}
	}
	kernels := deploy.Addition{Kernels: []deploy.Kernel{
		{Path: linux + "/bzImage", Bytes: 12 * mib},
		{Path: "/nix/store/8123456789abcdfghijklmnpqrsvwxyz-initrd-linux-6.12/initrd", Bytes: 20 * mib},
	}}
	one := func(free int64) map[string]deploy.Disk {
		return map[string]deploy.Disk{"/nix/store": disk(1, free), "/nix/var/nix": disk(1, free), "/nix/var/nix/profiles": disk(1, free)}
	}
	boot := func(free int64) map[string]deploy.Disk {
		all := one(1 << 40)
		all["/boot"] = disk(2, free)
		return all
	}
	for _, c := range []struct {
		reason string
		seen   deploy.Observation
		add    deploy.Addition
		want   string
	}{
		{"it is enough", deploy.Observation{Disks: one(29 * mib)}, paths(1, 20*mib), ""},
		{"it is not", deploy.Observation{Disks: one(28 * mib)}, paths(1, 20*mib), "n1 has too little room in /nix/store: the deploy needs 28.1 MiB, and 28.0 MiB are free; it lacks 1 store paths of 20.0 MiB"},
		{"many paths grow the database", deploy.Observation{Disks: one(128 * mib)}, paths(2000, 20*mib), "n1 has too little room in /nix/store: the deploy needs 153.1 MiB, and 128.0 MiB are free; it lacks 2000 store paths of 20.0 MiB"},
		{"nothing to copy, and a full disk", deploy.Observation{Disks: one(7 * mib)}, paths(0, 0), "n1 has too little room in /nix/store: the deploy needs 8.1 MiB, and 7.0 MiB are free; it lacks 0 store paths of 0.0 MiB"},
		{"the database has a disk of its own", deploy.Observation{Disks: map[string]deploy.Disk{"/nix/store": disk(1, 21*mib), "/nix/var/nix": disk(2, 1*mib)}}, paths(1, 20*mib),
			"n1 has too little room in /nix/var/nix: the deploy needs 8.1 MiB, and 1.0 MiB are free"},
		{"the profiles have", deploy.Observation{Disks: map[string]deploy.Disk{"/nix/store": disk(1, 1<<40), "/nix/var/nix/profiles": disk(2, 0)}}, paths(1, 1),
			"n1 has too little room in /nix/var/nix/profiles: the deploy needs 0.1 MiB, and 0.0 MiB are free"},
		{"inodes", deploy.Observation{Disks: map[string]deploy.Disk{"/nix/store": {ID: 1, Free: 1 << 40, Files: 1000}}}, deploy.Addition{Paths: 2, Size: deploy.Size{Files: 4000}},
			"n1 has too little room in /nix/store: the deploy needs 4000 inodes, and 1000 are free; it lacks 2 store paths of 0.0 MiB"},
		{"the node reports no disks", deploy.Observation{}, paths(1, 1<<50), ""},
		{"a boot loader that copies", deploy.Observation{Boot: "/boot", Disks: boot(30 * mib)}, kernels,
			"n1 has too little room in /boot: the deploy needs 33.0 MiB, and 30.0 MiB are free; the boot loader copies a new kernel or initial ramdisk there before it removes an old one"},
		{"systemd-boot has the kernel", deploy.Observation{Boot: "/boot", Disks: boot(30 * mib), Kernels: []string{"7123456789abcdfghijklmnpqrsvwxyz-linux-6.12-bzImage.efi"}}, kernels, ""},
		{"GRUB has the kernel", deploy.Observation{Boot: "/boot", Disks: boot(30 * mib), Kernels: []string{"7123456789abcdfghijklmnpqrsvwxyz-linux-6.12-bzImage"}}, kernels, ""},
		{"the running system has the kernel", deploy.Observation{Boot: "/boot", Disks: boot(30 * mib), Kernels: []string{linux + "/bzImage"}}, kernels, ""},
		{"another kernel", deploy.Observation{Boot: "/boot", Disks: boot(30 * mib), Kernels: []string{"/nix/store/9123456789abcdfghijklmnpqrsvwxyz-linux-6.12/bzImage"}}, kernels,
			"n1 has too little room in /boot: the deploy needs 33.0 MiB, and 30.0 MiB are free; the boot loader copies a new kernel or initial ramdisk there before it removes an old one"},
		{"a boot loader that reads the store", deploy.Observation{Disks: boot(0)}, kernels, ""},
	} {
		var got []string
		for _, f := range deploy.Short(n, c.seen, c.add) {
			if f.Level != deploy.Failure || f.Code != deploy.FindingDiskShort || !strings.Contains(f.Hint, "nix-collect-garbage") {
				t.Errorf("%s: %+v", c.reason, f)
			}
			got = append(got, strings.TrimPrefix(f.Message, "node "))
		}
		if diff := cmp.Diff(c.want, strings.Join(got, "\n")); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", c.reason, diff)
		}
	}
}

// disks returns a node's only disk.
func disks(free int64) map[string]deploy.Disk {
	d := deploy.Disk{Free: free, Files: -1}
	return map[string]deploy.Disk{deploy.FolderStore: d, deploy.FolderDatabase: d}
}

// A node that has too little room does not keep the others from their versions, unless it
// is of an earlier wave.
func TestRoomOfOneNode(t *testing.T) {
	for _, waves := range []string{"", "n1"} {
		nodes := fleet(2, 1)
		w := newWorld(t, nodes)
		w.nodes["n1"].disks = disks(5 * mib)
		for _, n := range nodes {
			for _, p := range n.Profiles {
				w.built[p.Path] = true
			}
		}
		dir := t.TempDir()
		r := w.runner(dir, "")
		o := w.inWaves(nodes, r, waves)
		want := map[string]string{"n1/system": "failed no-room", "n1/env1-n1": "failed no-room", "n2/system": "active", "n2/env1-n2": "active"}
		code := deploy.ExitPartial
		if waves != "" {
			want["n2/system"], want["n2/env1-n2"] = "skipped wave", "skipped wave"
			code = deploy.ExitFailed
		}
		if diff := cmp.Diff(want, states(o)); diff != "" || o.Code() != code {
			t.Errorf("waves %q: exit code %d, %s", waves, o.Code(), diff)
		}
		w.nodes["n1"].disks = nil
		if o := w.inWaves(nodes, w.runner(dir, r.Journal.ID), waves); o.Code() != deploy.ExitDone {
			t.Errorf("waves %q, resumed: exit code %d, %v", waves, o.Code(), states(o))
		}
	}
}

// The sum of all profiles counts, before the first byte is copied.
func TestRoomBeforeTheCopy(t *testing.T) {
	for _, c := range []struct {
		reason string
		built  bool // before the run
		mode   deploy.Mode
		code   int
		states string
	}{
		{"built before: nothing is built", true, deploy.Deploy, deploy.ExitFailed, "failed no-room"},
		{"built by the run: no byte is copied", false, deploy.Deploy, deploy.ExitFailed, "failed no-room"},
		{"a preview builds and shows it", false, deploy.Preview, deploy.ExitFailed, "pending changed pending new"},
		{"a preview of what is built says it once", true, deploy.Preview, deploy.ExitFailed, "pending changed pending new"},
		{"a look shows what is built", true, deploy.Look, deploy.ExitFailed, "pending changed pending new"},
		{"a look cannot know what is not", false, deploy.Look, deploy.ExitDone, "pending changed pending new"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			nodes := fleet(1, 2)
			w := newWorld(t, nodes)
			w.nodes["n1"].disks = disks(35 * mib) // each of the three paths has 10 MiB
			if c.built {
				for _, p := range nodes[0].Profiles {
					w.built[p.Path] = true
				}
			}
			o, err := w.runner(t.TempDir(), "").Run(t.Context(), c.mode, nodes, nodes)
			if err != nil {
				t.Fatal(err)
			}
			code := o.Code()
			if c.mode != deploy.Deploy {
				code = o.PreviewCode(false)
			}
			if code != c.code {
				t.Errorf("the code is %d, want %d", code, c.code)
			}
			if slices.Contains(w.done, "push n1/") || len(w.nodes["n1"].activated) > 0 {
				t.Errorf("it went on: %v", w.done)
			}
			found, failed := 0, 0
			for _, e := range o.Findings {
				if e.Finding.Code == deploy.FindingDiskShort {
					found++
				}
			}
			for _, p := range o.Profiles {
				if p.Reason == deploy.ReasonNoRoom && strings.Contains(p.Error, "the deploy needs 38.2 MiB, and 35.0 MiB are free") && p.Hint != "" {
					failed++
				}
			}
			switch {
			case c.mode == deploy.Deploy && (failed != 3 || found != 0 || c.built != (w.builds == 0)):
				t.Errorf("%d profiles failed, with %d findings and %d builds: %+v", failed, found, w.builds, o.Profiles)
			case c.mode != deploy.Deploy && (c.built || c.mode == deploy.Preview) && found != 1:
				t.Errorf("there are %d findings: %+v", found, o.Findings)
			}
		})
	}
}

// What a node builds for itself cannot be known before.
func TestRoomOfRemoteBuild(t *testing.T) {
	for free, want := range map[int64]int{1 << 30: 1, 3 << 30: 0} {
		nodes := fleet(1, 1)
		nodes[0].RemoteBuild = true
		w := newWorld(t, nodes)
		w.nodes["n1"].disks = disks(free)
		o := w.deploy(nodes)
		if o.Code() != deploy.ExitDone || len(o.Findings) != want || want > 0 && o.Findings[0].Finding.Code != deploy.FindingDiskUnknown {
			t.Errorf("with %d free, the code is %d, and the findings are %+v", free, o.Code(), o.Findings)
		}
	}
}

// A disk that fills up after the copy, and a node that cannot tell what it has or hold it.
func TestRoomOnTheWay(t *testing.T) {
	nodes := fleet(1, 1)
	w := newWorld(t, nodes)
	w.nodes["n1"].disks = disks(100 * mib)
	w.fault = func(op, _, _ string) fault {
		if op == "pushed" {
			w.nodes["n1"].disks = disks(mib)
		}
		return none
	}
	o := w.deploy(nodes)
	if p := o.Profiles[1]; p.Reason != deploy.ReasonNoRoom || !strings.Contains(p.Error, "no room left") {
		t.Errorf("got %+v", o.Profiles)
	}

	w = newWorld(t, nodes)
	w.nodes["n1"].rootless = true
	w.fault = func(op, _, _ string) fault {
		if op == "room" {
			return fails
		}
		return none
	}
	if o = w.deploy(nodes); o.Code() != deploy.ExitDone || len(o.Findings) != 1 || o.Findings[0].Finding.Code != deploy.FindingNoRoots {
		t.Errorf("the code is %d, and the findings are %+v", o.Code(), o.Findings)
	}
}

// A collection in each operation of a deploy, in turn and in all of them: each profile
// ends at the new path, and no path is missed.
func TestCollections(t *testing.T) {
	count := func() (operations int) {
		nodes := fleet(1, 2)
		w := newWorld(t, nodes)
		w.fault = func(string, string, string) fault { operations++; return none }
		w.deploy(nodes)
		return operations
	}()
	for at := -1; at < count; at++ {
		for _, remoteBuild := range []bool{false, true} {
			nodes := fleet(1, 2)
			nodes[0].RemoteBuild = remoteBuild
			w := newWorld(t, nodes)
			now := 0
			w.fault = func(string, string, string) fault {
				now++
				if at < 0 || now == at+1 {
					return collects
				}
				return none
			}
			if o := w.deploy(nodes); o.Code() != deploy.ExitDone {
				t.Errorf("a collection in operation %d of %v: %+v", at, w.done, o.Profiles)
			}
			if roots := w.nodes["n1"].roots; len(roots) > 0 {
				t.Errorf("left are %v", roots)
			}
		}
	}
}

// An activation fails after a collection took the generation to which deploy-rs would go
// back: the path is still there, and becomes active again.
func TestCollectionInAnActivation(t *testing.T) {
	nodes := fleet(1, 1)
	env := nodes[0].Profiles[1]
	w := newWorld(t, nodes)
	w.deploy(nodes)
	old := env.Path
	nodes[0].Profiles[1].Path = "/nix/store/2-" + env.User
	w.fault = func(op, _, profile string) fault {
		if op == "activate" && profile == env.Name {
			return failsAlone
		}
		return none
	}
	o := w.deploy(nodes)
	m := w.nodes["n1"]
	if m.active[env.Name] != old || !m.good[env.Name] || o.Profiles[1].Active != old || len(m.roots) > 0 {
		t.Errorf("it is at %q with the roots %v; the outcome is %+v", m.active[env.Name], m.roots, o.Profiles[1])
	}
}

// A run that dies leaves its roots, which keep both paths through collections. A run of
// another checkout finishes the work, goes back by the root if it fails, and removes
// the roots, also those of an environment that the plan no longer has.
func TestRootsOfARunThatDied(t *testing.T) {
	for _, second := range []fault{none, failsStuck} {
		nodes := fleet(1, 1)
		env := nodes[0].Profiles[1]
		w := newWorld(t, nodes)
		w.deploy(nodes)
		old := env.Path
		nodes[0].Profiles[1].Path = "/nix/store/2-" + env.User
		m := w.nodes["n1"]
		m.roots["retired-next"], m.roots["retired-previous"] = "/nix/store/3-x", "/nix/store/4-x"

		r := w.runner(t.TempDir(), "")
		stop := make(chan struct{})
		r.Stop = stop
		w.fault = func(op, _, profile string) fault {
			switch {
			case op == "activate" && profile == env.Name:
				return diesLinked
			case op == "restore" || op == "release" || op == "observe" && slices.ContainsFunc(w.done, func(s string) bool { return strings.HasPrefix(s, "activate") && strings.HasSuffix(s, env.Name) }):
				return fails
			}
			return none
		}
		if _, err := r.Run(t.Context(), deploy.Deploy, nodes, nodes); err != nil {
			t.Fatal(err)
		}
		if m.roots[env.Name+"-previous"] != old || m.roots[env.Name+"-next"] != nodes[0].Profiles[1].Path {
			t.Fatalf("the run that died left %v", m.roots)
		}
		w.collect("n1")

		w.fault = func(op, _, profile string) fault {
			if op == "activate" && profile == env.Name {
				return second
			}
			return collects
		}
		w.done = nil
		o := w.deploy(nodes)
		want := nodes[0].Profiles[1].Path
		if second != none {
			want = old
		}
		if m.active[env.Name] != want || !m.good[env.Name] || len(m.roots) > 0 {
			t.Errorf("%q: it is at %q, want %q, with the roots %v: %+v", second, m.active[env.Name], want, m.roots, o.Profiles[1])
		}
	}
}

// Random deploys with random faults, and a collection in any operation: what is active is
// never a path that a collection removed, and so is what a run goes back to.
func TestRandomCollections(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 0))
		nodes := fleet(1, 2)
		w := newWorld(t, nodes)
		w.deploy(nodes)
		dir := t.TempDir()
		for version := range 4 {
			for i := range nodes[0].Profiles {
				if random.IntN(2) == 0 {
					nodes[0].Profiles[i].Path = fmt.Sprintf("/nix/store/%d-%s", version+2, nodes[0].Profiles[i].Name)
				}
			}
			w.fault = func(op, _, _ string) fault {
				if op == "activate" {
					return []fault{none, none, fails, failsAlone, failsStuck}[random.IntN(5)]
				}
				if random.IntN(2) == 0 {
					return collects
				}
				return none
			}
			o, err := w.runner(dir, "").Run(t.Context(), deploy.Deploy, nodes, nodes)
			if err != nil {
				t.Fatal(err)
			}
			w.nodes["n1"].restarted = nil
			m := w.nodes["n1"]
			for _, p := range o.Profiles {
				if path := m.active[p.Profile]; m.collected[path] || p.Active != path {
					t.Errorf("seed %d: %s is at %q, by the run at %q", seed, p.Profile, path, p.Active)
				}
			}
			if len(m.roots) > 0 {
				t.Errorf("seed %d: left are %v", seed, m.roots)
			}
		}
	}
}
