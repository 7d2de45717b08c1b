package deploy

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Health decides: a version stays active only if its enforced checks pass, or fail as
// they did before. The baseline is what the checks of the new version find while the
// old one is active.

// checked reports whether the run makes checks of a profile, and whether they are
// enforced.
func (r *run) checked(p *profileRun) (has, enforced bool) {
	if r.mode != Deploy || r.Verifier == nil || r.Options.SkipVerification {
		return false, false
	}
	return r.Verifier.Has(p.on.Node, p.Name)
}

// beginBaselines asks what profiles of a node answer now, while their versions are
// copied. If the run replaces the system, the environments are asked after that: what
// the new system breaks does not convict them.
func (r *run) beginBaselines(ctx context.Context, n *nodeRun, list []*profileRun) {
	replaced := n.profile(SystemProfile).state() == StatePending
	for _, p := range list {
		if replaced && !p.IsSystem() {
			continue
		}
		if p.base = r.asksBefore(ctx, p); p.base != nil {
			go p.base()
		}
	}
}

// asksBefore returns a function that makes the baseline of a profile once, nil for a
// profile without one: its checks are not enforced, or no version before is active. An
// environment that moves is asked on its old node.
func (r *run) asksBefore(ctx context.Context, p *profileRun) func() *Verification {
	if has, enforced := r.checked(p); !has || !enforced {
		return nil
	}
	node := p.on
	switch {
	case p.from != "" && r.all[p.from] != nil:
		node = r.all[p.from]
	case p.decision.From == "" || p.decision.From == p.Path || p.decision.Reason == ReasonDoubtful:
		return nil // nothing is active, or the planned path, perhaps by halves
	}
	return sync.OnceValue(func() *Verification {
		v := r.Verifier.Verify(ctx, node.Node, p.Name, Asking{OnlySafe: true})
		return &v
	})
}

// baseline makes and records the baseline of a profile that is to be activated.
func (r *run) baseline(ctx context.Context, p *profileRun) error {
	if p.base == nil {
		p.base = r.asksBefore(ctx, p)
	}
	if p.base != nil && !r.stopping(ctx) {
		p.before = p.base()
	}
	return r.recordBaseline(p)
}

func (r *run) recordBaseline(p *profileRun) error {
	if p.before == nil || len(p.before.Checks) == 0 {
		return nil
	}
	return r.Journal.Append(Event{Type: TypeBaseline, Node: p.on.Name, Profile: p.Name, Verification: p.before})
}

// owe sets what an earlier run left to do: whether this run verifies a profile that it
// does not activate, because the earlier run ended before it did; and what the checks
// found before that activation.
func (r *run) owe(p *profileRun) {
	d := &p.decision
	left, unasked := r.owed[p.Key()]
	unasked = unasked && d.State == StateInSync && left.Path == p.Path
	adopted := d.Reason == ReasonAdopted
	has, _ := r.checked(p)
	switch {
	case !has:
	case adopted, d.Reason == ReasonDoubtful:
		p.owed, p.before = adopted, r.History.Doubts[p.Key()].Baseline
	case unasked:
		p.owed, p.before, d.From = true, left.Baseline, left.From
	}
}

// judgeOwed verifies the profiles of a node that are owed a verification: the system,
// and then the environments.
func (r *run) judgeOwed(ctx context.Context, n *nodeRun) error {
	var group errgroup.Group
	for _, p := range n.profiles {
		if !p.owed {
			continue
		}
		if err := r.recordBaseline(p); err != nil {
			return err
		}
		if p.IsSystem() {
			if err := r.judge(ctx, p); err != nil {
				return err
			}
			continue
		}
		group.Go(func() error { return r.judge(ctx, p) })
	}
	return group.Wait()
}

// judge verifies the active planned path of a profile, and takes the profile back if
// the checks convict it.
func (r *run) judge(ctx context.Context, p *profileRun) error {
	v := r.examine(ctx, p, p.before)
	if len(v.Checks) > 0 {
		if err := r.Journal.Append(Event{Type: TypeVerification, Node: p.on.Name, Profile: p.Name, Verification: &v}); err != nil {
			return err
		}
	}
	// Of a path whose activation is repeated, the one before may be unknown.
	if !v.Convicts() || r.Options.Keep || p.decision.From == p.Path || p.decision.From == "" && p.IsSystem() {
		e := Event{State: StateActive, Active: p.active(), Log: p.log}
		if p.owed {
			e.State, e.Reason = p.decision.State, p.decision.Reason
		}
		return r.set(p, e)
	}
	return r.takeBack(ctx, p, v)
}

