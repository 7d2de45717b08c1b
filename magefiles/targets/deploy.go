package targets

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/magefile/mage/mg"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/closure"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/deployrs"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/move"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/verify"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// Deploy brings the nodes to where the plan says.
//
// Of each node it deploys the system first and then the environments, through
// deploy-rs, and leaves alone what is there already. Whatever fails stays as it
// was. It ends with 1 where it failed or did not begin, 2 with -plan
// -detailedExitcode where there is something to deploy, 3 where a part of it
// failed, 4 where the plan is older than the state, 5 where another deploy is at
// work, and 130 where it was interrupted.
func Deploy(ctx context.Context,
	node *string, // only these nodes: names and patterns (n*), separated by commas
	env *string, // only these environments, by user name or pattern; system for the systems
	exclude *string, // not these nodes, environments, or node/environment
	plan *bool, // build, show what would change, and deploy nothing
	detailedExitcode *bool, // with -plan or -dryRun: end with 2 if there is something to deploy
	dryRun *bool, // show what would be deployed, without building it
	resume *bool, // go on with the last run, which was interrupted or failed
	jobs *int, // how many builds, copies and activations at once, default 4
	lockWait *time.Duration, // how long to wait for another deploy, default not at all
	skipOffline *bool, // deploy to the other nodes where some cannot be reached
	remoteBuild *bool, // build on the nodes
	skipVerification *bool, // do not ask environments whether they work
	skipMigrations *string, // leave the data of these environments on their old nodes; * for all
	migrationSource *string, // where data is: environment=node, separated by commas
	ignoreMigrationErrors *bool, // go on without data that cannot be taken along
	signingKey *string, // the file of the signing key, default secrets/signing/secret.key
	deployRs *string, // deploy-rs's program, default that of the flake's input
	json *bool, // print events as JSON, a line each
	out *string, // the generated folder, default generated
) error {
	r := deployRun{
		folder:    generated(out),
		selection: deploy.Selection{Nodes: list(node), Profiles: list(env), Exclude: list(exclude)},
		options: deploy.Options{Jobs: value(jobs, 0), LockWait: value(lockWait, 0), SkipOffline: value(skipOffline, false),
			SkipVerification: value(skipVerification, false), RemoteBuild: value(remoteBuild, false), DetailedExitcode: value(detailedExitcode, false)},
		migrations: move.Options{Skip: list(skipMigrations), IgnoreErrors: value(ignoreMigrationErrors, false)},
		sources:    list(migrationSource),
		signingKey: value(signingKey, ""), deployRs: value(deployRs, ""),
		resume: value(resume, false), json: value(json, false),
	}
	switch {
	case value(plan, false):
		r.mode = deploy.Preview
	case value(dryRun, false):
		r.mode = deploy.Look
	}
	if err := usage(map[string]*string{"-node": node, "-env": env, "-exclude": exclude, "-skipMigrations": skipMigrations, "-migrationSource": migrationSource}); err != nil {
		return r.fail(err)
	}
	defer withhold()()
	err := r.do(ctx)
	failed := r.fail(err)
	if errors.Is(err, context.Canceled) {
		return mg.Fatal(deploy.ExitInterrupted, "interrupted")
	}
	return failed
}

type deployRun struct {
	*folder
	mode       deploy.Mode
	selection  deploy.Selection
	options    deploy.Options
	migrations move.Options
	sources    []string
	signingKey string
	deployRs   string
	resume     bool
	json       bool
}

// outcomeError ends a run whose events say how it went.
type outcomeError struct {
	code int
	text string
}

func (e *outcomeError) Error() string { return e.text }

// ended is the outcomeError of a deploy, or of what looks at one beforehand.
func (r *deployRun) ended(code int) error {
	what := "the deploy"
	if r.mode != deploy.Deploy {
		what = "looking at what a deploy would change"
	}
	return &outcomeError{code, fmt.Sprintf("%s ended with %d", what, code)}
}

