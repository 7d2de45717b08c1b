package deploy

import (
	"cmp"
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Options change how a run proceeds.
type Options struct {
	Jobs             int           `json:"jobs,omitempty"` // how many copies to nodes at once, 0 for 4
	LockWait         time.Duration `json:"-"`              // for other deploys on a node
	SkipOffline      bool          `json:"skipOffline,omitempty"`
	SkipVerification bool          `json:"skipVerification,omitempty"`
	Keep             bool          `json:"keep,omitempty"` // a path stays active although its checks fail
	RemoteBuild      bool          `json:"remoteBuild,omitempty"`
	DetailedExitcode bool          `json:"detailedExitcode,omitempty"` // of a preview, see [Outcome.PreviewCode]
	// AllowOlder is why the run may replace a newer plan on a node; "" if it may not.
	AllowOlder string `json:"allowOlder,omitempty"`
	// NoWaves activates all profiles as one wave.
	NoWaves bool `json:"noWaves,omitempty"`
	// Settle bounds the wait for an activation that another run began, 0 for five
	// minutes: activate-rs waits for 240 s, and then for a confirmation.
	Settle time.Duration `json:"-"`
	// Patience is how long checks that fail are repeated before they decide, 0 for 30
	// seconds. A check has retries of its own, see [Verifier].
	Patience time.Duration `json:"-"`
	// Pause is how long the run waits after a first failure of the network, 0 for two
	// seconds, see [CutOffError] and [UnreachableError.Temporary].
	Pause time.Duration `json:"-"`
	// EndTime is how long a node may take to end an activation that is over its limit,
	// and to go back, 0 for five minutes.
	EndTime time.Duration `json:"-"`
}

// Mode is how far a run goes.
type Mode int

// The modes. Only Deploy writes to a node, or takes its lock.
const (
	Deploy  Mode = iota
	Preview      // builds, and shows what a deploy would change
	Look         // shows which profiles a deploy would activate
)

// A Runner deploys. Its interfaces do all work outside of this process, and its
// journal holds every event.
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
	Waves   Waves
	History History // of earlier runs, see [ReadHistory]
	Plan    PlanRecord
	Held    []plan.Held // the projects that the plan holds back

	// Stop ends the run early when it is closed: the run begins no new work, gives
	// up work that has not changed a profile yet, and finishes its activations. If
	// the context is cancelled, an activation may stay undecided.
	Stop <-chan struct{}
}

// maxSessions limits how many nodes the deploying machine connects to at once.
const maxSessions = 16

// activations is the default of [Node.Activations]. An activation begins with two
// connections, and a stock sshd drops some while ten others log in (MaxStartups
// 10:30:100). What is dropped before its login is tried again, see package deployrs.
const activations = 8

// maxActivations limits how many activations this machine waits for: each takes one
// process of deploy-rs and two of ssh, and no work.
const maxActivations = 64

// maxBuilds limits how many nodes build for themselves at once. This machine only waits
// for them, and a node whose build takes long must not hold the copies to others.
const maxBuilds = 32

type run struct {
	*Runner
	mode  Mode
	nodes []*nodeRun            // of the run
	all   map[string]*nodeRun   // of the plan: data may come from any of them
	owed  map[string]Unverified // see owe
	// heldOn are the environments of each node that the plan holds back.
	heldOn map[string][]string
	// planned are the profiles of each node in the plan.
	planned                     map[string][]Profile
	copies, builds, activations pool
	waves                       []*waveRun
	brought                     chan struct{} // closed when nothing more is built
}

// Run activates the planned paths of nodes, which have only their selected
// profiles. fleet holds all nodes of the plan.
//
// The error is that events cannot be written, for example on a full disk; the
// outcome has everything else.
func (r *Runner) Run(ctx context.Context, mode Mode, nodes, fleet []Node) (Outcome, error) {
	x := &run{Runner: r, mode: mode, all: map[string]*nodeRun{}, heldOn: map[string][]string{}, planned: map[string][]Profile{},
		copies: newPool(cmp.Or(r.Options.Jobs, 4)), builds: newPool(maxBuilds), activations: newPool(maxActivations), brought: make(chan struct{})}
	x.owed = x.unasked()
	for _, n := range fleet {
		x.all[n.Name] = newNodeRun(n)
		x.heldOn[n.Name] = heldOn(r.Held, n)
		x.planned[n.Name] = n.Profiles
	}
	for _, n := range nodes {
		x.all[n.Name] = newNodeRun(n)
		x.nodes = append(x.nodes, x.all[n.Name])
	}
	gentle, cancel := Gentle(ctx, r.Stop)
	defer cancel()
	err := x.do(ctx, gentle)
	for _, n := range x.all {
		n.close()
	}
	if err == nil && mode == Deploy {
		err = r.leaveUnknown()
	}
	outcome := OutcomeOf(r.Journal.Events())
	if err != nil {
		return outcome, err
	}
	outcome.Interrupted = x.stopping(ctx) && !outcome.allGood()
	end := End{Code: outcome.Code(), Interrupted: outcome.Interrupted, Counts: outcome.Counts()}
	if mode != Deploy {
		end.Code = outcome.PreviewCode(r.Options.DetailedExitcode)
	}
	err = r.Journal.Append(Event{Type: TypeEnd, End: &end})
	return OutcomeOf(r.Journal.Events()), err
}

