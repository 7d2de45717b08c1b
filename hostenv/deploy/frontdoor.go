package deploy

import (
	"cmp"
	"context"
	"fmt"
	"strings"
)

// FrontDoors collects what an operator must do by hand at the nodes' nginx. Its
// method Ask is for [Survey], and is safe for concurrent use.
type FrontDoors struct{ found collected[Event] }

// FindingNginxOlder is the code of an nginx that was started with other settings
// than its unit has now.
const FindingNginxOlder = "nginx-older"

// askFrontDoor compares the settings that nginx was started with, and those of
// the system: see nix/modules/nginx-upgrade.nix.
const askFrontDoor = `if [ -e /etc/hostenv/nginx-unit ] && systemctl -q is-active nginx && ! cmp -s /etc/hostenv/nginx-unit /run/hostenv/nginx-unit; then echo older; fi`

// Ask adds the finding of a node, if there is one.
func (f *FrontDoors) Ask(ctx context.Context, n Node, session Session) error {
	out, err := session.Run(ctx, n.User, nil, "sh", "-c", askFrontDoor)
	if err != nil {
		return fmt.Errorf("node %s: cannot check its nginx: %w", n.Name, err)
	}
	if strings.TrimSpace(string(out)) == "older" {
		f.found.add(Event{Type: TypeFinding, Node: n.Name, Finding: finding(Warning, FindingNginxOlder,
			"run `systemctl restart nginx` as root on "+n.Name+" at a quiet time: a deploy does not restart nginx, because a restart cuts off open requests",
			"node %s: nginx runs with older settings than its unit has now", n.Name)})
	}
	return nil
}

// Findings returns the findings by node.
func (f *FrontDoors) Findings() []Event {
	return f.found.sorted(func(a, b Event) int { return cmp.Compare(a.Node, b.Node) })
}
