package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// activate activates a profile, and makes sure that the planned path or the
// previous one is active in the end.
func (r *run) activate(ctx context.Context, p *profileRun) error {
	if err := r.baseline(ctx, p); err != nil {
		return err
	}
	begun, up := false, false
	err := r.activations.use(ctx, func() (err error) {
		begun = true
		if r.stopping(ctx) {
			return r.skip(p, ReasonInterrupted)
		}
		if err := p.conflict(); err != nil {
			return r.fail(p, ReasonConflict, p.active(), err, "")
		}
		if p.on.full() {
			return r.fail(p, ReasonNoRoom, p.active(), noRoom(p.on.Name, p.on.seen()), "")
		}
		if done, err := r.move(ctx, p); done || err != nil {
			return err
		}
		up, err = r.activateNow(ctx, p)
		return err
	})
	if up && err == nil {
		return r.judge(ctx, p)
	}
	if !begun && err != nil { // the run was stopped before its turn
		return r.skip(p, ReasonInterrupted)
	}
	return err
}

// lostBefore ends a profile whose node was lost before the run changed the
// profile.
func (r *run) lostBefore(ctx context.Context, p *profileRun, err error) error {
	switch {
	case ctx.Err() != nil:
		return r.skip(p, ReasonInterrupted)
	case errors.As(err, new(*UnreachableError)):
		return r.set(p, Event{State: StateUnreachable, Active: p.active(), Error: err.Error(), Hint: problem.Hint(err)})
	default:
		return r.fail(p, ReasonActivation, p.active(), err, "")
	}
}

// conflict reports an environment whose user has another UID than the plan.
func (p *profileRun) conflict() error {
	seen := p.seen()
	switch {
	case p.IsSystem():
		return nil
	case seen.UID == 0:
		return fmt.Errorf("node %s has no user %s after its system was deployed", p.on.Name, p.User)
	case seen.UID != p.UID:
		return fmt.Errorf("node %s: %s has UID %d, but its UID in the plan is %d", p.on.Name, p.User, seen.UID, p.UID)
	}
	return nil
}

// activateNow activates a profile, and reports whether the planned path is active and
// its checks are still to decide whether it stays. Otherwise the profile has its final
// state.
func (r *run) activateNow(ctx context.Context, p *profileRun) (up bool, err error) {
	d := p.decision
	log, err := r.log(p.on.Name, p.Name)
	if err != nil {
		return false, err
	}
	defer log.Close()
	status := StatusFile(r.Journal.Dir, p.on.Name, p.Name)
	if err := os.Remove(status); err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	if err := r.set(p, Event{State: StateActivating, Reason: d.Reason, Was: d.From, Rollback: d.Rollback, Log: log.Name()}); err != nil {
		return false, err
	}
	if d.Rollback {
		r.removeCanary(ctx, p)
	}
	before := p.seen()
	limited, cancel := r.limited(ctx, p, log)
	defer cancel()
	failure := explained(p.Profile, log, func() error {
		return r.Activator.Activate(limited, p.on.Node, p.Profile, ActivateOptions{Rollback: d.Rollback, Status: status}, log)
	})
	running := func() {}
	if p.IsSystem() && d.Rollback && failure != nil && !errors.As(failure, new(*overError)) {
		running = func() { r.confirm(ctx, p) }
	}
	if err := r.awaitEnd(ctx, p, running); err != nil {
		return false, r.lost(ctx, p, failure, err, log.Name())
	}
	switch Settle(p.Profile, d.From, before, p.seen(), failure == nil) {
	case SettledActive:
		p.log = log.Name()
		if has, _ := r.checked(p); has {
			return true, r.set(p, Event{State: StateVerifying, Active: p.active(), Log: p.log})
		}
		return false, r.set(p, Event{State: StateActive, Active: p.active(), Log: p.log})
	case SettledRestore:
		err = r.restore(ctx, p, "", d.From)
	case SettledRemove:
		err = r.restore(ctx, p, "", "")
	case SettledBack, SettledStuck:
	}
	failure = errors.Join(failure, err)
	if err := r.awaitEnd(ctx, p, func() {}); err != nil {
		return false, r.lost(ctx, p, failure, err, log.Name())
	}
	if failure == nil {
		failure = errors.New("deploy-rs reported success, but the node has another path")
	}
	return false, r.fail(p, reasonOf(failure), p.active(), failure, log.Name())
}

