package endtoend_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

// A plan that was edited by hand may hold any text. Deploy refuses every text that
// could harm in a shell, ssh or Nix. It reports all of them at once, before it
// starts a program.
func TestHostileNames(t *testing.T) {
	w := newWorld(t, standIn(t), fleet.Options{Nodes: 1, Environments: 1})
	user := w.Nodes[0].Users()[0]
	edit := func(change func(environments, connections, nodes map[string]any, plan map[string]any)) {
		t.Helper()
		file := filepath.Join(w.Provider.Dir, "generated", "plan.json")
		if err := os.WriteFile(file, w.Provider.Plan.Encode(), 0o644); err != nil {
			t.Fatal(err)
		}
		var plan map[string]any
		err := json.Unmarshal(w.Provider.Plan.Encode(), &plan)
		if err == nil {
			object := func(name string) map[string]any { return plan[name].(map[string]any) }
			change(object("environments"), object("nodeConnections"), object("nodes"), plan)
			var text []byte
			if text, err = json.Marshal(plan); err == nil {
				err = os.WriteFile(file, text, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	hostile := map[string]func(environments, connections, nodes, plan map[string]any){}
	for _, name := range []string{`a"; touch /run/fleet/tmp/owned; "`, "$(touch owned)", "-oProxyCommand=touch owned", "a b", "a\nb", "../../etc", "a'b", "system", "root", "deploy", "Ünï", "a;b", ""} {
		hostile["the user "+name] = func(environments, _, _, _ map[string]any) {
			environments[name] = environments[user]
			delete(environments, user)
		}
	}
	for _, name := range []string{`n"1`, "-n1", "n1;id", "n1 n2", "$(id)", "n1/..", "123", "n1\n", ""} {
		hostile["the node "+name] = func(_, connections, nodes, _ map[string]any) {
			connections[name], nodes[name] = connections["n1"], nodes["n1"]
		}
	}
	for _, value := range []string{"-oProxyCommand=id", "n1 -oX=y", "$(id)", "a\nProxyCommand id", "`id`", "a;id"} {
		hostile["the address "+value] = func(_, connections, _, _ map[string]any) {
			connections["n1"].(map[string]any)["hostname"] = value
		}
	}
	for _, value := range []any{"-o ProxyCommand=id", "a\nb", 7, "", "a\tb"} {
		text, _ := json.Marshal(value)
		hostile["the option of ssh "+string(text)] = func(_, connections, _, _ map[string]any) {
			connections["n1"].(map[string]any)["sshOpts"] = []any{value}
		}
	}
	hostile["the host key"] = func(_, connections, _, _ map[string]any) {
		connections["n1"].(map[string]any)["hostKey"] = "ssh-ed25519 AAAA\nn1 ssh-ed25519 BBBB"
	}
	hostile["the folder of canaries"] = func(_, connections, _, _ map[string]any) {
		connections["n1"].(map[string]any)["tempPath"] = "/run/$(id)"
	}
	hostile["the deploy user"] = func(_, _, _, plan map[string]any) { plan["deployUser"] = "root -o x" }
	hostile["a backup"] = func(environments, _, _, _ map[string]any) {
		environments[user].(map[string]any)["migrations"] = []any{"db; id"}
	}
	for name, change := range hostile {
		edit(change)
		w.ResetCounts(t)
		for _, args := range [][]string{w.deployArgs(), w.deployArgs("-plan"), {"status"}} {
			if args[0] == "status" && name == "a backup" {
				continue // this target does not read it
			}
			r := w.run(args...)
			if r.code != 1 || !strings.Contains(r.stderr, "error: generated/plan.json: ") {
				t.Errorf("%s: %s", name, r)
			}
			if commands := w.commands(); len(commands) > 0 {
				t.Errorf("%s: %q were run", name, commands)
			}
		}
	}

	edit(func(environments, connections, nodes, plan map[string]any) {
		for _, name := range []string{"the user $(touch owned)", "the node n1;id", "the address $(id)", `the option of ssh "a\nb"`, "the host key", "the deploy user"} {
			hostile[name](environments, connections, nodes, plan)
		}
	})
	r := w.wants(w.deploy(), 1)
	contains(t, r.stderr, `plan.environments."$(touch owned)"`, `plan.nodes."n1;id"`, "hostname", "sshOpts", "hostKey", "plan.deployUser", " problems\n")
	if commands := w.commands(); len(commands) > 0 {
		t.Errorf("%q were run", commands)
	}
	if runs, err := os.ReadDir(w.runs()); err == nil && len(runs) > 0 {
		t.Errorf("a refused deploy has a journal: %v", runs)
	}
	// Flags give names of environments, which are only patterns.
	if err := os.WriteFile(filepath.Join(w.Provider.Dir, "generated", "plan.json"), w.Provider.Plan.Encode(), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"-node=$(id)", "-env=a;id", "-exclude=-oX", "-node=[", "-migrationSource=" + user + "=$(id)", "-skipMigrations=$(id)"} {
		if r := w.deploy(flag); r.code != 1 {
			t.Errorf("%s: %s", flag, r)
		}
	}
	if commands := w.commands(); len(commands) > 0 {
		t.Errorf("flags alone ran %q", commands)
	}
}

// A user can write any text into the link of its profile. The operator sees the
// text, but it cannot control the terminal.
func TestHostileLink(t *testing.T) {
	w := newWorld(t, standIn(t), fleet.Options{Nodes: 1, Environments: 1, Deployed: true})
	n := w.Nodes[0]
	link := n.Path("/nix/var/nix/profiles/per-user/" + n.Users()[0] + "/hostenv")
	const hostile = "/home/x\x1b]0;mine\a\x1b[2A\x1b[J\nn1    system   in-sync\u009b2J"
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(hostile, link); err != nil {
		t.Fatal(err)
	}
	for _, r := range []result{w.wants(w.deploy(), 1), w.wants(w.run("status"), 2)} {
		contains(t, r.stdout+r.stderr, "/home/x")
		if strings.ContainsAny(r.stdout+r.stderr, "\x1b\a\u009b") || strings.Contains(r.stdout+r.stderr, "\nn1    system   in-sync ") {
			t.Errorf("%q", r.stdout+r.stderr)
		}
	}
	var s deploy.Status
	r := w.wants(w.run("status", "-json", "-env="+n.Users()[0]), 2)
	if err := json.Unmarshal([]byte(r.stdout), &s); err != nil || s.Active != hostile || s.Standing != deploy.StandingForeign {
		t.Errorf("%v: %s", err, r)
	}
}

// commands are those that were run, but for git with nothing of a plan in its
// arguments: it is asked for files that it does not know, and for whole ones.
func (w *world) commands() [][]string {
	w.t.Helper()
	return slices.DeleteFunc(w.Commands(w.t), func(argv []string) bool {
		return argv[0] == "git" && !strings.ContainsAny(strings.Join(argv, " "), ";$\n")
	})
}
