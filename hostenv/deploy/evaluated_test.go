package deploy_test

import (
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

const hash = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz"

// specs is what the flake has for the plan of [planOf].
func specs() map[string]deploy.Evaluated {
	return map[string]deploy.Evaluated{"n1": {
		Hostname: "n1.hosting.example",
		Names:    []string{"site-main-b7ea262", "system"},
		Profiles: map[string]deploy.Spec{
			"system": {User: "root", SSHUser: "deploy", Link: "/nix/var/nix/profiles/system", Temp: "/run/hostenv/deploy",
				Path: hash + "-system", Derivation: hash + "-system.drv"},
			"site-main-b7ea262": {User: "site-main-b7ea262", SSHUser: "deploy", Link: "/nix/var/nix/profiles/per-user/site-main-b7ea262/hostenv",
				Temp: "/run/hostenv/deploy/site-main-b7ea262", Path: hash + "-site", Derivation: hash + "-site.drv"},
		},
	}}
}

func TestFill(t *testing.T) {
	nodes, err := deploy.Planned(document(t, planOf(nil)))
	if err != nil {
		t.Fatal(err)
	}
	filled, err := deploy.Fill(nodes, specs())
	if err != nil {
		t.Fatal(err)
	}
	if p := filled[0].Profiles; p[0].Path != hash+"-system" || p[0].Derivation != hash+"-system.drv" || p[1].Path != hash+"-site" {
		t.Errorf("the paths are not filled in: %+v", p)
	}
	if nodes[0].Profiles[0].Path != "" || filled[1].Profiles[0].Path != "" {
		t.Error("what was given is changed, or what was not evaluated has a path")
	}
	// An environment that failed has no path. That is not a disagreement.
	partly := specs()
	delete(partly["n1"].Profiles, "site-main-b7ea262")
	if filled, err = deploy.Fill(nodes, partly); err != nil || filled[0].Profiles[1].Path != "" {
		t.Errorf("got %+v, %v", filled, err)
	}
	// For a node with an IPv6 address the flake has the node's name.
	six := map[string]deploy.Evaluated{"n2": {Hostname: "n2", Names: []string{"system"}}}
	if _, err = deploy.Fill(nodes, six); err != nil {
		t.Error(err)
	}
}

func TestFillMismatch(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*deploy.Evaluated, *deploy.Spec)
	}{
		{`it has no profile n1/site-main-b7ea262`, func(e *deploy.Evaluated, _ *deploy.Spec) { e.Names = []string{"system"} }},
		{`it has an extra profile "more" on node n1`, func(e *deploy.Evaluated, _ *deploy.Spec) { e.Names = append(e.Names, "more") }},
		{`the hostname of node n1 is "other", and "n1.hosting.example" in the plan`, func(e *deploy.Evaluated, _ *deploy.Spec) { e.Hostname = "other" }},
		{`the user of n1/site-main-b7ea262 is "root"`, func(_ *deploy.Evaluated, s *deploy.Spec) { s.User = "root" }},
		{`the sshUser of n1/site-main-b7ea262 is "root"`, func(_ *deploy.Evaluated, s *deploy.Spec) { s.SSHUser = "root" }},
		{`the profilePath of n1/site-main-b7ea262 is "/x"`, func(_ *deploy.Evaluated, s *deploy.Spec) { s.Link = "/x" }},
		{`the tempPath of n1/site-main-b7ea262 is "/tmp"`, func(_ *deploy.Evaluated, s *deploy.Spec) { s.Temp = "/tmp" }},
		{`which is not a store path`, func(_ *deploy.Evaluated, s *deploy.Spec) { s.Path += "/bin" }},
		{`which is not a store path`, func(_ *deploy.Evaluated, s *deploy.Spec) { s.Path += "\n--option" }},
		{`which is not the path of a .drv file`, func(_ *deploy.Evaluated, s *deploy.Spec) { s.Derivation = s.Path }},
	} {
		t.Run(c.want, func(t *testing.T) {
			nodes, err := deploy.Planned(document(t, planOf(nil)))
			if err != nil {
				t.Fatal(err)
			}
			evaluated := specs()
			n := evaluated["n1"]
			s := n.Profiles["site-main-b7ea262"]
			c.change(&n, &s)
			n.Profiles["site-main-b7ea262"] = s
			evaluated["n1"] = n
			_, err = deploy.Fill(nodes, evaluated)
			if err == nil || !strings.HasPrefix(err.Error(), "the flake's deploy.nodes does not match the plan: ") || !strings.Contains(err.Error(), c.want) || !strings.Contains(problem.Hint(err), "mage plan") {
				t.Errorf("got %v, want %q alone", err, c.want)
			}
		})
	}
	if _, err := deploy.Fill(nil, specs()); err == nil || !strings.Contains(err.Error(), `it has an extra node "n1"`) {
		t.Errorf("got %v", err)
	}
}
