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

// Moved says that an environment, or a whole project, has a new name; UID and
// host names go with it. From and To are both user names, both
// "organisation__project/environment", or both "organisation__project".
type Moved struct{ From, To string }

func (m Moved) nix() string { return fmt.Sprintf("{ from = %q; to = %q; }", m.From, m.To) }

// Sanitise returns what hostenv makes of the name of an organisation or a
// project: lower case, letters and digits alone.
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
// false for an input that names no project.
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
		return reference{}, fmt.Errorf("%q is neither a user name nor organisation__project nor organisation__project/environment", s)
	}
	return reference{user: s}, nil
}

// rename carries out provider.moved: entries go from their old keys to those
// of the claims, before UIDs and host names are looked at.
func (st *step) rename() {
	const oneEach = "let one entry alone name each environment"
	var idle []Moved
	renames := map[string]string{} // user name before: after
	origins := map[string]string{} // the other way round
	for _, m := range st.req.Moved {
		refused := func(remedy, format string, args ...any) { st.refuseMoved(m, remedy, format, args...) }
		pairs, err := st.pairs(m)
		if err != nil {
			refused("name environments by user name or as organisation__project/environment, whole projects as organisation__project, both sides alike", "%v", err)
			continue
		}
		if len(pairs) == 0 {
			idle = append(idle, m)
			continue
		}
		for _, from := range slices.Sorted(maps.Keys(pairs)) {
			to := pairs[from]
			switch _, exists := st.Entries[to]; {
			case exists && st.declared(from): // a new environment has the old name
				st.done(m)
			case exists:
				refused("remove the entry: each of the two keeps its own UID", "%s has the UID %d already", to, st.Entries[to].UID)
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
		st.changed(KindEnvironment, to, Move, ReasonRenamed, map[string]any{"userName": from}, map[string]any{"userName": to, "uid": e.UID})
	}
	for _, m := range idle {
		st.checkIdle(m)
	}
}

func (st *step) refuseMoved(m Moved, remedy, format string, args ...any) {
	st.errs.Add(optionError("provider.moved", m.nix(), fmt.Sprintf(format, args...), remedy))
}

// checkIdle judges an entry of provider.moved that found nothing to do, once
// all the others are done. Nobody may lose UID and data to a slip of the pen,
// so an entry that misses an environment which is about to be retired, or to
// get a new UID, is refused. Otherwise it was done before, perhaps years ago,
// and its names were moved on or given anew since.
func (st *step) checkIdle(m Moved) {
	switch from, left := st.find(m.From); {
	case st.knows(m.To):
		st.done(m)
	case left:
		st.refuseMoved(m, "correct to, or declare it under its new name", "no input declares, as %s, what is gone as %s", m.To, m.From)
	case !from && st.awaits(m.To):
		st.refuseMoved(m, "correct from, or remove the entry; `mage state:list` shows what there is", "the state knows nothing of %s", m.From)
	default:
		st.done(m)
	}
}

func (st *step) declared(user string) bool {
	_, ok := st.claims[user]
	return ok
}

// pairs returns the renames that m stands for: none if they were done before.
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

// done warns of a rename that there is nothing left to do for.
func (st *step) done(m Moved) {
	w := Warning{Subject: "provider.moved", Message: m.nix() + " has nothing left to do and can be removed"}
	if !slices.Contains(st.warnings, w) { // a project has many environments
		st.warnings = append(st.warnings, w)
	}
}

// find tells whether the state has an entry that ref names, and whether one of
// them is declared no more.
func (st *step) find(ref string) (found, left bool) {
	r, _ := parseReference(ref) // pairs has looked at its error
	for name, e := range st.Entries {
		if r.matches(name, e.Organisation, e.Project, e.Environment) {
			found, left = true, left || !st.declared(name)
		}
	}
	return found, left
}

func (st *step) knows(ref string) bool {
	found, _ := st.find(ref)
	return found
}

// awaits tells whether a claim is what ref names.
func (st *step) awaits(ref string) bool {
	r, _ := parseReference(ref)
	return slices.ContainsFunc(st.req.Claims, func(c Claim) bool {
		return r.matches(c.UserName, c.Organisation, c.Project, c.Environment)
	})
}

// identify finds out which project the entries of the legacy generator belong to
// whose environments have left the inputs. hostenv's user names are
// <project, at most 11 characters>-<environment, shortened>-<first 7 digits of
// SHA-256 of "organisation-project-environment\n">, so a guess proves itself:
// where organisation and project of a claim, or of provider.moved, and the
// middle of the user name give its hash, they are right. (An environment whose
// name was shortened cannot be guessed, and stays unknown.)
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
				st.changed(KindEnvironment, name, Update, ReasonAdopted, nil,
					map[string]any{"organisation": e.Organisation, "project": e.Project, "environment": environment})
				break
			}
		}
	}
}
