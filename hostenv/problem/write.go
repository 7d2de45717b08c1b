package problem

import (
	"fmt"
	"io"
	"strings"
)

// maxSubjects limits the subjects of a problem that Write names.
const maxSubjects = 8

// Write prints errs for a terminal: a line "error: ..." for each, and a line "hint: ..."
// for each line of its hint. It prints each cause once: it joins equal errors, joins
// problems that differ only in their subject, and prints errors with the same hint
// together above it. It prints at most limit causes, and the number of further ones.
// Every text is [Visible], and its further lines are indented, so that no text looks like
// another error. Write returns the error of w.
func Write(w io.Writer, errs []error, limit int) error {
	var b strings.Builder
	left := 0
	for _, group := range grouped(errs) {
		if limit <= 0 {
			left += len(group.causes)
			continue
		}
		for _, c := range group.causes {
			if limit--; limit < 0 {
				left++
				continue
			}
			fmt.Fprintf(&b, "error: %s\n", strings.ReplaceAll(shortened(c.String()), "\n", "\n  "))
		}
		for hint := range strings.Lines(group.hint) {
			fmt.Fprintf(&b, "hint: %s\n", shortened(strings.TrimSuffix(hint, "\n")))
		}
	}
	if left > 0 {
		fmt.Fprintf(&b, "error: and %d more\n", left)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Causes returns how many causes [Write] finds in errs.
func Causes(errs []error) int {
	n := 0
	for _, group := range grouped(errs) {
		n += len(group.causes)
	}
	return n
}

// A cause is the content of one line.
type cause struct {
	place    string   // the place of In with its colon, or ""
	subjects []string // empty for an error that is not a *Problem, or has no subject
	text     string
}

func (c *cause) String() string {
	names := c.subjects
	if len(names) == 0 {
		return c.place + c.text
	}
	if more := len(names) - maxSubjects; more > 0 {
		names = append(names[:maxSubjects:maxSubjects], fmt.Sprintf("%d more", more))
	}
	if len(names) > 1 {
		return c.place + Join(names) + ": each " + c.text
	}
	return c.place + names[0] + " " + c.text
}

type group struct {
	hint   string
	causes []*cause
}

// grouped gathers errors by hint and text, in the order in which each appears
// first. Errors without a hint are groups of their own.
func grouped(errs []error) []*group {
	type key struct {
		hint, place, text string
		subject           bool
	}
	var groups []*group
	byHint := map[string]*group{}
	causes := map[key]*cause{}
	printed := map[[2]string]bool{}
	for _, err := range errs {
		hint, whole := Hint(err), err.Error()
		if printed[[2]string{hint, whole}] {
			continue
		}
		printed[[2]string{hint, whole}] = true
		place, inner := placeOf(err)
		subject, text := "", inner.Error()
		if p, ok := inner.(*Problem); ok && p.Subject != "" { //nolint:errorlint // a wrapped problem has more text than its subject and its own text
			subject, text = p.Subject, p.Text
		}
		k := key{hint, place, text, subject != ""}
		if c := causes[k]; c != nil {
			c.subjects = append(c.subjects, subject)
			continue
		}
		c := &cause{place: place, text: text}
		if subject != "" {
			c.subjects = []string{subject}
		}
		causes[k] = c
		g := byHint[hint]
		if g == nil || hint == "" {
			g = &group{hint: hint}
			groups = append(groups, g)
			byHint[hint] = g
		}
		g.causes = append(g.causes, c)
	}
	return groups
}

// placeOf separates the places of [In] from err.
func placeOf(err error) (place string, inner error) {
	for {
		p, ok := err.(*placed) //nolint:errorlint // only the outermost errors are places
		if !ok {
			return place, err
		}
		place, err = place+p.place+": ", p.err
	}
}

// Join lists names as a sentence does: "a", "a and b", "a, b and c".
func Join(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
