package deploy

import (
	"context"
	"maps"
)

// Verifier asks an environment whether it works.
type Verifier interface {
	// Verify does all checks of an environment, and returns a result for each. One
	// that the end of ctx cuts off, or that is not begun for it, did not pass.
	Verify(ctx context.Context, n Node, user string) Verification
}

// A CertificateVerifier is a Verifier whose checks may rely on certificates. A
// node orders those of new names after its system is activated, so they are
// waited for before the environment is asked, for two minutes at most.
type CertificateVerifier interface {
	Verifier
	// Certificates are those that the checks of an environment rely on, by name.
	Certificates(user string) []string
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

// Unasked returns what runs brought up and did not ask whether it works, for they
// died or were interrupted before the answer: paths by node/profile. Outcomes are
// in their order.
func Unasked(outcomes []Outcome) map[string]string {
	paths := map[string]string{}
	for _, o := range outcomes {
		cut := !o.Ended || o.Interrupted
		for _, p := range o.Profiles {
			key := p.Node + "/" + p.Profile
			answered := p.Verification != nil && (p.Verification.OK() || !cut)
			switch {
			case p.Profile == SystemProfile, !p.up():
			case answered, o.Start.Options.SkipVerification, p.State == StateActive && !cut:
				delete(paths, key)
			case p.State == StateActive, p.Verification != nil:
				paths[key] = p.Want
			}
		}
	}
	return paths
}

// unasked adds to those of runs before what did not work in this one, if it is
// taken up: that may be mended by now.
func (r *run) unasked() map[string]string {
	paths := maps.Clone(r.History.Unasked)
	for _, p := range OutcomeOf(r.Journal.Events()).Profiles {
		if p.up() && p.Verification != nil && !p.Verification.OK() {
			if paths == nil {
				paths = map[string]string{}
			}
			paths[p.Node+"/"+p.Profile] = p.Want
		}
	}
	return paths
}

// isOwed reports whether a profile that is left alone is asked whether it works
// all the same.
func (r *run) isOwed(p *profileRun) bool {
	d := p.decision
	return d.Reason == ReasonAdopted || d.State == StateInSync && r.owed[p.Key()] == p.Path
}

// verify asks an environment whether it works.
func (r *run) verify(ctx context.Context, p *profileRun) error {
	if r.Verifier == nil || r.Options.SkipVerification || p.IsSystem() {
		return nil
	}
	if r.stopping(ctx) { // begin no check: one that is not made did not pass
		over, cancel := context.WithCancel(ctx)
		cancel()
		ctx = over
	}
	if relies, ok := r.Verifier.(CertificateVerifier); ok {
		r.awaitOrders(ctx, p.on, relies.Certificates(p.Name))
	}
	v := r.Verifier.Verify(ctx, p.on.Node, p.Name)
	if len(v.Checks) == 0 {
		return nil
	}
	return r.Journal.Append(Event{Type: TypeVerification, Node: p.on.Name, Profile: p.Name, Verification: &v})
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
