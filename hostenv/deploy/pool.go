package deploy

import "context"

// A pool limits how much of one kind of work goes on at once. Work of different kinds
// does not wait for each other: a copy needs the network, an activation almost none of
// this machine. A nil pool has no limit.
type pool chan struct{}

func newPool(places int) pool { return make(pool, places) }

// use calls do when there is a place. If ctx ends first, it returns ctx's error.
func (p pool) use(ctx context.Context, do func() error) error {
	if p == nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		return do()
	}
	select {
	case p <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p }()
	return do()
}
