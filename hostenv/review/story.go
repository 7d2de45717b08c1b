package review

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// A unit is what changes together: an environment, the limits of a project, a node
// or an option of the provider. Text and Markdown show units with the same story
// as one.
type unit struct {
	customer, project string // "" for nodes and the provider
	name              string // within the customer
	weight            int    // the lowest effect of its changes, see effects
	story             []line
}

// A line is one sentence of a unit's story. It holds texts of customers as they
// are.
type line struct {
	text string
	more []string // below it: subjects of commits
}

// The bounds of what a review shows of one unit, so that a customer's changes
// cannot hide another's. Encode has all.
const (
	maxLines    = 12
	maxShown    = 3   // subjects of commits
	maxText     = 120 // characters of a customer's text
	maxNamed    = 3   // units with the same story
	maxFolded   = 60  // units of a customer
	maxHolds    = 8   // projects on hold
	wideStories = 4   // customers with the same story that text shows as one
)

// An effect is a kind of change as the summary counts it.
type effect struct {
	name string
	is   func(Change) bool
}

// effects are in the order of what an operator must see first.
var effects = []effect{
	{"retired", func(c Change) bool { return c.Kind == state.KindEnvironment && c.Action == state.Retire }},
	{"moved to another node", func(c Change) bool { return c.Kind == state.KindEnvironment && c.Reason == state.ReasonPlacement }},
	{"renamed", func(c Change) bool { return c.Kind == state.KindEnvironment && c.Reason == state.ReasonRenamed }},
	{"enabled or disabled", func(c Change) bool { return c.Kind == KindOption && (hasField(c, "enable")) }},
	{"host names from another project", func(c Change) bool { return c.Kind == state.KindHostname && c.Action == state.HandOver }},
	{"host names free again", func(c Change) bool { return c.Kind == state.KindHostname && c.Action == state.Release }},
	{"host names moved", func(c Change) bool { return c.Kind == state.KindHostname && c.Action == state.Move }},
	{"new limits", func(c Change) bool { return c.Kind == KindLimits }},
	{"new options", func(c Change) bool { return c.Kind == KindOption && c.Reason == ReasonSource }},
	{"configuration only", func(c Change) bool { return c.Kind == KindOption && c.Reason == ReasonConfiguration }},
	{"certificates by the gate", func(c Change) bool { return c.Kind == KindOption && c.Reason == ReasonGate }},
	{"served otherwise", func(c Change) bool { return c.Kind == KindOption }},
	{"new source", func(c Change) bool { return c.Kind == KindSource }},
	{"new", func(c Change) bool { return c.Kind == state.KindEnvironment && c.Action == state.Create }},
	{"back", func(c Change) bool { return c.Kind == state.KindEnvironment && c.Action == state.Revive }},
	{"new host names", func(c Change) bool { return c.Kind == state.KindHostname }},
	{"adopted from the legacy generator", func(c Change) bool { return c.Kind == state.KindEnvironment }},
	{"nodes", func(c Change) bool { return c.Kind == state.KindNode }},
	{"the provider's options", func(Change) bool { return true }},
}

func hasField(c Change, name string) bool {
	_, before := c.Before[name]
	_, after := c.After[name]
	return before || after
}

// effectOf returns the index of a change's effect.
func effectOf(c Change) int {
	return slices.IndexFunc(effects, func(e effect) bool { return e.is(c) })
}

// key of the unit that a change belongs to.
func (c Change) unit() string {
	switch {
	case c.User != "":
		return "env " + c.User
	case c.Kind == KindLimits:
		return "limits " + c.Organisation + " " + c.Project
	}
	return string(c.Kind) + " " + c.Key
}

// units returns the units of a review. With names, a new environment's story has
// its host names, and not only their number.
func (r *Review) units(names bool) []unit {
	changes := map[string][]Change{}
	for _, c := range r.Changes {
		changes[c.unit()] = append(changes[c.unit()], c)
	}
	var units []unit
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		own := changes[key]
		slices.SortStableFunc(own, func(a, b Change) int { return cmp.Compare(effectOf(a), effectOf(b)) })
		first := own[0]
		u := unit{customer: first.Organisation, project: first.Project, weight: effectOf(first)}
		switch {
		case first.User != "" && first.Project != "":
			u.name = first.Project + "/" + first.Environment
		case first.User != "":
			u.customer, u.name = "without a project", first.User
		case first.Kind == KindLimits:
			u.name = first.Project
		case first.Kind == state.KindNode:
			u.name = first.Key
		default:
			u.name = "provider"
		}
		u.story = story(own, names)
		units = append(units, u)
	}
	return units
}

// story tells the changes of one unit.
func story(changes []Change, names bool) []line {
	var lines []line
	hosts := 0
	fresh := slices.ContainsFunc(changes, func(c Change) bool { return effects[effectOf(c)].name == "new" })
	for _, c := range changes {
		if c.Kind == state.KindHostname && c.Action == state.Create && fresh && !names {
			hosts++
			continue
		}
		lines = append(lines, line{text: sentence(c), more: c.subjects()})
	}
	if hosts > 0 {
		for i := range lines {
			if strings.HasPrefix(lines[i].text, "new on ") {
				lines[i].text += ", with " + count(hosts, "host name")
			}
		}
	}
	if len(lines) > maxLines {
		left := len(lines) - maxLines + 1
		lines = append(lines[:maxLines-1], line{text: fmt.Sprintf("and %d more changes (-json has all)", left)})
	}
	return lines
}

