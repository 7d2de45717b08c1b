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
	Today string `json:"today"` // what the legacy generator does, "" if it has no such feature
	Now   string `json:"now"`
	// Differences are patterns of [Difference.String], "document kind pointer".
	// In a member's name * matches any text; a member ** matches any number of
	// members.
	Differences []string `json:"differences"`
	// Error is a regular expression for the text of our error, where the legacy
	// generator makes a plan or has a less clear error.
	Error string `json:"error"`
	// Scenarios are for tests only: the numbers of the scenarios of golden/ in
	// which the row must occur. It must not occur in others. Without any, it may
	// occur everywhere.
	Scenarios []string `json:"scenarios"`
	// Tests name a test of a row without a scenario: "file: text in the file".
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
			return nil, fmt.Errorf("the row %q needs a unique id, and the field now", row.ID)
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

// Refuses reports whether the row explains an error with this text.
func (r *Row) Refuses(text string) bool { return r.refusal != nil && r.refusal.MatchString(text) }

// matches reports whether one of the row's patterns matches a difference.
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
		return pattern{}, fmt.Errorf("the pattern %q: %q is not a kind of difference", text, p.kind)
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
