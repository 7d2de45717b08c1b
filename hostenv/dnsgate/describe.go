package dnsgate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// describe returns the result of a lookup as text. Equal results give equal texts.
func describe(l Lookup) string {
	var saw string
	switch {
	case !l.Asked():
		return "not looked up"
	case l.Failed():
		saw = string(l.Error)
		if saw == "" {
			saw = string(OutcomeError)
		}
		if l.Truncated {
			saw += " over TCP, after a truncated answer"
		}
		for _, code := range slices.Compact(slices.Sorted(slices.Values(l.EDE))) {
			saw += fmt.Sprintf(", extended error %d", code)
			if text := extended[code]; text != "" {
				saw += " (" + text + ")"
			}
		}
	case len(l.CAA) > 0:
		records := make([]string, len(l.CAA))
		for i, r := range l.CAA {
			records[i] = fmt.Sprintf("%d %s %q", r.Flag, printable(r.Tag), cut(r.Value))
		}
		slices.Sort(records)
		saw = strings.Join(records, ", ")
	case len(l.Addresses) > 0:
		saw = parse(l.Addresses).String()
		if reserved := parse(l.Addresses).filter(IsReserved); len(reserved) > 0 {
			saw += " (reserved: " + reserved.String() + ")"
		}
	case len(l.Targets) > 0:
		saw = strings.Join(slices.Sorted(slices.Values(l.Targets)), " ")
	case l.Outcome == OutcomeNoData:
		saw = "no such record"
	default:
		saw = string(l.Outcome)
	}
	if len(l.Chain) > 0 {
		saw += " by way of " + strings.Join(l.Chain, ", ")
	}
	return saw
}

// extended has names for extended DNS errors (RFC 8914).
var extended = map[int]string{
	1: "unsupported DNSKEY algorithm", 2: "unsupported DS digest", 5: "DNSSEC indeterminate", 6: "DNSSEC bogus",
	7: "signature expired", 8: "signature not yet valid", 9: "DNSKEY missing", 10: "RRSIGs missing",
	11: "no zone key bit set", 12: "NSEC missing", 18: "prohibited", 22: "no reachable authority", 23: "network error",
}

func describeProbe(p *ProbeFacts) string {
	var b strings.Builder
	for _, hop := range p.Hops {
		fmt.Fprintf(&b, "%d to %s, ", hop.Status, printable(hop.URL))
	}
	switch {
	case p.Proof != "":
		b.WriteString("served the token of " + printable(p.Proof))
	case p.Reached:
		b.WriteString("answered by the node")
	case p.Error != "":
		b.WriteString(printable(p.Error))
	default:
		fmt.Fprintf(&b, "status %d, not by the node", p.Status)
	}
	return b.String()
}

// describeAnswer returns the parts of an answer that answersAlike compares, without
// the body.
func describeAnswer(p *ProbeFacts) string {
	var parts []string
	for _, hop := range p.Hops {
		parts = append(parts, fmt.Sprintf("%d to %s", hop.Status, printable(hop.URL)))
	}
	parts = append(parts, fmt.Sprintf("status %d", p.Status))
	for _, header := range []string{p.ContentType, p.Server} {
		if header != "" {
			parts = append(parts, printable(header))
		}
	}
	return strings.Join(parts, ", ")
}

// maxText limits a text that a server sent, in bytes.
const maxText = 300

// printable returns a server's text in a form that is safe in a plan and on a
// terminal: quoted if a character is not printable.
func printable(text string) string {
	text = cut(text)
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

func cut(text string) string {
	if len(text) > maxText {
		return text[:maxText] + "..."
	}
	return text
}
