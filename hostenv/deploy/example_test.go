package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/closure"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/deployrs"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/move"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/verify"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// A program deploys one environment of the provider whose folder it is in, and
// shows what happens as it happens.
func ExampleRunner() {
	deployOne := func(ctx context.Context, planJSON []byte, user string) (outcome deploy.Outcome, err error) {
		document, err := plan.DecodeDocument(planJSON)
		if err != nil {
			return outcome, err
		}
		nodes, err := deploy.Planned(document)
		if err != nil {
			return outcome, err // every name that could do harm, at once
		}
		config, err := remote.Write(ctx, "", nodes)
		if err != nil {
			return outcome, err
		}
		defer func() { err = errors.Join(err, config.Close()) }()

		runs := filepath.Join("generated", ".hostenv", "runs")
		lock, err := deploy.LockRun(ctx, filepath.Join("generated", ".hostenv", "deploy.lock"), "my program", time.Minute)
		if err != nil {
			return outcome, err
		}
		defer func() { err = errors.Join(err, lock.Close()) }()
		history, err := deploy.ReadHistory(runs) // what runs that were killed left undecided
		if err != nil {
			return outcome, err
		}
		journal, err := deploy.CreateJournal(runs, time.Now(), func(e deploy.Event) { fmt.Println(e.Node, e.Profile, e.State) })
		if err != nil {
			return outcome, err
		}
		defer func() { err = errors.Join(err, journal.Close()) }()

		key, err := closure.OpenKey(ctx, ".", "", "hosting.example")
		if err != nil {
			return outcome, err
		}
		store := &closure.Store{Nix: &nix.Runner{Dir: "."}, SSHConfig: config.Path, Roots: filepath.Join(journal.Dir, "roots"), KeyFile: key.File}
		paths, err := store.Evaluate(ctx, nodes) // once for all
		if err != nil {
			return outcome, err
		}
		if nodes, err = deploy.Fill(nodes, paths); err != nil {
			return outcome, err
		}
		selected, err := deploy.Selection{Profiles: []string{user}}.Of(nodes)
		if err != nil {
			return outcome, err
		}
		verifier := verify.New(document, verify.Options{})
		mover, err := move.New(document, move.Options{})
		if err != nil {
			return outcome, err
		}
		runner := &deploy.Runner{
			Remote: remote.New(config), Store: store, Verifier: verifier, Mover: mover, Journal: journal, Moves: document.Moves(),
			Activator: deployrs.New(deployrs.Options{Dir: journal.Dir, SSHConfig: config.Path, Flake: ".", Inherit: []*os.File{lock.File}}),
			Signing:   deploy.Signing{PublicKey: key.Public, InPlan: document.TrustedPublicKeys()},
			Holder:    "my program",
		}
		return runner.Run(ctx, deploy.Deploy, selected, nodes, history.Doubts)
	}
	_ = deployOne
}

// A journal tells how a run went, also one whose driver was killed.
func ExampleOutcomeOf() {
	var events []deploy.Event
	for _, line := range []string{
		`{"type":"version","events":"1.0"}`,
		`{"type":"profile","node":"n1","profile":"system","state":"active"}`,
		`{"type":"profile","node":"n1","profile":"shop-main-4f7240c","state":"activating","was":"/nix/store/old","want":"/nix/store/new"}`,
	} {
		e, err := deploy.DecodeEvent([]byte(line))
		if err != nil {
			panic(err)
		}
		events = append(events, e)
	}
	outcome := deploy.OutcomeOf(events)
	for _, p := range outcome.Profiles {
		fmt.Println(p.Node, p.Profile, p.State, p.Good())
	}
	fmt.Println(outcome.Ended, outcome.Profiles[1].Doubt.Path)
	// Output:
	// n1 system active true
	// n1 shop-main-4f7240c activating false
	// false /nix/store/new
}
