package state_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

func TestList(t *testing.T) {
	s := decode(t, document(
		entry("b", 1002, `"b.test"`),
		`"a": {"userName": "a", "uid": 1003, "node": "n2", "deployedNode": "n1", "organisation": "acme", "project": "site", "environment": "main", "retired": true, "virtualHosts": [], "note": 1}`,
		`"_lastAllocated": {"userName": "a", "uid": 1003, "virtualHosts": []}`,
	))
	var names []string
	for _, e := range s.List() {
		names = append(names, e.UserName)
	}
	if diff := cmp.Diff([]string{"a", "b"}, names); diff != "" {
		t.Error(diff)
	}
	want := `{
  "environments": [
    {
      "deployedNode": "n1",
      "environment": "main",
      "formerNames": [],
      "node": "n2",
      "note": 1,
      "organisation": "acme",
      "project": "site",
      "retired": true,
      "uid": 1003,
      "userName": "a",
      "virtualHosts": []
    },
    {
      "deployedNode": "",
      "environment": "",
      "formerNames": [],
      "node": "n1",
      "organisation": "",
      "project": "",
      "retired": false,
      "uid": 1002,
      "userName": "b",
      "virtualHosts": [
        "b.test"
      ]
    }
  ],
  "formatVersion": 1
}
`
	if diff := cmp.Diff(want, string(s.EncodeList())); diff != "" {
		t.Error(diff)
	}
	empty := "{\n  \"environments\": [],\n  \"formatVersion\": 1\n}\n"
	if diff := cmp.Diff(empty, string(state.New().EncodeList())); diff != "" {
		t.Error(diff)
	}
}
