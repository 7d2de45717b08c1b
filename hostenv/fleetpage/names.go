package fleetpage

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// A Name is a row of the table of names: one virtual host of one environment.
type Name struct {
	ID, Host       string
	Aliases        []string
	User, UserLink string
	Node           string
	Verdict        Badge
	Reason         string
	Decided        string // the name of the certificate that decided, "" if it is Host
	Since          Time
	Certificate    Badge  // what the plan asks of the node
	OnNode         *Badge // the certificate in place, nil if the node was not asked or has none
	Evidence       []string
	Fix            string // our own words
	Order          *OrderFailure
	Off            bool // the environment asks for a certificate and the gate turned it off
	Attention      bool
}

// An OrderFailure is the last order of a certificate, which failed.
type OrderFailure struct {
	Text   string
	Output []string
	Hint   string
}

func (c *facts) names() []Name {
	certificates := map[string]deploy.Certificate{}
	if c.Asked != nil {
		for _, found := range c.Asked.Certificates {
			certificates[found.Node+"/"+found.Name] = found
		}
	}
	var rows []Name
	seen := map[string]bool{}
	for _, user := range sorted(c.Plan.Environments) {
		e := c.Plan.Environments[user]
		for _, host := range sorted(e.VirtualHosts) {
			v := e.VirtualHosts[host]
			row := Name{ID: c.ids.host[host], Host: host, Aliases: v.ServerAliases, User: user, UserLink: c.ids.user[user], Node: e.Node}
			if seen[host] { // no plan of ours has a host twice
				row.ID = fmt.Sprintf("name__%d", len(rows))
			}
			seen[host] = true
			c.judged(&row, e, v)
			certificate, found := certificates[e.Node+"/"+cmp.Or(v.UseACMEHost, host)]
			if found {
				row.onNode(certificate)
			}
			row.Attention = row.Off || row.Verdict.Tone == Bad || row.OnNode != nil && row.OnNode.Tone == Bad
			rows = append(rows, row)
		}
	}
	slices.SortStableFunc(rows, func(a, b Name) int { return cmp.Compare(a.Host, b.Host) })
	return rows
}

// judged fills in what the DNS gate decided.
func (c *facts) judged(row *Name, e plan.Environment, v plan.VirtualHost) {
	entry, judged := c.Plan.DNSGate[row.Host]
	on := v.TLS().EnableACME
	switch {
	case !e.Runs():
		row.Certificate = Badge{Plain, "not served"}
	case on:
		row.Certificate = Badge{Good, "on"}
	case v.UseACMEHost != "":
		row.Certificate = Badge{Good, "wildcard"}
	case judged && (entry.Asked.EnableACME || entry.Asked.UseACMEHost != ""):
		row.Certificate, row.Off = Badge{Bad, "off"}, true
	default:
		row.Certificate = Badge{Plain, "not asked for"}
	}
	if !judged {
		row.Verdict = Badge{Plain, "none"}
		if on && e.Runs() {
			row.Verdict = Badge{Unknown, "not judged"}
		}
		return
	}
	row.Verdict = verdict(entry.Verdict)
	row.Reason, row.Since, row.Fix = entry.Reason, parsed(entry.Since), limited(entry.Fix)
	if entry.Name != row.Host {
		row.Decided = entry.Name
	}
	if entry.Node != e.Node {
		row.Evidence = append(row.Evidence, "judged for the node "+entry.Node)
	}
	for _, seen := range entry.Evidence {
		row.Evidence = append(row.Evidence, limited(strings.Join(slices.DeleteFunc([]string{seen.Name, seen.Type, from(seen.Server), seen.Saw}, func(s string) bool { return s == "" }), " ")))
	}
}

func from(server string) string {
	if server == "" {
		return ""
	}
	return "from " + server
}

func limitedAll(texts []string) []string {
	limits := make([]string, len(texts))
	for i, text := range texts {
		limits[i] = limited(text)
	}
	return limits
}

func verdict(result string) Badge {
	switch dnsgate.Result(result) {
	case dnsgate.Pass:
		return Badge{Good, result}
	case dnsgate.Fail:
		return Badge{Bad, result}
	case dnsgate.Unknown:
		return Badge{Unknown, result}
	default: // of a later version
		return Badge{Unknown, result}
	}
}

// onNode fills in the certificate that a node has.
func (n *Name) onNode(c deploy.Certificate) {
	tone := map[deploy.CertificateState]Tone{
		deploy.CertificateValid: Good, deploy.CertificateWaiting: Warn, deploy.CertificateOrdering: Warn,
		deploy.CertificateFailed: Bad, deploy.CertificateExpired: Bad,
	}[c.State]
	word := string(c.State)
	switch {
	case c.State == deploy.CertificateValid:
		word += " until " + c.NotAfter.UTC().Format(time.DateOnly)
	case c.Issuer == deploy.IssuerCA:
		word += ", one until " + c.NotAfter.UTC().Format(time.DateOnly) + " in place"
	case c.Issuer == deploy.IssuerSelfSigned:
		word += ", a self-signed one in place"
	}
	n.OnNode = &Badge{cmp.Or(tone, Unknown), word}
	if f := c.Failure; f != nil {
		text := fmt.Sprintf("%s failed, the last at %s (exit %s)", counted(f.Times, "order", "orders"), Time{f.Last}.Text(), f.Exit)
		n.Order = &OrderFailure{Text: text, Output: limitedAll(f.Output), Hint: limited(c.Hint())}
	}
}
