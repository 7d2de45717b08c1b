package fleetpage

import (
	"fmt"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A Page is what the page shows, in the order in which it shows it. Its texts are as
// they came, see [Write].
type Page struct {
	Domain       string // hostenvHostname
	Now          Time
	Asked        Time // when the nodes were asked, zero if they were not
	Tiles        []Tile
	Notices      []Notice
	Nodes        []Node
	Environments []Environment
	Names        []Name
	Runs         []RunRow // the newest first
	Axis         Axis
	Retired      []Retired
}

// Tone is how good a thing is. The page shows it by a sign and a colour beside the word.
type Tone string

// The tones.
const (
	Good    Tone = "good"
	Bad     Tone = "bad"     // an operator has to act
	Warn    Tone = "warn"    // an operator should look
	Unknown Tone = "unknown" // it is not known how good it is
	Plain   Tone = "plain"   // neither good nor bad
)

// A Badge is a word with a tone.
type Badge struct {
	Tone Tone
	Word string
}

// A Tile is a figure at the top of the page.
type Tile struct {
	Label string
	Value string
	Tone  Tone
	Note  string
	Link  string // the id of the section with the details
}

// A Notice is a list of things of one kind that need an operator, or that it should know.
type Notice struct {
	Tone  Tone
	Title string
	Count int
	Items []Item // the first of them
	More  int    // how many others there are
	Hint  string // what to do: our own words
	// Table and Query find all of them: the table's id and the words to search for.
	Table, Query string
}

// An Item is one thing in a Notice.
type Item struct {
	Label string
	Link  string // an id, "" for none
	Text  string
}

// mostItems is how many items of a notice are shown.
const mostItems = 10

func (n *Notice) add(i Item) {
	n.Count++
	if len(n.Items) < mostItems {
		n.Items = append(n.Items, i)
	} else {
		n.More++
	}
}

// A Time is a time that may be unknown, which is zero.
type Time struct{ time.Time }

// Machine is the time in RFC 3339, for programs.
func (t Time) Machine() string { return t.UTC().Format(time.RFC3339) }

// Text is the time for people, to the minute.
func (t Time) Text() string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// parsed reads a time of a document. A text that is no time is no time.
func parsed(text string) Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return Time{}
	}
	return Time{t}
}

// ago is the age of a time in words, "" if it is unknown or in the future.
func ago(t Time, now time.Time) string {
	age := now.Sub(t.Time)
	switch {
	case t.IsZero() || age < 0:
		return ""
	case age < time.Minute:
		return "less than a minute ago"
	case age < time.Hour:
		return counted(int(age/time.Minute), "minute ago", "minutes ago")
	case age < 48*time.Hour:
		return counted(int(age/time.Hour), "hour ago", "hours ago")
	default:
		return counted(int(age/(24*time.Hour)), "day ago", "days ago")
	}
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// number writes a number with its thousands apart.
func number(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// id is the id of an element: a name that is plain as it is, any other by its number.
func id(prefix, name string, number int) string {
	plain := name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
	if plain && len(name) <= 255 {
		return prefix + "-" + name
	}
	return fmt.Sprintf("%s_%d", prefix, number)
}

// short is the beginning of a digest or of a commit.
func short(digest string) string { return digest[:min(len(digest), 12)] }

// most and mostBrief limit a text that a customer or a program wrote, in bytes: what is
// folded away, and what stands in a row or a list, such as the longest host name.
const most, mostBrief = 4000, 253

func limited(text string) string { return cut(text, most) }

func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

// Of returns the page of facts.
func Of(f Facts) Page {
	p := Page{Domain: f.Plan.HostenvHostname, Now: Time{f.Now}}
	if f.Asked != nil {
		p.Asked = Time{f.Asked.At}
	}
	c := collect(f)
	p.Names = c.names()
	p.Environments = c.environments(p.Names)
	p.Nodes = c.nodes(p.Environments, p.Names)
	p.Runs, p.Axis = c.runs()
	p.Retired = c.retired()
	p.Notices = c.notices(p)
	p.Tiles = c.tiles(p)
	return p
}

// facts are Facts, and what several parts of the page look up in them.
type facts struct {
	Facts
	held     map[string]Held   // by user name
	holds    map[string]string // reasons of provider.hold, by user name
	absent   []Item            // projects that are held back and in no plan yet
	statuses map[string]deploy.Status
	deploys  map[string]lastDeploy
	slices   map[string]map[string]limit // by node and slice
	ids      ids
}

// ids are the ids of what other parts link to.
type ids struct{ node, user, host map[string]string }

func collect(f Facts) *facts {
	c := &facts{Facts: f, statuses: map[string]deploy.Status{}, holds: map[string]string{}, deploys: lastDeploys(f.Runs), slices: limitsOf(f.Plan)}
	c.held, c.absent = heldBack(f.Plan)
	for _, h := range f.Plan.Holds() {
		for _, user := range h.Keeps {
			c.holds[user] = limited(h.Reason)
		}
	}
	if f.Asked != nil {
		for _, s := range f.Asked.Statuses {
			c.statuses[s.Node+"/"+s.Profile] = s
		}
	}
	c.ids = ids{node: numbered("node", f.Plan.NodeNames()), user: numbered("env", sorted(f.Plan.Environments)), host: map[string]string{}}
	hosts := map[string]bool{}
	for _, e := range f.Plan.Environments {
		for host := range e.VirtualHosts {
			hosts[host] = true
		}
	}
	c.ids.host = numbered("name", sorted(hosts))
	return c
}

func numbered(prefix string, names []string) map[string]string {
	all := make(map[string]string, len(names))
	for i, name := range names {
		all[name] = id(prefix, name, i)
	}
	return all
}

// A Held is why the last plan left an environment as it was.
type Held struct{ Reason string }

// heldBack returns the environments that a plan left as they were, by user name, and
// the projects that it held back and has no environment of.
func heldBack(d plan.Document) (environments map[string]Held, absent []Item) {
	environments = map[string]Held{}
	for _, h := range d.Held() {
		var reasons []string
		for _, err := range problem.Leaves(h.Reason) {
			reasons = append(reasons, err.Error())
		}
		reason := limited(strings.Join(reasons, "; "))
		if len(h.Keeps) == 0 {
			absent = append(absent, Item{h.Project, "", reason})
		}
		for _, user := range h.Keeps {
			environments[user] = Held{reason}
		}
	}
	return environments, absent
}

// said returns an error's text, and its hint, which is ours.
func said(err error) (text, hint string) { return limited(err.Error()), problem.Hint(err) }
