package deploy

import "context"

// Mover takes an environment's data along from the node that it was on.
type Mover interface {
	// Prepare backs up on the old node, and leaves on the new one the plan by
	// which the environment restores when it is activated. It returns nil where
	// there is nothing to take along.
	//
	// from is nil where the old node is out of reach. Nothing is written then, and
	// nil without an error says that the environment goes without its data.
	Prepare(ctx context.Context, from, to Session, n Node, p Profile) (*Moved, error)
	// From says which node an environment's data is on, "" for none but its own.
	From(ctx context.Context, n Node, p Profile) (string, error)
	// Discard removes a restore plan that a run before left on the node.
	Discard(ctx context.Context, to Session, p Profile) error
}

// Moved says what will be restored.
type Moved struct {
	From      string            `json:"from"`
	Snapshots map[string]string `json:"snapshots"` // restic's, by the name of the backup
}