// takeBack makes the path before active again, and makes the checks again.
func (r *run) takeBack(ctx context.Context, p *profileRun, v Verification) error {
	failure := problem.New("", convicted(v), fixOf(p))
	var failed error
	err := r.activations.use(ctx, func() error {
		if failed = r.restore(ctx, p, ReasonHealth, p.decision.From); failed != nil {
			failure = problem.New("", convicted(v)+"\n"+failed.Error(), cmp.Or(problem.Hint(failed), problem.Hint(failure)))
		}
		return nil
	})
	if err == nil {
		err = r.awaitEnd(ctx, p, func() {})
	}
	switch {
	case err != nil:
		return r.lost(ctx, p, failure, err, p.log)
	case failed != nil:
	case p.active() != p.decision.From:
		failure = problem.New("", fmt.Sprintf("%s\nit should have gone back to %s", convicted(v), cmp.Or(p.decision.From, "nothing")), "run `mage status`, and look into the log on the node: "+ActivationLogs)
	case p.decision.From != "":
		again := r.recheck(ctx, p)
		if len(again.Checks) == 0 {
			break
		}
		if err := r.Journal.Append(Event{Type: TypeRecheck, Node: p.on.Name, Profile: p.Name, Verification: &again}); err != nil {
			return err
		}
		if !again.OK() {
			failure = problem.New("", convicted(v)+"\nthe version before is active again, and does not pass all checks either", fixOf(p))
		}
	}
	return r.fail(p, ReasonHealth, p.active(), failure, p.log)
}

// recheck makes the checks of a profile that went back.
func (r *run) recheck(ctx context.Context, p *profileRun) Verification {
	return r.repeated(ctx, p, Asking{OnlySafe: true}, func(v Verification) bool { return v.Enforce && !v.OK() })
}

func convicted(v Verification) string {
	failed := 0
	for _, c := range v.Checks {
		if c.convicts() {
			failed++
		}
	}
	return fmt.Sprintf("%d of %d checks failed after the activation, and not before it", failed, len(v.Checks))
}

func fixOf(p *profileRun) string {
	if p.IsSystem() {
		return "correct the node's configuration, then deploy again; to look at it while it is active, deploy it with -keep"
	}
	return "the customer must fix it; to look at it while it is active, deploy it with -keep"
}

// examine makes the checks of a profile, and repeats those that would convict it. A
// check shows nothing about a version on a node that can no longer be asked, or if the
// run is stopped before its patience is over.
func (r *run) examine(ctx context.Context, p *profileRun, before *Verification) Verification {
	if r.stopping(ctx) { // begin no check; then none has passed
		over, cancel := context.WithCancel(ctx)
		cancel()
		return r.Verifier.Verify(over, p.on.Node, p.Name, Asking{})
	}
	if certified, ok := r.Verifier.(CertificateVerifier); ok {
		r.awaitOrders(ctx, p.on, certified.Certificates(p.on.Node, p.Name))
	}
	v := r.repeated(ctx, p, Asking{}, func(v Verification) bool { return v.After(before).Convicts() }).After(before)
	if !v.Convicts() {
		return v
	}
	if r.stopping(ctx) {
		return v.doubted("the run was interrupted before it was repeated")
	}
	if err := p.on.observe(ctx, r); err != nil {
		return v.doubted("the node does not answer either")
	}
	return v
}

// The default of [Options.Patience], and the first pause.
const patience, firstPause = 30 * time.Second, 2 * time.Second

// repeated makes checks until they need no repetition, or the patience is over, or the
// run is stopped.
func (r *run) repeated(ctx context.Context, p *profileRun, which Asking, needed func(Verification) bool) Verification {
	limit := cmp.Or(r.Options.Patience, patience)
	over := time.Now().Add(limit)
	v := r.Verifier.Verify(ctx, p.on.Node, p.Name, which)
	for pause := max(min(firstPause, limit/4), time.Millisecond); needed(v) && !r.stopping(ctx) && time.Now().Add(pause).Before(over); pause *= 2 {
		select {
		case <-ctx.Done():
		case <-r.Stop:
		case <-time.After(pause):
			which.Again = v.Checks
			v = r.Verifier.Verify(ctx, p.on.Node, p.Name, which)
		}
	}
	return v
}
