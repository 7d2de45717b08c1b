package plan

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
)

// Waves are the provider's options about the order of a deploy. [Document.InWaves]
// applies them.
type Waves struct {
	// Order has the nodes of each wave; the nodes that are left are the last wave.
	Order []WaveNodes `json:"order,omitzero"`
	// Types are types of environments, in the order of their activation. Those of all
	// other types are activated last.
	Types    []string `json:"types,omitzero"`
	Pause    int      `json:"pause"`    // between two waves, in seconds
	Failures int      `json:"failures"` // how many profiles of a wave may fail; more end the deploy
}

// WaveNodes are the nodes of one wave: by name, or so many of those that are left, or so
// many percent of all nodes, rounded up.
type WaveNodes struct {
	Nodes   []string `json:"nodes,omitzero"`
	Count   int      `json:"count,omitzero"`
	Percent int      `json:"percent,omitzero"`
}

// String returns the entry as provider.waves has it.
func (w WaveNodes) String() string {
	switch {
	case w.Count > 0:
		return strconv.Itoa(w.Count)
	case w.Percent > 0:
		return fmt.Sprintf("%d%%", w.Percent)
	}
	return "[ " + strings.Join(w.Nodes, " ") + " ]"
}

// waves reads provider.waves, waveTypes, wavePause and waveFailures. It returns nil if
// the deploy of all nodes is one wave.
func (r *reader) waves(from canonjson.Object) *Waves {
	const where, option = "provider", "waves"
	const remedy = `write lists of nodes, numbers of nodes and percentages: [ [ "canary-node" ] 2 "30%" ]`
	w := &Waves{
		Types:    r.texts(from, where, "waveTypes"),
		Pause:    r.number(from, where, "wavePause", 0, 0, 24*60*60),
		Failures: r.number(from, where, "waveFailures", 0, 0, math.MaxInt32),
	}
	v := from.Get(option)
	list, ok := canonjson.ListOf(v)
	if !ok && !canonjson.IsNull(v) {
		r.remedied(where, option, remedy, "is %s, not a list", canonjson.KindOf(v))
	}
	for _, v := range list {
		var entry WaveNodes
		names, isList := canonjson.ListOf(v)
		count, isCount := canonjson.Integer(v)
		text, _ := canonjson.Text(v)
		digits, isPercent := strings.CutSuffix(text, "%")
		percent, err := strconv.Atoi(digits)
		switch {
		case isList:
			for _, v := range names {
				name, ok := canonjson.Text(v)
				if !ok || name == "" {
					r.remedied(where, option, remedy, "holds %s in a list of nodes", v)
					continue
				}
				entry.Nodes = append(entry.Nodes, name)
			}
		case isCount && 0 < count && count <= 1<<31-1:
			entry.Count = int(count)
		case isPercent && err == nil && 0 < percent && percent <= 100 && digits == strconv.Itoa(percent):
			entry.Percent = percent
		default:
			r.remedied(where, option, remedy, "holds %s", v)
			continue
		}
		if isList && len(names) == 0 {
			r.remedied(where, option, remedy, "holds an empty list")
			continue
		}
		w.Order = append(w.Order, entry)
	}
	for i, kind := range w.Types {
		if slices.Contains(w.Types[:i], kind) {
			r.remedied(where, "waveTypes", "write each type once", "holds %q twice", kind)
		}
	}
	if len(w.Order)+len(w.Types) == 0 {
		return nil
	}
	return w
}

