package review

import (
	"fmt"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Text returns the changes for a terminal: a line that counts them, a summary, and
// what changes for each customer. Lines is the largest number of lines, 0 for any;
// the text is cut at a whole customer, and says how many it leaves out, and again,
// which is how to see them. It always has the summary and the first customer.
func (r *Review) Text(lines int, again string) string {
	head := []string{r.headline()}
	tallies := r.summary()
	width := 0
	for _, t := range tallies {
		width = max(width, len(t.what))
	}
	for _, t := range tallies {
		head = append(head, fmt.Sprintf("  %-*s  %s", width, t.what, t.number))
	}
	for _, line := range holdLines(r.Holds) {
		head = append(head, "  "+line)
	}
	blocks := r.blocks(false, true)
	if len(blocks) > 0 {
		head = append(head, "")
	}
	written := head
	for i, b := range blocks {
		text := b.lines()
		room := lines - len(written) - len(text)
		if i+1 < len(blocks) {
			room-- // for the line that says what is left out
		}
		if lines > 0 && room < 0 && i > 0 {
			written = append(written, leftOut(blocks[i:])+": "+again)
			break
		}
		written = append(written, text...)
	}
	return strings.Join(written, "\n") + "\n"
}

// leftOut counts blocks that are not shown.
func leftOut(blocks []block) string {
	customers, others := 0, 0
	for _, b := range blocks {
		if b.customer {
			customers++
		} else {
			others++
		}
	}
	var parts []string
	if customers > 0 {
		parts = append(parts, count(customers, "more customer"))
	}
	if others > 0 {
		parts = append(parts, count(others, "more group"))
	}
	return "and " + strings.Join(parts, " and ")
}

func (b block) lines() []string {
	lines := []string{problem.Line(b.title)}
	for i, g := range b.groups {
		if i == maxFolded {
			return append(lines, fmt.Sprintf("  and %d more", len(b.groups)-i))
		}
		title := fmt.Sprintf("  %s %s:", g.mark(), problem.Line(g.title()))
		indent := "      "
		if len(g.story) == 1 {
			title += " " + problem.Line(g.story[0].text)
		}
		lines = append(lines, title)
		for _, l := range g.story {
			if len(g.story) > 1 {
				lines = append(lines, indent+problem.Line(l.text))
			}
			for _, m := range l.more {
				lines = append(lines, indent+"| "+problem.Line(m))
			}
		}
	}
	return lines
}
