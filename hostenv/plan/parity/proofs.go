package parity

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
)

// A Comparison explains the differences between two sides.
type Comparison struct {
	before, after Documents
	sharedUIDs    map[int64]bool // UIDs of several environments before
}

// NewComparison prepares a comparison.
func NewComparison(before, after Documents) *Comparison {
	c := &Comparison{before: before, after: after, sharedUIDs: map[int64]bool{}}
	for _, entries := range []map[string]any{object(before.Plan, "environments"), before.State} {
		seen := map[int64]bool{}
		for name, entry := range entries {
			uid, ok := get(entry, "uid").(int64)
			if !ok || strings.HasPrefix(name, "_") {
				continue
			}
			c.sharedUIDs[uid] = c.sharedUIDs[uid] || seen[uid]
			seen[uid] = true
		}
	}
	return c
}

// Differences returns those of the plans, then those of the states.
func (c *Comparison) Differences() []Difference {
	return append(
		Differences("plan", nil, c.before.Plan, c.after.Plan),
		Differences("state", nil, c.before.State, c.after.State)...)
}

// Explain returns the rows that explain a difference: a pattern matches it, and the
// proof holds if the row has one.
func (c *Comparison) Explain(d Difference) []*Row {
	var explained []*Row
	for _, row := range Rows() {
		if proof := proofs[row.ID]; row.matches(d) && (proof == nil || proof(c, d)) {
			explained = append(explained, row)
		}
	}
	return explained
}

// proofs has a condition for each row whose patterns alone would allow too much.
// (init fills it, because a proof may call Explain.)
var proofs map[string]func(*Comparison, Difference) bool

func init() {
	proofs = map[string]func(*Comparison, Difference) bool{
		"dense-uids":           (*Comparison).denseUIDs,
		"name-moves":           (*Comparison).nameMoves,
		"nginx-options":        (*Comparison).nginxOptions,
		"front-door-form":      (*Comparison).frontDoorForm,
		"own-root-location":    (*Comparison).ownRootLocation,
		"disabled":             (*Comparison).disabled,
		"keys-once":            (*Comparison).keysOnce,
		"no-deploy-keys":       (*Comparison).noDeployKeys,
		"root-relative":        (*Comparison).rootRelative,
		"api-token":            (*Comparison).apiToken,
		"empty-nodes":          (*Comparison).emptyNodes,
		"wildcard-certificate": (*Comparison).wildcardCertificate,
		"normalised-names":     (*Comparison).normalisedNames,
		"certificate-name":     (*Comparison).certificateName,
		"gated-certificate":    (*Comparison).gatedCertificate,
		"same-proxy":           (*Comparison).sameProxy,
		"no-previous-node":     func(_ *Comparison, d Difference) bool { return d.Before == nil },
		"connection":           (*Comparison).connection,
		"node-options":         (*Comparison).nodeOptions,
		"paths":                (*Comparison).paths,
		"remote-build":         (*Comparison).remoteBuild,
		"node-provider":        (*Comparison).nodeProvider,
		"node-modules":         (*Comparison).nodeModules,
		"http2":                func(_ *Comparison, d Difference) bool { return d.Before == true }, // NixOS's default
		"security-headers":     (*Comparison).securityHeaders,
	}
}

// denseUIDs: several environments had the UID before, or the name of the unit
// contains such a UID or its replacement.
func (c *Comparison) denseUIDs(d Difference) bool {
	i := slices.IndexFunc(d.Path, func(name string) bool { return strings.HasPrefix(name, "user@") })
	if i < 0 {
		uid, ok := d.Before.(int64)
		return ok && c.sharedUIDs[uid]
	}
	uid, err := strconv.ParseInt(strings.TrimPrefix(d.Path[i], "user@"), 10, 64)
	if err != nil {
		return false
	}
	if d.Kind == Removed {
		return c.sharedUIDs[uid]
	}
	for user, environment := range object(c.after.Plan, "environments") {
		was, _ := get(c.before.Plan, "environments", user, "uid").(int64)
		if get(environment, "uid") != uid || !c.sharedUIDs[was] {
			continue
		}
		unit := get(c.after.Plan, d.Path[:i+1]...)
		return get(unit, "serviceConfig", "Slice") == sliceOf(user, environment)+"-"+strconv.FormatInt(uid, 10)+".slice"
	}
	return false
}

// sliceOf returns the slice of an environment's project, without ".slice".
func sliceOf(user string, environment any) string {
	organisation, _ := get(environment, "hostenv", "organisation").(string)
	slug, _, _ := strings.Cut(user, "-")
	return "user-" + organisation + "-" + slug
}

