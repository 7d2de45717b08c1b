package deploy

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// CertificateState is the state of one certificate of a node.
type CertificateState string

// The states. While an order runs, or after it failed, the certificate in place
// may still be valid: see [Certificate.Issuer].
const (
	CertificateValid    CertificateState = "valid"
	CertificateWaiting  CertificateState = "waiting"  // not yet ordered with the host names of the current system
	CertificateOrdering CertificateState = "ordering" // an order is running
	CertificateFailed   CertificateState = "failed"   // the last order failed
	CertificateExpired  CertificateState = "expired"
)

// The issuers of the certificate in place.
const (
	IssuerCA         = "ca"
	IssuerSelfSigned = "self-signed" // made by the node, until an order succeeds
	IssuerNone       = "none"        // no certificate is in place
)

// A Certificate is one certificate of a node's system, with its state.
type Certificate struct {
	Node     string           `json:"node"`
	Name     string           `json:"certificate"` // the first of its host names
	State    CertificateState `json:"state"`
	Issuer   string           `json:"issuer"`            // of the certificate in place
	NotAfter time.Time        `json:"notAfter,omitzero"` // of the certificate in place
	Failure  *OrderFailure    `json:"failure,omitempty"` // of the last order
}

// An OrderFailure describes a series of orders that failed, one after another.
type OrderFailure struct {
	Since time.Time `json:"since"` // the first of them
	Last  time.Time `json:"last"`
	Times int       `json:"times"`
	Exit  string    `json:"exit"` // the exit status, a signal's name, or "timeout"
	// Output holds the last lines that the ACME client printed for the last order.
	// They quote the CA, and the CA quotes the answer of a customer's web server.
	Output []string `json:"said,omitempty"`
}

// noAccount matches the CA's answer for an account that it does not know, as lego
// quotes it. An answer about a host is on a line that begins with the host's name.
var noAccount = regexp.MustCompile(`(?m)^[^\[]*acme: error: \d+ :: ([A-Z]+ :: \S+ :: )?urn:ietf:params:acme:error:accountDoesNotExist`)

// Hint returns what to do about a failed order, "" if no order failed.
func (c Certificate) Hint() string {
	if c.Failure == nil {
		return ""
	}
	retry := "`hostenv-certificates retry` as root on " + c.Node
	if host, err := names.ParseHost(c.Name); err == nil && !host.Wildcard() {
		retry = "`hostenv-certificates retry " + string(host) + "` as root on " + c.Node
	}
	if noAccount.MatchString(strings.Join(c.Failure.Output, "\n")) {
		return "the CA does not know the node's account: run `rm -r /var/lib/acme/.lego/accounts/*` as root on " + c.Node + ", then " + retry
	}
	if plan.IsWildcardCertificate(c.Name) {
		return "check that its token (apiTokenSecret in provider.wildcard) may edit the zone of its names at Cloudflare; the node orders it again every hour for a day, then once a day; to order it at once, run " + retry
	}
	return "run `mage dnsGate` to see whether its names lead to the node; the node orders it again every hour for a day, then once a day; to order it at once, run " + retry
}

// Certificates collects the certificates of nodes. Its method Ask is for [Survey],
// and is safe for concurrent use.
type Certificates struct {
	Now func() time.Time // nil is time.Now

	found collected[Certificate]
}

// askCertificates prints an empty list on a node whose system is too old to have
// hostenv-certificates.
const askCertificates = `if command -v hostenv-certificates >/dev/null; then exec hostenv-certificates status; else echo '[]'; fi`

// Ask adds the certificates of a node.
func (c *Certificates) Ask(ctx context.Context, n Node, session Session) error {
	out, err := session.Run(ctx, n.User, nil, "sh", "-c", askCertificates)
	var found []Certificate
	if err == nil {
		now := time.Now
		if c.Now != nil {
			now = c.Now
		}
		found, err = readCertificates(out, n.Name, now())
	}
	if err != nil {
		return fmt.Errorf("node %s: cannot read its certificates: %w", n.Name, err)
	}
	c.found.add(found...)
	return nil
}

