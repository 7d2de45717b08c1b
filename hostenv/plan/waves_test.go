package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// waved returns a plan with these nodes, and environments written node:type or
// from>node:type, which are called e1, e2 and so on.
func waved(w plan.Waves, nodes, environments string) plan.Document {
	d := plan.Document{Nodes: map[string]plan.Node{}, Environments: map[string]plan.Environment{}, Waves: &w}
	for _, node := range strings.Fields(nodes) {
		d.Nodes[node] = plan.Node{}
	}
	for i, text := range strings.Fields(environments) {
		at, kind, _ := strings.Cut(text, ":")
		from, to, moves := strings.Cut(at, ">")
		e := plan.Environment{Node: to, PreviousNode: from}
		if !moves {
			e.Node, e.PreviousNode = from, ""
		}
		e.Carried = plan.Carried{{Name: "type", Value: canonjson.Marshal(kind)}}
		d.Environments[fmt.Sprintf("e%d", i+1)] = e
	}
	return d
}

func TestInWaves(t *testing.T) {
	named := func(nodes ...string) plan.WaveNodes { return plan.WaveNodes{Nodes: nodes} }
	count, percent := func(n int) plan.WaveNodes { return plan.WaveNodes{Count: n} }, func(n int) plan.WaveNodes { return plan.WaveNodes{Percent: n} }
	for _, test := range []struct {
		reason              string
		order               []plan.WaveNodes
		types               []string
		nodes, environments string
		want                []string // of each wave
	}{
		{"without the option", nil, nil, "a b", "a:production", []string{"a/e1 a/system b/system"}},
		{"a canary, two, and what is left", []plan.WaveNodes{named("d"), count(2)}, nil, "a b c d e", "d:testing e:testing",
			[]string{"d/e1 d/system", "a/system b/system", "c/system e/e2 e/system"}},
		{"a percentage of all nodes, rounded up", []plan.WaveNodes{percent(30), percent(30)}, nil, "a b c d", "",
			[]string{"a/system b/system", "c/system d/system"}},
		{"a node that is named later is not counted before", []plan.WaveNodes{count(1), named("a")}, nil, "a b c", "",
			[]string{"b/system", "a/system", "c/system"}},
		{"a wave without nodes", []plan.WaveNodes{count(5), count(1)}, nil, "a b", "", []string{"a/system b/system"}},
		{"testing before all others, in each wave", []plan.WaveNodes{named("b")}, []string{"testing"}, "a b", "a:production a:testing b:production b:development",
			[]string{"b/system", "b/e3 b/e4", "a/e2 a/system", "a/e1"}},
		{"types in their order", nil, []string{"development", "testing"}, "a", "a:production a:testing a:development",
			[]string{"a/e3 a/system", "a/e2", "a/e1"}},
		{"a system follows the environment that leaves its node", []plan.WaveNodes{named("a")}, nil, "a b", "a>b:production a:production",
			[]string{"a/e2 a/system b/e1 b/system"}},
		{"and that is of a later type", []plan.WaveNodes{named("b")}, []string{"testing"}, "a b", "b>a:production b:testing",
			[]string{"a/system", "a/e1 b/e2 b/system"}},
		{"no nodes", []plan.WaveNodes{count(1)}, nil, "", "", nil},
	} {
		var got []string
		for _, wave := range waved(plan.Waves{Order: test.order, Types: test.types}, test.nodes, test.environments).InWaves() {
			got = append(got, strings.Join(wave, " "))
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.reason, diff)
		}
	}
}

// Each profile is in one wave, no wave is empty, no environment is before the system of
// its node, no system before an environment that leaves the node, and named nodes come in
// the order of the option unless a move delays them.
func FuzzInWaves(f *testing.F) {
	f.Add([]byte{3, 1, 2, 0, 9, 4, 1, 30, 7, 7, 7, 2, 5})
	f.Fuzz(func(t *testing.T, data []byte) {
		next := func(n int) int {
			if len(data) == 0 {
				return 0
			}
			b := int(data[0])
			data = data[1:]
			return b % n
		}
		var nodes, environments []string
		for i := range next(8) {
			nodes = append(nodes, fmt.Sprintf("n%d", i))
		}
		kinds := []string{"testing", "production", "development", "other"}
		moves := false
		if len(nodes) > 0 {
			for range next(12) {
				text := nodes[next(len(nodes))] + ":" + kinds[next(4)]
				if next(5) == 0 {
					text, moves = nodes[next(len(nodes))]+">"+text, true
				}
				environments = append(environments, text)
			}
		}
		w := plan.Waves{Types: kinds[:next(3)]}
		for range next(5) {
			switch kind := next(3); {
			case kind == 0 && len(nodes) > 0:
				w.Order = append(w.Order, plan.WaveNodes{Nodes: []string{nodes[next(len(nodes))]}})
			case kind == 1:
				w.Order = append(w.Order, plan.WaveNodes{Count: 1 + next(4)})
			default:
				w.Order = append(w.Order, plan.WaveNodes{Percent: 1 + next(100)})
			}
		}
		d := waved(w, strings.Join(nodes, " "), strings.Join(environments, " "))
		at := map[string]int{}
		for i, wave := range d.InWaves() {
			if len(wave) == 0 {
				t.Errorf("wave %d is empty", i+1)
			}
			for _, key := range wave {
				if _, twice := at[key]; twice {
					t.Errorf("%s is in two waves", key)
				}
				at[key] = i
			}
		}
		if len(at) != len(nodes)+len(environments) {
			t.Errorf("%d profiles are in waves, of %d", len(at), len(nodes)+len(environments))
		}
		for user, e := range d.Environments {
			if at[e.Node+"/"+user] < at[e.Node+"/system"] {
				t.Errorf("%s is before its system", user)
			}
		}
		for _, m := range d.Moves() {
			if at[m.From+"/system"] < at[m.To+"/"+m.User] {
				t.Errorf("%s leaves %s after its system", m.User, m.From)
			}
		}
		last := -1
		for i, entry := range w.Order {
			for _, node := range entry.Nodes {
				named := slices.ContainsFunc(w.Order[:i], func(e plan.WaveNodes) bool { return slices.Contains(e.Nodes, node) })
				if moves || named {
					continue
				}
				if at[node+"/system"] < last {
					t.Errorf("%s is before the wave of an earlier entry", node)
				}
				last = at[node+"/system"]
			}
		}
	})
}
