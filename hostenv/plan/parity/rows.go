package parity

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/woolwichweb/hostenv-provider/golden"
)

// A Row is one deliberate difference from the legacy generator.
type Row struct {
	ID    string `json:"id"`
	Today string `json:"today"` // what that does, "" where it knows nothing of the kind
	Now   string `json:"now"`
	// Differences are where it shows: "document kind pointer", as
	// [Difference.String] writes it. In a member's name * stands for any text;
	// a member ** stands for any number of members.
	Differences []string `json:"differences"`
	// Error is a regular expression of what the refusal says, where today's
	// generator makes a plan or says something less clear.
	Error string `json:"error"`
	// Scenarios restrict tests only: the scenarios of golden/, by number, in
	// which the row must be seen, and outside of which it must not be. Without
	// any it may be seen everywhere.
	Scenarios []string `json:"scenarios"`
	// Tests show a row that no scenario can: "file: text that stands there".
	Tests []string `json:"tests"`

	patterns []pattern
	refusal  *regexp.Regexp
}

// Rows returns the rows of golden/parity.json, in their order. They are shared:
// do not change them.
func Rows() []*Row { return rows() }

var rows = sync.OnceValue(func() []*Row {
	rows, err := decodeRows(golden.Parity)
	if err != nil {
		panic("golden/parity.json: " + err.Error()) // it is embedded
	}
	return rows
})

func decodeRows(data []byte) ([]*Row, error) {
	var rows []*Row
	if err := json.Unmarshal(data, &rows); err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, row := range rows {
		if row.ID == "" || ids[row.ID] || row.Now == "" {
			return nil, fmt.Errorf("the row %q needs an id of its own, and what is now", row.ID)
		}
		ids[row.ID] = true
		for _, text := range row.Differences {
			p, err := newPattern(text)
			if err != nil {
				return nil, fmt.Errorf("the row %q: %w", row.ID, err)
			}
			row.patterns = append(row.patterns, p)
		}
		if row.Error == "" {
			continue
		}
		var err error
		if row.refusal, err = regexp.Compile(row.Error); err != nil {
			return nil, fmt.Errorf("the row %q: %w", row.ID, err)
		}
	}
	return rows, nil
}

// Refuses tells whether the row is why an error with this text is made.
func (r *Row) Refuses(text string) bool { return r.refusal != nil && r.refusal.MatchString(text) }

// IsRefusal tells whether the row is about what is refused, and not about what
// is planned.
func (r *Row) IsRefusal() bool { return r.refusal != nil }

// matches tells whether one of the row's patterns is that of a difference.
func (r *Row) matches(d Difference) bool {
	for _, p := range r.patterns {
		if p.document == d.Document && p.kind == d.Kind && p.matches(d.Path) {
			return true
		}
	}
	return false
}

type pattern struct {
	document string
	kind     Kind
	members  []*regexp.Regexp // nil stands for **
}

func newPattern(text string) (pattern, error) {
	fields := strings.SplitN(text, " ", 3)
	if len(fields) != 3 || !strings.HasPrefix(fields[2], "/") {
		return pattern{}, fmt.Errorf("the pattern %q is not \"document kind /pointer\"", text)
	}
	p := pattern{document: fields[0], kind: Kind(fields[1])}
	switch p.kind {
	case Added, Removed, Changed:
	default:
		return pattern{}, fmt.Errorf("the pattern %q: %q is no kind of a difference", text, p.kind)
	}
	for _, member := range strings.Split(fields[2][1:], "/") {
		if member == "**" {
			p.members = append(p.members, nil)
			continue
		}
		quoted := regexp.QuoteMeta(unescape.Replace(member))
		p.members = append(p.members, regexp.MustCompile("(?s)^"+strings.ReplaceAll(quoted, `\*`, ".*")+"$"))
	}
	return p, nil
}

func (p pattern) matches(path []string) bool { return matchMembers(p.members, path) }

func matchMembers(members []*regexp.Regexp, path []string) bool {
	if len(members) == 0 {
		return len(path) == 0
	}
	if members[0] == nil {
		return matchMembers(members[1:], path) || len(path) > 0 && matchMembers(members, path[1:])
	}
	return len(path) > 0 && members[0].MatchString(path[0]) && matchMembers(members[1:], path[1:])
}
