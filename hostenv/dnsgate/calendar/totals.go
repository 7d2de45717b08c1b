package calendar

import (
	"cmp"
	"slices"
)

// A Total counts what happens on one day, on one node, with names of one registered
// domain.
type Total struct {
	Day    string `json:"day"` // UTC
	Node   string `json:"node"`
	Domain string `json:"domain,omitempty"` // "" for all of the node
	Counts
}

// Counts are numbers of events. Unsafe are those of the orders among them that Let's
// Encrypt may refuse.
type Counts struct {
	First    int `json:"first"`
	Changed  int `json:"changed"`
	Renewals int `json:"renewals"`
	Expiries int `json:"expiries"`
	Unsafe   int `json:"unsafe"`
}

func (c *Counts) add(e Event) {
	switch e.Kind {
	case First:
		c.First++
	case Changed:
		c.Changed++
	case Renewal:
		c.Renewals++
	case Expiry:
		c.Expiries++
	}
	if !e.Safe {
		c.Unsafe++
	}
}

// Totals returns the totals by day and node, and by domain if that is asked for: then a
// certificate counts for each domain of its names.
func (c *Calendar) Totals(byDomain bool) []Total {
	type place struct{ day, node, domain string }
	index := map[place]int{}
	var all []Total
	for _, e := range c.Events {
		domains := []string{""}
		if byDomain {
			domains = e.Domains
		}
		for _, domain := range domains {
			at := place{e.Day, e.Node, domain}
			i, seen := index[at]
			if !seen {
				i = len(all)
				index[at] = i
				all = append(all, Total{Day: e.Day, Node: e.Node, Domain: domain})
			}
			all[i].add(e)
		}
	}
	slices.SortFunc(all, func(x, y Total) int {
		return cmp.Or(cmp.Compare(x.Day, y.Day), cmp.Compare(x.Node, y.Node), cmp.Compare(x.Domain, y.Domain))
	})
	return all
}

// Select returns the calendar of some certificates. Its orders are as safe as they are
// among all.
func (c *Calendar) Select(wanted func(Subject) bool) *Calendar {
	selected := *c
	selected.Events = keep(c.Events, func(e Event) bool { return wanted(e.Subject) })
	selected.Undated = keep(c.Undated, wanted)
	selected.Troubles = nil
	for _, t := range c.Troubles {
		if mine := keep(t.Certificates, wanted); len(mine) > 0 {
			t.Certificates = mine
			selected.Troubles = append(selected.Troubles, t)
		}
	}
	return &selected
}

func keep[T any](all []T, wanted func(T) bool) []T {
	var kept []T
	for _, v := range all {
		if wanted(v) {
			kept = append(kept, v)
		}
	}
	return kept
}
