// Package checks reads the deploymentVerification of an environment: the requests
// that a deploy sends to it. Package plan reports the checks that cannot be read;
// hostenv/deploy/verify sends the others.
package checks

import (
	"fmt"
	"net/url"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
)

// The defaults of a request, and the upper limits: the checks of one customer must
// not delay a deploy for long, or take the memory of the machine that deploys.
const (
	defaultTimeout   = 15 * time.Second
	maxTimeout       = 10 * time.Minute
	defaultRedirects = 5
	maxRedirects     = 50
	maxChecks        = 20
	maxExpressions   = 10   // of a check
	maxExpression    = 1000 // the length of one
	maxProgram       = 5000 // the size of one, with its repetitions written out
)

// Names are host names in lower case. The value is true if nginx serves the name over
// TLS. Checks may request those of their environment: the machine that deploys may
// have rights at others that the customer has not.
type Names struct {
	Own      map[string]bool // those of the environment
	Node     map[string]bool // all names that its node answers to
	Hostname string          // for a check without a host name

	any bool // of a node, whose checks may request every name
}

// Read returns the checks of a deploymentVerification, and reports whether it is
// enabled. The default of enable and of enforce is true, as in hostenv.
//
// The Problems hold every part that Read cannot read: a check that does not run
// must not count as passed.
func Read(verification jsontext.Value, served Names) (spec Spec, asks bool) {
	if canonjson.IsNull(verification) {
		return Spec{}, false
	}
	r := reader{where: "deploymentVerification"}
	fields, ok := canonjson.ObjectOf(verification)
	if !ok {
		r.problem("it is %s, not an object", canonjson.KindOf(verification))
		return Spec{Enforce: true, Problems: r.problems}, true
	}
	if !r.boolean(fields, "enable", true) {
		return Spec{}, false
	}
	return r.spec(fields, served), true
}

// ReadNode returns the checks of a node's system, a list of checks. They may request
// every name, and are enforced. own are the names that the node answers to by the plan.
func ReadNode(list jsontext.Value, own map[string]bool) Spec {
	r := reader{where: ""}
	if canonjson.IsNull(list) {
		return Spec{Enforce: true}
	}
	spec := r.spec(canonjson.Object{{Name: "checks", Value: list}}, Names{Own: own, any: true})
	// A redirect is followed to the names that the checks request, and no further.
	spec.Hosts = map[string]bool{}
	for _, q := range spec.Requests {
		spec.Hosts[q.VirtualHost] = true
	}
	return spec
}

// A reader collects mistakes and their places.
type reader struct {
	where    string
	check    string
	problems []Problem
}

func (r *reader) problem(format string, args ...any) {
	r.problems = append(r.problems, Problem{Check: r.check, Where: r.where, Message: fmt.Sprintf(format, args...)})
}

func (r *reader) spec(v canonjson.Object, served Names) Spec {
	spec := Spec{Enforce: r.boolean(v, "enforce", true), Hosts: map[string]bool{}}
	for host := range served.Own {
		spec.Hosts[host] = true
	}
	checks, ok := canonjson.ListOf(v.Get("checks"))
	if !ok && !canonjson.IsNull(v.Get("checks")) {
		r.problem("checks is %s, not a list", canonjson.KindOf(v.Get("checks")))
	}
	if len(checks) > maxChecks {
		r.problem("checks has %d checks, and the first %d are read", len(checks), maxChecks)
		checks = checks[:maxChecks]
	}
	for i, check := range checks {
		at := reader{where: strings.TrimPrefix(fmt.Sprintf("%s.checks[%d]", r.where, i), ".")}
		if fields, ok := canonjson.ObjectOf(check); ok {
			at.check = at.text(fields, "name", "")
			q := at.request(fields, served)
			if len(at.problems) == 0 {
				spec.Requests = append(spec.Requests, q)
				spec.Hosts[q.VirtualHost] = true
			}
		} else {
			at.problem("it is %s, not an object", canonjson.KindOf(check))
		}
		r.problems = append(r.problems, at.problems...)
	}
	spec.Problems = r.problems
	return spec
}

// methods are the methods of requests to the front door. CONNECT and TRACE are for
// proxies on the way.
var methods = []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}

