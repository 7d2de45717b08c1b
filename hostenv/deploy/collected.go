package deploy

import (
	"slices"
	"sync"
)

// collected collects what the functions of a [Survey] find on several nodes at
// once.
type collected[T any] struct {
	mu  sync.Mutex
	all []T
}

func (c *collected[T]) add(found ...T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, found...)
}

func (c *collected[T]) sorted(compare func(a, b T) int) []T {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(slices.Values(c.all), compare)
}
