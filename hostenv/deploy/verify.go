package deploy

import (
	"context"
	"maps"
)

// Verifier checks whether environments work.
type Verifier interface {
	// Verify runs all checks of an environment, and returns a result for each. A
	// check that the end of ctx prevents or interrupts has not passed.
	Verify(ctx context.Context, n Node, user string) Verification
}

// A CertificateVerifier is a Verifier whose checks may need certificates. A node
// orders certificates of new names after its system is activated, so a run waits for
// them before it verifies, at most for two minutes.
type CertificateVerifier interface {
	Verifier
	// Certificates returns the names of the certificates that the checks of an
	// environment need.
	Certificates(user string) []string
}

// A Verification has the results of the checks of an environment.
type Verification struct {
	Enforce bool    `json:"enforce"` // whether a failure fails the run
	Checks  []Check `json:"checks,omitempty"`
}

// A Check is one request.
type Check struct {
	Name        string `json:"name,omitempty"` // in the project
	VirtualHost string `json:"virtualHost"`
	URL         string `json:"url"`
	Status      int    `json:"status,omitempty"` // of the last response, 0 without one
	OK          bool   `json:"ok"`
	Problem     string `json:"problem,omitempty"`
}

// Unasked returns the paths that runs activated but did not verify, because they
// died or were interrupted, by node/profile. The oldest outcome comes first.
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

// unasked returns the unverified paths of earlier runs, and those that failed their
// checks in this run before it was resumed: they may work now.
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

// isOwed reports whether the run verifies a profile that it does not activate.
func (r *run) isOwed(p *profileRun) bool {
	d := p.decision
	return d.Reason == ReasonAdopted || d.State == StateInSync && r.owed[p.Key()] == p.Path
}

// verify verifies an environment, and records the result.
func (r *run) verify(ctx context.Context, p *profileRun) error {
	if r.Verifier == nil || r.Options.SkipVerification || p.IsSystem() {
		return nil
	}
	if r.stopping(ctx) { // begin no check; then none has passed
		over, cancel := context.WithCancel(ctx)
		cancel()
		ctx = over
	}
	if certified, ok := r.Verifier.(CertificateVerifier); ok {
		r.awaitOrders(ctx, p.on, certified.Certificates(p.Name))
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
