package dnsgate

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// A site is a virtual host with a certificate, of the organisation before the hyphen of
// its user.
type site struct {
	host, user, node string
	aliases          []string
}

func sites(all ...site) plan.Document {
	var hosts []asking
	for _, s := range all {
		hosts = append(hosts, asking{s.host, s.user, s.node, true})
	}
	d := planOf(hosts...)
	d.Certificates = map[string]int{}
	for user, e := range d.Environments {
		organisation, project, _ := strings.Cut(user, "-")
		e.Hostenv = plan.Identity{Organisation: organisation, Project: project}
		d.Environments[user] = e
		d.Certificates[organisation+"__"+project] = 1000
	}
	for _, s := range all {
		for _, at := range []map[string]plan.VirtualHost{d.Environments[s.user].VirtualHosts, d.Nodes[s.node].Services.Nginx.VirtualHosts} {
			v := at[s.host]
			v.ServerAliases = s.aliases
			at[s.host] = v
		}
	}
	return d
}

// A clock gates a plan again and again.
type clock struct {
	t        *testing.T
	at       time.Time
	d        plan.Document
	policy   Policy
	verdicts map[string]Verdict // of hosts that do not pass
	quotas   map[string]int     // by user, 1000 of one that it has not
	profile  plan.CertificateProfile
}

func newClock(t *testing.T) *clock {
	return &clock{t: t, at: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC), policy: Policy{AllowFlips: true}, verdicts: map[string]Verdict{}}
}

// run plans sites and gates them, and returns the hosts that the next deploy orders.
func (c *clock) run(after time.Duration, all ...site) (*Gated, []string) {
	c.t.Helper()
	c.at = c.at.Add(after)
	next := sites(all...)
	for user, quota := range c.quotas {
		next.Certificates[strings.Replace(user, "-", "__", 1)] = quota
	}
	next.CertificateProfile = c.profile
	d, err := plan.DecodeDocument(Carry(c.d, next).Encode())
	if err != nil {
		c.t.Fatal(err)
	}
	verdicts := map[string]Verdict{}
	for _, s := range all {
		verdicts[s.host] = passes
		if v, ok := c.verdicts[s.host]; ok {
			verdicts[s.host] = v
		}
	}
	c.policy.Now = c.at.Format(time.RFC3339)
	out, err := Gate(d, verdicts, c.policy)
	if err != nil {
		c.t.Fatal(err)
	}
	again, err := Gate(out.Plan, verdicts, c.policy)
	if err != nil || !bytes.Equal(again.Plan.Encode(), out.Plan.Encode()) {
		c.t.Fatalf("a second run changes the plan, %v", err)
	}
	c.d = out.Plan
	var ordered []string
	for _, decision := range out.Decisions {
		if decision.Fresh {
			ordered = append(ordered, decision.Host)
		}
	}
	slices.Sort(ordered)
	return out, ordered
}

