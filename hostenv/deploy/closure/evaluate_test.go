package closure_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/closure"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// local runs a test in a lab without a node.
func local(t *testing.T, flake string, test func(t *testing.T, l *lab)) {
	for _, binary := range testenv.NixBinaries(t) {
		t.Run(versionOf(t, binary), func(t *testing.T) { test(t, newLab(t, binary, flake)) })
	}
}

const someFail = `{
  outputs = _: let
    sh = name: derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; };
    profile = user: path: { inherit user path; sshUser = "deploy"; profilePath = "/p/${user}"; tempPath = "/t/${user}"; };
  in { deploy.nodes = {
    n1 = { hostname = "n1.example"; profiles = {
      system = profile "root" "${sh "system"}";
      site = profile "site" (sh "site");
      broken = profile "broken" (throw "project acme__site: hostenv.nix is wrong\nhint: mend it");
      asserts = profile "asserts" (assert false; "x");
      two = profile "two" "${sh "a"}${sh "b"}";
      uncatchable = profile "uncatchable" ({ }.missing);
      aborts = profile "aborts" (abort "it must not be evaluated");
    }; };
    n2 = throw "there is no n2";
    "n.3" = { hostname = "n3"; profiles.system = profile "root" "${sh "third"}"; };
  }; };
}`

func node(name string, profiles ...string) deploy.Node {
	n := deploy.Node{Name: name}
	for _, p := range profiles {
		n.Profiles = append(n.Profiles, deploy.Profile{Node: name, Name: p})
	}
	return n
}

func TestEvaluate(t *testing.T) {
	local(t, someFail, func(t *testing.T, l *lab) {
		found, err := l.store.Evaluate(t.Context(), []deploy.Node{
			node("n1", "system", "site", "broken", "asserts", "two", "unknown"), node("n2", "system", "x"), node("n.3", "system"),
		}, closure.Plan{})
		if err != nil {
			t.Fatal(err)
		}
		n1 := found["n1"]
		if failed := found["n.3"].Failed; len(failed) > 0 {
			t.Errorf("n.3: %v", failed)
		}
		all := []string{"aborts", "asserts", "broken", "site", "system", "two", "uncatchable"}
		if diff := cmp.Diff(all, n1.Names); diff != "" || n1.Hostname != "n1.example" {
			t.Errorf("n1 is %q with (-want +got):\n%s", n1.Hostname, diff)
		}
		for _, spec := range []deploy.Spec{n1.Profiles["system"], n1.Profiles["site"], found["n.3"].Profiles["system"]} {
			if _, err := os.Stat(spec.Derivation); err != nil {
				t.Errorf("the derivation is not in the store: %v", err)
			}
			if want := spec.Path; l.run("nix-store", "--query", "--outputs", spec.Derivation) != want {
				t.Errorf("%s does not make %s", spec.Derivation, want)
			}
		}
		site := n1.Profiles["site"]
		site.Path, site.Derivation = "", ""
		if diff := cmp.Diff(deploy.Spec{User: "site", SSHUser: "deploy", Link: "/p/site", Temp: "/t/site"}, site); diff != "" {
			t.Errorf("differs (-want +got):\n%s", diff)
		}
		for _, c := range []struct{ node, profile, message, hint string }{
			{"n1", "broken", "evaluate n1/broken: project acme__site: hostenv.nix is wrong; mend it", "correct it, or leave it out: -exclude=broken"},
			{"n1", "asserts", "evaluate n1/asserts: assertion", "-exclude=asserts"},
			{"n1", "two", "evaluate n1/two: its path is made of 2 derivations", "-exclude=two"},
			{"n2", "system", "evaluate n2: there is no n2", "-exclude=n2"},
			{"n2", "x", "evaluate n2: there is no n2", "-exclude=n2"},
		} {
			if err := found[c.node].Failed[c.profile]; err == nil || !strings.HasPrefix(err.Error(), c.message) || !strings.Contains(problem.Hint(err), c.hint) {
				t.Errorf("%s/%s: got %v, want %q", c.node, c.profile, err, c.message)
			}
		}
		if _, ok := n1.Profiles["broken"]; ok || len(n1.Failed) != 3 || len(n1.Profiles) != 2 {
			t.Errorf("got %+v", n1)
		}
		if _, err := os.Stat(filepath.Join(l.dir, "flake", "flake.lock")); err == nil {
			t.Error("a lock file was written")
		}
	})
}

