package targets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/resolver"
	"github.com/woolwichweb/hostenv-provider/hostenv/domains"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// Domains lists which domain is proved to be which organisation's, and how.
//
// It evaluates the environments of every customer, and asks DNS for the TXT
// records of domains that are not proved. For these it prints the record that the
// owner of the domain has to publish. `mage plan` keeps a proof in the state.
//
// Exit codes: 0 after success; 1 after an error; 2 with -detailedExitcode if a
// domain is not proved.
func Domains(ctx context.Context,
	resolver *string, // the validating resolver, default the system's
	json *bool, // print JSON, one line for each domain and organisation
	detailedExitcode *bool, // end with 2 if a domain is not proved
	inventory *string, // read the inventory from this file, without Nix
	out *string, // the generated folder, default generated
) error {
	r := planRun{folder: openFolder(out, false), detailed: value(detailedExitcode, false),
		keepSources: true, inventory: value(inventory, ""), resolver: value(resolver, "")}
	if value(json, false) {
		r.show.format = formatJSON
	}
	return r.run(nil, func() error { return r.listDomains(ctx) })
}

// A domainLine is a domain and an organisation that has names of it.
type domainLine struct {
	Domain       string   `json:"domain"`
	Organisation string   `json:"organisation"`
	Proof        plan.How `json:"proof"`
	Since        string   `json:"since,omitempty"`
	Owner        string   `json:"owner,omitempty"`
	Hosts        []string `json:"hosts"`
	Record       string   `json:"record,omitempty"`
	Token        string   `json:"token,omitempty"`
	// Seen is whether DNS has the record now; Error is why that is not known.
	Seen  bool                `json:"seen"`
	Error dnsgate.LookupError `json:"error,omitempty"`
}

func (r planRun) listDomains(ctx context.Context) error {
	prior, _, err := r.State(ctx)
	if err != nil {
		return err
	}
	last, err := r.lastPlan(ctx)
	if err != nil {
		return err
	}
	in, err := r.inputs(ctx, prior, last)
	if err != nil {
		return err
	}
	if err := tellHeld(in.Failed, maxCauses); err != nil {
		return err
	}
	inv := in.Inventory
	if err := errors.Join(inv.Problems()...); err != nil {
		return err
	}
	all := plan.Domains(inv, prior)
	seen, err := r.records(ctx, inv, func(d plan.Domain) bool { return d.How == plan.Unproved && d.Owner == "" }, prior)
	if err != nil {
		return err
	}
	lines := make([]domainLine, len(all))
	unproved := false
	for i, d := range all {
		lines[i] = domainLine{d.Domain, d.Organisation, d.How, d.Since, d.Owner, d.Hosts, d.Record, d.Token, false, seen[d.Record].Error}
		lines[i].Seen = len(domains.Match(inv.Provider.HostenvHostname, []string{d.Organisation}, seen[d.Record].Texts)) > 0
		unproved = unproved || d.How == plan.Unproved
	}
	if err := r.tellDomains(lines); err != nil {
		return err
	}
	if unproved && r.detailed {
		return &outcomeError{exitChanges, "a domain is not proved"}
	}
	return heldBack(in.Failed, nil)
}

func (r planRun) tellDomains(lines []domainLine) error {
	if r.show.format == formatJSON {
		encoder := json.NewEncoder(stdoutJSON())
		for _, l := range lines {
			if err := encoder.Encode(l); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(stdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DOMAIN\tORGANISATION\tPROOF\tNAMES")
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.Domain, l.Organisation, l.proof(), strings.Join(l.Hosts, " "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, l := range lines {
		switch {
		case l.Proof != plan.Unproved || l.Owner != "":
		case l.Record == "":
			fmt.Fprintf(stdout(), "\n%s: it is a public suffix, which only provider.domains can give to an organisation\n", l.Domain)
		case l.Seen:
			fmt.Fprintf(stdout(), "\n%s: the record of %s is in DNS; `mage plan` records the proof, if provider.requireDomainProof is set\n", l.Domain, l.Organisation)
		default:
			fmt.Fprintf(stdout(), "\n%s: to prove that it is %s's, its owner publishes\n  %s. TXT %q\n", l.Domain, l.Organisation, l.Record, l.Token)
			if l.Error != "" {
				fmt.Fprintf(stdout(), "  (whether it is there could not be looked up: %s)\n", l.Error)
			}
		}
	}
	return nil
}

func (l domainLine) proof() string {
	switch {
	case l.Proof == plan.ByProvider:
		return "provider.domains"
	case l.Proof == plan.ByRecord:
		return "TXT record, " + l.Since
	case l.Owner != "":
		return "none: it belongs to " + l.Owner
	}
	return "none"
}

// records asks DNS for the TXT records of domains.
func (r planRun) records(ctx context.Context, inv *plan.Inventory, wanted func(plan.Domain) bool, prior state.State) (map[string]resolver.TXT, error) {
	var names []string
	for _, d := range plan.Domains(inv, prior) {
		if wanted(d) && d.Record != "" {
			names = append(names, d.Record)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	show, done := counting("looking up proofs of domains")
	defer done()
	return resolver.New(resolver.Config{
		Resolver: r.resolver, Private: plan.Document{PrivateNetworks: inv.Provider.PrivateNetworks}.Private(),
		Progress: func(p resolver.Progress) { show(p.Done, p.Total) },
	}).TXT(ctx, names)
}

// see asks DNS for the proofs that a plan needs, if the provider requires any.
func (r planRun) see(ctx context.Context, inv *plan.Inventory, prior state.State) error {
	if !inv.Provider.RequireDomainProof || len(inv.Problems()) > 0 {
		return nil
	}
	needed := func(d plan.Domain) bool { return d.How == plan.Unproved && d.Owner == "" && len(d.New) > 0 }
	seen, err := r.records(ctx, inv, needed, prior)
	if err != nil {
		return err
	}
	inv.Seen = plan.Seen{Records: map[string][]string{}, Date: time.Now().UTC().Format(time.DateOnly)}
	for _, d := range plan.Domains(inv, prior) {
		found, asked := seen[d.Record]
		if !asked {
			continue
		}
		inv.Seen.Records[d.Domain] = found.Texts
		if found.Error != "" {
			warn([]state.Warning{{Subject: "the domain " + d.Domain, Message: fmt.Sprintf("%s TXT could not be looked up: %s", d.Record, found.Error),
				Hint: "run it again, or name a resolver that answers: -resolver="}})
		}
	}
	return nil
}
