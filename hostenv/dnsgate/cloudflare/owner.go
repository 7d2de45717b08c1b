package cloudflare

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// ownerPrefix begins the comment of every record that a hostenv-provider owns.
const ownerPrefix = "hostenv-provider:"

// maxComment limits a comment, in characters, on Cloudflare's free plan.
const maxComment = 100

// Comment returns the comment of the provider's records. It has the digest of a
// hostname that is too long for a comment.
func (c Config) Comment() string {
	comment := ownerPrefix + c.Owner
	if len(comment) > maxComment {
		comment = fmt.Sprintf("%ssha256-%x", ownerPrefix, sha256.Sum256([]byte(c.Owner)))
	}
	return comment
}

// owns reports whether a record is the provider's. The provider makes only address
// records, so the comment on another type is a copy.
func (c Config) owns(r Record) bool {
	return r.Comment == c.Comment() && isAddress(r.Type)
}

// isAddress reports whether a record of a type gives a name its addresses. A CNAME
// excludes the others.
func isAddress(recordType string) bool {
	return recordType == "A" || recordType == "AAAA" || recordType == "CNAME"
}

// ofAnotherProvider reports whether a hostenv-provider other than c's owns a
// record.
func (c Config) ofAnotherProvider(r Record) bool {
	return strings.HasPrefix(r.Comment, ownerPrefix) && r.Comment != c.Comment()
}
