// Package served compares the certificates that nodes serve over TLS with those that
// a plan has.
//
// It connects to the nodes' own addresses, with the name of each virtual host as SNI, so
// it does not depend on DNS. It trusts no certificate: each is data of unknown origin,
// and its text is bounded and to be shown by package problem only.
package served

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
	"strings"
	"sync"
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
		h := Host{Node: c.Node, Name: c.Host, Planned: d.Nodes[c.Node].Services.Nginx.VirtualHosts[c.Host].TLS().EnableACME}
		for _, spelling := range c.Names {
			if name, err := dnsgate.QueryName(spelling); err == nil {
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

// Config says how to ask.
type Config struct {
	// Addresses are those of the nodes: host names or IP addresses.
	Addresses map[string]string
	Port      string                                                               // "443" if it is empty
	Dial      func(ctx context.Context, network, address string) (net.Conn, error) // nil for a net.Dialer
	Now       time.Time
	// Within is how long a certificate has to be valid at least.
	Within time.Duration
	// AtOnce is how many virtual hosts are asked at once, 16 if it is 0.
	AtOnce int
	// Timeout is for each connection, 10 s if it is 0.
	Timeout time.Duration
}

// Differences asks the nodes for each of their virtual hosts, and returns what differs
// from the plan, by node and virtual host. A node that takes no connection is one
// difference. Differences returns an error only if ctx ends.
func Differences(ctx context.Context, hosts []Host, c Config) ([]Difference, error) {
	found := make([]*Difference, len(hosts))
	var mu sync.Mutex
	deaf := map[string]bool{}
	places := make(chan struct{}, cmp.Or(c.AtOnce, 16))
	var group sync.WaitGroup
	for i, h := range hosts {
		places <- struct{}{}
		group.Go(func() {
			defer func() { <-places }()
			mu.Lock()
			skip := deaf[h.Node] || ctx.Err() != nil
			mu.Unlock()
			if skip {
				return
			}
			leaf, connected, err := c.ask(ctx, h)
			if !connected {
				mu.Lock()
				defer mu.Unlock()
				if !deaf[h.Node] {
					deaf[h.Node] = true
					found[i] = &Difference{Kind: NoAnswer, Node: h.Node, Detail: short(err.Error())}
				}
				return
			}
			found[i] = Compare(h, leaf, err, c.Now, c.Within)
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var all []Difference
	for i, d := range found {
		// What was found before the node stopped to answer is less than the whole.
		if d != nil && (d.Kind == NoAnswer || !deaf[hosts[i].Node]) {
			all = append(all, *d)
		}
	}
	return all, nil
}

// ask returns the certificate that a node serves for a virtual host.
func (c Config) ask(ctx context.Context, h Host) (leaf *x509.Certificate, connected bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, 10*time.Second))
	defer cancel()
	dial := c.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	plain, err := dial(ctx, "tcp", net.JoinHostPort(c.Addresses[h.Node], cmp.Or(c.Port, "443")))
	if err != nil {
		return nil, false, err
	}
	defer plain.Close()
	// Compare judges the certificate, which may be self-signed.
	conn := tls.Client(plain, &tls.Config{ServerName: h.Names[0], InsecureSkipVerify: true})
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, true, err
	}
	return conn.ConnectionState().PeerCertificates[0], true, nil
}

// Compare returns how the certificate that a node serves for a virtual host differs from
// the plan, nil if it does not. The certificate is nil if there was none, because of err.
func Compare(h Host, leaf *x509.Certificate, err error, now time.Time, within time.Duration) *Difference {
	d := &Difference{Node: h.Node, Host: h.Name}
	if leaf == nil {
		if !h.Planned {
			return nil
		}
		d.Kind = None
		if err != nil {
			d.Detail = short(err.Error())
		}
		return d
	}
	d.Issuer, d.NotAfter = short(leaf.Issuer.String()), leaf.NotAfter.UTC()
	for _, name := range leaf.DNSNames[:min(len(leaf.DNSNames), maxNames)] {
		d.Names = append(d.Names, short(name))
	}
	for _, name := range h.Names {
		if leaf.VerifyHostname(name) != nil {
			d.Missing = append(d.Missing, name)
		}
	}
	self := selfSigned(leaf)
	switch {
	case !h.Planned && (self || len(d.Missing) == len(h.Names)):
		return nil // that of another virtual host, or none of a CA
	case !h.Planned:
		d.Kind = NotPlanned
	case self:
		d.Kind = SelfSigned
	case len(d.Missing) > 0:
		d.Kind = WrongNames
	case !now.Before(leaf.NotAfter):
		d.Kind = Expired
	case now.Before(leaf.NotBefore):
		d.Kind = NotYetValid
	case now.Add(within).After(leaf.NotAfter):
		d.Kind = ExpiresSoon
	default:
		return nil
	}
	return d
}

// selfSigned reports whether the certificate is its own issuer, or NixOS's preliminary
// one (nix/modules/certificates.sh).
func selfSigned(leaf *x509.Certificate) bool {
	return bytes.Equal(leaf.RawIssuer, leaf.RawSubject) || strings.Contains(leaf.Issuer.CommonName, "minica root ca")
}

// How much of a certificate's text is kept.
const maxNames, maxText = 100, 300

func short(text string) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return text
}
