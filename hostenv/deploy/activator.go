package deploy

import (
	"context"
	"io"
)

// Activator makes a profile that is on the node already the active one.
type Activator interface {
	// Activate returns once the activation is decided or cannot be. An error
	// does not tell the node's state: the caller asks the node what is active.
	//
	// The process that activates outlives this one if need be. It leaves its
	// exit status in status, a file that is not there until then.
	Activate(ctx context.Context, n Node, p Profile, how ActivateOptions, log io.Writer) error
}

// ActivateOptions say how a profile is activated.
type ActivateOptions struct {
	// Rollback lets the node go back by itself: off where there is nothing to go
	// back to, for deploy-rs goes by generations.
	Rollback bool
	Status   string // the file for the exit status
}
