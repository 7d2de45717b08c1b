package verify

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/internal/public"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan/checks"
)

const (
	maxTime    = 5 * time.Minute  // of all checks of an environment
	maxJudging = 10 * time.Second // of the expressions of a check, for one answer
)

// Options say how to make the requests of checks. A deploy uses the zero value.
type Options struct {
	// Dial connects to a node's public name; nil means that of a net.Dialer which
	// connects only to public addresses, to the addresses that the provider gives
	// nodes, and to its private networks.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Roots are the CAs that verify certificates, unless a check accepts any
	// certificate; nil means those of this machine.
	Roots *x509.CertPool
	// Concurrency is how many checks run at a time, over all environments; 0 means 8.
	Concurrency int
	// Tries is how often a check is tried within its timeout until it passes; 0
	// means 5. Pause is the pause before the second try; 0 means one second. Each
	// further pause is twice as long.
	Tries int
	Pause time.Duration
}

// A Verifier implements [deploy.Verifier].
type Verifier struct {
	specs   map[string]checks.Spec // of environments, by user
	systems map[string]checks.Spec // by node
	options Options
	slots   chan struct{}
}

var _ deploy.CertificateVerifier = (*Verifier)(nil)

// New returns the verifier of a plan.
func New(document plan.Document, options Options) *Verifier {
	if options.Dial == nil {
		options.Dial = own(document).Dialer().DialContext
	}
	options.Concurrency = cmp.Or(options.Concurrency, 8)
	options.Tries = cmp.Or(options.Tries, 5)
	options.Pause = cmp.Or(options.Pause, time.Second)
	return &Verifier{specs: document.Checks(), systems: document.NodeChecks(), options: options, slots: make(chan struct{}, options.Concurrency)}
}

