package review

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// elsewhere are members of an environment that other changes show: its place and
// UID, its source, and what a deploy records.
var elsewhere = []string{"formerNames", "node", "placement", "previousNode", "repo", "source", "uid", "virtualHosts"}

// options adds the options of an environment that change.
func (c *comparison) options(user string, was, now plan.Environment, reason state.Reason) {
	skip := elsewhere
	if c.earlier(user) != user {
		skip = append(slices.Clone(skip), "hostenv") // every name of it follows the user's
	}
	for d := range differences(objectOf(was).Without(skip...), objectOf(now).Without(skip...)) {
		switch {
		case d.path[0] == "authorizedKeys" && !equal(objectOf(was).Get("users"), objectOf(now).Get("users")):
			// the users that have the keys show them
		case reason == ReasonSource && strings.Join(d.path, ".") == "hostenv.gitRef":
		default:
			c.option(user, d, reason)
		}
	}
	for _, host := range slices.Sorted(maps.Keys(now.VirtualHosts)) {
		old, had := was.VirtualHosts[host]
		if !had {
			if c.before.State.Entries[c.earlier(user)].Has(host) { // it was an alias
				c.option(user, difference{path: []string{"virtualHosts", host}, after: jsontext.Value("true")}, reason)
			}
			continue
		}
		for d := range differences(objectOf(old), objectOf(now.VirtualHosts[host])) {
			why := reason
			tls := slices.Contains([]string{"enableACME", "forceSSL", "useACMEHost"}, d.path[0])
			decided, decides := c.before.Plan.DNSGate[host].Decision, c.after.Plan.DNSGate[host].Decision
			switch {
			case tls && decided != decides && (decides == plan.GateOff || decided == plan.GateOff && decides == plan.GateOn):
				why = ReasonGate
			case tls && old.UseACMEHost != now.VirtualHosts[host].UseACMEHost:
				why = ReasonProvider // provider.wildcard
			case tls && decided != decides:
				why = ReasonGate
			}
			if generated(d.before, c.earlier(user)) && generated(d.after, user) {
				continue // it follows the user's name, or the redirect of the host
			}
			d.path = append([]string{"virtualHosts", host}, d.path...)
			c.option(user, d, why)
		}
	}
	for _, host := range slices.Sorted(maps.Keys(was.VirtualHosts)) {
		if _, has := now.VirtualHosts[host]; !has && c.after.State.Entries[user].Has(host) {
			c.option(user, difference{path: []string{"virtualHosts", host}, before: jsontext.Value("true")}, reason)
		}
	}
}

// generated reports whether a value is the plan's own location to an environment, or
// none.
func generated(v jsontext.Value, user string) bool {
	to := canonjson.Marshal("http://" + user + "_upstream")
	own := canonjson.Object{{Name: "proxyPass", Value: to}, {Name: "recommendedProxySettings", Value: jsontext.Value("true")}}
	return canonjson.IsNull(v) || equal(v, to) || equal(v, own.Value())
}

func (c *comparison) option(user string, d difference, reason state.Reason) {
	c.add(user, d.change(KindOption, user, reason))
}

// change returns the difference as a change of a key.
func (d difference) change(kind state.Kind, key string, reason state.Reason) state.Change {
	change := state.Change{Kind: kind, Key: key, Action: state.Update, Reason: reason}
	name := nixPath(d.path)
	before, after := d.values()
	if before != nil {
		change.Before = state.Fields{name: before}
	}
	if after != nil {
		change.After = state.Fields{name: after}
	}
	return change
}

// nodes adds what changes in the modules of nodes, unless the environment that it
// belongs to has a change that explains it.
func (c *comparison) nodes() {
	projects := slicesOf(c.after)
	uids := map[string]string{}
	hosts := map[string]string{}
	for user, e := range c.after.Plan.Environments {
		uids[fmt.Sprintf("user@%d", e.UID)] = user
		for host := range e.VirtualHosts {
			hosts[host] = user
		}
	}
	for _, node := range sorted(c.after.Plan.Nodes) {
		old, had := c.before.Plan.Nodes[node]
		if !had {
			continue
		}
		for d := range differences(objectOf(old), objectOf(c.after.Plan.Nodes[node])) {
			at := func(prefix ...string) (string, bool) {
				if len(d.path) <= len(prefix) {
					return "", false
				}
				for i, part := range prefix {
					if d.path[i] != part {
						return "", false
					}
				}
				return d.path[len(prefix)], true
			}
			user, isEnvironments := "", false
			if host, ok := at("services", "nginx", "virtualHosts"); ok && host != "default" {
				user, isEnvironments = hosts[host], true
			} else if name, ok := at("users", "users"); ok {
				user, isEnvironments = name, true
			} else if name, ok := at("users", "groups"); ok {
				user, isEnvironments = name, true
			} else if unit, ok := at("systemd", "services"); ok {
				user, isEnvironments = uids[unit], true
			} else if slice, ok := at("systemd", "slices"); ok {
				if len(d.path) > 3 {
					c.limits(node, slice, projects[slice], d)
				}
				continue // a slice comes and goes with its project
			}
			switch {
			case !isEnvironments:
				d.path = append([]string{"nodes", node}, d.path...)
				c.add("", d.change(KindProvider, node, ReasonProvider))
			case user == "" || c.touched[user]:
			case c.explained(user, node):
			default:
				d.path = append([]string{"nodes", node}, d.path...)
				c.changes = append(c.changes, c.of(user, d.change(KindOption, user, ReasonProvider)))
			}
		}
	}
}

