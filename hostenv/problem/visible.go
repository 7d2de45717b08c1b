package problem

import (
	"fmt"
	"html"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Customers, nodes and programs have a part in names, records, links, logs and
// errors. A program that shows such a text passes it through a function of this file:
//
//	Visible   several lines of a terminal or a log
//	Line      one line: a cell of a table, a part of a sentence
//	Indented  several lines that follow a line of our own
//	JSON      a JSON document
//	Markdown  a part of a Markdown document
//	HTML      a part of an HTML document
//	Word      a word of a command, for a shell
//	Nix       a string of a stanza in Nix
//	NewWriter a writer that lets only visible text through

// Visible returns text as a terminal can show it safely: every character that is
// not graphic (Unicode categories L, M, N, P, S, Zs) is written as an escape such
// as \u001b, a tab becomes a space, line breaks stay. Controls of the cursor, of
// the direction of text (\u202e) and of nothing at all (\u200b) are not graphic.
func Visible(text string) string {
	if isPlain(text) {
		return text
	}
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\r\n", "\n"), "\ufffd")
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\t':
			b.WriteByte(' ')
		case r == '\n' || unicode.IsGraphic(r):
			b.WriteRune(r)
		default:
			b.WriteString(escape(r))
		}
	}
	return b.String()
}

// isPlain reports whether a text is ASCII without controls but line breaks.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c >= 0x7f || c < ' ' && c != '\n' {
			return false
		}
	}
	return true
}

func escape(r rune) string {
	if r > 0xffff {
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// Line returns text on one line, [Visible]. A second line could look like a line
// of our own.
func Line(text string) string { return strings.ReplaceAll(Visible(text), "\n", " ") }

// Indented returns text [Visible], without blanks around it, and with two spaces
// before each line but the first, so that none looks like a line of our own.
func Indented(text string) string {
	return strings.ReplaceAll(Visible(strings.TrimSpace(text)), "\n", "\n  ")
}

// Deceptive reports whether a JSON document holds a character only as an escape: C0
// and C1 controls, DEL, the separators of lines and paragraphs, and the controls of
// the direction of text (Unicode's Bidi_Control). An editor or a diff would show
// another text than there is. Other text is written as it is in every language.
func Deceptive(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
}

// JSON returns a JSON document, in which all [Deceptive] characters of strings are
// escaped, as \u202e. Line breaks and tabs between values stay.
func JSON(document []byte) []byte {
	if isPlain(string(document)) {
		return document
	}
	out := make([]byte, 0, len(document)+16)
	for len(document) > 0 {
		r, size := utf8.DecodeRune(document)
		if r >= 0x7f && Deceptive(r) {
			out = append(out, escape(r)...)
		} else {
			out = append(out, document[:size]...)
		}
		document = document[size:]
	}
	return out
}

// markdown are the characters that begin an element of Markdown or of HTML in it.
const markdown = "\\`*_{}[]()<>#+-.!|~&$@:"

// Markdown returns text as Markdown that renders as the text, on one line.
func Markdown(text string) string {
	var b strings.Builder
	for _, r := range Line(text) {
		if strings.ContainsRune(markdown, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// HTML returns text, [Visible], as HTML that renders as the text, also in the value
// of an attribute within quotes.
func HTML(text string) string { return html.EscapeString(Visible(text)) }

// Nix returns text as a string of Nix, for a stanza in a hint.
func Nix(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `${`, `\${`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(text) + `"`
}

// NewWriter returns a writer that writes text to w through [Visible]. Each Write
// must hold whole characters.
func NewWriter(w io.Writer) io.Writer { return visible{w} }

type visible struct{ w io.Writer }

func (v visible) Write(text []byte) (int, error) {
	if _, err := io.WriteString(v.w, Visible(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}

// maxText limits the text of an error, which may quote its input, in bytes.
const maxText = 8 << 10

func shortened(text string) string {
	text = Visible(text)
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "..."
}
