package report_test

import (
	"strings"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
)

func TestDeployments(t *testing.T) {
	store := func(c, name string) string { return "/nix/store/" + strings.Repeat(c, 32) + "-" + name }
	var got strings.Builder
	err := report.Deployments(&got, []deploy.Deployment{
		{Node: "n1", Run: "r2", Time: time.Date(2026, 11, 29, 7, 1, 2, 3, time.UTC), Omitted: 2,
			Plan: deploy.PlanRecord{Serial: 12, Commit: "abc1234def567-dirty", By: "alice@ci, process 7"},
			Profiles: []deploy.Deployed{
				{Profile: "system", From: store("a", "nixos"), To: store("b", "nixos"), State: deploy.StateActive},
				{Profile: "shop-main-4f7240c", To: store("c", "shop"), State: deploy.StateFailed, Reason: deploy.ReasonBuild, Error: "it \x1b[31m\u202e fails"},
				{Profile: "site", From: store("d", "site"), To: store("e", "site"), Active: store("e", "site"), State: deploy.StateFailed, Reason: deploy.ReasonActivation},
			}},
		{Node: "n2", Time: time.Date(2026, 11, 28, 7, 0, 0, 0, time.UTC), Profiles: []deploy.Deployed{
			{Profile: "site", State: deploy.StateFailed, Reason: deploy.ReasonEvaluation},
			{Profile: "blog", From: store("d", "blog"), To: store("e", "blog"), State: deploy.StateActive, Checks: "failed"},
			{Profile: "wiki", From: store("d", "wiki"), To: store("e", "wiki"), State: deploy.StateActivating},
		}},
	})
	want := `2026-11-29T07:01:02Z  n1: plan 12 of commit abc1234de-dirty by alice@ci
  system             aaaaaaa-nixos -> bbbbbbb-nixos  active
  shop-main-4f7240c  nothing -> ccccccc-shop         build failed: it \u001b[31m\u202e fails
  site               ddddddd-site -> eeeeeee-site    activation failed; the node has eeeeeee-site
  and 2 more

2026-11-28T07:00:00Z  n2: by an unknown user
  site  nothing -> unknown            evaluation failed
  blog  ddddddd-blog -> eeeeeee-blog  active, does not work
  wiki  ddddddd-wiki -> eeeeeee-wiki  activating
`
	if err != nil || got.String() != want {
		t.Errorf("%v\n%s", err, got.String())
	}
}
