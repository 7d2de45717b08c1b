package plan_test

import (
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// refusing computes a plan. Beside it, it returns everything that is refused, of the
// run or of projects, each once.
func refusing(in plan.Input) (*plan.Result, error) {
	result, err := plan.Compute(in)
	var all problem.List
	seen := map[string]bool{}
	add := func(err error) {
		for _, leaf := range problem.Leaves(err) {
			if !seen[leaf.Error()] {
				seen[leaf.Error()] = true
				all.Add(leaf)
			}
		}
	}
	add(err)
	if err == nil {
		for _, h := range result.Held {
			add(h.Reason)
		}
	}
	return result, all.Err()
}
