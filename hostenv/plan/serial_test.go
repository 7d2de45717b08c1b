package plan_test

import (
	"bytes"
	"maps"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// A plan has a higher serial than the last one if and only if it differs from it, and a
// deploy of it makes no difference.
func TestSerial(t *testing.T) {
	moved := 0
	for dir, text := range goldenPlans(t) {
		computed, err := plan.DecodeDocument(text)
		if err != nil {
			t.Fatal(err)
		}
		first := computed.After(plan.Document{})
		if first.Serial.Number != 1 || first.Serial.Digest != computed.Digest() || first.Digest() != computed.Digest() {
			t.Errorf("%s: the first plan has the serial %+v", dir, first.Serial)
		}
		read, err := plan.DecodeDocument(first.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if again := computed.After(read); !bytes.Equal(again.Encode(), first.Encode()) {
			t.Errorf("%s: the same plan again has the serial %+v", dir, again.Serial)
		}

		if unnumbered := computed.After(computed); !bytes.Equal(unnumbered.Encode(), text) {
			t.Errorf("%s: the plan of an older version changes", dir)
		}

		// A deploy writes into the plan, and the next plan is computed from that.
		at := map[string]string{}
		for user, e := range read.Environments {
			at[user] = e.Node
		}
		moved += len(read.Moves())
		deployed := read.WithDeployed(at, "another state's")
		if deployed.Digest() != read.Digest() || deployed.After(deployed).Serial.Number != 1 {
			t.Errorf("%s: a deploy makes another plan of it", dir)
		}

		if len(computed.Environments) == 0 {
			continue
		}
		changed := computed
		changed.Environments = maps.Clone(computed.Environments)
		for user, e := range changed.Environments {
			e.UID++
			changed.Environments[user] = e
			break
		}
		second := changed.After(read)
		if second.Serial.Number != 2 {
			t.Errorf("%s: a changed plan has the serial %+v", dir, second.Serial)
		}
		// Back to what it was is a change as well.
		if third := computed.After(second); third.Serial.Number != 3 || third.Serial.Digest != first.Serial.Digest {
			t.Errorf("%s: back again it has the serial %+v", dir, third.Serial)
		}
		// Git merged two plans, and somebody took the serial of one of them.
		merged := changed
		merged.Serial = first.Serial
		if after := changed.After(merged); after.Serial.Number != 2 {
			t.Errorf("%s: a merged plan keeps the serial %+v", dir, after.Serial)
		}
	}
	if moved == 0 {
		t.Error("no plan has a move")
	}
}
