package fleetpage

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// An Environment is a row of the table of environments.
type Environment struct {
	ID, User                           string
	Organisation, Project, Environment string
	Type                               string
	Node, NodeLink                     string
	UID                                int
	Limit                              string // of its project's slice, "" if it has none
	Source                             Source
	Names                              []Link // of its virtual hosts
	Off                                int    // how many of them ask for a certificate and have none
	Badges                             []Badge
	Deploy                             *Deploy // nil if this checkout has no run of it
	DeployedNode                       string  // the node of the last recorded deploy, "" for none
	Held                               *Held
	OnHold                             string // the reason of provider.hold, "" for none
	Attention                          bool   // it needs an operator
}

// A Link is a text that leads to an element of the page.
type Link struct{ Text, ID string }

// A Source is where an environment comes from.
type Source struct {
	Repository, Ref, Rev string
	At                   Time // of the commit
}

// Short is the beginning of the commit.
func (s Source) Short() string { return short(s.Rev) }

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func (c *facts) environments(names []Name) []Environment {
	byUser := map[string][]Name{}
	for _, n := range names {
		byUser[n.User] = append(byUser[n.User], n)
	}
	var rows []Environment
	for _, user := range sorted(c.Plan.Environments) {
		e := c.Plan.Environments[user]
		row := Environment{
			ID: c.ids.user[user], User: user, Organisation: e.Hostenv.Organisation, Project: e.Hostenv.Project, Environment: e.Hostenv.EnvironmentName,
			Node: e.Node, NodeLink: c.ids.node[e.Node], UID: e.UID, Source: sourceOf(e),
			Deploy: c.deployOf(user), DeployedNode: c.State.Entries[user].DeployedNode,
		}
		row.Type, _ = canonjson.Text(e.Carried.Get("type"))
		if l, ok := c.limitOf(e); ok {
			row.Limit = l.text()
		}
		for _, n := range byUser[user] {
			row.Names = append(row.Names, Link{n.Host, n.ID})
			if n.Off {
				row.Off++
			}
		}
		if held, ok := c.held[user]; ok {
			row.Held = &held
		}
		row.OnHold = c.holds[user]
		row.Badges, row.Attention = c.badges(user, e, row)
		rows = append(rows, row)
	}
	return rows
}

// badges are the states of an environment, the most important first.
func (c *facts) badges(user string, e plan.Environment, row Environment) (badges []Badge, attention bool) {
	add := func(tone Tone, word string) {
		badges = append(badges, Badge{tone, word})
		attention = attention || tone == Bad || tone == Warn
	}
	if row.Held != nil {
		add(Bad, "held back")
	}
	if row.OnHold != "" {
		add(Plain, "on hold")
	}
	if !e.Runs() {
		add(Plain, "disabled")
		return badges, attention
	}
	status, asked := c.statuses[e.Node+"/"+user]
	if asked {
		add(standing(status.Standing))
	}
	if row.Deploy != nil && row.Deploy.Failed != nil {
		add(Bad, "last deploy "+row.Deploy.Failed.State)
	}
	if row.Off > 0 {
		add(Warn, counted(row.Off, "certificate off", "certificates off"))
	}
	switch was := cmp.Or(e.PreviousNode, row.DeployedNode); {
	case was == "" && !asked:
		add(Plain, "not deployed")
	case was != "" && was != e.Node:
		add(Plain, "moves from "+was)
	case !asked && len(badges) == 0:
		add(Plain, "deployed")
	}
	return badges, attention
}

// standing is the badge of a standing.
func standing(s deploy.Standing) (Tone, string) {
	switch s {
	case deploy.StandingInSync:
		return Good, string(s)
	case deploy.StandingBehind:
		return Warn, string(s)
	case deploy.StandingUnreachable:
		return Unknown, string(s)
	case deploy.StandingDiverged, deploy.StandingForeign, deploy.StandingBroken:
		return Bad, string(s)
	default:
		return Unknown, string(s)
	}
}

// sourceOf reads where an environment comes from: its locked source, or what its
// input refers to.
func sourceOf(e plan.Environment) Source {
	var s Source
	var attrs plan.Carried
	if repo, ok := canonjson.ObjectOf(e.Repo); ok {
		attrs = repo
	}
	if e.Source != nil {
		attrs = e.Source.Attrs
		s.Rev = e.Source.Rev
		if e.Source.LastModified != nil {
			s.At = Time{time.Unix(*e.Source.LastModified, 0)}
		}
	}
	text := func(name string) string {
		value, _ := canonjson.Text(attrs.Get(name))
		return limited(value)
	}
	s.Ref = text("ref")
	s.Repository = text("url")
	if owner := text("owner"); s.Repository == "" && owner != "" {
		s.Repository = text("type") + ":" + owner + "/" + text("repo")
	}
	s.Repository = strings.TrimPrefix(s.Repository, "git+")
	return s
}

// A Retired is an environment that is no longer in the plan, with what stays reserved.
type Retired struct {
	User, Node string
	UID        int
	Names      []string
}

func (c *facts) retired() []Retired {
	var rows []Retired
	for _, e := range c.State.List() {
		if _, planned := c.Plan.Environments[e.UserName]; e.Retired || !planned {
			rows = append(rows, Retired{User: e.UserName, Node: cmp.Or(e.DeployedNode, e.Node), UID: e.UID, Names: e.VirtualHosts})
		}
	}
	return rows
}
