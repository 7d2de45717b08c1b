package plan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The plan has the limit of every activation: the most specific one of an environment.
func TestActivationTimeout(t *testing.T) {
	for _, tt := range []struct {
		reason string
		option map[string]any
		want   map[string]int // by project
		system int
		err    string
	}{
		{"none is set", nil, map[string]int{"site": 900, "shop": 900, "portal": 900}, 3600, ""},
		{"for all", map[string]any{"default": 1200, "system": 7200}, map[string]int{"site": 1200, "shop": 1200, "portal": 1200}, 7200, ""},
		{"for an organisation, a project and an environment", map[string]any{
			"system":       nil,
			"environments": map[string]any{"acme": 1000, "acme__shop": 1001, "gamma__portal": 5, "gamma__portal/main": 20},
		}, nil, 0, "provider.activationTimeout.environments.gamma__portal is 5, and must be between 10 and 21600"},
		{"the most specific one", map[string]any{
			"environments": map[string]any{"acme": 1000, "acme__shop": 1001, "gamma__portal": 11, "gamma__portal/main": 20},
		}, map[string]int{"site": 1000, "shop": 1001, "portal": 20}, 3600, ""},
		{"one that is mistyped", map[string]any{"environments": map[string]any{"acme__sit": 1000}}, nil, 0, "provider.activationTimeout.environments.acme__sit names no environment"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			w := newWorld()
			w.provider = map[string]any{"activationTimeout": tt.option}
			result, err := w.planned(t, nil, nil)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("want %q, got %v", tt.err, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]int{}
			for user, profile := range result.Plan.Profiles {
				if e := result.Plan.Environments[user]; e.Hostenv.Organisation != "beta" {
					got[e.Hostenv.Project] = profile.ActivationTimeout
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			for node, c := range result.Plan.NodeConnections {
				if c.ActivationTimeout != tt.system {
					t.Errorf("the system of %s may take %d", node, c.ActivationTimeout)
				}
			}
		})
	}
}
