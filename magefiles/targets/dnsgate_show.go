package targets

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/generated"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// show prints the decisions and the files that a run wrote, or would write.
func (r *gateRun) show(gated *dnsgate.Gated, f generated.File) error {
	unreachable := dnsgate.OutOfReach(gated)
	for _, l := range gated.Limits {
		fmt.Fprintf(stderr(), "warning: %s\nhint: %s\n", l, l.Hint())
	}
	saving := dnsgate.SavingOf(gated.Plan)
	hintWildcard(saving, gated.Limits)
	if r.json {
		if err := printVerdicts(gated, unreachable, saving); err != nil {
			return err
		}
	} else if err := r.showFiles(r.dryRun, r.dryRun, func() error { return printDecisions(gated.Decisions, unreachable, saving) }, f); err != nil {
		return err
	} else if !f.Changed() {
		fmt.Println("the plan stays as it is")
	}
	if r.detailed && slices.ContainsFunc(gated.Decisions, func(d dnsgate.Decision) bool { return !d.On }) {
		return &outcomeError{exitChanges, "certificates are off"}
	}
	return nil
}

func printDecisions(decisions []dnsgate.Decision, unreachable []dnsgate.Unreachable, saving dnsgate.Saving) error {
	switch {
	case saving.Used && saving.Hosts > 0:
		fmt.Fprintln(stdout(), "wildcard", saving)
	case len(decisions) == 0:
		fmt.Fprintln(stdout(), "no virtual host asks for a certificate")
	}
	if len(decisions) > 0 {
		if err := printTable(decisions); err != nil {
			return err
		}
	}
	for _, d := range decisions {
		if text := d.Verdict.Text("  "); d.Verdict.Result != dnsgate.Pass || len(d.Verdict.Warnings) > 0 {
			fmt.Fprintf(stdout(), "\n%s: %s\n%s", d.Host, d.Verdict.Reason, text)
		}
	}
	return printOutOfReach(unreachable)
}

// printOutOfReach prints which hosts browsers cannot open, from when on, and the customer
// to write to.
func printOutOfReach(hosts []dnsgate.Unreachable) error {
	if len(hosts) == 0 {
		return nil
	}
	fmt.Fprint(stdout(), "\nOut of reach (HSTS): browsers open these hosts over TLS only, and they have no valid certificate from then on.\n"+
		"`mage dnsGate -explain=HOST -for=customer` prints a page for the customer.\n")
	w := tabwriter.NewWriter(stdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FROM\tHOST\tREASON\tCUSTOMER\tCONTACT")
	for _, h := range hosts {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", problem.Line(h.From), problem.Line(h.Host), problem.Line(string(h.Reason)),
			problem.Line(h.Organisation+"__"+h.Project), dash(problem.Line(strings.Join(h.Contacts, ", "))))
	}
	return w.Flush()
}

func printTable(decisions []dnsgate.Decision) error {
	w := tabwriter.NewWriter(stdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VERDICT\tHOST\tNODE\tREASON\tCERTIFICATE\tSINCE")
	for _, d := range decisions {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", d.Verdict.Result, d.Host, d.Node, d.Verdict.Reason, ordered(d), problem.Line(dash(d.Since)))
	}
	return w.Flush()
}

// ordered returns the text for a decision on a certificate.
func ordered(d dnsgate.Decision) string {
	text := onOff(d.On)
	switch {
	case d.On && d.KeepUntil != "":
		text += " until " + problem.Line(d.KeepUntil)
	case d.On != d.Was:
		text += " (was " + onOff(d.Was) + ")"
	case d.Withheld:
		text += " (withheld)"
	case d.Kept:
		text += " (as before)"
	}
	return text
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// verdict is a line of -json.
type verdict struct {
	Host        string   `json:"host"`
	Node        string   `json:"node"`
	Environment string   `json:"environment"`
	Names       []string `json:"names"`
	Certificate string   `json:"certificate"`
	Was         string   `json:"was"`
	Kept        bool     `json:"kept"`
	Withheld    bool     `json:"withheld"`
	Since       string   `json:"since"`
	KeepUntil   string   `json:"keepUntil,omitempty"`
	dnsgate.Verdict
}

// left is an organisation whose certificates stay as they are, in -json.
type left struct {
	dnsgate.Withheld
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

func printVerdicts(gated *dnsgate.Gated, unreachable []dnsgate.Unreachable, saving dnsgate.Saving) error {
	verdicts := make([]verdict, len(gated.Decisions))
	for i, d := range gated.Decisions {
		verdicts[i] = verdict{d.Host, d.Node, d.User, d.Names, onOff(d.On), onOff(d.Was), d.Kept, d.Withheld, d.Since, d.KeepUntil, d.Verdict}
	}
	stays := make([]left, len(gated.Withheld))
	for i, w := range gated.Withheld {
		stays[i] = left{w, w.Reason.Error(), problem.Hint(w.Reason)}
	}
	w := json.NewEncoder(stdoutJSON())
	w.SetEscapeHTML(false)
	w.SetIndent("", "  ")
	document := map[string]any{
		"formatVersion": dnsgate.FormatVersion, "verdicts": verdicts,
		"limits": append([]dnsgate.Shortage{}, gated.Limits...), "withheld": stays,
		"outOfReach": append([]dnsgate.Unreachable{}, unreachable...),
	}
	if saving.Used {
		document["wildcard"] = saving
	}
	return w.Encode(document)
}
