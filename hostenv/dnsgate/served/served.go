// Package served asks nodes for the certificates that they serve over TLS: for the gate
// ([Facts]), and to compare them with the plan ([Differences]).
//
// It connects to the nodes' own addresses, with the name of each virtual host as SNI, so
// it does not depend on DNS. It trusts no certificate: each is data of unknown origin,
// and its text is bounded and to be shown by package problem only.
package served

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// A Host is a virtual host of a node.
type Host struct {
	Node    string
	Name    string   // the virtual host, by its key in the plan
	Names   []string // those of the certificate, in the spelling of DNS
	Planned bool     // the plan has a certificate for it
}

// Hosts returns the virtual hosts of a plan's environments that ask for a certificate,
// by node and name. Those that the gate turned off have no planned certificate.
func Hosts(d plan.Document) []Host {
	certificates, _ := dnsgate.Certificates(d, dnsgate.Filter{}) // it fails only by its filter
	var hosts []Host
	for _, c := range certificates {
		tls := d.Nodes[c.Node].Services.Nginx.VirtualHosts[c.Host].TLS()
		h := Host{Node: c.Node, Name: c.Host, Planned: tls.EnableACME || tls.Shared != ""}
		for _, spelling := range c.Names {
			if name, err := dnsgate.CertificateName(spelling); err == nil {
				h.Names = append(h.Names, name)
			}
		}
		if len(h.Names) > 0 {
			hosts = append(hosts, h)
		}
	}
	slices.SortFunc(hosts, func(a, b Host) int { return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Name, b.Name)) })
	return hosts
}

// A Kind says how what a node serves differs from the plan.
type Kind string

// The kinds of differences.
const (
	NoAnswer    Kind = "no-answer"    // the node takes no connection; for all of its virtual hosts
	None        Kind = "none"         // the node serves no certificate, and the plan has one
	SelfSigned  Kind = "self-signed"  // no CA issued it
	WrongNames  Kind = "wrong-names"  // it lacks names of the virtual host
	Expired     Kind = "expired"      // its validity is over
	NotYetValid Kind = "not-yet"      // its validity has not begun
	ExpiresSoon Kind = "expires-soon" // it should have been renewed
	NotPlanned  Kind = "not-planned"  // the plan has none, and the node serves one of a CA
)

// A Difference is a virtual host that a node does not serve as the plan has it.
type Difference struct {
	Kind   Kind   `json:"kind"`
	Node   string `json:"node"`
	Host   string `json:"host,omitempty"` // "" for all of a node
	Issuer string `json:"issuer,omitempty"`
	// Names are those of the certificate, and Missing those that it lacks.
	Names    []string  `json:"names,omitempty"`
	Missing  []string  `json:"missing,omitempty"`
	NotAfter time.Time `json:"notAfter,omitzero"`
	Detail   string    `json:"detail,omitempty"` // the error of a connection
}

// Expected says where the nodes are, and what a certificate has to be.
type Expected struct {
	// Addresses are those of the nodes: host names or IP addresses.
	Addresses map[string]string
	Now       time.Time
	// Within is how long a certificate has to be valid at least; a quarter of its lifetime
	// if that is less.
	Within time.Duration
}

// Differences asks the nodes for each of their virtual hosts, and returns what differs
// from the plan, by node and virtual host. A node that takes no connection is one
// difference, whatever else it served. Differences returns an error only if ctx ends.
func Differences(ctx context.Context, hosts []Host, e Expected, c Config) ([]Difference, error) {
	var questions []question
	for _, h := range hosts {
		questions = append(questions, question{host: h.Names[0], addresses: []string{e.Addresses[h.Node]}})
	}
	answers := c.ask(ctx, questions)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	deaf := map[string]bool{}
	for i, h := range hosts {
		deaf[h.Node] = deaf[h.Node] || !answers[i].connected
	}
	var all []Difference
	said := map[string]bool{}
	for i, h := range hosts {
		switch {
		case !deaf[h.Node]:
			if d := Compare(h, answers[i].Served, e.Now, e.Within); d != nil {
				all = append(all, *d)
			}
		case !answers[i].connected && !said[h.Node]:
			said[h.Node] = true
			all = append(all, Difference{Kind: NoAnswer, Node: h.Node, Detail: answers[i].Error})
		}
	}
	return all, nil
}

// Compare returns how what a node serves for a virtual host differs from the plan, nil if
// it does not.
func Compare(h Host, s *dnsgate.Served, now time.Time, within time.Duration) *Difference {
	d := &Difference{Node: h.Node, Host: h.Name}
	if s.Error != "" {
		if !h.Planned {
			return nil
		}
		d.Kind, d.Detail = None, s.Error
		return d
	}
	notBefore, _ := time.Parse(time.RFC3339, s.NotBefore)
	d.Issuer, d.Names = s.Issuer, s.Names
	d.NotAfter, _ = time.Parse(time.RFC3339, s.NotAfter)
	for _, name := range h.Names {
		if !s.Has(name) {
			d.Missing = append(d.Missing, name)
		}
	}
	switch {
	case !h.Planned && (s.SelfSigned() || len(d.Missing) == len(h.Names)):
		return nil // that of another virtual host, or none of a CA
	case !h.Planned:
		d.Kind = NotPlanned
	case s.SelfSigned():
		d.Kind = SelfSigned
	case len(d.Missing) > 0:
		d.Kind = WrongNames
	case !now.Before(d.NotAfter):
		d.Kind = Expired
	case now.Before(notBefore):
		d.Kind = NotYetValid
	case now.Add(min(within, d.NotAfter.Sub(notBefore)/4)).After(d.NotAfter):
		d.Kind = ExpiresSoon
	default:
		return nil
	}
	return d
}
