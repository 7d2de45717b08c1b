package deploy_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Each wrong member of testdata/refused.json is refused by its name. The table also
// tests nix/lib/plan-types.nix.
func TestRefused(t *testing.T) {
	data, err := os.ReadFile("testdata/refused.json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Plan    map[string]any
		Refused []struct {
			At    []string
			Value any
			Error string // of Nix
			Go    string // a part of Go's error, instead of the member's name
		}
	}
	if err := json.Unmarshal(data, &table); err != nil {
		t.Fatal(err)
	}
	planned := func(document any) error {
		text, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		d, err := plan.DecodeDocument(text)
		if err == nil {
			_, err = deploy.Planned(d)
		}
		return err
	}
	if err := planned(table.Plan); err != nil {
		t.Fatalf("the plan itself is refused: %v", err)
	}
	for _, c := range table.Refused {
		t.Run(c.Error, func(t *testing.T) {
			err := planned(set(table.Plan, c.At, c.Value))
			want := cmp.Or(c.Go, c.At[len(c.At)-1])
			if err == nil || !strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), fmt.Sprintf("%q", want)) {
				t.Errorf("want an error with %s, got %v", want, err)
			}
			for _, leaf := range problem.Leaves(err) {
				if problem.Hint(leaf) == "" {
					t.Errorf("no hint: %v", leaf)
				}
			}
		})
	}
}

// set returns v with another value at a path.
func set(v any, at []string, value any) any {
	if len(at) == 0 {
		return value
	}
	object, _ := v.(map[string]any)
	changed := maps.Clone(object)
	if changed == nil {
		changed = map[string]any{}
	}
	changed[at[0]] = set(changed[at[0]], at[1:], value)
	return changed
}
