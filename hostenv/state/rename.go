package state

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
)

// Moved renames an environment, or all environments of a project, which keep
// their UIDs and host names. From and To name an environment each, by user name or
// as "organisation__project/environment", or a project each, as
// "organisation__project".
type Moved struct{ From, To string }

func (m Moved) nix() string { return fmt.Sprintf("{ from = %q; to = %q; }", m.From, m.To) }

// Sanitise returns the name of an organisation or a project as hostenv writes it:
// lower-case letters and digits only.
func Sanitise(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		}
		return -1
	}, name)
}

// SplitInput returns organisation and project of a flake input's name,
// sanitised. Empty parts are dropped: "acme___site" is acme and site. ok is
// false if the name does not have two parts.
func SplitInput(input string) (organisation, project string, ok bool) {
	var parts []string
	for part := range strings.SplitSeq(input, "__") {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) != 2 {
		return "", "", false
	}
	organisation, project = Sanitise(parts[0]), Sanitise(parts[1])
	return organisation, project, organisation != "" && project != ""
}

// reference is a parsed From or To.
type reference struct {
	user                               string
	organisation, project, environment string
}

func (r reference) isProject() bool { return r.user == "" && r.environment == "" }

func parseReference(s string) (reference, error) {
	input, environment, hasEnvironment := strings.Cut(s, "/")
	if organisation, project, ok := SplitInput(input); ok && (!hasEnvironment || environment != "") {
		return reference{organisation: organisation, project: project, environment: environment}, nil
	}
	if _, err := names.ParseUser(s); err != nil {
		return reference{}, fmt.Errorf("%q is not a user name, organisation__project or organisation__project/environment", s)
	}
	return reference{user: s}, nil
}

// rename carries out provider.moved. It moves entries to the keys of the claims,
// before UIDs and host names are decided.
func (st *step) rename() {
	const oneEach = "name each environment in one entry only"
	var idle []Moved
	renames := map[string]string{} // user name before: after
	origins := map[string]string{} // the other way round
	for _, m := range st.req.Moved {
		refused := func(remedy, format string, args ...any) { st.refuseMoved(m, remedy, format, args...) }
		pairs, err := st.pairs(m)
		if err != nil {
			refused("on both sides, write user names or organisation__project/environment for an environment, or organisation__project for a project", "%v", err)
			continue
		}
		if len(pairs) == 0 {
			idle = append(idle, m)
			continue
		}
		for _, from := range slices.Sorted(maps.Keys(pairs)) {
			to := pairs[from]
			switch _, exists := st.Entries[to]; {
			case from == to && st.Entries[from].Environment == "": // see mayAdopt
			case exists && st.declared(from): // a new environment has the old name
				st.warnDone(m)
			case exists:
				refused("remove the entry: each of the two keeps its own UID", "%s already has the UID %d", to, st.Entries[to].UID)
			case st.declared(from):
				refused("remove the entry, or the old environment from the inputs", "%s is still declared", from)
			case renames[from] == to: // in another spelling
			case renames[from] != "":
				refused(oneEach, "%s is moved to %s by another entry", from, renames[from])
			case origins[to] != "":
				refused(oneEach, "%s is moved to %s by another entry", origins[to], to)
			default:
				renames[from], origins[to] = to, from
			}
		}
	}
	for _, from := range slices.Sorted(maps.Keys(renames)) {
		to := renames[from]
		e, c := st.Entries[from], st.claims[to]
		delete(st.Entries, from)
		e.adopt()
		e.FormerNames = slices.DeleteFunc(append(slices.Clone(e.FormerNames), from), func(name string) bool { return name == to })
		slices.Sort(e.FormerNames)
		e.FormerNames = slices.Compact(e.FormerNames)
		e.UserName, e.Organisation, e.Project, e.Environment, e.Retired = to, c.Organisation, c.Project, c.Environment, false
		st.Entries[to] = e
		for _, host := range e.VirtualHosts {
			st.owners[host] = to
		}
		if st.LastAllocated.UserName == from {
			st.LastAllocated.UserName = to
		}
	}
	for _, m := range idle {
		st.checkIdle(m)
	}
}

func (st *step) refuseMoved(m Moved, remedy, format string, args ...any) {
	st.errs.Add(optionError("provider.moved", m.nix(), fmt.Sprintf(format, args...), remedy))
}

