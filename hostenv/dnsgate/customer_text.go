package dnsgate

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// textWidth is the width of a page as text, in characters. Commands, tables and long
// names may be longer.
const textWidth = 78

// Text returns the page as plain text, for a mail.
func (p Page) Text() string { return p.render(&plain{}) }

// Markdown returns the page as Markdown.
func (p Page) Markdown() string { return p.render(&markdown{}) }

// A sheet is a page that is written. Its texts have values between backticks.
type sheet interface {
	title(text string)
	heading(text string)
	paragraph(text string)
	item(mark, text string)
	quotation(lines []string) // a message; a line that begins with a hyphen is an item
	table(records []Record)
	command(line, then string) // below an item
	String() string
}

func (p *Page) render(w sheet) string {
	w.title("The certificate for " + quote(p.Host))
	w.paragraph(p.Summary)
	parts := p.parts()
	for i := range parts {
		part := &parts[i]
		of := ""
		if len(parts) > 1 {
			of = ": " + quoted(part.Names)
		}
		if part.needs() {
			w.heading("What is wrong" + of)
		} else {
			w.heading("What we see" + of)
		}
		for _, text := range part.Wrong {
			w.paragraph(text)
		}
		if !part.needs() {
			continue
		}
		w.heading("What to do" + of)
		part.render(w, !slices.ContainsFunc(parts[:i], func(p Part) bool { return p.zone == part.zone }))
		if message := part.message(); len(message) > 0 {
			w.heading("What to tell the company that keeps your DNS" + of)
			w.quotation(message)
		}
	}
	if p.needs() {
		w.heading("What happens until then")
	} else {
		w.heading("What happens next")
	}
	for _, text := range p.Until {
		w.paragraph(text)
	}
	w.heading("How to see that it worked")
	for i, step := range p.Check {
		w.item(fmt.Sprintf("%d. ", i+1), step.Text)
		if step.Command != "" {
			w.command(step.Command, step.Then)
		}
	}
	return w.String()
}

// render writes what to do. It says who keeps the DNS if introduce is set.
func (part *Part) render(w sheet, introduce bool) {
	if introduce && part.zone != "" && len(part.Remove)+len(part.Set)+len(part.Ask) > 0 {
		w.paragraph(part.who())
	}
	for _, text := range part.First {
		w.item("- ", text)
	}
	if len(part.Remove) > 0 {
		w.paragraph("Delete:")
		w.table(part.Remove)
	}
	if len(part.Set) > 0 {
		w.paragraph("Set:")
		w.table(part.Set)
	}
	if len(part.Or) > 0 {
		w.paragraph("If the name has records of other types that you need, such as MX or TXT for mail, the form refuses a CNAME record. Then set these in its place:")
		w.table(part.Or)
	}
	if text := part.forms(); text != "" {
		w.paragraph(text)
	}
	for _, text := range part.Then {
		w.item("- ", text)
	}
}

// who says who keeps the DNS.
func (part *Part) who() string {
	text := "DNS is the directory of the internet. The company that keeps it for " + quote(part.zone) +
		" is often the one where you registered the name, and has a page where you edit its records."
	if n := len(part.servers); n > 0 {
		text += " You may know the company by its name servers: " + quoted(part.servers[:min(n, 4)]) + "."
	}
	return text
}

// forms explains how to fill in a form, with the names of the records.
func (part *Part) forms() string {
	if len(part.Set) == 0 {
		return ""
	}
	var short []string
	for _, r := range part.Set {
		switch under, ok := strings.CutSuffix(r.Name, "."+part.zone); {
		case r.Name == part.zone:
			short = join(short, []string{quote("@") + " for " + quote(r.Name)})
		case ok:
			short = join(short, []string{quote(under) + " for " + quote(r.Name)})
		}
	}
	text := "If a form asks for a TTL, 3600 is a good value."
	if len(short) > 0 {
		text += " Some forms want the name without " + quote(part.zone) + ": write " + series(short) + "."
	}
	if slices.ContainsFunc(part.Set, func(r Record) bool { return r.Type == "CNAME" }) {
		text += " If the form adds " + quote(part.zone) + " to the value, write a full stop at the end of the value."
	}
	return text
}

