package conformance

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jmhodges/clock"
	"github.com/letsencrypt/boulder/config"
	"github.com/letsencrypt/boulder/identifier"
	blog "github.com/letsencrypt/boulder/log"
	"github.com/letsencrypt/boulder/metrics"
	"github.com/letsencrypt/boulder/ratelimits"
)

// An authority is Let's Encrypt as its rate limits show it: Boulder's limiter and
// transactions with a fake clock, asked in the order in which Boulder's front end and
// registration authority ask them.
type authority struct {
	clock   clock.FakeClock
	limiter *ratelimits.Limiter
	builder *ratelimits.TransactionBuilder
	issued  map[string]time.Time // by set of names, the last time
}

// quiet is a log that is not read.
var quiet = blog.NewMock()

// The published limits (https://letsencrypt.org/docs/rate-limits/).
func published() ratelimits.LimitConfigs {
	limit := func(most int64, period time.Duration) *ratelimits.LimitConfig {
		return &ratelimits.LimitConfig{Burst: most, Count: most, Period: config.Duration{Duration: period}}
	}
	const week = 7 * 24 * time.Hour
	return ratelimits.LimitConfigs{
		ratelimits.NewOrdersPerAccount.String():                               limit(300, 3*time.Hour),
		ratelimits.CertificatesPerDomain.String():                             limit(50, week),
		ratelimits.CertificatesPerFQDNSet.String():                            limit(5, week),
		ratelimits.FailedAuthorizationsPerDomainPerAccount.String():           limit(5, time.Hour),
		ratelimits.FailedAuthorizationsForPausingPerDomainPerAccount.String(): {Burst: 1152, Count: 1, Period: config.Duration{Duration: 24 * time.Hour}},
	}
}

func newAuthority(t testing.TB, now time.Time) *authority {
	t.Helper()
	clk := clock.NewFake()
	clk.Set(now)
	limiter, err := ratelimits.NewLimiter(clk, ratelimits.NewInmemSource(), metrics.NoopRegisterer)
	if err != nil {
		t.Fatal(err)
	}
	builder, err := ratelimits.NewTransactionBuilder(published(), nil, metrics.NoopRegisterer, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{clk, limiter, builder, map[string]time.Time{}}
}

func key(names []string) string { return strings.Join(names, " ") }

// remembered is for how long Boulder takes an order of the same names for a renewal.
const remembered = 120 * 24 * time.Hour

// order places an order of an account, and returns the error of a limit that refuses it.
func (a *authority) order(t testing.TB, account int64, names []string) error {
	last, before := a.issued[key(names)]
	renewal := before && a.clock.Now().Sub(last) < remembered
	transactions, err := a.builder.NewOrderLimitTransactions(account, identifier.NewDNSSlice(names), renewal)
	if err != nil {
		t.Fatal(err)
	}
	decision, err := a.limiter.BatchSpend(context.Background(), transactions)
	if err != nil {
		t.Fatal(err)
	}
	return decision.Result(a.clock.Now())
}

// issue issues a certificate.
func (a *authority) issue(t testing.TB, account int64, names []string) {
	identifiers := identifier.NewDNSSlice(names)
	var transactions []ratelimits.Transaction
	if last, before := a.issued[key(names)]; !before || a.clock.Now().Sub(last) >= remembered {
		domains, err := a.builder.CertificatesPerDomainSpendOnlyTransactions(account, identifiers)
		if err != nil {
			t.Fatal(err)
		}
		transactions = domains
	}
	set, err := a.builder.CertificatesPerFQDNSetSpendOnlyTransaction(identifiers)
	if err != nil {
		t.Fatal(err)
	}
	a.spend(t, append(transactions, set)...)
	a.issued[key(names)] = a.clock.Now()
}

// failed counts a failed authorization of a name. It reports whether the name is paused.
func (a *authority) failed(t testing.TB, account int64, name string) (paused bool) {
	one, err := a.builder.FailedAuthorizationsPerDomainPerAccountSpendOnlyTransaction(account, identifier.NewDNS(name))
	if err != nil {
		t.Fatal(err)
	}
	a.spend(t, one)
	pausing, err := a.builder.FailedAuthorizationsForPausingPerDomainPerAccountTransaction(account, identifier.NewDNS(name))
	if err != nil {
		t.Fatal(err)
	}
	return a.spend(t, pausing) != nil
}

func (a *authority) spend(t testing.TB, transactions ...ratelimits.Transaction) error {
	decision, err := a.limiter.BatchSpend(context.Background(), transactions)
	if err != nil {
		t.Fatal(err)
	}
	return decision.Result(a.clock.Now())
}

// The authority has the limits that it should have.
func TestAuthority(t *testing.T) {
	a := newAuthority(t, time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC))
	refusedAfter := func(names func(i int) []string, account int64) (n int) {
		for ; a.order(t, account, names(n)) == nil; n++ {
			if n > 1000 {
				t.Fatal("it refuses nothing")
			}
			a.issue(t, account, names(n))
		}
		return n
	}
	numbered := func(i int, rest string) string { return "n" + string(rune('a'+i/26)) + string(rune('a'+i%26)) + rest }
	got := []int{
		refusedAfter(func(i int) []string { return []string{numbered(i, ".example.com")} }, 1),
		refusedAfter(func(i int) []string { return []string{numbered(i, ".org")} }, 2),
		refusedAfter(func(int) []string { return []string{"same.net"} }, 3),
	}
	if want := []int{50, 300, 5}; !slices.Equal(got, want) {
		t.Errorf("it refuses after %v certificates of a domain, an account and a set, want %v", got, want)
	}
	failures := 0
	for ; !a.failed(t, 4, "fails.com"); failures++ {
	}
	if failures != 1152 {
		t.Errorf("it pauses a name after %d failures", failures)
	}
}