// waveNodes refuses names in provider.waves that are no nodes: a wave of a mistyped name
// would be empty, and the node that was meant would be in the last one.
func (c *computation) waveNodes() {
	p := &c.inv.Provider
	if p.Waves == nil {
		return
	}
	known := slices.Collect(maps.Keys(p.Nodes))
	if len(p.Nodes) == 0 { // then those that environments may be on
		known = slices.Collect(maps.Values(p.Placement))
		for _, m := range p.NodeFor {
			if node, ok := canonjson.Text(m.Value); ok {
				known = append(known, node)
			}
		}
		for _, e := range c.placed {
			known = append(known, e.node)
		}
	}
	known = unique(known)
	slices.Sort(known)
	seen := map[string]bool{}
	for _, entry := range p.Waves.Order {
		for _, node := range entry.Nodes {
			switch {
			case !slices.Contains(known, node):
				c.errs.Addf("provider.waves", meant(node, known, "the nodes are "+strings.Join(known, ", ")), "names %q, which is no node", node)
			case seen[node]:
				c.errs.Addf("provider.waves", "name each node once", "names the node %q twice", node)
			}
			seen[node] = true
		}
	}
}

// systemOf returns the key of a node's system, as keyOf does that of an environment:
// node/profile.
func systemOf(node string) string       { return keyOf(node, "system") }
func keyOf(node, profile string) string { return node + "/" + profile }

// InWaves returns the profiles of the plan in the waves of a deploy, each as the sorted
// keys node/profile: those of a wave may be activated when all of the wave before are.
// No wave is empty, and each profile is in one. The system of a node is never in a later
// wave than its environments, and never in an earlier one than an environment that leaves
// the node. Without provider.waves there is one wave.
//
// It is a function of the plan alone: a deploy of some profiles has the same waves without
// the others.
func (d Document) InWaves() [][]string {
	var w Waves
	if d.Waves != nil {
		w = *d.Waves
	}
	steps := len(w.Types) + 1 // of a wave: one for each type, and one for all others
	step := map[string]int{}
	for node, at := range w.order(d.NodeNames()) {
		step[systemOf(node)] = at * steps
	}
	for user, e := range d.Environments {
		at, planned := step[systemOf(e.Node)]
		if !planned || !e.Runs() {
			continue
		}
		kind, _ := canonjson.Text(e.Carried.Get("type"))
		i := slices.Index(w.Types, kind)
		if i < 0 {
			i = len(w.Types)
		}
		step[keyOf(e.Node, user)] = at + i
	}
	d.delay(step)
	byStep := map[int][]string{}
	for key, at := range step {
		byStep[at] = append(byStep[at], key)
	}
	var waves [][]string
	for _, at := range slices.Sorted(maps.Keys(byStep)) {
		slices.Sort(byStep[at])
		waves = append(waves, byStep[at])
	}
	return waves
}

// order returns the number of the wave of each node. The nodes are sorted.
func (w Waves) order(nodes []string) map[string]int {
	of := map[string]int{}
	left := slices.Clone(nodes)
	take := func(wave int, is func(i int, node string) bool) {
		var rest []string
		for i, node := range left {
			if is(i, node) {
				of[node] = wave
			} else {
				rest = append(rest, node)
			}
		}
		left = rest
	}
	// A node that has a wave by its name is in no other.
	for wave, entry := range w.Order {
		take(wave, func(_ int, node string) bool { return slices.Contains(entry.Nodes, node) })
	}
	for wave, entry := range w.Order {
		count := entry.Count
		if entry.Percent > 0 {
			count = (len(nodes)*entry.Percent + 99) / 100
		}
		take(wave, func(i int, _ string) bool { return i < count })
	}
	take(len(w.Order), func(int, string) bool { return true })
	return of
}

// delay moves systems behind the environments that leave their nodes, and environments
// behind their systems, until all are.
func (d Document) delay(step map[string]int) {
	for changed := true; changed; {
		changed = false
		behind := func(key, other string) {
			at, here := step[key]
			least, there := step[other]
			if here && there && at < least {
				step[key], changed = least, true
			}
		}
		for _, m := range d.Moves() {
			behind(systemOf(m.From), keyOf(m.To, m.User))
		}
		for user, e := range d.Environments {
			behind(keyOf(e.Node, user), systemOf(e.Node))
		}
	}
}
