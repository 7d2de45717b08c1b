package targets

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/resolver"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/served"
	"github.com/woolwichweb/hostenv-provider/hostenv/generated"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// DnsGate turns off the certificates that Let's Encrypt would not issue.
//
// It looks up every name of every certificate in generated/plan.json, and judges
// whether Let's Encrypt would issue the certificate on its node. Then it sets
// enableACME and forceSSL in the plan: off for certificates that fail, on again
// for those that pass. If a lookup has no answer, the setting stays. New certificates
// that Let's Encrypt's limits do not allow stay off until they do. If too many
// certificates of an organisation would turn off at once, all of that organisation stay.
//
// Exit codes: 0 after success; 1 after an error; 2 with -detailedExitcode if a
// certificate is off; 4 if the plan is older than the state; 6 after success if the
// plan holds projects back, or if certificates of some organisations stay as they are,
// whether a certificate is off or not. 3 means that the plan stays as it is: the
// resolver does not answer, a node's own name has no address, too many certificates of
// every organisation would turn off at once, or another run holds the lock.
func DnsGate(ctx context.Context,
	node *string, // only these nodes, separated by commas
	env *string, // only these environments, by user name, separated by commas
	resolver *string, // the address of a validating resolver, default the system's
	dryRun *bool, // show the verdicts and the difference, write nothing
	json *bool, // print the verdicts as JSON
	detailedExitcode *bool, // end with 2 if a certificate is off
	explain *string, // print all facts about one virtual host, write nothing
	For *string, // with -explain: print a page for this reader, only customer, in place of the facts
	format *string, // with -for: how to print the page: text or markdown; default text
	onUnknown *string, // what to do with virtual hosts that never had a verdict: disable, keep or fail
	allowFlips *bool, // allow any number of certificates to turn off at once
	allowOrders *bool, // turn on more new certificates than Let's Encrypt's limits allow
	live *bool, // connect to hosts whose addresses are not those of the node, default if the node serves its token
	accountUri *string, // the URI of the nodes' ACME account, for CAA records that name an account
	update *bool, // point names that fail at their nodes, in Cloudflare's zones
	adopt *bool, // with -update: take over records that are correct already
	sopsFile *string, // with -update: the sops file with Cloudflare's token, default secrets/secrets.yaml
	facts *string, // judge the facts in this file, without a lookup
	record *string, // write the facts to this file
	out *string, // the generated folder, default generated
) error {
	run := gateRun{
		folder:   openFolder(out, !value(dryRun, false) && value(explain, "") == ""),
		filter:   dnsgate.Filter{Nodes: list(node), Users: list(env)},
		resolver: value(resolver, ""), explain: value(explain, ""), account: value(accountUri, ""),
		reader: value(For, ""), format: value(format, ""),
		facts: value(facts, ""), record: value(record, ""), sopsFile: value(sopsFile, "secrets/secrets.yaml"),
		dryRun: value(dryRun, false), json: value(json, false), detailed: value(detailedExitcode, false),
		live: liveChecks(live), update: value(update, false), adopt: value(adopt, false),
		policy: dnsgate.Policy{OnUnknown: dnsgate.OnUnknown(value(onUnknown, "")), AllowFlips: value(allowFlips, false), AllowOrders: value(allowOrders, false)},
	}
	if err := usage(map[string]*string{"-node": node, "-env": env}); err != nil {
		return run.fail(err)
	}
	return run.fail(run.do(ctx))
}

type gateRun struct {
	*folder
	filter                        dnsgate.Filter
	policy                        dnsgate.Policy
	resolver, explain, account    string
	reader, format                string
	facts, record, sopsFile       string
	token                         string // CF_API_TOKEN, which is no longer in the environment
	cloudflareURL                 string // "" means Cloudflare's own
	dryRun, json, detailed, adopt bool
	update                        bool
	live                          dnsgate.LiveChecks
	private                       []netip.Prefix // the provider's networks that are not public
}

func liveChecks(flag *bool) dnsgate.LiveChecks {
	switch {
	case flag == nil:
		return dnsgate.LiveServed
	case *flag:
		return dnsgate.LiveAlways
	}
	return dnsgate.LiveNever
}

func (r *gateRun) do(ctx context.Context) error {
	if err := r.check(); err != nil {
		return err
	}
	if err := r.hideToken(); err != nil {
		return err
	}
	if r.dryRun || r.explain != "" {
		return r.gate(ctx)
	}
	if err := r.Exists(ctx); err != nil {
		return err
	}
	return r.Locked(ctx, func() error { return r.gate(ctx) })
}

func (r *gateRun) check() error {
	known := []dnsgate.OnUnknown{dnsgate.OnUnknownDefault, dnsgate.OnUnknownDisable, dnsgate.OnUnknownKeep, dnsgate.OnUnknownFail}
	switch {
	case !slices.Contains(known, r.policy.OnUnknown):
		return problem.New("-onUnknown", fmt.Sprintf("is %q", r.policy.OnUnknown), "write disable, keep or fail")
	case r.facts != "" && (r.update || r.live == dnsgate.LiveAlways || r.record != "" || r.resolver != ""):
		return problem.New("-facts", "makes no lookup, and cannot be combined with -resolver, -update, -live or -record", "omit -facts to ask DNS")
	case r.adopt && !r.update:
		return problem.New("-adopt", "has no effect without -update", "give both")
	case r.reader != "" && r.reader != "customer":
		return problem.New("-for", fmt.Sprintf("is %q", r.reader), "write customer; for the provider, -explain prints all facts without -for")
	case r.reader != "" && r.explain == "":
		return problem.New("-for", "has no effect without -explain", "name the virtual host: -explain=HOST")
	case !slices.Contains([]string{"", "text", "markdown"}, r.format):
		return problem.New("-format", fmt.Sprintf("is %q", r.format), "write text or markdown")
	case r.format != "" && r.reader == "":
		return problem.New("-format", "has no effect without -for", "write -for=customer")
	case r.explain != "" && r.update:
		return problem.New("-explain", "leaves the plan as it is, and cannot be combined with -update", "run -update first")
	case r.explain != "" && r.json:
		return problem.New("-explain", "prints text, and cannot be combined with -json", "-json -dryRun prints verdicts with their evidence, and -record= writes all facts")
	}
	return nil
}

