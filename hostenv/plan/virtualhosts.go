package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
)

// A virtualHost is a virtual host of an environment, as the project declares it.
type virtualHost struct {
	name        string   // normalised
	names       []string // name, serverName and serverAliases, normalised
	certificate bool     // enableLetsEncrypt, if Let's Encrypt can issue one
	wildcard    bool     // the project asks for a certificate that needs DNS-01
	indexing    bool     // allowIndexing
	redirects   bool     // globalRedirect is set
	fields      canonjson.Object
}

// nginxVirtualHost and nginxLocation are NixOS' options of a virtual host and of
// a location (nixos/modules/services/web-servers/nginx, vhost-options.nix and
// location-options.nix). hostenv's other options of a virtual host are only in
// environments.<userName>.virtualHosts.
var (
	nginxVirtualHost = setOf("acmeFallbackHost", "acmeRoot", "addSSL", "basicAuth", "basicAuthFile", "default", "enableACME",
		"extraConfig", "forceSSL", "globalRedirect", "http2", "http3", "http3_hq", "kTLS", "listen", "listenAddresses",
		"locations", "onlySSL", "quic", "redirectCode", "rejectSSL", "reuseport", "root", "serverAliases", "serverName",
		"sslCertificate", "sslCertificateKey", "sslTrustedCertificate", "useACMEHost")
	nginxLocation = setOf("alias", "basicAuth", "basicAuthFile", "extraConfig", "fastcgiParams", "index", "priority",
		"proxyPass", "proxyWebsockets", "recommendedProxySettings", "return", "root", "tryFiles")
)

func setOf(names ...string) map[string]bool {
	s := make(map[string]bool, len(names))
	for _, name := range names {
		s[name] = true
	}
	return s
}

func (r *reader) virtualHosts(fields canonjson.Object, where string) []*virtualHost {
	hosts := []*virtualHost{}
	spelled := map[string]string{} // normalised name: the project's spelling
	for name, object := range r.members(fields, where, "virtualHosts") {
		at := fmt.Sprintf("%s: virtualHosts.%q", where, name)
		v := &virtualHost{
			certificate: r.boolean(object, at, "enableLetsEncrypt", true),
			indexing:    r.boolean(object, at, "allowIndexing", true),
			fields:      object,
		}
		host, err := names.ParseHost(name)
		normal := string(host)
		switch {
		case name == "default":
			r.remedied(at, "", "name the virtual host after a host name", "would replace the catch-all of the node")
		case err != nil:
			r.remedied(at, "", "correct the name", "is refused: %v", err)
		case spelled[normal] != "":
			r.remedied(at, "", "remove one of the two", "is the same name as %q", spelled[normal])
		}
		if err != nil || name == "default" || spelled[normal] != "" {
			continue
		}
		spelled[normal] = name
		v.name, v.names = normal, []string{normal}
		if host.Wildcard() {
			// HTTP-01 issues no wildcards (RFC 8555 section 8.3), and NixOS
			// cannot name a unit after one.
			v.wildcard, v.certificate = v.certificate, false
		}
		for _, alias := range append(r.texts(object, at, "serverAliases"), r.text(object, at, "serverName", name)) {
			host, err := names.ParseHost(alias)
			if err != nil {
				r.wrong(at, "", "has the alias %q: %v", alias, err)
				continue
			}
			v.names = append(v.names, string(host))
		}
		if r.boolean(object, at, "default", false) {
			r.remedied(at, "default", "remove it", "would replace the catch-all of the node")
		}
		if to := r.text(object, at, "globalRedirect", ""); to != "" {
			v.redirects = true
			if _, err := names.ParseHost(to); err != nil {
				r.remedied(at, "globalRedirect", "name the host to redirect to, without scheme and path", "is %q: %v", to, err)
			}
		}
		for path := range r.members(object, at, "locations") {
			if hasControl(path) {
				r.wrong(at+".locations", path, "is no path")
			}
		}
		hosts = append(hosts, v)
	}
	slices.SortFunc(hosts, func(a, b *virtualHost) int { return cmp.Compare(a.name, b.name) })
	return hosts
}

