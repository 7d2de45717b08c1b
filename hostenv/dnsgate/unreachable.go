package dnsgate

import (
	"cmp"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// An Unreachable is a virtual host that browsers cannot open from a time on: they open it
// over TLS alone (HSTS), it has no valid certificate then, and Let's Encrypt would not
// issue another one.
type Unreachable struct {
	Host        string `json:"host"`
	Node        string `json:"node"`
	Environment string `json:"environment"`
	// From is in RFC 3339, and in the past for a host that is out of reach already.
	From string `json:"from"`
	// Organisation and Project are the customer's. Contacts are the mail addresses of the
	// environment's users, as the customer wrote them.
	Organisation string   `json:"organisation,omitempty"`
	Project      string   `json:"project,omitempty"`
	Contacts     []string `json:"contacts,omitempty"`
	Reason       Reason   `json:"reason"`
	Fix          string   `json:"fix,omitempty"`
}

// OutOfReach returns the hosts of a gate's plan that are out of reach, or will be, the
// first one first. It reads those of earlier runs from the plan.
func OutOfReach(gated *Gated) []Unreachable {
	d := gated.Plan
	var all []Unreachable
	for _, c := range wanted(d) {
		entry, ok := entryOf(d, c.Host)
		if !ok || entry.KeepUntil == "" {
			continue
		}
		e := d.Environments[c.User]
		all = append(all, Unreachable{
			Host: c.Host, Node: c.Node, Environment: c.User, From: entry.KeepUntil,
			Organisation: e.Hostenv.Organisation, Project: e.Hostenv.Project, Contacts: contacts(e),
			Reason: Reason(entry.Reason), Fix: entry.Fix,
		})
	}
	slices.SortStableFunc(all, func(a, b Unreachable) int { return cmp.Compare(a.From, b.From) })
	return all
}

// contacts are the mail addresses of an environment's users, sorted.
func contacts(e plan.Environment) []string {
	var all []string
	for _, user := range canonjson.Members(e.Carried.Get("users")) {
		fields, _ := canonjson.ObjectOf(user)
		if mail, ok := canonjson.Text(fields.Get("email")); ok && mail != "" {
			all = append(all, mail)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
