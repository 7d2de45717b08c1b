package remote

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
)

// Observe asks the node about itself and about the profiles of its plan.
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
	var args []string
	for _, list := range [][]string{links, users, temps, slices.Compact(folders)} {
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
		return deploy.Observation{}, fmt.Errorf("node %s: read what it says of itself: %w", s.node.Name, err)
	}
	return r.observation(s.node.Profiles), nil
}

// home is where a user's home is, unless the node's configuration says otherwise.
func home(user string) string { return "/home/" + user }

// A report is what the agent's observe prints.
type report struct {
	os, nix, config  string
	user             string
	groups           []string
	links            map[string]string
	generations      map[string]generation
	activated        map[string]string
	running          map[string]string
	uids             map[string]int
	owners           map[int]string
	environments     map[int][]string
	hostKey          string
	free             *int64
	folders          map[string]folder
	missing          map[string]bool
	processes        []process
	processesAreMine bool
	listsLeftovers   bool
}

// A folder is what stat says of one; mode is stat's st_mode, with the type.
type folder struct{ mode, uid int }

func (f folder) isLink() bool { return f.mode&0o170000 == 0o120000 }

type generation struct{ rolledBack, deployRs bool }

type process struct {
	pid, uid int
	argv     []string
}

// fieldsOf is how many values follow each kind of field.
var fieldsOf = map[string]int{"os": 1, "user": 2, "nix": 1, "config": 1, "link": 2, "generation": 4, "activated": 2, "hostkey": 1, "free": 1, "running": 3, "passwd": 1, "environments": 1, "leftovers": 0, "missing": 1, "folders": 1, "process": 3, "hidden": 0}

func readReport(data []byte) (*report, error) {
	r := &report{links: map[string]string{}, generations: map[string]generation{}, activated: map[string]string{}, running: map[string]string{}, uids: map[string]int{}, owners: map[int]string{}, environments: map[int][]string{}, folders: map[string]folder{}, missing: map[string]bool{}}
	if len(data) == 0 || data[len(data)-1] != 0 {
		return nil, fmt.Errorf("it is cut off after %d bytes", len(data))
	}
	fields := strings.Split(string(bytes.TrimSuffix(data, []byte{0})), "\x00")
	for len(fields) > 0 {
		kind := fields[0]
		n, ok := fieldsOf[kind]
		if !ok || len(fields) < 1+n {
			return nil, fmt.Errorf("%q is not expected", kind)
		}
		r.read(kind, fields[1:1+n])
		fields = fields[1+n:]
	}
	return r, nil
}

func (r *report) read(kind string, f []string) {
	switch kind {
	case "os":
		r.os = f[0]
	case "nix":
		r.nix = f[0]
	case "config":
		r.config = f[0]
	case "user":
		r.user, r.groups = f[0], strings.Fields(f[1])
	case "link":
		r.links[f[0]] = f[1]
	case "generation":
		r.generations[f[0]] = generation{rolledBack: f[1] != f[2], deployRs: f[3] == "deploy-rs"}
	case "activated":
		r.activated[f[0]] = f[1]
	case "running":
		if f[1] != f[2] && isStorePath(f[1]) {
			r.running[f[0]] = f[1]
		}
	case "free":
		// Of both folders the lesser, in KiB.
		for _, word := range strings.Fields(f[0]) {
			if kib, err := strconv.ParseInt(word, 10, 64); err == nil && kib >= 0 && kib < 1<<50 && (r.free == nil || kib<<10 < *r.free) {
				bytes := kib << 10
				r.free = &bytes
			}
		}
	case "hostkey":
		if key, err := names.ParsePublicKey(f[0]); err == nil {
			r.hostKey = key.Bare()
		}
	case "missing":
		r.missing[f[0]] = true
	case "leftovers":
		r.listsLeftovers = true
	case "hidden":
		r.processesAreMine = true
	case "passwd":
		for line := range strings.Lines(f[0]) {
			if parts := strings.Split(line, ":"); len(parts) > 2 {
				if uid, err := strconv.Atoi(parts[2]); err == nil {
					r.uids[parts[0]] = uid
					if _, ok := r.owners[uid]; !ok {
						r.owners[uid] = parts[0]
					}
				}
			}
		}
	case "environments":
		for line := range strings.Lines(f[0]) {
			if parts := strings.Fields(line); len(parts) > 1 && isUserName(parts[1]) {
				if uid, err := strconv.Atoi(parts[0]); err == nil {
					r.environments[uid] = append(r.environments[uid], parts[1])
				}
			}
		}
	case "folders":
		for line := range strings.Lines(f[0]) {
			parts := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 3)
			if len(parts) != 3 {
				continue
			}
			mode, err := strconv.ParseInt(parts[0], 16, 32)
			uid, err2 := strconv.Atoi(parts[1])
			if err == nil && err2 == nil {
				r.folders[parts[2]] = folder{int(mode), uid}
			}
		}
	case "process":
		pid, err := strconv.Atoi(f[0])
		uid, err2 := strconv.Atoi(f[1])
		cmdline, err3 := base64.StdEncoding.DecodeString(f[2])
		if err == nil && err2 == nil && err3 == nil {
			r.processes = append(r.processes, process{pid, uid, strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")})
		}
	}
}

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
		Free:            r.free,
		ProcessesHidden: r.processesAreMine,
		ListsLeftovers:  r.listsLeftovers,
	}
	// nix (Nix) 2.8.0, and such as 2.24pre20240723_abcdef0
	if words := strings.Fields(r.nix); len(words) > 0 {
		o.Nix = words[len(words)-1]
	}
	for _, p := range profiles {
		o.Profiles[p.Name] = r.observed(p)
	}
	return o
}

func (r *report) trusted(users []string) bool {
	return slices.ContainsFunc(users, func(entry string) bool {
		group, isGroup := strings.CutPrefix(entry, "@")
		return entry == "*" || entry == r.user || isGroup && slices.Contains(r.groups, group)
	})
}

// osID reads os-release(5).
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

// temp judges a folder and all above it: who can write to one of them can put
// another in its place. It also returns which one is open, or a link.
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

// activating finds activations of a profile among the processes of those who
// can activate it: anybody can give a process of his own any words.
func (r *report) activating(p deploy.Profile, owner int, known bool) []string {
	byPath := map[string]int{} // the process that is deepest, by store path
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

// activates reads a command line: activate-rs, which is a script that becomes
// the program `activate`, or the switch to another system; by sudo or not.
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

// onlyStorePath keeps other text of a process out of messages.
func onlyStorePath(s string) string {
	if isStorePath(s) {
		return s
	}
	return ""
}
