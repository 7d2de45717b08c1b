package deploy

import (
	"context"
	"maps"
)

// Verifier checks whether environments and systems work.
type Verifier interface {
	// Has reports whether a profile has checks, and whether they are enforced.
	Has(n Node, profile string) (checks, enforced bool)
	// Verify makes the checks of a profile, and returns a result for each. A check that
	// the end of ctx prevents or interrupts has not passed, and is unknown.
	Verify(ctx context.Context, n Node, profile string, which Asking) Verification
}

// Asking selects the checks that a [Verifier] makes. The zero value is for all of them.
type Asking struct {
	// Again are the results of an earlier call. Verify makes the checks again that did
	// not pass, without those that may change data, and returns the other results as
	// they are.
	Again []Check
	// OnlySafe leaves out checks that may change data, such as a POST.
	OnlySafe bool
}

// A CertificateVerifier is a Verifier whose checks may need certificates. A node
// orders certificates of new names after its system is activated, so a run waits for
// them before it verifies, at most for two minutes.
type CertificateVerifier interface {
	Verifier
	// Certificates returns the names of the certificates that the checks of a profile
	// need.
	Certificates(n Node, profile string) []string
}

// A Verification has the results of the checks of a profile.
type Verification struct {
	Enforce bool    `json:"enforce"` // whether a failure takes the profile back
	Checks  []Check `json:"checks,omitempty"`
}

// A Check is one request.
type Check struct {
	Name        string `json:"name,omitempty"` // in the project
	VirtualHost string `json:"virtualHost"`
	Method      string `json:"method,omitempty"` // "" is GET
	URL         string `json:"url"`
	Status      int    `json:"status,omitempty"` // of the last response, 0 without one
	OK          bool   `json:"ok"`
	Problem     string `json:"problem,omitempty"`
	// Unknown says that a check that did not pass shows nothing about the version: it was
	// interrupted or not made, no connection reached the node, the node has no certificate
	// for the name yet, or it cannot be read.
	Unknown bool `json:"unknown,omitempty"`
	// FailedBefore says that it failed before the activation as well.
	FailedBefore bool `json:"failedBefore,omitempty"`
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

// Convicts reports whether the checks show that a version does not work: an enforced
// one failed, and is not known to have failed before.
func (v Verification) Convicts() bool {
	for _, c := range v.Checks {
		if v.Enforce && c.convicts() {
			return true
		}
	}
	return false
}

func (c Check) convicts() bool { return !c.OK && !c.Unknown && !c.FailedBefore }

// good reports whether every enforced check passed, or failed before as well.
func (v Verification) good() bool {
	for _, c := range v.Checks {
		if v.Enforce && !c.OK && !c.FailedBefore {
			return false
		}
	}
	return true
}

// After returns the results with FailedBefore set for the checks that failed in an
// earlier verification, nil for none. Of equal checks the order counts.
func (v Verification) After(before *Verification) Verification {
	if before == nil {
		return v
	}
	failed := map[Check][]bool{}
	for _, c := range before.Checks {
		failed[c.key()] = append(failed[c.key()], !c.OK && !c.Unknown)
	}
	checks := make([]Check, len(v.Checks))
	for i, c := range v.Checks {
		if list := failed[c.key()]; len(list) > 0 {
			c.FailedBefore, failed[c.key()] = list[0] && !c.OK && !c.Unknown, list[1:]
		}
		checks[i] = c
	}
	v.Checks = checks
	return v
}

// key is what a check is called.
func (c Check) key() Check {
	return Check{Name: c.Name, VirtualHost: c.VirtualHost, Method: c.Method, URL: c.URL}
}

// doubted returns the results with every failure unknown, and why.
func (v Verification) doubted(why string) Verification {
	checks := make([]Check, len(v.Checks))
	for i, c := range v.Checks {
		if c.convicts() {
			c.Unknown, c.Problem = true, why+": "+c.Problem
		}
		checks[i] = c
	}
	v.Checks = checks
	return v
}

// An Unverified is a path that a run activated and that it did not verify, or whose
// checks failed.
type Unverified struct {
	Path     string
	From     string        // what was active before, "" for nothing
	Baseline *Verification // what the checks found before, nil if that is unknown
}

// Unasked returns the paths that runs activated but did not verify, because they
// died or were interrupted, by node/profile. The oldest outcome comes first.
func Unasked(outcomes []Outcome) map[string]Unverified {
	paths := map[string]Unverified{}
	for _, o := range outcomes {
		cut := !o.Ended || o.Interrupted
		for _, p := range o.Profiles {
			key := p.Node + "/" + p.Profile
			answered := p.Verification != nil && (p.Verification.OK() || !cut)
			switch {
			case !p.up():
			case answered, o.Start.Options.SkipVerification, p.State == StateActive && !cut:
				delete(paths, key)
			case p.State == StateActive, p.Verification != nil:
				paths[key] = p.unverified()
			}
		}
	}
	return paths
}

func (p ProfileOutcome) unverified() Unverified { return Unverified{p.Want, p.Was, p.Baseline} }

// unasked returns the unverified paths of earlier runs, and those that failed their
// checks in this run before it was resumed: they may work now.
func (r *run) unasked() map[string]Unverified {
	paths := maps.Clone(r.History.Unasked)
	for _, p := range OutcomeOf(r.Journal.Events()).Profiles {
		if p.up() && p.Verification != nil && !p.Verification.OK() {
			if paths == nil {
				paths = map[string]Unverified{}
			}
			paths[p.Node+"/"+p.Profile] = p.unverified()
		}
	}
	return paths
}
