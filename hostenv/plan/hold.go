package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
)

// A Hold is a project that provider.hold keeps as the last plan has it.
type Hold struct {
	Project string   `json:"project"` // the flake input
	Reason  string   `json:"reason"`  // the provider's text
	Keeps   []string `json:"keeps"`   // users of the environments that stay, sorted
}

// Holds returns the projects that are on hold in the plan, sorted by project.
func (d Document) Holds() []Hold {
	var all []Hold
	for _, input := range slices.Sorted(maps.Keys(d.OnHold)) {
		p, _ := projectOf(input)
		h := Hold{Project: input, Reason: d.OnHold[input], Keeps: []string{}}
		for user, e := range d.Environments {
			if e.Hostenv.Organisation == p.Organisation && e.Hostenv.Project == p.Project {
				h.Keeps = append(h.Keeps, user)
			}
		}
		slices.Sort(h.Keeps)
		all = append(all, h)
	}
	return all
}

// hold reads provider.hold.
func (r *reader) hold(from canonjson.Object) map[string]string {
	const where = "provider.hold"
	holds := map[string]string{}
	object := r.optionalObject(from, "provider", "hold")
	for _, m := range object {
		before := len(r.problems)
		reason := strings.TrimSpace(r.text(object, where, m.Name, ""))
		if reason == "" && len(r.problems) == before {
			r.remedied(where+"."+quoteAttribute(m.Name), "", "write why, which each plan shows; or remove it", "has no reason")
		}
		if reason != "" {
			holds[m.Name] = reason
		}
	}
	return holds
}
