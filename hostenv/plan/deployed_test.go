package plan_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// When a deploy updates the plan, the result equals the plan that `mage plan` makes
// from the state that the deploy wrote, for any part of the plan that was deployed.
func TestWithDeployed(t *testing.T) {
	moved := 0
	for _, dir := range scenarios(t) {
		o := run(t, dir)
		if o.err != nil {
			continue
		}
		moves := o.Plan.Moves()
		moved += len(moves)
		every, some := map[string]string{}, map[string]string{}
		for _, node := range o.Plan.NodeNames() {
			for i, user := range o.Plan.Running(node) {
				every[user] = node
				if i%2 == 0 {
					some[user] = node
				}
			}
		}
		text, err := os.ReadFile(filepath.Join(dir, "inventory.json"))
		if err != nil {
			t.Fatal(err)
		}
		inventory, err := plan.DecodeInventory(text)
		if err != nil {
			t.Fatal(err)
		}
		o.Result = settled(t, inventory, o.Result)
		for _, deployed := range []map[string]string{nil, some, every} {
			s := o.State.WithDeployed(deployed)
			got := o.Plan.WithDeployed(deployed, s.Digest())
			want, err := plan.Compute(plan.Input{Inventory: inventory, Sources: o.Plan.Sources(), State: s, Last: &o.Plan})
			if err != nil {
				continue // a transfer or a rename cannot be repeated
			}
			if !bytes.Equal(got.Encode(), want.Plan.Encode()) {
				t.Errorf("%s: with %v deployed the plan is not what planning makes of it", dir, deployed)
			}
			if err := plan.CheckFresh(got.Encode(), s); err != nil {
				t.Errorf("%s: %v", dir, err)
			}
		}
		if got := o.Plan.WithDeployed(every, "").Moves(); len(got) > 0 {
			t.Errorf("%s: all is deployed, and there are moves: %v", dir, got)
		}
	}
	if moved == 0 {
		t.Error("no scenario has a move")
	}
}