// sentence says a change of an environment, a node, or an option.
func sentence(c Change) string {
	switch c.Kind {
	case state.KindEnvironment:
		switch {
		case c.Action == state.Create:
			return fmt.Sprintf("new on %v", c.After["node"])
		case c.Action == state.Retire:
			return fmt.Sprintf("retired from %v; its UID and host names stay reserved", c.Before["node"])
		case c.Action == state.Revive:
			return fmt.Sprintf("back on %v, with its UID and host names", c.After["node"])
		case c.Reason == state.ReasonRenamed:
			return fmt.Sprintf("renamed: its user was %v, and is %v", c.Before["userName"], c.After["userName"])
		case c.Reason == state.ReasonPlacement:
			return fmt.Sprintf("moves from %v to %v", c.Before["node"], c.After["node"])
		case c.Reason == state.ReasonAdopted:
			return "adopted from the legacy generator, with its UID"
		}
	case state.KindHostname:
		switch c.Action {
		case state.Create:
			return "new host name " + c.Key
		case state.Move:
			return fmt.Sprintf("host name %s, until now of %v", c.Key, c.Before["owner"])
		case state.HandOver:
			return fmt.Sprintf("host name %s of another project, until now of %v (transfer)", c.Key, c.Before["owner"])
		case state.Release:
			return fmt.Sprintf("host name %s is free again (%s)", c.Key, c.Reason)
		default: // the others are of environments
		}
	case state.KindNode:
		if c.Action == state.Create {
			return "a node with its first environment"
		}
		return "a node without environments now"
	case KindSource:
		return c.sourceText()
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(union(c.Before, c.After))) {
		if c.Kind == KindLimits && name == "node" {
			continue // they are the same on every node of the project
		}
		parts = append(parts, fieldText(name, c.Before[name], c.After[name]))
	}
	text := strings.Join(parts, ", ")
	if c.Kind == KindOption {
		text += map[state.Reason]string{ReasonConfiguration: " (configuration only)", ReasonGate: " (the gate)", ReasonProvider: " (provider)"}[c.Reason]
	}
	return text
}

func union(a, b state.Fields) state.Fields {
	all := maps.Clone(a)
	if all == nil {
		all = state.Fields{}
	}
	maps.Copy(all, b)
	return all
}

// fieldText says how an option changes.
func fieldText(name string, before, after any) string {
	gone, wasList := before.([]string)
	added, isList := after.([]string)
	switch {
	case wasList || isList:
		var parts []string
		for _, s := range gone {
			parts = append(parts, "- "+cut(s))
		}
		for _, s := range added {
			parts = append(parts, "+ "+cut(s))
		}
		if len(parts) > maxNamed {
			parts = append(parts[:maxNamed], fmt.Sprintf("and %d more", len(parts)-maxNamed))
		}
		return cut(name) + ": " + strings.Join(parts, ", ")
	case before == nil:
		return fmt.Sprintf("%s: now %s", cut(name), cut(fmt.Sprint(after)))
	case after == nil:
		return fmt.Sprintf("%s: no longer %s", cut(name), cut(fmt.Sprint(before)))
	}
	return fmt.Sprintf("%s: %s -> %s", cut(name), cut(fmt.Sprint(before)), cut(fmt.Sprint(after)))
}

// cut bounds a customer's text. It keeps both ends of it, for keys end with the
// name of their owner, and begin as all of their kind.
func cut(text string) string { return cutTo(text, maxText) }

func cutTo(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most/2]) + "..." + string(runes[len(runes)-most/2:])
}

// sourceText says how a source changes.
func (c Change) sourceText() string {
	at := func(fields state.Fields, name string) string {
		text := fmt.Sprint(fields[name])
		if name == "rev" {
			text = text[:min(len(text), 7)]
		}
		return cut(text)
	}
	revs := ""
	if c.Before["rev"] != nil && c.After["rev"] != nil && c.Before["rev"] != c.After["rev"] {
		revs = fmt.Sprintf(", %s -> %s", at(c.Before, "rev"), at(c.After, "rev"))
	}
	switch c.Reason {
	case ReasonLocked:
		return "its source is locked for the first time"
	case ReasonUnlocked:
		return "its source is not locked any more"
	case ReasonRepository:
		return "another repository or folder" + revs + fmt.Sprintf(": %s -> %s", at(c.Before, "source"), at(c.After, "source"))
	case ReasonRef:
		return fmt.Sprintf("another git ref, %s -> %s", at(c.Before, "ref"), at(c.After, "ref")) + revs
	case ReasonContent:
		return "new content"
	default: // new commits
	}
	text := "new commits"
	if k := c.Commits; k != nil {
		switch {
		case k.Number == 0 && k.Dropped > 0:
			text = "back to an earlier commit"
		case k.More:
			text = fmt.Sprintf("more than %d new commits", k.Number)
		case k.Number > 0:
			text = count(k.Number, "new commit")
		}
		if k.Dropped > 0 {
			revs += ", without " + count(k.Dropped, "commit") + " that it had"
		}
	}
	return text + revs
}

// subjects returns the subjects of a source's newest commits, and how many more
// there are.
func (c Change) subjects() []string {
	if c.Commits == nil {
		return nil
	}
	var lines []string
	for i, subject := range c.Commits.Subjects {
		if i == maxShown {
			break
		}
		lines = append(lines, cut(subject))
	}
	if left := c.Commits.Number - len(lines); left > 0 && len(lines) > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", left))
	}
	return lines
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
