package flakelock

import (
	"fmt"
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
//
// The error reports a lock beyond the limits; the sources are then a part.
func (l *Lock) walk(label, folder string, replaced func(string) bool) ([]source, error) {
	w := &walk{lock: l, replaced: replaced, seen: map[string]bool{}, folders: map[string]string{}}
	w.at(nil, label, folder)
	if w.over {
		return w.found, fmt.Errorf("it has more than %d inputs, or inputs more than %d deep, or a relative one that is within itself", maxSources, maxDepth)
	}
	return w.found, nil
}

// Limits of a walk. A relative input that names itself has folders without end, and
// two that name two others double them at each step.
const (
	maxSources = 5000
	maxDepth   = 100
	maxText    = 16 << 10 // bytes of an input path and its folder
)

type walk struct {
	lock     *Lock
	replaced func(string) bool
	seen     map[string]bool   // label and folder
	folders  map[string]string // of flakes in their sources, by input path
	found    []source
	over     bool // whether a limit is reached, at which the walk ends
}

func (w *walk) at(at []string, label, folder string) {
	// One label has one tree, and only a relative path depends on the way to it.
	key := label + "\x00" + folder
	inputPath := strings.Join(at, "/")
	w.over = w.over || len(at) > maxDepth || len(inputPath)+len(folder) > maxText
	if w.over || w.seen[key] {
		return
	}
	if w.over = len(w.found) == maxSources; w.over {
		return
	}
	w.seen[key] = true
	w.folders[inputPath] = folder
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
