package state

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
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
	if err := CheckUserName(s); err != nil {
		return reference{}, fmt.Errorf("%q is neither a user name nor organisation__project nor organisation__project/environment", s)
	}
	return reference{user: s}, nil
}

// rename carries out provider.moved: entries go from their old keys to those
// of the claims, before anything else looks at them.
func (st *step) rename() {
	renames := map[string]string{} // user name before: after
	targets := map[string]Moved{}
	for _, m := range st.req.Moved {
		refused := func(remedy, format string, args ...any) {
			st.errs = append(st.errs, &OptionError{Option: "provider.moved", Entry: m.nix(), Problem: fmt.Sprintf(format, args...), Remedy: remedy})
		}
		pairs, err := st.pairs(m)
		if err != nil {
			refused("name environments by user name or as organisation__project/environment, whole projects as organisation__project, both sides alike", "%v", err)
			continue
		}
		if len(pairs) == 0 {
			if st.arrived(m) {
				st.warnings = append(st.warnings, Warning{Subject: "provider.moved", Message: m.nix() + " has been carried out and can be removed"})
			} else {
				refused("correct from, or remove the entry; `mage state:list` shows what there is", "the state knows nothing of %s", m.From)
			}
			continue
		}
		for _, from := range slices.Sorted(maps.Keys(pairs)) {
			to := pairs[from]
			other, taken := targets[to]
			switch _, exists := st.Entries[to]; {
			case exists:
				refused("remove the entry: each of the two keeps its own UID", "%s has the UID %d already", to, st.Entries[to].UID)
			case st.declared(from):
				refused("remove the entry, or the old environment from the inputs", "%s is still declared", from)
			case renames[from] != "" || taken:
				refused("let one entry alone name each environment", "%s is moved twice (%s)", from, other.nix())
			default:
				renames[from], targets[to] = to, m
			}
		}
	}
	for _, from := range slices.Sorted(maps.Keys(renames)) {
		to := renames[from]
		e, c := st.Entries[from], st.claims[to]
		delete(st.Entries, from)
		e.adopt()
		e.UserName, e.Organisation, e.Project, e.Environment, e.Retired = to, c.Organisation, c.Project, c.Environment, false
		st.Entries[to] = e
		if st.LastAllocated.UserName == from {
			st.LastAllocated.UserName = to
		}
		st.changed(KindEnvironment, to, Move, ReasonRenamed, map[string]any{"userName": from}, map[string]any{"userName": to, "uid": e.UID})
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

// arrived tells whether the state already knows what m moves to.
func (st *step) arrived(m Moved) bool {
	to, err := parseReference(m.To)
	if err != nil {
		return false
	}
	for name, e := range st.Entries {
		if to.matches(name, e.Organisation, e.Project, e.Environment) {
			return true
		}
	}
	return false
}

// identify finds out which project the entries of today's generator belong to
// whose environments have left the inputs. hostenv's user names are
// <project, at most 11 characters>-<environment, shortened>-<first 7 digits of
// SHA-256 of "organisation-project-environment\n">, so a guess proves itself:
// where organisation and project of a claim and the middle of the user name
// give its hash, they are right. (An environment whose name was shortened
// cannot be guessed, and stays unknown.)
func (st *step) identify() {
	projects := map[string][]Claim{} // by the first part of the user name
	seen := map[string]bool{}
	for _, user := range st.users {
		c := st.claims[user]
		if key := c.Organisation + "/" + c.Project; !seen[key] {
			seen[key] = true
			slug := c.Project[:min(11, len(c.Project))]
			projects[slug] = append(projects[slug], c)
		}
	}
	for _, name := range st.names() {
		e := st.Entries[name]
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
				e.Organisation, e.Project, e.Environment = c.Organisation, c.Project, environment
				st.Entries[name] = e
			}
		}
	}
}
