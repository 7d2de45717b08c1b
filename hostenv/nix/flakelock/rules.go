package flakelock

import (
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/public"
)

// refuse returns why a source that a customer brings is refused whatever the
// provider allows, "" if it is not. `inside` reports that a relative path stays
// within the source that it begins in.
//
// Types are those of Nix 2.8 to 2.34. A type that is not known here is refused.
func refuse(attributes map[string]any, inside bool) string {
	for _, name := range []string{"submodules", "lfs"} {
		if value, there := attributes[name]; there && value != false && value != int64(0) {
			return "with " + name + ", whose addresses a file in it decides"
		}
	}
	switch kind := text(attributes, "type"); kind {
	case "path":
		switch {
		case !isRelative(attributes):
			return "a folder of this machine"
		case !inside:
			return "a folder outside of the flake that names it"
		}
		return ""
	case "file":
		return "a single file" // such as file+http, which need not be an archive
	case "github", "gitlab", "sourcehut":
		if host, there := attributes["host"]; there {
			name, _ := host.(string)
			return refuseHost(name)
		}
		if !plainName.MatchString(text(attributes, "owner")) || !plainName.MatchString(text(attributes, "repo")) {
			return "without a plain owner and repo"
		}
		return ""
	case "git", "hg", "tarball":
		return refuseURL(text(attributes, "url"), schemes[kind])
	case "indirect":
		return "a name of this machine's registry"
	case "":
		return "without a type"
	default:
		return "of the type " + strconv.Quote(clip(kind)) + ", which is not known"
	}
}

// schemes that a customer's source can have. An empty user part, as of ssh, is
// that of the URL itself.
var schemes = map[string]map[string]bool{
	"git":     {"https": true, "http": true, "ssh": true, "git": true},
	"hg":      {"https": true, "http": true, "ssh": true},
	"tarball": {"https": true, "http": true},
}

var (
	plainName = regexp.MustCompile(`^[A-Za-z0-9._~%-]+$`)
	hostName  = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*$`)
	userName  = regexp.MustCompile(`^[A-Za-z0-9._~-]*$`)
	port      = regexp.MustCompile(`^(:[0-9]{1,5})?$`)
	numeric   = regexp.MustCompile(`^(0x[0-9a-f]*|[0-9]+)$`)
)

func refuseURL(address string, known map[string]bool) string {
	scheme, rest, ok := strings.Cut(address, "://")
	scheme = strings.ToLower(scheme)
	if !ok || scheme == "file" || scheme == "" {
		return "a repository or file of this machine"
	}
	if !known[scheme] {
		return "by the scheme " + strconv.Quote(clip(scheme)) + ", which is not known"
	}
	// Programs differ in where a host ends. All agree on these characters.
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, below := rest[:end], rest[end:]
	user := ""
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, authority = authority[:at], authority[at+1:]
	}
	name, _, _ := strings.Cut(user, ":")
	if strings.Count(user, ":") > 1 || !userName.MatchString(name) || strings.HasPrefix(user, "-") {
		return "by an address whose user is not plain"
	}
	if strings.ContainsAny(user, "@\\ \t\r\n\x00") || strings.ContainsAny(below, "\\ \t\r\n\x00") {
		return "by an address that is not plain"
	}
	if reason := refuseQuery(below); reason != "" {
		return reason
	}
	host := authority
	if strings.HasPrefix(host, "[") {
		closing := strings.IndexByte(host, ']')
		if closing < 0 || !port.MatchString(host[closing+1:]) {
			return "by an address that is not plain"
		}
		host = host[:closing+1]
	} else if colon := strings.IndexByte(host, ':'); colon >= 0 {
		if !port.MatchString(host[colon:]) {
			return "by an address that is not plain"
		}
		host = host[:colon]
	}
	return refuseHost(host)
}

// refuseQuery refuses parameters by which a URL says what attributes say as well.
func refuseQuery(below string) string {
	_, query, _ := strings.Cut(below, "?")
	query, _, _ = strings.Cut(query, "#")
	for parameter := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(parameter, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return "by an address that is not plain"
		}
		switch strings.ToLower(name) {
		case "submodules", "lfs", "url", "type":
			return "by an address with the parameter " + name
		}
	}
	return ""
}

// refuseHost refuses every host but a public name and a global address. Names are
// not looked up here: a public name can have a private address.
func refuseHost(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if strings.HasPrefix(host, "[") {
		a, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if err != nil || public.Use(a) != "" {
			return notPublic(host)
		}
		return ""
	}
	if !hostName.MatchString(host) {
		return notPublic(host)
	}
	labels := strings.Split(host, ".")
	// inet_aton accepts 127.1, 0177.0.0.1, 0x7f000001 and 2130706433.
	if last := labels[len(labels)-1]; numeric.MatchString(last) {
		a, err := netip.ParseAddr(host)
		if err != nil || public.Use(a) != "" {
			return notPublic(host)
		}
		return ""
	}
	if len(labels) == 1 {
		return notPublic(host) // found in the hosts file, or below the machine's own domain
	}
	for _, suffix := range private {
		if strings.HasSuffix("."+host, suffix) {
			return notPublic(host)
		}
	}
	return ""
}

func notPublic(host string) string {
	return "on " + strconv.Quote(clip(host)) + ", which is not a public host"
}

// private are domains that are not in the public DNS.
var private = []string{".localhost", ".localdomain", ".local", ".internal", ".intranet", ".private", ".corp", ".home", ".lan", ".home.arpa", ".onion", ".nip.io", ".sslip.io", ".localtest.me"}
