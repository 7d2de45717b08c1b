package report

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Certificates writes a table of the certificates that are not valid, then the
// details of each order that failed, and then how many certificates are valid.
func Certificates(w io.Writer, all []deploy.Certificate) error {
	w = problem.NewWriter(w)
	var shown []deploy.Certificate
	for _, c := range all {
		if c.State != deploy.CertificateValid {
			shown = append(shown, c)
		}
	}
	if len(shown) > 0 {
		fmt.Fprintln(w)
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "NODE\tCERTIFICATE\tSTATE\tIN PLACE")
		for _, c := range shown {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.Node, problem.Line(c.Name), c.State, inPlace(c))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	for _, c := range shown {
		if f := c.Failure; f != nil {
			fmt.Fprintf(w, "\n%s %s: %s\n", c.Node, problem.Line(c.Name), problem.Line(failures(*f)))
			for _, line := range f.Output {
				fmt.Fprintf(w, "  %s\n", problem.Line(line))
			}
			fmt.Fprintf(w, "hint: %s\n", problem.Line(c.Hint()))
		}
	}
	if valid := len(all) - len(shown); valid > 0 {
		fmt.Fprintf(w, "\n%s\n", counted(valid, "certificate is valid", "certificates are valid"))
	}
	return nil
}

func inPlace(c deploy.Certificate) string {
	switch {
	case c.Issuer == deploy.IssuerCA && c.State == deploy.CertificateExpired:
		return "expired " + c.NotAfter.Format(time.DateOnly)
	case c.Issuer == deploy.IssuerCA:
		return "valid until " + c.NotAfter.Format(time.DateOnly)
	case c.Issuer == deploy.IssuerSelfSigned:
		return "self-signed"
	default:
		return "nothing"
	}
}

func failures(f deploy.OrderFailure) string {
	why := "exit status " + f.Exit
	if f.Exit == "timeout" {
		why = "it timed out"
	}
	if f.Times == 1 {
		return fmt.Sprintf("the order failed at %s (%s)", f.Last.Format(time.RFC3339), why)
	}
	return fmt.Sprintf("%d orders failed since %s, the last at %s (%s)", f.Times, f.Since.Format(time.RFC3339), f.Last.Format(time.RFC3339), why)
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
