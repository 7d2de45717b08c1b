package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/domains"
	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// Seen are the TXT records that DNS has, and the day of the look-up. [Domains]
// returns which ones to look for.
type Seen struct {
	Records map[string][]string // by domain
	Date    string              // such as 2026-11-29
}

// How a domain is an organisation's.
type How string

const (
	Unproved   How = ""         // it is not
	ByProvider How = "provider" // provider.domains names the organisation
	ByRecord   How = "record"   // a TXT record did
)

// A Domain is a domain of which the environments of an organisation have names.
type Domain struct {
	Domain       string
	Organisation string
	Hosts        []string // sorted
	New          []string // those of Hosts that the state does not have yet
	How          How
	Since        string // the date of the record
	// Owner is another organisation to which the domain belongs, "" if there is none.
	Owner string
	// Record and Token are the name and the text of the TXT record that proves it; ""
	// for a public suffix, which only the provider can give to an organisation.
	Record, Token string
}

// Domains returns the domains of an inventory by domain and organisation. It leaves
// out the names that hostenv generates, and environments that are not selected.
func Domains(inv *Inventory, prior state.State) []Domain {
	owners, proofs := inv.owners(prior)
	had := map[string]string{} // the organisation of each host name
	for _, e := range prior.Entries {
		for _, host := range e.VirtualHosts {
			had[host] = e.Organisation
		}
	}
	byKey := map[[2]string]*Domain{}
	for _, project := range inv.Projects {
		for _, e := range project.Environments {
			if !inv.Only.selects(e.Input, e.UserName) {
				continue
			}
			for _, host := range e.hostNames() {
				if belowProvider(host, inv.Provider.HostenvHostname) {
					continue
				}
				domain, owner := owners.Of(host)
				domain = cmp.Or(domain, domains.Registrable(host), strings.TrimPrefix(host, "*."))
				key := [2]string{domain, project.Organisation}
				d := byKey[key]
				if d == nil {
					d = &Domain{Domain: domain, Organisation: project.Organisation}
					byKey[key] = d
					if domains.Registrable(domain) == domain {
						d.Record, d.Token = domains.Record(domain), domains.Token(inv.Provider.HostenvHostname, project.Organisation)
					}
					switch {
					case owner == project.Organisation && inv.Provider.Domains[domain] == owner:
						d.How = ByProvider
					case owner == project.Organisation:
						d.How, d.Since = ByRecord, proofs[domain].Since
					default:
						d.Owner = owner
					}
				}
				d.Hosts = append(d.Hosts, host)
				if organisation, ok := had[host]; !ok || organisation != project.Organisation {
					d.New = append(d.New, host)
				}
			}
		}
	}
	list := make([]Domain, 0, len(byKey))
	for _, d := range byKey {
		slices.Sort(d.Hosts)
		slices.Sort(d.New)
		d.Hosts, d.New = slices.Compact(d.Hosts), slices.Compact(d.New)
		list = append(list, *d)
	}
	slices.SortFunc(list, func(a, b Domain) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Organisation, b.Organisation))
	})
	return list
}

// owners returns the organisations by domain: those of provider.domains, and of the
// records that were seen before for all other domains.
func (inv *Inventory) owners(s state.State) (domains.Owners, map[string]state.DomainProof) {
	owners, proofs := domains.Owners{}, s.Proofs()
	for domain, proof := range proofs {
		owners[domain] = proof.Organisation
	}
	maps.Copy(owners, inv.Provider.Domains)
	return owners, proofs
}

func belowProvider(host, hostenvHostname string) bool {
	host = strings.TrimPrefix(host, "*.")
	return host == hostenvHostname || strings.HasSuffix(host, "."+hostenvHostname)
}

// prove refuses names of domains that are not the organisation's, and records new
// proofs in the state. It judges only names that an organisation did not have
// before, or that no entry of provider.transfers hands to it.
func (c *computation) prove(next state.State) (state.State, domains.Owners) {
	p := &c.inv.Provider
	for _, domain := range slices.Sorted(maps.Keys(p.Domains)) {
		if name := p.Domains[domain]; !c.planned(func(_, organisation string) bool { return organisation == name }) {
			c.warn("provider.domains."+quoteAttribute(domain), fmt.Sprintf("names %q, which is no organisation that is planned", name))
		}
	}
	next, contested := c.record(next)
	owners, _ := c.inv.owners(next)
	before := map[string]int{} // the UID of the owner, which a new user name does not change
	for _, e := range c.prior.Entries {
		for _, host := range e.VirtualHosts {
			before[host] = e.UID
		}
	}
	organisations := map[int]string{}
	for _, e := range next.Entries {
		organisations[e.UID] = e.Organisation
	}
	transferred := map[state.Transfer]bool{}
	for _, t := range p.Transfers {
		transferred[state.Transfer{Host: t.Host, To: t.To}] = true
	}
	foreign := map[refusal][]string{}
	disputed := map[string][]error{}
	for _, e := range c.placed {
		if e.last != nil && !e.goesBack {
			continue
		}
		for _, host := range next.Entries[e.UserName].VirtualHosts {
			uid, known := before[host]
			if known && organisations[uid] == e.Organisation || transferred[state.Transfer{Host: host, To: e.UserName}] {
				continue
			}
			if c := contested[domains.Registrable(host)]; slices.Contains(c.organisations, e.Organisation) {
				// Without this one, the other has proved it only if the provider says so.
				disputed[e.Input] = append(disputed[e.Input], c.err)
			}
			if r, refused := p.refuses(owners, e, host); refused {
				foreign[r] = append(foreign[r], host)
			}
		}
	}
	for _, r := range slices.SortedFunc(maps.Keys(foreign), refusal.compare) {
		c.refuse(r.input, r.problem(p.HostenvHostname, foreign[r]))
	}
	for input, errs := range disputed {
		c.refuse(input, errs...)
	}
	return next, owners
}

