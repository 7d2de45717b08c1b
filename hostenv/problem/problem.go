// Package problem has errors for people: what is wrong, with what, and how to fix it.
//
// A function that may find several problems collects them in a [List] and returns
// [List.Err], so that one run reports all of them. Only an error on which code branches
// has its own type; its method Hint() string returns the fix, which [Hint] finds.
// [Write] prints errors of both kinds.
package problem

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Problem is an error on which no code branches.
type Problem struct {
	// Subject is the option, environment or node that has the problem. It may be empty.
	Subject string
	// Text is the problem. It continues Subject as a sentence, in lower case and
	// without a full stop: "has no address", "is 70000, and must be at most 65535".
	Text string
	// Fix has the steps that solve the problem, with the command or the stanza to
	// write; a line each. It may be empty.
	Fix string
}

// New returns a *Problem.
func New(subject, text, fix string) error { return &Problem{Subject: subject, Text: text, Fix: fix} }

func (p *Problem) Error() string {
	if p.Subject == "" {
		return p.Text
	}
	return p.Subject + " " + p.Text
}

// Hint returns p.Fix.
func (p *Problem) Hint() string { return p.Fix }

// Hint returns the hint of err, or of the first error with a hint that err wraps, "" if
// there is none.
func Hint(err error) string {
	var hinter interface{ Hint() string }
	if errors.As(err, &hinter) {
		return hinter.Hint()
	}
	return ""
}

// WithHint returns err with another hint.
func WithHint(err error, hint string) error { return &hinted{err, hint} }

type hinted struct {
	error
	hint string
}

func (h *hinted) Hint() string  { return h.hint }
func (h *hinted) Unwrap() error { return h.error }

// In returns err as an error in a place, for example a file: "place: err". If err holds
// several errors, [Leaves] returns each of them with the place.
func In(place string, err error) error { return &placed{place, err} }

type placed struct {
	place string
	err   error
}

func (p *placed) Error() string { return p.place + ": " + p.err.Error() }
func (p *placed) Unwrap() error { return p.err }

// A List collects the errors of one run. The zero value is an empty list.
type List []error

// Add adds the leaves of errors (see [Leaves]). It ignores nil.
func (l *List) Add(errs ...error) {
	for _, err := range errs {
		*l = append(*l, Leaves(err)...)
	}
}

// Addf adds a *Problem whose text is formatted.
func (l *List) Addf(subject, fix, format string, args ...any) {
	*l = append(*l, New(subject, fmt.Sprintf(format, args...), fix))
}

// Err returns nil for an empty list, and otherwise an error that holds every
// error of the list for errors.Is, errors.As and [Leaves].
func (l List) Err() error {
	if len(l) == 0 {
		return nil
	}
	return &several{slices.Clone(l)}
}

type several struct{ errs []error }

func (s *several) Error() string {
	if len(s.errs) == 1 {
		return s.errs[0].Error()
	}
	lines := make([]string, 0, len(s.errs)+1)
	lines = append(lines, fmt.Sprintf("%d problems", len(s.errs)))
	for _, err := range s.errs {
		lines = append(lines, "- "+err.Error())
	}
	return strings.Join(lines, "\n")
}

func (s *several) Unwrap() []error { return s.errs }

// Leaves returns the errors that err holds, in their order. It splits a [List], the
// result of errors.Join, and both of these inside of [In] or [WithHint].
func Leaves(err error) []error {
	switch e := err.(type) { //nolint:errorlint // one layer at a time, because an error that wraps a single one is a leaf
	case nil:
		return nil
	case *placed:
		inner := Leaves(e.err)
		for i, leaf := range inner {
			inner[i] = In(e.place, leaf)
		}
		return inner
	case *hinted:
		inner := Leaves(e.error)
		if len(inner) == 1 {
			return []error{err}
		}
		for i, leaf := range inner {
			inner[i] = WithHint(leaf, e.hint)
		}
		return inner
	case interface{ Unwrap() []error }:
		var all []error
		for _, inner := range e.Unwrap() {
			all = append(all, Leaves(inner)...)
		}
		return all
	}
	return []error{err}
}
