package plan

import (
	"fmt"
	"maps"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// A Quota is how much one project may have. A project that has more is held back. For
// a field that is 0 the next wider quota applies: the organisation's, then the
// provider's.
type Quota struct {
	Environments int
	VirtualHosts int // of all its environments
	Names        int // host names that its environments claim, aliases included
	UIDs         int // ever given to it: those of retired environments count
	PlanBytes    int // of its environments, as compact JSON
	Checks       int // of deploymentVerification of all its environments
	// Certificates are new ones within a week. A plan has no clock: the DNS gate keeps
	// to it, which withholds those that are too many.
	Certificates int
}

var defaultQuota = Quota{Environments: 20, VirtualHosts: 100, Names: 500, UIDs: 200, PlanBytes: 1 << 20, Checks: 20, Certificates: 50}

// maxQuota is the largest quota that can be set.
const maxQuota = 1 << 30

// options returns the fields by the names of their options, in the order in which
// excesses are reported.
func (q *Quota) options() []quotaOption {
	return []quotaOption{
		{"environments", "environments", &q.Environments},
		{"virtualHosts", "virtual hosts", &q.VirtualHosts},
		{"names", "host names", &q.Names},
		{"uids", "UIDs, which are never used again,", &q.UIDs},
		{"planBytes", "bytes of plan", &q.PlanBytes},
		{"checks", "checks after a deploy", &q.Checks},
		{"certificates", "new certificates within a week", &q.Certificates},
	}
}

type quotaOption struct {
	name, unit string
	value      *int
}

func (r *reader) quota(from canonjson.Object, where string) (q Quota) {
	for _, o := range q.options() {
		*o.value = r.number(from, where, o.name, 0, 1, maxQuota)
	}
	return q
}

func (q Quota) or(wider Quota) Quota {
	all := wider.options()
	for i, o := range q.options() {
		if *o.value == 0 {
			*o.value = *all[i].value
		}
	}
	return q
}

// exceeded returns an error for each quota of a project that it exceeds.
func (q Quota) exceeded(input string, has Quota) (errs []error) {
	used := has.options()
	for i, o := range q.options() {
		if *used[i].value > *o.value {
			errs = append(errs, problem.New(input, fmt.Sprintf("has %d %s and may have %d", *used[i].value, o.unit, *o.value),
				fmt.Sprintf("let the customer remove some; or, if they may have more, set provider.limits.projects.%s.%s = %d", quoteAttribute(input), o.name, *used[i].value)))
		}
	}
	return errs
}

// quotas refuses projects that have more than their quota.
func (c *computation) quotas() {
	used := map[string]*Quota{}
	organisations := map[string]string{}
	for _, e := range c.placed {
		if e.last != nil {
			continue
		}
		q := used[e.Input]
		if q == nil {
			q = &Quota{}
			used[e.Input], organisations[e.Input] = q, e.Organisation
		}
		q.Environments++
		q.VirtualHosts += len(e.virtualHosts)
		for _, v := range e.virtualHosts {
			q.Names += len(v.names)
		}
		q.PlanBytes += e.bytes
		q.Checks += checksOf(e.fields)
	}
	for _, input := range slices.Sorted(maps.Keys(used)) {
		c.refuse(input, c.inv.Provider.Limits.of(input, organisations[input]).exceeded(input, *used[input])...)
	}
}

// certificateQuotas returns the quotas of certificates that are not the default.
func (c *computation) certificateQuotas() map[string]int {
	var quotas map[string]int
	for _, e := range c.placed {
		q := c.inv.Provider.Limits.of(e.Input, e.Organisation).Certificates
		if c.staying.unplanned[e.Input] && c.last != nil && c.staying.holds[e.Input] == "" {
			q = c.last.CertificateQuota(e.Input) // it is not selected, and keeps its limits
		}
		if q != defaultQuota.Certificates {
			if quotas == nil {
				quotas = map[string]int{}
			}
			quotas[e.Input] = q
		}
	}
	return quotas
}

// CertificateQuota returns how many new certificates a project may get within a week.
// The project is a flake input, organisation__project.
func (d Document) CertificateQuota(project string) int {
	if quota, ok := d.Certificates[project]; ok {
		return quota
	}
	return defaultQuota.Certificates
}

// CertificateOption returns the provider's option of that quota.
func CertificateOption(project string) string {
	return "provider.limits.projects." + quoteAttribute(project) + ".certificates"
}

// uids refuses projects that get a new UID and have more than their quota then.
func (c *computation) uids(next state.State) {
	count, fresh := map[string]int{}, map[string]bool{}
	inputs := map[state.Project]*placed{}
	for _, e := range c.placed {
		if e.last == nil {
			inputs[state.Project{Organisation: e.Organisation, Project: e.Project}] = e
		}
	}
	highest := c.prior.HighestUID()
	for _, entry := range next.Entries {
		if e := inputs[state.Project{Organisation: entry.Organisation, Project: entry.Project}]; e != nil {
			count[e.Input]++
			fresh[e.Input] = fresh[e.Input] || entry.UID > highest
		}
	}
	for _, e := range inputs {
		if fresh[e.Input] {
			c.refuse(e.Input, c.inv.Provider.Limits.of(e.Input, e.Organisation).exceeded(e.Input, Quota{UIDs: count[e.Input]})...)
		}
	}
}

// checksOf returns the number of checks of an environment.
func checksOf(fields canonjson.Object) int {
	verification, _ := canonjson.ObjectOf(fields.Get("deploymentVerification"))
	list, _ := canonjson.ListOf(verification.Get("checks"))
	return len(list)
}
