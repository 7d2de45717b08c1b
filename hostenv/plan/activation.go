package plan

import (
	"maps"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
)

// An ActivationTimeout says how long activations may take, in seconds.
type ActivationTimeout struct {
	Default int // of environments
	System  int // of the systems of nodes
	// Environments are exceptions, by the same names as [Provider.Placement].
	Environments map[string]int
}

// The limits of activations by default, and those that an option may set. deploy-rs
// waits for an activation and for the way back from it, 18 hours at most.
const (
	defaultActivation, defaultSystemActivation = 15 * 60, 60 * 60
	minActivation, maxActivation               = 10, 6 * 60 * 60
)

func (r *reader) activationTimeout(from canonjson.Object) ActivationTimeout {
	const where = "provider.activationTimeout"
	r.options(from, where, "default", "system", "environments")
	t := ActivationTimeout{
		Default:      r.number(from, where, "default", defaultActivation, minActivation, maxActivation),
		System:       r.number(from, where, "system", defaultSystemActivation, minActivation, maxActivation),
		Environments: map[string]int{},
	}
	environments := r.optionalObject(from, where, "environments")
	for _, m := range environments {
		t.Environments[m.Name] = r.number(environments, where+".environments", m.Name, defaultActivation, minActivation, maxActivation)
	}
	return t
}

// of returns the limit of an environment: the most specific exception, or the default.
func (t ActivationTimeout) of(e *EvaluatedEnvironment) int {
	for _, name := range []string{e.Ref(), e.Input, e.Organisation} {
		if limit, ok := t.Environments[name]; ok {
			return limit
		}
	}
	return t.Default
}

// activationTimeouts refuses exceptions that no environment has.
func (c *computation) activationTimeouts() {
	for _, name := range slices.Sorted(maps.Keys(c.inv.Provider.ActivationTimeout.Environments)) {
		used := slices.ContainsFunc(c.placed, func(e *placed) bool { return slices.Contains([]string{e.Ref(), e.Input, e.Organisation}, name) })
		if !used && !c.concernsHeld(name) {
			c.unusedName("provider.activationTimeout.environments", name)
		}
	}
}
