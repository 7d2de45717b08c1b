package targets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/cloudflare"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/resolver"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// repair points failing names at their nodes if Cloudflare has their zone. It waits
// until the zone's servers answer so, and returns the new facts.
func (r *gateRun) repair(ctx context.Context, document plan.Document, certificates []dnsgate.Certificate, facts *dnsgate.Facts) (*dnsgate.Facts, error) {
	prefix := ""
	if r.dryRun {
		prefix = "dry run: "
	}
	wants, foreign := own(document, r.wants(certificates, facts))
	tellOutcomes(prefix, foreign)
	if len(wants) == 0 {
		return facts, nil
	}
	config, source := cloudflareOf(document)
	config.Adopt, source.File = r.adopt, r.sopsFile
	token, err := r.readToken(ctx, source)
	if err != nil {
		return nil, err
	}
	var api cloudflare.API = cloudflare.NewClient(token, r.cloudflareURL, nil)
	options := cloudflare.Options{Progress: func(line string) { fmt.Fprintln(stderr(), prefix+problem.Line(line)) }}
	var dry *cloudflare.DryRun
	if r.dryRun {
		dry = cloudflare.NewDryRun(api)
		api = dry
	} else {
		options.Log = r.logBatch
	}
	report, err := cloudflare.Apply(ctx, api, wants, config, options)
	if err != nil {
		return nil, err
	}
	if dry == nil {
		r.wrote(report)
	}
	tellOutcomes(prefix, report.Outcomes)
	if dry != nil {
		for _, batch := range dry.Batches() {
			fmt.Fprintln(stderr(), "would send", batch.String())
		}
		return facts, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(report.Written) == 0 {
		return facts, nil
	}
	if err := r.await(ctx, report, facts); err != nil {
		return nil, err
	}
	return r.look(ctx, certificates)
}

// wrote records the zones with new records, for an error that ends the run later.
func (r *gateRun) wrote(report *cloudflare.Report) {
	var zones []string
	for _, batch := range report.Written {
		zones = append(zones, batch.Zone)
	}
	slices.Sort(zones)
	if zones = slices.Compact(zones); len(zones) > 0 {
		r.Written = append(r.Written, "DNS records of "+strings.Join(zones, ", "))
	}
}

// hideToken removes Cloudflare's token from the environment, which git inherits.
func (r *gateRun) hideToken() error {
	r.token = os.Getenv(cloudflare.TokenVariable)
	return os.Unsetenv(cloudflare.TokenVariable)
}

func (r *gateRun) readToken(ctx context.Context, source cloudflare.TokenSource) (cloudflare.Token, error) {
	if r.token != "" {
		return cloudflare.NewToken(r.token)
	}
	return source.Token(ctx)
}

func tellOutcomes(prefix string, outcomes []cloudflare.Outcome) {
	for _, o := range outcomes {
		fmt.Fprintln(stderr(), prefix+problem.Indented(o.String()))
		if hint := o.Hint(); hint != "" {
			fmt.Fprintln(stderr(), "hint:", problem.Indented(hint))
		}
	}
}

// A want is a name that a record in Cloudflare would correct, and the environment
// that has it.
type want struct {
	cloudflare.Want
	user string
}

// own takes out the names of domains that are not known to be the organisation's:
// the token may see the zones of several customers, and of the provider. Below the
// provider's domain an environment has its own generated name.
func own(document plan.Document, all []want) (wants []cloudflare.Want, foreign []cloudflare.Outcome) {
	for _, w := range all {
		organisation := document.Environments[w.user].Hostenv.Organisation
		domain, owner := document.Domains.Of(w.Host)
		if w.Host == w.user+"."+document.HostenvHostname || owner != "" && owner == organisation {
			wants = append(wants, w.Want)
			continue
		}
		detail := "no domain of " + organisation + " covers it"
		if owner != "" {
			detail = "the domain " + domain + " belongs to " + owner
		}
		foreign = append(foreign, cloudflare.Outcome{Host: w.Host, Target: w.Target, Kind: cloudflare.Refused, Reason: cloudflare.ReasonDomain, Detail: detail})
	}
	return wants, foreign
}

// wants returns the names that a CNAME would correct and, with -adopt, the names
// that have the CNAME already.
func (r *gateRun) wants(certificates []dnsgate.Certificate, facts *dnsgate.Facts) []want {
	var wants []want
	for _, c := range certificates {
		for _, name := range c.Names {
			request := r.request(c)
			request.Host, request.Names = name, []string{name}
			query, err := dnsgate.QueryName(name)
			if err != nil {
				continue
			}
			want := want{cloudflare.Want{Host: query, Target: c.NodeName}, c.User}
			switch v := dnsgate.Judge(facts, request); {
			case v.PointsElsewhere():
				wants = append(wants, want)
			case r.adopt && v.Result == dnsgate.Pass && isAlias(facts.Names[query], c.NodeName):
				want.AdoptOnly = true
				wants = append(wants, want)
			}
		}
	}
	return wants
}

// isAlias reports whether the servers of a name's zone have the CNAME for it.
func isAlias(facts *dnsgate.NameFacts, node string) bool {
	return facts != nil && slices.ContainsFunc(facts.Servers, func(s dnsgate.ServerFacts) bool {
		return slices.Contains(s.CNAME.Targets, node)
	})
}

// mayUpdate refuses a forbidden -update before it sends a request: a write that
// the provider's options do not allow, and another server than Cloudflare's, which
// must not get the token.
func (r *gateRun) mayUpdate(document plan.Document) (err error) {
	if !r.update {
		return nil
	}
	if c := document.Cloudflare; !r.dryRun && (c == nil || c.Enable == nil || !*c.Enable) {
		return problem.WithHint(problem.In(r.File(planFile), errors.New("cloudflare.enable is false, and -update writes to Cloudflare")),
			"set provider.cloudflare.enable = true and run `mage plan`, or use -dryRun, which only shows the writes")
	}
	r.cloudflareURL, err = cloudflare.BaseURL()
	return err
}

// cloudflareOf returns the provider's options for Cloudflare.
func cloudflareOf(document plan.Document) (cloudflare.Config, cloudflare.TokenSource) {
	options := document.Cloudflare
	if options == nil {
		options = &plan.Cloudflare{}
	}
	return cloudflare.Config{Owner: document.HostenvHostname, ZoneID: options.ZoneID}, cloudflare.TokenSource{Secret: options.APITokenSecret}
}

// logBatch appends a batch, and the batch that reverts it, to the log in the
// generated folder, before the batch is sent.
func (r *gateRun) logBatch(entry cloudflare.Entry) error {
	dir := r.File(".hostenv")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	var line bytes.Buffer
	if err := json.NewEncoder(&line).Encode(map[string]any{"time": time.Now().UTC().Format(time.RFC3339), "entry": entry}); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, "cloudflare.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(line.Bytes())
	return errors.Join(err, f.Sync(), f.Close())
}

// await waits until every authoritative server has the new records. It reports
// the records that some server lacks at the end of the time; the gate then judges
// by the present answers.
func (r *gateRun) await(ctx context.Context, report *cloudflare.Report, facts *dnsgate.Facts) error {
	show, done := counting("waiting for the name servers")
	defer done()
	arrivals, err := resolver.New(resolver.Config{Resolver: r.resolver, Private: r.private}).Wait(ctx, arriving(report, facts), resolver.WaitConfig{
		Progress: func(p resolver.WaitProgress) { show(p.Ready, p.Total) },
	})
	if err != nil {
		return err
	}
	if missing := resolver.Missing(arrivals); missing != nil {
		for _, err := range leaves(missing) {
			fmt.Fprintln(stderr(), "warning:", problem.Indented(err.Error()))
		}
	}
	return nil
}

// arriving returns the names to wait for: those of new records. A changed record
// may be proxied, and Cloudflare's servers then do not show its target.
func arriving(report *cloudflare.Report, facts *dnsgate.Facts) []resolver.Wanted {
	posted := map[string]bool{}
	for _, batch := range report.Written {
		for _, record := range batch.Posts {
			posted[record.Name] = !record.Proxied
		}
	}
	var wanted []resolver.Wanted
	for _, o := range report.Outcomes {
		if o.Kind == cloudflare.Upserted && posted[o.Host] {
			wanted = append(wanted, resolver.Wanted{Name: o.Host, Zone: o.Zone, CNAME: o.Target, Addresses: facts.NodeAddresses(o.Target)})
		}
	}
	return wanted
}