func (r *reader) request(check canonjson.Object, served Names) Request {
	if kind := r.text(check, "type", curl); kind != curl {
		r.problem("type is %q, and only %q is known", kind, curl)
	}
	v, ok := canonjson.ObjectOf(check.Get("request"))
	if !ok && !canonjson.IsNull(check.Get("request")) {
		r.problem("request is %s, not an object", canonjson.KindOf(check.Get("request")))
	}
	// We ignore targetHostSource: the target is always the node's public name.
	q := Request{
		Name:            r.text(check, "name", ""),
		VirtualHost:     r.text(v, "virtualHost", served.Hostname),
		Path:            "/" + strings.TrimPrefix(r.text(v, "path", "/"), "/"),
		Method:          strings.ToUpper(r.text(v, "method", "GET")),
		FollowRedirects: r.boolean(v, "followRedirects", false),
		MaxRedirects:    r.number(v, "maxRedirects", defaultRedirects, 0, maxRedirects),
		Timeout:         time.Duration(r.number(v, "timeoutSeconds", int(defaultTimeout/time.Second), 1, int(maxTimeout/time.Second))) * time.Second,
		Scheme:          "http",
	}
	host, err := names.ParseHost(q.VirtualHost)
	if err == nil && !host.Wildcard() {
		q.VirtualHost = string(host)
	} else {
		r.problem("virtualHost is %q, which is no host name that can be asked for", q.VirtualHost)
	}
	if err == nil && !served.any && !served.isOwn(q.VirtualHost) {
		r.problem("virtualHost is %q, which is no name of the environment", q.VirtualHost)
	}
	if served.Own[q.VirtualHost] {
		q.Scheme = "https"
	}
	if served.any {
		if q.Scheme = r.text(v, "scheme", q.Scheme); q.Scheme != "http" && q.Scheme != "https" {
			r.problem("scheme is %q, neither http nor https", q.Scheme)
		}
	}
	if _, err := url.ParseRequestURI(q.Path); err != nil || strings.ContainsAny(q.Path, "# ") {
		r.problem("path is %q, which is no path of a URL", q.Path)
	}
	if !slices.Contains(methods, q.Method) {
		r.problem("method is %q, which is none of %s", q.Method, strings.Join(methods, ", "))
	}
	switch mode := r.text(v, "tlsMode", "strict"); mode {
	case "strict":
	case "insecure":
		q.Insecure = true
	default:
		r.problem("tlsMode is %q, neither strict nor insecure", mode)
	}
	q.Constraints = r.constraints(check.Get("constraints"))
	return q
}

// isOwn reports whether the environment answers to a name on its node. A name below
// a wildcard of the environment can be another's.
func (n Names) isOwn(name string) bool {
	if _, own := n.Own[name]; own || name == n.Hostname {
		return true
	}
	_, taken := n.Node[name]
	for _, below, found := strings.Cut(name, "."); found && !taken; _, below, found = strings.Cut(below, ".") {
		if _, own := n.Own["*."+below]; own {
			return true
		}
	}
	return false
}

const curl = "httpHostHeaderCurl"

// rules reads a list of { rule, value }, as hostenv has it, or an object of them.
func (r *reader) rules(v jsontext.Value) canonjson.Object {
	rules, ok := canonjson.ObjectOf(v)
	list, isList := canonjson.ListOf(v)
	if !ok && !isList && !canonjson.IsNull(v) {
		r.problem("constraints is %s, neither a list nor an object", canonjson.KindOf(v))
	}
	for _, element := range list {
		fields, _ := canonjson.ObjectOf(element)
		name, isText := canonjson.Text(fields.Get("rule"))
		if !isText {
			r.problem("constraints hold %s, not { rule, value }", canonjson.KindOf(element))
			continue
		}
		rules = append(rules, canonjson.Member{Name: name, Value: fields.Get("value")})
	}
	return rules
}