// own returns the networks of a provider that are dialled although they may not be
// public.
func own(document plan.Document) public.Networks {
	networks := public.Networks(document.Private())
	for _, c := range document.NodeConnections {
		if a, err := netip.ParseAddr(c.Hostname); err == nil {
			a = a.WithZone("").Unmap()
			networks = append(networks, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return networks
}

// Has reports whether a profile has checks, and whether they are enforced.
func (v *Verifier) Has(n deploy.Node, profile string) (has, enforced bool) {
	spec := v.spec(n, profile)
	return len(spec.Requests)+len(spec.Problems) > 0, spec.Enforce
}

// spec returns the checks of a profile.
func (v *Verifier) spec(n deploy.Node, profile string) checks.Spec {
	if profile == deploy.SystemProfile {
		return v.systems[n.Name]
	}
	return v.specs[profile]
}

// Verify makes all checks of a profile at the same time, and returns them sorted by
// name and URL. A profile without checks passes. A check that cannot be read makes no
// request and does not pass.
//
// Right after an activation services may still be starting, so a check that fails
// is tried again, a few times within its timeout. A request that may change data,
// such as POST, is made only once, and only if all other checks pass.
func (v *Verifier) Verify(ctx context.Context, n deploy.Node, profile string, which deploy.Asking) deploy.Verification {
	spec := v.spec(n, profile)
	requests := slices.Clone(spec.Requests)
	if which.OnlySafe {
		requests = slices.DeleteFunc(requests, func(q checks.Request) bool { return !isSafe(q) })
	}
	order := func(aName, aURL, bName, bURL string) int {
		return cmp.Or(cmp.Compare(aName, bName), cmp.Compare(aURL, bURL))
	}
	slices.SortStableFunc(requests, func(a, b checks.Request) int { return order(a.Name, a.URL(), b.Name, b.URL()) })
	results := make([]deploy.Check, len(requests))
	copy(results, answered(which.Again))
	var spent atomic.Int64
	ask := func(which func(int) bool) {
		var all sync.WaitGroup
		for i, q := range requests {
			if which(i) && !results[i].OK {
				all.Go(func() { results[i] = v.check(ctx, n, q, spec.Hosts, &spent, profile != deploy.SystemProfile) })
			}
		}
		all.Wait()
	}
	ask(func(i int) bool { return isSafe(requests[i]) })
	made := func(i int) bool { return results[i].URL != "" && !results[i].Unknown }
	failed := false
	for i, q := range requests {
		failed = failed || isSafe(q) && !results[i].OK
	}
	if !failed {
		ask(func(i int) bool { return !isSafe(requests[i]) && !made(i) })
	}
	for i, q := range requests {
		if !isSafe(q) && failed && !made(i) {
			results[i] = checkOf(q)
			results[i].Unknown, results[i].Problem = true, "not made, because it may change data and another check did not pass"
		}
	}
	out := deploy.Verification{Enforce: spec.Enforce, Checks: results}
	for _, p := range spec.Problems {
		out.Checks = append(out.Checks, deploy.Check{Name: p.Check, Unknown: true, Problem: "cannot be read: " + p.String() + "; " + checks.Remedy})
	}
	slices.SortStableFunc(out.Checks, func(a, b deploy.Check) int { return order(a.Name, a.URL, b.Name, b.URL) })
	return out
}

// answered returns the results of checks that can be read.
func answered(all []deploy.Check) []deploy.Check {
	return slices.DeleteFunc(slices.Clone(all), func(c deploy.Check) bool { return c.URL == "" })
}

// isSafe reports whether a request changes nothing, and so can be repeated.
func isSafe(q checks.Request) bool {
	return slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, q.Method)
}

func checkOf(q checks.Request) deploy.Check {
	c := deploy.Check{Name: q.Name, VirtualHost: q.VirtualHost, Method: q.Method, URL: q.URL()}
	if c.Method == http.MethodGet {
		c.Method = ""
	}
	return c
}

// Certificates returns the virtual hosts whose certificates the checks of a profile
// verify.
func (v *Verifier) Certificates(n deploy.Node, profile string) []string {
	var names []string
	for _, q := range v.spec(n, profile).Requests {
		if q.Scheme == "https" && !q.Insecure && !slices.Contains(names, q.VirtualHost) {
			names = append(names, q.VirtualHost)
		}
	}
	return names
}

// check repeats a request until an answer passes, or the tries or the time run out.
// It returns the result of the last answer. A later try that the timeout cuts off
// does not count, because it shows less than the one before. spent is the time that
// the environment's checks have taken, which has a limit: others wait for the slots.
// behind is for an environment: without a connection to the node's front door the check
// shows nothing about what is behind it. The certificate is the node's to order, and
// shows nothing about a version of the system either.
func (v *Verifier) check(ctx context.Context, n deploy.Node, q checks.Request, hosts map[string]bool, spent *atomic.Int64, behind bool) deploy.Check {
	c := checkOf(q)
	if n.PublicName == "" {
		c.Unknown, c.Problem = true, "node "+n.Name+" has no public name"
		return c
	}
	select {
	case v.slots <- struct{}{}:
		defer func() { <-v.slots }()
	case <-ctx.Done():
		c.Unknown, c.Problem = true, interrupted
		return c
	}
	left := maxTime - time.Duration(spent.Load())
	if left <= 0 {
		c.Problem = fmt.Sprintf("the checks of the environment have taken %s, which is all that they may", maxTime)
		return c
	}
	begun := time.Now()
	defer func() { spent.Add(int64(time.Since(begun))) }()
	limited, cancel := context.WithTimeout(ctx, min(q.Timeout, left))
	defer cancel()
	tries, pause := v.options.Tries, v.options.Pause
	if !isSafe(q) {
		tries = 1
	}
	for try := 1; ; try++ {
		a := v.ask(limited, n.PublicName, q, hosts)
		if ctx.Err() != nil {
			// The answer was cut off, so the constraints must not judge it.
			c.Status, c.Unknown, c.Problem = 0, true, interrupted
			return c
		}
		if limited.Err() == nil || try == 1 {
			judging, done := context.WithTimeout(ctx, maxJudging)
			c.Status, c.Problem = a.status, judge(judging, q.Constraints, a)
			done()
			c.Unknown = c.Problem != "" && (a.untrusted || a.unreached && behind)
		}
		c.OK = c.Problem == ""
		if c.OK || try == tries || !wait(limited, pause) {
			return c
		}
		pause *= 2
	}
}
