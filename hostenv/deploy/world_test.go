package deploy_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// A world is a fleet in memory, with Nix and deploy-rs. It records what the Runner does
// to it, and fails where a test asks for a fault.
type world struct {
	t  *testing.T
	mu sync.Mutex

	nodes map[string]*machine
	built map[string]bool
	// fault is called before every operation, with the node and the profile.
	fault func(op, node, profile string) fault
	// takes is called before an operation, without a lock: it may sleep.
	takes    func(op, node string)
	slow     map[string]time.Duration // how long a profile's build takes, by key
	builds   int                      // processes
	sessions []*session
	// done has all operations in order.
	done []string
	// command returns the output of a command on a node; nil means no output.
	command func(argv []string) []byte
}

// A fault is the way in which an operation fails.
type fault string

const (
	none        fault = ""
	fails       fault = "fails"        // the operation has no effect and returns an error
	failsStuck  fault = "fails-stuck"  // an activation fails, and the node does not go back
	failsAstray fault = "fails-astray" // an activation fails, and the node goes back to another generation
	failsDown   fault = "fails-down"   // an activation fails, and the path that the node goes back to does not come up
	failsRuns   fault = "fails-runs"   // an activation fails, and the node runs the new system with the old profile
	lies        fault = "lies"         // the operation fails and reports success
	dies        fault = "dies"         // this process dies; the operations that it started continue
	diesAlone   fault = "dies-alone"   // this process dies with the operations that it started
	diesLinked  fault = "dies-linked"  // the same, and the node loses its link and keeps the new path
	cuts        fault = "cuts"         // an activation succeeds, and its connections are lost before deploy-rs can confirm it
	failsFull   fault = "fails-full"   // a copy ends early, because the node's disk is full
	failsAlone  fault = "fails-alone"  // an activation fails after a collection, so that the node cannot go back
	collects    fault = "collects"     // the node collects garbage in the operation, which succeeds
	disconnects fault = "disconnects"
	network     fault = "network" // the network fails in the operation
)

type machine struct {
	active     map[string]string
	older      map[string][]string // paths that were active before, in order
	good       map[string]bool     // whether the active path came up
	users      map[string]int
	unreached  bool
	locked     bool
	keys       []string
	os         string
	hostKey    string
	plan       deploy.PlanRecord
	held       []string
	deployed   []deploy.Deployment
	activated  []string // profile=path of each activation that started
	restarted  []string // activations of a path that was active and had come up
	restorable bool
	runs       string // the system that runs, if it is not the profile's
	disks      map[string]deploy.Disk
	boot       string
	has        map[string]bool   // paths that a push brought
	collected  map[string]bool   // paths that a collection removed
	roots      map[string]string // by their names
	rootless   bool              // whether nothing can be held
	// unconfirmed is an activation that the node takes back unless it is confirmed.
	unconfirmed *unconfirmed
}

type unconfirmed struct {
	deploy.Profile
	was      string
	sessions int // that were opened before it
	asked    int // how often the node was observed since then
}

// collect is nix-collect-garbage -d: it removes all generations but the active one,
// and every path that has no root.
func (w *world) collect(node string) {
	m := w.nodes[node]
	if m == nil { // an operation of no node
		return
	}
	kept := map[string]bool{m.runs: true}
	for _, path := range m.active {
		kept[path] = true
	}
	for _, path := range m.roots {
		kept[path] = true
	}
	for _, s := range w.sessions {
		if s.m == m && s.alive() {
			for _, path := range s.held {
				kept[path] = true
			}
		}
	}
	for path := range m.has {
		if !kept[path] {
			delete(m.has, path)
			m.collected[path] = true
		}
	}
	for _, paths := range m.older {
		for _, path := range paths {
			if !kept[path] {
				m.collected[path] = true
			}
		}
	}
	m.older = map[string][]string{}
}

func newWorld(t *testing.T, nodes []deploy.Node) *world {
	w := &world{t: t, nodes: map[string]*machine{}, built: map[string]bool{}, fault: func(string, string, string) fault { return none }, takes: func(string, string) {}}
	for _, n := range nodes {
		w.nodes[n.Name] = &machine{active: map[string]string{"system": "/nix/store/0-system-old"}, older: map[string][]string{}, good: map[string]bool{"system": true},
			users: map[string]int{}, keys: []string{"key:1"}, os: "nixos", restorable: true,
			has: map[string]bool{}, collected: map[string]bool{}, roots: map[string]string{}}
	}
	return w
}