// constraints reads the rules of a check. All rules apply: of two limits, the
// stricter counts.
func (r *reader) constraints(v jsontext.Value) Constraints {
	c := Constraints{AllowFailure: true}
	allowed := false // whether the check has allowNonZeroExitStatus
	for _, rule := range r.rules(v) {
		if canonjson.IsNull(rule.Value) {
			continue
		}
		one := canonjson.Object{rule}
		switch rule.Name {
		case "minHttpStatus":
			c.MinStatus = max(c.MinStatus, r.number(one, rule.Name, 0, 0, 999))
		case "maxHttpStatus":
			if limit := r.number(one, rule.Name, 0, 1, 999); c.MaxStatus == 0 || limit < c.MaxStatus {
				c.MaxStatus = limit
			}
		case "stdoutRegexMustMatch":
			c.Body = append(c.Body, r.expressions(one, rule.Name)...)
		case "stderrRegexMustNotMatch":
			c.Error = append(c.Error, r.expressions(one, rule.Name)...)
		case "skipStdoutRegexOnRedirect":
			c.SkipBodyOnRedirect = r.boolean(one, rule.Name, false) || c.SkipBodyOnRedirect
		case "allowNonZeroExitStatus":
			allowed = true
			c.AllowFailure = r.boolean(one, rule.Name, false) && c.AllowFailure
		default:
			r.problem("the constraint %q is not known", rule.Name)
		}
	}
	c.AllowFailure = c.AllowFailure && allowed
	if n := len(c.Body) + len(c.Error); n > maxExpressions {
		r.problem("constraints hold %d regular expressions, and %d are allowed", n, maxExpressions)
	}
	if c.MaxStatus != 0 && c.MinStatus > c.MaxStatus {
		r.problem("no status is at least %d and at most %d", c.MinStatus, c.MaxStatus)
	}
	return c
}

// expressions reads one regular expression. ^ and $ match at the ends of a line,
// as in the tools that projects write their checks for.
func (r *reader) expressions(v canonjson.Object, name string) []*regexp.Regexp {
	text := r.text(v, name, "")
	if len(text) > maxExpression {
		r.problem("%s has %d characters, and %d are allowed", name, len(text), maxExpression)
		return nil
	}
	if parsed, err := syntax.Parse(text, syntax.Perl); err == nil && sizeOf(parsed) > maxProgram {
		r.problem("%s is too large with its repetitions written out: write smaller ones", name)
		return nil
	}
	compiled, err := regexp.Compile("(?m)" + text)
	if err != nil {
		// Compile without the flag, so that the error quotes the text of the plan.
		_, plain := regexp.Compile(text)
		if plain != nil {
			err = plain
		}
		r.problem("%s: %v (the syntax is RE2's, https://golang.org/s/re2syntax: no backreferences, no lookaround)", name, err)
		return nil
	}
	return []*regexp.Regexp{compiled}
}

// sizeOf returns about how many instructions an expression has, which limits its
// memory, and its time for each character of a body.
func sizeOf(e *syntax.Regexp) int {
	size := 1 + len(e.Rune)
	for _, sub := range e.Sub {
		size += 1 + sizeOf(sub)
	}
	if e.Op == syntax.OpRepeat {
		size *= max(e.Min, e.Max, 1)
	}
	return size
}

func (r *reader) text(v canonjson.Object, name, otherwise string) string {
	text, ok := canonjson.Text(v.Get(name))
	switch {
	case ok:
		return text
	case !canonjson.IsNull(v.Get(name)):
		r.problem("%s is %s, not text", name, canonjson.KindOf(v.Get(name)))
	}
	return otherwise
}

func (r *reader) boolean(v canonjson.Object, name string, otherwise bool) bool {
	b, ok := canonjson.Bool(v.Get(name))
	switch {
	case ok:
		return b
	case !canonjson.IsNull(v.Get(name)):
		r.problem("%s is %s, neither true nor false", name, canonjson.KindOf(v.Get(name)))
	}
	return otherwise
}

func (r *reader) number(v canonjson.Object, name string, otherwise, least, most int) int {
	n, ok := canonjson.Integer(v.Get(name))
	switch {
	case ok && int64(least) <= n && n <= int64(most):
		return int(n)
	case !canonjson.IsNull(v.Get(name)):
		r.problem("%s is not a whole number from %d to %d", name, least, most)
	}
	return otherwise
}
