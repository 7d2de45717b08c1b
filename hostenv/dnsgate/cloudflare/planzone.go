package cloudflare

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

var errWildcardTarget = errors.New("a wildcard cannot be a target")

// A change has all operations for one name. They go into one batch.
type change struct {
	host    string
	deletes []Record
	patches []Patch
	posts   []Record
}

func (c change) operations() int { return len(c.deletes) + len(c.patches) + len(c.posts) }

// A zonePlan computes the writes of one zone.
type zonePlan struct {
	zone   ZoneRecords
	cfg    Config
	byName map[string][]Record
	exists map[string]bool // names that have records, or names below them
}

// planZone plans names of a zone, normalised and each once. The limit of a name is how
// many names its batch may have, at most MaxOperations.
func planZone(zone ZoneRecords, wanted []Want, cfg Config, limit func(host string) int) ([]Batch, []Outcome) {
	p := &zonePlan{zone: zone, cfg: cfg, byName: map[string][]Record{}, exists: map[string]bool{}}
	p.zone.Name = normal(zone.Name)
	for _, r := range slices.SortedFunc(slices.Values(zone.Records), func(a, b Record) int { return cmp.Compare(a.ID, b.ID) }) {
		name := normal(r.Name)
		p.byName[name] = append(p.byName[name], r)
		for ; name != "" && !p.exists[name]; name = parent(name) {
			p.exists[name] = true
		}
	}
	p.exists[p.zone.Name] = true

	var changes []change
	var outcomes []Outcome
	for _, w := range fromTheTop(wanted) {
		c, o := p.host(w)
		if w.AdoptOnly && o.Kind != Adopted {
			c, o = change{}, Outcome{Host: w.Host, Target: w.Target, Zone: p.zone.Name, Kind: Unchanged}
		}
		if c.operations() > MaxOperations {
			c, o.Kind, o.Reason = change{}, Refused, ReasonTooManyRecords
		}
		if c.operations() > 0 {
			changes = append(changes, c)
		}
		if len(c.posts) > 0 && limit(w.Host) == MaxOperations {
			p.exists[w.Host] = true // before the names below it do
		}
		outcomes = append(outcomes, o)
	}
	return p.batches(changes, limit), outcomes
}

// fromTheTop sorts names so that each follows the names above it.
func fromTheTop(wanted []Want) []Want {
	return slices.SortedFunc(slices.Values(wanted), func(a, b Want) int {
		return cmp.Or(cmp.Compare(strings.Count(a.Host, "."), strings.Count(b.Host, ".")), cmp.Compare(a.Host, b.Host))
	})
}

// host plans one name.
func (p *zonePlan) host(w Want) (change, Outcome) {
	o := Outcome{Host: w.Host, Target: w.Target, Zone: p.zone.Name, Kind: Upserted}
	c := change{host: w.Host}
	var own, foreign []Record
	for _, r := range p.byName[w.Host] {
		if p.cfg.owns(r) {
			own = append(own, r)
		} else {
			foreign = append(foreign, r)
		}
	}
	if at, ok := p.delegation(w.Host); ok {
		o.Kind, o.Reason, o.Detail = Refused, ReasonDelegated, at
		return c, o
	}

	// Correct our own CNAME, even if others have added records beside it.
	if i := keeper(own, w.Target); i >= 0 {
		kept := own[i]
		c.deletes = slices.Delete(slices.Clone(own), i, i+1) // Cloudflare allows no other address record beside a CNAME
		if normal(kept.Content) != w.Target {
			c.patches = []Patch{{ID: kept.ID, Name: kept.Name, Set: Fields{Content: &w.Target}, Was: Fields{Content: &kept.Content}}}
		}
		if c.operations() == 0 {
			o.Kind = Unchanged
		}
		return c, o
	}

	if len(foreign) > 0 {
		return p.occupied(w, o, own, foreign)
	}
	post := Record{Name: w.Host, Type: "CNAME", Content: w.Target, Comment: p.cfg.Comment(), TTL: 1}
	if len(own) > 0 {
		post.TTL, post.Proxied, post.Tags = max(own[0].TTL, 1), own[0].Proxied, own[0].Tags
	} else if at, ok := p.loses(w.Host); ok {
		o.Kind, o.Reason, o.Detail = Refused, ReasonBelowWildcard, at
		return c, o
	}
	c.deletes, c.posts = own, []Record{post}
	return c, o
}

