package review

import (
	"maps"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// A Pair is two commits of one repository. Kind and URL are those of fetchTree.
type Pair struct{ Kind, URL, From, To string }

// Commits are the commits between a pair.
type Commits struct {
	Number   int      // how many the later one has, and the earlier one lacks; 0 if that is not known
	More     bool     // there are more than Number
	Dropped  int      // how many the earlier one has, and the later one lacks
	Subjects []string // of the newest, as the customer wrote them
}

// MaxSubjects is how many subjects of commits a review has of a source.
const MaxSubjects = 20

func (c Commits) value() map[string]any {
	v := map[string]any{"subjects": slices.Clone(c.Subjects)}
	if c.Number > 0 {
		v["number"] = c.Number
	}
	if c.More {
		v["more"] = true
	}
	if c.Dropped > 0 {
		v["dropped"] = c.Dropped
	}
	return v
}

// Pairs returns the pairs of which a review of two versions shows the commits, each
// once.
func Pairs(before, after Version) []Pair {
	if before.Plan == nil || after.Plan == nil {
		return nil
	}
	c := &comparison{before: before, after: after, touched: map[string]bool{}, former: map[string]string{}}
	c.states()
	seen := map[Pair]bool{}
	var pairs []Pair
	for _, user := range slices.Sorted(maps.Keys(after.Plan.Environments)) {
		pair, ok := pairOf(before.Plan.Environments[c.earlier(user)].Source, after.Plan.Environments[user].Source)
		if ok && !seen[pair] {
			seen[pair] = true
			pairs = append(pairs, pair)
		}
	}
	return pairs
}

// pairOf returns the two commits of a source, and false if they are not of one
// repository, or equal.
func pairOf(was, now *plan.Source) (Pair, bool) {
	if was == nil || now == nil || was.Rev == "" || now.Rev == "" || was.Rev == now.Rev || repository(was) != repository(now) {
		return Pair{}, false
	}
	return Pair{Kind: attribute(now, "type"), URL: attribute(now, "url"), From: was.Rev, To: now.Rev}, true
}

// repository are the attributes of a source but its ref.
func repository(s *plan.Source) string { return string(s.Attrs.Without("ref", "dir").Value()) }

func attribute(s *plan.Source, name string) string {
	text, _ := canonjson.Text(s.Attrs.Get(name))
	return text
}

// source adds the change of an environment's source, and reports whether there is
// one.
func (c *comparison) source(user string, was, now plan.Environment) bool {
	old, new := was.Source, now.Source
	if old == nil && new == nil || (old == nil || new == nil) && was.Runs() != now.Runs() {
		return false // the source of a disabled environment is not locked
	}
	change := state.Change{Kind: KindSource, Key: user, Action: state.Update, Before: locked(old), After: locked(new)}
	pair, ok := pairOf(old, new)
	switch {
	case old == nil:
		change.Reason = ReasonLocked
	case new == nil:
		change.Reason = ReasonUnlocked
	case old.Rev == new.Rev && old.NarHash == new.NarHash && string(old.Attrs.Value()) == string(new.Attrs.Value()):
		return false
	case repository(old) != repository(new) || attribute(old, "dir") != attribute(new, "dir"):
		change.Reason = ReasonRepository
		change.Before["source"], change.After["source"] = string(old.Attrs.Value()), string(new.Attrs.Value())
	case attribute(old, "ref") != attribute(new, "ref"):
		change.Reason = ReasonRef
	case ok:
		change.Reason = ReasonCommits
	default:
		change.Reason = ReasonContent
		change.Before["narHash"], change.After["narHash"] = old.NarHash, new.NarHash
	}
	c.add(user, change)
	if commits, known := c.commits[pair]; ok && known {
		c.changes[len(c.changes)-1].Commits = &commits
	}
	return true
}

func locked(s *plan.Source) state.Fields {
	if s == nil {
		return nil
	}
	fields := state.Fields{}
	if s.Rev != "" {
		fields["rev"] = s.Rev
	}
	if ref := attribute(s, "ref"); ref != "" {
		fields["ref"] = ref
	}
	return fields
}
