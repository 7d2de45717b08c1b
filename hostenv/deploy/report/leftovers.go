package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Leftovers writes a table of what environments left behind on nodes that no
// longer have them. It has no output if there are no leftovers.
func Leftovers(w io.Writer, all []deploy.Leftover) error {
	if len(all) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(problem.NewWriter(w), 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tLEFT OVER\tUID\tWHY\tPATHS")
	for _, l := range all {
		why := string(l.Why)
		if l.Now != "" {
			why += " to " + l.Now
		}
		if l.Running {
			why += ", still running"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\n", l.Node, l.User, l.UID, problem.Line(why), problem.Line(strings.Join(l.Paths, " ")))
	}
	return table.Flush()
}
