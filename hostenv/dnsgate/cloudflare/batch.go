package cloudflare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"

	"golang.org/x/net/idna"
)

// A Batch has the changes of one call: to one zone, in one transaction, in the order of
// the fields. It has no PUTs, which would reset the fields that they do not name.
type Batch struct {
	ZoneID  string   `json:"zoneId"`
	Zone    string   `json:"zone"`
	Deletes []Record `json:"deletes,omitempty"`
	Patches []Patch  `json:"patches,omitempty"`
	Posts   []Record `json:"posts,omitempty"`
}

// A Patch changes some fields of a record.
type Patch struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Set  Fields `json:"set"`
	Was  Fields `json:"was"`
}

// Fields are the fields that a Patch may change; nil is no change.
type Fields struct {
	Content *string `json:"content,omitempty"`
	Comment *string `json:"comment,omitempty"`
}

// Operations returns the number of operations that Cloudflare counts.
func (b Batch) Operations() int { return len(b.Deletes) + len(b.Patches) + len(b.Posts) }

// Hosts returns the names of the batch, sorted.
func (b Batch) Hosts() []string {
	var hosts []string
	for _, r := range slices.Concat(b.Deletes, b.Posts) {
		hosts = append(hosts, normal(r.Name))
	}
	for _, p := range b.Patches {
		hosts = append(hosts, normal(p.Name))
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// Inverse returns the batch that reverts b. The records that b posts have no id before
// Cloudflare creates them, so its Deletes have them without an id (see
// [Batch.WithPosted]): find them by name, type, content and comment.
func (b Batch) Inverse() Batch {
	inverse := Batch{ZoneID: b.ZoneID, Zone: b.Zone, Deletes: slices.Clone(b.Posts)}
	for _, p := range b.Patches {
		p.Set, p.Was = p.Was, p.Set
		inverse.Patches = append(inverse.Patches, p)
	}
	for _, r := range b.Deletes {
		r.ID = ""
		inverse.Posts = append(inverse.Posts, r)
	}
	return inverse
}

// WithPosted returns b with the ids of its posts.
func (b Batch) WithPosted(posted []Record) Batch {
	b.Posts = slices.Clone(b.Posts)
	for i := range min(len(posted), len(b.Posts)) {
		b.Posts[i].ID = posted[i].ID
	}
	return b
}

// String lists the operations, a line each, for a dry run.
func (b Batch) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "POST /zones/%s/dns_records/batch (%s, %d operations)", problem.Line(b.ZoneID), problem.Line(b.Zone), b.Operations())
	for _, r := range b.Deletes {
		fmt.Fprintf(&s, "\n  delete %s %s %s", problem.Line(r.Name), problem.Line(r.Type), problem.Line(r.Content))
	}
	for _, p := range b.Patches {
		fmt.Fprintf(&s, "\n  patch  %s", problem.Line(p.Name))
		for _, f := range []struct {
			name     string
			was, set *string
		}{{"content", p.Was.Content, p.Set.Content}, {"comment", p.Was.Comment, p.Set.Comment}} {
			if f.set != nil && f.was != nil {
				fmt.Fprintf(&s, " %s %q -> %q", f.name, *f.was, *f.set)
			}
		}
	}
	for _, r := range b.Posts {
		fmt.Fprintf(&s, "\n  post   %s %s %s", problem.Line(r.Name), problem.Line(r.Type), problem.Line(r.Content))
	}
	return s.String()
}

// normal returns the form of a name in DNS that comparisons use. Cloudflare names
// international zones in Unicode, and their records in Punycode.
func normal(name string) string {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if ascii, err := idna.Punycode.ToASCII(name); err == nil {
		return ascii
	}
	return name
}
