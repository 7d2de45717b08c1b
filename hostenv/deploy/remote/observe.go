package remote

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// Observe asks the node about itself and about its profiles in the plan.
func (s *session) Observe(ctx context.Context) (deploy.Observation, error) {
	var links, users, temps, folders []string
	for _, p := range s.node.Profiles {
		links, temps = append(links, p.Link), append(temps, p.Temp)
		for at := p.Temp; ; at = path.Dir(at) {
			folders = append(folders, at)
			if at == "/" {
				break
			}
		}
		if !p.IsSystem() {
			users = append(users, p.User, strconv.Itoa(p.UID))
			folders = append(folders, home(p.User))
		}
	}
	slices.Sort(folders)
	// Once in a session: sudo looks its host up in DNS each time, and writes a log. Nix
	// starts for each question, and only the preflight needs the answers.
	var sudo, nix []string
	first := s.observed.Profiles == nil
	if first {
		nix = []string{"nix"}
	}
	if first && len(s.node.Profiles) > 0 { // the system, or an environment that the node has
		sudo = []string{s.node.Profiles[0].User, s.node.Profiles[0].Link}
	}
	var args []string
	for _, list := range [][]string{links, users, temps, slices.Compact(folders), sudo, nix, disks(s.node)} {
		words, err := Quote(list...)
		if err != nil {
			return deploy.Observation{}, err
		}
		args = append(args, words)
	}
	a, err := s.request(ctx, "observe", nil, args...)
	if err != nil {
		return deploy.Observation{}, err
	}
	if a.status != 0 {
		return deploy.Observation{}, &CommandError{s.node.Name, s.node.User, "observing", a.status, a.stderr}
	}
	r, err := readReport(a.stdout)
	if err != nil {
		return deploy.Observation{}, fmt.Errorf("node %s: read its report: %w", s.node.Name, err)
	}
	s.state = r.state
	o := r.observation(s.node.Profiles)
	o.Printed = s.printed
	if !first {
		o.Sudo, o.Nix, o.TrustedKeys, o.TrustsUser = s.observed.Sudo, s.observed.Nix, s.observed.TrustedKeys, s.observed.TrustsUser
	}
	return o, nil
}

// home returns the usual home of a user. The node's configuration may set another.
func home(user string) string { return "/home/" + user }

func (r *report) observation(profiles []deploy.Profile) deploy.Observation {
	settings := map[string]string{}
	for line := range strings.Lines(r.config) {
		if key, value, ok := strings.Cut(line, " ="); ok {
			settings[key] = strings.TrimSpace(value)
		}
	}
	o := deploy.Observation{
		OS:              osID(r.os),
		TrustedKeys:     strings.Fields(settings["trusted-public-keys"]),
		TrustsUser:      settings["require-sigs"] == "false" || r.trusted(strings.Fields(settings["trusted-users"])),
		Profiles:        map[string]deploy.Observed{},
		HostKey:         r.hostKey,
		Plan:            r.plan,
		Sudo:            r.sudo,
		Disks:           r.disks,
		Boot:            r.boot(),
		Kernels:         r.kernels,
		ProcessesHidden: r.processesAreMine,
		ListsLeftovers:  r.listsLeftovers,
	}
	// The version is the last word: "nix (Nix) 2.8.0", or 2.24pre20240723_abcdef0.
	if words := strings.Fields(r.nix); len(words) > 0 {
		o.Nix = words[len(words)-1]
	}
	for _, p := range profiles {
		o.Profiles[p.Name] = r.observed(p)
	}
	o.Roots = slices.Sorted(maps.Keys(r.roots))
	return o
}

func (r *report) trusted(users []string) bool {
	return slices.ContainsFunc(users, func(entry string) bool {
		group, isGroup := strings.CutPrefix(entry, "@")
		return entry == "*" || entry == r.user || isGroup && slices.Contains(r.groups, group)
	})
}

// osID returns the ID of an os-release(5) file.
func osID(text string) string {
	for line := range strings.Lines(text) {
		if id, ok := strings.CutPrefix(strings.TrimSpace(line), "ID="); ok {
			return strings.Trim(id, `"'`)
		}
	}
	return ""
}