// hostKey makes a public key from a name.
func hostKey(name string) string {
	return "ssh-ed25519 " + base64.StdEncoding.EncodeToString([]byte("\x00\x00\x00\x0bssh-ed25519"+name))
}

// fleet makes n nodes with as many environments each.
func fleet(nodes, environments int) []deploy.Node {
	var all []deploy.Node
	for i := range nodes {
		name := fmt.Sprintf("n%d", i+1)
		n := deploy.Node{Name: name, Address: "192.0.2.1", User: "deploy", HostKey: hostKey(name), AutoRollback: true, MagicRollback: true}
		n.Profiles = append(n.Profiles, deploy.Profile{Node: name, Name: "system", User: "root", Link: "/nix/var/nix/profiles/system", Path: "/nix/store/1-system-" + name})
		for j := range environments {
			user := fmt.Sprintf("env%d-%s", j+1, name)
			n.Profiles = append(n.Profiles, deploy.Profile{Node: name, Name: user, User: user, UID: 1000 + 10*i + j, Link: "/nix/var/nix/profiles/per-user/" + user + "/hostenv", Path: "/nix/store/1-" + user})
		}
		all = append(all, n)
	}
	return all
}

var errDead = errors.New("this process is dead")

func (w *world) ask(op, node, profile string) fault {
	w.done = append(w.done, op+" "+node+"/"+profile)
	f := w.fault(op, node, profile)
	if f == collects {
		w.collect(node)
		return none
	}
	return f
}

// Open implements deploy.Remote.
func (w *world) Open(_ context.Context, n deploy.Node, how deploy.OpenOptions) (deploy.Session, error) {
	w.takes("open", n.Name)
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.nodes[n.Name]
	switch f := w.ask("open", n.Name, ""); {
	case f == network:
		return nil, &deploy.UnreachableError{Node: n.Name, Cause: "connect to host 192.0.2.1 port 22: Connection refused"}
	case m.unreached || f != none:
		return nil, &deploy.UnreachableError{Node: n.Name, Cause: "no route"}
	}
	if m.locked && how.Lock {
		return nil, &deploy.LockedError{Node: n.Name, Holder: "alice"}
	}
	s := &session{w: w, n: n, m: m, lost: make(chan struct{})}
	s.first = s.observe()
	w.sessions = append(w.sessions, s)
	return s, nil
}

// lose ends the sessions of a node.
func (w *world) lose(node string) {
	for _, s := range w.sessions {
		if s.n.Name == node {
			select {
			case <-s.lost:
			default:
				close(s.lost)
			}
		}
	}
}

type session struct {
	w     *world
	n     deploy.Node
	m     *machine
	first deploy.Observation
	lost  chan struct{}
	held  []string
	ended bool
}

func (s *session) alive() bool {
	select {
	case <-s.lost:
		return false
	default:
		return !s.ended
	}
}

func (s *session) observe() deploy.Observation {
	o := deploy.Observation{OS: s.m.os, Nix: "2.34", TrustedKeys: s.m.keys, HostKey: s.m.hostKey, Plan: s.m.plan, Disks: s.m.disks, Boot: s.m.boot,
		Roots: slices.Sorted(maps.Keys(s.m.roots)), Profiles: map[string]deploy.Observed{}}
	for _, p := range s.n.Profiles {
		seen := deploy.Observed{Active: s.m.active[p.Name], Previous: s.m.roots[p.Name+"-previous"], Temp: deploy.TempPrivate, UID: s.m.users[p.Name]}
		if s.m.good[p.Name] {
			seen.Activated = seen.Active
		}
		if p.IsSystem() {
			seen.Running = s.m.runs
		}
		if u := s.m.unconfirmed; u != nil && u.Name == p.Name {
			seen.Activating = []string{"12 " + u.was}
		}
		for user, uid := range s.m.users {
			if uid == p.UID {
				seen.UIDOwner = user
			}
		}
		o.Profiles[p.Name] = seen
	}
	return o
}

func (s *session) Observation() deploy.Observation { return s.first }

