package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// node brings one node to where it should be: build, sign, push, then the
// system, then each environment.
func (it *run) node(ctx, gentle context.Context, n *nodeRun) error {
	for _, p := range n.Profiles {
		// Whoever activated it did not live to ask whether it works.
		if it.mode == Deploy && it.isOwed(n, p) {
			if err := it.verify(ctx, n, p); err != nil {
				return err
			}
		}
	}
	there, err := it.bring(gentle, n, n.pending())
	if err != nil || it.mode != Deploy {
		return err
	}
	held := it.systemFailed(n)
	for _, p := range there {
		switch {
		case held != "":
			err = it.skip(n, p, held)
		case it.stopping(ctx):
			err = it.skip(n, p, ReasonInterrupted)
		case p.IsSystem():
			if held = it.awaitMoves(ctx, n); held != "" {
				err = it.skip(n, p, held)
				break
			}
			err = it.activate(ctx, n, p)
			if !it.stopping(ctx) { // otherwise it may only have been left
				held = it.systemFailed(n)
			}
		default:
			err = it.activate(ctx, n, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// systemFailed says why no environment may be activated on a node, "" if it may.
func (it *run) systemFailed(n *nodeRun) Reason {
	if _, selected := n.Profile(SystemProfile); !selected {
		return ""
	}
	if _, settled := n.ok.Load(SystemProfile); settled && !n.good(SystemProfile) {
		return ReasonSystemFailed
	}
	return ""
}

// A step brings profiles nearer to a node, and touches none of them there.
type step struct {
	state  State
	reason Reason // of a failure
	do     func(ctx context.Context, list []Profile, log io.Writer) (failed map[string]error, err error)
}

func (it *run) steps(n *nodeRun) []step {
	steps := []step{{StateBuilding, ReasonBuild, func(ctx context.Context, list []Profile, log io.Writer) (map[string]error, error) {
		return it.Store.Build(ctx, n.Node, list, log)
	}}}
	if it.mode != Deploy || n.RemoteBuild {
		return steps
	}
	return append(steps,
		step{StateSigning, ReasonSign, func(ctx context.Context, list []Profile, log io.Writer) (map[string]error, error) {
			return nil, it.Store.Sign(ctx, paths(list), log)
		}},
		step{StatePushing, ReasonPush, func(ctx context.Context, list []Profile, log io.Writer) (map[string]error, error) {
			return nil, it.Store.Push(ctx, n.Node, paths(list), log)
		}})
}

// bring builds profiles and copies them to the node, until ctx is done. It
// returns those that are there; the others have their final state.
func (it *run) bring(ctx context.Context, n *nodeRun, list []Profile) (left []Profile, err error) {
	if len(list) == 0 {
		return nil, nil
	}
	for _, s := range it.steps(n) {
		if list, err = it.step(ctx, n, s, list); err != nil || len(list) == 0 {
			return nil, err
		}
	}
	if it.mode == Preview {
		return list, it.preview(ctx, n, list)
	}
	return list, it.tellAll(n, list, StatePushed)
}

func (it *run) tellAll(n *nodeRun, profiles []Profile, state State) error {
	for _, p := range profiles {
		if err := it.tell(n, p, Event{State: state}); err != nil {
			return err
		}
	}
	return nil
}

// step does a step, and returns the profiles with which it succeeded.
func (it *run) step(ctx context.Context, n *nodeRun, s step, list []Profile) (left []Profile, err error) {
	log, err := it.log(n, "_"+string(s.state))
	if err != nil {
		return nil, err
	}
	defer log.Close() // a log that is cut short is no reason to stop
	var untold error  // which ends the run
	var failed map[string]error
	failure := it.slot(ctx, func() error {
		if untold = it.tellAll(n, list, s.state); untold != nil {
			return untold
		}
		var failure error
		failed, failure = s.do(ctx, list, log)
		return failure
	})
	if untold != nil {
		return nil, untold
	}
	for _, p := range list {
		cause, reason := failure, s.reason
		var unsigned *UnsignedError
		switch {
		case cause == nil:
			cause = failed[p.Name]
		case errors.As(cause, &unsigned):
			reason = ReasonUnsigned
		}
		switch {
		case cause == nil:
			left = append(left, p)
		case it.stopping(ctx):
			err = it.skip(n, p, ReasonInterrupted)
		default:
			err = it.fail(n, p, reason, n.active(p), cause, log.Name())
		}
		if err != nil {
			return nil, err
		}
	}
	return left, nil
}

// preview tells what the closures change; the profiles stay pending.
func (it *run) preview(ctx context.Context, n *nodeRun, list []Profile) error {
	var pairs []Pair
	for _, p := range list {
		pairs = append(pairs, Pair{Profile: p.Name, Old: n.active(p), New: p.Path})
	}
	var diffs []Diff
	err := it.slot(ctx, func() (err error) {
		diffs, err = it.Store.Diff(ctx, n.Node, pairs)
		return err
	})
	if err != nil {
		for _, p := range list {
			if err := it.fail(n, p, ReasonPush, n.active(p), fmt.Errorf("compare with what is active: %w", err), ""); err != nil {
				return err
			}
		}
		return nil
	}
	for _, d := range diffs {
		if err := it.Journal.Append(Event{Type: TypeDiff, Node: n.Name, Profile: d.Profile, Diff: &d}); err != nil {
			return err
		}
	}
	for _, p := range list {
		d := n.decisions[p.Name]
		if err := it.tell(n, p, Event{State: StatePending, Reason: d.Reason, Active: n.active(p)}); err != nil {
			return err
		}
	}
	return nil
}

func paths(profiles []Profile) []string {
	var all []string
	for _, p := range profiles {
		all = append(all, p.Path)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// activate activates a profile, and sees that it ends at the planned path or at
// the one before.
func (it *run) activate(ctx context.Context, n *nodeRun, p Profile) error {
	begun := false
	err := it.slot(ctx, func() error {
		begun = true
		if it.stopping(ctx) {
			return it.skip(n, p, ReasonInterrupted)
		}
		// What the system brought is seen anew: an environment's user may be there
		// by now, with another UID.
		seen, err := n.observe(ctx, it)
		if err != nil {
			return it.untouched(ctx, n, p, err)
		}
		n.seen = seen
		if err := it.conflict(n, p); err != nil {
			return it.fail(n, p, ReasonConflict, n.active(p), err, "")
		}
		if free := n.seen.Free; free != nil && *free < leastFree {
			return it.fail(n, p, ReasonNoRoom, n.active(p), &NoRoomError{n.Name, *free}, "")
		}
		if done, err := it.move(ctx, n, p); done || err != nil {
			return err
		}
		return it.activateNow(ctx, n, p)
	})
	if !begun && err != nil { // it waited for its turn when the run was stopped
		return it.skip(n, p, ReasonInterrupted)
	}
	return err
}

// untouched tells of a profile whose node was lost before it was touched.
func (it *run) untouched(ctx context.Context, n *nodeRun, p Profile, err error) error {
	var unreachable *UnreachableError
	switch {
	case ctx.Err() != nil:
		return it.skip(n, p, ReasonInterrupted)
	case errors.As(err, &unreachable):
		return it.tell(n, p, Event{State: StateUnreachable, Active: n.active(p), Error: err.Error(), Hint: HintOf(err)})
	default:
		return it.fail(n, p, ReasonActivation, n.active(p), err, "")
	}
}

// conflict holds an environment to its UID.
func (it *run) conflict(n *nodeRun, p Profile) error {
	if p.IsSystem() {
		return nil
	}
	seen := n.seen.Profiles[p.Name]
	switch {
	case seen.UID == 0:
		return fmt.Errorf("node %s has no user %s after its system was deployed", n.Name, p.User)
	case seen.UID != p.UID:
		return fmt.Errorf("node %s: %s has UID %d, and the plan says %d", n.Name, p.User, seen.UID, p.UID)
	}
	return nil
}

// move takes an environment's data along, or makes sure that none is restored.
func (it *run) move(ctx context.Context, n *nodeRun, p Profile) (done bool, err error) {
	if it.Mover == nil || p.IsSystem() {
		return false, nil
	}
	to, err := n.open(ctx, it)
	if err != nil {
		return true, it.untouched(ctx, n, p, err)
	}
	from, moves := n.moves[p.Name]
	if !moves {
		return false, it.discard(ctx, n, p, to)
	}
	if err := it.tell(n, p, Event{State: StateMoving}); err != nil {
		return true, err
	}
	old, err := it.others[from].open(ctx, it)
	var moved *Moved
	switch {
	case err == nil:
		moved, err = it.Mover.Prepare(ctx, old, to, n.Node, p)
	case it.without(ctx, n, p, err):
		err = nil
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return true, it.skip(n, p, ReasonInterrupted)
	case err != nil:
		return true, it.fail(n, p, ReasonMove, n.active(p), err, "")
	case moved == nil:
		return false, it.discard(ctx, n, p, to)
	}
	return false, it.Journal.Append(Event{Type: TypeMove, Node: n.Name, Profile: p.Name, Moved: moved})
}

// discard makes sure that an environment which takes no data along restores
// none: a run before may have left a plan for it. That it cannot be looked for,
// as on a node that was never moved to, is told and no more.
func (it *run) discard(ctx context.Context, n *nodeRun, p Profile, to Session) error {
	err := it.Mover.Discard(ctx, to, p)
	if err == nil {
		return nil
	}
	return it.Journal.Append(Event{Type: TypeFinding, Node: n.Name, Profile: p.Name, Finding: &Finding{
		Level: Warning, Code: FindingMove, Message: fmt.Sprintf("environment %s: see that no old restore plan is left on %s: %v", p.Name, n.Name, err), Hint: HintOf(err)}})
}

func (it *run) activateNow(ctx context.Context, n *nodeRun, p Profile) error {
	d := n.decisions[p.Name]
	log, err := it.log(n, p.Name)
	if err != nil {
		return err
	}
	defer log.Close()
	status := StatusFile(it.Journal.Dir, n.Name, p.Name)
	if err := os.Remove(status); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := it.tell(n, p, Event{State: StateActivating, Reason: d.Reason, Was: d.From, Rollback: d.Rollback, Log: log.Name()}); err != nil {
		return err
	}
	if d.Rollback {
		it.clear(ctx, n, p)
	}
	before := n.seen.Profiles[p.Name]
	failure := it.explained(p, log, func() error {
		return it.Activator.Activate(ctx, n.Node, p, ActivateOptions{Rollback: d.Rollback, Status: status}, log)
	})
	active, err := it.ended(ctx, n, p)
	if err != nil {
		return it.lost(ctx, n, p, failure, err, log.Name())
	}
	switch Settle(p, d.From, before, n.seen.Profiles[p.Name], failure == nil) {
	case SettledActive:
		if err := it.tell(n, p, Event{State: StateActive, Active: active, Log: log.Name()}); err != nil {
			return err
		}
		return it.verify(ctx, n, p)
	case SettledRestore:
		failure = it.restore(ctx, n, p, failure, "go back to "+d.From, func(s Session) error { return s.Restore(ctx, p, d.From) })
	case SettledRemove:
		failure = it.restore(ctx, n, p, failure, "remove "+p.Link, func(s Session) error { return s.Remove(ctx, p) })
	case SettledBack, SettledStuck:
	}
	if active, err = it.ended(ctx, n, p); err != nil {
		return it.lost(ctx, n, p, failure, err, log.Name())
	}
	if failure == nil {
		failure = errors.New("deploy-rs reported a success, and the node has another path")
	}
	return it.fail(n, p, ReasonActivation, active, failure, log.Name())
}

// explained activates, and joins to a failure what the log says of it.
func (it *run) explained(p Profile, log *os.File, activate func() error) error {
	begun, _ := log.Seek(0, io.SeekEnd) // of a run that is taken up there is more
	err := activate()
	if err == nil || log.Name() == os.DevNull {
		return err
	}
	text, unread := os.ReadFile(log.Name())
	if unread != nil || begun > int64(len(text)) {
		return err // the log is named to whoever wants to know more
	}
	text = text[begun:]
	return &ActivationError{Profile: p, Said: ReadSaid(string(text[max(0, len(text)-maxSaid):]), p), Err: err}
}

// clear takes away the canary that an earlier activation of the path left, whose
// link was lost. deploy-rs would take it for that of this one and confirm at
// once; and the node, which is not confirmed when it is done, would go back.
func (it *run) clear(ctx context.Context, n *nodeRun, p Profile) {
	hash, _, _ := strings.Cut(strings.TrimPrefix(p.Path, "/nix/store/"), "-")
	if session, err := n.open(ctx, it); err == nil {
		// Most often there is none, and that is what rm then says.
		_, _ = session.Run(ctx, p.User, nil, "rm", p.Temp+"/deploy-rs-canary-"+hash)
	}
}

// restore brings back what was there, and joins what goes wrong in it to the
// failure that made it necessary.
func (it *run) restore(ctx context.Context, n *nodeRun, p Profile, failure error, what string, do func(Session) error) error {
	if err := it.tell(n, p, Event{State: StateRestoring}); err != nil {
		return err
	}
	session, err := n.open(ctx, it)
	if err == nil {
		err = do(session)
	}
	if err != nil {
		return errors.Join(failure, fmt.Errorf("%s: %w", what, err))
	}
	return failure
}

// lost tells of a profile that was touched and cannot be asked about.
func (it *run) lost(ctx context.Context, n *nodeRun, p Profile, failure, err error, log string) error {
	reason := ReasonLost
	if ctx.Err() != nil {
		reason = ReasonInterrupted
	}
	all := errors.Join(failure, err)
	return it.tell(n, p, Event{State: StateUnknown, Reason: reason, Error: all.Error(),
		Hint: "`mage deploy -resume` asks the node again and goes on from there", Log: log})
}

// ended asks the node what is active once nothing is at work on the profile any
// more. A node whose system changes may be out of reach for a while.
func (it *run) ended(ctx context.Context, n *nodeRun, p Profile) (active string, err error) {
	err = errors.New("the activation does not end")
	failed := it.until(ctx, func() (bool, error) {
		var seen Observation
		if seen, err = n.observe(ctx, it); err != nil {
			return false, nil //nolint:nilerr // it is tried again, and told of in the end
		}
		n.seen = seen
		if at := seen.Profiles[p.Name].Activating; len(at) > 0 {
			err = fmt.Errorf("an activation is still at work: %s", strings.Join(at, ", "))
			return false, nil
		}
		return true, nil
	})
	if failed != nil {
		return "", failed
	}
	return n.active(p), err
}

// verify asks an environment whether it works.
func (it *run) verify(ctx context.Context, n *nodeRun, p Profile) error {
	if it.Verifier == nil || it.Options.SkipVerification || p.IsSystem() {
		return nil
	}
	if it.stopping(ctx) { // nothing is begun, and what is not asked did not pass
		over, cancel := context.WithCancel(ctx)
		cancel()
		ctx = over
	}
	if relies, ok := it.Verifier.(CertificateVerifier); ok {
		it.awaitOrders(ctx, n, relies.Certificates(p.Name))
	}
	v := it.Verifier.Verify(ctx, n.Node, p.Name)
	if len(v.Checks) == 0 {
		return nil
	}
	return it.Journal.Append(Event{Type: TypeVerification, Node: n.Name, Profile: p.Name, Verification: &v})
}

// log opens a log file of the run: one for each profile, and for each step of a
// node, whose name begins with _ as no user's does. A run that keeps no files
// has none.
func (it *run) log(n *nodeRun, name string) (*os.File, error) {
	if it.Journal.Dir == "" {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	dir := filepath.Join(it.Journal.Dir, n.Name)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
}

// StatusFile is where the activation of a profile leaves its exit status.
func StatusFile(dir, node, profile string) string {
	return filepath.Join(dir, node, profile+".exit")
}

// ExitStatus reads what an activation left; nil if it left nothing.
func ExitStatus(dir, node, profile string) *int {
	text, err := os.ReadFile(StatusFile(dir, node, profile))
	if err != nil {
		return nil
	}
	status, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil
	}
	return &status
}
