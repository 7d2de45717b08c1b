package deploy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

func TestFrontDoors(t *testing.T) {
	t.Parallel()
	var doors deploy.FrontDoors
	var ran [][]string
	for node, session := range map[string]fixed{
		"n3": {out: "older\n", ran: &ran},
		"n1": {out: "older\n", ran: &ran},
		"n2": {ran: &ran},
		"n4": {err: errors.New("it is gone"), ran: &ran},
	} {
		err := doors.Ask(t.Context(), deploy.Node{Name: node, User: "deploy"}, session)
		if want := session.err; !errors.Is(err, want) || err != nil && err.Error() != "node n4: cannot check its nginx: it is gone" {
			t.Errorf("the error is %v, want %v", err, want)
		}
	}
	var nodes []string
	for _, e := range doors.Findings() {
		f := e.Finding
		nodes = append(nodes, e.Node)
		if f.Level != deploy.Warning || f.Code != deploy.FindingNginxOlder || !strings.Contains(f.Message, "node "+e.Node) || !strings.Contains(f.Hint, "systemctl restart nginx") {
			t.Errorf("the finding of %s is %+v", e.Node, f)
		}
	}
	if strings.Join(nodes, " ") != "n1 n3" {
		t.Errorf("found at %v, want n1 and n3", nodes)
	}
	for _, command := range ran {
		if command[0] != "deploy" {
			t.Errorf("asked as %s", command[0])
		}
	}
}