func (r *report) observed(p deploy.Profile) deploy.Observed {
	var o deploy.Observed
	if to := r.links[p.Link]; isStorePath(to) {
		o.Active = to
	} else {
		o.Linked = to
	}
	g := r.generations[p.Link]
	o.RolledBack, o.DeployRs = g.rolledBack, g.deployRs
	o.Previous = r.roots[deploy.Root{Profile: p.Name, Kind: deploy.RootPrevious}.Name()]
	if o.Active != "" && r.activated[p.Link] == o.Active {
		o.Activated = o.Active
	}
	owner, known := 0, true
	if p.IsSystem() {
		o.Running = r.running[p.Link]
	} else {
		owner, known = r.uids[p.User]
		o.UID = owner
		o.UIDOwner = r.owners[p.UID]
		o.UIDNames = r.environments[p.UID]
		o.HomeOwner = r.folders[home(p.User)].uid
	}
	o.Temp, o.TempOpenAt = r.temp(p.Temp, owner, known)
	o.Activating = r.activating(p, owner, known)
	return o
}

// temp checks a folder and all folders above it: a user that can write to one of
// them can replace what is below. It also returns the folder that is open or a
// link.
func (r *report) temp(at string, owner int, known bool) (temp deploy.Temp, where string) {
	f, ok := r.folders[at]
	switch {
	case r.missing[at]:
		return deploy.TempMissing, ""
	case !ok:
		return deploy.TempUnknown, ""
	case f.isLink():
		return deploy.TempLinked, at
	case f.mode&0o022 != 0 || !known || f.uid != owner:
		return deploy.TempOpen, at
	}
	for above := path.Dir(at); ; above = path.Dir(above) {
		f, ok := r.folders[above]
		if !ok {
			return deploy.TempUnknown, ""
		}
		const sticky = 0o1000
		switch {
		case f.isLink():
			return deploy.TempLinked, above
		case f.uid != 0 && f.uid != owner || f.mode&0o022 != 0 && f.mode&sticky == 0:
			return deploy.TempOpen, above
		case above == "/":
			return deploy.TempPrivate, ""
		}
	}
}

// activating finds running activations of a profile. It looks only at processes of
// root and of the profile's owner, because any user can give their own process any
// command line.
func (r *report) activating(p deploy.Profile, owner int, known bool) []string {
	byPath := map[string]int{} // the highest pid, by store path
	for _, proc := range r.processes {
		if proc.uid != 0 && (!known || proc.uid != owner) {
			continue
		}
		if path, ok := activates(proc.argv, p); ok {
			byPath[path] = max(byPath[path], proc.pid)
		}
	}
	var found []string
	for path, pid := range byPath {
		found = append(found, strings.TrimSpace(strconv.Itoa(pid)+" "+path))
	}
	slices.Sort(found)
	return found
}

// activates reports whether a command line activates a profile, and which path.
// Either it runs activate-rs, a script that executes the program `activate`, or it
// switches to another system. Both may be started by sudo.
func activates(argv []string, p deploy.Profile) (storePath string, ok bool) {
	for i, arg := range argv {
		switch path.Base(arg) {
		case "activate-rs", "activate", ".activate-wrapped":
			if len(argv) < i+3 || argv[i+1] != "activate" || slices.Contains(argv, "--dry-activate") {
				continue
			}
			for j := i + 3; j+1 < len(argv); j++ {
				if argv[j] == "--profile-path" && argv[j+1] == p.Link {
					return onlyStorePath(argv[i+2]), true
				}
			}
		case "switch-to-configuration":
			if !p.IsSystem() || len(argv) < i+2 || !slices.Contains([]string{"switch", "boot", "test"}, argv[i+1]) {
				continue
			}
			return onlyStorePath(path.Dir(path.Dir(arg))), true
		}
	}
	return "", false
}

// onlyStorePath returns s if it is a store path, and "" otherwise: a process
// chooses its own command line, which must not get into messages.
func onlyStorePath(s string) string {
	if isStorePath(s) {
		return s
	}
	return ""
}
