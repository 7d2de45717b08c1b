package targets

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// explainHost prints all facts about the virtual host with the name or alias of
// -explain, or with -for the page for the customer.
func (r *gateRun) explainHost(ctx context.Context, document plan.Document, certificates []dnsgate.Certificate, deployed func(string) bool) error {
	if c, err := r.explained(dnsgate.Sharing(document, r.filter)); err == nil {
		fmt.Fprintf(stdout(), "%s uses the wildcard certificate of %s (provider.wildcard), which DNS-01 proves: the gate does not judge it\n", c.Host, c.Node)
		return nil
	}
	certificate, err := r.explained(certificates)
	if err != nil {
		return err
	}
	facts, err := r.gather(ctx, []dnsgate.Certificate{certificate})
	if err != nil {
		return err
	}
	request := r.request(certificate)
	if r.reader == "" {
		fmt.Fprint(stdout(), dnsgate.Explain(facts, request))
		return nil
	}
	if facts.Taken == "" {
		facts.Taken = time.Now().UTC().Format(time.RFC3339)
	}
	verdicts := map[string]dnsgate.Verdict{certificate.Host: dnsgate.Judge(facts, request)}
	served, err := r.served(ctx, document, verdicts, facts)
	if err != nil {
		return err
	}
	policy := dnsgate.Policy{Now: facts.Taken, Deployed: deployed, Served: served}
	gated, err := dnsgate.Gate(document, verdicts, policy)
	if err != nil {
		return err
	}
	page := dnsgate.PageOf(facts, request, gated.Decisions[0])
	if r.format == "markdown" {
		fmt.Fprint(stdout(), page.Markdown())
	} else {
		fmt.Fprint(stdout(), page.Text())
	}
	return nil
}

// explained returns the certificate of the virtual host with the name or alias of
// -explain.
func (r *gateRun) explained(certificates []dnsgate.Certificate) (dnsgate.Certificate, error) {
	normal := func(name string) string {
		if query, err := dnsgate.QueryName(name); err == nil {
			return query
		}
		return name // not a name that a certificate can have
	}
	wanted := normal(r.explain)
	i := slices.IndexFunc(certificates, func(c dnsgate.Certificate) bool {
		return c.Host == wanted || slices.ContainsFunc(c.Names, func(name string) bool { return normal(name) == wanted })
	})
	if i < 0 {
		return dnsgate.Certificate{}, problem.WithHint(fmt.Errorf("no virtual host that asks for a certificate has the name %q", r.explain),
			"run `mage state:list` for all host names; enableLetsEncrypt = false asks for none")
	}
	return certificates[i], nil
}

// deployed reports whether an environment was deployed to its planned node:
// certificates do not move with an environment.
func deployed(s state.State) func(user string) bool {
	return func(user string) bool {
		e := s.Entries[user]
		return e.DeployedNode != "" && e.DeployedNode == e.Node
	}
}
