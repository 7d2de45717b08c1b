package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
)

// A Locked is a source at one moment. With it Nix fetches the same content again,
// and refuses other content.
type Locked struct {
	Rev          string // the commit; "" where the kind of source has none
	NarHash      string // SRI
	LastModified int64  // seconds since 1970
}

// Sources are locked sources by [SourceRequest.Key], and those of one environment alone
// by its user and the key.
type Sources map[string]Locked

// A SourceRequest asks for one source to be locked.
type SourceRequest struct {
	// Key identifies the source among those of an inventory.
	Key string
	// Attrs are the arguments of builtins.fetchTree, and dir, the folder of the
	// flake in the tree, which is not such an argument.
	Attrs map[string]any
	// Environments are those with this source, as organisation__project/environment.
	Environments []string
}

// Projects returns the projects of the environments, each once, sorted.
func (r SourceRequest) Projects() []string {
	var inputs []string
	for _, ref := range r.Environments {
		input, _, _ := strings.Cut(ref, "/")
		inputs = append(inputs, input)
	}
	slices.Sort(inputs)
	return slices.Compact(inputs)
}

// SourceRequests returns the sources of all enabled environments that are to be
// planned anew, each once, in the order of their keys. A disabled environment is not
// built, and its branch is often gone.
func (inv *Inventory) SourceRequests() []SourceRequest {
	requests := map[string]SourceRequest{}
	for _, e := range inv.environments() {
		if !e.Enable || inv.Provider.Hold[e.Input] != "" || !inv.Only.selects(e.Input, e.UserName) {
			continue
		}
		attrs := e.fetch()
		key := sourceKey(attrs)
		r := requests[key]
		if r.Attrs == nil {
			r.Key, r.Attrs = key, canonjson.Tree(attrs.Value()).(map[string]any)
		}
		r.Environments = append(r.Environments, e.Ref())
		requests[key] = r
	}
	sorted := make([]SourceRequest, 0, len(requests))
	for _, key := range slices.Sorted(maps.Keys(requests)) {
		sorted = append(sorted, requests[key])
	}
	return sorted
}

func sourceKey(attrs canonjson.Object) string { return string(attrs.Value()) }

// repo is the input's own reference with the environment's git ref, as the legacy
// generator writes it.
func (e *EvaluatedEnvironment) repo() jsontext.Value {
	return e.project.original.With("ref", canonjson.Marshal(e.GitRef)).Value()
}

// pinned are the attributes of a reference that choose a version. The ref of the
// environment replaces them. allRefs would fetch every branch, and revCount needs
// the whole history.
var pinned = []string{"ref", "rev", "narHash", "lastModified", "lastModifiedDate", "revCount", "allRefs"}

// fetch returns the reference of the environment's source: the input's, at the
// environment's git ref if the source is of a kind that has refs.
func (e *EvaluatedEnvironment) fetch() canonjson.Object {
	attrs := e.project.fetch.Without(pinned...)
	switch kind, _ := canonjson.Text(attrs.Get("type")); kind {
	case "git", "github", "gitlab", "sourcehut", "hg":
		attrs = attrs.With("ref", canonjson.Marshal(e.GitRef))
	}
	return attrs
}

// source returns environments.<userName>.source, nil if it is not locked.
func (c *computation) source(e *placed) *Source {
	if len(c.sources) > 0 {
		attrs := e.fetch()
		key := sourceKey(attrs)
		locked, ok := c.sources[e.UserName+key]
		if !ok {
			locked, ok = c.sources[key]
		}
		if ok {
			return &Source{Rev: locked.Rev, NarHash: locked.NarHash, LastModified: &locked.LastModified, Attrs: attrs}
		}
	}
	if e.Enable {
		c.unlocked = append(c.unlocked, e.UserName)
	}
	return nil
}

// warnUnlocked warns of the environments without a locked source, in one warning.
func (c *computation) warnUnlocked() {
	if len(c.unlocked) == 0 {
		return
	}
	named, more := c.unlocked, ""
	if len(named) > 5 {
		named, more = named[:5], fmt.Sprintf(" and %d more", len(named)-5)
	}
	c.warn("sources", fmt.Sprintf("Nix will refuse to build %s%s: no locked source; run `mage plan` without -locked and -inventory",
		strings.Join(named, ", "), more))
}

// Fetch returns the arguments of builtins.fetchTree, and dir; nil for no source.
func (s *Source) Fetch() map[string]any {
	if s == nil {
		return nil
	}
	arguments, _ := canonjson.Tree(canonjson.Marshal(*s)).(map[string]any)
	return arguments
}
