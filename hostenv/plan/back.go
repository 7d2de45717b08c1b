package plan

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// A Back takes environments back to an earlier plan: to the sources, the configuration
// and the host names that they had there. They keep their UIDs and stay on their nodes.
// A host name that another environment has by now stays with that one.
type Back struct {
	To    *Document
	Users []string // an environment that To does not have stays as it is
}

// WarnNotBack: an environment does not go back, or not with all of its host names.
const WarnNotBack = "not-back"

// Earlier returns those of the environments that an earlier plan has as well, and those
// of them that it has with another source.
func (d Document) Earlier(earlier Document, users []string) (common, differing []string) {
	for _, user := range users {
		was, ok := earlier.same(d, user)
		if !ok {
			continue
		}
		common = append(common, user)
		if now := d.Environments[user]; was.Source != nil && !bytes.Equal(canonjson.Marshal(was.Source), canonjson.Marshal(now.Source)) {
			differing = append(differing, user)
		}
	}
	return common, differing
}

// same returns the environment that an earlier plan has for one of the present plan. An
// environment with the same user name may be another one.
func (earlier Document) same(now Document, user string) (Environment, bool) {
	was, ok := earlier.Environments[user]
	a, b := was.Hostenv, now.Environments[user].Hostenv
	return was, ok && a.Organisation == b.Organisation && a.Project == b.Project && a.EnvironmentName == b.EnvironmentName
}

// goBack puts environments of the earlier plan in the place of those that stay.
func (c *computation) goBack() {
	if c.back == nil || c.last == nil {
		return
	}
	owners := map[string]string{} // the user that must keep a name
	for user, e := range c.prior.Entries {
		for _, host := range e.VirtualHosts {
			owners[host] = user
		}
	}
	for i, k := range c.hold.Kept {
		at := slices.IndexFunc(c.placed, func(e *placed) bool { return e.UserName == k.UserName })
		if at < 0 || !slices.Contains(c.back.Users, k.UserName) {
			continue
		}
		was, ok := c.back.To.same(*c.last, k.UserName)
		if !ok {
			c.notBack(k.UserName, "is not in the earlier plan, and stays as it is")
			continue
		}
		now := c.last.Environments[k.UserName]
		was.Placement, was.FormerNames = now.Placement, now.FormerNames
		k.VirtualHosts = c.namesBack(k, was, owners)
		c.hold.Kept[i] = k
		c.placed[at] = c.kept(c.placed[at].Input, k.Claim, was, c.back.To)
		c.placed[at].goesBack = true
	}
}

// namesBack returns the host names that an environment claims again. The names of a
// virtual host stay together.
func (c *computation) namesBack(k state.Kept, was Environment, owners map[string]string) []string {
	var names []string
	for _, host := range slices.Sorted(maps.Keys(was.VirtualHosts)) {
		v := was.VirtualHosts[host]
		all := v.names(host)
		if v.ServerName != "" {
			all = append(all, strings.ToLower(v.ServerName))
		}
		taken := slices.IndexFunc(all, func(name string) bool {
			owner, ok := owners[name]
			e := c.prior.Entries[owner]
			other := e.Organisation != k.Organisation || e.Project != k.Claim.Project
			return ok && owner != k.UserName && (!e.Retired || other)
		})
		if taken >= 0 {
			c.notBack(k.UserName, fmt.Sprintf("goes back without the virtual host %s: the host name %s belongs to %s now", host, all[taken], owners[all[taken]]))
			continue
		}
		names = append(names, all...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (c *computation) notBack(user, message string) {
	c.warnings = append(c.warnings, state.Warning{Subject: user, Message: problem.Line(message), Reason: WarnNotBack})
}
