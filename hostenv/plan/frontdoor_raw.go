package plan

import (
	"regexp"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
)

// A rawDoor is the front door's raw form, for a project that the provider trusts
// (provider.frontDoor.raw): every option of NixOS, but for those in notRaw, as the
// project writes it.
type rawDoor struct {
	indexing bool // allowIndexing
	redirect bool // globalRedirect is set
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

// notRaw matches the options that no project may set: they concern the sockets and
// certificates of the whole node, and files that only nginx or root reads.
var notRaw = regexp.MustCompile(`^(listen.*|ssl.*|acme.*|useACMEHost|.*File|default.+|reuseport|quic)$`)

func setOf(names ...string) map[string]bool {
	s := make(map[string]bool, len(names))
	for _, name := range names {
		s[name] = true
	}
	return s
}

// rawDoor reads a virtual host in the raw form. It also returns what the plan
// carries of it, and its aliases.
func (r *reader) rawDoor(object canonjson.Object, at string) (*rawDoor, canonjson.Object, []string) {
	d := &rawDoor{indexing: r.boolean(object, at, "allowIndexing", true)}
	r.noCatchAll(object, at)
	r.notRaw(object, at, "virtualHosts.<name>")
	if to := r.text(object, at, "globalRedirect", ""); to != "" {
		d.redirect = true
		if _, err := names.ParseHost(to); err != nil {
			r.remedied(at, "globalRedirect", remedyRedirect, "is %q: %v", to, err)
		}
	}
	for path, location := range r.members(object, at, "locations") {
		if hasControl(path) {
			r.wrong(at+".locations", path, "is no path")
		}
		r.notRaw(location, at+".locations."+quoteAttribute(path), "virtualHosts.<name>.locations.<path>")
	}
	aliases := r.texts(object, at, "serverAliases")
	if name := r.text(object, at, "serverName", ""); name != "" {
		aliases = append(aliases, name)
	}
	return d, object, aliases
}

// noCatchAll refuses a virtual host that answers for all other names.
func (r *reader) noCatchAll(object canonjson.Object, at string) {
	if r.boolean(object, at, "default", false) {
		r.remedied(at, "default", "remove it", "would replace the catch-all of the node")
	}
}

func (r *reader) notRaw(object canonjson.Object, at, of string) {
	for _, m := range object {
		if notRaw.MatchString(m.Name) && !isEmpty(m.Value) {
			r.foreign(of, m.Name, at, true)
		}
	}
}

// isEmpty reports whether an option has a value that NixOS takes for unset.
func isEmpty(v jsontext.Value) bool {
	set, isBool := canonjson.Bool(v)
	list, isList := canonjson.ListOf(v)
	return canonjson.IsNull(v) || isBool && !set || isList && len(list) == 0
}

func (d *rawDoor) redirects() bool { return d.redirect }

func (d *rawDoor) proxy(user string) jsontext.Value { return proxyTo(user).Value() }

func (d *rawDoor) nginx(host VirtualHost) VirtualHost {
	host.Carried = host.Carried.Only(func(name string) bool { return nginxVirtualHost[name] })
	declared := host.Carried.Get("locations")
	if known := nginxLocations(declared); len(known) < len(declared) {
		host.Carried = host.Carried.With("locations", known)
	}
	if !d.indexing {
		config, _ := canonjson.Text(host.Carried.Get("extraConfig"))
		host.Carried = host.Carried.With("extraConfig", canonjson.Marshal(config+noIndex))
	}
	return host
}

// noIndex keeps search engines out.
const noIndex = "add_header X-Robots-Tag \"noindex\" always;\n"

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
