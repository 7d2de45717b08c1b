package state

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// asciiHost maps what people write (upper case, ß, full-width dots) to what
// DNS carries. It follows UTS #46, non-transitional, and the STD3 rules, that
// is letters, digits and hyphens. The hyphen rule of IDNA2008 (no "??--" but
// "xn--") is left to the DNS gate: DNS and nginx serve such names, only Let's
// Encrypt refuses them, and hostenv makes some ("ab--a7bcf0a").
var asciiHost = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.StrictDomainName(true),
	idna.BidiRule(),
	idna.ValidateLabels(true),
	idna.CheckHyphens(false), // after ValidateLabels, which turns it on
)

// NormalizeHostname returns the one spelling of a host name that every
// comparison uses: lower case, A-labels, no final dot. A first label "*" is a
// wildcard. What is no host name by RFC 1123 section 2.1 and RFC 1035 section
// 2.3.4 is refused: another character than letters, digits and hyphens, a
// hyphen at the end of a label, a label over 63 bytes, a name over 253, an IP
// address.
func NormalizeHostname(name string) (string, error) {
	if isNormal(name) {
		return name, nil
	}
	bare, wildcard := strings.CutPrefix(name, "*.")
	bare = strings.TrimSuffix(bare, ".")
	if bare == "" {
		return "", errors.New("it is empty")
	}
	if len(bare) > maxSpelling {
		return "", fmt.Errorf("it has %d bytes, and 253 is the most", len(bare))
	}
	if !utf8.ValidString(bare) {
		return "", errors.New("it is not UTF-8")
	}
	if strings.Contains(bare, "*") {
		return "", errors.New("a wildcard stands for the whole first label and nothing else")
	}
	ascii, err := asciiHost.ToASCII(bare)
	if err != nil {
		return "", fmt.Errorf("it is no host name: %w", err)
	}
	ascii = strings.TrimSuffix(ascii, ".") // a full-width final dot
	if strings.HasSuffix(bare, ".") {
		return "", errors.New("it has an empty label")
	}
	if wildcard {
		ascii = "*." + ascii
	}
	if err := checkHostname(ascii); err != nil {
		return "", err
	}
	return ascii, nil
}

// maxSpelling bounds what IDNA is asked about, whose time grows with the
// square of the length: 253 characters of four bytes, and room.
const maxSpelling = 1024

// isNormal tells plain names that are already as they should be, nearly all,
// without the cost of IDNA. Labels that begin with xn-- need a closer look.
func isNormal(name string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return !strings.Contains(name, "xn--") && checkHostname(name) == nil
}

// number is what browsers and inet_aton take for the end of an IPv4 address
// (WHATWG URL, "ends in a number").
var number = regexp.MustCompile(`^([0-9]+|0x[0-9a-f]*)$`)

// checkHostname holds a name in ASCII to the rules of length and shape.
func checkHostname(name string) error {
	if len(name) > 253 {
		return fmt.Errorf("it has %d characters, and 253 is the most", len(name))
	}
	bare := strings.TrimPrefix(name, "*.")
	last := ""
	for label := range strings.SplitSeq(bare, ".") {
		switch {
		case label == "":
			return errors.New("it has an empty label")
		case len(label) > 63:
			return fmt.Errorf("its label %q has %d characters, and 63 is the most", label, len(label))
		case label[0] == '-' || label[len(label)-1] == '-':
			return fmt.Errorf("its label %q begins or ends with a hyphen", label)
		}
		last = label
	}
	if last[0] <= '9' && number.MatchString(last) {
		return errors.New("its last label is a number: it is an IP address, or would be taken for one")
	}
	return nil
}

// userName is what hostenv makes of project, environment and hash. It reaches
// a remote shell, a systemd unit, a Nix attribute and a path, so it holds
// nothing that one of them reads in its own way.
var userName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,30}$`)

// CheckUserName refuses what is no user name as hostenv makes them: lower-case
// letters, digits, hyphens and underscores, at most 31, a letter or digit
// first, not digits alone. (Keys of state.json that begin with an underscore
// are the file's own.)
func CheckUserName(name string) error {
	if !userName.MatchString(name) {
		return fmt.Errorf("%q is no user name as hostenv makes them: a-z, 0-9, - and _, at most 31, - and _ not first", name)
	}
	if strings.Trim(name, "0123456789") == "" {
		return fmt.Errorf("the user name %q is a number, which ssh and systemd would take for a UID", name)
	}
	return nil
}
