package deploy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

func TestStatusOf(t *testing.T) {
	p := deploy.Profile{Node: "n1", Name: "shop", Path: "/nix/store/1-shop"}
	tests := []struct {
		reason  string
		profile deploy.Profile
		seen    deploy.Observed
		want    deploy.Standing
	}{
		{"the planned path", p, deploy.Observed{Active: p.Path, Activated: p.Path, DeployRs: true}, deploy.StandingInSync},
		{"the planned path, which did not come up", p, deploy.Observed{Active: p.Path, DeployRs: true}, deploy.StandingBehind},
		{"the planned path, and another system runs", p, deploy.Observed{Active: p.Path, Activated: p.Path, Running: "/nix/store/0-nixos", DeployRs: true}, deploy.StandingBehind},
		{"another path, and another system runs", p, deploy.Observed{Active: "/nix/store/0-shop", Running: "/nix/store/0-nixos", DeployRs: true}, deploy.StandingBehind},
		{"an older path of a deploy", p, deploy.Observed{Active: "/nix/store/0-shop", DeployRs: true}, deploy.StandingBehind},
		{"nothing yet", p, deploy.Observed{}, deploy.StandingBehind},
		{"an activation is running", p, deploy.Observed{Active: p.Path, Activating: []string{"4711"}}, deploy.StandingBehind},
		{"an operator went back", p, deploy.Observed{Active: "/nix/store/0-shop", DeployRs: true, RolledBack: true}, deploy.StandingDiverged},
		{"an operator activated another package", p, deploy.Observed{Active: "/nix/store/0-hello"}, deploy.StandingDiverged},
		{"no profile of Nix", p, deploy.Observed{Linked: "/home/shop/build"}, deploy.StandingForeign},
		{"its evaluation fails", deploy.Profile{Broken: errors.New("a typing mistake")}, deploy.Observed{Active: p.Path}, deploy.StandingBroken},
	}
	for _, test := range tests {
		got := deploy.StatusOf(test.profile, test.seen)
		if got.Standing != test.want {
			t.Errorf("%s: %s, want %s", test.reason, got.Standing, test.want)
		}
		if runs := test.seen.Running; !strings.Contains(got.Detail, runs) {
			t.Errorf("%s: the detail is %q, and does not tell that %s runs", test.reason, got.Detail, runs)
		}
		if drift := deploy.Drift([]deploy.Status{got}); drift != (test.want != deploy.StandingInSync) {
			t.Errorf("%s: drift is %v", test.reason, drift)
		}
	}
}

// A node that cannot be reached has its own standing. A node that answers but cannot
// be examined is also an error.
func TestSurvey(t *testing.T) {
	nodes := fleet(3, 1)
	w := newWorld(t, nodes)
	w.nodes["n2"].unreached = true
	w.nodes["n1"].active["system"], w.nodes["n1"].good["system"] = nodes[0].Profiles[0].Path, true
	w.nodes["n3"].locked = true // a survey takes no lock, so this has no effect
	all, err := deploy.Survey(t.Context(), w, nodes)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, s := range all {
		got += s.Node + "/" + s.Profile + " " + string(s.Standing) + "\n"
	}
	want := "n1/system in-sync\nn1/env1-n1 behind\nn2/system unreachable\nn2/env1-n2 unreachable\nn3/system diverged\nn3/env1-n3 behind\n"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