// explained reports whether an environment comes to a node, leaves it, starts or
// stops.
func (c *comparison) explained(user, node string) bool {
	was, now := c.before.Plan.Environments[user], c.after.Plan.Environments[user]
	return (was.Node == node) != (now.Node == node) || was.Runs() != now.Runs()
}

func (c *comparison) of(user string, change state.Change) Change {
	e := c.after.State.Entries[user]
	return Change{Change: change, Organisation: e.Organisation, Project: e.Project, Environment: e.Environment, User: user}
}

// limits adds a limit of a project's slice.
func (c *comparison) limits(node, slice string, e state.Entry, d difference) {
	change := difference{path: d.path[len(d.path)-1:], before: d.before, after: d.after}.change(KindLimits, slice, ReasonProvider)
	for _, fields := range []state.Fields{change.Before, change.After} {
		if fields != nil {
			fields["node"] = node
		}
	}
	c.changes = append(c.changes, Change{Change: change, Organisation: e.Organisation, Project: e.Project})
}

// slicesOf returns an entry of the project of each slice.
func slicesOf(v Version) map[string]state.Entry {
	entries := map[string]state.Entry{}
	for user := range v.Plan.Environments {
		e := v.State.Entries[user]
		slug, _, _ := strings.Cut(user, "-")
		entries["user-"+e.Organisation+"-"+slug] = e
	}
	return entries
}

// provider adds what changes in the rest of the plan.
func (c *comparison) provider() {
	skip := []string{"dnsGate", "environments", "heldBack", "nodes", "profiles", "serial", "stateDigest"}
	for d := range differences(objectOf(*c.before.Plan).Without(skip...), objectOf(*c.after.Plan).Without(skip...)) {
		if d.path[0] == "nodeConnections" && len(d.path) == 2 {
			continue // a node comes and goes with its environments
		}
		c.add("", d.change(KindProvider, nixPath(d.path), ReasonProvider))
	}
}

// A difference is one value that two documents do not share. One of the two values
// is empty if only one document has it.
type difference struct {
	path          []string
	before, after jsontext.Value
}

// differences yields where two objects differ, down to values that are no objects.
// An object that one of the two lacks is one difference. A member that is null is
// the same as none.
func differences(before, after canonjson.Object) func(yield func(difference) bool) {
	return func(yield func(difference) bool) { walk(nil, before, after, yield) }
}

func walk(path []string, before, after canonjson.Object, yield func(difference) bool) bool {
	for len(before)+len(after) > 0 {
		var name string
		var a, b jsontext.Value
		switch {
		case len(after) == 0 || len(before) > 0 && before[0].Name < after[0].Name:
			name, a, before = before[0].Name, before[0].Value, before[1:]
		case len(before) == 0 || after[0].Name < before[0].Name:
			name, b, after = after[0].Name, after[0].Value, after[1:]
		default:
			name, a, b, before, after = before[0].Name, before[0].Value, after[0].Value, before[1:], after[1:]
		}
		if equal(a, b) {
			continue
		}
		below := append(slices.Clip(path), name)
		x, isObject := canonjson.ObjectOf(a)
		y, areObjects := canonjson.ObjectOf(b)
		if isObject && areObjects {
			if !walk(below, x, y, yield) {
				return false
			}
		} else if !yield(difference{below, a, b}) {
			return false
		}
	}
	return true
}

func equal(a, b jsontext.Value) bool {
	return string(a) == string(b) || canonjson.IsNull(a) && canonjson.IsNull(b)
}

func objectOf(v any) canonjson.Object {
	object, _ := canonjson.ObjectOf(canonjson.Marshal(v))
	return object
}

// values returns the values for a change. Of two lists it returns the elements that
// only one of them has.
func (d difference) values() (before, after any) {
	x, wasList := canonjson.ListOf(d.before)
	y, isList := canonjson.ListOf(d.after)
	lists := (wasList || canonjson.IsNull(d.before)) && (isList || canonjson.IsNull(d.after)) && (wasList || isList)
	if !lists {
		return plain(d.before), plain(d.after)
	}
	gone, added := without(x, y), without(y, x)
	if len(gone)+len(added) == 0 { // another order, or an element more than once
		return plain(d.before), plain(d.after)
	}
	if len(gone) > 0 {
		before = gone
	}
	if len(added) > 0 {
		after = added
	}
	return before, after
}

// plain is a value for [state.Fields]; an object or a list is its text.
func plain(v jsontext.Value) any {
	if canonjson.IsNull(v) {
		return nil
	}
	if text, ok := canonjson.Text(v); ok {
		return text
	}
	if value, ok := canonjson.Bool(v); ok {
		return value
	}
	if n, ok := canonjson.Integer(v); ok {
		return int(n)
	}
	return string(v)
}

func without(list, others []jsontext.Value) []string {
	known := map[string]bool{}
	for _, v := range others {
		known[string(v)] = true
	}
	var only []string
	for _, v := range list {
		if !known[string(v)] {
			only = append(only, fmt.Sprint(plain(v)))
		}
	}
	return only
}

var attributeName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_'-]*$`)

// nixPath writes a path as Nix does: virtualHosts."www.acme.example".hsts.
func nixPath(path []string) string {
	parts := make([]string, len(path))
	for i, part := range path {
		if parts[i] = part; !attributeName.MatchString(part) {
			parts[i] = fmt.Sprintf("%q", part)
		}
	}
	return strings.Join(parts, ".")
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