// checkIdle checks an entry of provider.moved that matches no environment, after
// all others are carried out. A typing error in it would cost an environment its
// UID and data, so checkIdle refuses it if this step retires an environment that
// From names, or allocates a UID for one that To names. Otherwise an earlier plan
// carried the entry out, and its names may have other meanings by now.
func (st *step) checkIdle(m Moved) {
	from, left := st.find(m.From)
	to, _ := st.find(m.To)
	switch {
	case to:
		st.warnDone(m)
	case left:
		st.refuseMoved(m, "correct `to`, or declare the environment under its new name", "%s has left the inputs, and no input declares %s", m.From, m.To)
	case !from && st.hasClaim(m.To):
		st.refuseMoved(m, "correct `from`, or remove the entry; `mage state:list` shows the environments", "the state has no environment %s", m.From)
	default:
		st.warnDone(m)
	}
}

func (st *step) declared(user string) bool {
	_, ok := st.claims[user]
	return ok
}

// pairs returns the renames that m asks for: the new user name by the old one. It
// is empty if an earlier plan carried m out.
func (st *step) pairs(m Moved) (map[string]string, error) {
	from, err := parseReference(m.From)
	if err != nil {
		return nil, err
	}
	to, err := parseReference(m.To)
	if err != nil {
		return nil, err
	}
	if from.isProject() != to.isProject() {
		return nil, fmt.Errorf("one side names a project and the other an environment")
	}
	pairs := map[string]string{}
	for _, name := range st.names() {
		if e := st.Entries[name]; from.matches(name, e.Organisation, e.Project, e.Environment) {
			for _, c := range st.req.Claims {
				if to.matches(c.UserName, c.Organisation, c.Project, c.Environment) && (!from.isProject() || c.Environment == e.Environment) {
					pairs[name] = c.UserName
				}
			}
		}
	}
	return pairs, nil
}

func (r reference) matches(user, organisation, project, environment string) bool {
	if r.user != "" {
		return r.user == user
	}
	return r.organisation == organisation && r.project == project && (r.environment == "" || r.environment == environment)
}

// warnDone warns of an entry that an earlier plan carried out.
func (st *step) warnDone(m Moved) {
	w := Warning{Subject: "provider.moved", Message: m.nix() + " has nothing left to do and can be removed"}
	if !slices.Contains(st.warnings, w) { // a project has many environments
		st.warnings = append(st.warnings, w)
	}
}

// find reports whether ref names an entry of the state, and whether it names one
// that the inputs no longer declare.
func (st *step) find(ref string) (found, left bool) {
	r, _ := parseReference(ref) // pairs has checked the error
	for name, e := range st.Entries {
		if r.matches(name, e.Organisation, e.Project, e.Environment) {
			found, left = true, left || !st.declared(name)
		}
	}
	return found, left
}

// hasClaim reports whether ref names an environment of the claims.
func (st *step) hasClaim(ref string) bool {
	r, _ := parseReference(ref)
	return slices.ContainsFunc(st.req.Claims, func(c Claim) bool {
		return r.matches(c.UserName, c.Organisation, c.Project, c.Environment)
	})
}

// identify finds the project of each entry of the legacy generator whose
// environment has left the inputs. hostenv's user names are <project, at most 11
// characters>-<environment, shortened>-<first 7 digits of SHA-256 of
// "organisation-project-environment\n">. So we try the organisations and projects
// of the claims and of provider.moved: those that give the hash are right. If the
// environment's name was shortened, none does, and the entry stays as it is.
func (st *step) identify() {
	projects := map[string][]Claim{} // by the first part of the user name
	seen := map[string]bool{}
	candidates := make([]Claim, 0, len(st.users)+len(st.req.Moved))
	for _, user := range st.users {
		candidates = append(candidates, st.claims[user])
	}
	for _, m := range st.req.Moved {
		if r, err := parseReference(m.From); err == nil && r.user == "" {
			candidates = append(candidates, Claim{Organisation: r.organisation, Project: r.project})
		}
	}
	for _, c := range candidates {
		if key := c.Organisation + "/" + c.Project; !seen[key] {
			seen[key] = true
			slug := c.Project[:min(11, len(c.Project))]
			projects[slug] = append(projects[slug], c)
		}
	}
	for name, e := range st.Entries {
		if e.Environment != "" || st.declared(name) {
			continue
		}
		slug, rest, _ := strings.Cut(name, "-")
		cut := strings.LastIndexByte(rest, '-')
		if cut < 0 {
			continue
		}
		environment, hash := rest[:cut], rest[cut+1:]
		for _, c := range projects[slug] {
			sum := sha256.Sum256([]byte(c.Organisation + "-" + c.Project + "-" + environment + "\n"))
			if hex.EncodeToString(sum[:])[:7] == hash {
				e.adopt()
				e.Organisation, e.Project, e.Environment = c.Organisation, c.Project, environment
				st.Entries[name] = e
				break
			}
		}
	}
}
