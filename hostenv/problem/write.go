package problem

import (
	"fmt"
	"io"
	"strings"
)

// maxSubjects is how many subjects of one problem are shown by name.
const maxSubjects = 8

// Write renders errs for a terminal: a line "error: ..." for each, and a line
// "hint: ..." for each line of its hint. Each cause is said once: equal errors
// become one, problems that differ in their subject alone are shown with all
// subjects, and errors with one hint stand together above it. At most limit
// causes are shown, and then how many more there are. Every text is [Visible],
// and its further lines are indented, so that no text can look like another
// error. The error is that of w.
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

// A cause is what one line says.
type cause struct {
	place    string   // as In has it, with its colon, or ""
	subjects []string // none for an error that is no *Problem, or has no subject
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
	said := map[[2]string]bool{}
	for _, err := range errs {
		hint, whole := Hint(err), err.Error()
		if said[[2]string{hint, whole}] {
			continue
		}
		said[[2]string{hint, whole}] = true
		place, inner := placeOf(err)
		subject, text := "", inner.Error()
		if p, ok := inner.(*Problem); ok && p.Subject != "" { //nolint:errorlint // a wrapped problem says more than its subject and text
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

// placeOf takes the places of [In] off err.
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
