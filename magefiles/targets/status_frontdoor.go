package targets

import (
	"fmt"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
)

// showFrontDoors prints what you must do by hand about the nodes' nginx.
func showFrontDoors(doors *deploy.FrontDoors) {
	for _, f := range doors.Findings() {
		fmt.Fprintln(stderr(), report.Line(deploy.Event{Type: deploy.TypeFinding, Node: f.Node, Finding: &f.Finding}))
	}
}
