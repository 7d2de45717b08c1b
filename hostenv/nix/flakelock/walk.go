package flakelock

import (
	"path"
	"strings"
)

// A source is a node at an input path.
type source struct {
	path    []string // from where the walk began
	node    *node
	refused string // why it is refused, "" if it is not
}

// walk returns the nodes that a label reaches, with itself. It leaves out inputs
// that follow others: what they follow is elsewhere in the lock. `folder` is the
// folder of the first flake in its source. `replaced` reports which input paths
// have a value of the provider instead.
func (l *Lock) walk(label, folder string, replaced func(string) bool) []source {
	w := &walk{lock: l, replaced: replaced, seen: map[string]bool{}, folders: map[string]string{}}
	w.at(nil, label, folder)
	return w.found
}

type walk struct {
	lock     *Lock
	replaced func(string) bool
	seen     map[string]bool   // label and folder
	folders  map[string]string // of flakes in their sources, by input path
	found    []source
}

func (w *walk) at(at []string, label, folder string) {
	// One label has one tree, and only a relative path depends on the way to it.
	key := label + "\x00" + folder
	if w.seen[key] {
		return
	}
	w.seen[key] = true
	w.folders[strings.Join(at, "/")] = folder
	n := w.lock.nodes[label]
	s := source{path: at, node: n}
	if len(at) > 0 {
		s.refused = refuse(n.locked, isRelative(n.locked) && !leaves(folder))
	}
	w.found = append(w.found, s)
	for name, to := range n.inputs {
		below := append(at[:len(at):len(at)], name)
		if to.follows != nil || w.replaced != nil && w.replaced(strings.Join(below, "/")) {
			continue
		}
		w.at(below, to.label, w.folder(w.lock.nodes[to.label], folder))
	}
}

// folder is the folder of a node's flake in its source: for a relative path, in the
// source of the flake that names it.
func (w *walk) folder(n *node, of string) string {
	if !isRelative(n.locked) {
		return folderOf(n.locked)
	}
	if n.parent != nil {
		// The path of a parent counts from the root of the whole lock. A parent that
		// the walk has not seen leaves the folder of the flake around.
		if known, ok := w.folders[strings.Join(n.parent, "/")]; ok {
			of = known
		}
	}
	return path.Join(of, text(n.locked, "path"), folderOf(n.locked))
}

func leaves(folder string) bool {
	return folder == ".." || strings.HasPrefix(folder, "../") || strings.HasPrefix(folder, "/")
}

func folderOf(attributes map[string]any) string { return text(attributes, "dir") }

func text(attributes map[string]any, name string) string {
	value, _ := attributes[name].(string)
	return value
}

// isRelative reports whether a source is a folder of the flake that names it.
func isRelative(attributes map[string]any) bool {
	return text(attributes, "type") == "path" && text(attributes, "path") != "" && !strings.HasPrefix(text(attributes, "path"), "/")
}
