// Package console reads the commands and outputs that documents show, so that
// tests can run the commands, and compare or rewrite the outputs.
//
// A block is fenced by ```console. In it a line that begins with "$ " is a command,
// and what follows is its output. A line "..." in an output stands for any lines.
package console

import (
	"regexp"
	"slices"
	"strings"
)

// A Command is one command of a document, with the output that it shows.
type Command struct {
	Line   string
	Output []string

	from, to int // the lines of the output
}

// A Document is a text with commands.
type Document struct {
	Commands []Command

	lines []string
}

// Parse reads a document.
func Parse(text string) *Document {
	d := &Document{lines: strings.Split(text, "\n")}
	inside := false
	for i, line := range d.lines {
		line = strings.TrimSpace(line)
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
		case !inside:
		case isCommand:
			d.Commands = append(d.Commands, Command{Line: command, from: i + 1, to: i + 1})
		case len(d.Commands) > 0:
			c := &d.Commands[len(d.Commands)-1]
			c.Output, c.to = append(c.Output, d.lines[i]), i+1
		}
	}
	return d
}

// With returns the document's text with other outputs, one for each command.
func (d *Document) With(outputs [][]string) string {
	lines := slices.Clone(d.lines)
	for i, c := range slices.Backward(d.Commands) {
		lines = slices.Replace(lines, c.from, c.to, outputs[i]...)
	}
	return strings.Join(lines, "\n")
}

// changing matches text that differs from run to run.
var changing = regexp.MustCompile(`/nix/store/[0-9a-z]{32}-|[0-9a-f]{64}|\b\d{4}-\d\d-\d\dT[\d:.]+Z|\b\d{8}T\d{6}\.\d+Z-[0-9a-f]+|\b\d+(\.\d+)? ?(ms|s|min|[KM]iB|B)\b|\b[0-9a-f]{7}\b|\b[0-9a-df-np-sv-z]{7}-|AAAA[0-9A-Za-z+/=]{40,}`)

func stable(line string) string {
	return changing.ReplaceAllString(strings.TrimRight(line, " "), "*")
}

// Match reports whether an output is as shown, except for store paths, digests,
// times, sizes, commits and ssh keys.
func Match(shown, output []string) bool {
	if len(shown) == 0 {
		return len(output) == 0
	}
	if shown[0] == "..." {
		for i := range len(output) + 1 {
			if Match(shown[1:], output[i:]) {
				return true
			}
		}
		return false
	}
	return len(output) > 0 && stable(shown[0]) == stable(output[0]) && Match(shown[1:], output[1:])
}