// leaveUnknown records that it is unknown what became of the activations that this run
// began before it was resumed, if their nodes cannot be asked.
func (r *Runner) leaveUnknown() error {
	for _, p := range OutcomeOf(r.Journal.Events()).Profiles {
		if p.Doubt == nil || p.State.Final() {
			continue
		}
		e := Event{
			Type: TypeProfile, Node: p.Node, Profile: p.Profile, Want: p.Want, State: StateUnknown, Reason: ReasonLost, Log: p.Log,
			Error: "the run ended while it was activated, and the node could not be asked since then", Hint: askAgain,
		}
		if err := r.Journal.Append(e); err != nil {
			return err
		}
	}
	return nil
}

// Gentle returns a context that ends when ctx ends or stop is closed. It is for
// work that changes no profile, and so may end at any time.
func Gentle(ctx context.Context, stop <-chan struct{}) (context.Context, context.CancelFunc) {
	gentle, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-stop:
			cancel()
		case <-gentle.Done():
		}
	}()
	return gentle, cancel
}

func (r *run) do(ctx, gentle context.Context) error {
	if len(r.Held) > 0 {
		if err := r.Journal.Append(heldEvents(r.Held)...); err != nil {
			return err
		}
	}
	if err := r.connect(gentle); err != nil {
		return err
	}
	if err := r.awaitActivations(gentle); err != nil {
		return err
	}
	r.decide()
	wrong, err := r.preflight(gentle)
	if err != nil || wrong || gentle.Err() != nil {
		return err
	}
	if err := r.announce(); err != nil {
		return err
	}
	r.arrange()
	if err := r.announceWaves(); err != nil {
		return err
	}
	if r.mode == Look {
		return nil
	}
	if r.mode == Preview {
		if err := r.bring(gentle); err != nil {
			return err
		}
	}
	if r.mode == Deploy {
		if err := r.refuseShort(); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	gentle, cancel := context.WithCancel(gentle)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	if r.mode == Deploy {
		group.Go(func() error { return r.bring(gentle) })
		group.Go(func() error { return r.direct(ctx, gentle) })
	}
	for _, n := range r.nodes {
		if n.reached {
			group.Go(func() error {
				err := r.node(ctx, gentle, n)
				if err == nil {
					err = r.record(ctx, n)
				}
				r.release(ctx, n)
				return err
			})
		}
	}
	return group.Wait()
}

// stopping reports whether the run must begin no new work.
func (r *run) stopping(ctx context.Context) bool {
	select {
	case <-r.Stop:
		return true
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

// until calls done until it returns true, at most for Options.Settle.
func (r *run) until(ctx context.Context, done func() (bool, error)) error {
	deadline := time.Now().Add(cmp.Or(r.Options.Settle, 5*time.Minute))
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

// set records a profile's new state. One that has its final state keeps it: a profile
// that a wave gave up may still be built.
func (r *run) set(p *profileRun, e Event) error {
	p.setting.Lock()
	defer p.setting.Unlock()
	if p.isSettled() {
		return nil
	}
	e.Type, e.Node, e.Profile, e.Want = TypeProfile, p.on.Name, p.Name, p.Path
	if err := r.Journal.Append(e); err != nil {
		return err
	}
	if e.State.Final() {
		p.settle(e.State)
	}
	return nil
}

func (r *run) setAll(profiles []*profileRun, state State) error {
	for _, p := range profiles {
		if err := r.set(p, Event{State: state}); err != nil {
			return err
		}
	}
	return nil
}

// fail records a profile's failure; active is the path that the node has.
func (r *run) fail(p *profileRun, reason Reason, active string, err error, log string) error {
	return r.set(p, Event{State: StateFailed, Reason: reason, Active: active, Error: err.Error(), Hint: problem.Hint(err), Log: log})
}

func (r *run) skip(p *profileRun, reason Reason) error {
	return r.set(p, Event{State: StateSkipped, Reason: reason, Active: p.active()})
}

// finding records a finding that a run makes later than its preflight.
func (r *run) finding(n *nodeRun, f *Finding) error {
	return r.Journal.Append(Event{Type: TypeFinding, Node: n.Name, Finding: f})
}
