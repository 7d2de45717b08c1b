package calendar

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// Days is the default horizon.
const Days = 365

// Options say what the calendar cannot read from a plan.
type Options struct {
	Now  time.Time
	Days int // the horizon, [Days] if it is 0
	// Profile is the certificate profile of the nodes, that of the plan if it is empty.
	Profile plan.CertificateProfile
	// ValidMinDays is the nodes' security.acme.defaults.validMinDays, 0 if that is null.
	ValidMinDays int
	// Served are the certificates that nodes are known to serve, by virtual host. They
	// are more exact than the plan, and known for virtual hosts whose first order is
	// older than the gate.
	Served map[string]Served
}

// Served is a certificate of a CA that a node serves for a virtual host.
type Served struct {
	Node                string
	NotBefore, NotAfter time.Time
}

// A Kind says what happens to a certificate.
type Kind string

// The kinds of events.
const (
	First   Kind = "first"   // its first order on its node
	Changed Kind = "changed" // a new order, because its names or its profile changed
	Renewal Kind = "renewal"
	Expiry  Kind = "expiry" // it expires, because it fails now and cannot be renewed
)

// An Event is something that happens to one certificate.
type Event struct {
	// Day is the UTC date of At, the time at which it is expected. It happens between
	// Earliest and Latest if Let's Encrypt does not refuse the order.
	Day      string    `json:"day"`
	Kind     Kind      `json:"kind"`
	Subject            // the certificate
	At       time.Time `json:"at"`
	Earliest time.Time `json:"earliest"`
	Latest   time.Time `json:"latest"`
	// Safe is set if no limit of Let's Encrypt can refuse the order. Limits are the kinds
	// of those that may, and [TooManyNames].
	Safe   bool     `json:"safe"`
	Limits []string `json:"limits,omitempty"`
	// Waits is set for a first order that the gate has not turned on yet: a project's
	// quota or a limit of Let's Encrypt holds it back until then, or the gate has not
	// judged it.
	Waits dnsgate.Reason `json:"waits,omitempty"`
}

// A Subject is the certificate of a virtual host.
type Subject struct {
	Host         string   `json:"host"`
	Node         string   `json:"node"`
	Environment  string   `json:"environment"` // its user name
	Organisation string   `json:"organisation"`
	Project      string   `json:"project"`
	Names        []string `json:"names"`
	Domains      []string `json:"domains"` // the registered domains of the names
}

// A Calendar is what happens to the certificates of a plan between two times.
type Calendar struct {
	From, Until time.Time
	Events      []Event // by time, then by host
	// Troubles are what an operator should look at, by time.
	Troubles []Trouble
	// Undated are certificates of which it is not known when they are renewed: their order
	// is older than the gate, or so long ago that each day is as likely. They may have
	// events before.
	Undated []Subject
	// Changes are the profile's terms that begin within the calendar, and Terms those at
	// its beginning.
	Terms   dnsgate.Terms
	Changes []dnsgate.Terms
	// Interval is the time between two renewals of a certificate under Terms.
	Interval time.Duration
}

// Of returns the calendar of a plan.
func Of(d plan.Document, o Options) *Calendar {
	o.Now = o.Now.UTC()
	o.Profile = cmp.Or(o.Profile, d.CertificateProfile, plan.Classic)
	b := &builder{
		Calendar: &Calendar{From: o.Now, Until: o.Now.AddDate(0, 0, cmp.Or(o.Days, Days)), Terms: dnsgate.TermsAt(o.Profile, o.Now)},
		document: d, options: o, policy: policy{o.Profile, o.ValidMinDays}, buckets: map[string]*bucket{}, sets: sets{},
	}
	b.Changes = dnsgate.TermsBetween(o.Profile, b.From, b.Until)
	b.Interval = later(b.policy.due(o.Now).earliest, o.Now.Add(day)).Sub(o.Now)
	certificates, _ := dnsgate.Certificates(d, dnsgate.Filter{})
	waiting := map[string]Subject{} // by host
	for _, c := range certificates {
		s := b.subject(c)
		before := b.former(s)
		if b.add(c, s, before) {
			waiting[s.Host] = s
		}
	}
	b.addWaiting(waiting)
	b.judge()
	b.sort()
	return b.Calendar
}

