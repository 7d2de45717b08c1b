package resolver

import (
	"bufio"
	"context"
	"crypto/tls"
	"net/http"
	"net/netip"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// Served returns what the nodes serve over TLS for certificates, by virtual host. It
// connects to the nodes' addresses in facts, and to nothing else.
func (r *Resolver) Served(ctx context.Context, facts *dnsgate.Facts, certificates []dnsgate.Certificate) map[string]*dnsgate.Served {
	network := &Network{DialAddr: r.config.DialAddr, Private: r.config.Private}
	found := make([]*dnsgate.Served, len(certificates))
	deaf := &deafNodes{}
	each(len(certificates), liveAtOnce, func(i int) {
		c := certificates[i]
		found[i] = &dnsgate.Served{Error: "the node has no address"}
		name, err := dnsgate.QueryName(c.Names[0])
		if err != nil {
			found[i].Error = err.Error()
			return
		}
		for _, addr := range facts.NodeAddresses(c.NodeName) {
			if deaf.has(addr) {
				found[i].Error = "the node does not answer"
				continue
			}
			var answered bool
			if found[i], answered = network.served(ctx, name, addr); answered {
				return
			}
			deaf.add(addr)
		}
	})
	served := make(map[string]*dnsgate.Served, len(certificates))
	for i, c := range certificates {
		served[c.Host] = found[i]
	}
	return served
}

// served asks one address for / of a host. Answered is false if it takes no connection.
func (n *Network) served(ctx context.Context, host string, addr netip.Addr) (s *dnsgate.Served, answered bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*n.timeout())
	defer cancel()
	plain, err := n.dial(ctx, addr, "443")
	if err != nil {
		return &dnsgate.Served{Error: recordable(err.Error())}, false
	}
	defer plain.Close()
	// The gate judges the certificate, which may be self-signed.
	conn := tls.Client(plain, &tls.Config{ServerName: host, InsecureSkipVerify: true})
	if err := conn.HandshakeContext(ctx); err != nil {
		return &dnsgate.Served{Error: recordable(err.Error())}, true
	}
	leaf := conn.ConnectionState().PeerCertificates[0]
	return &dnsgate.Served{
		Issuer: recordable(leaf.Issuer.String()), Subject: recordable(leaf.Subject.String()),
		Names: leaf.DNSNames, NotAfter: leaf.NotAfter.UTC().Format(time.RFC3339), HSTS: hstsOf(ctx, conn, host),
	}, true
}

// hstsOf returns the header Strict-Transport-Security of the answer for / of a host, ""
// if there is none.
func hstsOf(ctx context.Context, conn *tls.Conn, host string) string {
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, "https://"+host+"/", nil)
	if err != nil {
		return ""
	}
	request.Header.Set("User-Agent", "hostenv-provider (which certificate does this node serve?)")
	if err := request.Write(conn); err != nil {
		return ""
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	return recordable(response.Header.Get("Strict-Transport-Security"))
}
