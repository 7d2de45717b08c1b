package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
)

// A virtualHost is one that an environment declares.
type virtualHost struct {
	name        string   // normalised
	names       []string // name, serverName and serverAliases, normalised
	certificate bool     // enableLetsEncrypt, where Let's Encrypt can
	wildcard    bool     // it asked for a certificate that only DNS-01 could give
	indexing    bool     // allowIndexing
	redirects   bool     // globalRedirect is set
	fields      map[string]any
}

// nginxVirtualHost and nginxLocation are the options of a virtual host and of
// a location that NixOS has (nixos/modules/services/web-servers/nginx,
// vhost-options.nix and location-options.nix). What else hostenv knows about a
// virtual host stays in environments.<userName>.virtualHosts.
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

// only returns the members of object that known has.
func only(object map[string]any, known map[string]bool) map[string]any {
	kept := make(map[string]any, len(object))
	for name, v := range object {
		if known[name] {
			kept[name] = v
		}
	}
	return kept
}

func allKnown(object map[string]any, known map[string]bool) bool {
	for name := range object {
		if !known[name] {
			return false
		}
	}
	return true
}

func (r *reader) virtualHosts(fields map[string]any, where string) []*virtualHost {
	hosts := []*virtualHost{}
	spelled := map[string]string{} // normalised name: as it stands in the project
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
func (e *Environment) hostNames() []string {
	var hosts []string
	for _, v := range e.virtualHosts {
		hosts = append(hosts, v.names...)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// planned returns the virtual host as the plan has it: enableACME and forceSSL
// in place of enableLetsEncrypt, and the proxy to the environment as location
// "/" unless the host redirects or the project has a "/" of its own.
func (v *virtualHost) planned(user string) map[string]any {
	host := make(map[string]any, len(v.fields)+1)
	for name, value := range v.fields {
		if name != "enableLetsEncrypt" {
			host[name] = value
		}
	}
	host["enableACME"] = v.certificate
	host["forceSSL"] = v.certificate
	locations, _ := v.fields["locations"].(map[string]any)
	if own, _ := locations["/"].(map[string]any); !v.redirects && saysNothing(own) {
		declared := locations
		locations = make(map[string]any, len(declared)+1)
		maps.Copy(locations, declared)
		locations["/"] = map[string]any{"proxyPass": "http://" + user + "_upstream", "recommendedProxySettings": true}
	}
	if locations == nil {
		locations = map[string]any{}
	}
	host["locations"] = locations
	return host
}

// saysNothing tells a location whose options all stand at their default null,
// as hostenv evaluates one that is merely mentioned: it would serve nginx's
// own files.
func saysNothing(location map[string]any) bool {
	for _, v := range location {
		if v != nil {
			return false
		}
	}
	return true
}

// nginx returns the planned virtual host as NixOS takes it.
func (v *virtualHost) nginx(planned map[string]any) map[string]any {
	host := only(planned, nginxVirtualHost)
	host["locations"] = nginxLocations(planned["locations"].(map[string]any))
	if !v.indexing {
		config, _ := host["extraConfig"].(string)
		host["extraConfig"] = config + "add_header X-Robots-Tag \"noindex\" always;\n"
	}
	return host
}

// nginxLocations returns locations as NixOS takes them. Nearly all are so
// already, and stand in both places of the plan as one value.
func nginxLocations(locations map[string]any) map[string]any {
	kept, own := locations, false
	for path, v := range locations {
		location, isObject := v.(map[string]any)
		if isObject && allKnown(location, nginxLocation) {
			continue
		}
		if !own {
			kept, own = maps.Clone(locations), true
		}
		kept[path] = only(location, nginxLocation)
	}
	return kept
}
