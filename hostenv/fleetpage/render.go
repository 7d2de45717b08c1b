package fleetpage

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

//go:embed page.html
var markup string

//go:embed page.css
var style string

//go:embed page.js
var script string

// Policy is the page's Content-Security-Policy: nothing but its own style and script.
var Policy = "default-src 'none'; style-src " + hash(style) + "; script-src " + hash(script) + "; base-uri 'none'; form-action 'none'"

// hash is the source of a policy that allows a text.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

var page = template.Must(template.New("page").Option("missingkey=error").Funcs(template.FuncMap{
	"number": number,
	"brief":  func(text string) string { return cut(text, mostBrief) },
	"style":  func() template.CSS { return template.CSS(style) },
	"script": func() template.JS { return template.JS(script) },
	"policy": func() string { return Policy },
	"parts":  parts,
}).Parse(markup))

// A part is a part of a hint: a command, or what is around it.
type part struct {
	Command bool
	Text    string
}

// parts splits one of our own hints at the commands, which stand between backticks.
func parts(hint string) []part {
	var all []part
	for i, text := range strings.Split(hint, "`") {
		if text != "" {
			all = append(all, part{i%2 == 1, text})
		}
	}
	return all
}

// Write writes the page of facts. The error is of w: the page itself cannot fail.
func Write(w io.Writer, f Facts) error { return Of(f).Write(w) }

// Write writes the page.
func (p Page) Write(w io.Writer) error {
	var b bytes.Buffer
	if err := page.Execute(&b, p); err != nil {
		return err
	}
	// The markup, the style and the script are ASCII, so that this changes only the
	// texts in them.
	_, err := io.WriteString(w, problem.Visible(b.String()))
	return err
}