func (r *gateRun) gate(ctx context.Context) error {
	r.warnUntracked(ctx, false, stateFile, planFile)
	prior, _, err := r.State(ctx)
	if err != nil {
		return err
	}
	document, text, err := r.Plan(ctx, prior)
	if err != nil {
		return err
	}
	certificates, err := dnsgate.Certificates(document, r.filter)
	if err != nil {
		return problem.In(r.File(planFile), err)
	}
	r.private = document.Private()
	held, err := tellStays(document)
	if err != nil {
		return err
	}
	if r.explain != "" {
		return r.explainHost(ctx, document, certificates, deployed(prior))
	}
	if err := r.mayUpdate(document); err != nil {
		return err
	}
	asked := certificates
	if r.update { // also names that need no certificate of their own have to lead to their node
		asked = slices.Concat(certificates, dnsgate.Sharing(document, r.filter))
	}
	facts, err := r.look(ctx, asked)
	if err != nil {
		return err
	}
	if r.update {
		if facts, err = r.repair(ctx, document, asked, facts); err != nil {
			return err
		}
	}
	r.policy.Now = facts.Taken
	r.policy.Preview = r.update && r.dryRun
	r.policy.Deployed = deployed(prior)
	verdicts := make(map[string]dnsgate.Verdict, len(certificates))
	for _, c := range certificates {
		verdicts[c.Host] = dnsgate.Judge(facts, r.request(c))
	}
	if r.policy.Served, err = r.served(ctx, document, verdicts, facts); err != nil {
		return err
	}
	gated, err := dnsgate.Gate(document, verdicts, r.policy)
	if err != nil {
		return err
	}
	if err := tellWithheld(gated.Withheld); err != nil {
		return err
	}
	file := generated.File{Name: planFile, Before: text, After: gated.Plan.After(document).Encode()}
	if !r.dryRun {
		if err := r.Save(ctx, file); err != nil {
			return err
		}
	}
	return withheldOrHeldBack(held, gated.Withheld, r.show(gated, file))
}

// look gathers facts, and refuses facts that do not allow a decision.
func (r *gateRun) look(ctx context.Context, certificates []dnsgate.Certificate) (*dnsgate.Facts, error) {
	facts, err := r.gather(ctx, certificates)
	if err != nil {
		return nil, err
	}
	if facts.Taken == "" {
		facts.Taken = time.Now().UTC().Format(time.RFC3339)
	}
	return facts, dnsgate.Available(facts, certificates)
}

// gather asks DNS, and records the answers with -record, or reads such a record.
func (r *gateRun) gather(ctx context.Context, certificates []dnsgate.Certificate) (*dnsgate.Facts, error) {
	if r.facts == "" {
		facts, err := r.collect(ctx, dnsgate.QuestionOf(certificates, r.live))
		if err != nil {
			return nil, err
		}
		return facts, r.keepRecord(facts)
	}
	const remedy = "name a file that `mage dnsGate -record=FILE` wrote"
	text, err := os.ReadFile(r.facts)
	if err != nil {
		return nil, problem.WithHint(err, remedy)
	}
	facts, err := dnsgate.DecodeFacts(text)
	if err != nil {
		return nil, problem.WithHint(problem.In(r.facts, err), remedy)
	}
	return facts, nil
}

// keepRecord writes facts to the file of -record.
func (r *gateRun) keepRecord(facts *dnsgate.Facts) error {
	if r.record == "" {
		return nil
	}
	text, err := facts.Encode()
	if err != nil {
		return err
	}
	return os.WriteFile(r.record, text, 0o666)
}

// served looks at what the nodes serve for certificates that would be lost, and adds it to
// the facts. It makes no connection with -live=false.
func (r *gateRun) served(ctx context.Context, document plan.Document, verdicts map[string]dnsgate.Verdict, facts *dnsgate.Facts) (map[string]*dnsgate.Served, error) {
	losing := dnsgate.Losing(document, verdicts)
	if r.facts != "" || r.live == dnsgate.LiveNever || len(losing) == 0 {
		return facts.Served, nil
	}
	facts.Served = served.Facts(ctx, facts, losing, r.private, served.Config{HSTS: true})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return facts.Served, r.keepRecord(facts)
}

// collect asks DNS.
func (r *gateRun) collect(ctx context.Context, question dnsgate.Question) (*dnsgate.Facts, error) {
	show, done := counting("looking up names")
	defer done()
	return r.resolverOf(func(p resolver.Progress) { show(p.Done, p.Total) }).Collect(ctx, question)
}

func (r *gateRun) resolverOf(progress func(resolver.Progress)) *resolver.Resolver {
	return resolver.New(resolver.Config{Resolver: r.resolver, Private: r.private, Progress: progress})
}

func (r *gateRun) request(c dnsgate.Certificate) dnsgate.Request {
	request := c.Request()
	request.AccountURI, request.Proxies = r.account, dnsgate.Proxies
	return request
}
