package dnsgate

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// HSTS (RFC 6797): a browser that has seen Strict-Transport-Security over TLS opens the
// host over TLS only, and accepts no certificate that is not valid. If the gate turned
// such a host off, its visitors could not reach it at all.

// hstsHeader is the header of HSTS.
const hstsHeader = "Strict-Transport-Security"

// An hstsPolicy is what Strict-Transport-Security says.
type hstsPolicy struct{ promised, subDomains bool }

// readHSTS reads the value of the header (RFC 6797 section 6.1). A value without a
// max-age, or with max-age=0, promises nothing.
func readHSTS(value string) hstsPolicy {
	var p hstsPolicy
	for directive := range strings.SplitSeq(value, ";") {
		name, argument, _ := strings.Cut(directive, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "max-age":
			age, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(argument), `"`), 10, 64)
			p.promised = err == nil && age > 0
		case "includesubdomains":
			p.subDomains = true
		}
	}
	p.subDomains = p.subDomains && p.promised
	return p
}

// addHeader finds the header in nginx's configuration, with its value in quotation marks
// or without.
var addHeader = regexp.MustCompile(`(?i)\badd_header\s+["']?` + hstsHeader + `["']?\s+(?:"([^"]*)"|'([^']*)'|([^\s;"']+))`)

// promises are the names with HSTS, by their spelling in [Facts].
type promises map[string]hstsPolicy

// promisesOf returns the promises of a plan's virtual hosts, and of what nodes serve.
func promisesOf(d plan.Document, served map[string]*Served) promises {
	all := promises{}
	for _, e := range d.Environments {
		for host, v := range e.VirtualHosts {
			p := askedPolicy(d, host, v)
			for _, at := range []plan.VirtualHost{v, d.Nodes[e.Node].Services.Nginx.VirtualHosts[host]} {
				p = p.or(configuredPolicy(at))
			}
			if s := served[host]; s != nil {
				p = p.or(readHSTS(s.HSTS))
			}
			if !p.promised {
				continue
			}
			for _, name := range v.CertificateNames(host) {
				if query, err := CertificateName(name); err == nil {
					all[query] = all[query].or(p)
				}
			}
		}
	}
	return all
}

func (p hstsPolicy) or(other hstsPolicy) hstsPolicy {
	return hstsPolicy{p.promised || other.promised, p.subDomains || other.subDomains}
}

// askedPolicy returns what an environment's virtual host asks the front door to promise:
// nix/lib/security-headers.nix reads the same options.
func askedPolicy(d plan.Document, host string, v plan.VirtualHost) hstsPolicy {
	asked := v.TLS()
	if entry, ok := entryOf(d, host); ok && !isOn(&entry) && !asked.EnableACME {
		asked = entry.Asked.TLS()
	}
	if only, _ := canonjson.Bool(v.Carried.Get("onlySSL")); !asked.ForceSSL && !only {
		return hstsPolicy{}
	}
	security, _ := canonjson.ObjectOf(v.Carried.Get("security"))
	some := false
	for _, option := range []plan.Carried{v.Carried, security} {
		value, set := canonjson.Bool(option.Get("hsts"))
		if set && !value {
			return hstsPolicy{}
		}
		some = some || set
	}
	return hstsPolicy{promised: some}
}

// configuredPolicy returns what the nginx configuration of a virtual host promises, in
// front doors that are not closed.
func configuredPolicy(v plan.VirtualHost) hstsPolicy {
	read := func(o plan.Carried) hstsPolicy {
		text, _ := canonjson.Text(o.Get("extraConfig"))
		var p hstsPolicy
		for _, m := range addHeader.FindAllStringSubmatch(text, -1) {
			value := m[1] + m[2] + m[3]
			p = p.or(readHSTS(value))
			p.promised = p.promised || strings.Contains(value, "$") // only nginx knows the value
		}
		return p
	}
	p := read(v.Carried)
	for _, location := range canonjson.Members(v.Carried.Get("locations")) {
		if o, ok := canonjson.ObjectOf(location); ok {
			p = p.or(read(o))
		}
	}
	return p
}

// preloaded are top-level domains that browsers open over TLS alone (Chromium's
// transport_security_state_static.json), of those where anyone can register a name.
var preloaded = []string{
	"app", "bank", "boo", "channel", "dad", "day", "dev", "esq", "foo", "ing", "insurance", "meme", "mov", "new",
	"nexus", "page", "phd", "prof", "rsvp", "zip",
}

// of reports whether browsers may open a host over TLS alone: by its own promise, that of
// a name above it, or its top-level domain.
func (all promises) of(host string) bool {
	name, err := CertificateName(host)
	if err != nil {
		return false
	}
	if all[name].promised {
		return true
	}
	for rest := name; ; {
		_, parent, more := strings.Cut(rest, ".")
		if !more {
			return slices.Contains(preloaded, rest)
		}
		if all[parent].subDomains {
			return true
		}
		rest = parent
	}
}
