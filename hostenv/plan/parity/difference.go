package parity

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
)

// A Kind says what happened to a value.
type Kind string

// The kinds of a difference.
const (
	Added   Kind = "added"
	Removed Kind = "removed"
	Changed Kind = "changed"
)

// A Difference is one place where two documents differ, at the outermost: of an
// added object only the object itself is one.
type Difference struct {
	Document      string // "plan" or "state"
	Kind          Kind
	Path          []string // the names of the members that lead there
	Before, After any      // nil where Added or Removed
}

// Differences returns where two decoded values differ, sorted by path. Lists
// are compared whole.
func Differences(document string, path []string, before, after any) []Difference {
	a, aObject := before.(map[string]any)
	b, bObject := after.(map[string]any)
	if !aObject || !bObject {
		if equal(before, after) {
			return nil
		}
		return []Difference{{document, Changed, path, before, after}}
	}
	var all []Difference
	keys := maps.Clone(a)
	maps.Copy(keys, b)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		inner := append(slices.Clone(path), key)
		x, inA := a[key]
		y, inB := b[key]
		switch {
		case inA && inB:
			all = append(all, Differences(document, inner, x, y)...)
		case inA:
			all = append(all, Difference{document, Removed, inner, x, nil})
		default:
			all = append(all, Difference{document, Added, inner, nil, y})
		}
	}
	return all
}

func equal(a, b any) bool { return bytes.Equal(canonjson.Encode(a), canonjson.Encode(b)) }

var (
	escape   = strings.NewReplacer("~", "~0", "/", "~1")
	unescape = strings.NewReplacer("~0", "~", "~1", "/")
)

// Pointer is where it is, as RFC 6901 writes it.
func (d Difference) Pointer() string {
	var b strings.Builder
	for _, name := range d.Path {
		b.WriteString("/" + escape.Replace(name))
	}
	return b.String()
}

// String is "document kind pointer", what a row's patterns are held against.
func (d Difference) String() string { return d.Document + " " + string(d.Kind) + " " + d.Pointer() }

// Text is the difference for people, on one line, with its values shortened.
func (d Difference) Text() string {
	switch d.Kind {
	case Added:
		return "+ " + d.Document + " " + d.Pointer() + ": " + brief(d.After)
	case Removed:
		return "- " + d.Document + " " + d.Pointer() + ": " + brief(d.Before)
	default:
		return "~ " + d.Document + " " + d.Pointer() + ": " + brief(d.Before) + " -> " + brief(d.After)
	}
}

// widest is how much of a value is shown, in bytes.
const widest = 160

// brief writes a value as JSON on one line.
func brief(v any) string {
	var words []string
	for line := range strings.Lines(string(canonjson.Encode(v))) {
		words = append(words, strings.TrimSpace(line))
	}
	text := strings.Join(words, " ")
	if len(text) <= widest {
		return text
	}
	cut := widest
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + " ..."
}
