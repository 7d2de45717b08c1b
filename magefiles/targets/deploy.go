package targets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/magefile/mage/mg"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/drive"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Deploy brings the nodes and environments to the versions of the plan.
//
// On each node it deploys the system first and then the environments, with
// deploy-rs. It skips versions that are active already. If an activation fails, or
// an enforced check that passed before, the version before it is active again.
//
// Exit codes: 0 after success; 1 after an error, before the first activation; 2
// with -plan -detailedExitcode if there is something to deploy; 3 if a part
// failed; 4 if the plan is older than the state; 5 if another deploy is running;
// 6 after success if the plan holds projects back; 130 after an interruption.
func Deploy(ctx context.Context,
	node *string, // only these nodes: names and patterns (n*), separated by commas
	env *string, // only these environments, by user name or pattern; system for the systems
	exclude *string, // leave out these nodes, environments, or node/environment
	plan *bool, // build, show what would change, and deploy nothing
	detailedExitcode *bool, // with -plan or -dryRun: end with 2 if there is something to deploy
	dryRun *bool, // show what would be deployed, without a build
	reviewed *string, // deploy only the plan with this digest, which its review shows
	resume *bool, // continue the last run, which was interrupted or failed
	noWaves *bool, // deploy to all nodes at once, without provider.waves
	jobs *int, // how many copies to nodes run at once, default 4
	lockWait *time.Duration, // how long to wait for the end of another deploy, default 0s
	evaluate *string, // full: evaluate everything anew, with the whole flake
	skipOffline *bool, // if nodes cannot be reached, deploy to the others
	remoteBuild *bool, // build on the nodes
	skipVerification *bool, // do not check whether environments work
	keep *bool, // keep a new version active although its enforced checks fail
	skipMigrations *string, // leave the data of these environments on their old nodes; * for all
	migrationSource *string, // the nodes that hold data: environment=node, separated by commas
	ignoreMigrationErrors *bool, // continue without data that cannot be moved
	allowOlder *string, // why this plan may replace a newer one on a node
	signingKey *string, // the file of the secret signing key, default secrets/signing/secret.key
	deployRs *string, // the program deploy of deploy-rs, default from the flake's input
	json *bool, // print events as JSON, one a line
	out *string, // the generated folder, default generated
) error {
	f := openFolder(out, false)
	anew, err := evaluatesAnew(evaluate)
	if err != nil {
		return f.fail(err)
	}
	o := drive.Options{
		Options: deploy.Options{Jobs: value(jobs, 0), LockWait: value(lockWait, 0), SkipOffline: value(skipOffline, false),
			SkipVerification: value(skipVerification, false), Keep: value(keep, false), RemoteBuild: value(remoteBuild, false), DetailedExitcode: value(detailedExitcode, false), NoWaves: value(noWaves, false), AllowOlder: strings.TrimSpace(value(allowOlder, ""))},
		Root: f.root, Folder: f.Folder,
		Selection:  deploy.Selection{Nodes: list(node), Profiles: list(env), Exclude: list(exclude)},
		Resume:     value(resume, false),
		Reviewed:   value(reviewed, ""),
		Migrations: deploy.Migrations{Skip: list(skipMigrations), IgnoreErrors: value(ignoreMigrationErrors, false)},
		SigningKey: value(signingKey, ""), DeployRs: value(deployRs, ""),
		Nix: func(ctx context.Context) (*nix.Runner, error) {
			return withTokens(ctx, &nix.Runner{Dir: f.root, Anew: anew})
		},
	}
	switch {
	case value(plan, false) && value(dryRun, false):
		return f.fail(problem.New("", "-plan and -dryRun exclude each other", "-plan builds and shows what changes; -dryRun shows it without building"))
	case value(plan, false):
		o.Mode = deploy.Preview
	case value(dryRun, false):
		o.Mode = deploy.Look
	}
	if err := usage(map[string]*string{"-node": node, "-env": env, "-exclude": exclude, "-skipMigrations": skipMigrations, "-migrationSource": migrationSource}); err != nil {
		return f.fail(err)
	}
	if reviewed != nil && *reviewed == "" {
		return f.fail(problem.New("-reviewed", "is empty", "pass the digest in the first line of the review, or leave the flag out to deploy the plan that is here"))
	}
	if allowOlder != nil && strings.TrimSpace(*allowOlder) == "" {
		return f.fail(problem.New("-allowOlder", "is empty", `write the reason, which the journal keeps: -allowOlder="the new kernel does not boot"`))
	}
	if jobs != nil && *jobs == 0 { // in drive.Options 0 means the default
		return f.fail(problem.New("-jobs", "is 0", "omit it for the default"))
	}
	if o.Migrations.Sources, err = migrationSources(list(migrationSource)); err != nil {
		return f.fail(err)
	}
	defer withhold()()
	f.warnUntracked(ctx, true, stateFile)
	err = showDeploy(ctx, o, newShown(value(json, false)))
	failed := f.fail(err)
	if errors.Is(err, context.Canceled) {
		return mg.Fatal(deploy.ExitInterrupted, "interrupted")
	}
	return failed
}

// migrationSources reads pairs of environment=node.
func migrationSources(pairs []string) (map[string]string, error) {
	sources := map[string]string{}
	for _, pair := range pairs {
		user, node, _ := strings.Cut(pair, "=")
		if user == "" || node == "" || strings.Contains(node, "=") {
			return nil, problem.New("-migrationSource", fmt.Sprintf("is %q", pair), "write environment=node, several with commas between")
		}
		if other := sources[user]; other != "" && other != node {
			return nil, problem.New("-migrationSource", fmt.Sprintf("takes the data of %s from %s and from %s", user, other, node), "name one node")
		}
		sources[user] = node
	}
	return sources, nil
}

// showDeploy deploys, shows the progress, and returns an error with the exit code.
func showDeploy(ctx context.Context, o drive.Options, show *shown) error {
	defer show.done()
	// Do this first: Mage may not have registered for Ctrl-C yet.
	ctx, gentle, release := interrupts(ctx, show.say)
	defer release()
	o.Stop = gentle.Done()
	var held []plan.Held
	outcome, err := drive.Run(ctx, o, drive.Sink{Event: show.event, Phase: show.phase, Warn: show.warn, Plan: func(d plan.Document) {
		held, _ = tellStays(d) // if the reader has ended, the exit code says it
	}})
	show.done()
	if !outcome.Ended {
		return err
	}
	code, what, write := outcome.Code(), "the deploy", report.Summary
	if o.Mode != deploy.Deploy {
		code, what, write = outcome.PreviewCode(o.DetailedExitcode), "the preview", report.Preview
	}
	if !show.json {
		// The exit code also counts if the reader of a pipe has ended.
		if unshown := write(os.Stdout, outcome); !errors.Is(unshown, syscall.EPIPE) {
			err = errors.Join(unshown, err)
		}
	}
	if code != deploy.ExitDone && code != deploy.ExitHeld {
		err = errors.Join(&outcomeError{code, fmt.Sprintf("%s ended with %d", what, code)}, err)
	}
	return heldBack(held, err)
}