// message is for the company that keeps the DNS, ready to send.
func (part *Part) message() []string {
	if part.zone == "" || len(part.Remove)+len(part.Set)+len(part.Ask) == 0 {
		return nil
	}
	lines := slices.Clone(part.Ask)
	list := func(text string, records []Record) {
		if len(records) == 0 {
			return
		}
		lines = append(lines, text)
		for _, r := range records {
			lines = append(lines, "- "+quote(r.Name+" "+r.Type+" "+r.Value))
		}
	}
	list("Please delete in the zone "+quote(part.zone)+":", part.Remove)
	if len(part.Ask) == 0 || len(part.Remove) > 0 {
		list("Please set in the zone "+quote(part.zone)+":", part.Set)
		list("or, if the name needs records of other types beside it:", part.Or)
	} else {
		list("It should have:", part.Set)
		list("or, if it needs records of other types beside it:", part.Or)
	}
	if len(part.Saw) > 0 {
		lines = append(lines, "What we saw:")
		for _, text := range part.Saw {
			lines = append(lines, "- "+text)
		}
	}
	return lines
}

// plain writes a page as text.
type plain struct{ strings.Builder }

func (w *plain) title(text string) {
	text = bare(text)
	fmt.Fprintf(w, "%s\n%s\n", text, strings.Repeat("=", utf8.RuneCountInString(text)))
}

func (w *plain) heading(text string) {
	text = bare(text)
	fmt.Fprintf(w, "\n%s\n%s\n", text, strings.Repeat("-", utf8.RuneCountInString(text)))
}

func (w *plain) paragraph(text string)  { fmt.Fprintf(w, "\n%s", wrapped("", text)) }
func (w *plain) item(mark, text string) { fmt.Fprintf(w, "\n%s", wrapped(mark, text)) }

func (w *plain) quotation(lines []string) {
	w.WriteByte('\n')
	for _, line := range lines {
		mark := ""
		if text, ok := strings.CutPrefix(line, "- "); ok {
			mark, line = "- ", text
		}
		for part := range strings.Lines(wrapped(mark, line)) {
			w.WriteString("> " + part)
		}
	}
}

func (w *plain) table(records []Record) {
	name, kind := 0, 0
	for _, r := range records {
		name, kind = max(name, len(r.Name)), max(kind, len(r.Type))
	}
	w.WriteByte('\n')
	for _, r := range records {
		fmt.Fprintf(w, "    name %-*s   type %-*s   value %s\n", name, problem.Line(r.Name), kind, r.Type, problem.Line(r.Value))
	}
}

func (w *plain) command(line, then string) {
	fmt.Fprintf(w, "\n       %s\n\n", line)
	for text := range strings.Lines(wrapped("", then)) {
		w.WriteString("   " + text)
	}
}

// bare is a text without the backticks around its values.
func bare(text string) string { return strings.ReplaceAll(text, "`", "") }

// wrapped returns text without its backticks, in lines that end at blanks outside of
// values, the first after a mark.
func wrapped(mark, text string) string {
	var b strings.Builder
	b.WriteString(mark)
	column, inside := len(mark), false
	var word strings.Builder
	write := func() {
		n := utf8.RuneCountInString(word.String())
		switch {
		case n == 0:
			return
		case column == len(mark):
		case column+1+n > textWidth:
			b.WriteString("\n" + strings.Repeat(" ", len(mark)))
			column = len(mark)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word.String())
		column += n
		word.Reset()
	}
	for _, r := range text {
		switch {
		case r == '`':
			inside = !inside
		case r == ' ' && !inside:
			write()
		default:
			word.WriteRune(r)
		}
	}
	write()
	return b.String() + "\n"
}

// markdown writes a page as Markdown. The texts are Markdown already.
type markdown struct{ strings.Builder }

func (w *markdown) title(text string)      { fmt.Fprintf(w, "# %s\n", text) }
func (w *markdown) heading(text string)    { fmt.Fprintf(w, "\n## %s\n", text) }
func (w *markdown) paragraph(text string)  { fmt.Fprintf(w, "\n%s\n", text) }
func (w *markdown) item(mark, text string) { fmt.Fprintf(w, "\n%s%s\n", mark, text) }

func (w *markdown) quotation(lines []string) {
	item := false
	for i, line := range lines {
		switch next := strings.HasPrefix(line, "- "); {
		case i == 0:
			w.WriteByte('\n')
			item = next
		case !next || !item:
			w.WriteString(">\n")
			item = next
		}
		fmt.Fprintf(w, "> %s\n", line)
	}
}

func (w *markdown) table(records []Record) {
	w.WriteString("\n| name | type | value |\n|---|---|---|\n")
	for _, r := range records {
		fmt.Fprintf(w, "| %s | %s | %s |\n", cell(r.Name), cell(r.Type), cell(r.Value))
	}
}

func (w *markdown) command(line, then string) {
	fmt.Fprintf(w, "\n   ```\n   %s\n   ```\n\n   %s\n", line, then)
}

// cell is a value in a table, where a bar ends a cell even between backticks.
func cell(value string) string { return strings.ReplaceAll(quote(value), "|", `\|`) }