func (s *session) Observe(context.Context) (deploy.Observation, error) {
	s.w.takes("observe", s.n.Name)
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.w.ask("observe", s.n.Name, "") != none {
		select {
		case <-s.lost:
		default:
			close(s.lost)
		}
		return deploy.Observation{}, &deploy.UnreachableError{Node: s.n.Name, Cause: "gone"}
	}
	if u := s.m.unconfirmed; u != nil {
		if u.asked++; u.asked > 3 {
			s.m.set(u.Name, u.was, true)
			s.m.unconfirmed = nil
		}
	}
	return s.observe(), nil
}

func (s *session) Restore(_ context.Context, p deploy.Profile, path string) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.w.ask("restore", s.n.Name, p.Name) != none {
		return errors.New("cannot restore")
	}
	if s.m.collected[path] {
		s.w.t.Errorf("%s: a collection removed %s, to which the run goes back", p.Key(), path)
		return errors.New("it is no longer on the node")
	}
	s.m.set(p.Name, path, true)
	if p.IsSystem() {
		s.m.runs = ""
	}
	return nil
}

func (s *session) Remove(_ context.Context, p deploy.Profile) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.w.ask("remove", s.n.Name, p.Name) != none {
		return errors.New("cannot remove")
	}
	delete(s.m.active, p.Name)
	return nil
}

// Keep does not compare serials, as a node does: the Runner must not count on it.
func (s *session) Keep(_ context.Context, plan deploy.PlanRecord, held []string, _ bool) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.w.ask("keep", s.n.Name, "") != none {
		return errors.New("cannot keep")
	}
	s.m.plan, s.m.held = plan, held
	return nil
}

func (s *session) Record(_ context.Context, d deploy.Deployment) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.w.ask("record", s.n.Name, "") != none {
		return errors.New("no space left on device")
	}
	s.m.deployed = append(s.m.deployed, d)
	return nil
}

func (s *session) Deployments(context.Context) ([]deploy.Deployment, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.w.ask("records", s.n.Name, "") != none {
		return nil, errors.New("cannot read")
	}
	return slices.Clone(s.m.deployed), nil
}

func (s *session) Run(_ context.Context, _ string, _ []byte, argv ...string) ([]byte, error) {
	if s.w.command != nil {
		return s.w.command(argv), nil
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if u := s.m.unconfirmed; u != nil && slices.Equal(argv, []string{"rm", u.Temp + "/deploy-rs-canary-1"}) {
		if slices.Index(s.w.sessions, s) < u.sessions {
			s.w.t.Error("confirmed over a connection that there was before")
		}
		s.m.unconfirmed = nil
	}
	return nil, nil
}

func (s *session) Room(_ context.Context, paths []string) (deploy.Room, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.w.ask("room", s.n.Name, "") != none {
		return deploy.Room{}, errors.New("cannot ask Nix")
	}
	lacking := slices.DeleteFunc(slices.Clone(paths), func(path string) bool { return s.m.has[path] })
	return deploy.Room{Lacking: lacking, Disks: s.m.disks}, nil
}

func (s *session) Hold(_ context.Context, roots []deploy.Root, paths []string) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.w.ask("hold", s.n.Name, "") != none || s.m.rootless {
		return errors.New("cannot ask Nix")
	}
	for _, root := range roots {
		s.m.roots[root.Name()] = root.Path
	}
	s.held = append(s.held, paths...)
	return nil
}

func (s *session) Release(_ context.Context, names []string) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.w.ask("release", s.n.Name, "") != none {
		return errors.New("cannot remove roots")
	}
	for _, name := range names {
		delete(s.m.roots, name)
	}
	return nil
}

func (s *session) Lost() <-chan struct{} { return s.lost }

func (s *session) Close() error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.ended = true
	return nil
}

func (m *machine) set(profile, path string, good bool) {
	if old := m.active[profile]; old != "" && old != path {
		m.older[profile] = append(m.older[profile], old)
	}
	m.active[profile], m.good[profile] = path, good
}

// Closure, Measure, Kernels, Build, Sign, Push and Diff implement deploy.Store. Each
// path is its own closure, of 10 MiB.
func (w *world) Closure(_ context.Context, paths []string) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(paths), func(path string) bool { return !w.built[path] }), nil
}

func (w *world) Measure(_ context.Context, paths []string) (deploy.Size, error) {
	return deploy.Size{Bytes: int64(len(paths)) * 10 << 20, Files: int64(len(paths))}, nil
}

