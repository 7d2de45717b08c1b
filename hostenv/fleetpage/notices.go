package fleetpage

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// The ids of the sections.
const (
	sectionNotices      = "attention"
	sectionNodes        = "nodes"
	sectionEnvironments = "environments"
	sectionNames        = "names"
	sectionRuns         = "runs"
	sectionRetired      = "retired"
)

// notices are what an operator should know, the worst first. There is none for what
// is as it should be.
func (c *facts) notices(p Page) []Notice {
	all := []Notice{
		c.heldNotice(p), c.doubtNotice(), c.runNotice(p), c.driftNotice(p), c.unreachableNotice(), c.errorsNotice(),
		offNotice(p), ordersNotice(p), c.findingsNotice(), unknownNotice(p), movesNotice(c), undeployedNotice(c), c.leftoversNotice(),
	}
	var shown []Notice
	for _, n := range all {
		if n.Count > 0 {
			shown = append(shown, n)
		}
	}
	slices.SortStableFunc(shown, func(a, b Notice) int { return cmp.Compare(severity(a.Tone), severity(b.Tone)) })
	return shown
}

// severity orders tones, the worst first.
func severity(t Tone) int { return slices.Index([]Tone{Bad, Warn, Unknown, Plain, Good}, t) }

func (c *facts) heldNotice(p Page) Notice {
	n := Notice{Tone: Bad, Title: "Held back", Hint: "the last plan left these as they were; `mage plan` says what to mend", Table: sectionEnvironments, Query: "held back"}
	for _, e := range p.Environments {
		if e.Held != nil {
			n.add(Item{e.User, e.ID, e.Held.Reason})
		}
	}
	for _, project := range c.absent {
		n.add(project)
	}
	return n
}

// doubtNotice lists activations whose result is unknown.
func (c *facts) doubtNotice() Notice {
	n := Notice{Tone: Bad, Title: "Activations whose result is unknown", Hint: "run `mage deploy`: it asks the nodes first"}
	open := map[string]Item{}
	for _, r := range c.Runs {
		for _, p := range r.Outcome.Profiles {
			key := p.Node + "/" + p.Profile
			switch {
			case p.Doubt != nil:
				open[key] = Item{p.Profile + " on " + p.Node, runID(r.ID), "since the run " + r.ID}
			case p.State == deploy.StateActive || p.State == deploy.StateInSync:
				delete(open, key)
			}
		}
	}
	for _, key := range sorted(open) {
		n.add(open[key])
	}
	return n
}

// runNotice is about the last run.
func (c *facts) runNotice(p Page) Notice {
	n := Notice{Title: "The last deploy", Hint: "run `mage deploy -resume` to continue it", Table: ""}
	if len(p.Runs) == 0 {
		return n
	}
	last := p.Runs[0]
	if last.Result.Tone == Good {
		return n
	}
	n.Tone = last.Result.Tone
	n.add(Item{last.Name, last.ID, last.Result.Word})
	return n
}

func (c *facts) driftNotice(p Page) Notice {
	n := Notice{Tone: Warn, Title: "Not in sync with the plan", Hint: "`mage deploy -plan` shows what a deploy would change", Table: sectionEnvironments, Query: ""}
	if c.Asked == nil {
		return n
	}
	for _, s := range c.Asked.Statuses {
		if s.Standing == deploy.StandingInSync || s.Standing == deploy.StandingUnreachable {
			continue
		}
		text := string(s.Standing)
		if s.Detail != "" {
			text += ": " + limited(s.Detail)
		}
		n.add(c.profileItem(s.Node, s.Profile, text))
	}
	return n
}

func (c *facts) profileItem(node, profile, text string) Item {
	if profile == deploy.SystemProfile {
		return Item{"system of " + node, c.ids.node[node], text}
	}
	return Item{profile + " on " + node, c.ids.user[profile], text}
}

func (c *facts) unreachableNotice() Notice {
	n := Notice{Tone: Unknown, Title: "Nodes that do not answer", Hint: "check that they run and that ssh reaches them"}
	if c.Asked == nil {
		return n
	}
	seen := map[string]bool{}
	for _, s := range c.Asked.Statuses {
		if s.Standing == deploy.StandingUnreachable && !seen[s.Node] {
			seen[s.Node] = true
			n.add(Item{s.Node, c.ids.node[s.Node], limited(s.Detail)})
		}
	}
	return n
}

func (c *facts) errorsNotice() Notice {
	n := Notice{Tone: Bad, Title: "Nodes that could not be examined", Hint: "`mage status` says how to mend it"}
	if c.Asked != nil {
		for _, err := range c.Asked.Errors {
			text, _ := said(err)
			n.add(Item{Text: text})
		}
	}
	return n
}

func offNotice(p Page) Notice {
	n := Notice{Tone: Warn, Title: "Names whose certificate is off", Hint: "each has its fix in the table of names; `mage dnsGate` judges them again", Table: sectionNames, Query: ""}
	for _, name := range p.Names {
		if name.Off {
			n.add(Item{name.Host, name.ID, name.Reason})
		}
	}
	return n
}

func ordersNotice(p Page) Notice {
	n := Notice{Tone: Bad, Title: "Certificates whose order failed, or that expired", Hint: "each has what the node said in the table of names", Table: sectionNames, Query: ""}
	for _, name := range p.Names {
		if name.OnNode != nil && name.OnNode.Tone == Bad {
			n.add(Item{name.Host, name.ID, name.OnNode.Word})
		}
	}
	return n
}

