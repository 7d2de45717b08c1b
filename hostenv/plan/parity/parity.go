// Package parity compares our plan with an older one of the same provider, such as
// the legacy generator's, and separates the deliberate differences from the
// unexpected ones.
//
// golden/parity.json lists the deliberate differences. Each row has patterns for
// the places where it allows a difference. Where patterns alone would allow too
// much, proofs.go checks the documents: another UID is expected only if the old
// plan gave that UID to several environments. Any difference that no row explains
// is unexpected.
//
// The package does no I/O, and refuses no plan: it lists what the operator should
// review before the first deploy.
package parity

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// FormatVersion is the version of what [Report.Encode] writes.
const FormatVersion = 1

// Documents are one side of a comparison. To compare only plans, leave State nil
// on both sides.
type Documents struct {
	Plan, State map[string]any
	// DeployPublicKeys are the keys in the provider's options. Our plans do not
	// repeat them, but some older plans do.
	DeployPublicKeys []string
}

// DecodeDocuments reads a plan, and a state unless it is nil, strictly.
func DecodeDocuments(plan, state []byte) (Documents, error) {
	var d Documents
	var err error
	if d.Plan, err = decodeObject("plan", plan); err != nil {
		return Documents{}, err
	}
	if d.State, err = decodeObject("state", state); err != nil {
		return Documents{}, err
	}
	if object(d.Plan, "environments") == nil && plan != nil {
		return Documents{}, problem.New("", "it has no environments, so it is not a plan",
			"name the last plan.json of the legacy generator: git show COMMIT:generated/plan.json")
	}
	return d, nil
}

func decodeObject(name string, data []byte) (map[string]any, error) {
	if data == nil {
		return nil, nil
	}
	v, err := canonjson.Decode(data)
	object, ok := v.(map[string]any)
	if err == nil && !ok {
		err = fmt.Errorf("the %s is %s, not an object", name, canonjson.Kind(v))
	}
	return object, err
}

// A Finding is a difference and the row that explains it.
type Finding struct {
	Difference
	Row *Row // nil for an unexpected difference
}

// A Report holds the differences of two sides.
type Report struct {
	// Findings are in the order of the rows, then of their paths; the unexpected
	// ones are last.
	Findings []Finding
	// Opened is what is planned only because provider.frontDoor.raw opens the
	// front door: the refusals without it.
	Opened []error
}

// Compare compares the documents of another generator with ours.
func Compare(before, after Documents) Report {
	c := NewComparison(before, after)
	rows := Rows()
	place := make(map[*Row]int, len(rows))
	for i, row := range rows {
		place[row] = i
	}
	place[nil] = len(rows)
	var r Report
	for _, d := range c.Differences() {
		f := Finding{Difference: d}
		if explained := c.Explain(d); len(explained) > 0 {
			f.Row = explained[0]
		}
		r.Findings = append(r.Findings, f)
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(place[a.Row], place[b.Row]) })
	return r
}

// Unexpected returns the findings that no row explains.
func (r Report) Unexpected() []Finding {
	i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Row == nil })
	if i < 0 {
		return nil
	}
	return r.Findings[i:]
}

// Text returns the report for people: a heading for every row, a line for every
// difference, and a count.
func (r Report) Text() string {
	var b strings.Builder
	for i, f := range r.Findings {
		if i == 0 || f.Row != r.Findings[i-1].Row {
			if f.Row == nil {
				b.WriteString("unexpected:\n")
			} else {
				fmt.Fprintf(&b, "expected, %s: %s\n", f.Row.ID, f.Row.Now)
			}
		}
		b.WriteString("  " + problem.Line(f.Text()) + "\n")
	}
	if len(r.Opened) > 0 {
		b.WriteString("planned by provider.frontDoor.raw alone, and refused without it:\n")
		for _, err := range r.Opened {
			b.WriteString("  " + problem.Line(err.Error()) + "\n")
		}
	}
	all, unexpected := len(r.Findings), len(r.Unexpected())
	switch all {
	case 0:
		b.WriteString("no differences\n")
		return b.String()
	case 1:
		b.WriteString("1 difference")
	default:
		fmt.Fprintf(&b, "%d differences", all)
	}
	fmt.Fprintf(&b, ", %d expected, %d unexpected\n", all-unexpected, unexpected)
	return b.String()
}

// Encode returns the report as canonical JSON.
func (r Report) Encode() []byte {
	expected, unexpected := []any{}, []any{}
	for _, f := range r.Findings {
		v := map[string]any{
			"document": f.Document, "kind": string(f.Kind), "path": f.Pointer(), "before": f.Before, "after": f.After,
		}
		if f.Row == nil {
			unexpected = append(unexpected, v)
			continue
		}
		v["row"], v["today"], v["now"] = f.Row.ID, f.Row.Today, f.Row.Now
		expected = append(expected, v)
	}
	document := map[string]any{"formatVersion": FormatVersion, "expected": expected, "unexpected": unexpected}
	if len(r.Opened) > 0 {
		opened := []any{}
		for _, err := range r.Opened {
			opened = append(opened, map[string]any{"message": err.Error(), "hint": problem.Hint(err)})
		}
		document["opened"] = opened
	}
	return canonjson.Encode(document)
}