// A certificate is ordered anew when its names change, and not when nothing does.
func TestChangedNames(t *testing.T) {
	c := newClock(t)
	shop, www := site{"shop.com", "acme-site", "n1", nil}, []string{"www.shop.com"}
	more := shop
	more.aliases = www
	entry := func(want string) {
		t.Helper()
		e := c.d.DNSGate["shop.com"]
		got := fmt.Sprint(e.Ordered, e.OrderedNames)
		for _, f := range e.FormerOrders {
			got += fmt.Sprint("; ", f.Ordered, " to ", f.Until, f.Names, f.Node)
		}
		if got != want {
			t.Errorf("the entry has\n%s, want\n%s", got, want)
		}
	}
	for _, step := range []struct {
		reason  string
		site    site
		ordered int
		want    string
	}{
		{"it is new", shop, 1, "2026-03-02T13:00:00Z[shop.com]"},
		{"nothing changed", shop, 0, "2026-03-02T13:00:00Z[shop.com]"},
		{"an alias is added", more, 1, "2026-03-02T15:00:00Z[shop.com www.shop.com]; 2026-03-02T13:00:00Z to 2026-03-02T15:00:00Z[shop.com]n1"},
		{"the alias twice, in other letters", site{"shop.com", "acme-site", "n1", []string{"WWW.shop.com.", "www.shop.com"}}, 0,
			"2026-03-02T15:00:00Z[shop.com www.shop.com]; 2026-03-02T13:00:00Z to 2026-03-02T15:00:00Z[shop.com]n1"},
		{"another node", site{"shop.com", "acme-site", "n2", www}, 1, "2026-03-02T17:00:00Z[shop.com www.shop.com]; " +
			"2026-03-02T13:00:00Z to 2026-03-02T15:00:00Z[shop.com]n1; 2026-03-02T15:00:00Z to 2026-03-02T17:00:00Z[shop.com www.shop.com]n1"},
	} {
		if _, ordered := c.run(time.Hour, step.site); len(ordered) != step.ordered {
			t.Errorf("%s: the next deploy orders %v", step.reason, ordered)
		}
		entry(step.want)
	}
	c.verdicts["shop.com"] = fails
	c.run(time.Hour, site{"shop.com", "acme-site", "n2", www})
	entry("[]; 2026-03-02T13:00:00Z to 2026-03-02T15:00:00Z[shop.com]n1; 2026-03-02T15:00:00Z to 2026-03-02T17:00:00Z[shop.com www.shop.com]n1; " +
		"2026-03-02T17:00:00Z to 2026-03-02T18:00:00Z[shop.com www.shop.com]n2")
	delete(c.verdicts, "shop.com")
	c.run(5*30*24*time.Hour, site{"shop.com", "acme-site", "n2", www})
	c.run(time.Hour, site{"shop.com", "acme-site", "n2", nil})
	entry("2026-07-30T19:00:00Z[shop.com]; 2026-07-30T18:00:00Z to 2026-07-30T19:00:00Z[shop.com www.shop.com]n2") // the others are too old
	for range maxFormer {
		c.run(time.Hour, shop)
		c.run(time.Hour, more)
	}
	if n := len(c.d.DNSGate["shop.com"].FormerOrders); n != maxFormer {
		t.Errorf("the entry keeps %d former orders, want %d", n, maxFormer)
	}
	if got := string(canonjson.Marshal(c.d.DNSGate["shop.com"].FormerOrders[:1])); got != `[{"names":["shop.com","www.shop.com"],"node":"n1","ordered":"2026-07-31T11:00:00Z","until":"2026-07-31T12:00:00Z"}]` {
		t.Errorf("plan.json has %s", got)
	}
}

// Another profile orders every certificate anew. Let's Encrypt takes that for a renewal,
// and no quota counts it.
func TestChangedProfile(t *testing.T) {
	c := newClock(t)
	shop, blog := site{"shop.com", "acme-site", "n1", nil}, site{"blog.com", "acme-site", "n1", nil}
	c.quotas = map[string]int{"acme-site": 2}
	entry := func(want string) {
		t.Helper()
		e := c.d.DNSGate["shop.com"]
		got := fmt.Sprint(e.Ordered, e.Profile)
		for _, f := range e.FormerOrders {
			got += fmt.Sprint("; ", f.Ordered, " to ", f.Until, f.Profile)
		}
		if got != want {
			t.Errorf("the entry has\n%s, want\n%s", got, want)
		}
	}
	c.run(time.Hour, shop)
	entry("2026-03-02T13:00:00Z")
	c.profile = plan.TLSServer
	_, ordered := c.run(time.Hour, shop)
	entry("2026-03-02T14:00:00Ztlsserver; 2026-03-02T13:00:00Z to 2026-03-02T14:00:00Z")
	if len(ordered) != 1 {
		t.Errorf("the next deploy orders %v", ordered)
	}
	if before, ok := ByOtherProfile(c.d.DNSGate["shop.com"]); !ok || before.Ordered != "2026-03-02T13:00:00Z" {
		t.Errorf("the order before is %+v, %v", before, ok)
	}
	_, ordered = c.run(time.Hour, shop)
	if entry("2026-03-02T14:00:00Ztlsserver; 2026-03-02T13:00:00Z to 2026-03-02T14:00:00Z"); len(ordered) != 0 {
		t.Errorf("the next deploy orders %v", ordered)
	}
	// A week after the first order the quota is free again, whatever the profile.
	c.profile = plan.Shortlived
	c.run(7*24*time.Hour-3*time.Hour, shop, blog) // a minute ago by the profile, a week ago for the quota
	if n := newQuotas(wanted(c.d), c.d.DNSGate, nil).taken("acme__site", c.at.Add(time.Hour)); n != 1 {
		t.Errorf("%d orders count for the quota, want that of blog.com alone", n)
	}
	for _, d := range c.d.DNSGate {
		if d.Decision != on {
			t.Errorf("it is %s", d.Decision)
		}
	}
	// It takes no token of the account or the domain.
	if out, _ := c.run(time.Hour, shop, blog); len(out.Limits) > 0 {
		t.Errorf("limits: %v", out.Limits)
	}
	c.profile = ""
	c.run(time.Hour, shop, site{"blog.com", "acme-site", "n2", nil})
	if _, ok := ByOtherProfile(c.d.DNSGate["blog.com"]); ok {
		t.Error("another node is taken for another profile")
	}
}

