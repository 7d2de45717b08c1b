package parity

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
)

// A Kind is the kind of a difference.
type Kind string

// The kinds of a difference.
const (
	Added   Kind = "added"
	Removed Kind = "removed"
	Changed Kind = "changed"
)

// A Difference is one place where two documents differ. An added or removed object
// is one difference; its members are not.
type Difference struct {
	Document      string // "plan" or "state"
	Kind          Kind
	Path          []string // names of members, from the root
	Before, After any      // nil where Added or Removed
}

// Differences returns the differences of two decoded values, sorted by path. It
// compares lists as a whole.
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

// Pointer returns the path as an RFC 6901 pointer.
func (d Difference) Pointer() string {
	var b strings.Builder
	for _, name := range d.Path {
		b.WriteString("/" + escape.Replace(name))
	}
	return b.String()
}

// String returns "document kind pointer", which the patterns of rows match.
func (d Difference) String() string { return d.Document + " " + string(d.Kind) + " " + d.Pointer() }

// Text returns the difference on one line, with shortened values.
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

// widest is the length of the longest value that Text shows, in bytes.
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
