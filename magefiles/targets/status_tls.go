package targets

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/drive"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/served"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// validFor is how long a certificate that a node serves has to be valid at least. NixOS
// renews one 30 days before it expires, or at a third of its lifetime.
const validFor = 7 * 24 * time.Hour

// servedOverTLS prints how the certificates that nodes serve differ from the plan.
func (r *lookRun) servedOverTLS(ctx context.Context, p *drive.Plan, selected []deploy.Node) (differ bool, err error) {
	expected := served.Expected{Addresses: map[string]string{}, Now: time.Now(), Within: validFor}
	for _, n := range selected {
		expected.Addresses[n.Name] = n.Address
	}
	var hosts []served.Host
	for _, h := range served.Hosts(p.Document) {
		if _, asked := expected.Addresses[h.Node]; asked {
			hosts = append(hosts, h)
		}
	}
	all, err := served.Differences(ctx, hosts, expected, served.Config{})
	if err != nil {
		return false, err
	}
	return len(all) > 0, printAll(r, all, func(w io.Writer, all []served.Difference) error {
		return printServed(w, len(hosts), all)
	})
}

func printServed(w io.Writer, hosts int, all []served.Difference) error {
	w = problem.NewWriter(w)
	if len(all) == 0 {
		_, err := fmt.Fprintf(w, "\nover TLS: %s as the plan has it\n", counted(hosts, "virtual host is served", "virtual hosts are served"))
		return err
	}
	fmt.Fprintln(w, "\nover TLS:")
	for _, d := range all {
		fmt.Fprintf(w, "  %s\n    hint: %s\n", d, d.Hint())
	}
	return nil
}