// An entry of an older version has no names, and what it ordered is not known.
func TestNamesUnknown(t *testing.T) {
	c := newClock(t)
	shop := site{"shop.com", "acme-site", "n1", nil}
	c.run(0, shop)
	for host, e := range c.d.DNSGate {
		e.OrderedNames = nil
		c.d.DNSGate[host] = e
	}
	shop.aliases = []string{"www.shop.com"}
	if _, ordered := c.run(time.Hour, shop); len(ordered) != 0 {
		t.Errorf("the next deploy orders %v", ordered)
	}
	if e := c.d.DNSGate["shop.com"]; e.Ordered != "2026-03-02T12:00:00Z" || fmt.Sprint(e.OrderedNames) != "[shop.com www.shop.com]" {
		t.Errorf("the entry has %s %v", e.Ordered, e.OrderedNames)
	}
	for host, e := range c.d.DNSGate {
		e.OrderedNames = nil
		c.d.DNSGate[host] = e
	}
	shop.node = "n2"
	if _, ordered := c.run(time.Hour, shop); len(ordered) != 1 || c.d.DNSGate["shop.com"].FormerOrders[0].Names != nil {
		t.Errorf("the next deploy orders %v after %+v", ordered, c.d.DNSGate["shop.com"].FormerOrders)
	}
}

// What an order counts against.
func TestOrdersCount(t *testing.T) {
	fleet := func(n int, node string, aliases ...string) []site {
		var all []site
		for i := range n {
			all = append(all, site{fmt.Sprintf("h%03d.shop.com", i), "acme-site", node, nil})
		}
		if len(all) > 0 {
			all[0].aliases = aliases
		}
		return all
	}
	const alias = "www.shop.com"
	type run struct {
		after time.Duration
		sites []site
		fails bool     // h000 fails
		want  []string // limits
	}
	for _, test := range []struct {
		reason string
		runs   []run
	}{
		{"a new alias is a new order, which is over the limit and stays on", []run{
			{0, fleet(50, "n1"), false, nil},
			{time.Hour, fleet(50, "n1", alias), false, []string{"certificates-per-registered-domain shop.com 50+1 [h000.shop.com] false"}},
		}},
		{"an alias that goes is a duplicate", []run{
			{0, fleet(49, "n1"), false, nil},
			{time.Hour, fleet(49, "n1", alias), false, nil},
			{time.Hour, fleet(49, "n1"), false, nil},
		}},
		{"the sixth order of a set within a week", []run{
			{0, fleet(1, "n1"), false, nil}, {time.Hour, fleet(1, "n1", alias), false, nil}, // 1 of each
			{time.Hour, fleet(1, "n1"), false, nil}, {time.Hour, fleet(1, "n1", alias), false, nil},
			{time.Hour, fleet(1, "n1"), false, nil}, {time.Hour, fleet(1, "n1", alias), false, nil},
			{time.Hour, fleet(1, "n1"), false, nil}, {time.Hour, fleet(1, "n1", alias), false, nil},
			{time.Hour, fleet(1, "n1"), false, nil}, {time.Hour, fleet(1, "n1", alias), false, nil}, // 5 of each
			// A week has none back after an hour.
			{time.Hour, fleet(1, "n1"), false, []string{"certificates-per-exact-set h000.shop.com 5+1 [h000.shop.com] false"}},
		}},
		{"to another node with the same names", []run{
			{0, fleet(50, "n1"), false, nil},
			{time.Hour, fleet(50, "n2"), false, nil},
		}},
		{"off and on again", []run{
			{0, fleet(50, "n1"), false, nil},
			{time.Hour, fleet(50, "n1"), true, nil},
			{time.Hour, fleet(50, "n1"), false, nil},
		}},
		{"on again after it is forgotten, with 49 others", []run{
			{0, fleet(1, "n1"), false, nil},
			{time.Hour, fleet(1, "n1"), true, nil},
			{121 * 24 * time.Hour, fleet(51, "n1"), false, []string{"certificates-per-registered-domain shop.com 0+51 [h050.shop.com] true"}},
		}},
		{"on again before that", []run{
			{0, fleet(1, "n1"), false, nil},
			{time.Hour, fleet(1, "n1"), true, nil},
			{100 * 24 * time.Hour, fleet(51, "n1"), false, nil},
		}},
	} {
		t.Run(test.reason, func(t *testing.T) {
			c := newClock(t)
			for i, r := range test.runs {
				delete(c.verdicts, "h000.shop.com")
				if r.fails {
					c.verdicts["h000.shop.com"] = fails
				}
				out, _ := c.run(r.after, r.sites...)
				var got []string
				for _, s := range out.Limits {
					got = append(got, fmt.Sprintf("%s %s %d+%d %v %t", s.Kind, s.Subject, s.Past, s.Planned, s.HoldBack, s.Withheld))
				}
				if diff := cmp.Diff(r.want, got); diff != "" {
					t.Fatalf("run %d:\n%s", i, diff)
				}
			}
		})
	}
}

