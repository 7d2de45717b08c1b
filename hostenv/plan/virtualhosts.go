package plan

import (
	"cmp"
	"errors"
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
	certificate bool     // the project asks for a certificate by HTTP-01
	wildcard    bool     // the project asks for one that needs DNS-01
	door        door
	fields      canonjson.Object // what the plan carries
}

// A door is what the front door serves for a virtual host: in the closed form, or
// in the raw form of a project that the provider trusts.
type door interface {
	// redirects reports whether globalRedirect answers all requests.
	redirects() bool
	// proxy returns the location that passes requests to the environment's socket.
	proxy(user string) jsontext.Value
	// nginx returns the virtual host with options of NixOS alone, given as the
	// environment's.
	nginx(VirtualHost) VirtualHost
}

// maxServerName is the longest name that a bucket of nginx's hash of server names
// takes: nginx needs the length and 2 bytes, rounded up to 8, and two pointers.
// nix/modules/front-door.nix sets a bucket of 128 bytes. nginx does not start with
// a longer name.
const maxServerName = 110

func (r *reader) virtualHosts(fields canonjson.Object, where, user string, raw bool) []*virtualHost {
	hosts := []*virtualHost{}
	spelled := map[string]string{} // normalised name: the project's spelling
	for name, object := range r.members(fields, where, "virtualHosts") {
		at := fmt.Sprintf("%s: virtualHosts.%q", where, name)
		v := &virtualHost{certificate: r.boolean(object, at, "enableLetsEncrypt", true)}
		var aliases []string
		if raw {
			v.door, v.fields, aliases = r.rawDoor(object, at)
			r.shadow().closedDoor(object, at, user)
		} else {
			v.door, v.fields = r.closedDoor(object, at, user)
		}
		host, ok := r.serverName(name, at, spelled)
		if !ok {
			continue
		}
		v.name, v.names = string(host), []string{string(host)}
		if host.Wildcard() {
			// HTTP-01 issues no wildcards (RFC 8555 section 8.3), and NixOS
			// cannot name a unit after one.
			v.wildcard, v.certificate = v.certificate, false
		}
		for _, alias := range aliases {
			host, err := parseServerName(alias)
			if err != nil {
				r.wrong(at, "", "has the alias %q: %v", alias, err)
				continue
			}
			v.names = append(v.names, string(host))
			if host.Wildcard() && v.certificate { // it would be a name of the certificate
				v.wildcard, v.certificate = true, false
			}
		}
		hosts = append(hosts, v)
	}
	slices.SortFunc(hosts, func(a, b *virtualHost) int { return cmp.Compare(a.name, b.name) })
	return hosts
}

// serverName returns the normalised name of a virtual host, and false after it has
// reported an error.
func (r *reader) serverName(name, at string, spelled map[string]string) (names.Host, bool) {
	host, err := parseServerName(name)
	switch {
	case name == "default":
		r.remedied(at, "", "name the virtual host after a host name", "would replace the catch-all of the node")
	case err != nil:
		r.remedied(at, "", "correct the name", "is refused: %v", err)
	case spelled[string(host)] != "":
		r.remedied(at, "", "remove one of the two", "is the same name as %q", spelled[string(host)])
	default:
		spelled[string(host)] = name
		return host, true
	}
	return "", false
}

// parseServerName parses a name that the front door answers to. A name without a
// dot is a machine's own, such as localhost, and a wildcard without one is a whole
// top-level domain.
func parseServerName(name string) (names.Host, error) {
	host, err := names.ParseHost(name)
	if err != nil {
		return "", err
	}
	bare := strings.TrimPrefix(string(host), "*.")
	switch {
	case len(host) > maxServerName:
		return "", fmt.Errorf("it has %d characters, and nginx takes %d", len(host), maxServerName)
	case !strings.Contains(bare, ".") || strings.HasSuffix(bare, ".localhost"):
		return "", errors.New("it is no public name: its domain is missing")
	}
	return host, nil
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
// enableLetsEncrypt (see computation.certify), and location "/" is the proxy to the environment, unless the
// host redirects or the project has its own "/".
func (v *virtualHost) planned(user string) VirtualHost {
	var host VirtualHost
	canonjson.Fill(v.fields, &host, "enableLetsEncrypt")
	locations, declared := canonjson.ObjectOf(host.Carried.Get("locations"))
	if !v.door.redirects() && isUnset(locations.Get("/")) {
		locations, declared = locations.With("/", v.door.proxy(user)), false
	}
	if !declared {
		host.Carried = host.Carried.With("locations", locations.Value())
	}
	asks := v.certificate || v.wildcard
	return host.WithTLS(TLS{EnableACME: asks, ForceSSL: asks})
}

// proxyTo returns the location that passes requests to an environment.
func proxyTo(user string) canonjson.Object {
	return canonjson.Object{
		{Name: "proxyPass", Value: canonjson.Marshal("http://" + user + "_upstream")},
		{Name: "recommendedProxySettings", Value: jsontext.Value("true")},
	}
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
