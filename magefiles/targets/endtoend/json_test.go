package endtoend_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

var eventSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	return jsonschema.NewCompiler().Compile(filepath.Join("..", "..", "..", "docs", "deploy-events.schema.json"))
})

// events reads the output of -json. Every line must match the schema, and the
// first one is the version.
func (w *world) events(r result) (lines []string, events []deploy.Event) {
	w.t.Helper()
	schema, err := eventSchema()
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(r.stdout) {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err == nil {
			err = schema.Validate(value)
		}
		if err != nil {
			w.t.Fatalf("%s: %v", line, err)
		}
		e, err := deploy.DecodeEvent([]byte(line))
		if err != nil {
			w.t.Fatal(err)
		}
		lines, events = append(lines, line), append(events, e)
	}
	if len(lines) == 0 || lines[0] != `{"type":"version","events":"`+deploy.EventsVersion+`"}`+"\n" {
		w.t.Fatalf("the first line is not the version: %s", r)
	}
	return lines, events
}

// journalsAreAsSaid checks the journals of all runs against the schema of -json,
// which prints the same events.
func (w *world) journalsAreAsSaid() {
	schema, err := eventSchema()
	if err != nil {
		w.t.Fatal(err)
	}
	ids, err := deploy.Runs(w.runs())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, id := range ids {
		text, err := os.ReadFile(filepath.Join(w.runs(), id+".jsonl"))
		if err != nil {
			w.t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			if !bytes.HasSuffix(line, []byte("\n")) {
				break // the process was killed while it wrote this
			}
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
			if err == nil {
				err = schema.Validate(value)
			}
			if err != nil {
				w.t.Errorf("%s: %s: %v", id, line, err)
			}
		}
	}
}