// Of a limit that several organisations reach, each may take half, and those with fewer
// orders come first.
func TestShares(t *testing.T) {
	generated := func(user string, from, to int) []site { // names below the provider's domain
		var all []site
		for i := from; i < to; i++ {
			all = append(all, site{fmt.Sprintf("%s-%02d.host.net", user, i), user, "n1", nil})
		}
		return all
	}
	held := func(out *Gated) map[string]int {
		n := map[string]int{}
		for _, d := range out.Decisions {
			if d.Verdict.Reason == ReasonRateLimit {
				n[d.Organisation]++
			}
		}
		return n
	}
	c := newClock(t)
	acme, beta, gamma := generated("acme-site", 0, 40), generated("beta-site", 0, 5), generated("gamma-site", 0, 22)
	out, _ := c.run(0, slices.Concat(acme, beta)...)
	if diff := cmp.Diff(map[string]int{"acme": 15}, held(out)); diff != "" {
		t.Errorf("one of two with many:\n%s", diff)
	}
	if s := out.Limits[0]; s.Share != 25 || s.Most != 50 || s.Organisation != "acme" || s.Planned != 40 || s.Past != 0 {
		t.Errorf("the share is %+v", s)
	}
	if text := out.Limits[0].String(); text != "acme: 40 new certificates are due for host.net, 0 earlier ones count, and Let's Encrypt allows 50 in a week "+
		"(certificates-per-registered-domain), of which one organisation may take 25" {
		t.Errorf("it says %q", text)
	}
	out, _ = c.run(time.Hour, slices.Concat(acme, beta, gamma)...)
	if diff := cmp.Diff(map[string]int{"acme": 15, "gamma": 2}, held(out)); diff != "" {
		t.Errorf("a third comes later, and 20 are left:\n%s", diff)
	}

	// One alone has all of it, and another's domain is not shared.
	c = newClock(t)
	if out, _ = c.run(0, acme...); len(held(out)) != 0 {
		t.Errorf("one alone: %v", held(out))
	}
	var own []site
	for _, s := range acme {
		s.host = strings.Replace(s.host, "host.net", "acme.com", 1)
		own = append(own, s)
	}
	c = newClock(t)
	if out, _ = c.run(0, slices.Concat(own, beta)...); len(held(out)) != 0 {
		t.Errorf("in a domain of its own: %v", held(out))
	}
	// In one run it goes in turns, and those with fewer orders come first.
	c = newClock(t)
	c.run(0, slices.Concat(generated("acme-site", 0, 20), beta)...)
	out, _ = c.run(0, slices.Concat(generated("acme-site", 0, 30), generated("beta-site", 0, 30))...)
	if diff := cmp.Diff(map[string]int{"acme": 5, "beta": 5}, held(out)); diff != "" {
		t.Errorf("25 each:\n%s", diff)
	}
	c = newClock(t)
	c.run(0, slices.Concat(generated("acme-site", 0, 20), beta, gamma[:1])...)
	out, _ = c.run(0, slices.Concat(generated("acme-site", 0, 30), generated("beta-site", 0, 16), gamma)...)
	if diff := cmp.Diff(map[string]int{"acme": 10, "beta": 1, "gamma": 7}, held(out)); diff != "" {
		t.Errorf("24 are left for two with 5 and 1:\n%s", diff)
	}
}