// keeper returns the index of our own record to keep: a CNAME, with the right target
// if there is one; -1 if there is no CNAME.
func keeper(own []Record, target string) int {
	i := slices.IndexFunc(own, func(r Record) bool { return r.Type == "CNAME" && normal(r.Content) == target })
	if i < 0 {
		i = slices.IndexFunc(own, func(r Record) bool { return r.Type == "CNAME" })
	}
	return i
}

// occupied decides on a name with foreign records and no CNAME of our own.
func (p *zonePlan) occupied(w Want, o Outcome, own, foreign []Record) (change, Outcome) {
	c := change{host: w.Host}
	o.Kind, o.Records = Foreign, foreign
	address := slices.ContainsFunc(foreign, func(r Record) bool { return isAddress(r.Type) })
	right := slices.IndexFunc(foreign, func(r Record) bool { return r.Type == "CNAME" && normal(r.Content) == w.Target })
	switch {
	case slices.ContainsFunc(foreign, p.cfg.ofAnotherProvider):
		o.Reason = ReasonOtherProvider
	case right >= 0 && p.cfg.Adopt:
		r, comment := foreign[right], p.cfg.Comment()
		c.patches = []Patch{{ID: r.ID, Name: r.Name, Set: Fields{Comment: &comment}, Was: Fields{Comment: &r.Comment}}}
		c.deletes = own // they have other types, which Cloudflare does not allow beside a CNAME
		o.Kind, o.Records = Adopted, nil
	case right >= 0:
		o.Reason = ReasonAlreadyRight
	case !address && w.Host == p.zone.Name:
		o.Kind = ApexConflict
	}
	return c, o
}

// delegation returns the name whose NS records move host into another zone: host or a
// name above it, below the zone's own name.
func (p *zonePlan) delegation(host string) (string, bool) {
	for name := host; name != p.zone.Name && name != ""; name = parent(name) {
		if slices.ContainsFunc(p.byName[name], func(r Record) bool { return r.Type == "NS" }) {
			return name, true
		}
	}
	return "", false
}

// loses returns a name above host that a wildcard answers for now, and would no longer
// answer for: a record below it makes it exist, and wildcards do not answer for names
// that exist (RFC 4592, section 2.2.2).
func (p *zonePlan) loses(host string) (string, bool) {
	if p.exists[host] {
		return "", false
	}
	for name := parent(host); name != p.zone.Name && name != "" && !p.exists[name]; name = parent(name) {
		encloser := parent(name)
		for !p.exists[encloser] {
			encloser = parent(encloser)
		}
		if len(p.byName["*."+encloser]) > 0 {
			return name, true
		}
	}
	return "", false
}

// batches puts whole changes into as few batches as the limits allow.
func (p *zonePlan) batches(changes []change, limit func(host string) int) []Batch {
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(limit(b.host), limit(a.host)) })
	var batches []Batch
	names := 0
	for _, c := range changes {
		last := len(batches) - 1
		if last < 0 || names >= limit(c.host) || batches[last].Operations()+c.operations() > MaxOperations {
			batches = append(batches, Batch{ZoneID: p.zone.ID, Zone: p.zone.Name})
			last, names = last+1, 0
		}
		b := &batches[last]
		b.Deletes = append(b.Deletes, c.deletes...)
		b.Patches = append(b.Patches, c.patches...)
		b.Posts = append(b.Posts, c.posts...)
		names++
	}
	return batches
}
