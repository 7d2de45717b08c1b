package flakelock

import (
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
)

// A Needed is a source that a customer's own flake.lock names.
type Needed struct {
	Path    string         // of the input, with slashes
	Locked  map[string]any // the attributes to fetch it by
	Refused string         // why it must not be fetched, "" if it may
	Named   bool           // whether the provider allows it to this organisation alone
}

// Customer returns the sources that a customer's own flake.lock names, in which
// `folder` is the folder of the customer's flake in its source, and `replaced` are
// the input paths that have a value of the provider instead. What the provider's
// own inputs bring is not refused to a customer. The error reports a lock with more
// inputs than any flake needs.
func (l *Lock) Customer(customer string, lock *Lock, folder string, replaced []string, allowed Allowed) ([]Needed, error) {
	own, repositories := l.own(), l.repositories()
	var needed []Needed
	found, err := lock.walk(lock.root, folder, func(path string) bool { return slices.Contains(replaced, path) })
	if err != nil {
		return nil, err
	}
	for _, s := range found {
		if len(s.path) == 0 || isRelative(s.node.locked) && s.refused == "" {
			continue
		}
		n := Needed{Path: strings.Join(s.path, "/"), Locked: s.node.locked, Refused: s.refused}
		owner := repositories[repository(s.node.locked)]
		switch {
		case own[identity(s.node.locked)]:
			n.Refused = ""
		case n.Refused != "":
		case owner != "" && owner != organisation(customer):
			n.Refused = "the repository of another customer"
		case !allowed.has(customer, s.node.locked):
			n.Refused = "from " + clip(address(s.node.locked)) + ", which provider.evaluation.allowedUris does not allow"
		}
		n.Named = n.Refused == "" && Allowed{Organisations: allowed.Organisations}.has(customer, s.node.locked)
		needed = append(needed, n)
	}
	return needed, nil
}

// Part returns the part of a lock that inputs of the root need, as a flake.lock. Of
// an input in `alone` it has the node without its inputs.
func (l *Lock) Part(inputs []string, alone string) map[string]any {
	nodes := map[string]any{}
	rootInputs := map[string]any{}
	var label func(string, bool)
	var input func(string)
	label = func(name string, bare bool) {
		n := l.nodes[name]
		if have, there := nodes[name].(map[string]any); n == nil || there && (bare || have["inputs"] != nil || len(n.inputs) == 0) {
			return
		}
		node := map[string]any{"locked": n.locked, "flake": n.isFlake}
		if n.original != nil {
			node["original"] = n.original
		}
		if n.parent != nil {
			node["parent"] = n.parent
		}
		nodes[name] = node
		if bare || len(n.inputs) == 0 {
			return
		}
		below := map[string]any{}
		node["inputs"] = below
		for name, to := range n.inputs {
			if to.follows == nil {
				below[name] = to.label
				label(to.label, false)
				continue
			}
			below[name] = to.follows
			if len(to.follows) > 0 {
				input(to.follows[0])
			}
		}
	}
	input = func(name string) {
		to, there := l.nodes[l.root].inputs[name]
		if _, done := rootInputs[name]; !there || done && name != alone {
			return
		}
		if to.follows == nil {
			rootInputs[name] = to.label
			label(to.label, false)
			return
		}
		rootInputs[name] = to.follows
		if len(to.follows) > 0 {
			input(to.follows[0])
		}
	}
	if to, there := l.nodes[l.root].inputs[alone]; there && to.follows == nil {
		rootInputs[alone] = to.label
		label(to.label, true)
	} else if there {
		input(alone)
	}
	for _, name := range inputs {
		input(name)
	}
	nodes[l.root] = map[string]any{"inputs": rootInputs}
	return map[string]any{"version": int64(7), "root": l.root, "nodes": nodes}
}

// Locked returns the locked attributes of the nodes of a lock, by label.
func (l *Lock) Locked() map[string]map[string]any {
	all := map[string]map[string]any{}
	for label, n := range l.nodes {
		if label != l.root {
			all[label] = n.locked
		}
	}
	return all
}

// Input returns the locked attributes of an input of the root, and its folder, and
// false if there is none.
func (l *Lock) Input(name string) (locked map[string]any, folder string, ok bool) {
	n := l.nodes[l.root]
	at := []string{name}
	for steps := 0; len(at) > 0; steps++ {
		to, there := n.inputs[at[0]]
		if !there || steps > 1000 {
			return nil, "", false
		}
		if to.follows != nil {
			at, n = append(slices.Clone(to.follows), at[1:]...), l.nodes[l.root]
			continue
		}
		at, n = at[1:], l.nodes[to.label]
	}
	folder = folderOf(n.original)
	if folder == "" {
		folder = folderOf(n.locked)
	}
	return n.locked, folder, true
}

// IsRelative reports whether a source is a folder of the flake that names it.
func IsRelative(locked map[string]any) bool { return isRelative(locked) }

// Text returns a lock in compact form.
func Text(part map[string]any) string { return string(canonjson.Encode(part)) }