// All returns the certificates that Ask found, sorted by node and name.
func (c *Certificates) All() []Certificate {
	return c.found.sorted(func(a, b Certificate) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Name, b.Name))
	})
}

// OrdersFailed reports whether any certificate is expired, or its last order
// failed.
func OrdersFailed(all []Certificate) bool {
	return slices.ContainsFunc(all, func(c Certificate) bool {
		return c.State == CertificateFailed || c.State == CertificateExpired
	})
}

// How long a run waits for certificates, and the time between two questions to the
// node.
const orderPatience, orderPause = 2 * time.Minute, time.Second

// awaitOrders waits until the node's orders of these certificates succeeded or
// failed, at most [orderPatience]. It returns no error: the checks of an
// environment report a certificate that is missing.
func (r *run) awaitOrders(ctx context.Context, n *nodeRun, names []string) {
	if len(names) == 0 {
		return
	}
	over := time.After(orderPatience)
	for !r.stopping(ctx) {
		session, err := n.open(ctx, r)
		if err != nil {
			return
		}
		var found Certificates
		if err := found.Ask(ctx, n.Node, session); err != nil || !slices.ContainsFunc(found.All(), func(c Certificate) bool {
			return (c.State == CertificateOrdering || c.State == CertificateWaiting) && slices.Contains(names, c.Name)
		}) {
			return
		}
		select {
		case <-time.After(orderPause):
		case <-over:
			return
		case <-ctx.Done():
			return
		}
	}
}

// How many lines of one order are kept, and how many characters of each line.
const maxOrderLines, maxOrderWidth = 20, 600

// readCertificates reads what hostenv-certificates status prints, see
// nix/modules/certificates.sh.
func readCertificates(data []byte, node string, now time.Time) ([]Certificate, error) {
	var records []struct {
		Name     string `json:"name"`
		Issuer   string `json:"issuer"`
		NotAfter int64  `json:"notAfter"`
		Tried    int64  `json:"tried"`
		Ordering bool   `json:"ordering"`
		Changed  bool   `json:"changed"` // the system's certificate differs from the one that was ordered
		Failed   *struct {
			Since  int64  `json:"since"`
			Times  int    `json:"times"`
			Exit   string `json:"exit"`
			Output string `json:"said"`
		} `json:"failed"`
	}
	if err := json.Unmarshal(data, &records); err != nil {
		return nil, fmt.Errorf("read the output of hostenv-certificates: %w", err)
	}
	var all []Certificate
	for _, r := range records {
		c := Certificate{Node: node, Name: plain(r.Name, maxOrderWidth), Issuer: IssuerNone}
		if r.Issuer == IssuerCA || r.Issuer == IssuerSelfSigned {
			c.Issuer, c.NotAfter = r.Issuer, time.Unix(r.NotAfter, 0).UTC()
		}
		if r.Failed != nil {
			c.Failure = &OrderFailure{Since: time.Unix(r.Failed.Since, 0).UTC(), Last: time.Unix(r.Tried, 0).UTC(), Times: r.Failed.Times, Exit: plain(r.Failed.Exit, maxOrderWidth)}
			for line := range strings.Lines(r.Failed.Output) {
				if line = plain(strings.TrimSpace(line), maxOrderWidth); line != "" {
					c.Failure.Output = append(c.Failure.Output, line)
				}
			}
			c.Failure.Output = c.Failure.Output[max(0, len(c.Failure.Output)-maxOrderLines):]
		}
		switch {
		case r.Ordering:
			c.State = CertificateOrdering
		case r.Failed != nil && !r.Changed:
			c.State = CertificateFailed
		case r.Issuer != IssuerCA || r.Changed:
			c.State = CertificateWaiting
		case !now.Before(c.NotAfter):
			c.State = CertificateExpired
		default:
			c.State = CertificateValid
		}
		all = append(all, c)
	}
	return all, nil
}
