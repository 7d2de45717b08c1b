package deploy

import (
	"cmp"
	"maps"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// sameMachines finds nodes with the same host key. They are one machine under two
// names, and a deploy of the second would overwrite the first; or copies of one
// image, and each could pose as the other.
//
// It compares the keys of the plan, because ssh accepts no others. A node without a
// key in the plan has the key that it reports, if it is in the run.
func (r *run) sameMachines() []Event {
	byKey := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(r.all)) {
		n := r.all[name]
		if len(n.profiles) == 0 { // the run only moves data from it
			continue
		}
		if key, err := names.ParsePublicKey(cmp.Or(n.HostKey, n.seen().HostKey)); err == nil {
			byKey[key.Bare()] = append(byKey[key.Bare()], name)
		}
	}
	var events []Event
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		same := byKey[key]
		i := slices.IndexFunc(r.nodes, func(n *nodeRun) bool { return slices.Contains(same, n.Name) })
		if len(same) < 2 || i < 0 {
			continue
		}
		fix := "if they are one machine, remove the other name from provider.nodes and run `mage plan`. If they are copies, run `rm /etc/ssh/ssh_host_*` as root on one of them, restart it, and set its new key as provider.nodes." +
			same[len(same)-1] + ".hostKey; before that, let sops encrypt for the new key what it encrypts for the old one"
		events = append(events, Event{Type: TypeFinding, Node: r.nodes[i].Name, Finding: finding(Failure, FindingSameMachine, fix,
			"nodes %s have the same host key, %s: they are one machine, or copies of one image", problem.Join(same), key)})
	}
	return events
}
