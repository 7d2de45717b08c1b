package dnsgate

import "time"

// A Limit is one of Let's Encrypt's rate limits
// (https://letsencrypt.org/docs/rate-limits/). It is a bucket of Most tokens. Each
// order or failure takes one, and one comes back every Window/Most.
type Limit struct {
	Kind   string        `json:"kind"`
	Most   int           `json:"most"`
	Window time.Duration `json:"-"` // in which an empty bucket fills
}

const week = 7 * 24 * time.Hour

// The limits of Let's Encrypt. An order that it takes for a renewal by ARI counts
// against none of them. An order of a set of names that it issued a certificate for
// within [Remembered] counts against [PerSet] alone, of any account.
var (
	// PerDomain is for a registered domain, of all accounts.
	PerDomain = Limit{"certificates-per-registered-domain", 50, week}
	// PerAccount is for an ACME account. Every node has its own.
	PerAccount = Limit{"orders-per-account", 300, 3 * time.Hour}
	// PerSet is for a set of names, of all accounts.
	PerSet = Limit{"certificates-per-exact-set", 5, week}
	// PerFailure is for failed authorizations of a name by an account.
	PerFailure = Limit{"failed-authorizations-per-name", 5, time.Hour}
	// PerPause is for consecutive failed authorizations of a name by an account, which
	// then may not order it until the account's owner asks for it. A success fills the
	// bucket.
	PerPause = Limit{"consecutive-failures-per-name", 1152, 1152 * 24 * time.Hour}
)

// Remembered is for how long Let's Encrypt takes an order of a set of names that it
// issued before for a renewal.
const Remembered = 120 * 24 * time.Hour

// Spend takes a token at a time. Full is when the bucket is full again by what was
// taken before, the zero time if nothing was. Spend returns the new full, and whether
// there was a token: if not, full stays.
func (l Limit) Spend(full, at time.Time) (next time.Time, ok bool) {
	if next = l.take(full, at); next.Sub(at) > l.Window {
		return full, false
	}
	return next, true
}

// take takes a token, if there is one or not.
func (l Limit) take(full, at time.Time) time.Time {
	if full.Before(at) {
		full = at
	}
	return full.Add(l.every())
}

// Taken returns how many tokens are not back yet.
func (l Limit) Taken(full, at time.Time) int {
	if !full.After(at) {
		return 0
	}
	return int((full.Sub(at) + l.every() - 1) / l.every())
}

// Free returns the first time, from at on, at which there is a token.
func (l Limit) Free(full, at time.Time) time.Time {
	if free := full.Add(l.every() - l.Window); free.After(at) {
		return free
	}
	return at
}

// every is the time after which one token comes back.
func (l Limit) every() time.Duration { return l.Window / time.Duration(l.Most) }
