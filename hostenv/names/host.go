package names

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// A Host is a host name as DNS carries it: lower case, A-labels, no final dot.
// A first label "*" makes it a wildcard.
type Host string

// Wildcard reports whether h stands for all names one label below its own.
func (h Host) Wildcard() bool { return strings.HasPrefix(string(h), "*.") }

// maxHost is RFC 1035's limit of 255 octets, written out.
const maxHost = 253

// ParseHost returns the one spelling of a host name. By RFC 1123, section 2.1,
// and RFC 1035, section 2.3.4, it refuses characters other than letters, digits
// and hyphens, a hyphen at either end of a label, a label over 63 bytes, a name
// over 253 bytes, and an IP address.
func ParseHost(s string) (Host, error) {
	if isNormal(s) {
		return Host(s), nil
	}
	bare, wildcard := strings.CutPrefix(s, "*.")
	bare = strings.TrimSuffix(bare, ".")
	if bare == "" {
		return "", errors.New("it is empty")
	}
	if len(bare) > maxSpelling {
		return "", fmt.Errorf("it has %d bytes, and the limit is %d", len(bare), maxHost)
	}
	if !utf8.ValidString(bare) {
		return "", errors.New("it is not UTF-8")
	}
	if strings.Contains(bare, "*") {
		return "", errors.New("its wildcard is not the whole first label")
	}
	ascii, err := asciiHost.ToASCII(bare)
	if err != nil {
		return "", fmt.Errorf("it is not a host name: %w", err)
	}
	ascii = strings.TrimSuffix(ascii, ".") // a full-width final dot
	if strings.HasSuffix(bare, ".") {
		return "", errors.New("it has an empty label")
	}
	if wildcard {
		ascii = "*." + ascii
	}
	if err := checkHost(ascii); err != nil {
		return "", err
	}
	return Host(ascii), nil
}

// asciiHost maps what people write (upper case, ß, full-width dots) to what
// DNS carries. It follows UTS #46, non-transitional, and the STD3 rules: letters,
// digits and hyphens. It does not apply the hyphen rule of IDNA2008 (of "??--"
// only "xn--"), because DNS and nginx serve such names and hostenv makes some
// ("ab--a7bcf0a"). Only Let's Encrypt refuses them, so the DNS gate checks it.
var asciiHost = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.StrictDomainName(true),
	idna.BidiRule(),
	idna.ValidateLabels(true),
	idna.CheckHyphens(false), // after ValidateLabels, which turns it on
)

// maxSpelling bounds what we pass to IDNA, whose run time grows with the square
// of the length. 253 characters of four bytes fit.
const maxSpelling = 1024

// isNormal reports whether a name is already in its one spelling, without the
// cost of IDNA. Nearly all names are. It reports false for a name with "xn--",
// whose Punycode only IDNA can check.
func isNormal(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return !strings.Contains(s, "xn--") && checkHost(s) == nil
}

// number matches a last label that browsers and inet_aton read as the end of an
// IPv4 address (WHATWG URL, "ends in a number").
var number = regexp.MustCompile(`^([0-9]+|0x[0-9a-f]*)$`)

// checkHost checks the length and the labels of a name in ASCII.
func checkHost(s string) error {
	if len(s) > maxHost {
		return tooLong(s)
	}
	bare := strings.TrimPrefix(s, "*.")
	last := ""
	for label := range strings.SplitSeq(bare, ".") {
		switch {
		case label == "":
			return errors.New("it has an empty label")
		case len(label) > 63:
			return fmt.Errorf("its label %q has %d characters, and the limit is 63", label, len(label))
		case label[0] == '-' || label[len(label)-1] == '-':
			return fmt.Errorf("its label %q begins or ends with a hyphen", label)
		}
		last = label
	}
	if last[0] <= '9' && number.MatchString(last) {
		return errors.New("its last label is a number, so programs read it as an IP address")
	}
	return nil
}
