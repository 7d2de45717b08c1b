package launcher

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// terminalWidth is the width of the terminal at standard output, 80 without one.
func terminalWidth() int {
	width, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil || width <= 0 {
		return 80
	}
	return width
}

// usage is the form of a call of the target.
func (t *Target) usage() string {
	text := t.conventional()
	for _, name := range t.Args {
		text += " " + kinds[name].name
	}
	return text
}

// usage is the form of the flag.
func (f *Flag) usage() string {
	text := f.conventional()
	if f.Type == "bool" {
		return text
	}
	text += " " + kinds[f.Name].name
	if f.List {
		text += ",..."
	}
	return text
}

// summary is the first sentence of a target's documentation, without its end.
func (t *Target) summary() string {
	first, _, _ := strings.Cut(t.Doc, "\n\n")
	return strings.TrimSuffix(respelled(first), ".")
}

var (
	flagInText   = regexp.MustCompile(`(^|[\s(])-([a-z]\w+)`)
	targetInText = regexp.MustCompile(`mage ([a-z][\w:]*)`)
)

// respelled returns a text with its flags and commands in the conventional
// spelling.
func respelled(text string) string {
	text = flagInText.ReplaceAllStringFunc(text, func(found string) string {
		i := strings.IndexByte(found, '-')
		return found[:i] + "--" + kebab(found[i+1:])
	})
	return targetInText.ReplaceAllStringFunc(text, func(found string) string {
		if t := find(table, strings.TrimPrefix(found, "mage ")); t != nil {
			return program + " " + t.conventional()
		}
		return found
	})
}

// usages are the forms of a command line. A no-break space stands where none may
// be broken.
var usages = []string{
	program + " [-v] [--timeout\u00a05m] TARGET [FLAGS] [TARGET\u00a0[FLAGS]]\u00a0...",
	program + " TARGET --help",
	program + " --version",
}

const introduction = `Targets run in their order, up to the first that fails. Flags may have two hyphens or one, and their value after a space or an equals sign; a list is separated by commas or given more than once. Mage's spelling works as well: state:list, -dryRun, -out=DIR.`

// overview prints the help of the program.
func overview(w io.Writer, width int) error {
	var forms, b strings.Builder
	for _, form := range usages {
		forms.WriteString(wrap(form, width, "       "))
	}
	fmt.Fprintf(&b, "usage:%s\n%s\n", forms.String()[len("usage:"):], wrap(introduction, width, ""))
	for _, part := range []struct {
		title   string
		targets []*Target
	}{{"targets", table}, {"other commands", own}} {
		var rows [][2]string
		for _, t := range part.targets {
			rows = append(rows, [2]string{t.usage(), t.summary()})
		}
		fmt.Fprintf(&b, "%s:\n%s\n", part.title, columns(rows, width))
	}
	_, err := io.WriteString(w, strings.TrimSuffix(b.String(), "\n"))
	return err
}

// help prints the help of a target.
func (t *Target) help(w io.Writer, width int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "usage: %s %s", program, t.usage())
	if len(t.Flags) > 0 {
		b.WriteString(" [FLAGS]")
	}
	b.WriteString("\n")
	for paragraph := range strings.SplitSeq(respelled(t.Doc), "\n\n") {
		b.WriteString("\n" + wrap(paragraph, width, ""))
	}
	var rows [][2]string
	for _, f := range t.Flags {
		rows = append(rows, [2]string{f.usage(), respelled(f.Doc)})
	}
	if len(rows) > 0 {
		b.WriteString("\nflags:\n" + columns(rows, width))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// columns sets terms and their texts in two columns, or below each other where
// the second one would be narrow.
func columns(rows [][2]string, width int) string {
	longest := 0
	for _, row := range rows {
		longest = max(longest, utf8.RuneCountInString(row[0]))
	}
	var b strings.Builder
	for _, row := range rows {
		if left := longest + 4; width-left >= 30 {
			text := wrap(row[1], width, strings.Repeat(" ", left))
			fmt.Fprintf(&b, "  %-*s  %s", longest, row[0], strings.TrimLeft(text, " "))
		} else {
			fmt.Fprintf(&b, "  %s\n%s", row[0], wrap(row[1], width, "      "))
		}
	}
	return b.String()
}

// wrap breaks text at spaces and line breaks into lines of a width, each after an
// indent.
func wrap(text string, width int, indent string) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\n' }) {
		n := utf8.RuneCountInString(word)
		switch {
		case column == 0:
			b.WriteString(indent)
			column = len(indent)
		case column+1+n > width:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return strings.ReplaceAll(b.String(), "\u00a0", " ") + "\n"
}
