package deploy_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// Where an environment is, is what the newest run says that saw it there.
func TestArrived(t *testing.T) {
	runs := t.TempDir()
	at := func(node, user string, state deploy.State) deploy.Event {
		return deploy.Event{Type: deploy.TypeProfile, Node: node, Profile: user, State: state, Want: "/nix/store/x"}
	}
	now := time.Now()
	for i, events := range [][]deploy.Event{
		{at("n1", "shop", deploy.StateActive), at("n1", "blog", deploy.StateInSync), at("n1", "system", deploy.StateActive)},
		{at("n2", "shop", deploy.StateActivating), at("n2", "shop", deploy.StateActive), at("n2", "blog", deploy.StateFailed)},
		{at("n1", "shop", deploy.StatePending), at("n1", "shop", deploy.StateActivating)}, // and was killed
	} {
		j, err := deploy.CreateJournal(runs, now.Add(time.Duration(i)*time.Millisecond), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Append(events...); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := deploy.ReadHistory(runs)
	if diff := cmp.Diff(map[string]string{"shop": "n2", "blog": "n1"}, got.Arrived); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if got, err := deploy.ReadHistory(filepath.Join(runs, "nowhere")); len(got.Arrived) > 0 || err != nil {
		t.Error(got, err)
	}
	ids, err := deploy.Runs(runs)
	if err != nil || len(ids) != 3 {
		t.Fatal(ids, err)
	}
	if err := os.WriteFile(filepath.Join(runs, ids[1]+".jsonl"), []byte("nonsense\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := deploy.ReadHistory(runs); err == nil {
		t.Error("a journal that cannot be read is passed over")
	}
}
