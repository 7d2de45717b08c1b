package closure

import (
	"strings"
	"testing"
)

// The system of a node depends on the wildcard certificate, and its environments do not.
func TestSliceHasTheWildcard(t *testing.T) {
	p, err := readPlan([]byte(`{"wildcard": {"certificate": "_wildcard.hosting.test"}, "nodes": {"n1": {}}, "nodeConnections": {"n1": {}},
		"environments": {"u1": {"uid": 1, "node": "n1", "hostenv": {}}}, "profiles": {"u1": {}}}`))
	if err != nil {
		t.Fatal(err)
	}
	node, err := p.ofNode("n1")
	if err != nil {
		t.Fatal(err)
	}
	environment, err := p.ofEnvironment("n1", "u1")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(node), `"wildcard":{"certificate":"_wildcard.hosting.test"}`) || strings.Contains(string(environment), "wildcard") {
		t.Errorf("the node has %s\nthe environment has %s", node, environment)
	}
}
