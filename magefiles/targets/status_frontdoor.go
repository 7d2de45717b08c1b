package targets

import (
	"fmt"
	"os"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
)

// showFrontDoors prints what is to be done by hand at the nodes' nginx.
func showFrontDoors(doors *deploy.FrontDoors) error {
	found, err := doors.Findings()
	for _, f := range found {
		fmt.Fprintln(os.Stderr, report.Line(deploy.Event{Type: deploy.TypeFinding, Node: f.Node, Finding: &f.Finding}))
	}
	return err
}
