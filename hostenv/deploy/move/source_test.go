package move_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/move"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A zone holds the answers of DNS: addresses by name, "?" for a name about which
// DNS does not answer.
type zone map[string]string

func (z zone) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	name, ok := strings.CutSuffix(host, ".")
	text := z[name]
	switch {
	case !ok || strings.Contains(name, "*"):
		return nil, errors.New("the test has no " + host)
	case text == "?":
		return nil, &net.DNSError{Err: "server misbehaving", Name: host, IsTemporary: true}
	case text == "":
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var addresses []netip.Addr
	for _, a := range strings.Fields(text) {
		addresses = append(addresses, netip.MustParseAddr(a))
	}
	return addresses, nil
}

func TestFrom(t *testing.T) {
	nodes := zone{"old.hosting.test": "192.0.2.1 2001:db8::1", "new.hosting.test": "192.0.2.2", "far.hosting.test": "192.0.2.3"}
	with := func(more zone) zone {
		z := zone{}
		for name, text := range nodes {
			z[name] = text
		}
		for name, text := range more {
			z[name] = text
		}
		return z
	}
	const migrations = `, "migrations": ["a"]`
	tests := []struct {
		reason, plan string
		options      move.Options
		dns          zone // nil: DNS must not be asked
		want         string
		err          string
	}{
		{"from the plan", moved, move.Options{}, nil, "old", ""},
		{"from the command line", moved, move.Options{Sources: map[string]string{"shop": "far"}}, nil, "far", ""},
		{"it is skipped", moved, move.Options{Skip: []string{"shop"}}, nil, "", ""},
		{"it has no data to move", `, "previousNode": "old"`, move.Options{}, nil, "", ""},
		{"the state knows it here", migrations, move.Options{Deployed: map[string]string{"shop": "new"}}, nil, "", ""},
		{"the state knows it elsewhere", migrations, move.Options{Deployed: map[string]string{"shop": "far"}}, nil, "far", ""},
		{"the node is gone", `, "previousNode": "gone", "migrations": ["a"]`, move.Options{}, nil, "", "it was deployed to gone, which is no longer a node of the plan"},
		{"the node is gone, and the command line knows where they are", `, "previousNode": "gone", "migrations": ["a"]`, move.Options{Sources: map[string]string{"shop": "far"}}, nil, "far", ""},

		{"it is new, and has no name yet", migrations, move.Options{}, nodes, "", ""},
		{"its host name is there", migrations, move.Options{}, with(zone{"shop.hosting.test": "192.0.2.1", "www.shop.test": "192.0.2.2"}), "old", ""},
		{"by IPv6", migrations, move.Options{}, with(zone{"shop.hosting.test": "2001:db8::1"}), "old", ""},
		{"by IPv4 in IPv6", migrations, move.Options{}, with(zone{"shop.hosting.test": "::ffff:192.0.2.1"}), "old", ""},
		{"its names are here", migrations, move.Options{}, with(zone{"shop.hosting.test": "192.0.2.2", "www.shop.test": "192.0.2.2"}), "", ""},
		{"its host name is here already, and a virtual host is not", migrations, move.Options{}, with(zone{"shop.hosting.test": "192.0.2.2", "www.shop.test": "192.0.2.1"}), "old", ""},
		{"here and there", migrations, move.Options{}, with(zone{"shop.hosting.test": "192.0.2.2 192.0.2.1"}), "old", ""},
		{"here among several others", migrations, move.Options{}, with(zone{"shop.hosting.test": "192.0.2.2 192.0.2.1 192.0.2.3"}), "", "shop.hosting.test lead to far and old"},
		{"a node that only the connections have", migrations, move.Options{}, with(zone{"emptied.hosting.test": "192.0.2.4", "shop.hosting.test": "192.0.2.4"}), "emptied", ""},
		{"a node that only the connections have, by the plan", `, "previousNode": "emptied", "migrations": ["a"]`, move.Options{}, nil, "emptied", ""},
		{"a virtual host is there", migrations, move.Options{}, with(zone{"www.shop.test": "192.0.2.3"}), "far", ""},
		{"its host name leads to no node", migrations, move.Options{}, with(zone{"shop.hosting.test": "203.0.113.7", "www.shop.test": "192.0.2.3"}), "far", ""},
		{"a proxy", migrations, move.Options{}, with(zone{"shop.hosting.test": "203.0.113.7", "www.shop.test": "203.0.113.8"}), "", ""},
		{"several others", migrations, move.Options{}, with(zone{"shop.hosting.test": "192.0.2.1 192.0.2.3"}), "", "shop.hosting.test lead to far and old"},
		{"no answer is not no name", migrations, move.Options{}, with(zone{"shop.hosting.test": "?"}), "", "DNS does not answer"},
		{"no answer of a node", migrations, move.Options{}, with(zone{"shop.hosting.test": "192.0.2.1", "far.hosting.test": "?"}), "", "DNS does not answer"},
		{"several others, errors are ignored", migrations, move.Options{IgnoreErrors: true}, with(zone{"shop.hosting.test": "192.0.2.1 192.0.2.3"}), "", ""},
	}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			test.options.Resolver = test.dns
			if test.dns == nil {
				test.options.Resolver = noResolver{t}
			}
			m, err := move.New(document(t, test.plan), test.options)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				got, err := m.From(t.Context(), newNode, shop)
				if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %q, %v\nwant %q, %s", got, err, test.want, test.err)
				}
				if err != nil && !strings.Contains(problem.Hint(err), "-migrationSource=shop=") {
					t.Errorf("%T: %v", err, err)
				}
			}
			if got, err := m.From(t.Context(), newNode, deploy.Profile{Node: "new", Name: deploy.SystemProfile, User: "root"}); got != "" || err != nil {
				t.Errorf("the system: %q, %v", got, err)
			}
		})
	}
}

type noResolver struct{ t *testing.T }

func (n noResolver) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.t.Errorf("DNS was asked for %s", host)
	return nil, errors.New("no")
}

// TestFromDNS: a wildcard may lead to a node that has never had the environment. If
// only DNS names the node, that is not an error; if the state or the command line
// names it, it is.
func TestFromDNS(t *testing.T) {
	from := &session{answers: map[string]answer{"backup a": {err: "exit status 1: sudo: unknown user shop"}}}
	dns := zone{"old.hosting.test": "192.0.2.1", "shop.hosting.test": "192.0.2.1"}
	for _, test := range []struct {
		options move.Options
		ok      bool
	}{
		{move.Options{Resolver: dns}, true},
		{move.Options{Resolver: dns, Sources: map[string]string{"shop": "old"}}, false},
	} {
		m, err := move.New(document(t, `, "migrations": ["a"]`), test.options)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Backup(t.Context(), from, newNode, shop)
		if got != nil || (err == nil) != test.ok || err != nil && !strings.Contains(problem.Hint(err), "must still have the environment's user") {
			t.Errorf("%+v: %+v, %v", test.options, got, err)
		}
	}
}