// nameMoves: another entry of the project has every name that this one lost.
func (c *Comparison) nameMoves(d Difference) bool {
	before, after := texts(d.Before), texts(d.After)
	user := d.Path[0]
	for _, name := range before {
		if !slices.Contains(after, name) && !c.ownedInProject(name, user) {
			return false
		}
	}
	return !slices.ContainsFunc(after, func(name string) bool { return !slices.Contains(before, name) })
}

func (c *Comparison) ownedInProject(name, user string) bool {
	for other, entry := range c.after.State {
		if other != user && slices.Contains(texts(get(entry, "virtualHosts")), name) &&
			get(entry, "organisation") == get(c.after.State, user, "organisation") &&
			get(entry, "project") == get(c.after.State, user, "project") {
			return true
		}
	}
	return false
}

// noIndexing is nginx's line for allowIndexing = false.
const noIndexing = "add_header X-Robots-Tag \"noindex\" always;\n"

// nginxOptions: the only addition is the header that forbids indexing, where the
// project forbids it, after the project's own lines.
func (c *Comparison) nginxOptions(d Difference) bool {
	if d.Kind == Removed {
		return true
	}
	before, _ := d.Before.(string)
	host := d.Path[:len(d.Path)-1]
	return d.After == before+noIndexing && get(c.before.Plan, append(slices.Clone(host), "allowIndexing")...) == false
}

// frontDoorForm: what is removed had no value, and what is added is the default.
func (c *Comparison) frontDoorForm(d Difference) bool {
	if d.Kind == Removed {
		return isUnset(d.Before)
	}
	return d.After == nil || d.Path[len(d.Path)-1] == "redirectCode" && d.After == int64(301)
}

// isUnset reports whether a value is null, or holds nothing else.
func isUnset(v any) bool {
	members, isObject := v.(map[string]any)
	for _, member := range members {
		if !isUnset(member) {
			return false
		}
	}
	return v == nil || isObject
}

// ownRootLocation: the location had only the generator's proxy, and has no proxy
// now. (A proxy that the project declares is unexpected, because one to another
// customer looks the same.)
func (c *Comparison) ownRootLocation(d Difference) bool {
	location := d.Path[:slices.Index(d.Path, "/")+1]
	before, after := object(c.before.Plan, location...), object(c.after.Plan, location...)
	to, _ := before["proxyPass"].(string)
	return len(before) == 2 && before["recommendedProxySettings"] == true &&
		strings.HasPrefix(to, "http://") && strings.HasSuffix(to, "_upstream") && after["proxyPass"] == nil
}

// disabled: the removed member belonged to a disabled environment.
func (c *Comparison) disabled(d Difference) bool {
	node := d.Path[1]
	var others bool // an environment of the node that is not disabled
	theirs := map[string]bool{}
	for user, environment := range object(c.before.Plan, "environments") {
		if get(environment, "node") != node {
			continue
		}
		if get(environment, "enable") != false || get(c.after.Plan, "environments", user, "enable") != false {
			others = true
			continue
		}
		theirs[user] = true
		if uid, ok := get(environment, "uid").(int64); ok {
			theirs["user@"+strconv.FormatInt(uid, 10)] = true
		}
		for host := range object(environment, "virtualHosts") {
			theirs[host] = true
		}
		slice := sliceOf(user, environment)
		theirs[slice], theirs[slice+"-"], theirs[slice[:strings.LastIndex(slice, "-")+1]] = true, true, true
	}
	if len(d.Path) == 2 {
		return len(theirs) > 0 && !others
	}
	return theirs[d.Path[len(d.Path)-1]]
}

// keysOnce: only repetitions were removed.
func (c *Comparison) keysOnce(d Difference) bool {
	before := texts(d.Before)
	kept := once(before)
	return len(kept) < len(before) && slices.Equal(kept, texts(d.After))
}

// noDeployKeys: only the keys after the environment's own were removed, and these
// were the same in every environment.
func (c *Comparison) noDeployKeys(d Difference) bool {
	user := d.Path[4]
	before, own := texts(d.Before), texts(get(c.before.Plan, "environments", user, "authorizedKeys"))
	if len(before) <= len(own) || !slices.Equal(before[:len(own)], own) || !slices.Equal(texts(d.After), once(own)) {
		return false
	}
	deploy := before[len(own):]
	for _, node := range object(c.before.Plan, "nodes") {
		for other, u := range object(node, "users", "users") {
			theirs := texts(get(c.before.Plan, "environments", other, "authorizedKeys"))
			if !slices.Equal(texts(get(u, "openssh", "authorizedKeys", "keys")), slices.Concat(theirs, deploy)) {
				return false
			}
		}
	}
	return true
}

