package deploy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
)

// Evaluated is what the provider's flake says of a node at deploy.nodes.
type Evaluated struct {
	Hostname string           // "" if it cannot be evaluated; every profile is in Failed then
	Names    []string         // of all its profiles
	Profiles map[string]Spec  // of those that were asked for
	Failed   map[string]error // why others that were asked for have no Spec
}

// A Spec is what the flake says of a profile.
type Spec struct {
	User       string `json:"user"`
	SSHUser    string `json:"sshUser"`
	Link       string `json:"profilePath"`
	Temp       string `json:"tempPath"`
	Path       string `json:"path"`
	Derivation string `json:"derivation"`
}

// A MismatchError says that the flake's deploy.nodes was not made of this plan.
type MismatchError struct{ Problems []string }

func (e *MismatchError) Error() string {
	const is = "the flake's deploy.nodes is not of this plan:"
	if len(e.Problems) == 1 {
		return is + " " + e.Problems[0]
	}
	return is + "\n- " + strings.Join(e.Problems, "\n- ")
}

// Hint says what to do.
func (e *MismatchError) Hint() string {
	return "run `mage plan` and `git add generated`: a flake sees only files that git knows"
}

// Fill returns the nodes of a plan with the store paths that were evaluated.
// nodes are all that [Planned] returned, with all their profiles; those that
// were not evaluated, or failed, have no Path still; of the latter Broken says why. Where the flake and the
// plan disagree the error is a *[MismatchError] with all that they disagree in.
func Fill(nodes []Node, evaluated map[string]Evaluated) ([]Node, error) {
	m := &MismatchError{}
	filled := make([]Node, len(nodes))
	known := map[string]bool{}
	for i, n := range nodes {
		filled[i] = n
		known[n.Name] = true
		if e, asked := evaluated[n.Name]; asked {
			filled[i].Profiles = m.fill(n, e)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(evaluated)) {
		if !known[name] {
			m.note("there is a node %q", name)
		}
	}
	if len(m.Problems) > 0 {
		return nil, m
	}
	return filled, nil
}

func (e *MismatchError) note(problem string, args ...any) {
	e.Problems = append(e.Problems, fmt.Sprintf(problem, args...))
}

func (e *MismatchError) differs(of, what, flake, planned string) {
	if flake != planned {
		e.note("the %s of %s is %q, and %q in the plan", what, of, flake, planned)
	}
}

func (e *MismatchError) fill(n Node, from Evaluated) []Profile {
	if from.Hostname != "" {
		e.differs("node "+n.Name, "hostname", from.Hostname, names.Address(n.Address).Deploy(n.Name))
	}
	profiles := slices.Clone(n.Profiles)
	for i := range profiles {
		p := &profiles[i]
		if err := from.Failed[p.Name]; err != nil {
			p.Broken = err
			continue
		}
		if !slices.Contains(from.Names, p.Name) {
			e.note("it has no profile %s", p.Key())
			continue
		}
		spec, ok := from.Profiles[p.Name]
		if !ok {
			continue
		}
		e.differs(p.Key(), "user", spec.User, p.User)
		e.differs(p.Key(), "sshUser", spec.SSHUser, n.User)
		e.differs(p.Key(), "profilePath", spec.Link, p.Link)
		e.differs(p.Key(), "tempPath", spec.Temp, p.Temp)
		if _, err := names.ParseStorePath(spec.Path); err != nil {
			e.note("the path of %s is %q, which is no store path", p.Key(), spec.Path)
		}
		if drv, err := names.ParseStorePath(spec.Derivation); spec.Derivation != "" && (err != nil || !drv.IsDerivation()) {
			e.note("%s is made by %q, which is no derivation", p.Key(), spec.Derivation)
		}
		p.Path, p.Derivation = spec.Path, spec.Derivation
	}
	for _, name := range from.Names {
		if _, planned := n.Profile(name); !planned {
			e.note("it has a profile %q on node %s", name, n.Name)
		}
	}
	return profiles
}
