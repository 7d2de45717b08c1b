package move

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// From returns the node that has an environment's data. It returns "" if no data
// must move: the environment is skipped, has no migrations, is already on its node,
// or is new.
//
// Options.Sources come first, then the plan's previousNode, then the state. If none
// of them has the environment, From asks DNS for the nodes that its generated host
// name leads to. If that is only the node that it is deployed to, or no node, From
// asks for its virtual hosts. It returns the one other node that DNS names. If DNS
// names several, or does not answer, From fails, and the hint names the options to
// use. A proxy in front of the nodes hides them; then From returns "".
func (m *Mover) From(ctx context.Context, n deploy.Node, p deploy.Profile) (string, error) {
	node, _, err := m.from(ctx, n, p)
	if err != nil && m.ignore(ctx, p.Name, err) {
		return "", nil
	}
	return node, err
}

// from is From. guessed is true if the node is known from DNS alone.
func (m *Mover) from(ctx context.Context, n deploy.Node, p deploy.Profile) (node string, guessed bool, err error) {
	e := m.environments[p.Name]
	if p.IsSystem() || len(e.Backups()) == 0 || slices.Contains(m.options.Skip, p.Name) {
		return "", false, nil
	}
	for _, node := range []string{m.options.Sources[p.Name], e.PreviousNode, m.options.Deployed[p.Name]} {
		switch {
		case node == "":
			continue
		case node == n.Name:
			return "", false, nil
		case m.nodes[node] == "":
			return "", false, sourceError(p.Name, "it was deployed to "+node+", which is no longer a node of the plan")
		}
		return node, false, nil
	}
	node, err = m.discover(ctx, n.Name, p.Name, e)
	return node, true, err
}

// discover finds the node that has an environment's data by DNS.
func (m *Mover) discover(ctx context.Context, current, user string, e plan.Environment) (string, error) {
	for _, names := range [][]string{{e.Hostenv.Hostname}, slices.Sorted(maps.Keys(e.VirtualHosts))} {
		found, err := m.nodesOf(ctx, names)
		if err != nil {
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			return "", sourceError(user, "DNS does not answer: "+err.Error())
		}
		// Some of its names may lead to the new node already.
		found = slices.DeleteFunc(found, func(node string) bool { return node == current })
		switch len(found) {
		case 0:
		case 1:
			return found[0], nil
		default:
			return "", sourceError(user, fmt.Sprintf("%s lead to %s", strings.Join(names, ", "), strings.Join(found, " and ")), found...)
		}
	}
	return "", nil
}

// nodesOf returns the nodes that share an address with one of the names, sorted.
func (m *Mover) nodesOf(ctx context.Context, names []string) ([]string, error) {
	wanted := map[netip.Addr]bool{}
	for _, name := range names {
		addresses, err := m.lookup(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, address := range addresses {
			wanted[address] = true
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	var found []string
	for _, node := range slices.Sorted(maps.Keys(m.nodes)) {
		addresses, err := m.lookup(ctx, m.nodes[node])
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(addresses, func(a netip.Addr) bool { return wanted[a] }) {
			found = append(found, node)
		}
	}
	return found, nil
}

// A cache keeps the answers of DNS during a run, because environments share nodes.
type cache struct {
	mu      sync.Mutex
	answers map[string][]netip.Addr
}

// lookup returns the addresses of a name, none if the name does not exist. If DNS
// does not answer, it returns an error, because the name may exist.
func (m *Mover) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	if name == "" || strings.HasPrefix(name, "*.") {
		return nil, nil
	}
	m.cache.mu.Lock()
	addresses, known := m.cache.answers[name]
	m.cache.mu.Unlock()
	if known {
		return addresses, nil
	}
	// The final dot prevents the use of a search list.
	addresses, err := m.options.Resolver.LookupNetIP(ctx, "ip", name+".")
	var unknown *net.DNSError
	if err != nil && (!errors.As(err, &unknown) || !unknown.IsNotFound) {
		return nil, err
	}
	for i, address := range addresses {
		addresses[i] = address.Unmap()
	}
	m.cache.mu.Lock()
	defer m.cache.mu.Unlock()
	m.cache.answers[name] = addresses
	return addresses, nil
}
