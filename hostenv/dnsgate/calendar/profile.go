package calendar

import (
	"fmt"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// A Profile is one of Let's Encrypt's certificate profiles
// (https://letsencrypt.org/docs/profiles/).
type Profile string

// The profiles. Classic is the one of an order that names none.
const (
	Classic    Profile = "classic"
	TLSServer  Profile = "tlsserver"
	Shortlived Profile = "shortlived"
)

// Profiles returns all profiles.
func Profiles() []Profile { return []Profile{Classic, TLSServer, Shortlived} }

const day = 24 * time.Hour

// Terms are what a profile promises to certificates that are issued from a day on.
type Terms struct {
	Profile Profile   `json:"profile"`
	From    time.Time `json:"from,omitzero"`
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
	{Classic, time.Time{}, 90 * day, 30 * day, dnsgate.MaxNames},
	{Classic, time.Date(2027, 2, 10, 0, 0, 0, 0, time.UTC), 64 * day, 10 * day, dnsgate.MaxNames},
	{Classic, time.Date(2028, 2, 16, 0, 0, 0, 0, time.UTC), 45 * day, 7 * time.Hour, dnsgate.MaxNames},
	{TLSServer, time.Time{}, 90 * day, 7 * time.Hour, 25},
	{TLSServer, time.Date(2026, 5, 13, 0, 0, 0, 0, time.UTC), 45 * day, 7 * time.Hour, 25},
	{Shortlived, time.Time{}, 160 * time.Hour, 7 * time.Hour, 25},
}

// TermsAt returns the terms of a profile at a time.
func TermsAt(p Profile, at time.Time) Terms {
	var now Terms
	for _, t := range terms {
		if t.Profile == p && !t.From.After(at) {
			now = t
		}
	}
	return now
}

// changes returns the terms that begin after one time and before another.
func changes(p Profile, after, before time.Time) []Terms {
	var begin []Terms
	for _, t := range terms {
		if t.Profile == p && t.From.After(after) && t.From.Before(before) {
			begin = append(begin, t)
		}
	}
	return begin
}

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
