// Package console reads the commands and outputs that documents show, so that
// tests can run the commands, and compare or rewrite the outputs.
//
// A block is fenced by ```console. In it a line that begins with "$ " is a command,
// and what follows is its output. A block that begins otherwise, such as with the
// prompt "# " of root, is only to read. A line "..." in an output stands for any lines.
// Before a block with an output, a comment names the test that prints it:
//
//	<!-- outputs: TestFailures in magefiles/targets/nixosnodes -->
//
// The comment holds for all blocks up to the next one.
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
	Owner  string // the test of the comment before it, such as "TestTutorial in internal/tutorial"
	At     int    // the index of its line

	to int // the index of the line after its output
}

// A Block is a fenced block of a document.
type Block struct {
	Language, Text string
	At             int // the index of its first line
}

// A Document is a text with commands.
type Document struct {
	Commands []Command
	Blocks   []Block // all of them, also those without commands

	lines []string
}

var owner = regexp.MustCompile(`^<!-- outputs: (.*) -->$`)

// Parse reads a document.
func Parse(text string) *Document {
	d := &Document{lines: strings.Split(text, "\n")}
	var block *Block
	var last *Command // of the block
	owned := ""
	for i, whole := range d.lines {
		line := strings.TrimSpace(whole)
		command, isCommand := strings.CutPrefix(line, "$ ")
		language, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && block == nil:
			d.Blocks = append(d.Blocks, Block{Language: language, At: i + 1})
			block, last = &d.Blocks[len(d.Blocks)-1], nil
		case isFence:
			block = nil
		case block == nil:
			if match := owner.FindStringSubmatch(line); match != nil {
				owned = match[1]
			}
		default:
			block.Text += whole + "\n"
			if block.Language != "console" {
				continue
			}
			if isCommand {
				d.Commands = append(d.Commands, Command{Line: command, Owner: owned, At: i, to: i + 1})
				last = &d.Commands[len(d.Commands)-1]
			} else if last != nil {
				last.Output, last.to = append(last.Output, whole), i+1
			}
		}
	}
	return d
}

// With returns the document's text with other outputs, one for each command.
func (d *Document) With(outputs [][]string) string {
	lines := slices.Clone(d.lines)
	for i, c := range slices.Backward(d.Commands) {
		lines = slices.Replace(lines, c.At+1, c.to, outputs[i]...)
	}
	return strings.Join(lines, "\n")
}

// changing matches text that differs from run to run.
var changing = regexp.MustCompile(`/nix/store/[0-9a-z]{32}-|[0-9a-f]{64}|\b\d{4}-\d\d-\d\dT[\d:.]+Z|\b\d{4}/\d\d/\d\d [\d:]+|/acme-challenge/[\w-]+|\b\d{8}T\d{6}\.\d+Z-[0-9a-f]+|\b\d+(\.\d+)? ?(ms|s|min|[KM]iB|B)\b|\b[0-9a-f]{7}\b|\b[0-9a-df-np-sv-z]{7}-|AAAA[0-9A-Za-z+/=]{40,}`)

func stable(line string) string {
	return changing.ReplaceAllString(strings.TrimRight(line, " "), "*")
}

// Match reports whether an output is as shown, except for store paths, digests,
// times, sizes, commits, challenges and ssh keys.
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

// Renew returns an output with the parts left out that were left out before: each
// part that was shown has as many lines as before. A part after "..." begins at the
// line that is most like its first line. It reports whether it found all of them.
func Renew(shown, output []string) ([]string, bool) {
	parts := [][]string{nil}
	for _, line := range shown {
		if line == "..." {
			parts = append(parts, nil)
		} else {
			parts[len(parts)-1] = append(parts[len(parts)-1], line)
		}
	}
	if len(parts) == 1 {
		return output, true
	}
	var renewed []string
	for i, part := range parts {
		if i > 0 {
			renewed = append(renewed, "...")
			if len(part) == 0 {
				continue
			}
			at := likest(output, part[0])
			if at < 0 {
				return nil, false
			}
			output = output[at:]
		}
		n := min(len(part), len(output))
		if i == len(parts)-1 {
			n = len(output)
		}
		renewed, output = append(renewed, output[:n]...), output[n:]
	}
	return renewed, true
}

// likest returns the index of the line that has the longest beginning in common with a
// line, at least one word; -1 if none has.
func likest(lines []string, like string) int {
	found, most := -1, len(strings.Fields(like + " .")[0])
	for i, line := range lines {
		a, b := stable(line), stable(like)
		n := 0
		for n < min(len(a), len(b)) && a[n] == b[n] {
			n++
		}
		if n >= most && (found < 0 || n > most) {
			found, most = i, n
		}
	}
	return found
}
