package review

import (
	"fmt"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// MinLimit is the smallest limit that [Review.Markdown] takes, in bytes.
const MinLimit = 4000

// Markdown returns the changes for a comment on a merge request, in at most limit
// bytes, 0 for any number: three lines of summary, of which the first has the
// plan's digest, and a fold for each customer. It leaves out whole customers that
// do not fit, and says how many. A limit below MinLimit counts as MinLimit.
func (r *Review) Markdown(limit int) string {
	if limit > 0 {
		limit = max(limit, MinLimit)
	}
	var b strings.Builder
	digest := ""
	if r.Digest != "" {
		digest = " `" + problem.Markdown(r.Digest) + "`"
	}
	fmt.Fprintf(&b, "**Plan%s**: %s.\n", digest, problem.Markdown(r.headline()))
	var customers, provider []string
	if len(r.Held) > 0 {
		customers = append(customers, "**held back**: "+heldNames(r.Held))
	}
	if len(r.Holds) > 0 {
		customers = append(customers, "on hold: "+holdNames(r.Holds))
	}
	for _, t := range r.summary() {
		text := problem.Markdown(t.what + ": " + t.number)
		if t.what == "nodes" || t.what == "the provider's options" {
			provider = append(provider, text)
		} else {
			customers = append(customers, text)
		}
	}
	fmt.Fprintf(&b, "- Customers: %s.\n", listed(customers))
	fmt.Fprintf(&b, "- Provider: %s.\n", listed(provider))
	blocks := r.blocks(true, false)
	var left []block
	for i, block := range blocks {
		fold := block.markdown()
		// What follows may have to say that this many are left out.
		if limit > 0 && b.Len()+len(fold)+len(notShown(append(left[:len(left):len(left)], blocks[i+1:]...))) > limit {
			left = append(left, block)
			continue
		}
		b.WriteString(fold)
	}
	b.WriteString(notShown(left))
	return b.String()
}

// heldNames names projects that are held back.
func heldNames(held []plan.Held) string {
	names := make([]string, len(held))
	for i, h := range held {
		names[i] = problem.Markdown(cutTo(h.Project, maxProject))
	}
	return joinSome(names)
}

// holdNames names projects that are on hold, each with its reason.
func holdNames(holds []plan.Hold) string {
	names := make([]string, len(holds))
	for i, h := range holds {
		names[i] = problem.Markdown(cutTo(h.Project, maxProject) + " (" + cutTo(h.Reason, maxProject) + ")")
	}
	return joinSome(names)
}

// joinSome joins at most maxNamed texts.
func joinSome(names []string) string {
	if len(names) > maxNamed {
		names = append(names[:maxNamed:maxNamed], fmt.Sprintf("%d more", len(names)-maxNamed))
	}
	return problem.Join(names)
}

// maxProject is how many bytes of a project's name a summary shows.
const maxProject = 64

func listed(texts []string) string {
	if len(texts) == 0 {
		return "no changes"
	}
	return strings.Join(texts, "; ")
}

// notShown says which blocks are left out.
func notShown(blocks []block) string {
	if len(blocks) == 0 {
		return ""
	}
	var names []string
	for i, b := range blocks {
		if i == maxNamed {
			names = append(names, "...")
			break
		}
		names = append(names, problem.Markdown(cutTo(b.title, 24)))
	}
	return fmt.Sprintf("\nLeft out, because they do not fit: %s (%s).\n", strings.TrimPrefix(leftOut(blocks), "and "), strings.Join(names, ", "))
}

// markdown is a fold. Its first line is HTML, up to the empty line; what follows is
// Markdown.
func (b block) markdown() string {
	var s strings.Builder
	noun := "changes"
	if b.customer {
		noun = count(b.units, "change")
	}
	fmt.Fprintf(&s, "\n<details><summary>%s: %s</summary>\n\n", problem.HTML(problem.Line(b.title)), noun)
	for i, g := range b.groups {
		if i == maxFolded {
			fmt.Fprintf(&s, "- and %d more\n", len(b.groups)-i)
			break
		}
		fmt.Fprintf(&s, "- %s:", problem.Markdown(g.title()))
		if len(g.story) == 1 {
			s.WriteString(" " + problem.Markdown(g.story[0].text))
		}
		s.WriteString("\n")
		for _, l := range g.story {
			if len(g.story) > 1 {
				fmt.Fprintf(&s, "  - %s\n", problem.Markdown(l.text))
			}
			for _, m := range l.more {
				indent := "  "
				if len(g.story) > 1 {
					indent = "    "
				}
				fmt.Fprintf(&s, "%s- %s\n", indent, problem.Markdown(m))
			}
		}
	}
	s.WriteString("\n</details>\n")
	return s.String()
}
