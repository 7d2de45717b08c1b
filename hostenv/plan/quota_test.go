package plan_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// The plan has the quotas of certificates that are not the default, those of projects
// that are held back as well, and holds no project back for them.
func TestCertificateQuotas(t *testing.T) {
	for _, tt := range []struct {
		reason string
		limits map[string]any
		want   map[string]int
		site   int // of acme__site
	}{
		{"none is set", map[string]any{}, nil, 50},
		{"for all", map[string]any{"certificates": 9}, map[string]int{"acme__site": 9, "acme__shop": 9, "beta__site": 9, "gamma__portal": 9}, 9},
		{"for an organisation, and otherwise for a project of it", map[string]any{
			"organisations": map[string]any{"acme": map[string]any{"certificates": 8}},
			"projects":      map[string]any{"acme__shop": map[string]any{"certificates": 50}},
		}, map[string]int{"acme__site": 8}, 8},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			w := newWorld()
			w.provider = map[string]any{"limits": tt.limits}
			first, err := w.planned(t, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			second, err := w.planned(t, first, map[string]error{"acme__site": errors.New("no")})
			if err != nil {
				t.Fatal(err)
			}
			if len(first.Held) > 0 || len(second.Held) != 1 {
				t.Errorf("held back: %v, then %v", first.Held, second.Held)
			}
			for i, d := range []plan.Document{first.Plan, second.Plan} {
				if diff := cmp.Diff(tt.want, d.Certificates); diff != "" {
					t.Errorf("plan %d:\n%s", i, diff)
				}
				if got := d.CertificateQuota("acme__site"); got != tt.site {
					t.Errorf("acme__site may have %d, want %d", got, tt.site)
				}
			}
		})
	}
}
