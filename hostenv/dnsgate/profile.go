package dnsgate

import (
	"cmp"
	"fmt"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

const day = 24 * time.Hour

// Terms are what a profile promises to certificates that are issued from a day on.
type Terms struct {
	Profile plan.CertificateProfile `json:"profile"`
	From    time.Time               `json:"from,omitzero"`
	// Lifetime is the time from notBefore to notAfter, both included.
	Lifetime time.Duration `json:"-"`
	// Reuse is how long a validated authorization can be used for another order.
	Reuse time.Duration `json:"-"`
	// Names is how many names a certificate can have.
	Names int `json:"-"`
}

// String describes the terms: "90 days, authorizations are reused for 30 days".
func (t Terms) String() string {
	return fmt.Sprintf("%s certificates live %s, and authorizations are reused for %s", t.Profile, spelled(t.Lifetime), spelled(t.Reuse))
}

// The announced terms (https://letsencrypt.org/2025/12/02/from-90-to-45), the oldest
// first. The days begin at midnight UTC: the announcement names no hour.
var terms = []Terms{
	{plan.Classic, time.Time{}, 90 * day, 30 * day, MaxNames},
	{plan.Classic, time.Date(2027, 2, 10, 0, 0, 0, 0, time.UTC), 64 * day, 10 * day, MaxNames},
	{plan.Classic, time.Date(2028, 2, 16, 0, 0, 0, 0, time.UTC), 45 * day, 7 * time.Hour, MaxNames},
	{plan.TLSServer, time.Time{}, 90 * day, 7 * time.Hour, 25},
	{plan.TLSServer, time.Date(2026, 5, 13, 0, 0, 0, 0, time.UTC), 45 * day, 7 * time.Hour, 25},
	{plan.Shortlived, time.Time{}, 160 * time.Hour, 7 * time.Hour, 25},
}

// TermsAt returns the terms of a profile at a time. An order that names none is one by
// [plan.Classic].
func TermsAt(p plan.CertificateProfile, at time.Time) Terms {
	p = cmp.Or(p, plan.Classic)
	var now Terms
	for _, t := range terms {
		if t.Profile == p && !t.From.After(at) {
			now = t
		}
	}
	return now
}

// TermsBetween returns the terms of a profile that begin after one time and before another.
func TermsBetween(p plan.CertificateProfile, after, before time.Time) []Terms {
	p = cmp.Or(p, plan.Classic)
	var begin []Terms
	for _, t := range terms {
		if t.Profile == p && t.From.After(after) && t.From.Before(before) {
			begin = append(begin, t)
		}
	}
	return begin
}

// mostNames returns how many names a certificate of a profile can have. That is the same
// at all times.
func mostNames(p plan.CertificateProfile) int { return TermsAt(p, time.Time{}).Names }

// spelled writes a duration in whole days or hours.
func spelled(d time.Duration) string {
	if d%day == 0 {
		return plural(int(d/day), "day")
	}
	return plural(int(d/time.Hour), "hour")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
