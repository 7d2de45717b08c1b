package drive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/closure"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/deployrs"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/move"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/notify"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/verify"
	"github.com/woolwichweb/hostenv-provider/hostenv/generated"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Run deploys, or shows what a deploy would do.
//
// The error is what stops the run: a stale plan ([plan.StaleError]), another run
// ([deploy.RunLockedError]), invalid options, a flake that cannot be evaluated, a
// full disk. Outcome.Ended is true if the run finished; then an error says what
// could not be recorded. Failures on nodes are only in the outcome.
//
// If ctx ends, the run ends at once, and may leave an activation undecided; the
// next run asks the node about it. Close Options.Stop first.
func Run(ctx context.Context, o Options, sink Sink) (outcome deploy.Outcome, err error) {
	if err := o.check(); err != nil {
		return outcome, err
	}
	o = o.withDefaults()
	gentle, cancel := deploy.Gentle(ctx, o.Stop)
	defer cancel()
	d := &driver{Options: o, sink: sink.withDefaults(), runs: o.Folder.Hidden("runs")}
	defer func() {
		err = errors.Join(err, d.close())
		if d.notifier != nil { // another run need not wait for it
			d.notifier.Close(ctx)
		}
	}()
	if d.Mode == deploy.Deploy {
		if err := d.Folder.Exists(gentle); err != nil {
			return outcome, err
		}
		if d.lock, err = deploy.LockRun(gentle, d.Folder.Hidden("deploy.lock"), d.Holder, d.LockWait); err != nil {
			return outcome, err
		}
		d.after(d.lock.Close)
	}
	return d.run(ctx, gentle)
}

// A driver is one call of Run.
type driver struct {
	Options
	sink Sink
	runs string          // the folder of journals
	lock *deploy.RunLock // nil unless the run deploys

	plan     *Plan
	selected []deploy.Node
	nix      *nix.Runner
	store    *closure.Store
	config   *remote.Config
	last     []func() error
	notifier *notify.Notifier // nil unless the run deploys
}

// after has do called at the end, in reverse order.
func (d *driver) after(do func() error) { d.last = append(d.last, do) }

func (d *driver) close() error {
	var errs []error
	for _, do := range slices.Backward(d.last) {
		errs = append(errs, do())
	}
	return errors.Join(errs...)
}

// run prepares in the context gentle, see [deploy.Gentle], and runs in ctx.
func (d *driver) run(ctx, gentle context.Context) (outcome deploy.Outcome, err error) {
	if d.plan, err = Read(gentle, d.Folder); err != nil {
		return outcome, err
	}
	if err := d.plan.reviewed(gentle, d.Folder, d.Reviewed); err != nil {
		return outcome, err
	}
	held := d.plan.Document.Held()
	d.sink.Plan(d.plan.Document)
	commit, changed := d.Folder.Commit(gentle)
	if d.plan.Commit = commit; changed {
		d.plan.Commit += deploy.Dirty
	}
	d.notify(gentle)
	// A run that is refused here leaves no journal, and cannot be resumed.
	resumed, err := d.resume()
	if err != nil {
		return outcome, err
	}
	runner, err := d.runner(gentle)
	if err != nil {
		return outcome, err
	}
	if runner.History, err = deploy.ReadHistory(d.runs); err != nil {
		return outcome, err
	}
	if runner.Journal, err = d.journal(gentle, resumed); err != nil {
		return outcome, err
	}
	d.after(runner.Journal.Close)
	if runner.Activator, err = d.activator(runner.Journal); err != nil {
		return outcome, err
	}
	runner.Holder, runner.Held = d.Holder, held
	if id := runner.Journal.ID; id != "" {
		runner.Holder += ", run " + id
	}
	runner.Plan = deploy.PlanRecord{
		Serial: d.plan.Document.Serial.Number, Digest: d.plan.Document.Digest(), Commit: d.plan.Commit,
		By: runner.Holder, Time: time.Now().UTC().Format(time.RFC3339),
	}
	if outcome, err = runner.Run(ctx, d.Mode, d.selected, d.plan.Nodes); err != nil || d.Mode != deploy.Deploy {
		return outcome, err
	}
	// Record the deployed environments even if the run was interrupted.
	if err := d.plan.record(context.WithoutCancel(ctx), d.Folder, outcome.Deployed()); err != nil {
		return outcome, problem.WithHint(fmt.Errorf("record which node each environment is on: %w", err), "run `mage deploy -resume` to record it; no profile is activated again")
	}
	return outcome, nil
}

