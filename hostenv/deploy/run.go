package deploy

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// Options say how a run goes about it.
type Options struct {
	Jobs             int           `json:"jobs,omitempty"` // how many builds, copies and activations at once, 0 for 4
	LockWait         time.Duration `json:"-"`              // for other deploys on a node
	SkipOffline      bool          `json:"skipOffline,omitempty"`
	SkipVerification bool          `json:"skipVerification,omitempty"`
	RemoteBuild      bool          `json:"remoteBuild,omitempty"`
	DetailedExitcode bool          `json:"detailedExitcode,omitempty"` // of a preview, see [Outcome.PreviewCode]
	// Settle bounds the wait for an activation that somebody else began, 0 for
	// five minutes: activate-rs waits for 240 s, and then for a confirmation.
	Settle time.Duration `json:"-"`
}

// Mode says how far a run goes.
type Mode int

// The modes. None but Deploy writes to a node, or takes its lock.
const (
	Deploy  Mode = iota
	Preview      // builds, and says what a deploy would change
	Look         // says which profiles a deploy would activate
)

// A Runner deploys. All of what it does to the outside stands behind its
// interfaces; its journal tells the story.
type Runner struct {
	Remote    Remote
	Store     Store
	Activator Activator
	Verifier  Verifier // nil for none
	Mover     Mover    // nil for none

	Journal *Journal
	Signing Signing
	Options Options
	Holder  string // of the nodes' locks
	Moves   []plan.Move
	Arrived map[string]string // as [ReadHistory] had it before the run
	Unasked map[string]string // likewise

	// Stop ends the run early when it is closed: no new work, what has not
	// touched a profile yet is given up, and an activation is brought to its
	// end. Cancelling the context leaves that undecided, too.
	Stop <-chan struct{}
}

// maxSessions is how many nodes are connected to at once. OpenSSH's own
// MaxStartups is a node's; this is for the machine that deploys.
const maxSessions = 16

// lostLock is how long a node may hold the lock of a connection that is gone:
// nix/modules/openssh.nix has it notice within a minute.
const lostLock = 90 * time.Second

type run struct {
	*Runner
	mode   Mode
	nodes  []*nodeRun
	others map[string]*nodeRun // of the plan, for data to be fetched from
	slots  chan struct{}
	owed   map[string]string // see isOwed
}

// nodeRun is a node in a run.
type nodeRun struct {
	Node
	seen      Observation
	reached   bool
	refused   bool // it was not, and the run cannot begin
	decisions map[string]Decision
	moves     map[string]string        // user of an environment that comes: from where
	settled   map[string]chan struct{} // closed when a profile has its final state
	ok        sync.Map                 // profile: whether that is a good one

	mu      sync.Mutex
	session Session
	had     bool // a session, once
}

// Run brings nodes, with those of their profiles that are selected, to their
// planned paths. fleet are all nodes of the plan; doubts are what runs before
// left undecided, by node/profile.
//
// The error is for what keeps the story from being told, as a full disk; all
// else is in the outcome.
func (r *Runner) Run(ctx context.Context, mode Mode, nodes, fleet []Node, doubts map[string]Doubt) (Outcome, error) {
	jobs := cmp.Or(r.Options.Jobs, 4)
	it := &run{Runner: r, mode: mode, others: map[string]*nodeRun{}, slots: make(chan struct{}, jobs)}
	it.owed = it.unasked()
	for _, n := range fleet {
		it.others[n.Name] = newNodeRun(n)
	}
	for _, n := range nodes {
		it.others[n.Name] = newNodeRun(n)
		it.nodes = append(it.nodes, it.others[n.Name])
	}
	// gentle is done when the run is to stop, too: for what touches no profile.
	gentle, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-r.Stop:
			cancel()
		case <-gentle.Done():
		}
	}()
	err := it.do(ctx, gentle, doubts)
	for _, n := range it.others {
		n.close()
	}
	outcome := OutcomeOf(r.Journal.Events())
	if err != nil {
		return outcome, err
	}
	outcome.Interrupted = it.stopping(ctx) && !it.allGood(outcome)
	end := End{Code: outcome.Code(), Interrupted: outcome.Interrupted, Counts: outcome.Counts()}
	if mode != Deploy {
		end.Code = outcome.PreviewCode(r.Options.DetailedExitcode)
	}
	err = r.Journal.Append(Event{Type: TypeEnd, End: &end})
	return OutcomeOf(r.Journal.Events()), err
}

func newNodeRun(n Node) *nodeRun {
	it := &nodeRun{Node: n, decisions: map[string]Decision{}, moves: map[string]string{}, settled: map[string]chan struct{}{}}
	for _, p := range n.Profiles {
		it.settled[p.Name] = make(chan struct{})
	}
	return it
}

