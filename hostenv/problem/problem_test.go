package problem_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

func ExampleWrite() {
	var list problem.List
	for _, name := range []string{"www", "shop"} {
		list.Addf(name, "set provider.letsEncrypt.acceptTerms = true", "asks for a certificate")
	}
	list.Addf("provider.nodes.n1", "set its address", "has no address")
	var b strings.Builder
	_ = problem.Write(&b, problem.Leaves(list.Err()), 100)
	fmt.Print(b.String())
	// Output:
	// error: www and shop: each asks for a certificate
	// hint: set provider.letsEncrypt.acceptTerms = true
	// error: provider.nodes.n1 has no address
	// hint: set its address
}

func TestWrite(t *testing.T) {
	many := make([]error, 12)
	for i := range many {
		many[i] = problem.New(fmt.Sprint("n", i), "is away", "")
	}
	for _, tt := range []struct {
		reason string
		errs   []error
		limit  int
		want   string
	}{
		{"no error, no text", nil, 9, ""},
		{"equal errors are said once", []error{errors.New("a"), errors.New("a")}, 9, "error: a\n"},
		{"one hint stands below all its errors", []error{problem.WithHint(errors.New("a"), "h"), errors.New("b"), problem.WithHint(errors.New("c"), "h")}, 9, "error: a\nerror: c\nhint: h\nerror: b\n"},
		{"the same text with another hint is another cause", []error{problem.New("a", "is bad", "x"), problem.New("b", "is bad", "y")}, 9, "error: a is bad\nhint: x\nerror: b is bad\nhint: y\n"},
		{"a text is not mistaken for a subject", []error{problem.New("", "is bad", ""), problem.New("a", "is bad", "")}, 9, "error: is bad\nerror: a is bad\n"},
		{"many subjects are counted", many, 9, "error: n0, n1, n2, n3, n4, n5, n6, n7 and 4 more: each is away\n"},
		{"one place is said once", []error{problem.In("f", problem.New("a", "is bad", "")), problem.In("f", problem.New("b", "is bad", "")), problem.In("g", problem.New("b", "is bad", ""))}, 9, "error: f: a and b: each is bad\nerror: g: b is bad\n"},
		{"the limit counts causes", []error{errors.New("a"), errors.New("b"), errors.New("c")}, 2, "error: a\nerror: b\nerror: and 1 more\n"},
		{"a text cannot look like another error", []error{errors.New("a\nerror: b")}, 9, "error: a\n  error: b\n"},
		{"a hint has a line each", []error{problem.New("a", "is bad", "x\ny")}, 9, "error: a is bad\nhint: x\nhint: y\n"},
		{"what a customer writes cannot move the cursor", []error{problem.New("a\x1b[2J", "is\u202ebad\x00", "\x9b")}, 9, `error: a\u001b[2J is\u202ebad\u0000` + "\nhint: \ufffd\n"},
	} {
		var b strings.Builder
		if err := problem.Write(&b, tt.errs, tt.limit); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, b.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.reason, diff)
		}
	}
}

func TestCauses(t *testing.T) {
	errs := []error{problem.New("a", "is bad", "mend it"), problem.New("b", "is bad", "mend it"), io.EOF, io.EOF, io.ErrShortWrite}
	if got := problem.Causes(errs); got != 3 {
		t.Errorf("%d causes", got)
	}
}

func TestList(t *testing.T) {
	if err := (problem.List{}).Err(); err != nil {
		t.Errorf("an empty list is the error %v", err)
	}
	var inner, list problem.List
	inner.Add(io.EOF, nil, errors.Join(io.ErrClosedPipe, io.ErrShortWrite))
	list.Add(problem.In("plan.json", inner.Err()))
	var texts []string
	for _, err := range problem.Leaves(list.Err()) {
		texts = append(texts, err.Error())
	}
	for _, err := range problem.Leaves(problem.WithHint(list.Err(), "restore it")) {
		if problem.Hint(err) != "restore it" {
			t.Errorf("the hint of %v is %q", err, problem.Hint(err))
		}
	}
	if leaves := problem.Leaves(problem.WithHint(list.Err(), "restore it")); len(leaves) != 3 {
		t.Errorf("%d leaves below a hint", len(leaves))
	}
	want := []string{"plan.json: EOF", "plan.json: io: read/write on closed pipe", "plan.json: short write"}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Errorf("leaves (-want +got):\n%s", diff)
	}
	if err := list.Err(); !errors.Is(err, io.ErrShortWrite) || !strings.HasPrefix(err.Error(), "3 problems\n- plan.json: EOF\n") {
		t.Errorf("the list is %v", err)
	}
}

func TestHint(t *testing.T) {
	err := problem.In("a", fmt.Errorf("b: %w", problem.New("c", "is bad", "mend it")))
	if got := problem.Hint(err); got != "mend it" {
		t.Errorf("the hint is %q", got)
	}
	if got := problem.Hint(problem.WithHint(err, "other")); got != "other" {
		t.Errorf("the outer hint is %q", got)
	}
	if got := problem.Hint(io.EOF); got != "" {
		t.Errorf("the hint of EOF is %q", got)
	}
}

// FuzzWrite holds that a line that begins with "error: " is one of Write's own,
// and that no text reaches the terminal's control.
func FuzzWrite(f *testing.F) {
	f.Add("n1", "is away", "look", "n2")
	f.Add("\x1b", "a\nerror: b", "", "")
	f.Fuzz(func(t *testing.T, subject, text, hint, other string) {
		errs := []error{problem.New(subject, text, hint), problem.New(other, text, hint)}
		var b strings.Builder
		if err := problem.Write(&b, errs, 9); err != nil {
			t.Fatal(err)
		}
		for i, r := range b.String() {
			if r != '\n' && (r < ' ' || r == 0x7f) {
				t.Fatalf("character %U at %d of %q", r, i, b.String())
			}
		}
		lines := 0
		for line := range strings.Lines(b.String()) {
			if strings.HasPrefix(line, "error: ") {
				lines++
			}
		}
		if lines < 1 || lines > 2 {
			t.Fatalf("%d lines of errors in %q", lines, b.String())
		}
	})
}
