package closure_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/closure"
	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// onFleet returns a store that deploys to a fleet.
func onFleet(t *testing.T, f *fleet.Fleet) *closure.Store {
	t.Helper()
	dir := t.TempDir()
	var config, known strings.Builder
	for _, n := range f.Nodes {
		fmt.Fprintf(&config, "Host %s\n  HostName %s\n  User %s\n  HostKeyAlias %[1]s\n", n.Name, n.Address, fleet.DeployUser)
		fmt.Fprintf(&known, "%s %s\n", n.Name, n.HostKey)
	}
	fmt.Fprintf(&config, "Host *\n  IdentityFile %s\n  BatchMode yes\n  StrictHostKeyChecking yes\n  UserKnownHostsFile %s/known_hosts\n", f.SSHKey, dir)
	for name, text := range map[string]string{"ssh_config": config.String(), "known_hosts": known.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &closure.Store{
		Nix:       &hostnix.Runner{Dir: f.Provider.Dir, Env: f.Env()},
		SSHConfig: filepath.Join(dir, "ssh_config"),
		Roots:     filepath.Join(dir, "roots"),
		KeyFile:   f.SigningKey,
	}
}

// filled returns the nodes of the fleet's plan with the evaluated profiles.
func filled(t *testing.T, s *closure.Store, f *fleet.Fleet) []deploy.Node {
	t.Helper()
	nodes, err := deploy.Planned(f.Provider.Plan)
	if err != nil {
		t.Fatal(err)
	}
	evaluated, err := s.Evaluate(t.Context(), nodes, closure.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	if nodes, err = deploy.Fill(nodes, evaluated); err != nil {
		t.Fatal(err)
	}
	return nodes
}

func pathsOf(n deploy.Node) (paths []string) {
	for _, p := range n.Profiles {
		paths = append(paths, p.Path)
	}
	return paths
}

func build(t *testing.T, s *closure.Store, n deploy.Node) {
	t.Helper()
	var log bytes.Buffer
	failed := map[string]error{}
	err := s.Build(t.Context(), on(n), n.Profiles, &log, func(known map[string]error) {
		maps.Copy(failed, known)
	})
	if err != nil || errors.Join(slices.Collect(maps.Values(failed))...) != nil {
		t.Fatalf("build: %v %v\n%s", failed, err, log.String())
	}
}

// The nodes run a real daemon, which does not trust the deploy user; each Nix at
// hand deploys to them.
func TestFleet(t *testing.T) {
	for _, binary := range testenv.NixBinaries(t) {
		t.Run(versionOf(t, binary), func(t *testing.T) {
			f := fleet.Start(t, fleet.Options{Nodes: 2, Environments: 2, Nix: binary})
			s := onFleet(t, f)
			nodes := filled(t, s, f)
			want := f.Provider.Paths(t)
			for i, n := range nodes {
				planned := n
				planned.Profiles = nil
				for _, p := range n.Profiles {
					if p.Path != want[p.Key()] {
						t.Errorf("%s is %s, want %s", p.Key(), p.Path, want[p.Key()])
					}
					p.Path, p.Derivation = "", ""
					planned.Profiles = append(planned.Profiles, p)
				}
				if diff := cmp.Diff(f.Nodes[i].Deploy(), planned); diff != "" {
					t.Errorf("node %s differs (-fleet +planned):\n%s", n.Name, diff)
				}
			}
			n := nodes[0]
			build(t, s, n)

			var unsigned *deploy.UnsignedError
			if err := s.Push(t.Context(), n, pathsOf(n), io.Discard); !errors.As(err, &unsigned) {
				t.Fatalf("unsigned: got %v", err)
			}
			if err := s.Sign(t.Context(), pathsOf(n), io.Discard); err != nil {
				t.Fatal(err)
			}
			if err := s.Push(t.Context(), n, pathsOf(n), io.Discard); err != nil {
				t.Fatal(err)
			}
			for _, path := range pathsOf(n) {
				if !f.Nodes[0].Has(path) {
					t.Errorf("the node does not have %s", path)
				}
			}

			// A new version changes an environment, and adds one.
			f.Provider.SetVersion(t, "2")
			next := filled(t, s, f)[0]
			build(t, s, next)
			f.ResetCounts(t)
			diffs, err := s.Diff(t.Context(), next, []deploy.Pair{
				{Profile: "system", Old: n.Profiles[0].Path, New: next.Profiles[0].Path},
				{Profile: n.Profiles[1].Name, New: next.Profiles[1].Path},
			})
			if err != nil || diffs[0].Copy == 0 || diffs[0].Paths == 0 || len(diffs[0].Changed)+len(diffs[0].Added) == 0 || diffs[1].Delta != diffs[1].Size {
				t.Errorf("got %+v, %v", diffs, err)
			}
			if counts := f.Counts(t); counts["ssh"] != 1 || counts["nix"] > 2 {
				t.Errorf("a diff started %v", counts)
			}
			if f.Nodes[0].Has(next.Profiles[0].Path) {
				t.Error("a diff copied what it compared")
			}

			// A node that builds for itself needs no signature.
			there := filled(t, s, f)[1]
			there.RemoteBuild = true
			build(t, s, there)
			for _, path := range pathsOf(there) {
				if !f.Nodes[1].Has(path) {
					t.Errorf("the node did not build %s", path)
				}
			}
		})
	}
}

func TestFleetFaults(t *testing.T) {
	f := fleet.Start(t, fleet.Options{Nodes: 1, Environments: 1, Payload: 4 << 20})
	s := onFleet(t, f)
	n, node := filled(t, s, f)[0], f.Nodes[0]
	build(t, s, n)
	if err := s.Sign(t.Context(), pathsOf(n), io.Discard); err != nil {
		t.Fatal(err)
	}
	push := func() error { return s.Push(t.Context(), n, pathsOf(n), io.Discard) }

	node.CutAfter(1 << 20)
	if err := push(); !brokeOff(err) {
		t.Errorf("a connection that breaks off: %v", err)
	}
	node.CutAfter(0)

	node.FillDisk(t, 1<<20)
	if err := push(); err == nil || !strings.Contains(err.Error(), "has no room left: ") {
		t.Errorf("a full disk: %v", err)
	}
	node.FreeDisk(t)

	node.StopSSH(t)
	var unreachable *deploy.UnreachableError
	if err := push(); !errors.As(err, &unreachable) {
		t.Errorf("no sshd: %v", err)
	}
	if _, err := s.Diff(t.Context(), n, []deploy.Pair{{Profile: "system", New: n.Profiles[0].Path}}); !errors.As(err, &unreachable) {
		t.Errorf("no sshd for a diff: %v", err)
	}
	node.StartSSH(t)

	node.Trust(t)
	var unsigned *deploy.UnsignedError
	if err := push(); !errors.As(err, &unsigned) {
		t.Errorf("a node that trusts no key: %v", err)
	}
	node.Trust(t, f.PublicKey)
	if err := push(); err != nil {
		t.Errorf("after all faults: %v", err)
	}

	node.ChangeHostKey(t)
	var other *deploy.HostKeyError
	if err := push(); !errors.As(err, &other) {
		t.Errorf("another host key: %v", err)
	}
	secret, err := os.ReadFile(f.SigningKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, argv := range f.Commands(t) {
		if strings.Contains(strings.Join(argv, " "), string(secret)[20:]) {
			t.Errorf("the secret key is in %q", argv)
		}
	}
}

// One process evaluates a node with its profiles.
func TestFleetEvaluation(t *testing.T) {
	f := fleet.Start(t, fleet.Options{Nodes: 8, Environments: 5})
	s := onFleet(t, f)
	f.ResetCounts(t)
	if nodes := filled(t, s, f); len(nodes) != 8 || len(nodes[7].Profiles) != 6 || nodes[7].Profiles[5].Path == "" {
		t.Errorf("got %+v", nodes)
	}
	if counts := f.Counts(t); counts["nix"] != 8 || len(counts) > 2 { // nix starts git
		t.Errorf("started %v", counts)
	}
}

// A copy that moves no byte is given up, and so is a question that a node does not answer.
func TestFleetStalls(t *testing.T) {
	f := fleet.Start(t, fleet.Options{Nodes: 1, Environments: 1, Payload: 16 << 20})
	s := onFleet(t, f)
	n, node := filled(t, s, f)[0], f.Nodes[0]
	build(t, s, n)
	if err := s.Sign(t.Context(), pathsOf(n), io.Discard); err != nil {
		t.Fatal(err)
	}
	s.Stall = 3 * time.Second
	push := func() error { return s.Push(t.Context(), n, pathsOf(n), io.Discard) }
	const stalled = "node n1 was given up: it read and wrote nothing for 3s"

	node.FreezeAfter(1 << 20)
	if err := push(); err == nil || !strings.Contains(err.Error(), stalled) || !strings.Contains(problem.Hint(err), "nix-daemon") {
		t.Errorf("a connection that stalls: %v", err)
	}
	node.FreezeAfter(0)
	node.Thaw(t)

	// sshd answers, and Nix's daemon does not.
	daemon, err := os.ReadFile(node.Path("/run/current-system/sw/bin/nix-daemon"))
	if err != nil {
		t.Fatal(err)
	}
	node.Program(t, "nix-daemon", "#!/bin/sh\nexec sleep 1000\n")
	begun := time.Now()
	if err := push(); err == nil || !strings.Contains(err.Error(), stalled) {
		t.Errorf("a daemon that does not answer: %v", err)
	}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	node.Program(t, "nix-daemon", string(daemon))

	node.Program(t, "nix-store", "#!/bin/sh\nexec sleep 1000\n")
	if _, err := s.Diff(t.Context(), n, []deploy.Pair{{Profile: "system", New: n.Profiles[0].Path}}); err == nil || !strings.Contains(err.Error(), "it did not end within 3s") {
		t.Errorf("a question without an answer: %v", err)
	}

	s.Stall = 0
	if err := push(); err != nil {
		t.Errorf("after all: %v", err)
	}
}