// A builder makes a calendar.
type builder struct {
	*Calendar
	document plan.Document
	options  Options
	policy   policy
	buckets  map[string]*bucket // of accounts and domains
	sets     sets
	orders   []*order
}

// An order is an event with the tokens that it takes.
type order struct {
	Event
	*spend
	renews bool // the certificate is renewed after it, and only after it
	// before is the order of the same names by another profile that this one replaces. It
	// is free once that one is through.
	before *spend
}

// subject describes a certificate.
func (b *builder) subject(c dnsgate.Certificate) Subject {
	e := b.document.Environments[c.User].Hostenv
	s := Subject{Host: c.Host, Node: c.Node, Environment: c.User, Organisation: e.Organisation, Project: e.Project, Names: normal(c.Names)}
	s.Domains = domainsOf(s.Names)
	return s
}

// normal returns names as an order has them: in the spelling of DNS, sorted, each once.
// It leaves out those that no certificate can have.
func normal(spellings []string) []string {
	var names []string
	for _, spelling := range spellings {
		if name, err := dnsgate.CertificateName(spelling); err == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func domainsOf(names []string) []string {
	var domains []string
	for _, name := range names {
		domains = append(domains, registeredDomain(name))
	}
	slices.Sort(domains)
	return slices.Compact(domains)
}

// add adds what a certificate does. It reports whether the gate holds the certificate
// back.
func (b *builder) add(c dnsgate.Certificate, s Subject, before *spend) (waits bool) {
	e, judged := b.document.DNSGate[c.Host]
	served, isServed := b.options.Served[c.Host]
	isServed = isServed && served.Node == c.Node
	today := window{b.From, b.From.Add(day)}
	_, held := dnsgate.HeldBack(e)
	switch {
	case len(s.Names) == 0: // no certificate can have its names
	case !judged:
		if isServed {
			b.renew(s, b.policy.dueOf(served.NotAfter.Sub(served.NotBefore), served.NotAfter))
		} else {
			b.order(First, s, today, dnsgate.Reason(notJudged))
		}
	case held:
		return true
	case e.Decision == plan.GateOff:
		if e.Verdict == string(dnsgate.Fail) {
			b.lost(s, e)
		}
	case e.Node != c.Node: // the gate has yet to judge it for this node
		b.order(First, s, today, dnsgate.Reason(notJudged))
	default:
		b.running(s, e, before, served, isServed)
	}
	return false
}

// notJudged is why an order waits that the gate has not judged.
const notJudged = "not-judged"

// running adds a certificate that is on.
func (b *builder) running(s Subject, e plan.GateEntry, before *spend, served Served, isServed bool) {
	ordered, dated := read(e.Ordered)
	names := s.Names
	if e.OrderedNames != nil {
		names = e.OrderedNames
	}
	w := window{ordered, ordered.Add(day)}
	switch {
	case e.KeepUntil != "":
		b.kept(s, e)
		return
	case e.Verdict == string(dnsgate.Unknown) && !isServed: // its orders may fail
		b.fails(s, e, ordered, dated)
		return
	case !slices.Equal(names, s.Names):
		if dated {
			b.take(&spend{window: w}, s.Node, domainsOf(names))
		}
		b.order(Changed, s, window{b.From, b.From.Add(day)}, "")
		return
	case e.Profile != b.document.CertificateProfile:
		var before *spend
		if dated {
			before = &spend{window: w}
			b.take(before, s.Node, s.Domains)
		}
		b.again(s, window{b.From, b.From.Add(day)}, before, !dated || w.latest.Before(b.From))
		return
	case dated && deployedBefore(e):
		b.again(s, w, before, true)
		return
	}
	present := isServed && (!dated || served.NotBefore.Add(backdated+time.Minute).After(ordered))
	if present {
		b.renew(s, b.policy.dueOf(served.NotAfter.Sub(served.NotBefore), served.NotAfter))
	} else if !dated {
		b.Undated = append(b.Undated, s)
	}
	if dated { // the deploy may be yet to come
		o := b.event(First, s, w, "")
		b.take(o.spend, s.Node, s.Domains)
		o.renews = !present
	}
}

// read reads a time of the plan, and reports whether there is one.
func read(text string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, text)
	return t.UTC(), err == nil
}

// former adds the earlier orders of a virtual host, of this node or others. It returns the
// last one, nil if that has no date.
func (b *builder) former(s Subject) (last *spend) {
	for _, o := range b.document.DNSGate[s.Host].FormerOrders {
		ordered, dated := read(o.Ordered)
		if last = nil; !dated {
			continue
		}
		if o.Names != nil {
			s.Names, s.Domains = o.Names, domainsOf(o.Names)
		}
		last = &spend{window: window{ordered, ordered.Add(day)}}
		b.take(last, o.Node, s.Domains)
		set := b.sets.of(s.Names)
		set.past = append(set.past, ordered)
	}
	return last
}

// renew adds the renewals of a certificate whose next one is due within a window, which
// may be in the past. Each renewal makes the window of the next one wider. From the one
// on whose window is as wide as the time between two, they have no date.
func (b *builder) renew(s Subject, w window) {
	for ; w.earliest.Before(b.Until); w = b.policy.after(w) {
		if w.latest.Sub(w.earliest) >= b.policy.shortest(w.earliest, w.latest) {
			b.Undated = append(b.Undated, s)
			return
		}
		if !w.latest.Before(b.From) { // else renewed since
			b.event(Renewal, s, w, "")
		}
	}
}

// order adds an order that is to come and takes tokens.
func (b *builder) order(kind Kind, s Subject, w window, waits dnsgate.Reason) {
	o := b.event(kind, s, w, waits)
	b.take(o.spend, s.Node, s.Domains)
	o.renews = true
}

// again adds an order of the same names by another profile. Once Let's Encrypt issued a
// certificate by the order before, it takes that for a renewal. If that one was not
// deployed, it does not.
func (b *builder) again(s Subject, w window, before *spend, deployed bool) {
	o := b.event(Changed, s, w, "")
	if o.renews = true; !deployed || before != nil {
		b.take(o.spend, s.Node, s.Domains)
	}
	if deployed {
		o.before = before
	}
}

// deployedBefore reports whether the present order differs from the one before in its profile
// alone, and that was a day old or more when the gate replaced it.
func deployedBefore(e plan.GateEntry) bool {
	before, ok := dnsgate.ByOtherProfile(e)
	begun, dated := read(before.Ordered)
	until, _ := read(before.Until)
	return ok && (!dated || until.Sub(begun) > day)
}

// event adds an event that takes no tokens but that of its names.
func (b *builder) event(kind Kind, s Subject, w window, waits dnsgate.Reason) *order {
	o := &order{Event: Event{Kind: kind, Subject: s, Earliest: w.earliest, Latest: w.latest, Safe: true, Waits: waits}, spend: &spend{window: w}}
	o.At = later(w.earliest, b.From)
	if kind == Renewal {
		o.At = w.earliest.Add(w.latest.Sub(w.earliest) / 2)
	}
	o.At = later(o.At, b.From)
	o.Day = o.At.Format(time.DateOnly)
	of := b.sets.of(s.Names)
	of.orders = append(of.orders, o)
	b.orders = append(b.orders, o)
	return o
}

// take lets an order take a token of its account and of each of its domains.
func (b *builder) take(s *spend, node string, domains []string) {
	s.take(b.bucket(dnsgate.PerAccount, node))
	for _, domain := range domains {
		s.take(b.bucket(dnsgate.PerDomain, domain))
	}
}

func (b *builder) bucket(limit dnsgate.Limit, subject string) *bucket {
	key := limit.Kind + " " + subject
	if b.buckets[key] == nil {
		b.buckets[key] = &bucket{limit: limit, subject: subject}
	}
	return b.buckets[key]
}

// judge decides which orders are safe.
func (b *builder) judge() {
	var buckets []*bucket
	for _, key := range slices.Sorted(maps.Keys(b.buckets)) {
		buckets = append(buckets, b.buckets[key])
	}
	of := map[*spend]*order{}
	for _, o := range b.orders {
		of[o.spend] = o
	}
	unsafe := func(o *order, kind string) {
		if o.Safe = false; !slices.Contains(o.Limits, kind) {
			o.Limits = append(o.Limits, kind)
		}
	}
	jams := settle(buckets, b.Until.AddDate(10, 0, 0))
	if b.spare(buckets) {
		jams = settle(buckets, b.Until.AddDate(10, 0, 0))
	}
	for _, bucket := range buckets {
		for _, j := range jams[bucket] {
			var refused []*order
			for _, s := range j.orders {
				if o := of[s]; o != nil {
					unsafe(o, bucket.limit.Kind)
					refused = append(refused, o)
				}
			}
			if !j.until.Before(b.From) && j.from.Before(b.Until) {
				b.Troubles = append(b.Troubles, trouble(bucket.limit, bucket.subject, j, refused, len(j.orders)))
			}
		}
	}
	for _, o := range b.orders { // renewals begin when the order is through
		if o.renews {
			b.renew(o.Subject, b.policy.after(window{o.Earliest, o.latest(nil)}))
		}
	}
	b.judgeSets(unsafe)
	b.judgeNames(unsafe)
}

// spare takes the orders out of the buckets that replace one which is through by then, and
// reports whether there are any.
func (b *builder) spare(buckets []*bucket) bool {
	free := map[*spend]bool{}
	for _, o := range b.orders {
		if o.before != nil && o.before.latest(nil).Before(o.Earliest) {
			free[o.spend], o.buckets = true, nil
		}
	}
	if len(free) == 0 {
		return false
	}
	for _, bucket := range buckets {
		bucket.spends = slices.DeleteFunc(bucket.spends, func(s *spend) bool { return free[s] })
		for _, s := range bucket.spends {
			s.until = nil
		}
	}
	for s := range free {
		s.until = nil
	}
	return true
}

// judgeNames finds the certificates with too many names.
func (b *builder) judgeNames(unsafe func(*order, string)) {
	ordering := slices.Clone(b.Undated)
	for _, o := range b.orders {
		if len(o.Names) > b.Terms.Names {
			unsafe(o, TooManyNames)
		}
		ordering = append(ordering, o.Subject)
	}
	seen := map[string]bool{}
	for _, s := range ordering {
		if len(s.Names) > b.Terms.Names && !seen[s.Host] {
			seen[s.Host] = true
			b.refused(s)
		}
	}
}

// judgeSets decides which orders are safe from the limit of certificates with the same
// names.
func (b *builder) judgeSets(unsafe func(*order, string)) {
	for _, key := range slices.Sorted(maps.Keys(b.sets)) {
		refused := b.sets[key].refused(b.From, b.policy.shortest(b.From, b.Until))
		for _, o := range refused {
			unsafe(o, dnsgate.PerSet.Kind)
		}
		if len(refused) > 0 && b.Interval > day {
			b.Troubles = append(b.Troubles, trouble(dnsgate.PerSet, key, jam{from: refused[0].Earliest, until: refused[len(refused)-1].Latest}, refused, len(refused)))
		}
	}
	if b.Interval > day {
		return
	}
	daily := Trouble{Kind: RenewedDaily, At: b.From, Subject: string(b.options.Profile), Limit: dnsgate.PerSet.Most}
	seen := map[string]bool{}
	for _, o := range b.orders {
		if o.Kind == Renewal && !seen[o.Host] {
			seen[o.Host] = true
			daily.Certificates = append(daily.Certificates, o.Subject)
		}
	}
	for _, s := range b.Undated {
		if !seen[s.Host] {
			seen[s.Host] = true
			daily.Certificates = append(daily.Certificates, s)
		}
	}
	if daily.Orders = len(daily.Certificates); daily.Orders > 0 {
		b.Troubles = append(b.Troubles, daily)
	}
}

// sort puts the calendar into its order, and leaves out what is after its end.
func (b *builder) sort() {
	for _, o := range b.orders {
		if o.At.Before(b.Until) && !o.latest(nil).Before(b.From) {
			b.Events = append(b.Events, o.Event)
		}
	}
	slices.SortStableFunc(b.Events, func(x, y Event) int {
		return cmp.Or(cmp.Compare(x.Day, y.Day), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Host, y.Host), x.At.Compare(y.At))
	})
	slices.SortStableFunc(b.Troubles, func(x, y Trouble) int {
		return cmp.Or(x.At.Compare(y.At), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Subject, y.Subject))
	})
}