// A planned is the plan of a run, with what belongs to it.
type planned struct {
	document plan.Document
	state    state.State
	fleet    []deploy.Node // all nodes, with all profiles
	selected []deploy.Node
}

func (r *deployRun) do(ctx context.Context) error {
	if err := r.check(); err != nil {
		return err
	}
	show := newShown(r.json)
	defer func() { show.done() }()
	// Before anything is waited for: Mage itself may not have asked for Ctrl-C yet.
	ctx, gentle, release := interrupts(ctx, show.say)
	defer release()
	if r.mode != deploy.Deploy {
		return r.run(ctx, gentle, show, nil)
	}
	if err := r.planned(); err != nil {
		return err
	}
	lock, err := deploy.LockRun(gentle, r.hidden("deploy.lock"), holder(""), r.options.LockWait)
	if err != nil {
		return err
	}
	return errors.Join(r.run(ctx, gentle, show, lock), lock.Close())
}

// holder says who deploys, for others to read.
func holder(run string) string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, _ := os.Hostname()
	text := fmt.Sprintf("%s@%s, process %d", name, host, os.Getpid())
	if run != "" {
		text += ", run " + run
	}
	return text
}

// hidden is a path in the folder that git does not see.
func (r *deployRun) hidden(name string) string { return filepath.Join(r.Path(), ".hostenv", name) }

func (r *deployRun) check() error {
	selects := len(r.selection.Nodes)+len(r.selection.Profiles)+len(r.selection.Exclude) > 0
	switch {
	case r.resume && r.mode != deploy.Deploy:
		return errors.New("-resume deploys, and goes with neither -plan nor -dryRun")
	case r.resume && selects:
		return hinted(errors.New("-resume takes up what the last run was about, and goes with none of -node, -env and -exclude"), "leave -resume away to deploy something else")
	case r.options.DetailedExitcode && r.mode == deploy.Deploy:
		return hinted(errors.New("-detailedExitcode is nothing without -plan or -dryRun"), "add -plan")
	case r.options.Jobs < 0:
		return fmt.Errorf("-jobs is %d", r.options.Jobs)
	}
	r.migrations.Sources = map[string]string{}
	for _, pair := range r.sources {
		user, node, _ := strings.Cut(pair, "=")
		if user == "" || node == "" || strings.Contains(node, "=") {
			return hinted(fmt.Errorf("-migrationSource is %q", pair), "write environment=node, several with commas between")
		}
		if other := r.migrations.Sources[user]; other != "" && other != node {
			return hinted(fmt.Errorf("-migrationSource has the data of %s on %s and on %s", user, other, node), "name the one node that they are to be taken from")
		}
		r.migrations.Sources[user] = node
	}
	return nil
}