func (w *world) Kernels(string) []deploy.Kernel {
	return []deploy.Kernel{{Path: "/nix/store/7-linux/bzImage", Bytes: 12 << 20}}
}

// Build builds all profiles at once. A build of one takes as long as w.slow says.
func (w *world) Build(ctx context.Context, n *deploy.Node, profiles []deploy.Profile, _ io.Writer, known func(map[string]error)) error {
	w.takes("build", "")
	w.mu.Lock()
	w.builds++
	var times []time.Duration
	for _, p := range profiles {
		times = append(times, w.slow[p.Key()])
	}
	w.mu.Unlock()
	begun := time.Now()
	slices.Sort(times)
	for _, at := range slices.Compact(times) {
		select {
		case <-time.After(at - time.Since(begun)):
		case <-ctx.Done():
			return ctx.Err()
		}
		w.mu.Lock()
		done := map[string]error{}
		for _, p := range profiles {
			if w.slow[p.Key()] != at {
				continue
			}
			switch w.ask("build", p.Node, p.Name) {
			case none:
			case network:
				w.mu.Unlock()
				return fmt.Errorf("build on node %s: %w", n.Name, &deploy.CutOffError{Node: n.Name, Cause: "Nix daemon disconnected unexpectedly"})
			default:
				done[p.Key()] = errors.New("the disk is on fire")
				continue
			}
			done[p.Key()] = nil
			w.built[p.Path] = true
			if n != nil { // it builds for itself
				w.nodes[n.Name].has[p.Path] = true
			}
		}
		w.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return err
		}
		known(done)
	}
	return nil
}

func (w *world) Sign(ctx context.Context, paths []string, _ io.Writer) error {
	w.takes("sign", "")
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, path := range paths {
		if !w.built[path] {
			w.t.Errorf("signed %s, which was not built", path)
		}
	}
	if w.ask("sign", "", "") != none {
		return errors.New("no key")
	}
	return ctx.Err()
}

func (w *world) Push(ctx context.Context, n deploy.Node, paths []string, _ io.Writer) error {
	w.takes("push", n.Name)
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.nodes[n.Name]
	switch w.ask("push", n.Name, "") {
	case none:
		for _, path := range paths {
			m.has[path] = true
			delete(m.collected, path)
		}
		// A collection right after the copy.
		if w.fault("pushed", n.Name, "") == collects {
			w.collect(n.Name)
		}
	case failsFull:
		m.disks = map[string]deploy.Disk{deploy.FolderStore: {Files: -1}}
		return &deploy.CutOffError{Node: n.Name, Cause: "unexpected end-of-file"}
	case network:
		return &deploy.CutOffError{Node: n.Name, Cause: "client_loop: send disconnect: Broken pipe"}
	default:
		return &deploy.UnsignedError{Node: n.Name, Path: paths[0]}
	}
	return ctx.Err()
}

func (w *world) Diff(_ context.Context, _ deploy.Node, pairs []deploy.Pair) ([]deploy.Diff, error) {
	var all []deploy.Diff
	for _, p := range pairs {
		all = append(all, deploy.Diff{Profile: p.Profile, Copy: 1})
	}
	return all, nil
}

