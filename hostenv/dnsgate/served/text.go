package served

import (
	"fmt"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// String describes the difference in one line, safe to show.
func (d Difference) String() string {
	until := d.NotAfter.Format(time.DateOnly)
	text := map[Kind]string{
		NoAnswer:    "takes no connection: " + d.Detail,
		None:        "serves no certificate: " + d.Detail,
		SelfSigned:  "serves a self-signed certificate",
		WrongNames:  fmt.Sprintf("serves a certificate without %s; it has %s", problem.Join(d.Missing), problem.Join(d.Names)),
		Expired:     "serves a certificate that expired on " + until,
		NotYetValid: "serves a certificate that is not valid yet",
		ExpiresSoon: "serves a certificate that expires on " + until + ", and was not renewed",
		NotPlanned:  "serves a certificate until " + until + ", and the plan has none",
	}[d.Kind]
	place := d.Node
	if d.Host != "" {
		place += " " + d.Host
	}
	if d.Issuer != "" && d.Kind != SelfSigned {
		text += " (issuer " + d.Issuer + ")"
	}
	return problem.Line(place + ": " + text)
}

// Hint returns what to do.
func (d Difference) Hint() string {
	switch d.Kind {
	case NoAnswer:
		return "check that the node runs, and that its port 443 is open to this machine"
	case NotPlanned:
		return "`mage deploy` turns it off, if the node has not the plan's version yet"
	case WrongNames:
		return "`mage deploy` if the names changed in the plan; if it was deployed, `mage status` shows whether the order failed"
	case None, SelfSigned, Expired, NotYetValid, ExpiresSoon:
	}
	return "`mage status` shows whether its order failed; `mage dnsGate` whether it can succeed"
}
