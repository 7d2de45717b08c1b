package dnsgate

import (
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A Page tells a customer about one certificate: what is wrong, what to set, and how to
// see that it worked. It is for people who do not know DNS. It has only the customer's own
// names, what DNS says about them, and the name and the addresses of their node.
//
// In its texts, values stand between backticks, as in Markdown. No value has a backtick.
type Page struct {
	Host    string
	Summary string
	Parts   []Part
	Until   []string // what happens until the problem is solved
	Check   []Step   // how to see that it is solved
}

// A Step is a thing to do, perhaps with a command to type.
type Step struct{ Text, Command, Then string }

// A Part of a page is about names with one problem.
type Part struct {
	Names  []string
	Reason Reason
	Advice
}

// Advice is what we tell the customer about a reason. Paragraphs are sentences of ours;
// see [Page].
type Advice struct {
	Wrong []string // what is wrong
	First []string // what to do before the records
	// Remove, Set and Or are records: those of Or replace those of Set, if the name has
	// other records already.
	Remove, Set, Or []Record
	Then            []string // what to do after the records
	// Ask is for the company that keeps the DNS, beside the records. Saw is what it
	// needs to find the fault.
	Ask, Saw []string
	// Ours is set if the provider has to act, and the customer does not.
	Ours bool

	zone    string   // whose DNS is to change; "" if none
	servers []string // its name servers
	look    []string // names whose addresses the customer can look up, to see the change
}

// A Record is a record in DNS, as a form asks for it.
type Record struct{ Name, Type, Value string }

// PageOf returns the page about a certificate that [Gate] decided about.
func PageOf(facts *Facts, request Request, d Decision) Page {
	p := Page{Host: request.Host}
	subjects := subjectsOf(facts, request)
	reason := d.Verdict.Reason
	if of := advice[reason]; of != nil && !slices.ContainsFunc(rules, func(r rule) bool { return r.reason == reason }) {
		subjects = nil
		p.add(request.Host, reason, of(nil)) // the reason is of [Gate]
	}
	token := len(subjects) > 0
	var own published
	if facts != nil {
		own = publishedBy(facts.Nodes[request.Node])
	}
	for _, s := range subjects {
		v := decide(s)
		a := advice[v.Reason](s)
		if s.ofProvider() && a.needs() {
			a = Advice{Ours: true, Wrong: []string{"The name " + quote(s.name) + " is one that we gave to your site, and its DNS is ours. We repair this."}}
		}
		p.add(s.certified(), v.Reason, a)
		token = token && s.own != nil && s.own.Proof == s.Node
	}
	p.Summary = p.summary(d)
	p.Until = p.until(d)
	p.Check = p.check(request.Node, token, own)
	return p
}

// add adds the advice about a name, to a part with the same reason and zone if there is
// one.
func (p *Page) add(name string, reason Reason, a Advice) {
	i := slices.IndexFunc(p.Parts, func(part Part) bool { return part.Reason == reason && part.zone == a.zone })
	if i < 0 {
		p.Parts = append(p.Parts, Part{Names: []string{name}, Reason: reason, Advice: a})
		return
	}
	part := &p.Parts[i]
	part.Names = append(part.Names, name)
	part.Wrong = join(part.Wrong, a.Wrong)
	part.Remove = join(part.Remove, a.Remove)
	part.Set = join(part.Set, a.Set)
	part.Or = join(part.Or, a.Or)
	part.First = join(part.First, a.First)
	part.Then = join(part.Then, a.Then)
	part.Ask = join(part.Ask, a.Ask)
	part.Saw = join(part.Saw, a.Saw)
	part.look = join(part.look, a.look)
}

func join[T comparable](a, b []T) []T {
	for _, x := range b {
		if !slices.Contains(a, x) {
			a = append(a, x)
		}
	}
	return a
}

// needs reports whether a part asks the customer to do something.
func (a *Advice) needs() bool {
	return len(a.First)+len(a.Remove)+len(a.Set)+len(a.Then)+len(a.Ask) > 0
}

// needs reports whether any part does.
func (p *Page) needs() bool {
	return slices.ContainsFunc(p.Parts, func(part Part) bool { return part.needs() })
}

// parts are those that the customer reads: if some names need something, the others are
// left out.
func (p *Page) parts() []Part {
	some := slices.DeleteFunc(slices.Clone(p.Parts), func(part Part) bool { return !part.needs() && !part.Ours })
	if len(some) > 0 {
		return some
	}
	return p.Parts
}

func (p *Page) summary(d Decision) string {
	host := quote(p.Host)
	nothing := !p.needs()
	ours := slices.ContainsFunc(p.Parts, func(part Part) bool { return part.Ours })
	const who = "Let's Encrypt, the organisation that issues the certificate,"
	switch {
	case nothing && ours:
		return "Your site " + host + " has to wait for its certificate. This is for us to see to: you need to do nothing."
	case nothing:
		return "Your site " + host + " is set up correctly. " + who + " accepts it. You need to do nothing."
	case d.Verdict.Result == Pass:
		return "Your site " + host + " gets its certificate. Still, a change in your DNS would help your visitors."
	case d.Verdict.Result == Unknown:
		return "Your site " + host + " needs a certificate, so that visitors can open it by `https://`. " + who +
			" asks the internet where the name of the site leads. We cannot see yet whether it would issue the certificate."
	}
	return "Your site " + host + " needs a certificate, so that visitors can open it by `https://`. " + who +
		" issues it only if the site passes its checks. At the moment it would refuse."
}

func (p *Page) until(d Decision) []string {
	host, site := quote(p.Host), quote("https://"+p.visited())
	var text []string
	switch {
	case d.Verdict.Result == Pass && d.On:
		return []string{"We order the certificate with our next deployment, unless you have it already. It is renewed without your help."}
	case d.On && d.Verdict.Result == Fail:
		until := ""
		if end, err := time.Parse(time.RFC3339, d.KeepUntil); err == nil {
			until = " until " + end.UTC().Format("2 January 2006")
		}
		text = append(text, "Your present certificate stays in use"+until+". Let's Encrypt does not renew it before the problem is solved.",
			"After that day, browsers that have opened your site before do not open it any more: your site told them to use "+quote("https://")+" only (HSTS).")
	case d.On:
		text = append(text, "Your site stays as it is. If it has a certificate, that stays in use.")
	case d.KeepUntil != "":
		text = append(text, "On our server, "+host+" has no certificate. Browsers that have opened your site before do not open it now: your site told them to use "+
			quote("https://")+" only (HSTS).")
	default:
		text = append(text, "On our server, "+host+" has no certificate. Visitors who reach our server can open "+quote("http://"+p.visited())+
			"; for "+site+" their browsers show a warning, or no page.")
	}
	if !p.needs() {
		return append(text, "We look again before every deployment.")
	}
	return append(text, "We look again before every deployment. You need not tell us of your change; if it is urgent, do.")
}

func (p *Page) check(node string, token bool, own published) []Step {
	var names []string
	for _, part := range p.parts() {
		names = join(names, part.look)
	}
	var steps []Step
	if len(names) > 0 {
		steps = append(steps,
			Step{Text: "Wait an hour. Changes in DNS are not seen at once, and some take a day."},
			Step{Text: "Open a terminal; on Windows it is called Command Prompt."})
	}
	for _, name := range names {
		steps = append(steps, lookUpStep("A", name, own.v4), lookUpStep("AAAA", name, own.v6))
	}
	if token && len(names) > 0 {
		steps = append(steps, Step{Text: "Open " + quote("http://"+p.Host+ChallengePath+Token) + " in your browser. The page begins with " + quote(node) + "."})
	}
	return append(steps, Step{Text: "After our next deployment, open " + quote("https://"+p.visited()) + " in your browser. It shows the site without a warning."})
}

// visited is a name of the site that a browser opens.
func (p *Page) visited() string { return strings.Replace(p.Host, "*.", "www.", 1) }

func lookUpStep(kind, name string, own addresses) Step {
	step := Step{Text: "Type this line and press Enter:", Command: "nslookup -type=" + kind + " " + name, Then: "Below the name there must be "}
	if len(own) == 0 {
		step.Then += "no address."
	} else {
		step.Then += quoted(texts(own)) + " and no other address."
	}
	return step
}

// series is "a", "a and b", or "a, b and c".
func series(all []string) string {
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}

// quote returns a value for a text of a [Page], on one line.
func quote(value string) string {
	return "`" + strings.ReplaceAll(problem.Line(value), "`", "'") + "`"
}

func quoted(values []string) string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = quote(v)
	}
	return series(all)
}

// ofProvider reports whether the name lies in the provider's own domain, that of the
// nodes' names.
func (s *subject) ofProvider() bool {
	_, domain, _ := strings.Cut(s.Node, ".")
	return s.invalid == nil && strings.HasSuffix(s.name, "."+domain)
}

// apex reports whether the name is the top of its zone, where DNS allows no CNAME.
func (s *subject) apex() bool {
	if s.facts.Zone != "" {
		return s.facts.Zone == s.name
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(s.name)
	return err != nil || domain == s.name
}
