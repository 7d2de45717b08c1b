package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
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

// Each value that is refused has its message, with what to write in its place; and all of
// an option are refused at once.
func TestWavesRefused(t *testing.T) {
	const write = `write lists of nodes, numbers of nodes and percentages: [ [ "canary-node" ] 2 "30%" ]`
	type row struct {
		reason string
		option string
		value  any
		want   []string // messages
		hint   string
	}
	one := func(value any) []any { return []any{value} }
	for _, tt := range []row{
		{"no list", "waves", "30%", []string{"provider.waves is a string, not a list"}, write},
		{"a number without a list", "waves", 2, []string{"provider.waves is an integer, not a list"}, write},
		{"an object", "waves", map[string]any{"a": 1}, []string{"provider.waves is an object, not a list"}, write},
		{"no node", "waves", one(0), []string{"provider.waves holds 0"}, write},
		{"less than none", "waves", one(-1), []string{"provider.waves holds -1"}, write},
		{"half a node", "waves", one(1.5), []string{"provider.waves holds 1.5"}, write},
		{"more than any fleet", "waves", one(int64(1) << 31), []string{"provider.waves holds 2147483648"}, write},
		{"true", "waves", one(true), []string{"provider.waves holds true"}, write},
		{"null", "waves", one(nil), []string{"provider.waves holds null"}, write},
		{"an object in the list", "waves", one(map[string]any{}), []string{"provider.waves holds {}"}, write},
		{"a percentage of none", "waves", one("0%"), []string{`provider.waves holds "0%"`}, write},
		{"more than all", "waves", one("101%"), []string{`provider.waves holds "101%"`}, write},
		{"less than none of all", "waves", one("-1%"), []string{`provider.waves holds "-1%"`}, write},
		{"a sign", "waves", one("+5%"), []string{`provider.waves holds "+5%"`}, write},
		{"a zero before", "waves", one("05%"), []string{`provider.waves holds "05%"`}, write},
		{"a blank", "waves", one("5 %"), []string{`provider.waves holds "5 %"`}, write},
		{"a half", "waves", one("2.5%"), []string{`provider.waves holds "2.5%"`}, write},
		{"no digits", "waves", one("x%"), []string{`provider.waves holds "x%"`}, write},
		{"a sign alone", "waves", one("%"), []string{`provider.waves holds "%"`}, write},
		{"a number that overflows", "waves", one("99999999999999999999%"), []string{`provider.waves holds "99999999999999999999%"`}, write},
		{"a number as text", "waves", one("2"), []string{`provider.waves holds "2"`}, write},
		{"a name outside of a list", "waves", one("node-a"), []string{`provider.waves holds "node-a"`}, write},
		{"an empty list of nodes", "waves", one([]any{}), []string{"provider.waves holds an empty list"}, write},
		{"a number as a name", "waves", one([]any{1}), []string{"provider.waves holds 1 in a list of nodes"}, write},
		{"an empty name", "waves", one([]any{""}), []string{`provider.waves holds "" in a list of nodes`}, write},
		{"lists in a list", "waves", one([]any{[]any{"node-a"}}), []string{`provider.waves holds ["node-a"] in a list of nodes`}, write},
		{"several at once", "waves", []any{0, "x%", []any{"node-a", nil}, []any{}},
			[]string{"provider.waves holds 0", `provider.waves holds "x%"`, "provider.waves holds null in a list of nodes", "provider.waves holds an empty list"}, write},
		{"a node that is not there", "waves", one([]any{"mars"}), []string{`provider.waves names "mars", which is no node`}, "the nodes are node-a, node-b"},
		{"a typing error", "waves", one([]any{"node-aa"}), []string{`provider.waves names "node-aa", which is no node`}, "node-a"},
		{"a node twice in a wave", "waves", one([]any{"node-a", "node-a"}), []string{`provider.waves names the node "node-a" twice`}, "name each node once"},
		{"a node in two waves", "waves", []any{[]any{"node-a"}, 1, []any{"node-a"}}, []string{`provider.waves names the node "node-a" twice`}, "name each node once"},
		{"two names at once", "waves", []any{[]any{"mars"}, []any{"venus"}}, []string{`names "mars", which is no node`, `names "venus", which is no node`}, "the nodes are node-a, node-b"},
		{"types that are no list", "waveTypes", "testing", []string{"provider.waveTypes is a string, not a list of strings"}, `write a list of strings: [ "..." ]`},
		{"a type that is no string", "waveTypes", one(1), []string{"provider.waveTypes holds an integer, not a string"}, `write a list of strings: [ "..." ]`},
		{"a type twice", "waveTypes", []any{"testing", "testing"}, []string{`provider.waveTypes holds "testing" twice`}, "write each type once"},
		{"a pause that is no number", "wavePause", "5m", []string{"provider.wavePause is a string, not an integer"}, "write a whole number between 0 and 86400"},
		{"a pause in the past", "wavePause", -1, []string{"provider.wavePause is -1, and must be between 0 and 86400"}, "write a whole number between 0 and 86400"},
		{"a pause of more than a day", "wavePause", 86401, []string{"provider.wavePause is 86401, and must be between 0 and 86400"}, "write a whole number between 0 and 86400"},
		{"failures below none", "waveFailures", -1, []string{"provider.waveFailures is -1, and must be between 0 and 2147483647"}, "write a whole number of 0 or more"},
		{"a part of a failure", "waveFailures", 0.5, []string{"provider.waveFailures is a number with a fraction or an exponent, not an integer"}, "write a whole number of 0 or more"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			w := newWorld()
			w.provider = map[string]any{"nodes": map[string]any{"node-a": map[string]any{}, "node-b": map[string]any{}}, tt.option: tt.value}
			_, err := w.planned(t, nil, nil)
			if err == nil {
				t.Fatal("accepted")
			}
			leaves := problem.Leaves(err)
			if len(leaves) != len(tt.want) {
				t.Errorf("got %v", err)
			}
			for _, want := range tt.want {
				if !slices.ContainsFunc(leaves, func(err error) bool {
					return strings.HasSuffix(err.Error(), want) && strings.Contains(problem.Hint(err), tt.hint)
				}) {
					for _, leaf := range leaves {
						t.Errorf("want %s (hint: %s), got %s (hint: %s)", want, tt.hint, leaf, problem.Hint(leaf))
					}
				}
			}
		})
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
