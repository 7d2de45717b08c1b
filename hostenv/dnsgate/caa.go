package dnsgate

import (
	"regexp"
	"strings"
)

// issuer is Let's Encrypt's name in CAA records. Let's Encrypt compares its case.
const issuer = "letsencrypt.org"

// The validation methods of the nodes (RFC 8657 section 4).
const (
	byHTTP = "http-01"
	byDNS  = "dns-01" // of certificates with wildcards
)

// A caaSet is the part of a CAA record set that applies to certificates.
type caaSet struct {
	critical    []CAARecord // unknown, but a CA must understand them
	issue, wild []CAARecord
}

// issuing returns the records that say who may issue for a name, or for a wildcard: those
// with issuewild, if there are any (RFC 8659 section 4.3).
func (set caaSet) issuing(wildcard bool) []CAARecord {
	if wildcard && len(set.wild) > 0 {
		return set.wild
	}
	return set.issue
}

// readCAA reads a record set by RFC 8659 section 4. Tags compare without case.
func readCAA(records []CAARecord) caaSet {
	var set caaSet
	for _, record := range records {
		switch strings.ToLower(record.Tag) {
		case "issue":
			set.issue = append(set.issue, record)
		case "issuewild":
			set.wild = append(set.wild, record)
		case "iodef", "issuemail", "issuevmc":
		default:
			// The critical flag is 128. Many read "bit 0" as 1, and Let's Encrypt
			// accepts both.
			if record.Flag&(128|1) != 0 {
				set.critical = append(set.critical, record)
			}
		}
	}
	return set
}

// A permission is the effect of issue records for us.
type permission int

const (
	forbidden permission = iota
	needsAccount
	permitted
)

// permits returns the permission of a set of issue records for a validation method.
// Without records, every CA may issue.
func permits(issue []CAARecord, accountURI, method string) permission {
	if len(issue) == 0 {
		return permitted
	}
	best := forbidden
	for _, record := range issue {
		best = max(best, permit(record.Value, accountURI, method))
	}
	return best
}

// permit reads the value of an issue record (RFC 8659 section 4.2, RFC 8657).
// What does not parse forbids.
func permit(value, accountURI, method string) permission {
	domain, parameters, ok := parseIssue(value)
	if !ok || domain != issuer {
		return forbidden
	}
	accounts, methods := parameters["accounturi"], parameters["validationmethods"]
	if len(accounts) > 1 || len(methods) > 1 {
		return forbidden
	}
	if len(methods) == 1 && !holdsMethod(methods[0], method) {
		return forbidden
	}
	switch {
	case len(accounts) == 0 || accountURI != "" && accounts[0] == accountURI:
		return permitted
	case accountURI == "":
		return needsAccount
	default:
		return forbidden
	}
}

func parseIssue(value string) (domain string, parameters map[string][]string, ok bool) {
	parts := strings.Split(value, ";")
	domain = trimBlank(parts[0])
	parts = parts[1:]
	if len(parts) == 1 && trimBlank(parts[0]) == "" {
		return domain, nil, true // a single semicolon at the end
	}
	parameters = map[string][]string{}
	for _, part := range parts {
		tag, value, found := strings.Cut(part, "=")
		tag, value = trimBlank(tag), trimBlank(value)
		if !found || !parameterTag.MatchString(tag) || !parameterValue.MatchString(value) {
			return "", nil, false
		}
		parameters[tag] = append(parameters[tag], value)
	}
	return domain, parameters, true
}

var (
	parameterTag   = regexp.MustCompile(`^[0-9A-Za-z](-*[0-9A-Za-z])*$`)
	parameterValue = regexp.MustCompile(`^[!-:<-~]*$`)
	methodLabel    = regexp.MustCompile(`^[0-9A-Za-z-]+$`)
)

func trimBlank(s string) string { return strings.Trim(s, " \t") }

func holdsMethod(list, wanted string) bool {
	for method := range strings.SplitSeq(list, ",") {
		if !methodLabel.MatchString(method) {
			return false
		}
		if method == wanted {
			return true // Let's Encrypt does not read the rest either
		}
	}
	return false
}

// relevantCAA walks from the name up to its top-level domain. It returns the first set
// that is not empty (RFC 8659 section 3) and its lookup. At a label without a
// successful lookup the walk ends: ok is then false, and at is that label.
func relevantCAA(facts *NameFacts) (records []CAARecord, at CAALookup, ok bool) {
	byName := make(map[string]Lookup, len(facts.CAA))
	for _, l := range facts.CAA {
		if _, seen := byName[l.Name]; !seen {
			byName[l.Name] = l.Lookup
		}
	}
	for label := facts.Name; label != ""; _, label, _ = strings.Cut(label, ".") {
		lookup := byName[label]
		at = CAALookup{label, lookup}
		if !lookup.Asked() || lookup.Failed() {
			return nil, at, false
		}
		if len(lookup.CAA) > 0 {
			return lookup.CAA, at, true
		}
	}
	return nil, CAALookup{}, true
}