// -json prints the events of the journal. For a resumed run it prints only the new
// ones.
func TestJSON(t *testing.T) {
	w := newWorld(t, standIn(t), fleet.Options{Nodes: 2, Environments: 1})
	user := w.Nodes[1].Users()[0]
	w.Nodes[1].OnActivation(t, user, fleet.Behaviour{Fail: 3})
	printed, events := w.events(w.wants(w.deploy("-json"), 3))
	journal := func() string {
		ids, err := deploy.Runs(w.runs())
		if err != nil || len(ids) != 1 {
			t.Fatalf("the runs are %q, %v", ids, err)
		}
		text, err := os.ReadFile(filepath.Join(w.runs(), ids[0]+".jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := journal()
	if diff := cmp.Diff(first, strings.Join(printed, "")); diff != "" {
		t.Error(diff)
	}
	last := events[len(events)-1]
	if last.Type != deploy.TypeEnd || last.End.Code != 3 || last.End.Counts["active"] != 3 || last.End.Counts["failed"] != 1 {
		t.Errorf("the output ends with %+v", last.End)
	}

	w.Nodes[1].OnActivation(t, user, fleet.Behaviour{})
	printed, events = w.events(w.wants(w.deploy("-resume", "-json"), 0))
	if events[1].Type != deploy.TypeResume {
		t.Errorf("the output of a resumed run begins with %+v", events[1])
	}
	if diff := cmp.Diff(journal(), first+strings.Join(printed[1:], "")); diff != "" {
		t.Error(diff)
	}
	if r := w.wants(w.deploy("-resume"), 1); !strings.Contains(r.stderr, "nothing to resume") {
		t.Error(r)
	}

	// A deploy that is refused before it begins is no run.
	contains(t, w.wants(w.deploy("-node=n9"), 1).stderr, `-node "n9" matches no node`, "n1, n2")
	w.wants(w.deploy("-signingKey=nowhere"), 1)
	if after := journal(); !strings.HasPrefix(after, first) {
		t.Error("the journal has changed")
	}

	r := w.wants(w.run("status", "-json"), 0)
	var all []deploy.Status
	for decoder := json.NewDecoder(strings.NewReader(r.stdout)); decoder.More(); {
		var s deploy.Status
		if err := decoder.Decode(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	var want []deploy.Status
	paths := w.Provider.Paths(t)
	w.each(func(n *fleet.Node, profile string) {
		path := paths[n.Name+"/"+profile]
		want = append(want, deploy.Status{Node: n.Name, Profile: profile, Standing: deploy.StandingInSync, Planned: path, Active: path})
	})
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
	if bytes.Count([]byte(r.stdout), []byte("\n")) != len(want) {
		t.Error("an event is not exactly one line")
	}
}

// An operator rolls back on a node, activates another path by hand, or removes the
// profile: status distinguishes these, and changes nothing.
func TestStatusTellsApart(t *testing.T) {
	w := newWorld(t, standIn(t), fleet.Options{Nodes: 1, Environments: 4})
	w.wants(w.deploy(), 0)
	n := w.Nodes[0]
	users := n.Users()
	w.Provider.SetVersion(t, "2")
	w.wants(w.deploy(), 0)
	exec := func(user string, argv ...string) {
		t.Helper()
		if _, err := n.ExecAs(user, argv...); err != nil {
			t.Fatal(err)
		}
	}
	link := func(user string) string { return "/nix/var/nix/profiles/per-user/" + user + "/hostenv" }
	exec(users[0], "nix-env", "-p", link(users[0]), "--rollback")
	exec(users[1], "ln", "-sfn", "/home/"+users[1], link(users[1]))
	exec(users[2], "rm", link(users[2]))
	r := w.wants(w.run("status"), 2)
	for _, want := range []struct{ profile, standing, detail string }{
		{deploy.SystemProfile, "in-sync", ""}, {users[0], "diverged", "older generation"}, {users[1], "not-ours", "does not lead to a store path"},
		{users[2], "behind", "not deployed yet"}, {users[3], "in-sync", ""},
	} {
		found := false
		for line := range strings.Lines(r.stdout) {
			fields := strings.Fields(line)
			found = found || fields[1] == want.profile && fields[2] == want.standing && strings.Contains(line, want.detail)
		}
		if !found {
			t.Errorf("%s is not reported as %s (%s):\n%s", want.profile, want.standing, want.detail, r.stdout)
		}
	}
	n.StopSSH(t)
	contains(t, w.wants(w.run("status"), 2).stdout, "unreachable")
}

// A node without environments is deployed like any other. If the provider names no
// host key, the first key is accepted, with a warning.
func TestUnpinnedWithoutEnvironments(t *testing.T) {
	w := newWorld(t, standIn(t), fleet.Options{Nodes: 1, Inventory: func(all map[string]any) {
		for _, n := range all["provider"].(map[string]any)["nodes"].(map[string]any) {
			delete(n.(map[string]any), "hostKey")
		}
		all["projects"] = map[string]any{}
	}})
	for _, args := range [][]string{{"status"}, w.deployArgs("-plan"), w.deployArgs(), {"status"}} {
		r := w.run(args...)
		contains(t, r.stderr, "has no hostKey: the first key that the node shows is accepted")
		contains(t, r.stdout, "system")
	}
	w.atPlan(w.Provider.Paths(t), 1)
	w.Nodes[0].ChangeHostKey(t)
	contains(t, w.wants(w.deploy(), 1).stderr, "shows another host key")
	for _, target := range []string{"status", "leftovers"} {
		r := w.wants(w.run(target), 1)
		if text := r.stdout + r.stderr; strings.Count(text, "shows another host key") != 1 {
			t.Errorf("%s does not report the host key once:\n%s", target, text)
		}
	}
}

// A node made from another node's image has the same host key, and could be that
// node under another name: the deploy begins on neither. The plan names no host
// key of n2, or it would have been refused.
func TestSameMachine(t *testing.T) {
	w := newWorld(t, standIn(t), fleet.Options{Nodes: 2, Inventory: func(all map[string]any) {
		delete(all["provider"].(map[string]any)["nodes"].(map[string]any)["n2"].(map[string]any), "hostKey")
		all["projects"] = map[string]any{}
	}})
	w.Nodes[1].CopyHostKey(t, w.Nodes[0])
	r := w.wants(w.deploy(), 1)
	contains(t, r.stderr, "nodes n1 and n2 have the same host key, ssh-ed25519 ", "hint: if they are one machine, remove the other name")
	for _, n := range w.Nodes {
		if ran := n.Activations(t, "system"); len(ran) > 0 {
			t.Errorf("%s activated %v", n.Name, ran)
		}
	}
}
