package review

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A block is what a review shows of one customer, of the provider, or of several
// customers with the same story.
type block struct {
	title    string
	customer bool // of one customer
	units    int  // of environments
	weight   int
	groups   []group
}

// A group is units with the same story.
type group struct {
	names  []string
	weight int
	story  []line
}

// blocks returns the blocks of a review, those first whose changes an operator
// must see first. Wide puts together what many customers share.
func (r *Review) blocks(names, wide bool) []block {
	units := r.units(names)
	customers := map[string]map[string]bool{} // by story
	for _, u := range units {
		key := tell(u.story)
		if customers[key] == nil {
			customers[key] = map[string]bool{}
		}
		customers[key][u.customer] = true
	}
	byTitle := map[string]*block{}
	var blocks []*block
	groups := map[[2]string]int{} // the index in its block, by title and story
	for _, u := range units {
		key := tell(u.story)
		title, name := u.customer, u.name
		shared := wide && u.customer != "" && len(customers[key]) >= wideStories
		switch {
		case shared:
			title, name = fmt.Sprintf("%d customers", len(customers[key])), u.customer+"__"+u.name
		case u.customer == "":
			title = "the provider"
		}
		at := title
		if shared {
			at += "\n" + key // each shared story is a block of its own
		}
		b := byTitle[at]
		if b == nil {
			b = &block{title: title, weight: u.weight, customer: !shared && u.customer != ""}
			byTitle[at] = b
			blocks = append(blocks, b)
		}
		b.weight = min(b.weight, u.weight)
		b.units++
		i, ok := groups[[2]string{at, key}]
		if !ok {
			i = len(b.groups)
			groups[[2]string{at, key}] = i
			b.groups = append(b.groups, group{weight: u.weight, story: u.story})
		}
		b.groups[i].names = append(b.groups[i].names, name)
	}
	slices.SortStableFunc(blocks, func(a, b *block) int { return cmp.Or(cmp.Compare(a.weight, b.weight), cmp.Compare(a.title, b.title)) })
	sorted := make([]block, len(blocks))
	for i, b := range blocks {
		slices.SortStableFunc(b.groups, func(a, b group) int { return cmp.Compare(a.weight, b.weight) })
		sorted[i] = *b
	}
	return sorted
}

// tell is equal for equal stories.
func tell(story []line) string {
	var b strings.Builder
	for _, l := range story {
		fmt.Fprintf(&b, "%s\n\t%s\n", l.text, strings.Join(l.more, "\n\t"))
	}
	return b.String()
}

// title names the units of a group.
func (g group) title() string {
	if len(g.names) <= maxNamed+1 {
		return strings.Join(g.names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(g.names[:maxNamed], ", "), len(g.names)-maxNamed)
}

// mark is the sign in front of a group. It makes a long list quick to read.
func (g group) mark() string {
	switch effects[g.weight].name {
	case "retired", "host names free again":
		return "-"
	case "new", "back", "new host names":
		return "+"
	}
	return "~"
}

// A tally is a line of the summary.
type tally struct{ what, number string }

// summary counts the effects of a review.
func (r *Review) summary() []tally {
	type set = map[string]bool
	users, projects, keys := make([]set, len(effects)), make([]set, len(effects)), make([]set, len(effects))
	for i := range effects {
		users[i], projects[i], keys[i] = set{}, set{}, set{}
	}
	lowest, highest := 0, 0
	for _, c := range r.Changes {
		i := effectOf(c)
		keys[i][c.Key] = true
		if c.User != "" {
			users[i][c.User] = true
		}
		if c.Project != "" {
			projects[i][c.Organisation+"/"+c.Project] = true
		}
		if uid, ok := c.After["uid"].(int); ok && effects[i].name == "new" {
			highest = max(highest, uid)
			if lowest == 0 || uid < lowest {
				lowest = uid
			}
		}
	}
	var tallies []tally
	for i, e := range effects {
		var number string
		switch {
		case len(users[i]) > 0 && strings.Contains(e.name, "host names"):
			number = fmt.Sprintf("%d of %s", len(keys[i]), count(len(users[i]), "environment"))
		case len(users[i]) > 0:
			number = count(len(users[i]), "environment") + " of " + count(len(projects[i]), "project")
		case len(projects[i]) > 0:
			number = count(len(projects[i]), "project")
		case len(keys[i]) > 0:
			number = fmt.Sprint(len(keys[i]))
		default:
			continue
		}
		if e.name == "new" {
			number += fmt.Sprintf(", UIDs %d to %d", lowest, highest)
			if lowest == highest {
				number = strings.Replace(number, fmt.Sprintf("UIDs %d to %d", lowest, highest), fmt.Sprintf("UID %d", lowest), 1)
			}
		}
		tallies = append(tallies, tally{e.name, number})
	}
	return tallies
}

// headline says in one line how much changes.
func (r *Review) headline() string {
	users, projects, customers := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, c := range r.Changes {
		if c.User != "" {
			users[c.User] = true
		}
		if c.Project != "" {
			projects[c.Organisation+"/"+c.Project], customers[c.Organisation] = true, true
		}
	}
	what := "changes"
	if r.first {
		what = "first plan"
	}
	switch {
	case r.Empty():
		return "no changes"
	case len(users) > 0:
		return fmt.Sprintf("%s: %s of %s of %s", what, count(len(users), "environment"), count(len(projects), "project"), count(len(customers), "customer"))
	case len(projects) > 0:
		return fmt.Sprintf("%s: limits of %s of %s", what, count(len(projects), "project"), count(len(customers), "customer"))
	}
	return what + " of nodes and of the provider's options alone"
}