// Activate implements deploy.Activator as deploy-rs does it, with its faults.
func (w *world) Activate(_ context.Context, n deploy.Node, p deploy.Profile, how deploy.ActivateOptions, _ io.Writer) error {
	w.takes("activate", n.Name)
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.nodes[n.Name]
	if !w.built[p.Path] {
		w.t.Errorf("activated %s, which was not built", p.Path)
	}
	f := w.ask("activate", n.Name, p.Name)
	if m.collected[p.Path] {
		w.t.Errorf("activated %s, which a collection removed", p.Path)
	}
	was, hadBefore := m.active[p.Name]
	if was == p.Path && m.good[p.Name] && f != dies && f != diesAlone && f != diesLinked {
		m.restarted = append(m.restarted, p.Name)
	}
	if p.Name == "system" {
		for _, q := range n.Profiles {
			if q.Name != "system" {
				m.users[q.Name] = q.UID
			}
		}
	} else {
		if m.users[p.Name] != p.UID {
			w.t.Errorf("activated %s without its user", p.Key())
		}
		if i := slices.IndexFunc(n.Profiles, deploy.Profile.IsSystem); i >= 0 && m.active["system"] != n.Profiles[i].Path {
			w.t.Errorf("activated %s while the system of its node is at %s", p.Key(), m.active["system"])
		}
	}
	m.activated = append(m.activated, p.Name+"="+p.Path)
	leave := func(status int) {
		if err := os.WriteFile(how.Status, []byte(strconv.Itoa(status)+"\n"), 0o666); err != nil {
			w.t.Error(err)
		}
	}
	back := func() {
		switch {
		case how.Rollback && hadBefore:
			m.set(p.Name, was, true)
		default:
			m.set(p.Name, p.Path, false)
		}
	}
	switch f {
	case none:
		m.set(p.Name, p.Path, true)
		leave(0)
		return nil
	case dies: // deploy-rs continues, and leaves its exit status
		m.set(p.Name, p.Path, true)
		leave(0)
		return errDead
	case diesAlone: // no confirmation arrives: the node goes back, if it can
		back()
		return errDead
	case diesLinked:
		m.set(p.Name, p.Path, false)
		return errDead
	case cuts:
		m.set(p.Name, p.Path, true)
		if how.Rollback && p.IsSystem() {
			m.unconfirmed = &unconfirmed{Profile: p, was: was, sessions: len(w.sessions)}
		}
	case lies:
		m.set(p.Name, "/nix/store/9-other", true)
		leave(0)
		return nil
	case failsStuck:
		m.set(p.Name, p.Path, false)
	case failsAlone:
		m.set(p.Name, p.Path, false)
		w.collect(n.Name)
	case failsDown:
		m.set(p.Name, was, false)
	case failsRuns:
		m.set(p.Name, was, true)
		m.runs = p.Path
	case failsAstray:
		m.set(p.Name, "/nix/store/0-ancient", true)
	default:
		back()
	}
	leave(1)
	return errors.New("deploy-rs ended with 1")
}

// runner drives the world with a journal in dir; id "" begins a new one.
func (w *world) runner(dir, id string) *deploy.Runner {
	w.t.Helper()
	var journal *deploy.Journal
	var err error
	if id == "" {
		journal, err = deploy.CreateJournal(dir, time.Now(), nil)
	} else {
		journal, err = deploy.OpenJournal(dir, id, nil)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = journal.Close() })
	return &deploy.Runner{Remote: w, Store: w, Activator: w, Journal: journal,
		Signing: deploy.Signing{PublicKey: "key:1"}, Options: deploy.Options{Settle: time.Millisecond, Patience: time.Millisecond, Pause: time.Millisecond}}
}

// deploy runs once, without a journal before it.
func (w *world) deploy(nodes []deploy.Node) deploy.Outcome {
	w.t.Helper()
	outcome, err := w.runner(w.t.TempDir(), "").Run(w.t.Context(), deploy.Deploy, nodes, nodes)
	if err != nil {
		w.t.Fatal(err)
	}
	w.agrees(nodes, outcome)
	return outcome
}

// agrees compares the outcome of each profile with the node.
func (w *world) agrees(nodes []deploy.Node, o deploy.Outcome) {
	w.t.Helper()
	for _, p := range o.Profiles {
		m := w.nodes[p.Node]
		active := m.active[p.Profile]
		switch p.State {
		case deploy.StateInSync, deploy.StateActive:
			if active != p.Want || !m.good[p.Profile] {
				w.t.Errorf("%s/%s is %s by the run, and the node has %q, good: %v", p.Node, p.Profile, p.State, active, m.good[p.Profile])
			}
		case deploy.StateFailed, deploy.StateSkipped:
			if active != p.Active {
				w.t.Errorf("%s/%s %s is at %q by the run, and the node has %q", p.Node, p.Profile, p.State, p.Active, active)
			}
		case deploy.StateUnknown, deploy.StateUnreachable:
		default:
			w.t.Errorf("%s/%s ends in %s", p.Node, p.Profile, p.State)
		}
	}
	for _, n := range nodes {
		for _, p := range n.Profiles {
			if path := w.nodes[n.Name].restarted; len(path) > 0 {
				w.t.Errorf("%s: activated what was active and good: %v", p.Key(), path)
			}
		}
	}
}
