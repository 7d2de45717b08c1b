package served

import (
	"context"
	"net/netip"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/internal/public"
)

// Facts returns what the nodes serve for certificates, by virtual host, for
// [dnsgate.Policy]. It connects to the nodes' addresses in facts, if they are public or
// in private, and to nothing else.
func Facts(ctx context.Context, facts *dnsgate.Facts, certificates []dnsgate.Certificate, private []netip.Prefix, c Config) map[string]*dnsgate.Served {
	if c.Dial == nil {
		c.Dial = public.Networks(private).Dialer().DialContext
	}
	all := make(map[string]*dnsgate.Served, len(certificates))
	var questions []question
	var hosts []string
	for _, certificate := range certificates {
		name, err := dnsgate.CertificateName(certificate.Names[0])
		if err != nil {
			all[certificate.Host] = &dnsgate.Served{Error: err.Error()}
			continue
		}
		q := question{host: name}
		for _, address := range facts.NodeAddresses(certificate.NodeName) {
			q.addresses = append(q.addresses, address.String())
		}
		questions, hosts = append(questions, q), append(hosts, certificate.Host)
	}
	for i, a := range c.ask(ctx, questions) {
		all[hosts[i]] = a.Served
	}
	return all
}
