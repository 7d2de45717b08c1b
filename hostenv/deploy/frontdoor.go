package deploy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// FrontDoors gathers what is to be done by hand at the nodes' nginx: its method
// Ask is for [Survey], and may be called by several at once.
type FrontDoors struct {
	mu    sync.Mutex
	found []FrontDoorFinding
}

// A FrontDoorFinding is a node's.
type FrontDoorFinding struct {
	Node string
	Finding
}

// FindingNginxOlder is the code of an nginx that was started with other settings
// than its unit has now.
const FindingNginxOlder = "nginx-older"

// askFrontDoor compares the settings that nginx was started with, and those of
// the system: see nix/modules/nginx-upgrade.nix.
const askFrontDoor = `if [ -e /etc/hostenv/nginx-unit ] && systemctl -q is-active nginx && ! cmp -s /etc/hostenv/nginx-unit /run/hostenv/nginx-unit; then echo older; fi`

// Ask asks a node.
func (f *FrontDoors) Ask(ctx context.Context, n Node, session Session) error {
	out, err := session.Run(ctx, n.User, nil, "sh", "-c", askFrontDoor)
	if err != nil {
		return fmt.Errorf("node %s: cannot check its nginx: %w", n.Name, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if strings.TrimSpace(string(out)) == "older" {
		f.found = append(f.found, FrontDoorFinding{n.Name, Finding{
			Level: Warning, Code: FindingNginxOlder,
			Message: fmt.Sprintf("node %s: nginx runs with older settings than its unit has now", n.Name),
			Hint:    "run `systemctl restart nginx` as root on " + n.Name + " at a quiet time: a deploy does not restart nginx, because a restart cuts off open requests",
		}})
	}
	return nil
}

// Findings returns what was found, by node.
func (f *FrontDoors) Findings() []FrontDoorFinding {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.SortFunc(f.found, func(a, b FrontDoorFinding) int { return cmp.Compare(a.Node, b.Node) })
	return f.found
}