// run does what is to be done under the lock, nil for a preview. The end of gentle
// is the first Ctrl-C, that of ctx the second.
func (r *deployRun) run(ctx, gentle context.Context, show *shown, lock *deploy.RunLock) (err error) {
	p, err := r.read()
	if err != nil {
		return err
	}

	// What is refused here leaves no journal: -resume is for runs that began.
	resumed, err := r.takeUp(p)
	if err != nil {
		return err
	}
	if p.selected, err = r.selection.Of(p.fleet); err != nil {
		return err
	}
	runner := &deploy.Runner{Options: r.options, Stop: gentle.Done(), Moves: p.document.Moves()}
	if !r.options.SkipVerification {
		runner.Verifier = verify.New(p.document, verify.Options{})
	}
	if runner.Mover, err = r.mover(p, show); err != nil {
		return in(r.path(planFile), err)
	}
	// No program is started before this.
	config, err := remote.Write(gentle, "", p.fleet)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, config.Close()) }()
	evaluator, err := withTokens(gentle, &nix.Runner{Dir: "."})
	if err != nil {
		return err
	}
	store := &closure.Store{Nix: evaluator, SSHConfig: config.Path, Pause: 2 * time.Second}
	runner.Remote, runner.Store = remote.New(config), store
	if r.mode == deploy.Deploy {
		if runner.Signing, err = r.sign(gentle, p, store); err != nil {
			return err
		}
	}
	show.phase("evaluating the flake's deploy.nodes")
	if err := r.evaluate(gentle, store, p); err != nil {
		return err
	}
	if r.options.RemoteBuild {
		onNodes(p.selected)
	}

	history, err := deploy.ReadHistory(r.hidden("runs"))
	if err != nil {
		return err
	}
	runner.Arrived, runner.Unasked = history.Arrived, history.Unasked
	journal, err := r.journal(p, resumed, show)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	runner.Journal, runner.Holder = journal, holder(journal.ID)
	if r.mode == deploy.Deploy {
		here, err := os.Getwd()
		if err != nil {
			return err
		}
		store.Roots = filepath.Join(journal.Dir, "roots")
		runner.Activator = deployrs.New(deployrs.Options{Dir: journal.Dir, SSHConfig: config.Path, Program: r.deployRs, Flake: here, Inherit: []*os.File{lock.File}})
	} else {
		if store.Roots, err = os.MkdirTemp("", "hostenv-roots-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(store.Roots)) }()
	}
	outcome, err := runner.Run(ctx, r.mode, p.selected, p.fleet, history.Doubts)
	if err != nil {
		return err
	}
	var unwritten error
	if r.mode == deploy.Deploy {
		// What is deployed is written down, however the rest went.
		if unwritten = r.record(context.WithoutCancel(ctx), p, outcome.Deployed()); unwritten != nil {
			unwritten = hinted(fmt.Errorf("write down which node each environment is on: %w", unwritten), "`mage deploy -resume` does so, and activates nothing again")
		}
	}
	show.done()
	return errors.Join(r.tell(outcome), unwritten)
}

// read reads the plan, which must be that of the state.
func (r *deployRun) read() (*planned, error) {
	s, _, err := r.readState()
	if err != nil {
		return nil, err
	}
	text, err := r.readIfThere(planFile)
	if err != nil {
		return nil, err
	}
	if text == nil {
		return nil, hinted(fmt.Errorf("there is no %s", r.path(planFile)), "run `mage plan`")
	}
	if err := plan.CheckFresh(text, s); err != nil {
		return nil, in(r.path(planFile), err)
	}
	document, err := plan.DecodeDocument(text)
	if err != nil {
		return nil, in(r.path(planFile), err)
	}
	fleet, err := deploy.Planned(document)
	if err != nil {
		return nil, in(r.path(planFile), err)
	}
	return &planned{document: document, state: s, fleet: fleet}, nil
}

// onNodes has nodes build for themselves.
func onNodes(nodes []deploy.Node) {
	for i := range nodes {
		nodes[i].RemoteBuild = true
	}
}

// evaluate adds the store paths of what is selected.
func (r *deployRun) evaluate(ctx context.Context, store *closure.Store, p *planned) error {
	found, err := store.Evaluate(ctx, p.selected)
	if err != nil {
		return err
	}
	filled, err := deploy.Fill(p.fleet, found)
	if err != nil {
		return err
	}
	p.selected, err = r.selection.Of(filled)
	return err
}

// named are environments by user, of which * is every one.
func (p *planned) named(users []string) []string {
	if !slices.Contains(users, "*") {
		return users
	}
	var all []string
	for _, n := range p.fleet {
		for _, profile := range n.Profiles {
			if !profile.IsSystem() {
				all = append(all, profile.Name)
			}
		}
	}
	return all
}

func (r *deployRun) mover(p *planned, show *shown) (*move.Mover, error) {
	o := r.migrations
	o.Skip = p.named(o.Skip)
	o.Deployed = map[string]string{}
	for user, entry := range p.state.Entries {
		if entry.DeployedNode != "" {
			o.Deployed[user] = entry.DeployedNode
		}
	}
	o.Warn = func(user string, err error) {
		show.warn(fmt.Sprintf("environment %s goes without its data: %v", user, err))
	}
	return move.New(p.document, o)
}

