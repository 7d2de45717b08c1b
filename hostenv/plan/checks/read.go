// Package checks reads what a plan has its environments asked once they are
// deployed: their deploymentVerification. The plan reports what cannot be read,
// hostenv/deploy/verify asks the rest.
package checks

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
)

// What a request has that does not say, and the most that it may ask for: a
// customer's check must not hold up a deploy.
const (
	defaultTimeout   = 15 * time.Second
	maxTimeout       = 10 * time.Minute
	defaultRedirects = 5
	maxRedirects     = 50
)

// Read returns what is to be asked of the environments of a decoded plan.json, by
// user; those that are not enabled, or whose verification is not, are left out.
// Both enable and enforce are true where they are not given, as in hostenv.
//
// What it does not understand is among the Problems of its environment and never
// left out, for a check that is not done must not count as one that passed.
func Read(plan map[string]any) map[string]Spec {
	environments, _ := plan["environments"].(map[string]any)
	served := map[string]map[string]bool{} // by node
	specs := map[string]Spec{}
	for user, v := range environments {
		environment, _ := v.(map[string]any)
		given := environment["deploymentVerification"]
		if given == nil || environment["enable"] == false {
			continue
		}
		node, _ := environment["node"].(string)
		if served[node] == nil {
			served[node] = servedBy(plan, node)
		}
		if spec, asks := read(given, environment, served[node]); asks {
			specs[user] = spec
		}
	}
	return specs
}

// read reads the verification of one environment, and reports whether it is
// enabled.
func read(given any, environment map[string]any, served map[string]bool) (spec Spec, asks bool) {
	r := reader{where: "deploymentVerification"}
	verification, ok := given.(map[string]any)
	if !ok {
		r.problem("it is %s, not an object", canonjson.Kind(given))
		return Spec{Enforce: true, Problems: r.problems}, true
	}
	if !r.boolean(verification, "enable", true) {
		return Spec{}, false
	}
	return r.spec(verification, virtualHosts(environment, served), served, hostname(environment)), true
}

func hostname(environment map[string]any) string {
	hostenv, _ := environment["hostenv"].(map[string]any)
	name, _ := hostenv["hostname"].(string)
	return strings.ToLower(name)
}

// servedBy returns the names that a node answers to, and whether it serves each
// over TLS. With enableACME alone NixOS orders a certificate and does not listen
// for TLS (nixos/modules/services/web-servers/nginx).
func servedBy(plan map[string]any, node string) map[string]bool {
	at := plan["nodes"]
	for _, key := range []string{node, "services", "nginx", "virtualHosts"} {
		object, _ := at.(map[string]any)
		at = object[key]
	}
	served := map[string]bool{}
	hosts, _ := at.(map[string]any)
	for name, v := range hosts {
		fields, _ := v.(map[string]any)
		tls := isTLS(fields)
		for _, name := range namesOf(name, fields) {
			served[name] = tls
		}
	}
	return served
}

// virtualHosts returns the names that an environment answers to, and whether its
// node serves each over TLS: by the plan of the node, which after the DNS gate
// may be otherwise than the environment asked.
func virtualHosts(environment map[string]any, served map[string]bool) map[string]bool {
	hosts := map[string]bool{}
	own, _ := environment["virtualHosts"].(map[string]any)
	for name, v := range own {
		fields, _ := v.(map[string]any)
		tls, known := served[strings.ToLower(name)]
		if !known {
			tls = isTLS(fields)
		}
		for _, name := range namesOf(name, fields) {
			hosts[name] = tls
		}
	}
	return hosts
}

func isTLS(fields map[string]any) bool {
	return fields["forceSSL"] == true || fields["addSSL"] == true || fields["onlySSL"] == true
}

// namesOf are a virtual host's name and its aliases, in lower case.
func namesOf(name string, fields map[string]any) []string {
	names := []string{strings.ToLower(name)}
	aliases, _ := fields["serverAliases"].([]any)
	for _, alias := range aliases {
		if alias, ok := alias.(string); ok {
			names = append(names, strings.ToLower(alias))
		}
	}
	return names
}

// A reader collects what is wrong, and where.
type reader struct {
	where    string
	check    string
	problems []Problem
}

func (r *reader) problem(format string, args ...any) {
	r.problems = append(r.problems, Problem{Check: r.check, Where: r.where, Message: fmt.Sprintf(format, args...)})
}

func (r *reader) spec(v map[string]any, hosts, served map[string]bool, hostname string) Spec {
	spec := Spec{Enforce: r.boolean(v, "enforce", true), Hosts: map[string]bool{}}
	for host := range hosts {
		spec.Hosts[host] = true
	}
	checks, ok := v["checks"].([]any)
	if !ok && v["checks"] != nil {
		r.problem("checks is %s, not a list", canonjson.Kind(v["checks"]))
	}
	for i, check := range checks {
		at := reader{where: fmt.Sprintf("%s.checks[%d]", r.where, i)}
		if fields, ok := check.(map[string]any); ok {
			at.check = at.text(fields, "name", "")
			q := at.request(fields, hosts, served, hostname)
			if len(at.problems) == 0 {
				spec.Requests = append(spec.Requests, q)
				spec.Hosts[q.VirtualHost] = true
			}
		} else {
			at.problem("it is %s, not an object", canonjson.Kind(check))
		}
		r.problems = append(r.problems, at.problems...)
	}
	spec.Problems = r.problems
	return spec
}

