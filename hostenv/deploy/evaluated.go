package deploy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Evaluated is a node of the provider's flake, at deploy.nodes.
type Evaluated struct {
	Hostname string           // "" if it cannot be evaluated; every profile is in Failed then
	Names    []string         // of all its profiles
	Profiles map[string]Spec  // of those that were asked for
	Failed   map[string]error // why others that were asked for have no Spec
}

// A Spec is a profile of the flake.
type Spec struct {
	User       string `json:"user"`
	SSHUser    string `json:"sshUser"`
	Link       string `json:"profilePath"`
	Temp       string `json:"tempPath"`
	Path       string `json:"path"`
	Derivation string `json:"derivation"`
}

// Mismatch reports the differences between the flake's deploy.nodes and the plan.
func Mismatch(differences ...string) error {
	of := " " + differences[0]
	if len(differences) > 1 {
		of = "\n- " + strings.Join(differences, "\n- ")
	}
	return problem.New("the flake's deploy.nodes", "does not match the plan:"+of,
		"run `mage plan` and `git add generated`: a flake sees only files that git tracks")
}

// Fill adds the evaluated store paths to the nodes of a plan. nodes are all that
// [Planned] returned, with all their profiles. A profile that was not evaluated has
// no Path; one that failed has none either, and Broken has the reason. If the flake
// and the plan differ, the error is that of [Mismatch].
func Fill(nodes []Node, evaluated map[string]Evaluated) ([]Node, error) {
	var m mismatches
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
			m.note("it has an extra node %q", name)
		}
	}
	if len(m) > 0 {
		return nil, Mismatch(m...)
	}
	return filled, nil
}

// mismatches are differences between the flake and the plan.
type mismatches []string

func (m *mismatches) note(format string, args ...any) {
	*m = append(*m, fmt.Sprintf(format, args...))
}

func (m *mismatches) differs(of, what, flake, planned string) {
	if flake != planned {
		m.note("the %s of %s is %q, and %q in the plan", what, of, flake, planned)
	}
}

func (m *mismatches) fill(n Node, from Evaluated) []Profile {
	if from.Hostname != "" {
		m.differs("node "+n.Name, "hostname", from.Hostname, names.Address(n.Address).Deploy(n.Name))
	}
	profiles := slices.Clone(n.Profiles)
	for i := range profiles {
		p := &profiles[i]
		if err := from.Failed[p.Name]; err != nil {
			p.Broken = err
			continue
		}
		if !slices.Contains(from.Names, p.Name) {
			m.note("it has no profile %s", p.Key())
			continue
		}
		spec, ok := from.Profiles[p.Name]
		if !ok {
			continue
		}
		m.differs(p.Key(), "user", spec.User, p.User)
		m.differs(p.Key(), "sshUser", spec.SSHUser, n.User)
		m.differs(p.Key(), "profilePath", spec.Link, p.Link)
		m.differs(p.Key(), "tempPath", spec.Temp, p.Temp)
		if _, err := names.ParseStorePath(spec.Path); err != nil {
			m.note("the path of %s is %q, which is not a store path", p.Key(), spec.Path)
		}
		if drv, err := names.ParseStorePath(spec.Derivation); spec.Derivation != "" && (err != nil || !drv.IsDerivation()) {
			m.note("the derivation of %s is %q, which is not the path of a .drv file", p.Key(), spec.Derivation)
		}
		p.Path, p.Derivation = spec.Path, spec.Derivation
	}
	for _, name := range from.Names {
		if _, planned := n.Profile(name); !planned {
			m.note("it has an extra profile %q on node %s", name, n.Name)
		}
	}
	return profiles
}
