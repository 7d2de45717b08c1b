package dnsgate

import (
	"fmt"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// Sharing returns the virtual hosts that use the wildcard certificate of their node
// (provider.wildcard), as certificates, sorted by host. The gate does not judge them, and
// no limit counts them: DNS-01 proves the wildcard, wherever their names lead.
func Sharing(d plan.Document, filter Filter) []Certificate {
	var all []Certificate
	_, shared := plan.GeneratedWildcard(d.HostenvHostname)
	for _, c := range certificatesOf(d, func(_ string, asked plan.TLS) (plan.TLS, bool) { return asked, asked.Shared == shared }) {
		if filter.holds(c) && isServed(d, c) {
			all = append(all, c)
		}
	}
	return all
}

// A Saving says what wildcard certificates save, or would save.
type Saving struct {
	Domain string `json:"domain"` // the wildcard, *.<hostenvHostname>
	Used   bool   `json:"used"`   // provider.wildcard is enabled
	// Hosts are the virtual hosts that need no certificate of their own, and Nodes the
	// nodes that order one wildcard certificate each for them.
	Hosts int `json:"hosts"`
	Nodes int `json:"nodes"`
}

// SavingOf returns what provider.wildcard saves in a plan or, if it is not enabled, would
// save: of the certificates that are on, those of names one label below hostenvHostname.
func SavingOf(d plan.Document) Saving {
	wildcard, certificate := plan.GeneratedWildcard(d.HostenvHostname)
	s := Saving{Domain: wildcard, Used: slices.ContainsFunc(d.Wildcards, func(w plan.Wildcard) bool { return w.Certificate == certificate })}
	nodes := map[string]bool{}
	add := func(c Certificate) {
		s.Hosts++
		nodes[c.Node] = true
	}
	if s.Used {
		for _, c := range Sharing(d, Filter{}) {
			add(c)
		}
	} else {
		for _, c := range wanted(d) {
			if entry, judged := entryOf(d, c.Host); plan.Covers(wildcard, c.Names) && isServed(d, c) && (!judged || isOn(&entry)) {
				add(c)
			}
		}
	}
	s.Nodes = len(nodes)
	return s
}

// String says what is saved.
func (s Saving) String() string {
	return fmt.Sprintf("%s: %d in place of %d certificates (one for each node)", s.Domain, s.Nodes, s.Hosts)
}

// Relieves reports whether provider.wildcard, which is not enabled, would let some of the
// certificates be ordered that limits hold back.
func (s Saving) Relieves(limits []Shortage) bool {
	return !s.Used && s.Hosts > s.Nodes && slices.ContainsFunc(limits, func(l Shortage) bool {
		return l.Kind != PerFailure.Kind && slices.ContainsFunc(l.HoldBack, func(host string) bool {
			return plan.Covers(s.Domain, []string{host})
		})
	})
}