// allGood reports whether a run that was asked to stop had nothing left to do.
func (it *run) allGood(o Outcome) bool {
	return len(o.Profiles) > 0 && !slices.ContainsFunc(o.Profiles, func(p ProfileOutcome) bool { return !p.Good() })
}

func refused(o Outcome) bool {
	return slices.ContainsFunc(o.Findings, func(e Event) bool { return e.Finding.Level == Failure })
}

func (it *run) do(ctx, gentle context.Context, doubts map[string]Doubt) error {
	if err := it.connect(gentle); err != nil {
		return err
	}
	if err := it.leftovers(gentle); err != nil {
		return err
	}
	it.decide(doubts)
	wrong, err := it.preflight(gentle)
	if err != nil || wrong || gentle.Err() != nil {
		return err
	}
	if err := it.announce(); err != nil {
		return err
	}
	if it.mode == Look {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, n := range it.nodes {
		if n.reached {
			group.Go(func() error { return it.node(ctx, gentle, n) })
		}
	}
	return group.Wait()
}

// connect opens all nodes at once.
func (it *run) connect(ctx context.Context) error {
	var group errgroup.Group
	group.SetLimit(maxSessions)
	for _, n := range it.nodes {
		group.Go(func() error {
			session, err := n.open(ctx, it)
			if err == nil {
				n.seen = session.Observation()
			}
			if ctx.Err() == nil { // otherwise nothing was begun, and nothing will be
				return it.connected(n, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// connected tells how the connection to a node went.
func (it *run) connected(n *nodeRun, err error) error {
	if err == nil {
		n.reached = true
		return it.Journal.Append(Event{Type: TypeNode, Node: n.Name, State: StateReached})
	}
	var unreachable *UnreachableError
	var locked *LockedError
	var hostKey *HostKeyError
	code, state := FindingSSH, StateFailed
	switch {
	case errors.As(err, &unreachable):
		code, state = FindingUnreachable, StateUnreachable
	case errors.As(err, &locked):
		code, state = FindingLocked, StateSkipped
	case errors.As(err, &hostKey):
		code = FindingHostKey
	}
	level := Failure
	if code == FindingUnreachable && (it.Options.SkipOffline || it.mode != Deploy) {
		level = Warning
	}
	n.refused = level == Failure
	events := []Event{
		{Type: TypeNode, Node: n.Name, State: state, Error: err.Error()},
		{Type: TypeFinding, Node: n.Name, Finding: &Finding{Level: level, Code: code, Message: err.Error(), Hint: cmp.Or(HintOf(err), "try `ssh "+n.User+"@"+n.Address+"`, and run it again")}},
	}
	if level == Warning {
		for _, p := range n.Profiles {
			close(n.settled[p.Name])
			events = append(events, Event{Type: TypeProfile, Node: n.Name, Profile: p.Name, Want: p.Path, State: StateUnreachable})
		}
	}
	return it.Journal.Append(events...)
}

// leftovers waits for activations that are at work already, as those of a run
// that was killed: the node brings them to an end by itself.
func (it *run) leftovers(ctx context.Context) error {
	var group errgroup.Group
	for _, n := range it.nodes {
		if !n.reached || it.mode != Deploy {
			continue
		}
		group.Go(func() error {
			told := false
			return it.until(ctx, func() (bool, error) {
				for _, p := range n.Profiles {
					if len(n.seen.Profiles[p.Name].Activating) == 0 {
						continue
					}
					if !told {
						told = true
						if err := it.tell(n, p, Event{State: StateWaiting}); err != nil {
							return false, err
						}
					}
					seen, err := n.observe(ctx, it)
					if err == nil {
						n.seen = seen
					}
					return false, nil
				}
				return true, nil
			})
		})
	}
	return group.Wait()
}

// until calls done until it says so, for as long as Options.Settle.
func (it *run) until(ctx context.Context, done func() (bool, error)) error {
	deadline := time.Now().Add(cmp.Or(it.Options.Settle, 5*time.Minute))
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		over, err := done()
		if over || err != nil || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

func (it *run) decide(doubts map[string]Doubt) {
	for _, n := range it.nodes {
		if !n.reached {
			continue
		}
		for _, p := range n.Profiles {
			var doubt *Doubt
			if d, ok := doubts[p.Key()]; ok {
				doubt = &d
			}
			d := Decide(n.Node, p, n.seen.Profiles[p.Name], doubt)
			if d.State == StateInSync && it.comes(n, p) {
				d = Decision{State: StatePending, Reason: ReasonComes}
			}
			n.decisions[p.Name] = d
		}
	}
}

// preflight reports whether anything speaks against the run.
func (it *run) preflight(ctx context.Context) (wrong bool, err error) {
	var events []Event
	for _, n := range it.nodes {
		if !n.reached {
			continue
		}
		push := it.mode == Deploy && !n.RemoteBuild && len(n.pending()) > 0
		for _, f := range Preflight(n.Node, n.seen, push, it.Signing) {
			if it.mode != Deploy && f.Code == FindingActivating {
				f.Level = Warning
			}
			events = append(events, Event{Type: TypeFinding, Node: n.Name, Finding: &f})
		}
	}
	events = append(events, it.findMoves(ctx)...)
	if len(events) > 0 {
		err = it.Journal.Append(events...)
	}
	// Whoever only looks sees all, with what would keep a deploy from beginning.
	return it.mode == Deploy && refused(OutcomeOf(it.Journal.Events())), err
}

// announce tells what is decided before anything is done.
func (it *run) announce() error {
	var events []Event
	for _, n := range it.nodes {
		for _, p := range n.Profiles {
			d, ok := n.decisions[p.Name]
			if !ok {
				continue
			}
			active := n.seen.Profiles[p.Name].Active
			e := Event{Type: TypeProfile, Node: n.Name, Profile: p.Name, State: d.State, Reason: d.Reason, Want: p.Path, Was: active, Active: active}
			if d.Reason == ReasonDoubtful || d.Reason == ReasonNotRunning || d.Reason == ReasonAdopted {
				e.Was = d.From
			}
			if d.Err != nil {
				e.Error, e.Hint = d.Err.Error(), HintOf(d.Err)
			}
			events = append(events, e)
			if d.State.Final() {
				n.finish(p, d.State == StateInSync || d.State == StateActive)
			}
		}
	}
	if len(events) == 0 {
		return nil
	}
	return it.Journal.Append(events...)
}

// tell writes a profile's new state.
func (it *run) tell(n *nodeRun, p Profile, e Event) error {
	e.Type, e.Node, e.Profile, e.Want = TypeProfile, n.Name, p.Name, p.Path
	if err := it.Journal.Append(e); err != nil {
		return err
	}
	if e.State.Final() {
		n.finish(p, e.State == StateActive || e.State == StateInSync)
	}
	return nil
}

// fail writes a profile's failure; active is what the node says.
func (it *run) fail(n *nodeRun, p Profile, reason Reason, active string, err error, log string) error {
	return it.tell(n, p, Event{State: StateFailed, Reason: reason, Active: active, Error: err.Error(), Hint: HintOf(err), Log: log})
}

func (it *run) skip(n *nodeRun, p Profile, reason Reason) error {
	return it.tell(n, p, Event{State: StateSkipped, Reason: reason, Active: n.active(p)})
}

// stopping reports whether no new work is to be begun.
func (it *run) stopping(ctx context.Context) bool {
	select {
	case <-it.Stop:
		return true
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

// slot calls do when one of the jobs is free.
func (it *run) slot(ctx context.Context, do func() error) error {
	select {
	case it.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-it.slots }()
	return do()
}

func (n *nodeRun) finish(p Profile, good bool) {
	n.ok.Store(p.Name, good)
	select {
	case <-n.settled[p.Name]:
	default:
		close(n.settled[p.Name])
	}
}

func (n *nodeRun) good(profile string) bool {
	good, ok := n.ok.Load(profile)
	return ok && good.(bool)
}

// pending are the profiles that are to be activated, in their order.
func (n *nodeRun) pending() []Profile {
	return slices.DeleteFunc(slices.Clone(n.Profiles), func(p Profile) bool { return n.decisions[p.Name].State != StatePending })
}

func (n *nodeRun) active(p Profile) string { return n.seen.Profiles[p.Name].Active }

// open returns the session with a node, and opens one where there is none or
// it has ended.
func (n *nodeRun) open(ctx context.Context, it *run) (Session, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.session != nil {
		select {
		case <-n.session.Lost():
			_ = n.session.Close() // it is gone
			n.session = nil
		default:
			return n.session, nil
		}
	}
	how := OpenOptions{Lock: it.mode == Deploy, LockWait: it.Options.LockWait, Holder: it.Holder}
	if n.had {
		// The node may not know yet that the connection is gone that had the lock.
		how.LockWait = max(how.LockWait, lostLock)
	}
	how.Waiting = func(held *LockedError) {
		// It is waited for all the same if that cannot be told.
		_ = it.Journal.Append(Event{Type: TypeNode, Node: n.Name, State: StateWaiting, Error: held.Error()})
	}
	session, err := it.Remote.Open(ctx, n.Node, how)
	if err != nil {
		return nil, err
	}
	n.session, n.had = session, true
	return session, nil
}

func (n *nodeRun) observe(ctx context.Context, it *run) (Observation, error) {
	session, err := n.open(ctx, it)
	if err != nil {
		return Observation{}, err
	}
	return session.Observe(ctx)
}

func (n *nodeRun) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.session != nil {
		_ = n.session.Close() // nothing was written through it that is not answered for
	}
}

// HintOf returns what an error says to do about it, "" if it says nothing.
func HintOf(err error) string {
	var hinter interface{ Hint() string }
	if errors.As(err, &hinter) {
		return hinter.Hint()
	}
	return ""
}