// notify passes the events of a deploy to the provider's command as well.
func (d *driver) notify(ctx context.Context) {
	if d.Mode != deploy.Deploy {
		return
	}
	d.notifier = notify.New(ctx, notify.Options{Command: d.plan.Document.Notify, Dir: d.Root, Warn: d.sink.Warn})
	show := d.sink.Event
	d.sink.Event = func(e deploy.Event) {
		show(e)
		d.notifier.Event(e)
	}
}

// runner checks the plan and the options first, because that starts no program, and
// then evaluates the flake.
func (d *driver) runner(gentle context.Context) (r *deploy.Runner, err error) {
	if d.selected, err = d.Selection.Of(d.plan.Nodes); err != nil {
		return nil, err
	}
	r = &deploy.Runner{Options: d.Options.Options, Stop: gentle.Done(), Moves: d.plan.Document.Moves(), Waves: wavesOf(d.plan.Document)}
	if !d.SkipVerification {
		r.Verifier = verify.New(d.plan.Document, verify.Options{})
	}
	if r.Mover, err = d.mover(); err != nil {
		return nil, problem.In(d.Folder.File(generated.PlanFile), err)
	}
	if d.config, err = remote.Write(gentle, "", d.plan.Nodes); err != nil {
		return nil, err
	}
	d.after(d.config.Close)
	if d.nix, err = d.Nix(gentle); err != nil {
		return nil, err
	}
	d.store = &closure.Store{Nix: d.nix, SSHConfig: d.config.Path}
	r.Remote, r.Store = remote.New(d.config), d.store
	if r.Signing, err = d.sign(gentle); err != nil {
		return nil, err
	}
	d.sink.Phase("evaluating the flake's deploy.nodes")
	if d.selected, err = d.plan.Evaluate(gentle, d.store, d.Selection); err != nil {
		return nil, err
	}
	for i := range d.selected {
		d.selected[i].RemoteBuild = d.selected[i].RemoteBuild || d.RemoteBuild
	}
	return r, nil
}

func (d *driver) mover() (*move.Mover, error) {
	deployed := map[string]string{}
	for user, entry := range d.plan.State.Entries {
		if entry.DeployedNode != "" {
			deployed[user] = entry.DeployedNode
		}
	}
	return move.New(d.plan.Document, move.Options{
		Skip: d.plan.users(d.Migrations.Skip), Sources: d.Migrations.Sources, IgnoreErrors: d.Migrations.IgnoreErrors,
		Warn: func(user string, err error) {
			d.sink.Warn(fmt.Sprintf("environment %s moves without its data: %v", user, err))
		},
		Deployed: deployed,
	})
}

// sign prepares the signing of closures. A run that copies none makes no key.
func (d *driver) sign(ctx context.Context) (none deploy.Signing, err error) {
	builds := slices.ContainsFunc(d.selected, func(n deploy.Node) bool { return !n.RemoteBuild })
	if d.Mode != deploy.Deploy || d.RemoteBuild || !builds {
		return none, nil
	}
	domain := d.plan.Document.HostenvHostname
	key, err := nix.OpenKey(ctx, d.Root, d.SigningKey, domain)
	if err != nil {
		return none, err
	}
	d.store.KeyFile = key.File
	return deploy.Signing{
		PublicKey: key.Public,
		InPlan:    d.plan.Document.TrustedPublicKeys(),
		InFlake:   func() ([]string, error) { return d.nix.TrustedPublicKeys(ctx) },
	}, nil
}

// activator sets the folder of the roots, and returns the activator, nil for a run
// that changes nothing.
func (d *driver) activator(journal *deploy.Journal) (deploy.Activator, error) {
	if d.Mode != deploy.Deploy {
		roots, err := os.MkdirTemp("", "hostenv-roots-")
		if err != nil {
			return nil, err
		}
		d.store.Roots = roots
		d.after(func() error { return os.RemoveAll(roots) })
		return nil, nil
	}
	d.store.Roots = filepath.Join(journal.Dir, "roots")
	return deployrs.New(deployrs.Options{Dir: journal.Dir, SSHConfig: d.config.Path, Program: d.DeployRs, Nix: d.nix, Inherit: []*os.File{d.lock.File}}), nil
}
