package deploy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// Two nodes with the same host key are an error before the build.
func TestSameMachine(t *testing.T) {
	key := hostKey("n1")
	none := func(*world, []deploy.Node) {}
	for _, test := range []struct {
		reason string
		change func(w *world, nodes []deploy.Node)
		run    int // how many of the three nodes
		want   string
	}{
		{"three machines", none, 3, ""},
		{"the plan names one key for two", func(_ *world, nodes []deploy.Node) { nodes[1].HostKey = key }, 3, "n1 and n2"},
		{"a comment is not part of a key", func(_ *world, nodes []deploy.Node) { nodes[2].HostKey = key + " root@n1" }, 3, "n1 and n3"},
		{"two without a key in the plan report one", func(w *world, nodes []deploy.Node) {
			for _, n := range nodes[:2] {
				w.nodes[n.Name].hostKey = hostKey("shared")
			}
			nodes[0].HostKey, nodes[1].HostKey = "", ""
		}, 3, "n1 and n2"},
		{"one reports what the plan names for another", func(w *world, nodes []deploy.Node) {
			nodes[1].HostKey, w.nodes["n2"].hostKey = "", key
		}, 3, "n1 and n2"},
		{"what a node reports does not replace the key that ssh requires", func(w *world, _ []deploy.Node) { w.nodes["n2"].hostKey = key }, 3, ""},
		{"the other node is not in the run", func(_ *world, nodes []deploy.Node) { nodes[2].HostKey = key }, 1, "n1 and n3"},
		{"neither node is in the run", func(_ *world, nodes []deploy.Node) { nodes[2].HostKey = nodes[1].HostKey }, 1, ""},
		{"nothing is deployed to the other node", func(_ *world, nodes []deploy.Node) { nodes[2].HostKey, nodes[2].Profiles = key, nil }, 1, ""},
		{"all three are one", func(_ *world, nodes []deploy.Node) { nodes[1].HostKey, nodes[2].HostKey = key, key }, 3, "n1, n2 and n3"},
	} {
		t.Run(test.reason, func(t *testing.T) {
			nodes := fleet(3, 1)
			w := newWorld(t, nodes)
			test.change(w, nodes)
			o, err := w.runner(t.TempDir(), "").Run(t.Context(), deploy.Deploy, nodes[:test.run], nodes)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, e := range o.Findings {
				if e.Finding.Code == deploy.FindingSameMachine {
					names, _, _ := strings.Cut(strings.TrimPrefix(e.Finding.Message, "nodes "), " have the same host key")
					got += names
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if refused := o.Code() == deploy.ExitFailed && len(w.built) == 0; refused != (test.want != "") {
				t.Errorf("exit code %d, built %v", o.Code(), w.built)
			}
		})
	}
}
