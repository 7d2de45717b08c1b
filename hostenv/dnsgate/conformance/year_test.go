package conformance

import (
	"container/heap"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/calendar"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

var (
	years     = flag.Int("years", 5, "how many random years of a provider")
	firstYear = flag.Int("firstYear", 0, "which random year is the first")
)

const (
	hour = time.Hour
	day  = 24 * hour
)

// TestYears lives random years of a provider: hosts come in bursts, get aliases, move and
// fail, and each node orders and renews as NixOS does, with the hours that chance gives
// it. After each change a calendar is made. Boulder's limiter refuses no order that the
// last calendar calls safe, and each order happens on a day that the calendar has.
func TestYears(t *testing.T) {
	var total tally
	for n := *firstYear; n < *firstYear+*years; n++ {
		y := newYear(t, n)
		y.live()
		total.add(y.tally)
		if t.Failed() {
			t.Fatalf("see it alone: -run=TestYears -firstYear=%d -years=1", n)
		}
	}
	t.Logf("%d years: %s", *years, total)
	if total.refused == 0 || total.safe == 0 {
		t.Error("the limits are not reached: the years show nothing")
	}
}

// A tally counts the orders of years.
type tally struct{ orders, refused, safe, unsafe, calendars int }

func (n *tally) add(m tally) {
	n.orders += m.orders
	n.refused += m.refused
	n.safe += m.safe
	n.unsafe += m.unsafe
	n.calendars += m.calendars
}

func (n tally) String() string {
	return fmt.Sprintf("%d orders, %d of them called safe and %d not, and %d refusals; %d calendars", n.orders, n.safe, n.unsafe, n.refused, n.calendars)
}

// A site is a virtual host, and the certificate of its node.
type site struct {
	host, node string
	names      []string
	entry      plan.GateEntry
	// fails is until when authorizations of it fail.
	fails time.Time

	generation int           // deploys that changed it
	slot       time.Duration // after midnight, of NixOS's timer
	pending    bool          // ordered, and not yet issued
	first      bool          // its next try is the first since the deploy
	tries      int
	notAfter   time.Time
	lifetime   time.Duration
}

type year struct {
	*rand.Rand
	*authority
	testing.TB
	tally
	sites    []*site
	nodes    []string
	domains  []string
	queue    queue
	calendar *calendar.Calendar
	of       map[string][]calendar.Event // of the calendar, by host
	undated  map[string]bool
	daily    bool // the calendar says that all are renewed too often
	profile  plan.CertificateProfile
	days     int // validMinDays
	start    time.Time
	n        int
}

func newYear(t testing.TB, n int) *year {
	r := rand.New(rand.NewPCG(*seed, uint64(n)))
	start := time.Date(2026, 11, 30, 6, 0, 0, 0, time.UTC).AddDate(0, 0, r.IntN(500))
	y := &year{Rand: r, TB: t, authority: newAuthority(t, start), start: start, n: n, profile: plan.Classic, days: 30}
	y.choose()
	for i := range 1 + r.IntN(3) {
		y.nodes = append(y.nodes, fmt.Sprintf("n%d", i))
	}
	for i := range 2 + r.IntN(8) {
		y.domains = append(y.domains, []string{"customer%d.com", "firm%d.co.uk", "shop%d.org", "user%d.github.io"}[i%4])
		y.domains[i] = fmt.Sprintf(y.domains[i], i)
	}
	return y
}

// choose sets the profile of the nodes' orders.
func (y *year) choose() {
	y.profile, y.days = plan.Classic, 30
	switch y.IntN(6) {
	case 0:
		y.days = 0
	case 1:
		y.profile, y.days = plan.TLSServer, 30*y.IntN(2)
	case 2:
		y.profile, y.days = plan.Shortlived, 3*y.IntN(2)
	}
}

// live lets the year happen.
func (y *year) live() {
	end := y.start.AddDate(1, 0, 0)
	for now := y.start; now.Before(end); {
		next := now.Add(hour + time.Duration(y.Int64N(int64(20*day))))
		y.change(now)
		y.deploy(now, next)
		y.run(next)
		if y.Failed() {
			return
		}
		now = next
	}
}

// change changes the provider's sites.
func (y *year) change(now time.Time) {
	if y.IntN(25) == 0 {
		profile, days := y.profile, y.days
		if y.choose(); y.profile == profile {
			y.days = days // the plan does not know since when it is another
		}
	}
	if y.IntN(3) > 0 || len(y.sites) == 0 {
		burst := 1 + y.IntN(8)
		switch y.IntN(12) {
		case 0:
			burst = 30 + y.IntN(60)
		case 1:
			burst = 250 + y.IntN(120)
		}
		domain, node := y.domains[y.IntN(len(y.domains))], y.nodes[y.IntN(len(y.nodes))]
		for range burst {
			if len(y.sites) > 700 {
				break
			}
			own := domain
			if burst > 200 || y.IntN(4) == 0 {
				own = fmt.Sprintf("own%d.net", len(y.sites))
			}
			s := &site{host: fmt.Sprintf("h%d.%s", len(y.sites), own), node: node, slot: time.Duration(y.Int64N(int64(day)))}
			s.names = []string{s.host}
			if y.IntN(15) == 0 {
				s.fails = now.Add(time.Duration(y.Int64N(int64(60 * day))))
			}
			y.sites = append(y.sites, s)
		}
	}
	for range y.IntN(12) {
		s := y.sites[y.IntN(len(y.sites))]
		switch y.IntN(3) {
		case 0:
			s.node = y.nodes[y.IntN(len(y.nodes))]
		case 1:
			s.names = append(slices.Clone(s.names), fmt.Sprintf("a%d.%s", y.IntN(1e6), y.domains[y.IntN(len(y.domains))]))
			slices.Sort(s.names)
		case 2:
			if len(s.names) > 1 {
				s.names = slices.DeleteFunc(slices.Clone(s.names), func(name string) bool { return name != s.host && y.IntN(2) == 0 })
			}
		}
	}
}

// deploy gates and deploys the plan. The calendar is made before the gate or after it,
// until the next change.
func (y *year) deploy(now, next time.Time) {
	early := y.IntN(2) == 0
	days := 25 + int(next.Sub(now)/day)
	if early {
		y.makeCalendar(now, days)
	}
	begin := now.Add(time.Duration(y.Int64N(int64(23 * hour))))
	changed := 0
	for _, s := range y.sites {
		same := s.entry.Node == s.node && slices.Equal(s.entry.OrderedNames, s.names) && s.entry.Profile == y.profile
		verdict := "pass"
		if s.fails.After(now) && s.notAfter.IsZero() {
			verdict = "unknown"
		}
		if same {
			if s.entry.Verdict == "unknown" && !s.notAfter.IsZero() {
				s.entry.Verdict = "pass"
			}
			continue
		}
		entry := plan.GateEntry{Decision: plan.GateOn, Node: s.node, Verdict: verdict, Reason: "a-match", Name: s.host, Ordered: now.Format(time.RFC3339), OrderedNames: s.names, Profile: y.profile}
		if old := s.entry; old.Ordered != "" {
			entry.FormerOrders = append(slices.Clone(old.FormerOrders), plan.Order{Names: old.OrderedNames, Node: old.Node, Ordered: old.Ordered, Until: now.Format(time.RFC3339), Profile: old.Profile})
			entry.FormerOrders = slices.DeleteFunc(entry.FormerOrders, func(o plan.Order) bool {
				until, err := time.Parse(time.RFC3339, o.Until)
				return err != nil || now.Sub(until) > 9*day
			})
		}
		s.entry = entry
		s.generation++
		s.pending, s.first, s.tries = true, true, 0
		heap.Push(&y.queue, visit{begin.Add(time.Duration(changed) * 2 * time.Second), s, s.generation, tryOrder})
		changed++
	}
	if !early {
		y.makeCalendar(now, days)
	}
}

func (y *year) makeCalendar(now time.Time, days int) {
	on := true
	d := plan.Document{CertificateProfile: y.profile, HostenvHostname: "hosting.example", Environments: map[string]plan.Environment{}, Nodes: map[string]plan.Node{}, DNSGate: map[string]plan.GateEntry{}}
	for _, node := range y.nodes {
		d.Nodes[node] = plan.Node{Services: plan.Services{Nginx: plan.Nginx{VirtualHosts: map[string]plan.VirtualHost{}}}}
	}
	for _, s := range y.sites {
		v := plan.VirtualHost{EnableACME: &on, ServerAliases: slices.DeleteFunc(slices.Clone(s.names), func(name string) bool { return name == s.host })}
		d.Environments[s.host] = plan.Environment{Node: s.node, VirtualHosts: map[string]plan.VirtualHost{s.host: v}}
		d.Nodes[s.node].Services.Nginx.VirtualHosts[s.host] = v
		if s.entry.Decision != "" {
			e := s.entry
			e.Asked.EnableACME = true
			d.DNSGate[s.host] = e
		}
	}
	y.calendar = calendar.Of(d, calendar.Options{Now: now, Days: days, ValidMinDays: y.days})
	y.calendars++
	y.of, y.undated, y.daily = map[string][]calendar.Event{}, map[string]bool{}, false
	for _, s := range y.calendar.Undated {
		y.undated[s.Host] = true
	}
	for _, t := range y.calendar.Troubles {
		y.daily = y.daily || t.Kind == calendar.RenewedDaily
	}
	for _, e := range y.calendar.Events {
		y.of[e.Host] = append(y.of[e.Host], e)
	}
}

const (
	tryOrder = iota
	issueOrder
)

// A visit is when something happens at a site.
type visit struct {
	at         time.Time
	site       *site
	generation int
	what       int
}

type queue []visit

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(v any)        { *q = append(*q, v.(visit)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// run lets everything happen until a time.
func (y *year) run(until time.Time) {
	for len(y.queue) > 0 && y.queue[0].at.Before(until) && !y.Failed() {
		v := heap.Pop(&y.queue).(visit)
		y.clock.Set(v.at)
		switch {
		case v.generation != v.site.generation: // a later deploy stopped it
		case v.what == issueOrder:
			y.issued(v.site)
		default:
			y.visit(v.site)
		}
	}
}

func (y *year) account(s *site) int64 { return int64(slices.Index(y.nodes, s.node) + 1) }

// timer returns when NixOS's timer starts the site's unit next.
func (y *year) timer(s *site, now time.Time) time.Time {
	at := now.Truncate(day).Add(s.slot)
	for !at.After(now) {
		at = at.Add(day)
	}
	return at
}

func (y *year) visit(s *site) {
	now := y.clock.Now()
	again := func(at time.Time) { heap.Push(&y.queue, visit{at, s, s.generation, tryOrder}) }
	if !s.pending && !y.due(s, now) {
		again(y.timer(s, now))
		return
	}
	fresh := s.tries == 0 // not again after a failure
	s.tries++
	refused := y.order(y.TB, y.account(s), s.names)
	y.judge(s, fresh, now, refused)
	switch {
	case refused == nil && s.fails.After(now) && s.notAfter.IsZero():
		if y.failed(y.TB, y.account(s), s.host) {
			y.Errorf("year %d: %s is paused", y.n, s.host)
		}
	case refused == nil:
		heap.Push(&y.queue, visit{now.Add(time.Duration(3+y.IntN(25)) * time.Second), s, s.generation, issueOrder})
		return
	default:
		y.refused++
	}
	// hostenv-certificates tries it every hour, 24 times, and NixOS's timer once a day.
	next := y.timer(s, now)
	if hourly := now.Add(hour/2 + time.Duration(y.Int64N(int64(hour)))); s.tries <= 24 && hourly.Before(next) {
		next = hourly
	}
	again(next)
}

// due is lego's decision to renew.
func (y *year) due(s *site, now time.Time) bool {
	left := s.notAfter.Sub(now)
	part := s.lifetime / 3
	if s.lifetime < 10*day {
		part = s.lifetime / 2
	}
	if suggested := time.Duration((y.Float64()*2 - 1) * float64(s.lifetime/100)); left <= part+suggested {
		return true
	}
	if y.days > 0 {
		return int(left.Hours()/24) <= y.days
	}
	return left < part
}

func (y *year) issued(s *site) {
	now := y.clock.Now()
	y.issue(y.TB, y.account(s), s.names)
	s.lifetime = dnsgate.TermsAt(y.profile, now).Lifetime
	s.notAfter = now.Add(s.lifetime - hour - time.Second)
	s.pending, s.tries = false, 0
	heap.Push(&y.queue, visit{y.timer(s, now), s, s.generation, tryOrder})
}

// judge compares an order with what the calendar says of it.
func (y *year) judge(s *site, fresh bool, now time.Time, refused error) {
	y.orders++
	var called []calendar.Event
	for _, e := range y.of[s.host] {
		if !now.Before(e.Earliest) && !now.After(e.Latest) && (e.Kind == calendar.Renewal) != s.pending {
			called = append(called, e)
		}
	}
	failing := s.fails.After(y.start) // its orders are not in the calendar
	if len(called) == 0 {
		switch {
		case y.undated[s.host] && !s.pending && (refused == nil || y.daily):
		case fresh && !failing:
			y.Errorf("year %d: %s orders at %s (pending: %v), and the calendar of %s has no such event:\n%s", y.n, s.host, now, s.pending, y.calendar.From, y.events(s))
		}
		return
	}
	safe := !slices.ContainsFunc(called, func(e calendar.Event) bool { return !e.Safe })
	if safe {
		y.safe++
	} else {
		y.unsafe++
	}
	if safe && refused != nil {
		y.Errorf("year %d: the calendar of %s calls the order of %s at %s safe, and Let's Encrypt refuses it: %v\n%s", y.n, y.calendar.From, s.host, now, refused, y.events(s))
	}
}

func (y *year) events(s *site) string {
	var text strings.Builder
	for _, e := range y.of[s.host] {
		fmt.Fprintf(&text, "  %s %s %s - %s %v %v\n", e.Kind, e.Node, e.Earliest, e.Latest, e.Safe, e.Limits)
	}
	for _, t := range y.calendar.Troubles {
		fmt.Fprintf(&text, "  %s\n", t)
	}
	fmt.Fprintf(&text, "  names %v, entry %+v\n", s.names, s.entry)
	return text.String()
}
