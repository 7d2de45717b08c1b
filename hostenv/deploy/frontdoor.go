package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// FrontDoors gathers what is to be done by hand at the nodes' nginx: its method
// Look is for [Survey].
type FrontDoors struct {
	mu    sync.Mutex
	found []FrontDoorFinding
	wrong []error
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

// Look asks a node.
func (f *FrontDoors) Look(ctx context.Context, n Node, session Session) {
	out, err := session.Run(ctx, n.User, nil, "sh", "-c", askFrontDoor)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.wrong = append(f.wrong, fmt.Errorf("node %s: its nginx cannot be looked at: %w", n.Name, err))
	}
	if strings.TrimSpace(string(out)) == "older" {
		f.found = append(f.found, FrontDoorFinding{n.Name, Finding{
			Level: Warning, Code: FindingNginxOlder,
			Message: fmt.Sprintf("node %s: nginx runs with the settings that its unit had when it was started, and the system has others", n.Name),
			Hint:    "`systemctl restart nginx` as root on " + n.Name + " when it suits: no deploy restarts it, for a restart cuts the requests that it has",
		}})
	}
}

// Findings returns what was found, by node, and what went wrong.
func (f *FrontDoors) Findings() ([]FrontDoorFinding, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.SortFunc(f.found, func(a, b FrontDoorFinding) int { return cmp.Compare(a.Node, b.Node) })
	return f.found, errors.Join(f.wrong...)
}