// A dispute is a domain that organisations prove at once.
type dispute struct {
	organisations []string
	err           error
}

// record adds to the state what TXT records prove. A domain that has an owner keeps
// it; one that two organisations prove at once needs the provider's word.
func (c *computation) record(next state.State) (state.State, map[string]dispute) {
	contested := map[string]dispute{}
	p := &c.inv.Provider
	owners, _ := c.inv.owners(next)
	claimants := map[string][]string{}
	for _, d := range Domains(c.inv, next) {
		// Below a public suffix anyone may get a name, perhaps that of the record too.
		if owners[d.Domain] == "" && domains.Registrable(d.Domain) == d.Domain {
			claimants[d.Domain] = append(claimants[d.Domain], d.Organisation)
		}
	}
	for _, domain := range slices.Sorted(maps.Keys(claimants)) {
		switch proved := domains.Match(p.HostenvHostname, claimants[domain], c.inv.Seen.Records[domain]); len(proved) {
		case 0:
		case 1:
			next = next.WithProof(domain, state.DomainProof{Organisation: proved[0], Since: c.inv.Seen.Date})
		default:
			contested[domain] = dispute{proved, problem.New(fmt.Sprintf("the domain %q", domain), "has TXT records of "+problem.Join(proved),
				fmt.Sprintf("remove all TXT records of %s but one, or set provider.domains.%s to the organisation", domains.Record(domain), problem.Nix(domain)))}
		}
	}
	return next, contested
}

// A refusal is why an organisation must not have names.
type refusal struct{ input, kind, domain, organisation, owner string }

func (r refusal) compare(other refusal) int {
	return cmp.Or(cmp.Compare(r.domain, other.domain), cmp.Compare(r.organisation, other.organisation), cmp.Compare(r.kind, other.kind), cmp.Compare(r.input, other.input))
}

// refuses judges a name that an environment did not have before.
func (p *Provider) refuses(owners domains.Owners, e *placed, host string) (refusal, bool) {
	if belowProvider(host, p.HostenvHostname) {
		return refusal{e.Input, "generated", p.HostenvHostname, e.Organisation, ""}, host != e.UserName+"."+p.HostenvHostname
	}
	domain, owner := owners.Of(host)
	switch {
	case owner == e.Organisation:
		return refusal{}, false
	case owner != "":
		return refusal{e.Input, "foreign", domain, e.Organisation, owner}, true
	}
	domain = domains.Registrable(host)
	switch {
	case domain != "" && domains.IsSpecialUse(host):
		return refusal{}, false
	case domain == "" && (p.RequireDomainProof || strings.HasPrefix(host, "*.")):
		return refusal{e.Input, "public", strings.TrimPrefix(host, "*."), e.Organisation, ""}, true
	case p.RequireDomainProof:
		return refusal{e.Input, "unproved", domain, e.Organisation, ""}, true
	}
	return refusal{}, false
}

func (r refusal) problem(hostenvHostname string, hosts []string) error {
	slices.Sort(hosts)
	claimed := r.organisation + " claims " + problem.Join(hosts)
	set := fmt.Sprintf("set provider.domains.%s = %s", problem.Nix(r.domain), problem.Nix(r.organisation))
	subject := fmt.Sprintf("the domain %q", r.domain)
	switch r.kind {
	case "generated":
		return problem.New(subject, "is the provider's, with generated names and nodes below it, and "+claimed,
			"remove the names from virtualHosts of the environments of "+r.organisation)
	case "foreign":
		return problem.New(subject, "belongs to "+r.owner+", and "+claimed,
			fmt.Sprintf("remove the names from virtualHosts of the environments of %s; if the domain changed hands, %s", r.organisation, set))
	case "public":
		return problem.New(subject, "is a public suffix, below which anyone registers names, and "+claimed,
			"list the names in virtualHosts in place of the wildcard; if the whole suffix is the organisation's, "+set)
	}
	return problem.New(subject, "is not proved to be "+r.organisation+"'s, and "+claimed,
		fmt.Sprintf("let the owner of the domain publish the record %s TXT %q, and run `mage plan` again; or, if you know the owner, %s",
			domains.Record(r.domain), domains.Token(hostenvHostname, r.organisation), set))
}

// domains reads provider.domains.
func (r *reader) domains(from canonjson.Object) domains.Owners {
	const where = "provider.domains"
	owners := domains.Owners{}
	object := r.optionalObject(from, "provider", "domains")
	for _, m := range object {
		name, organisation := m.Name, r.text(object, where, m.Name, required)
		host, err := names.ParseHost(name)
		at := where + "." + quoteAttribute(name)
		switch {
		case err != nil:
			r.wrong(at, "", "is no domain: %v", err)
		case host.Wildcard():
			r.remedied(at, "", "write the domain alone: it covers all names below it", "is a wildcard")
		case organisation == "":
			r.remedied(at, "", "write the name of an organisation, as in the names of the inputs", "names no organisation")
		default:
			if other := owners[string(host)]; other != "" && other != organisation {
				r.wrong(at, "", "is the same domain as another entry, which names %s", other)
			}
			owners[string(host)] = organisation
		}
	}
	return owners
}