// FuzzOrders plays a fleet against a server that counts as Let's Encrypt says. The
// server refuses no order but those that the gate warns of.
func FuzzOrders(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 7))
		c := newClock(t)
		encrypt := newLetsEncrypt()
		hosts := map[string]*site{}
		for range 7 {
			for range r.IntN(80) {
				organisation := pick(r, []string{"acme", "acme", "acme", "beta", "gamma"})
				s := site{host: fmt.Sprintf("h%d-%s.%s", r.IntN(200), organisation, pick(r, []string{"host.net", "host.net", organisation + ".com", "x.github.io"})), user: organisation + "-site", node: pick(r, []string{"n1", "n2"})}
				if old := hosts[s.host]; old != nil {
					s.node = old.node
				}
				hosts[s.host] = &s
			}
			names := slices.Sorted(maps.Keys(hosts))
			for _, name := range names {
				s := hosts[name]
				switch r.IntN(40) {
				case 0:
					s.aliases = []string{"www." + s.host}
				case 1:
					s.aliases = nil
				case 2:
					c.verdicts[s.host] = fails
				case 3:
					delete(c.verdicts, s.host)
				}
			}
			var all []site
			users := map[string]string{} // an environment is on one node
			for _, name := range names {
				s := hosts[name]
				if users[s.user] == "" {
					users[s.user] = s.node
				}
				s.node = users[s.user]
				all = append(all, *s)
			}
			out, _ := c.run(time.Duration(r.IntN(20*60))*time.Minute, all...)
			warned := map[string]bool{}
			for _, s := range out.Limits {
				for _, host := range s.HoldBack {
					warned[host] = true
				}
			}
			slices.SortFunc(out.Decisions, func(a, b Decision) int { return strings.Compare(a.Host, b.Host) })
			for _, d := range out.Decisions {
				if !d.Fresh {
					continue
				}
				if err := encrypt.order(c.at, d.Node, setOf(d.Names)); err != "" && !warned[d.Host] {
					t.Fatalf("seed %d, %s: the server refuses %s by %s", seed, c.at, d.Host, err)
				}
			}
		}
	})
}

// letsEncrypt counts orders in its own way: by the tokens that each bucket has.
type letsEncrypt struct {
	tokens map[string]float64
	at     map[string]time.Time
	issued map[string]time.Time // by set
}

func newLetsEncrypt() *letsEncrypt {
	return &letsEncrypt{map[string]float64{}, map[string]time.Time{}, map[string]time.Time{}}
}

func (s *letsEncrypt) order(now time.Time, node string, set []string) (refused string) {
	type take struct {
		bucket string
		most   float64
		window time.Duration
	}
	key := strings.Join(set, ",")
	takes := []take{{"set " + key, 5, week}}
	if last, ok := s.issued[key]; !ok || now.Sub(last) > 120*24*time.Hour {
		takes = append(takes, take{"account " + node, 300, 3 * time.Hour})
		domains := map[string]bool{}
		for _, name := range set {
			labels := strings.Split(name, ".")
			n := 2
			if strings.HasSuffix(name, ".github.io") {
				n = 3
			}
			domains[strings.Join(labels[len(labels)-n:], ".")] = true
		}
		for domain := range domains {
			takes = append(takes, take{"domain " + domain, 50, week})
		}
	}
	for _, k := range takes {
		if _, ok := s.at[k.bucket]; !ok {
			s.tokens[k.bucket] = k.most
		} else {
			s.tokens[k.bucket] = min(k.most, s.tokens[k.bucket]+k.most*now.Sub(s.at[k.bucket]).Seconds()/k.window.Seconds())
		}
		s.at[k.bucket] = now
	}
	for _, k := range takes {
		if s.tokens[k.bucket] < 1-1e-6 {
			return k.bucket
		}
	}
	for _, k := range takes {
		s.tokens[k.bucket]--
	}
	s.issued[key] = now
	return ""
}
