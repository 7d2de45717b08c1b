package review

import (
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// heldValues returns projects that are held back as JSON values.
func heldValues(held []plan.Held) []any {
	type reason struct {
		Message string `json:"message"`
		Hint    string `json:"hint,omitzero"`
	}
	type value struct {
		Project string   `json:"project"`
		Reasons []reason `json:"reasons"`
		Keeps   []string `json:"keeps"`
	}
	all := make([]any, len(held))
	for i, h := range held {
		v := value{Project: h.Project, Reasons: []reason{}, Keeps: append([]string{}, h.Keeps...)}
		for _, err := range problem.Leaves(h.Reason) {
			v.Reasons = append(v.Reasons, reason{err.Error(), problem.Hint(err)})
		}
		all[i] = v
	}
	return all
}