// hostNames returns every host name that the environment claims.
func (e *EvaluatedEnvironment) hostNames() []string {
	var hosts []string
	for _, v := range e.virtualHosts {
		hosts = append(hosts, v.names...)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// planned returns the virtual host for the plan: enableACME and forceSSL replace
// enableLetsEncrypt, and location "/" is the proxy to the environment, unless the
// host redirects or the project has its own "/".
func (v *virtualHost) planned(proxy jsontext.Value) VirtualHost {
	var host VirtualHost
	canonjson.Fill(v.fields, &host, "enableLetsEncrypt")
	locations, declared := canonjson.ObjectOf(host.Carried.Get("locations"))
	if !v.redirects && isUnset(locations.Get("/")) {
		locations, declared = locations.With("/", proxy), false
	}
	if !declared {
		host.Carried = host.Carried.With("locations", locations.Value())
	}
	return host.WithTLS(TLS{EnableACME: v.certificate, ForceSSL: v.certificate})
}

// proxyTo returns the location that passes requests to an environment.
func proxyTo(user string) jsontext.Value {
	return canonjson.Object{
		{Name: "proxyPass", Value: canonjson.Marshal("http://" + user + "_upstream")},
		{Name: "recommendedProxySettings", Value: jsontext.Value("true")},
	}.Value()
}

// isUnset reports whether all options of a location have their default, null.
// hostenv evaluates `"/" = { };` to such a location, and nginx would serve its own
// files there.
func isUnset(location jsontext.Value) bool {
	for _, option := range canonjson.Members(location) {
		if !canonjson.IsNull(option) {
			return false
		}
	}
	return true
}

// nginx returns the planned virtual host with the options of NixOS alone.
func (v *virtualHost) nginx(host VirtualHost) VirtualHost {
	host.Carried = host.Carried.Only(func(name string) bool { return nginxVirtualHost[name] })
	declared := host.Carried.Get("locations")
	if known := nginxLocations(declared); len(known) < len(declared) {
		host.Carried = host.Carried.With("locations", known)
	}
	if !v.indexing {
		config, _ := canonjson.Text(host.Carried.Get("extraConfig"))
		host.Carried = host.Carried.With("extraConfig", canonjson.Marshal(config+"add_header X-Robots-Tag \"noindex\" always;\n"))
	}
	return host
}

// nginxLocations returns locations with the options of NixOS alone.
func nginxLocations(locations jsontext.Value) jsontext.Value {
	if onlyKnown(locations) {
		return locations
	}
	kept, _ := canonjson.ObjectOf(locations)
	for i, m := range kept {
		location, _ := canonjson.ObjectOf(m.Value)
		if known := location.Only(func(name string) bool { return nginxLocation[name] }); len(known) < len(location) {
			kept[i].Value = known.Value()
		}
	}
	return kept.Value()
}

// onlyKnown reports whether NixOS knows all options of the locations.
func onlyKnown(locations jsontext.Value) bool {
	for _, location := range canonjson.Members(locations) {
		for option := range canonjson.Members(location) {
			if !nginxLocation[option] {
				return false
			}
		}
	}
	return true
}

// CertificateNames returns the names for which NixOS orders a certificate of the
// virtual host (nixos/modules/services/web-servers/nginx).
func (v VirtualHost) CertificateNames(host string) []string {
	return append([]string{cmp.Or(v.ServerName, host)}, v.ServerAliases...)
}

// names are the host and its aliases, in lower case.
func (v VirtualHost) names(host string) []string {
	names := []string{strings.ToLower(host)}
	for _, alias := range v.ServerAliases {
		names = append(names, strings.ToLower(alias))
	}
	return names
}

// listensForTLS reports whether nginx serves the host over TLS. With enableACME
// alone NixOS orders a certificate and does not listen for TLS
// (nixos/modules/services/web-servers/nginx).
func (v VirtualHost) listensForTLS() bool {
	isTrue := func(name string) bool { value, _ := canonjson.Bool(v.Carried.Get(name)); return value }
	return v.TLS().ForceSSL || isTrue("addSSL") || isTrue("onlySSL")
}
