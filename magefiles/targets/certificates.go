package targets

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/calendar"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Certificates prints what will happen to the certificates within a year.
//
// It reads the plan and what the gate decided, and prints what happens today, within
// the week, what goes wrong and when, and a table of each day: first orders, orders
// of changed names, renewals, and certificates that expire because their name fails. It
// says which orders Let's Encrypt may refuse by its limits. It asks no node and no DNS.
//
// Exit codes: 0 after success; 1 after an error; 2 with -detailedExitcode if something
// goes wrong within the days; 4 if the plan is older than the state; 6 after success if
// the plan holds projects back.
func Certificates(ctx context.Context,
	node *string, // only these nodes, separated by commas
	env *string, // only these environments, by user name, separated by commas
	organisation *string, // only these organisations, separated by commas
	host *string, // only these virtual hosts, separated by commas
	days *int, // how many days, default 365
	now *string, // the time to begin at, such as 2027-02-10 or 2027-02-10T06:00:00Z, default the present
	profile *string, // the certificate profile of the nodes: classic, tlsserver or shortlived, default that of the plan
	validMinDays *int, // security.acme.defaults.validMinDays of the nodes, 0 if it is null, default 30, or 3 with shortlived
	json *bool, // print the calendar as JSON
	detailedExitcode *bool, // end with 2 if something goes wrong
	out *string, // the generated folder, default generated
) error {
	r := certificatesRun{
		folder: openFolder(out, false), filter: dnsgate.Filter{Nodes: list(node), Users: list(env)},
		organisations: list(organisation), hosts: list(host), now: value(now, ""), json: value(json, false), detailed: value(detailedExitcode, false),
		options: calendar.Options{Days: value(days, calendar.Days), Profile: plan.CertificateProfile(value(profile, "")), ValidMinDays: value(validMinDays, unset)},
	}
	lists := map[string]*string{"-node": node, "-env": env, "-organisation": organisation, "-host": host}
	return r.run(lists, func() error { return r.do(ctx) })
}

type certificatesRun struct {
	*folder
	filter               dnsgate.Filter
	organisations, hosts []string
	now                  string
	options              calendar.Options
	json, detailed       bool
}

// unset stands for -validMinDays that is not given.
const unset = -1 << 31

// defaults sets what the plan decides: the profile, and how early nodes then renew
// (nix/modules/acme.nix).
func (r *certificatesRun) defaults(d plan.Document) {
	r.options.Profile = cmp.Or(r.options.Profile, d.CertificateProfile, plan.Classic)
	if r.options.ValidMinDays == unset {
		r.options.ValidMinDays = 30
		if r.options.Profile == plan.Shortlived {
			r.options.ValidMinDays = 3
		}
	}
}

// maxDays is the longest calendar: two years.
const maxDays = 731

// check reads -now, and refuses values that make no sense.
func (r *certificatesRun) check() error {
	var wrong problem.List
	var err error
	switch r.now {
	case "":
		r.options.Now = time.Now()
	default:
		if r.options.Now, err = time.Parse(time.RFC3339, r.now); err != nil {
			r.options.Now, err = time.Parse(time.DateOnly, r.now)
		}
		if err != nil {
			wrong.Addf("-now", "write a day, 2027-02-10, or a time, 2027-02-10T06:00:00Z", "is %q", r.now)
		}
	}
	if r.options.Days < 1 || r.options.Days > maxDays {
		wrong.Addf("-days", fmt.Sprintf("write a number from 1 to %d", maxDays), "is %d", r.options.Days)
	}
	if r.options.ValidMinDays < 0 && r.options.ValidMinDays != unset {
		wrong.Addf("-validMinDays", "write the nodes' security.acme.defaults.validMinDays, and 0 if it is null", "is %d", r.options.ValidMinDays)
	}
	if r.options.Profile != "" && !slices.Contains(plan.CertificateProfiles(), r.options.Profile) {
		wrong.Addf("-profile", "write classic, tlsserver or shortlived", "is %q", string(r.options.Profile))
	}
	return wrong.Err()
}

func (r *certificatesRun) do(ctx context.Context) error {
	if err := r.check(); err != nil {
		return err
	}
	r.warnUntracked(ctx, false, stateFile, planFile)
	prior, _, err := r.State(ctx)
	if err != nil {
		return err
	}
	document, _, err := r.Plan(ctx, prior)
	if err != nil {
		return err
	}
	wanted, err := r.wanted(document)
	if err != nil {
		return problem.In(r.File(planFile), err)
	}
	r.defaults(document)
	held, err := tellStays(document)
	if err != nil {
		return err
	}
	c := calendar.Of(document, r.options).Select(wanted)
	if err := r.show(c); err != nil {
		return err
	}
	var outcome error
	if r.detailed && len(c.Troubles) > 0 {
		outcome = &outcomeError{exitChanges, "something goes wrong"}
	}
	return heldBack(held, outcome)
}

// wanted returns which certificates are shown. All count against the limits.
func (r *certificatesRun) wanted(d plan.Document) (func(calendar.Subject) bool, error) {
	all, err := dnsgate.Certificates(d, r.filter)
	var unknown problem.List
	unknown.Add(err)
	hosts, organisations := map[string]bool{}, map[string]bool{}
	for _, c := range all {
		hosts[c.Host] = true
		organisations[d.Environments[c.User].Hostenv.Organisation] = true
	}
	if err == nil {
		for _, name := range r.hosts {
			if !hosts[name] {
				unknown.Addf("-host", "run `mage state:list` for all host names; one that asks for no certificate is in no calendar", "names %q, which is no virtual host with a certificate", name)
			}
		}
		for _, name := range r.organisations {
			if !organisations[name] {
				unknown.Addf("-organisation", "`mage state:list` shows the organisations", "names %q, which has no certificate", name)
			}
		}
	}
	return func(s calendar.Subject) bool {
		return hosts[s.Host] && (len(r.hosts) == 0 || slices.Contains(r.hosts, s.Host)) &&
			(len(r.organisations) == 0 || slices.Contains(r.organisations, s.Organisation))
	}, unknown.Err()
}
