package deploy

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// nodeRun is a node with its state in a run.
type nodeRun struct {
	Node
	profiles []*profileRun
	reached  bool
	refused  bool        // no session could be opened, and the run cannot begin
	short    *shortError // what the preflight found, nil for room enough

	built     chan []*profileRun // what is built and signed
	delivered signal             // when profiles arrive, or get their final state
	complete  atomic.Bool        // whether no more will arrive

	mu      sync.Mutex
	session Session
	had     bool // whether there was a session before
	held    []hold

	look sync.Mutex
	last Observation
	next *look         // an observation that has not begun
	turn chan struct{} // held while the node is observed
}

// A look is one observation, which several callers may share.
type look struct {
	done chan struct{}
	err  error
}

// profileRun is a profile with its state in a run.
type profileRun struct {
	Profile
	on       *nodeRun
	wave     *waveRun             // nil if the run has nothing to do
	decision Decision             // zero if the node was not reached
	from     string               // the node that has its data, "" if no data moves
	log      string               // of its activation
	owed     bool                 // whether the run verifies it without an activation
	base     func() *Verification // makes the baseline
	before   *Verification        // the baseline, nil if there is none
	there    atomic.Bool          // whether the node has the planned path
	setting  sync.Mutex           // held while its state changes
	settled  chan struct{}        // closed when the profile has its final state
	good     atomic.Bool          // whether that state is in-sync or active
	unknown  atomic.Bool          // whether that state is unknown
}

func newNodeRun(n Node) *nodeRun {
	// No more batches than profiles are built.
	x := &nodeRun{Node: n, turn: make(chan struct{}, 1), built: make(chan []*profileRun, len(n.Profiles))}
	for _, p := range n.Profiles {
		x.profiles = append(x.profiles, &profileRun{Profile: p, on: x, settled: make(chan struct{})})
	}
	return x
}

// profile returns the profile of a name, nil if it is not in the run.
func (n *nodeRun) profile(name string) *profileRun {
	for _, p := range n.profiles {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// pending returns the profiles to activate, in their order.
func (n *nodeRun) pending() []*profileRun {
	var all []*profileRun
	for _, p := range n.profiles {
		if p.decision.State == StatePending {
			all = append(all, p)
		}
	}
	return all
}

// state returns the state of the decision, "" for a profile that is not in the run.
func (p *profileRun) state() State {
	if p == nil {
		return ""
	}
	return p.decision.State
}

// undecided reports whether the run activates the profile or decides whether it stays.
func (p *profileRun) undecided() bool { return p.state() == StatePending || p != nil && p.owed }

// seen returns the last observation of the node.
func (n *nodeRun) seen() Observation {
	n.look.Lock()
	defer n.look.Unlock()
	return n.last
}

func (n *nodeRun) saw(o Observation) {
	n.look.Lock()
	defer n.look.Unlock()
	n.last = o
}

// seen returns the last observation of the profile.
func (p *profileRun) seen() Observed { return p.on.seen().Profiles[p.Name] }

func (p *profileRun) active() string { return p.seen().Active }

func (p *profileRun) settle(state State) {
	p.good.Store(state == StateActive || state == StateInSync)
	p.unknown.Store(state == StateUnknown)
	if !p.isSettled() {
		close(p.settled)
		p.on.delivered.ring()
	}
}

// A signal tells those who wait for it that something has changed.
type signal struct {
	mu   sync.Mutex
	rung chan struct{}
}

// next returns a channel that is closed when the signal is given the next time.
func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rung == nil {
		s.rung = make(chan struct{})
	}
	return s.rung
}

func (s *signal) ring() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rung != nil {
		close(s.rung)
		s.rung = nil
	}
}

func (p *profileRun) isSettled() bool {
	select {
	case <-p.settled:
		return true
	default:
		return false
	}
}

// lostLock is how long a node may hold the lock of a lost connection: with
// nix/modules/openssh.nix it notices the loss within a minute.
const lostLock = 90 * time.Second

// aside calls do with a session of its own, for work that takes long: the node answers
// the requests of one session one after the other, and the run asks it about other
// profiles meanwhile. It uses the usual session if there is no other.
func (n *nodeRun) aside(ctx context.Context, r *run, do func(Session) error) error {
	usual, err := n.open(ctx, r) // it holds the lock
	if err != nil {
		return err
	}
	session, err := r.Remote.Open(ctx, n.Node, OpenOptions{Holder: r.Holder})
	if err != nil {
		return do(usual)
	}
	defer session.Close() // it was answered, or is lost
	return do(session)
}

// open returns the session with a node. If there is none, or it has ended, open
// opens one.
func (n *nodeRun) open(ctx context.Context, r *run) (Session, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.session != nil {
		select {
		case <-n.session.Lost():
			_ = n.session.Close() // the connection is gone already
			n.session = nil
		default:
			return n.session, nil
		}
	}
	how := OpenOptions{Lock: r.mode == Deploy, LockWait: r.Options.LockWait, Holder: r.Holder}
	if n.had {
		// The node may not have noticed yet that the connection with the lock is lost.
		how.LockWait = max(how.LockWait, lostLock)
	}
	how.Waiting = func(held *LockedError) {
		// The wait goes on if this cannot be written.
		_ = r.Journal.Append(Event{Type: TypeNode, Node: n.Name, State: StateWaiting, Error: held.Error()})
	}
	session, err := r.Remote.Open(ctx, n.Node, how)
	if err != nil {
		return nil, err
	}
	if err := r.newer(n, session.Observation().Plan); err != nil {
		_ = session.Close() // it did nothing
		return nil, err
	}
	for _, h := range n.held {
		// Its roots are there; only a collection at this moment would need the rest.
		_ = session.Hold(ctx, h.roots, h.paths)
	}
	n.session, n.had = session, true
	return session, nil
}

// observe observes the node again. If that fails, the last observation stays. Callers
// that wait while the node answers another one share one observation, which begins
// after their calls.
func (n *nodeRun) observe(ctx context.Context, r *run) error {
	n.look.Lock()
	l := n.next
	leads := l == nil
	if leads {
		l = &look{done: make(chan struct{})}
		n.next = l
	}
	n.look.Unlock()
	if leads {
		n.turn <- struct{}{}
		n.look.Lock()
		n.next = nil
		n.look.Unlock()
		l.err = n.observeNow(ctx, r)
		close(l.done)
		<-n.turn
	}
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *nodeRun) observeNow(ctx context.Context, r *run) error {
	session, err := n.open(ctx, r)
	if err != nil {
		return err
	}
	seen, err := session.Observe(ctx)
	if err == nil {
		n.saw(seen)
	}
	return err
}

func (n *nodeRun) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.session != nil {
		_ = n.session.Close() // every request was answered
	}
}
