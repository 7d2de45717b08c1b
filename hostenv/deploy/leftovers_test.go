package deploy_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// left is a fleet in memory. It has the document of leftovers of each node, "" for
// a node whose system cannot list them.
type left struct {
	*world
	says map[string]string
	ran  *[]string
}

type leftSession struct {
	deploy.Session
	node string
	l    left
}

func (l left) Open(ctx context.Context, n deploy.Node, how deploy.OpenOptions) (deploy.Session, error) {
	s, err := l.world.Open(ctx, n, how)
	if err != nil {
		return nil, err
	}
	*l.ran = append(*l.ran, fmt.Sprintf("%s: locked %t", n.Name, how.Lock))
	return leftSession{s, n.Name, l}, nil
}

func (s leftSession) Observation() deploy.Observation {
	o := s.Session.Observation()
	o.ListsLeftovers = s.l.says[s.node] != ""
	return o
}

func (s leftSession) Run(_ context.Context, user string, _ []byte, argv ...string) ([]byte, error) {
	*s.l.ran = append(*s.l.ran, s.node+": "+user+" "+strings.Join(argv, " "))
	return []byte(s.l.says[s.node]), nil
}

func leftOf(user string, uid int, more string) string {
	return fmt.Sprintf(`{"user":%q,"uid":%d,"running":false,"paths":["/home/%s"]%s}`, user, uid, user, more)
}

// The fate of a leftover depends on its UID, because names are used again.
func TestLeftovers(t *testing.T) {
	d, err := plan.DecodeDocument([]byte(`{"formatVersion": 1, "environments": {
		"moved": {"uid": 1, "node": "n2"}, "moving": {"uid": 2, "node": "n2", "previousNode": "n1"}, "new": {"uid": 3, "node": "n1"},
		"back": {"uid": 4, "node": "n1"}, "off": {"uid": 5, "node": "n1", "enable": false}, "again": {"uid": 9, "node": "n1"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	s := state.State{Entries: map[string]state.Entry{"gone": {UserName: "gone", UID: 6}}}
	nodes := fleet(3, 1)
	ran := []string{}
	world := left{newWorld(t, nodes), map[string]string{
		"n1": `{"leftovers":[` + strings.Join([]string{
			leftOf("moved", 1, ""), leftOf("moving", 2, ""), leftOf("old", 3, `,"now":"new"`), leftOf("back", 4, ""), leftOf("off", 5, ""),
			leftOf("gone", 6, ""), leftOf("again", 7, ""),
		}, ",") + `]}`,
		"n2": `{"leftovers":[` + leftOf("gone", 6, "") + `]}`,
	}, &ran}
	found := &deploy.Leftovers{Plan: d, State: s}
	if _, err := deploy.Survey(t.Context(), world, nodes, found.Ask); err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, l := range found.All() {
		got += l.Node + " " + l.Name() + " " + string(l.Why) + "\n"
	}
	want := "n1 again.7 unknown\nn1 back.4 planned\nn1 gone.6 retired\nn1 moved.1 moved\nn1 moving.2 planned\nn1 off.5 planned\nn1 old.3 renamed\nn2 gone.6 retired\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := found.Outdated(); err == nil || !strings.HasPrefix(err.Error(), "node n3 cannot list") || !strings.Contains(problem.Hint(err), "mage deploy -env=system") {
		t.Errorf("n3 cannot tell: %v", err)
	}

	for _, test := range []struct{ names, want, wrong string }{
		{"moved", "moved.1 n1", ""},
		{"old,again.7,moved,again", "old.3 n1,again.7 n1,moved.1 n1", ""},
		{"gone", "", "gone.6 on n1, gone.6 on n2"},
		{"absent,back,off,moving", "", "absent: there are no leftovers"},
		{"moving", "", "the plan has this environment"},
		{"again.9", "", "there are no leftovers"},
	} {
		picked, err := deploy.PickLeftovers(found.All(), strings.Split(test.names, ","))
		var names []string
		for _, l := range picked {
			names = append(names, l.Name()+" "+l.Node)
		}
		if test.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("%s: %v, want %q", test.names, err, test.wrong)
			}
		} else if err != nil || strings.Join(names, ",") != test.want {
			t.Errorf("%s: %v, %v", test.names, names, err)
		}
	}

	ran = nil
	if err := deploy.RemoveLeftover(t.Context(), world, nodes[0], deploy.OpenOptions{Holder: "me"}, found.All()[0]); err != nil {
		t.Fatal(err)
	}
	if want := []string{"n1: locked true", "n1: root hostenv-users remove again 7"}; !slices.Equal(ran, want) {
		t.Errorf("it ran %v, want %v", ran, want)
	}
}

// The answer of a node becomes part of commands and of output, so names and paths
// that no leftover can have are refused.
func TestLeftoversRefused(t *testing.T) {
	nodes := fleet(1, 1)
	for _, says := range []string{
		"garbage", leftoversOf(`{"user":"a b","uid":1,"paths":[]}`), leftoversOf(`{"user":"-a","uid":1,"paths":[]}`), leftoversOf(`{"user":"a","uid":0,"paths":[]}`),
		leftoversOf(`{"user":"a","uid":1,"now":"\u001b[2J","paths":[]}`), leftoversOf(`{"user":"a","uid":1,"paths":["/home/a\n/home/b"]}`), leftoversOf(`{"user":"a","uid":1,"paths":["/home/../etc"]}`),
	} {
		found := &deploy.Leftovers{}
		_, err := deploy.Survey(t.Context(), left{newWorld(t, nodes), map[string]string{"n1": says}, new([]string)}, nodes, found.Ask)
		if err == nil || len(found.All()) > 0 || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%s: %v, %v", says, found.All(), err)
		}
	}
}

func leftoversOf(l string) string { return `{"leftovers":[` + l + `]}` }