// explained activates, and explains a failure by the log.
func explained(p Profile, log *os.File, activate func() error) error {
	begun, _ := log.Seek(0, io.SeekEnd) // the log may hold an earlier attempt
	since := time.Now()
	err := activate()
	if err == nil || log.Name() == os.DevNull {
		return err
	}
	text, unread := endOf(log.Name(), begun)
	if unread != nil {
		return err // the event names the log
	}
	l := readActivationLog(string(text), p)
	failure := l.failure(p, err)
	// A customer can print that it took too long, but must then take that long.
	if isLate(err) || l.late && p.Limit > 0 && time.Since(since) >= p.Limit {
		return &overError{failure, true}
	}
	return failure
}

// endOf returns what a log has after an offset, the last maxLog bytes of it.
func endOf(path string, begun int64) ([]byte, error) {
	log, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	end, err := log.Seek(0, io.SeekEnd)
	if err != nil || begun > end {
		return nil, cmp.Or(err, io.ErrUnexpectedEOF)
	}
	text := make([]byte, min(end-begun, maxLog))
	_, err = log.ReadAt(text, end-int64(len(text)))
	return text, err
}

// removeCanary removes the canary that an earlier activation of the path left when
// its connection was lost. deploy-rs would take it for the canary of this
// activation and confirm at once; the node would see no confirmation and go back.
func (r *run) removeCanary(ctx context.Context, p *profileRun) {
	if session, err := p.on.open(ctx, r); err == nil {
		// Usually there is none, and then rm fails.
		_, _ = session.Run(ctx, p.User, nil, "rm", p.canary())
	}
}

// canary returns the file whose removal confirms an activation of the path.
func (p *profileRun) canary() string {
	hash, _, _ := strings.Cut(strings.TrimPrefix(p.Path, "/nix/store/"), "-")
	return p.Temp + "/deploy-rs-canary-" + hash
}

// confirm confirms an activation in place of deploy-rs, which has lost its connection. As
// there, a new connection shows that the node can still be reached. The node waits for that
// (nix/lib/activation/go-back.sh); if its activation has not ended, or has failed, there is
// no canary, and rm fails.
func (r *run) confirm(ctx context.Context, p *profileRun) {
	session, err := r.Remote.Open(ctx, p.on.Node, OpenOptions{Holder: r.Holder})
	if err != nil {
		return // it is tried again
	}
	defer session.Close()
	_, _ = session.Run(ctx, p.User, nil, "rm", p.canary())
}

// restore makes the path of before active again, by its path, or removes the link of an
// environment that had none.
func (r *run) restore(ctx context.Context, p *profileRun, why Reason, path string) error {
	if err := r.set(p, Event{State: StateRestoring, Reason: why}); err != nil {
		return err
	}
	what := "go back to " + path
	if path == "" {
		what = "remove " + p.Link
	}
	err := p.on.aside(ctx, r, func(session Session) error {
		if path == "" {
			return session.Remove(ctx, p.Profile)
		}
		return session.Restore(ctx, p.Profile, path)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

const askAgain = "run `mage deploy -resume`: it asks the node again and continues from there"

// lost ends a profile that the run changed on a node that no longer answers.
func (r *run) lost(ctx context.Context, p *profileRun, failure, err error, log string) error {
	reason := ReasonLost
	if ctx.Err() != nil {
		reason = ReasonInterrupted
	}
	return r.set(p, Event{State: StateUnknown, Reason: reason, Error: errors.Join(failure, err).Error(),
		Hint: askAgain, Log: log})
}

// awaitEnd asks the node until no activation of the profile is running, and calls running
// after each answer that one is. A node whose system changes may not answer for a while.
func (r *run) awaitEnd(ctx context.Context, p *profileRun, running func()) error {
	err := errors.New("the activation did not finish in time")
	failed := r.until(ctx, func() (bool, error) {
		if err = p.on.observe(ctx, r); err != nil {
			return false, nil //nolint:nilerr // it is tried again, and reported in the end
		}
		if at := p.seen().Activating; len(at) > 0 {
			err = fmt.Errorf("an activation is still running: %s", strings.Join(at, ", "))
			running()
			return false, nil
		}
		return true, nil
	})
	if failed != nil {
		return failed
	}
	return err
}
