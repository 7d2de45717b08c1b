package nix

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A source is a tree to fetch.
type source struct {
	tree       map[string]any // attributes of fetchTree
	key        string         // equal for equal sources
	repository string         // equal for sources that share a cache of nix
	label      string         // for people, without credentials
	locked     Locked
	failed     error // why it cannot be locked
	late       bool  // whether fetching it took too long
}

// sourceOf checks and normalises attributes of a source.
func (r *Runner) sourceOf(attributes map[string]any) (*source, error) {
	tree := maps.Clone(attributes)
	s := &source{tree: tree}
	// The ref is named, so Nix does not need all refs of the repository.
	delete(tree, "allRefs")
	// dir is the flake's folder in the tree, and not part of the tree's address.
	if _, ok := tree["dir"]; ok {
		delete(tree, "dir")
		if address := s.text("url"); address != "" {
			tree["url"] = withoutDir(address)
		}
	}

	kind := s.text("type")
	if kind == "" {
		return nil, errors.New("it has no type")
	}
	switch kind {
	case "path":
		path := s.text("path")
		if path == "" {
			return nil, errors.New("a path without path")
		}
		if !filepath.IsAbs(path) {
			root, err := filepath.Abs(r.Dir)
			if err != nil {
				return nil, err
			}
			path = filepath.Join(root, path)
		}
		tree["path"] = path
		s.repository = path
	case "github", "gitlab", "sourcehut":
		// The APIs of these take the plain name of a branch.
		if ref := s.text("ref"); ref != "" {
			tree["ref"] = strings.TrimPrefix(ref, "refs/heads/")
		}
		s.repository = strings.ToLower(kind + ":" + s.text("host") + ":" + s.text("owner") + "/" + s.text("repo"))
	default:
		s.repository = kind + ":" + s.text("url") + s.text("id")
	}

	key, err := json.Marshal(tree)
	if err != nil {
		return nil, err
	}
	s.key = string(key)
	s.label = redact(s.describe())
	return s, nil
}

func (s *source) text(attribute string) string {
	text, _ := s.tree[attribute].(string)
	return text
}

// describe writes the source as a flake reference.
func (s *source) describe() string {
	kind, parameter, at := s.text("type"), "rev=", s.text("rev")
	if ref := s.text("ref"); ref != "" {
		parameter, at = "ref=", ref
	}
	switch kind {
	case "path":
		return "path:" + s.text("path")
	case "github", "gitlab", "sourcehut":
		reference := kind + ":" + s.text("owner") + "/" + s.text("repo")
		if at != "" {
			reference += "/" + at
		}
		if host := s.text("host"); host != "" {
			reference += "?host=" + host
		}
		return reference
	case "indirect":
		return strings.TrimSuffix("flake:"+s.text("id")+"/"+at, "/")
	default:
		reference := kind + "+" + s.text("url")
		if at != "" {
			separator := "?"
			if strings.Contains(reference, "?") {
				separator = "&"
			}
			reference += separator + parameter + at
		}
		return reference
	}
}

// needsRev reports whether the source must have a commit.
func (s *source) needsRev() bool {
	switch s.text("type") {
	case "git", "hg", "github", "gitlab", "sourcehut":
		return true
	default:
		return false
	}
}

func (s *source) fail(text string) {
	s.failed = problem.In("lock "+s.label, problem.New("", text, cmp.Or(localAdvice(text), s.advice())))
}

// advice returns how to check the source by hand.
func (s *source) advice() string {
	var address string
	host := s.text("host")
	switch s.text("type") {
	case "path":
		return "does the folder " + s.text("path") + " exist?"
	case "git":
		address = s.text("url")
	case "github":
		address = fmt.Sprintf("https://%s/%s/%s", cmp.Or(host, "github.com"), s.text("owner"), s.text("repo"))
	case "gitlab":
		address = fmt.Sprintf("https://%s/%s/%s", cmp.Or(host, "gitlab.com"), unescape(s.text("owner")), s.text("repo"))
	case "sourcehut":
		address = fmt.Sprintf("https://%s/%s/%s", cmp.Or(host, "git.sr.ht"), s.text("owner"), s.text("repo"))
	default:
		return "is " + s.label + " reachable from here?"
	}
	command := "git ls-remote " + redact(address)
	if ref := s.text("ref"); ref != "" {
		command += " " + ref
	}
	return "does the ref exist, and is the repository reachable from here? ask `" + command + "`"
}

func unescape(path string) string {
	if plain, err := url.PathUnescape(path); err == nil {
		return plain
	}
	return path
}

// withoutDir removes the parameter dir from a URL: Nix up to 2.8 leaves the
// flake's folder there, and git would read it as part of the address.
func withoutDir(address string) string {
	base, query, found := strings.Cut(address, "?")
	if !found {
		return address
	}
	var kept []string
	for parameter := range strings.SplitSeq(query, "&") {
		if !strings.HasPrefix(parameter, "dir=") {
			kept = append(kept, parameter)
		}
	}
	if len(kept) == 0 {
		return base
	}
	return base + "?" + strings.Join(kept, "&")
}
