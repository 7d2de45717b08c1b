package drive_test

import (
	"context"
	"fmt"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/drive"
)

// A program deploys one environment of the provider in whose folder it runs, and
// prints what happens as it happens.
func ExampleRun() {
	deployOne := func(ctx context.Context, user string) error {
		outcome, err := drive.Run(ctx, drive.Options{
			Selection: deploy.Selection{Profiles: []string{user}},
			Options:   deploy.Options{LockWait: time.Minute},
			Holder:    "my program",
		}, drive.Sink{Event: func(e deploy.Event) { fmt.Println(e.Node, e.Profile, e.State) }})
		if err == nil && outcome.Code() != deploy.ExitDone {
			err = fmt.Errorf("the deploy of %s failed: %v", user, outcome.Counts())
		}
		return err
	}
	_ = deployOne // it needs nodes
}