func (c *facts) findingsNotice() Notice {
	n := Notice{Tone: Warn, Title: "For you to do on nodes"}
	if c.Asked != nil {
		for _, e := range c.Asked.Findings {
			if e.Finding != nil {
				n.Hint = e.Finding.Hint
				n.add(Item{e.Node, c.ids.node[e.Node], limited(e.Finding.Message)})
			}
		}
	}
	return n
}

func unknownNotice(p Page) Notice {
	n := Notice{Tone: Unknown, Title: "Names whose verdict is unknown", Hint: "DNS gave no answer; the last decision stays until `mage dnsGate` has one", Table: sectionNames, Query: "unknown"}
	for _, name := range p.Names {
		if name.Verdict.Word == "unknown" {
			n.add(Item{name.Host, name.ID, name.Reason})
		}
	}
	return n
}

func movesNotice(c *facts) Notice {
	n := Notice{Tone: Plain, Title: "Moves that the next deploy makes", Hint: "docs/deploy-moves.md says how data follow", Table: sectionEnvironments, Query: "moves from"}
	for _, m := range c.Plan.Moves() {
		n.add(Item{m.User, c.ids.user[m.User], "from " + m.From + " to " + m.To})
	}
	return n
}

// undeployedNotice lists environments that no deploy has recorded on a node.
func undeployedNotice(c *facts) Notice {
	n := Notice{Tone: Plain, Title: "Not deployed yet", Hint: "`mage deploy -plan` shows what a deploy would change", Table: sectionEnvironments, Query: "not deployed"}
	if c.Asked != nil { // then a standing says more
		return n
	}
	for _, user := range sorted(c.Plan.Environments) {
		if e := c.Plan.Environments[user]; e.Runs() && cmp.Or(e.PreviousNode, c.State.Entries[user].DeployedNode) == "" {
			n.add(Item{user, c.ids.user[user], "on " + e.Node})
		}
	}
	return n
}

func (c *facts) leftoversNotice() Notice {
	n := Notice{Tone: Plain, Title: "What former environments left on nodes", Hint: "`mage leftovers` lists it, and removes it with -remove"}
	if c.Asked != nil {
		for _, l := range c.Asked.Leftovers {
			n.add(Item{l.User + " on " + l.Node, c.ids.node[l.Node], string(l.Why)})
		}
	}
	return n
}

// tiles are the figures at the top.
func (c *facts) tiles(p Page) []Tile {
	running, off, drift, held := 0, 0, 0, 0
	for _, e := range c.Plan.Environments {
		if e.Runs() {
			running++
		}
	}
	for _, n := range p.Names {
		if n.Off {
			off++
		}
	}
	for _, e := range p.Environments {
		if e.Held != nil {
			held++
		}
	}
	tiles := []Tile{
		{Label: "Nodes", Value: number(len(p.Nodes)), Tone: Plain, Link: sectionNodes},
		{Label: "Environments", Value: number(running), Tone: Plain, Note: c.uids(p, len(c.Plan.Environments)-running), Link: sectionEnvironments},
		{Label: "Names", Value: number(len(p.Names)), Tone: Plain, Note: toned(off, "certificate off", "certificates off", "every certificate is on"), Link: sectionNames},
		{Label: "Held back", Value: number(held + len(c.absent)), Tone: tone(held+len(c.absent), Bad), Link: sectionNotices},
	}
	sync := Tile{Label: "Not in sync", Value: "not asked", Tone: Unknown, Note: "mage fleet -ask asks the nodes", Link: sectionNodes}
	if c.Asked != nil {
		for _, s := range c.Asked.Statuses {
			if s.Standing != deploy.StandingInSync {
				drift++
			}
		}
		sync.Value, sync.Tone = number(drift), tone(drift, Warn)
		sync.Note = fmt.Sprintf("of %s on %s", counted(len(c.Asked.Statuses), "profile", "profiles"), counted(len(p.Nodes), "node", "nodes"))
	}
	tiles = append(tiles, sync)
	last := Tile{Label: "Last deploy", Value: "none", Tone: Unknown, Note: "in this checkout", Link: sectionRuns}
	if len(p.Runs) > 0 {
		r := p.Runs[0]
		last.Value, last.Tone, last.Note = r.Result.Word, r.Result.Tone, r.Ago
		if r.By != "" {
			last.Note += " by " + r.By
		}
	}
	return append(tiles, last)
}

// uids says how many UIDs are given out, and how many environments do not run.
func (c *facts) uids(p Page, disabled int) string {
	text := counted(len(c.State.Entries), "UID", "UIDs") + " given out"
	if disabled > 0 {
		text = number(disabled) + " more disabled; " + text
	}
	if highest := c.State.HighestUID(); highest > 0 {
		text += fmt.Sprintf(", up to %d", highest)
	}
	if len(p.Retired) > 0 {
		text += ", " + number(len(p.Retired)) + " retired"
	}
	return text
}

func tone(n int, some Tone) Tone {
	if n == 0 {
		return Good
	}
	return some
}

func toned(n int, one, many, none string) string {
	if n == 0 {
		return none
	}
	return counted(n, one, many)
}
