package problem_test

import (
	"encoding/json"
	"html"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

func TestVisible(t *testing.T) {
	for _, tt := range []struct{ text, visible, line, indented string }{
		{"größer, 日本語, 🐘", "größer, 日本語, 🐘", "größer, 日本語, 🐘", "größer, 日本語, 🐘"},
		{" a\r\nhint: b\tc\n", " a\nhint: b c\n", " a hint: b c ", "a\n  hint: b c"},
		{"\x1b[2J\x9b\u009b\x7f", `\u001b[2J` + "\ufffd" + `\u009b\u007f`, `\u001b[2J` + "\ufffd" + `\u009b\u007f`, `\u001b[2J` + "\ufffd" + `\u009b\u007f`},
		{"a\u202eb\u2066c\u200bd\U000e0041", `a\u202eb\u2066c\u200bd\U000e0041`, `a\u202eb\u2066c\u200bd\U000e0041`, `a\u202eb\u2066c\u200bd\U000e0041`},
		{"a\rb\u2028c", `a\u000db\u2028c`, `a\u000db\u2028c`, `a\u000db\u2028c`},
	} {
		if got := problem.Visible(tt.text); got != tt.visible {
			t.Errorf("%q is visible as %q, want %q", tt.text, got, tt.visible)
		}
		if got := problem.Line(tt.text); got != tt.line {
			t.Errorf("%q on a line is %q, want %q", tt.text, got, tt.line)
		}
		if got := problem.Indented(tt.text); got != tt.indented {
			t.Errorf("%q indented is %q, want %q", tt.text, got, tt.indented)
		}
	}
	for text, want := range map[string]string{
		"<b>[x](javascript:y)</b>\n# h": `\<b\>\[x\]\(javascript\:y\)\</b\> \# h`,
		"a_b `c` \u202e":                "a\\_b \\`c\\` \\\\u202e",
	} {
		if got := problem.Markdown(text); got != want {
			t.Errorf("%q as Markdown is %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		`a"b\c`:         `"a\"b\\c"`,
		"${x} $${y}\n":  `"\${x} $\${y}\n"`,
		"it's `x` $(y)": "\"it's `x` $(y)\"",
	} {
		if got := problem.Nix(text); got != want {
			t.Errorf("%q in Nix is %s, want %s", text, got, want)
		}
	}
}

// FuzzVisible holds, for any text, that each form shows only graphic characters,
// has the lines that it may have, and that JSON keeps its value.
func FuzzVisible(f *testing.F) {
	for _, seed := range []string{"a\nhint: b", "\x1b]0;x\x07", "\u202e\u2066\u0085", "<&\"'>", "\xff\U000e0041"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for form, shown := range map[string]string{
			"Visible": problem.Visible(text), "Line": problem.Line(text), "Indented": problem.Indented(text),
			"Markdown": problem.Markdown(text), "HTML": html.UnescapeString(problem.HTML(text)), "Word": problem.Word(strings.ToValidUTF8(text, "")),
		} {
			oneLine := form == "Line" || form == "Markdown" || form == "Word"
			if i := strings.IndexFunc(shown, func(r rune) bool { return !unicode.IsGraphic(r) && (r != '\n' || oneLine) }); i >= 0 || !utf8.ValidString(shown) {
				t.Errorf("%s of %q is %q", form, text, shown)
			}
		}
		for i, line := range strings.Split(problem.Indented(text), "\n") {
			if i > 0 && !strings.HasPrefix(line, "  ") {
				t.Errorf("line %d of %q begins like a line of ours", i, problem.Indented(text))
			}
		}
		if strings.ContainsAny(problem.HTML(text), `<>"'`) {
			t.Errorf("%q is %q as HTML", text, problem.HTML(text))
		}
		document, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var before, after string
		if err := json.Unmarshal(document, &before); err != nil {
			t.Fatal(err)
		}
		safe := problem.JSON(document)
		if err := json.Unmarshal(safe, &after); err != nil || before != after || strings.ContainsFunc(string(safe), problem.Deceptive) {
			t.Errorf("%s became %s (%v)", document, safe, err)
		}
	})
}
