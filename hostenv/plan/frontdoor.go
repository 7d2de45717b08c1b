package plan

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
)

// FrontDoor holds the provider's options for the virtual hosts of projects.
type FrontDoor struct {
	// Raw names the organisations (organisation) and projects
	// (organisation__project) that the provider trusts as itself: their virtual
	// hosts are in the raw form.
	Raw []string
}

func (r *reader) frontDoor(from canonjson.Object) FrontDoor {
	return FrontDoor{Raw: r.texts(from, "provider.frontDoor", "raw")}
}

// opens reports whether the virtual hosts of a project are in the raw form.
func (f FrontDoor) opens(p *Project) bool {
	return slices.Contains(f.Raw, p.Input) || p.Organisation != "" && slices.Contains(f.Raw, p.Organisation)
}

// unusedRaw warns of entries of provider.frontDoor.raw that open nothing.
func (c *computation) unusedRaw() {
	for _, entry := range c.inv.Provider.FrontDoor.Raw {
		if !c.planned(func(input, organisation string) bool { return entry == input || entry == organisation }) {
			c.warn("provider.frontDoor.raw", fmt.Sprintf("names %q, which is no organisation or project that is planned", entry))
		}
	}
}

// A closedDoor is the front door's closed form: what a customer may say of a
// virtual host, as typed values. Nothing in it reaches another customer's files,
// sockets, certificates or names, and nginx starts with every value of it.
//
// Everything else that a site needs is the business of the environment's own nginx,
// behind its socket.
type closedDoor struct {
	user       string
	indexing   bool       // allowIndexing
	redirect   names.Host // globalRedirect, "" for none
	code       int        // redirectCode
	webSockets bool       // locations."/".proxyWebsockets
	locations  []location // those that answer by themselves, in the order of their paths
}

// A location is a path, or "= " and a path for a request of exactly this path, and
// the answer to it.
type location struct {
	path   string
	answer answer
}

// The options of the closed form. An option that is null is unset, whatever its
// name; any other option is refused by its name.
var (
	closedVirtualHost = setOf("allowIndexing", "enableLetsEncrypt", "globalRedirect", "hsts", "locations", "redirectCode", "security")
	closedLocation    = setOf("proxyWebsockets", "return")
	closedSecurity    = setOf("csp", "cspMode", "cspReportTo", "hsts", "referrerPolicy", "reportTo", "xContentTypeOptions", "xFrameOptions")
)

const remedyRedirect = "name the host to redirect to, without scheme and path"

// closedDoor reads a virtual host in the closed form. It also returns what the plan
// carries of it: the options of the form alone.
func (r *reader) closedDoor(object canonjson.Object, at, user string) (*closedDoor, canonjson.Object) {
	d := &closedDoor{
		user:     user,
		indexing: r.boolean(object, at, "allowIndexing", true),
		code:     r.redirectCode(object, at),
	}
	r.noCatchAll(object, at)
	fields := r.only(object.Without("default"), closedVirtualHost, at, "virtualHosts.<name>")
	r.boolean(object, at, "hsts", true)
	if to := r.text(object, at, "globalRedirect", ""); to != "" {
		host, err := names.ParseHost(to)
		if err == nil && host.Wildcard() {
			err = fmt.Errorf("it is a wildcard")
		}
		if err != nil {
			r.remedied(at, "globalRedirect", remedyRedirect, "is %q: %v", to, err)
		}
		d.redirect = host
		fields = fields.With("globalRedirect", canonjson.Marshal(string(host)))
	}
	locations := canonjson.Object{}
	for path, object := range r.members(object, at, "locations") {
		inner := at + ".locations." + quoteAttribute(path)
		answers := r.only(object, closedLocation, inner, "virtualHosts.<name>.locations.<path>").Without("proxyWebsockets")
		locations = append(locations, canonjson.Member{Name: path, Value: answers.Value()})
		r.location(d, object, path, inner)
	}
	if !canonjson.IsNull(fields.Get("locations")) {
		fields = fields.With("locations", locations.Value())
	}
	if security := r.optionalObject(object, at, "security"); security != nil {
		r.security(security, at+".security")
		fields = fields.With("security", r.only(security, closedSecurity, at+".security", "virtualHosts.<name>.security").Value())
	}
	return d, fields
}

// redirectCode is also the status of NixOS' own redirect to HTTPS.
func (r *reader) redirectCode(object canonjson.Object, at string) int {
	code := r.number(object, at, "redirectCode", 301, 0, 1<<31-1)
	if !slices.Contains(redirects, code) {
		r.remedied(at, "redirectCode", "write one of "+oneOf(redirects), "is %d, which is no redirect", code)
	}
	return code
}

// plainLocation matches a prefix or an exact path, of characters that nginx takes
// literally and that need no quotes.
var plainLocation = regexp.MustCompile(`^(= )?/[A-Za-z0-9._~%+@:,=&!*()/-]*$`)

const (
	// maxLocation fits the one byte in which some versions of nginx keep the length of
	// a location. maxTarget keeps a directive far below the 4096 bytes of nginx's
	// buffer for a word.
	maxLocation = 250
	maxTarget   = 2000
	// challenges is where NixOS has a location of its own, for certificates.
	challenges = "/.well-known/acme-challenge"
)