// once returns the list without repetitions.
func once(list []string) []string {
	var kept []string
	for _, item := range list {
		if !slices.Contains(kept, item) {
			kept = append(kept, item)
		}
	}
	return kept
}

func inStore(v any) bool {
	text, _ := v.(string)
	_, _, ok := names.CutStorePath(text)
	return ok
}

// rootRelative: a store path became the same path relative to the project's source.
func (c *Comparison) rootRelative(d Difference) bool {
	before, _ := d.Before.(string)
	after, ok := d.After.(string)
	_, below, inStore := names.CutStorePath(before)
	return ok && inStore && after == cmp.Or(strings.TrimPrefix(below, "/"), ".")
}

// apiToken: the token was in the store or not set, or the plan names it by a key.
func (c *Comparison) apiToken(d Difference) bool {
	if d.Kind == Added {
		return true
	}
	_, named := get(c.after.Plan, "cloudflare", "apiTokenSecret").(string)
	return d.After == nil && (d.Before == nil || inStore(d.Before) || named)
}

// emptyNodes: no environment runs on the node.
func (c *Comparison) emptyNodes(d Difference) bool {
	for _, environment := range object(c.after.Plan, "environments") {
		if get(environment, "node") == d.Path[1] && get(environment, "enable") != false {
			return false
		}
	}
	return true
}

// wildcardCertificate: the host is a wildcard, and no longer asks for a certificate.
func (c *Comparison) wildcardCertificate(d Difference) bool {
	if !strings.HasPrefix(d.Path[len(d.Path)-2], "*.") {
		return false
	}
	if d.Kind == Changed {
		return d.Before == true && d.After == false
	}
	before, after := c.host(d)
	return before["enableLetsEncrypt"] == true && after["enableACME"] == false && after["forceSSL"] == false
}

// normalisedNames: the other side has the same name in another spelling, and rows
// explain all differences below it.
func (c *Comparison) normalisedNames(d Difference) bool {
	if d.Document == "state" {
		var hosts []string
		for _, name := range texts(d.Before) {
			host, err := names.ParseHost(name)
			if err != nil {
				return false
			}
			hosts = append(hosts, string(host))
		}
		slices.Sort(hosts)
		return slices.Equal(slices.Compact(hosts), texts(d.After))
	}
	hosts, name := d.Path[:len(d.Path)-1], d.Path[len(d.Path)-1]
	before, after := object(c.before.Plan, hosts...), object(c.after.Plan, hosts...)
	spellings := slices.Collect(maps.Keys(before))
	if d.Kind == Removed {
		spellings = []string{name}
	}
	for _, spelling := range spellings {
		host, err := names.ParseHost(spelling)
		normal := string(host)
		if err != nil || normal == spelling || d.Kind == Added && normal != name || after[normal] == nil {
			continue
		}
		// Proofs look up both sides by path, so move the old host to the path of
		// the new one.
		renamed := Comparison{before: Documents{Plan: moved(c.before.Plan, hosts, spelling, normal)}, after: c.after, sharedUIDs: c.sharedUIDs}
		path := append(slices.Clone(hosts), normal)
		if !slices.ContainsFunc(Differences("plan", path, before[spelling], after[normal]), func(d Difference) bool { return len(renamed.Explain(d)) == 0 }) {
			return true
		}
	}
	return false
}

// moved returns v with the member at path and from under another name.
func moved(v map[string]any, path []string, from, to string) map[string]any {
	v = maps.Clone(v)
	if len(path) == 0 {
		v[to] = v[from]
		delete(v, from)
		return v
	}
	inner, _ := v[path[0]].(map[string]any)
	v[path[0]] = moved(inner, path[1:], from, to)
	return v
}

// get returns the value at a path, or nil.
func get(v any, path ...string) any {
	for _, name := range path {
		v = object(v)[name]
	}
	return v
}

// object returns the object at a path, or nil.
func object(v any, path ...string) map[string]any {
	if len(path) > 0 {
		v = get(v, path...)
	}
	o, _ := v.(map[string]any)
	return o
}

// texts returns a list's strings.
func texts(v any) []string {
	list, _ := v.([]any)
	var texts []string
	for _, item := range list {
		if text, ok := item.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}
