package dnsgate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Judge decides from facts alone whether Let's Encrypt would issue a certificate by
// HTTP-01, or by DNS-01 through Cloudflare if the request says so. One bad name fails the
// whole certificate, so the verdict is that of the worst name, in Verdict.Name.
//
// A failed lookup proves nothing: it never leads to [Fail] by itself. Judge returns
// [Unknown], or decides by the other facts. Two errors are exceptions, because they
// describe the zone and not the resolver: invalid signatures and a loop of CNAMEs.
//
// The verdict does not depend on the order of addresses, records or servers.
func Judge(facts *Facts, request Request) Verdict {
	var worst Verdict
	var warnings []string
	for i, s := range subjectsOf(facts, request) {
		v := decide(s)
		warnings = append(warnings, v.Warnings...)
		if i == 0 || severity(v) > severity(worst) {
			worst = v
		}
	}
	slices.Sort(warnings)
	worst.Warnings = slices.Compact(warnings)
	return worst
}

// subjectsOf returns a subject for each name of a certificate, in the order in which they
// are judged; or one for the whole certificate, if it has too many names.
func subjectsOf(facts *Facts, request Request) []*subject {
	names := certificateNames(request)
	if len(names) > mostNames(request.Profile) {
		return []*subject{{Request: request, name: request.Host, facts: &NameFacts{}, tooMany: true, invalid: fmt.Errorf("%d names", len(names))}}
	}
	subjects := make([]*subject, len(names))
	for i, name := range names {
		subjects[i] = newSubject(facts, request, name)
	}
	return subjects
}

// decide returns the verdict of the first rule that applies, with the warnings of
// the rules before it.
func decide(s *subject) Verdict {
	var warnings []string
	for _, r := range rules {
		if r.warns != nil {
			if s.DNS {
				continue
			}
			warnings = append(warnings, r.warns(s)...)
			continue
		}
		evidence := r.applies(s)
		if len(evidence) == 0 {
			continue
		}
		v := Verdict{
			Result: r.result, Reason: r.reason, Name: s.certified(),
			Retryable: r.result == Unknown || r.reason == ReasonInconsistent,
			Evidence:  evidence, Warnings: warnings,
		}
		if r.result != Pass {
			v.Fix = fixes[r.reason](s)
		}
		return v
	}
	panic("dnsgate: no rule decides about " + s.name) // the last rules take every case that the others leave
}

// certificateNames returns the names of a request in the order in which they
// are judged: the host first, then by name.
func certificateNames(request Request) []string {
	names := slices.Clone(request.Names)
	if len(names) == 0 {
		names = []string{request.Host}
	}
	rank := func(name string) int {
		if name == request.Host {
			return 0
		}
		return 1
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(rank(a)-rank(b), strings.Compare(a, b)) })
	return slices.Compact(names)
}

// severity orders verdicts, the worst highest: a lasting failure, a failure that
// may go away, unknown, a pass.
func severity(v Verdict) int {
	switch {
	case v.Result == Fail && !v.Retryable:
		return 3
	case v.Result == Fail:
		return 2
	case v.Result == Unknown:
		return 1
	}
	return 0
}