// sign prepares the signing of what is pushed; a run that pushes nothing makes
// no key.
func (r *deployRun) sign(ctx context.Context, p *planned, store *closure.Store) (deploy.Signing, error) {
	if r.options.RemoteBuild || !slices.ContainsFunc(p.selected, func(n deploy.Node) bool { return !n.RemoteBuild }) {
		return deploy.Signing{}, nil
	}
	domain, _ := p.document.Value()["hostenvHostname"].(string)
	key, err := closure.OpenKey(ctx, ".", r.signingKey, domain)
	if err != nil {
		return deploy.Signing{}, err
	}
	store.KeyFile = key.File
	return deploy.Signing{
		PublicKey: key.Public,
		InPlan:    p.document.TrustedPublicKeys(),
		InFlake:   func() ([]string, error) { return (&nix.Runner{Dir: "."}).TrustedPublicKeys(ctx) },
	}, nil
}

// journal begins a journal, or opens the one that is resumed.
func (r *deployRun) journal(p *planned, resumed string, show *shown) (*deploy.Journal, error) {
	if r.mode != deploy.Deploy {
		return deploy.NewStory(show.event), nil
	}
	runs := r.hidden("runs")
	if resumed != "" {
		j, err := deploy.OpenJournal(runs, resumed, show.event)
		if err != nil {
			return nil, err
		}
		return j, j.Append(deploy.Event{Type: deploy.TypeResume})
	}
	if err := deploy.PruneRuns(runs); err != nil {
		return nil, err
	}
	start := deploy.Start{Plan: p.digest(), By: holder(""), Selected: r.selection, Options: r.options, SigningKey: r.signingKey, DeployRs: r.deployRs}
	if m := r.migrations; m.IgnoreErrors || len(m.Skip)+len(m.Sources) > 0 {
		start.Migrations = &deploy.Migrations{Skip: m.Skip, Sources: m.Sources, IgnoreErrors: m.IgnoreErrors}
	}
	return deploy.CreateJournal(runs, time.Now(), show.event, deploy.Event{Type: deploy.TypeRun, Start: &start})
}

// unrecorded are those of deployed that the state does not know yet.
func (p *planned) unrecorded(deployed map[string]string) map[string]string {
	news := maps.Clone(deployed)
	maps.DeleteFunc(news, func(user, node string) bool {
		entry, ok := p.state.Entries[user]
		return !ok || entry.DeployedNode == node
	})
	return news
}

// record writes down which node every environment was deployed to: in the state
// first, and then in the plan, which has its digest.
func (r *deployRun) record(ctx context.Context, p *planned, deployed map[string]string) error {
	news := p.unrecorded(deployed)
	if len(news) == 0 {
		return nil
	}
	return r.locked(ctx, func() error {
		before, stateText, err := r.readState()
		if err != nil {
			return err
		}
		after := before.WithDeployed(news)
		files := []file{{stateFile, stateText, after.Encode()}}
		planText, err := r.readIfThere(planFile)
		if err != nil {
			return err
		}
		// A plan that somebody made meanwhile, of another state, stays as it is.
		if planText != nil && plan.CheckFresh(planText, before) == nil {
			document, err := plan.DecodeDocument(planText)
			if err != nil {
				return in(r.path(planFile), err)
			}
			files = append(files, file{planFile, planText, document.WithDeployed(news, after.Digest()).Encode()})
		}
		return r.write(ctx, files...)
	})
}

// tell prints how it went, and returns the error that ends with its code.
func (r *deployRun) tell(o deploy.Outcome) error {
	code := o.Code()
	if r.mode != deploy.Deploy {
		code = o.PreviewCode(r.options.DetailedExitcode)
	}
	if !r.json {
		write := report.Summary
		if r.mode != deploy.Deploy {
			write = report.Preview
		}
		// A reader that has stopped reading still gets the exit code.
		if err := write(os.Stdout, o); err != nil && !errors.Is(err, syscall.EPIPE) {
			return errors.Join(err, r.ended(code))
		}
	}
	if code != deploy.ExitDone {
		return r.ended(code)
	}
	return nil
}
