package closure

import (
	"strings"
	"testing"
)

// The system of a node depends on its own certificates by DNS-01, and on no other node's;
// its environments depend on none.
func TestSliceHasItsWildcards(t *testing.T) {
	p, err := readPlan([]byte(`{"wildcards": [{"node": "n1", "apiTokenSecret": "one"}, {"node": "n2", "apiTokenSecret": "two"}, {"node": "n1", "apiTokenSecret": "three"}],
		"nodes": {"n1": {}, "n2": {}, "n3": {}}, "nodeConnections": {"n1": {}, "n2": {}, "n3": {}},
		"environments": {"u1": {"uid": 1, "node": "n1", "hostenv": {}}}, "profiles": {"u1": {}}}`))
	if err != nil {
		t.Fatal(err)
	}
	environment, err := p.ofEnvironment("n1", "u1")
	if err != nil || strings.Contains(string(environment), "wildcard") {
		t.Errorf("the environment has %s, %v", environment, err)
	}
	for node, want := range map[string]string{
		"n1": `"wildcards":[{"node":"n1","apiTokenSecret":"one"},{"node":"n1","apiTokenSecret":"three"}]`,
		"n2": `"wildcards":[{"node":"n2","apiTokenSecret":"two"}]`,
		"n3": "",
	} {
		slice, err := p.ofNode(node)
		if err != nil || !strings.Contains(string(slice), want) || want == "" && strings.Contains(string(slice), "wildcards") {
			t.Errorf("%s has %s, %v", node, slice, err)
		}
	}
}
