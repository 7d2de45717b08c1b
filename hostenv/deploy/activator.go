package deploy

import (
	"context"
	"io"
)

// Activator activates a profile whose path is on the node.
type Activator interface {
	// Activate returns when the activation has ended, or cannot end. Its error does
	// not show the state of the node: the caller asks the node.
	//
	// The activation continues if this process ends. At its end it writes its exit
	// status to how.Status, a file that does not exist before.
	Activate(ctx context.Context, n Node, p Profile, how ActivateOptions, log io.Writer) error
}

// ActivateOptions change how a profile is activated.
type ActivateOptions struct {
	// Rollback lets the node go back by itself. It is false if there is no path to
	// go back to, because deploy-rs goes back by one generation.
	Rollback bool
	Status   string // the file for the exit status
}
