package dnsgate

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/publicsuffix"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
)

// The bounds of Let's Encrypt's policy (Boulder, policy/pa.go).
const (
	maxName   = 253
	maxLabel  = 63
	maxLabels = 10
)

// MaxNames is how many names a certificate can have by the profile that allows the most.
const MaxNames = 100

// errWildcard differs from other errors: DNS-01 can prove a wildcard, but no challenge
// can prove an invalid name.
var errWildcard = errors.New("it is a wildcard, which only the DNS-01 challenge can prove")

// QueryName returns the spelling of a name in [Facts]: A-labels in lower case without
// a final dot. It returns an error for a name for which Let's Encrypt never issues a
// certificate, so that no lookup is needed.
func QueryName(name string) (string, error) {
	if strings.Contains(name, "*") {
		return "", errWildcard
	}
	ascii := strings.TrimSuffix(strings.ToLower(name), ".")
	if strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII }) {
		normal, err := names.ParseHost(name)
		if err != nil {
			return "", err
		}
		ascii = string(normal)
	}
	return ascii, checkName(ascii)
}

// CertificateName returns the spelling of a name in a certificate: that of [QueryName],
// below "*." for a wildcard.
func CertificateName(name string) (string, error) {
	bare, wildcard := strings.CutPrefix(name, "*.")
	query, err := QueryName(bare)
	if wildcard && err == nil {
		query = "*." + query
	}
	return query, err
}

// checkName applies the rules of Boulder's ValidDomain to a name in ASCII.
func checkName(name string) error {
	if len(name) > maxName {
		return fmt.Errorf("it has %d characters, and the limit is %d", len(name), maxName)
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return errors.New("it is an IP address")
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if err := checkLabel(label); err != nil {
			return err
		}
	}
	switch {
	case len(labels) < 2:
		return errors.New("it has one label, and needs two")
	case len(labels) > maxLabels:
		return fmt.Errorf("it has %d labels, and the limit is %d", len(labels), maxLabels)
	}
	switch suffix := PublicSuffix(name); suffix {
	case "":
		return fmt.Errorf("there is no public top-level domain %q", labels[len(labels)-1])
	case name:
		return errors.New("it is a public suffix")
	}
	return nil
}

func checkLabel(label string) error {
	switch {
	case label == "":
		return errors.New("it has an empty label")
	case len(label) > maxLabel:
		return fmt.Errorf("its label %q has %d characters, and the limit is %d", label, len(label), maxLabel)
	case label[0] == '-' || label[len(label)-1] == '-':
		return fmt.Errorf("its label %q begins or ends with a hyphen", label)
	}
	for i := range len(label) {
		if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("its label %q has %q, and only letters, digits and hyphens are allowed", label, string(rune(c)))
		}
	}
	if len(label) < 4 || label[2:4] != "--" {
		return nil
	}
	// RFC 5890 section 2.3.1 reserves such labels, except xn--.
	if label[:2] != "xn" {
		return fmt.Errorf("its label %q has hyphens as third and fourth characters", label)
	}
	unicode, err := idna.ToUnicode(label)
	if err != nil || !norm.NFC.IsNormalString(unicode) {
		return fmt.Errorf("its label %q is not Punycode", label)
	}
	return nil
}

// PublicSuffix returns the longest suffix of a name in the ICANN part of the public
// suffix list, "" if there is none. The private part (github.io) does not count,
// because Let's Encrypt issues certificates for its names.
func PublicSuffix(name string) string { return publicsuffix.ICANN(name) }
