package names

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// UserName returns the user name that hostenv gives to an environment:
// <project>-<environment>-<hash>. The first two are shortened by [Slug]; the hash
// is the first 7 digits of SHA-256 of "organisation-project-environment\n". It
// may not be a valid [User] if the names come from a stranger: parse it.
//
// The 28 bits of the hash do not protect against a collision on purpose, because
// the customer chooses the name of the environment.
//
// nix/lib/names.nix has the same rule. Tests of both read testdata/userName.json.
func UserName(organisation, project, environment string) string {
	sum := sha256.Sum256([]byte(organisation + "-" + project + "-" + environment + "\n"))
	return Slug(project) + "-" + Slug(environment) + "-" + hex.EncodeToString(sum[:])[:7]
}

// slugLength is the most bytes that a slug has.
const slugLength = 11

// Slug returns hostenv's short form of a name: as many words of its last part as
// fit into 11 bytes, or the first 11 bytes of a longer word.
func Slug(name string) string {
	last := name[strings.LastIndexByte(name, '/')+1:]
	dashed := []byte(last)
	for i, c := range dashed {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		default:
			dashed[i] = '-'
		}
	}
	// hostenv looks at each hyphen once: of "----" two are left.
	whole := strings.ReplaceAll(string(dashed), "--", "-")
	whole = strings.TrimSuffix(strings.TrimPrefix(whole, "-"), "-")
	slug, rest, more := strings.Cut(whole, "-")
	if len(slug) > slugLength {
		return strings.ToLower(whole[:slugLength])
	}
	for more {
		var word string
		word, rest, more = strings.Cut(rest, "-")
		if len(slug)+1+len(word) > slugLength {
			break
		}
		slug += "-" + word
	}
	return strings.ToLower(slug)
}
