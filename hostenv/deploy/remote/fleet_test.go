package remote_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// onFleet opens a node of a fleet, as its operator does.
func onFleet(t *testing.T, f *fleet.Fleet, n deploy.Node, how deploy.OpenOptions) (deploy.Session, error) {
	t.Helper()
	own := os.Environ()
	defer func() { setEnv(t, own) }() // by which the fleet finds its own programs
	setEnv(t, f.Env())
	s, err := remote.New(config(t, n)).Open(t.Context(), n, how)
	if err == nil {
		t.Cleanup(func() { _ = s.Close() })
	}
	return s, err
}

func setEnv(t *testing.T, env []string) {
	t.Helper()
	os.Clearenv()
	for _, kv := range env {
		key, value, _ := strings.Cut(kv, "=")
		if err := os.Setenv(key, value); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFleet has the rules of nix/modules/sudo.nix, a daemon of Nix, and the
// profiles of nix/lib/deploy.nix: what is restored and removed here is so on a
// node.
func TestFleet(t *testing.T) {
	f := fleet.Start(t, fleet.Options{Nodes: 1, Environments: 2, Deployed: true})
	n := f.Nodes[0]
	d := n.Deploy()
	old := f.Provider.Paths(t)
	f.ResetCounts(t)
	s, err := onFleet(t, f, d, lockAs("alice", 0))
	if err != nil {
		t.Fatal(err)
	}
	if counts := f.Counts(t); counts["ssh"] != 2 { // one reads what was written, by -G
		t.Errorf("a session takes %v", counts)
	}
	o := s.Observation()
	if o.OS != "nixos" || o.Nix == "" || o.TrustsUser || !slices.Contains(o.TrustedKeys, f.PublicKey) {
		t.Errorf("the node is %+v", o)
	}
	if key, err := names.ParsePublicKey(n.HostKey); err != nil || o.HostKey != key.Bare() {
		t.Errorf("the node shows the host key %s, and reports %q: %v", n.HostKey, o.HostKey, err)
	}
	if o.Sudo != "" || o.Printed != "" {
		t.Errorf("with the node's own rules sudo refuses %q, and the shell prints %q", o.Sudo, o.Printed)
	}
	for _, p := range d.Profiles {
		got := o.Profiles[p.Name]
		if got.Active != old[p.Key()] || got.Temp != deploy.TempPrivate || got.UID != p.UID || len(got.Activating) != 0 {
			t.Errorf("%s is %+v, and should be at %s", p.Name, got, old[p.Key()])
		}
		if err := s.Restore(t.Context(), p, got.Active); err != nil {
			t.Error(err)
		}
		if n.Active(t, p.Name) != old[p.Key()] || n.Activated(t, p.Name, old[p.Key()]) != 1 {
			t.Errorf("%s is restored to %s, and activated %d times", p.Name, n.Active(t, p.Name), n.Activated(t, p.Name, old[p.Key()]))
		}
	}

	env := d.Profiles[1]
	n.OnActivation(t, env.Name, fleet.Behaviour{Fail: 3})
	var failed *remote.CommandError
	if err := s.Restore(t.Context(), env, old[env.Key()]); !errors.As(err, &failed) {
		t.Errorf("an activation that fails: %v", err)
	}
	if err := s.Remove(t.Context(), env); err != nil || n.Active(t, env.Name) != "" {
		t.Errorf("removed, it is at %q: %v", n.Active(t, env.Name), err)
	}
	if o, err := s.Observe(t.Context()); err != nil || o.Profiles[env.Name].Active != "" || o.Profiles[d.Profiles[2].Name].Active == "" {
		t.Errorf("observed is %+v, %v", o, err)
	}

	n.HidePID(t)
	n.OpenTemp(t, env.Name)
	n.RemoveUser(t, d.Profiles[2].User)
	n.OtherOS(t)
	n.TrustDeployUser(t)
	if o, err = s.Observe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !o.ProcessesHidden || o.OS == "nixos" || o.Profiles[env.Name].Temp != deploy.TempOpen || o.Profiles[d.Profiles[2].Name].UID != 0 {
		t.Errorf("what was changed is not seen: %+v", o)
	}
	// A session asks about Nix once.
	again, err := onFleet(t, f, d, deploy.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !again.Observation().TrustsUser {
		t.Errorf("what was changed of Nix is not seen: %+v", again.Observation())
	}
}

// TestFleetFaults tests a network that fails, and nodes that another machine has
// replaced.
func TestFleetFaults(t *testing.T) {
	f := fleet.Start(t, fleet.Options{Nodes: 3, Environments: 1, Deployed: true})
	path := f.Provider.Paths(t)

	// The connection breaks during an activation. The activation still finishes, and
	// the lock is free, so that the result can be observed.
	n := f.Nodes[0]
	d := n.Deploy()
	env := d.Profiles[1]
	s, err := onFleet(t, f, d, lockAs("alice", 0))
	if err != nil {
		t.Fatal(err)
	}
	n.OnActivation(t, env.Name, fleet.Behaviour{Block: true})
	restored := make(chan error, 1)
	go func() { restored <- s.Restore(t.Context(), env, path[env.Key()]) }()
	n.WaitBlocked(t, env.Name)
	n.Cut()
	<-s.Lost()
	if err := <-restored; err == nil || !strings.Contains(err.Error(), ": the connection was lost") {
		t.Errorf("the error of the restore is %v", err)
	}
	s, err = onFleet(t, f, d, lockAs("bob", 0))
	var locked *deploy.LockedError
	if errors.As(err, &locked) { // sshd has not seen it yet
		s, err = onFleet(t, f, d, lockAs("bob", testenv.Patience))
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Observation().Profiles[env.Name].Activating; len(got) != 1 || !strings.HasSuffix(got[0], " "+path[env.Key()]) {
		t.Errorf("running is %q", got)
	}
	n.OnActivation(t, env.Name, fleet.Behaviour{Print: 100000})
	n.WaitEnded(t, env.Name)
	if got := n.Activated(t, env.Name, path[env.Key()]); got != 1 {
		t.Errorf("it was activated %d times", got)
	}

	n = f.Nodes[1]
	d = n.Deploy()
	n.ChangeHostKey(t)
	var hostKey *deploy.HostKeyError
	if _, err := onFleet(t, f, d, deploy.OpenOptions{}); !errors.As(err, &hostKey) {
		t.Errorf("another host key: %v", err)
	}

	n = f.Nodes[2]
	d = n.Deploy()
	for _, bytes := range []int64{1, 1000, 3000, 6000} {
		n.CutAfter(bytes)
		if _, err := onFleet(t, f, d, lockAs("alice", 0)); err == nil {
			t.Errorf("after %d bytes it is open", bytes)
		}
	}
	n.CutAfter(0)
	n.StopSSH(t)
	var unreachable *deploy.UnreachableError
	if _, err := onFleet(t, f, d, deploy.OpenOptions{}); !errors.As(err, &unreachable) {
		t.Errorf("no sshd: %v", err)
	}
	n.StartSSH(t)
	if _, err := onFleet(t, f, d, lockAs("alice", 0)); err != nil {
		t.Errorf("later: %v", err)
	}
}
