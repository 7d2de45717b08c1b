// Package publicsuffix has the public suffix list that Let's Encrypt uses: the same
// module, in a version that is as new as Boulder's. golang.org/x/net has the list too,
// but an older one.
package publicsuffix

import (
	"strings"

	"github.com/weppos/publicsuffix-go/publicsuffix"
)

// ICANN returns the longest suffix of a name in the ICANN part of the list, "" if there
// is none. Names are A-labels in lower case, without a final dot.
func ICANN(name string) string {
	return suffix(name, &publicsuffix.FindOptions{IgnorePrivate: true})
}

// Registrable returns the name that is one label longer than its public suffix, with
// the private part of the list (github.io). A top-level domain that is not listed is a
// suffix. It returns "" for a suffix.
func Registrable(name string) string {
	longest := suffix(name, &publicsuffix.FindOptions{})
	if longest == "" {
		longest = name[strings.LastIndexByte(name, '.')+1:]
	}
	below := strings.TrimSuffix(name, longest)
	if below == "" {
		return ""
	}
	below = strings.TrimSuffix(below, ".")
	return below[strings.LastIndexByte(below, '.')+1:] + "." + longest
}

func suffix(name string, options *publicsuffix.FindOptions) string {
	rule := publicsuffix.DefaultList.Find(name, options)
	if rule == nil {
		return ""
	}
	if suffix := rule.Decompose(name)[1]; suffix != "" {
		return suffix
	}
	return name // which is a suffix itself
}
