package targets

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/calendar"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// maxEvents is how many events of a day or a week are printed one by one, and maxTroubles
// how many troubles.
const maxEvents, maxTroubles = 20, 40

func (r *certificatesRun) show(c *calendar.Calendar) error {
	if r.json {
		return printCalendar(c)
	}
	w := stdout()
	fmt.Fprintf(w, "certificates from %s to %s; %s\n", c.From.Format(time.DateOnly), c.Until.Format(time.DateOnly), c.Terms)
	for _, t := range c.Changes {
		fmt.Fprintf(w, "from %s: %s\n", t.From.Format(time.DateOnly), t)
	}
	today, week := c.From.Format(time.DateOnly), c.From.AddDate(0, 0, 7)
	printEvents(w, "today", c.Events, func(e calendar.Event) bool { return e.Day == today })
	printEvents(w, "until "+week.Format(time.DateOnly), c.Events, func(e calendar.Event) bool { return e.Day > today && e.At.Before(week) })
	printTroubles(w, c.Troubles)
	if n := len(c.Undated); n > 0 {
		fmt.Fprintf(w, "\n%s renewed about every %s, on days that the plan does not tell\n", counted(n, "certificate is", "certificates are"), counted(int(c.Interval.Hours()/24), "day", "days"))
	}
	return printTotals(w, c)
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func printEvents(w io.Writer, when string, all []calendar.Event, wanted func(calendar.Event) bool) {
	var events []calendar.Event
	for _, e := range all {
		if wanted(e) {
			events = append(events, e)
		}
	}
	fmt.Fprintf(w, "\n%s:", when)
	if len(events) == 0 {
		fmt.Fprintln(w, " nothing")
		return
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, e := range events {
		if i == maxEvents {
			fmt.Fprintf(table, "  and %d more (see the table, or -json)\n", len(events)-i)
			break
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\n", e.Day, problem.Line(e.Node), problem.Line(e.Host), described(e))
	}
	table.Flush()
}

// described says in words what happens.
func described(e calendar.Event) string {
	text := map[calendar.Kind]string{
		calendar.First: "first order", calendar.Changed: "order of changed names", calendar.Renewal: "renewal", calendar.Expiry: "expires",
	}[e.Kind]
	switch {
	case e.Waits == dnsgate.ReasonQuota:
		text += ", if `mage dnsGate` runs: the project's quota holds it back until then"
	case e.Waits == dnsgate.ReasonRateLimit:
		text += ", if `mage dnsGate` runs: a limit of Let's Encrypt holds it back until then"
	case e.Waits != "":
		text += ", if `mage dnsGate` passes it"
	}
	if days := int(e.Latest.Sub(e.Earliest).Hours() / 24); e.Kind == calendar.Renewal && days > 1 {
		text += fmt.Sprintf(" (between %s and %s)", e.Earliest.Format(time.DateOnly), e.Latest.Format(time.DateOnly))
	}
	if !e.Safe {
		text += "; Let's Encrypt may refuse it (" + strings.Join(e.Limits, ", ") + ")"
	}
	return text
}

func printTroubles(w io.Writer, all []calendar.Trouble) {
	fmt.Fprint(w, "\nwhat goes wrong:")
	if len(all) == 0 {
		fmt.Fprintln(w, " nothing")
		return
	}
	fmt.Fprintln(w)
	for i, t := range all {
		if i == maxTroubles {
			fmt.Fprintf(w, "  and %d more (see -json)\n", len(all)-i)
			break
		}
		fmt.Fprintf(w, "  %s  %s\n", t.At.Format(time.DateOnly), t)
		if hosts := t.Hosts(); len(hosts) > 1 {
			fmt.Fprintf(w, "    virtual hosts: %s\n", problem.Line(problem.Join(hosts)))
		}
		if hint := t.Hint(); hint != "" {
			fmt.Fprintf(w, "    hint: %s\n", hint)
		}
	}
}

// printTotals prints a line for each day and node, with the domains that have most.
func printTotals(w io.Writer, c *calendar.Calendar) error {
	totals := c.Totals(false)
	if len(totals) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	domains := map[[2]string][]calendar.Total{}
	for _, t := range c.Totals(true) {
		domains[[2]string{t.Day, t.Node}] = append(domains[[2]string{t.Day, t.Node}], t)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DAY\tNODE\tFIRST\tCHANGED\tRENEWALS\tEXPIRE\tUNSAFE\tDOMAINS")
	for _, t := range totals {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.Day, problem.Line(t.Node), number(t.First), number(t.Changed), number(t.Renewals),
			number(t.Expiries), number(t.Unsafe), domainNames(domains[[2]string{t.Day, t.Node}]))
	}
	return table.Flush()
}

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// domainNames names up to three domains, with their numbers of certificates if these
// are more than one.
func domainNames(all []calendar.Total) string {
	var names []string
	for i, t := range all {
		if i == 3 {
			names = append(names, fmt.Sprintf("and %d more", len(all)-i))
			break
		}
		name := problem.Line(t.Domain)
		if n := t.First + t.Changed + t.Renewals + t.Expiries; n > 1 {
			name += fmt.Sprintf(" (%d)", n)
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func printCalendar(c *calendar.Calendar) error {
	w := json.NewEncoder(stdoutJSON())
	w.SetEscapeHTML(false)
	w.SetIndent("", "  ")
	return w.Encode(map[string]any{
		"formatVersion": 1, "from": c.From, "until": c.Until, "events": append([]calendar.Event{}, c.Events...),
		"troubles": append([]calendar.Trouble{}, c.Troubles...), "undated": append([]calendar.Subject{}, c.Undated...),
		"totals": append([]calendar.Total{}, c.Totals(true)...),
	})
}
