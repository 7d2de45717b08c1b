package nodes_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
)

// TestGolden evaluates every node of every accepted plan of golden/ as a whole system.
// It expects no unknown option, no value of a wrong type, no failed assertion and no
// warning.
func TestGolden(t *testing.T) {
	// These numbers suit the memory of a machine with two processors.
	const processes, batch = 2, 12
	nodes := map[string]node{}
	for _, dir := range scenarios(t) {
		file, err := filepath.Abs(filepath.Join(dir, "plan.json"))
		if err != nil {
			t.Fatal(err)
		}
		plan := read(t, file)
		p, keys := provider(t, dir), secrets(t, plan)
		for name := range plan["nodes"].(map[string]any) {
			nodes[filepath.Base(dir)+"/"+name] = node{Plan: file, Node: name, Provider: p, Sops: true, SecretsPath: keys}
		}
	}
	slots := make(chan struct{}, processes)
	i := 0
	for names := range slices.Chunk(slices.Sorted(maps.Keys(nodes)), batch) {
		i++
		t.Run(fmt.Sprint("batch", i), func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			some := map[string]node{}
			for _, name := range names {
				some[name] = nodes[name]
			}
			answers, err := evaluate[system](t, "system", some)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				a := answers[name]
				if len(a.Assertions) > 0 || a.Toplevel == "" {
					t.Errorf("%s: failed assertions: %q", name, a.Assertions)
				}
				if len(a.Warnings) > 0 {
					t.Errorf("%s: warnings: %q", name, a.Warnings)
				}
			}
		})
	}
}
