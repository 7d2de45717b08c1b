package calendar

import (
	"fmt"
	"slices"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// The kinds of troubles. A limit that may refuse orders is a trouble of the limit's kind.
const (
	// Expires is a certificate that the gate keeps though it fails, until it expires.
	Expires = "expires"
	// Off is a virtual host without a certificate, because it fails.
	Off = "off"
	// Failing is a name whose orders may fail, again and again.
	Failing = "failing"
	// RenewedDaily means that nodes renew certificates once a day, more often than Let's
	// Encrypt allows, because validMinDays is not below the lifetime of the profile.
	RenewedDaily = "renewed-daily"
	// TooManyNames is a certificate with more names than the profile allows. Let's Encrypt
	// refuses its orders.
	TooManyNames = string(dnsgate.ReasonTooManyNames)
)

// A Trouble is something to look at.
type Trouble struct {
	Kind string    `json:"kind"`
	At   time.Time `json:"at"` // when it begins
	// Until is when it is over by itself, the zero time if that is not known.
	Until time.Time `json:"until,omitzero"`
	// Subject is the account's node, the domain, the names or the virtual host.
	Subject string `json:"subject"`
	// Orders is how many orders compete for the limit, and Limit what the limit allows at
	// once. For [Failing] they are the failures that are not forgotten yet, and those
	// after which the name is paused. For [RenewedDaily] they are certificates, and for
	// [TooManyNames] names.
	Orders int `json:"orders,omitzero"`
	Limit  int `json:"limit,omitzero"`
	// PerDay is how often a day the node orders the name of a [Failing] certificate, and
	// Paused when it will be paused, the zero time for never.
	PerDay int       `json:"perDay,omitzero"`
	Paused time.Time `json:"paused,omitzero"`
	// Reason, Name and Fix are the gate's.
	Reason       string    `json:"reason,omitzero"`
	Name         string    `json:"name,omitzero"`
	Fix          string    `json:"fix,omitzero"`
	Certificates []Subject `json:"certificates"`
}

// trouble describes a jam.
func trouble(limit dnsgate.Limit, subject string, j jam, refused []*order, orders int) Trouble {
	t := Trouble{Kind: limit.Kind, At: j.from, Until: j.until, Subject: subject, Orders: orders, Limit: limit.Most}
	for _, o := range refused {
		t.Certificates = append(t.Certificates, o.Subject)
	}
	return t
}

// Hosts returns the virtual hosts, each once.
func (t Trouble) Hosts() []string {
	var hosts []string
	for _, s := range t.Certificates {
		hosts = append(hosts, s.Host)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// String describes the trouble in one line, without a customer's text that is not
// escaped.
func (t Trouble) String() string {
	subject := problem.Line(t.Subject)
	switch t.Kind {
	case dnsgate.PerDomain.Kind, dnsgate.PerAccount.Kind, dnsgate.PerSet.Kind:
		window := "a week"
		if t.Kind == dnsgate.PerAccount.Kind {
			window = "3 hours"
		}
		return fmt.Sprintf("%s: Let's Encrypt may refuse some of %s until %s: it allows %d within %s (%s)",
			subject, plural(t.Orders, "order"), t.Until.Format(time.DateOnly), t.Limit, window, t.Kind)
	case RenewedDaily:
		return fmt.Sprintf("%s are renewed every day, and Let's Encrypt allows %d a week for the same names (%s)", plural(t.Orders, subject+" certificate"), t.Limit, t.Kind)
	case TooManyNames:
		return fmt.Sprintf("%s: Let's Encrypt refuses its orders: it has %s, and a certificate of this profile can have %d (%s)", subject, plural(t.Orders, "name"), t.Limit, t.Kind)
	case Expires:
		return fmt.Sprintf("%s: its certificate expires on %s, and cannot be renewed: %s of %s", subject, t.At.Format(time.DateOnly), problem.Line(t.Reason), problem.Line(t.Name))
	case Off:
		return fmt.Sprintf("%s: has no certificate: %s of %s", subject, problem.Line(t.Reason), problem.Line(t.Name))
	case Failing:
		paused := "never pauses it at that rate"
		if !t.Paused.IsZero() {
			paused = "pauses it on " + t.Paused.Format(time.DateOnly)
		}
		return fmt.Sprintf("%s: orders may fail, up to %d a day; Let's Encrypt has counted %d of %d failures, and %s", subject, t.PerDay, t.Orders, t.Limit, paused)
	}
	return subject + ": " + t.Kind
}

// Hint returns what to do.
func (t Trouble) Hint() string {
	switch t.Kind {
	case dnsgate.PerDomain.Kind, dnsgate.PerAccount.Kind:
		return "nothing is lost: the node orders again every hour for a day, then once a day; to avoid it, place or enable some of them later"
	case dnsgate.PerSet.Kind:
		return "the certificate in place stays; do not move or change these virtual hosts again this week"
	case RenewedDaily:
		return "set security.acme.defaults.validMinDays below the lifetime of the profile, such as 3"
	case TooManyNames:
		return "spread its names over several virtual hosts, or order certificates by another profile"
	case Expires, Off:
		if t.Fix != "" {
			return problem.Line(t.Fix)
		}
		return "run `mage dnsGate` for the reason"
	case Failing:
		return "`mage status` shows whether its orders fail; correct its DNS, or turn it off until it passes: `mage dnsGate -onUnknown=disable`"
	}
	return ""
}

// kept adds a certificate that stays until it expires.
func (b *builder) kept(s Subject, e plan.GateEntry) {
	until, known := read(e.KeepUntil)
	if !known {
		return
	}
	b.event(Expiry, s, window{until, until}, "")
	b.Troubles = append(b.Troubles, Trouble{Kind: Expires, At: later(until, b.From), Subject: s.Host, Reason: e.Reason, Name: e.Name, Fix: e.Fix, Certificates: []Subject{s}})
}

// lost adds a virtual host without a certificate.
func (b *builder) lost(s Subject, e plan.GateEntry) {
	b.Troubles = append(b.Troubles, Trouble{Kind: Off, At: b.From, Subject: s.Host, Reason: e.Reason, Name: e.Name, Fix: e.Fix, Certificates: []Subject{s}})
}

// refused adds a certificate with too many names.
func (b *builder) refused(s Subject) {
	b.Troubles = append(b.Troubles, Trouble{Kind: TooManyNames, At: b.From, Subject: s.Host, Orders: len(s.Names), Limit: b.Terms.Names, Certificates: []Subject{s}})
}

// hourly is how often hostenv-certificates tries an order that fails every hour before it
// leaves it to NixOS's timer (nix/modules/certificates.sh).
const hourly = 24

// fails adds a certificate that is on, that never passed, and whose orders may fail.
// Each try takes a token of the account.
func (b *builder) fails(s Subject, e plan.GateEntry, ordered time.Time, dated bool) {
	first := b.From
	if dated {
		first = ordered
		for range hourly + 1 {
			b.tries(s.Node, window{ordered, ordered.Add(2 * day)})
		}
	}
	for at := b.From; at.Before(b.Until); at = at.Add(day) {
		b.tries(s.Node, window{at, at.Add(day)})
	}
	// One of the tries may succeed, at any time.
	issued := &spend{window: window{first, b.Until}}
	for _, domain := range s.Domains {
		issued.take(b.bucket(dnsgate.PerDomain, domain))
	}
	name := e.Name
	if name == "" {
		name = s.Host
	}
	i := slices.IndexFunc(b.Troubles, func(t Trouble) bool { return t.Kind == Failing && t.Name == name && t.Certificates[0].Node == s.Node })
	if i < 0 {
		b.Troubles = append(b.Troubles, Trouble{Kind: Failing, At: b.From, Subject: name + " on " + s.Node, Limit: dnsgate.PerPause.Most, Reason: e.Reason, Name: name})
		i = len(b.Troubles) - 1
	}
	t := &b.Troubles[i]
	t.Certificates = append(t.Certificates, s)
	t.PerDay++
	if dated { // one failure a day is forgotten, and one a day comes
		t.Orders += max(0, min(hourly, int(b.From.Sub(ordered)/time.Hour))) + 1
	} else {
		t.Orders++
	}
	// The bucket of failures loses PerDay tokens a day, and gets one back.
	t.Paused = time.Time{}
	if t.PerDay > 1 {
		left := max(0, dnsgate.PerPause.Most-t.Orders)
		t.Paused = b.From.Add(time.Duration(left/(t.PerDay-1)) * day)
	}
}

func (b *builder) tries(node string, w window) {
	(&spend{window: w}).take(b.bucket(dnsgate.PerAccount, node))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
