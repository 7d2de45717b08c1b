package dnsgate

import (
	"cmp"
	"slices"
	"strings"
)

// Judge says whether Let's Encrypt would issue one certificate by HTTP-01, from
// facts alone. One bad name fails the whole certificate: the verdict is that
// of the worst name, and says which one it is.
//
// A lookup that failed proves nothing: it leads to [Unknown], or leaves the
// verdict to the other facts, and never by itself to [Fail]. Two errors are
// exceptions, because they describe the zone and not the resolver: signatures
// that do not hold, and CNAMEs in a loop.
//
// The verdict does not depend on the order of addresses, records or servers.
func Judge(facts *Facts, request Request) Verdict {
	names := certificateNames(request)
	if len(names) > maxNames {
		return decide(&subject{Request: request, name: request.Host, names: len(names)})
	}
	var worst Verdict
	var warnings []string
	for i, name := range names {
		v := decide(newSubject(facts, request, name))
		warnings = append(warnings, v.Warnings...)
		if i == 0 || severity(v) > severity(worst) {
			worst = v
		}
	}
	slices.Sort(warnings)
	worst.Warnings = slices.Compact(warnings)
	return worst
}

// decide returns the verdict of the first rule that has evidence, with the
// warnings of the rules before it.
func decide(s *subject) Verdict {
	var warnings []string
	for _, r := range rules {
		if r.warns != nil {
			warnings = append(warnings, r.warns(s)...)
			continue
		}
		evidence := r.evidence(s)
		if len(evidence) == 0 {
			continue
		}
		v := Verdict{
			Result: r.result, Reason: r.reason, Name: s.name,
			Retryable: r.result == Unknown || r.reason == ReasonInconsistent,
			Evidence:  evidence, Warnings: warnings,
		}
		if r.result != Pass {
			v.Fix = fixes[r.reason](s)
		}
		if v.PointsElsewhere() && s.serversAgreeOnNode() {
			v.Retryable = true
			v.Warnings = append(v.Warnings, s.name+": its name servers say the node's addresses by now, and the resolver still holds the old ones")
		}
		return v
	}
	panic("dnsgate: no rule decides about " + s.name) // the rules for passes cover all that the others leave
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

// severity orders verdicts, the worst highest: a failure that time does not
// mend, another failure, unknown, a pass.
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