// Methods with which the front door is asked, and nothing more: CONNECT and
// TRACE are about the way there.
var methods = []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}

func (r *reader) request(check map[string]any, hosts, served map[string]bool, hostname string) Request {
	if kind := r.text(check, "type", curl); kind != curl {
		r.problem("type is %q, and only %q is known", kind, curl)
	}
	v, ok := check["request"].(map[string]any)
	if !ok && check["request"] != nil {
		r.problem("request is %s, not an object", canonjson.Kind(check["request"]))
	}
	// targetHostSource is not read: it is the node's public name, always.
	q := Request{
		Name:            r.text(check, "name", ""),
		VirtualHost:     r.text(v, "virtualHost", hostname),
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
	// One that is not the environment's is asked for at its node all the same,
	// and answered by what the node has for it.
	tls, known := hosts[q.VirtualHost]
	if !known {
		tls = served[q.VirtualHost]
	}
	if tls {
		q.Scheme = "https"
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
	q.Constraints = r.constraints(check["constraints"])
	return q
}

const curl = "httpHostHeaderCurl"

// constraints reads a list of { rule, value }, as hostenv has it, or an object
// of them. All of a list hold: of two limits the stricter.
func (r *reader) constraints(v any) Constraints {
	type rule struct {
		name  string
		value any
	}
	var rules []rule
	switch v := v.(type) {
	case nil:
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			rules = append(rules, rule{name, v[name]})
		}
	case []any:
		for _, element := range v {
			fields, ok := element.(map[string]any)
			name, isText := fields["rule"].(string)
			if !ok || !isText {
				r.problem("constraints hold %s, not { rule, value }", canonjson.Kind(element))
				continue
			}
			rules = append(rules, rule{name, fields["value"]})
		}
	default:
		r.problem("constraints is %s, neither a list nor an object", canonjson.Kind(v))
	}

	c := Constraints{AllowFailure: true}
	allowed := false // whether allowNonZeroExitStatus is given at all
	for _, rule := range rules {
		if rule.value == nil {
			continue
		}
		one := map[string]any{rule.name: rule.value}
		switch rule.name {
		case "minHttpStatus":
			c.MinStatus = max(c.MinStatus, r.number(one, rule.name, 0, 0, 999))
		case "maxHttpStatus":
			if limit := r.number(one, rule.name, 0, 1, 999); c.MaxStatus == 0 || limit < c.MaxStatus {
				c.MaxStatus = limit
			}
		case "stdoutRegexMustMatch":
			c.Body = append(c.Body, r.expressions(one, rule.name)...)
		case "stderrRegexMustNotMatch":
			c.Error = append(c.Error, r.expressions(one, rule.name)...)
		case "skipStdoutRegexOnRedirect":
			c.SkipBodyOnRedirect = r.boolean(one, rule.name, false) || c.SkipBodyOnRedirect
		case "allowNonZeroExitStatus":
			allowed = true
			c.AllowFailure = r.boolean(one, rule.name, false) && c.AllowFailure
		default:
			r.problem("the constraint %q is not known", rule.name)
		}
	}
	c.AllowFailure = c.AllowFailure && allowed
	if c.MaxStatus != 0 && c.MinStatus > c.MaxStatus {
		r.problem("no status is at least %d and at most %d", c.MinStatus, c.MaxStatus)
	}
	return c
}

// expressions reads one regular expression. ^ and $ are the ends of a line, as
// they are to the tools that the checks were written for.
func (r *reader) expressions(v map[string]any, name string) []*regexp.Regexp {
	text := r.text(v, name, "")
	compiled, err := regexp.Compile("(?m)" + text)
	if err != nil {
		// Without the flag the error shows what stands in the plan.
		_, plain := regexp.Compile(text)
		if plain != nil {
			err = plain
		}
		r.problem("%s: %v (the syntax is RE2's, https://golang.org/s/re2syntax: no backreferences, no lookaround)", name, err)
		return nil
	}
	return []*regexp.Regexp{compiled}
}

func (r *reader) text(v map[string]any, name, otherwise string) string {
	if v[name] == nil {
		return otherwise
	}
	text, ok := v[name].(string)
	if !ok {
		r.problem("%s is %s, not text", name, canonjson.Kind(v[name]))
		return otherwise
	}
	return text
}

func (r *reader) boolean(v map[string]any, name string, otherwise bool) bool {
	if v[name] == nil {
		return otherwise
	}
	b, ok := v[name].(bool)
	if !ok {
		r.problem("%s is %s, neither true nor false", name, canonjson.Kind(v[name]))
		return otherwise
	}
	return b
}

func (r *reader) number(v map[string]any, name string, otherwise, least, most int) int {
	if v[name] == nil {
		return otherwise
	}
	n, ok := v[name].(int64)
	if !ok || n < int64(least) || n > int64(most) {
		r.problem("%s is not a whole number from %d to %d", name, least, most)
		return otherwise
	}
	return int(n)
}
