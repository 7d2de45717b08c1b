package remote

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
)

// A report is the answer of the agent to the request observe.
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
	plan             deploy.PlanRecord
	sudo             string
	disks            map[string]deploy.Disk // by folder
	kernels          []string
	loaders          map[string]bool // folders in which a boot loader has kernels
	lacking          []string
	state            string            // the deploy user's folder
	roots            map[string]string // in it
	folders          map[string]folder
	missing          map[string]bool
	processes        []process
	processesAreMine bool
	listsLeftovers   bool
}

// A folder holds st_mode, with the type bits, and st_uid of stat(2).
type folder struct{ mode, uid int }

func (f folder) isLink() bool { return f.mode&0o170000 == 0o120000 }

type generation struct{ rolledBack, deployRs bool }

type process struct {
	pid, uid int
	argv     []string
}

// A kind is one kind of field in the agent's answer.
type kind struct {
	values int // how many follow the kind's name
	read   func(r *report, values []string)
}

// kinds holds each kind by its name. Values that cannot be read are ignored,
// because the node's own programs and users write them.
var kinds = map[string]kind{
	"os":     {1, func(r *report, v []string) { r.os = v[0] }},
	"nix":    {1, func(r *report, v []string) { r.nix = v[0] }},
	"config": {1, func(r *report, v []string) { r.config = v[0] }},
	"user":   {2, func(r *report, v []string) { r.user, r.groups = v[0], strings.Fields(v[1]) }},
	"link":   {2, func(r *report, v []string) { r.links[v[0]] = v[1] }},
	"generation": {4, func(r *report, v []string) {
		r.generations[v[0]] = generation{rolledBack: v[1] != v[2], deployRs: v[3] == "deploy-rs"}
	}},
	"activated":    {2, func(r *report, v []string) { r.activated[v[0]] = v[1] }},
	"running":      {3, (*report).readRunning},
	"sudo":         {1, func(r *report, v []string) { r.sudo = brief(v[0]) }},
	"plan":         {1, (*report).readPlan},
	"disk":         {2, (*report).readDisk},
	"kernels":      {2, (*report).readKernels},
	"lacking":      {1, func(r *report, v []string) { r.lacking = strings.Fields(v[0]) }},
	"state":        {1, func(r *report, v []string) { r.state = v[0] }},
	"root":         {2, (*report).readRoot},
	"hostkey":      {1, (*report).readHostKey},
	"passwd":       {1, (*report).readUsers},
	"environments": {1, (*report).readEnvironments},
	"folders":      {1, (*report).readFolders},
	"missing":      {1, func(r *report, v []string) { r.missing[v[0]] = true }},
	"process":      {3, (*report).readProcess},
	"hidden":       {0, func(r *report, _ []string) { r.processesAreMine = true }},
	"leftovers":    {0, func(r *report, _ []string) { r.listsLeftovers = true }},
}

func readReport(data []byte) (*report, error) {
	r := &report{disks: map[string]deploy.Disk{}, loaders: map[string]bool{}, roots: map[string]string{}, links: map[string]string{}, generations: map[string]generation{}, activated: map[string]string{}, running: map[string]string{}, uids: map[string]int{}, owners: map[int]string{}, environments: map[int][]string{}, folders: map[string]folder{}, missing: map[string]bool{}}
	if len(data) == 0 || data[len(data)-1] != 0 {
		return nil, fmt.Errorf("it is cut off after %d bytes", len(data))
	}
	fields := strings.Split(string(bytes.TrimSuffix(data, []byte{0})), "\x00")
	for len(fields) > 0 {
		k, ok := kinds[fields[0]]
		if !ok || len(fields) < 1+k.values {
			return nil, fmt.Errorf("%q is not expected", fields[0])
		}
		k.read(r, fields[1:1+k.values])
		fields = fields[1+k.values:]
	}
	return r, nil
}

// readRunning reads the system's link, the system that runs, and the one that the
// link leads to.
func (r *report) readRunning(v []string) {
	if v[1] != v[2] && isStorePath(v[1]) {
		r.running[v[0]] = v[1]
	}
}

// readDisk reads a folder, and of its file system the number, the size of a block, the
// free blocks, the inodes and the free ones. File systems without a fixed number of
// inodes have none.
func (r *report) readDisk(v []string) {
	words := strings.Fields(v[1])
	if len(words) != 5 {
		return
	}
	var numbers [5]int64
	for i, word := range words {
		number, err := strconv.ParseInt(word, 10, 64)
		if err != nil || number < 0 {
			return
		}
		numbers[i] = number
	}
	if numbers[1] == 0 || numbers[2] > (1<<62)/numbers[1] {
		return
	}
	d := deploy.Disk{ID: numbers[0], Free: numbers[1] * numbers[2], Files: -1}
	if numbers[3] > 0 {
		d.Files = numbers[4]
	}
	r.disks[v[0]] = d
}

// readKernels reads the names of kernels and initial ramdisks: those of a folder that
// a boot loader reads, or store paths of systems.
func (r *report) readKernels(v []string) {
	r.kernels = append(r.kernels, strings.Fields(v[1])...)
	if v[0] != "" {
		r.loaders[v[0]] = true
	}
}

// readRoot reads the name of a root and where it leads. A name that no deploy gives is
// not a root of ours.
func (r *report) readRoot(v []string) {
	if isRootName(v[0]) && isStorePath(v[1]) {
		r.roots[v[0]] = v[1]
	}
}

func (r *report) readHostKey(v []string) {
	if key, err := names.ParsePublicKey(v[0]); err == nil {
		r.hostKey = key.Bare()
	}
}

// readUsers reads passwd(5). The first user with a UID is its owner.
func (r *report) readUsers(v []string) {
	for line := range strings.Lines(v[0]) {
		parts := strings.Split(line, ":")
		if len(parts) < 3 {
			continue
		}
		uid, err := strconv.Atoi(parts[2])
		if err != nil {
			continue
		}
		r.uids[parts[0]] = uid
		if _, ok := r.owners[uid]; !ok {
			r.owners[uid] = parts[0]
		}
	}
}

// readEnvironments reads lines that hold a UID and the name of an environment.
func (r *report) readEnvironments(v []string) {
	for line := range strings.Lines(v[0]) {
		if parts := strings.Fields(line); len(parts) > 1 && isUserName(parts[1]) {
			if uid, err := strconv.Atoi(parts[0]); err == nil {
				r.environments[uid] = append(r.environments[uid], parts[1])
			}
		}
	}
}

// readFolders reads lines that hold a mode, a UID and a path.
func (r *report) readFolders(v []string) {
	for line := range strings.Lines(v[0]) {
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
}

// readProcess reads a pid, a UID and a command line in base64.
func (r *report) readProcess(v []string) {
	pid, err := strconv.Atoi(v[0])
	uid, err2 := strconv.Atoi(v[1])
	cmdline, err3 := base64.StdEncoding.DecodeString(v[2])
	if err == nil && err2 == nil && err3 == nil {
		r.processes = append(r.processes, process{pid, uid, strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")})
	}
}