// location reads one location. One without an answer has no effect: nginx would
// serve files of its own there.
func (r *reader) location(d *closedDoor, object canonjson.Object, path, at string) {
	switch {
	case !plainLocation.MatchString(path):
		r.remedied(at, "", `write a path such as "/old", or "= /old" for this path alone; `+toOwnNginx, "is no plain path")
	case len(path) > maxLocation:
		r.remedied(at, "", toOwnNginx, "has %d characters, and the front door takes %d", len(path), maxLocation)
	case strings.HasPrefix(strings.TrimPrefix(path, "= "), challenges):
		r.remedied(at, "", "remove it", "is where certificates are ordered")
	}
	value := object.Get("return")
	if r.boolean(object, at, "proxyWebsockets", false) {
		r.webSockets(d, path, at, !canonjson.IsNull(value))
	}
	if canonjson.IsNull(value) {
		return
	}
	answer, err := parseAnswer(value)
	switch {
	case err != nil:
		r.remedied(at, "return", `write a status such as 410, or a redirect such as "301 /new" or "301 https://www.example.org$request_uri"; `+toOwnNginx, "%v", err)
	case path == "/" && d.redirect != "":
		r.remedied(at, "return", "remove it, or globalRedirect", "has no effect: globalRedirect answers every request")
	default:
		d.locations = append(d.locations, location{path, answer})
	}
}

// webSockets notes that "/", which passes requests to the environment's own socket,
// passes WebSockets as well.
func (r *reader) webSockets(d *closedDoor, path, at string, answered bool) {
	switch {
	case path != "/":
		r.remedied(at, "proxyWebsockets", `set locations."/".proxyWebsockets`, `is true, and the front door passes requests to the environment by "/" alone`)
	case d.redirect != "":
		r.remedied(at, "proxyWebsockets", "remove it, or globalRedirect", "has no effect: globalRedirect answers every request")
	case answered:
		r.remedied(at, "proxyWebsockets", "remove it, or return", "has no effect: return answers every request")
	default:
		d.webSockets = true
	}
}

// only returns the members with the given names. It refuses each other member that
// is set.
func (r *reader) only(object canonjson.Object, known map[string]bool, at, of string) canonjson.Object {
	for _, m := range object {
		if !known[m.Name] && !canonjson.IsNull(m.Value) {
			r.foreign(of, m.Name, at, false)
		}
	}
	return object.Only(func(name string) bool { return known[name] })
}

const toOwnNginx = "anything else belongs in the environment's own nginx, behind its socket (services.nginx.virtualHosts of the project)"

// A foreignOption is an option that the front door does not take from a project.
type foreignOption struct {
	never  bool   // not in the raw form either
	first  string // the first place that sets it
	places int
}

// maxForeign bounds what is said of one project, which chooses the names of options.
const maxForeign = 30

// foreign notes an option that a project may not set; refuseForeign reports it.
func (r *reader) foreign(of, option, at string, never bool) {
	name := of + "." + quoteAttribute(option)
	f := r.foreigners[name]
	if f == nil {
		f = &foreignOption{never: never || notRaw.MatchString(option), first: at}
		if r.foreigners == nil {
			r.foreigners = map[string]*foreignOption{}
		}
		r.foreigners[name] = f
	}
	f.places++
}

// refuseForeign reports each option that the project sets and the front door does
// not take, once for all places.
func (r *reader) refuseForeign(input string) {
	for i, name := range slices.Sorted(maps.Keys(r.foreigners)) {
		f := r.foreigners[name]
		at, fix := f.first, "remove it: "+toOwnNginx
		if f.places > 1 {
			at = fmt.Sprintf("%s and %d more", at, f.places-1)
		}
		if i == maxForeign {
			r.problems.Addf(input, fix, "sets %d more options that the front door does not take", len(r.foreigners)-i)
			break
		}
		if !f.never {
			fix += fmt.Sprintf("; if you trust the project as yourself, set provider.frontDoor.raw = [ %q ]", input)
		}
		r.problems.Addf(input, fix, "sets %s, which the front door does not take (%s)", name, at)
	}
	r.foreigners = nil
}

// shadow returns the reader that reads a raw project in the closed form, for
// [Inventory.Opened].
func (r *reader) shadow() *reader {
	if r.closed == nil {
		r.closed = &reader{}
	}
	return r.closed
}

// Opened returns what the closed form of the front door would refuse of the
// projects that provider.frontDoor.raw opens.
func (inv *Inventory) Opened() []error { return slices.Clone(inv.opened) }

func (d *closedDoor) redirects() bool { return d.redirect != "" }

func (d *closedDoor) proxy(user string) jsontext.Value {
	proxy := proxyTo(user)
	if d.webSockets {
		proxy = proxy.With("proxyWebsockets", jsontext.Value("true"))
	}
	return proxy.Value()
}

// nginx is the one place where the closed form becomes options of NixOS.
func (d *closedDoor) nginx(host VirtualHost) VirtualHost {
	locations := make(canonjson.Object, 0, len(d.locations)+1)
	for _, l := range d.locations {
		locations = append(locations, canonjson.Member{Name: l.path, Value: canonjson.Object{{Name: "return", Value: l.answer.value()}}.Value()})
	}
	redirect := jsontext.Value("null")
	if d.redirects() {
		redirect = canonjson.Marshal(string(d.redirect))
	} else if locations.Get("/") == nil {
		locations = locations.With("/", d.proxy(d.user))
	}
	served := canonjson.Object{
		{Name: "globalRedirect", Value: redirect},
		{Name: "locations", Value: locations.Value()},
		{Name: "redirectCode", Value: canonjson.Marshal(d.code)},
	}
	if !d.indexing {
		served = served.With("extraConfig", canonjson.Marshal(noIndex))
	}
	return VirtualHost{Carried: served}.WithTLS(host.TLS())
}

func oneOf(codes []int) string {
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint(codes)), ", "), "[]")
}
