package deploy

import "context"

// Verifier asks an environment whether it works.
type Verifier interface {
	// Verify does all checks of an environment, and returns a result for each.
	Verify(ctx context.Context, n Node, user string) Verification
}

// A Verification is what the checks of an environment found.
type Verification struct {
	Enforce bool    `json:"enforce"` // whether a failure fails the run
	Checks  []Check `json:"checks,omitempty"`
}

// A Check is one request.
type Check struct {
	Name        string `json:"name,omitempty"` // by which the project calls it
	VirtualHost string `json:"virtualHost"`
	URL         string `json:"url"`
	Status      int    `json:"status,omitempty"` // of the last response, 0 without one
	OK          bool   `json:"ok"`
	Problem     string `json:"problem,omitempty"`
}

// OK reports whether every check passed.
func (v Verification) OK() bool {
	for _, c := range v.Checks {
		if !c.OK {
			return false
		}
	}
	return true
}