// What Nix code cannot catch fails the profile that has it, and no other.
func TestEvaluateUncatchable(t *testing.T) {
	local(t, someFail, func(t *testing.T, l *lab) {
		found, err := l.store.Evaluate(t.Context(), []deploy.Node{node("n1", "system", "uncatchable", "aborts", "broken", "site"), node("n.3", "system"), node("n2", "system")}, closure.Plan{})
		if err != nil {
			t.Fatal(err)
		}
		n1 := found["n1"]
		if len(n1.Profiles) != 2 || n1.Profiles["system"].Derivation == "" || n1.Profiles["site"].Derivation == "" || len(n1.Failed) != 3 || len(found["n.3"].Profiles) != 1 || len(found["n2"].Failed) != 1 {
			t.Errorf("got %+v", found)
		}
		for profile, want := range map[string]string{"uncatchable": "attribute 'missing' missing", "aborts": "it must not be evaluated", "broken": "hostenv.nix is wrong"} {
			err := n1.Failed[profile]
			if err == nil || !strings.HasPrefix(err.Error(), "evaluate n1/"+profile+": ") || !strings.Contains(err.Error(), want) || problem.Hint(err) != "correct it, or leave it out: -exclude="+profile {
				t.Errorf("%s: got %v", profile, err)
			}
		}
		_, err = l.store.Evaluate(t.Context(), []deploy.Node{node("n9", "system")}, closure.Plan{})
		if err == nil || err.Error() != `the flake's deploy.nodes does not match the plan: it has no node "n9"` {
			t.Errorf("got %v", err)
		}
	})
}

// What Nix code cannot catch in a node fails that node, also if there is no other.
func TestEvaluateUncatchableNode(t *testing.T) {
	local(t, `{ outputs = _: { deploy.nodes = { n1 = { }.missing; }; }; }`, func(t *testing.T, l *lab) {
		found, err := l.store.Evaluate(t.Context(), []deploy.Node{node("n1", "system", "site")}, closure.Plan{})
		if err != nil {
			t.Fatal(err)
		}
		for _, profile := range []string{"system", "site"} {
			if err := found["n1"].Failed[profile]; err == nil || !strings.HasPrefix(err.Error(), "evaluate n1: attribute 'missing' missing") {
				t.Errorf("%s: got %v", profile, err)
			}
		}
	})
}

// Nix code reads names as data, whatever they hold.
func TestEvaluateHostileNames(t *testing.T) {
	local(t, someFail, func(t *testing.T, l *lab) {
		for _, name := range []string{`"`, `${throw "run"}`, `" + throw "run" + "`, `\`, `\${x}`, "a\nb", "''", `'`, "é", "$" + `{"a"}`, "%s"} {
			found, err := l.store.Evaluate(t.Context(), []deploy.Node{node("n1", "system", name)}, closure.Plan{})
			if err != nil || len(found["n1"].Profiles) != 1 || len(found["n1"].Failed) != 0 {
				t.Errorf("profile %q: got %+v, %v", name, found["n1"], err)
			}
			_, err = l.store.Evaluate(t.Context(), []deploy.Node{node(name, "system")}, closure.Plan{})
			if err == nil || !strings.HasPrefix(err.Error(), "the flake's deploy.nodes does not match the plan: it has no node ") {
				t.Errorf("node %q: got %v", name, err)
			}
		}
	})
}

func TestEvaluateWithoutFlake(t *testing.T) {
	local(t, "{ outputs = _: { }; }", func(t *testing.T, l *lab) {
		_, err := l.store.Evaluate(t.Context(), []deploy.Node{node("n1", "system")}, closure.Plan{})
		if err == nil || !strings.Contains(err.Error(), "does not provide attribute") || problem.Hint(err) == "" {
			t.Errorf("got %v", err)
		}
	})
}

// More profiles than one run takes are evaluated by several, with the same result.
func TestEvaluateMany(t *testing.T) {
	const many = `{
  outputs = _: let
    profile = name: { user = name; path = derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; }; sshUser = "deploy"; profilePath = "/p"; tempPath = "/t"; };
    node = n: { hostname = "n${n}"; profiles = builtins.listToAttrs (builtins.genList (i: rec { name = "p${n}-${toString i}"; value = profile name; }) 200) // { broken = throw "no"; }; };
  in { deploy.nodes = { n1 = node "1"; n2 = node "2"; n3 = node "3"; n4 = node "4"; }; };
}`
	local(t, many, func(t *testing.T, l *lab) {
		var nodes []deploy.Node
		for _, n := range []string{"1", "2", "3"} {
			all := []string{"broken"}
			for i := range 200 {
				all = append(all, fmt.Sprintf("p%s-%d", n, i))
			}
			nodes = append(nodes, node("n"+n, all...))
		}
		found, err := l.store.Evaluate(t.Context(), append(nodes, node("n4")), closure.Plan{})
		if err != nil || len(found) != 4 || found["n4"].Hostname != "n4" {
			t.Fatalf("%d nodes, %v", len(found), err)
		}
		for _, n := range nodes {
			e := found[n.Name]
			if e.Hostname != n.Name || len(e.Names) != 201 || len(e.Profiles) != 200 || len(e.Failed) != 1 || e.Failed["broken"] == nil {
				t.Errorf("%s: %d names, %d profiles, %v", n.Name, len(e.Names), len(e.Profiles), e.Failed)
			}
			for _, p := range n.Profiles[1:] {
				if e.Profiles[p.Name].User != p.Name {
					t.Errorf("%s is of user %q", p.Key(), e.Profiles[p.Name].User)
				}
			}
		}
	})
}
