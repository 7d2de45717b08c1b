package flakelock

import (
	"encoding/json"
	"maps"
	"strings"
)

// Allowed says which sources customers may bring, as Nix's allowed-uris does: a
// source is allowed if its URI is one of a list, or begins with one that ends with a
// slash or a colon, or that is followed by a slash.
type Allowed struct {
	All           []string            // for every customer
	Organisations map[string][]string // further ones, for the customers of an organisation
}

func (a Allowed) has(customer string, locked map[string]any) bool {
	uri := address(locked)
	for _, prefix := range append(a.All[:len(a.All):len(a.All)], a.Organisations[organisation(customer)]...) {
		rest, ok := strings.CutPrefix(uri, prefix)
		if ok && prefix != "" && (rest == "" || strings.HasPrefix(rest, "/") || strings.HasSuffix(prefix, "/") || strings.HasSuffix(prefix, ":")) {
			return true
		}
	}
	return false
}

// forges are the hosts that a type of source has without the attribute host.
var forges = map[string]string{"github": "github.com", "gitlab": "gitlab.com", "sourcehut": "git.sr.ht"}

// address is the URI of a source without commit, query and user, as a flake's
// inputs have it: github:owner/repo, git+https://host/path. An archive of a forge
// on another host is https://host/owner/repo.
func address(locked map[string]any) string {
	kind := text(locked, "type")
	if forge, ok := forges[kind]; ok {
		below := text(locked, "owner") + "/" + text(locked, "repo")
		if host := strings.ToLower(text(locked, "host")); host != "" && host != forge {
			return "https://" + host + "/" + below
		}
		return kind + ":" + below
	}
	scheme, rest, found := strings.Cut(text(locked, "url"), "://")
	if !found {
		return kind + ":" + text(locked, "url") + text(locked, "path") + text(locked, "id")
	}
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest = rest[:i]
	}
	host, below, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(host, '@'); at >= 0 && !strings.EqualFold(scheme, "ssh") {
		host = host[at+1:]
	}
	if kind != "tarball" && kind != "file" {
		scheme = kind + "+" + scheme
	}
	// A path with dots could leave the folder that a prefix allows.
	if below = strings.TrimSuffix(below, "/"); below != "" {
		below = "/" + cleaned(below)
	}
	return strings.ToLower(scheme+"://"+host) + below
}

// cleaned is a path whose steps upward are taken, escaped ones too.
func cleaned(below string) string {
	below = dots.Replace(below)
	var kept []string
	for part := range strings.SplitSeq(below, "/") {
		switch part {
		case "", ".":
		case "..":
			kept = kept[:max(0, len(kept)-1)]
		default:
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, "/")
}

var dots = strings.NewReplacer("%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/")

// hostOnly is a URI's scheme and host, or its scheme alone.
func hostOnly(uri string) string {
	if scheme, rest, ok := strings.Cut(uri, "://"); ok {
		host, _, _ := strings.Cut(rest, "/")
		return scheme + "://" + host + "/"
	}
	scheme, rest, _ := strings.Cut(uri, ":")
	owner, _, _ := strings.Cut(rest, "/")
	return scheme + ":" + owner + "/"
}

// repository names the repository of a source, however it is reached: host and
// path. It is "" for what is no repository.
func repository(locked map[string]any) string {
	kind := text(locked, "type")
	if forge, ok := forges[kind]; ok {
		if host := text(locked, "host"); host != "" {
			forge = host
		}
		below := text(locked, "owner") + "/" + text(locked, "repo")
		return plainRepository(forge, strings.NewReplacer("%2f", "/", "%2F", "/").Replace(below))
	}
	_, rest, found := strings.Cut(text(locked, "url"), "://")
	if !found {
		return ""
	}
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest = rest[:i]
	}
	host, below, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		host = host[at+1:]
	}
	if colon := strings.IndexByte(host, ':'); colon >= 0 && !strings.HasPrefix(host, "[") {
		host = host[:colon]
	}
	if kind == "tarball" {
		return archiveOf(host, below)
	}
	return plainRepository(host, below)
}

// archiveOf names the repository that an archive of a forge is of: all forges put it
// below the repository's own path.
func archiveOf(host, below string) string {
	parts := strings.Split(cleaned(below), "/")
	if strings.EqualFold(host, "api.github.com") || strings.EqualFold(host, "codeload.github.com") {
		host = "github.com"
		if parts[0] == "repos" {
			parts = parts[1:]
		}
	}
	for i, part := range parts {
		if i >= 2 && (part == "-" || part == "archive" || part == "tarball" || part == "tar.gz" || part == "legacy.tar.gz" || part == "releases") {
			return plainRepository(host, strings.Join(parts[:i], "/"))
		}
	}
	return plainRepository(host, below)
}

func plainRepository(host, below string) string {
	below = strings.TrimSuffix(cleaned(below), ".git")
	return strings.ToLower(strings.TrimSuffix(host, ".") + "/" + below)
}

// identity is equal for nodes that are the same tree from the same place.
func identity(locked map[string]any) string {
	if text(locked, "narHash") == "" || isRelative(locked) {
		return ""
	}
	same := maps.Clone(locked)
	for _, name := range []string{"dir", "lastModified", "revCount"} {
		delete(same, name)
	}
	// Go sorts the keys.
	key, err := json.Marshal(same)
	if err != nil {
		return ""
	}
	return string(key)
}
