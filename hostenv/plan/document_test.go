package plan_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// goldenPlans returns the bytes of all plans of golden/.
func goldenPlans(t testing.TB) map[string][]byte {
	t.Helper()
	plans := map[string][]byte{}
	for _, dir := range scenarios(t) {
		if data, err := os.ReadFile(filepath.Join(dir, "plan.json")); err == nil {
			plans[dir] = data
		}
	}
	return plans
}

// Reading and writing a plan keeps it byte for byte, also with unknown members at any
// place.
func TestDocumentLosesNothing(t *testing.T) {
	carried := []any{nil, "", "text <&>", int64(0), int64(-1), 0.5, true, false, []any{}, map[string]any{"z": []any{nil}, "a": map[string]any{}}}
	for dir, data := range goldenPlans(t) {
		unchanged(t, dir, data)
		if len(data) > 15_000 {
			continue
		}
		v, err := canonjson.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		at := 0
		everyObject(v, func(object map[string]any) {
			for _, name := range []string{"!first", "zlast", "hostnames"} {
				object[name] = carried[at%len(carried)]
				at++
				unchanged(t, dir, canonjson.Encode(v))
				delete(object, name)
			}
		})
	}
}

func unchanged(t *testing.T, dir string, data []byte) {
	t.Helper()
	d, err := plan.DecodeDocument(data)
	if err != nil {
		// Decoding may fail: in a map, an added member must have the map's type.
		if !strings.Contains(err.Error(), "!first") && !strings.Contains(err.Error(), "zlast") && !strings.Contains(err.Error(), "hostnames") {
			t.Fatalf("%s: %v", dir, err)
		}
		return
	}
	if got := d.Encode(); !bytes.Equal(data, got) {
		t.Fatalf("%s: the plan changes (-read +written):\n%s", dir, unified("plan.json", data, got))
	}
}

func everyObject(v any, visit func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		for name, child := range v {
			if name == "dnsGate" {
				continue // decoding completes these entries
			}
			everyObject(child, visit)
		}
		visit(v)
	case []any:
		for _, child := range v {
			everyObject(child, visit)
		}
	}
}

// All values of a wrong type are reported together, with line and place.
func TestDecodeDocumentRefuses(t *testing.T) {
	_, err := plan.DecodeDocument([]byte(`{
  "formatVersion": 1,
  "environments": {
    "shop": {"uid": "1002", "node": "a", "formerNames": ["x", 7]}
  },
  "nodes": []
}`))
	var got []string
	for _, err := range problem.Leaves(err) {
		got = append(got, err.Error())
		if problem.Hint(err) == "" {
			t.Errorf("no hint: %v", err)
		}
	}
	want := "line 4, column 63, at /environments/shop/formerNames/1: is an integer, not a string\n" +
		"line 4, column 14, at /environments/shop/uid: is a string, not an integer\n" +
		"line 6, column 3, at /nodes: is a list, not an object"
	if text := strings.Join(got, "\n"); !strings.Contains(text, "at /environments/shop/uid: is a string, not an integer") || len(got) != 3 {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	} else if text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}
