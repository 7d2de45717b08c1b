package names

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// A PlainPath is an absolute path that no program reads in its own way: names of
// letters, digits, dots, hyphens and underscores, with one slash before each,
// none of them . or .. .
type PlainPath string

// maxPath is Linux's PATH_MAX without the NUL.
const maxPath = 4095

var plainPath = regexp.MustCompile(`^(/[A-Za-z0-9._-]+)+$`)

// ParsePlainPath parses a path.
func ParsePlainPath(s string) (PlainPath, error) {
	if len(s) > maxPath || !plainPath.MatchString(s) || path.Clean(s) != s {
		return "", errors.New("it is no absolute path of letters, digits and . _ -, without . or .. between its slashes")
	}
	return PlainPath(s), nil
}

// A StorePath is a path of a Nix store's own, not one below it:
// <store>/<hash>-<name>. The store is a [PlainPath], as it need not be [Store]
// (tests have stores of their own). By the Nix manual the hash is 32 digits of
// Nix's base 32, which leaves out e, o, u and t, and the name has 1 to 211
// characters of A-Z, a-z, 0-9 and +-._?=, is neither . nor .., and does not
// begin with .- or ..- .
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
		return "", errors.New("it is in no folder that can be a store")
	}
	if len(base) <= storeHash || base[storeHash] != '-' || !hash.MatchString(base[:storeHash]) {
		return "", errors.New("it has no hash of a store path")
	}
	name := base[storeHash+1:]
	first, _, _ := strings.Cut(name, "-")
	if !storeName.MatchString(name) || first == "." || first == ".." {
		return "", fmt.Errorf("its name %q is no name of a store path", name)
	}
	return StorePath(s), nil
}

// CutStorePath takes the store path off the front of a path that is in a store,
// and returns what is below, "" or with its slash. ok is false if there is no
// store path.
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

// Dir is the store that p is in.
func (p StorePath) Dir() string { return path.Dir(string(p)) }

// IsDerivation reports whether p is what a build is made of.
func (p StorePath) IsDerivation() bool { return strings.HasSuffix(string(p), ".drv") }
