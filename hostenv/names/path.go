package names

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// A PlainPath is an absolute path that every program reads alike: names of
// letters, digits, dots, hyphens and underscores, with one slash before each.
// None of the names is . or .. .
type PlainPath string

// maxPath is Linux's PATH_MAX without the NUL.
const maxPath = 4095

var plainPath = regexp.MustCompile(`^(/[A-Za-z0-9._-]+)+$`)

// ParsePlainPath parses a path.
func ParsePlainPath(s string) (PlainPath, error) {
	if len(s) > maxPath || !plainPath.MatchString(s) || path.Clean(s) != s {
		return "", errors.New("it must be an absolute path of letters, digits and . _ -, without . or .. between its slashes")
	}
	return PlainPath(s), nil
}

// A StorePath is an entry of a Nix store, <store>/<hash>-<name>, and not a path
// below one. The store may be any [PlainPath]: tests use others than [Store]. By
// the Nix manual the hash is 32 digits of Nix's base 32, which has no e, o, u and
// t, and the name has 1 to 211 characters of A-Z, a-z, 0-9 and +-._?=, is neither
// . nor .., and does not begin with .- or ..- .
type StorePath string

// Store is the store of every node, and of most other machines.
const Store = "/nix/store"

const storeHash = 32

var (
	hash      = regexp.MustCompile(`^[0-9a-df-np-sv-z]{32}$`)
	storeName = regexp.MustCompile(`^[0-9A-Za-z+._?=-]{1,211}$`)
)

// ParseStorePath parses a store path.
func ParseStorePath(s string) (StorePath, error) {
	dir, base := path.Split(s)
	if _, err := ParsePlainPath(strings.TrimSuffix(dir, "/")); err != nil || len(s) > maxPath {
		return "", errors.New("its folder cannot be a Nix store")
	}
	if len(base) <= storeHash || base[storeHash] != '-' || !hash.MatchString(base[:storeHash]) {
		return "", errors.New("it does not have the hash of a store path")
	}
	name := base[storeHash+1:]
	first, _, _ := strings.Cut(name, "-")
	if !storeName.MatchString(name) || first == "." || first == ".." {
		return "", fmt.Errorf("its name %q is not allowed in a store path", name)
	}
	return StorePath(s), nil
}

// CutStorePath splits a path into the store path that it begins with and the rest
// below it, which is "" or begins with a slash. ok is false if the path does not
// begin with a store path.
func CutStorePath(s string) (p StorePath, below string, ok bool) {
	for i := 1; i <= len(s); i++ {
		if i < len(s) && s[i] != '/' {
			continue
		}
		if p, err := ParseStorePath(s[:i]); err == nil {
			return p, s[i:], true
		}
	}
	return "", "", false
}

// Dir returns the store that holds p.
func (p StorePath) Dir() string { return path.Dir(string(p)) }

// IsDerivation reports whether p is a derivation, the instructions for a build.
func (p StorePath) IsDerivation() bool { return strings.HasSuffix(string(p), ".drv") }
