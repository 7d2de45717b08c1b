package cloudflare

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// ownerPrefix begins the comment of every record that a hostenv-provider owns.
const ownerPrefix = "hostenv-provider:"

// maxComment is how many characters a comment may have on the free plan.
const maxComment = 100

// Comment is what the provider's own records have for a comment. A hostname
// too long for one is given by its sum.
func (c Config) Comment() string {
	comment := ownerPrefix + c.Owner
	if len(comment) > maxComment {
		comment = fmt.Sprintf("%ssha256-%x", ownerPrefix, sha256.Sum256([]byte(c.Owner)))
	}
	return comment
}

// owns reports whether a record is the provider's own. It makes address records alone, so a
// comment that was copied onto another type is no proof.
func (c Config) owns(r Record) bool {
	return r.Comment == c.Comment() && isAddress(r.Type)
}

// isAddress reports whether a name may have one kind of these types, or one.
func isAddress(recordType string) bool {
	return recordType == "A" || recordType == "AAAA" || recordType == "CNAME"
}

// ofAnotherProvider reports whether a hostenv-provider other than c's owns a
// record.
func (c Config) ofAnotherProvider(r Record) bool {
	return strings.HasPrefix(r.Comment, ownerPrefix) && r.Comment != c.Comment()
}
