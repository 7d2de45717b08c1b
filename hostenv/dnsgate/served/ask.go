package served

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// Config says how to ask.
type Config struct {
	Port string // "443" if it is empty
	// Dial connects to a node, nil for a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// HSTS asks for / of each host as well, for its header Strict-Transport-Security.
	HSTS bool
	// AtOnce is how many hosts are asked at once, 16 if it is 0.
	AtOnce int
	// Timeout is for each connection and what is asked over it, 10 s if it is 0.
	Timeout time.Duration
}

// A question asks a node for the certificate of a host.
type question struct {
	host      string   // in the spelling of DNS
	addresses []string // of the node; the first that takes a connection counts
}

// An answer is what a node served.
type answer struct {
	*dnsgate.Served
	connected bool // the node took a connection
}

// ask asks all questions. An address that takes no connection is asked once.
func (c Config) ask(ctx context.Context, questions []question) []answer {
	answers := make([]answer, len(questions))
	var mu sync.Mutex
	deaf := map[string]string{} // errors by address
	places := make(chan struct{}, cmp.Or(c.AtOnce, 16))
	var group sync.WaitGroup
	for i, q := range questions {
		places <- struct{}{}
		group.Go(func() {
			defer func() { <-places }()
			answers[i].Served = &dnsgate.Served{Error: "the node has no address"}
			for _, address := range q.addresses {
				mu.Lock()
				why, skip := deaf[address]
				mu.Unlock()
				if skip {
					answers[i].Served = &dnsgate.Served{Error: why}
					continue
				}
				if answers[i] = c.askAt(ctx, q.host, address); answers[i].connected {
					return
				}
				mu.Lock()
				deaf[address] = answers[i].Error
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return answers
}

// askAt asks one address.
func (c Config) askAt(ctx context.Context, host, address string) answer {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, 10*time.Second))
	defer cancel()
	dial := c.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	plain, err := dial(ctx, "tcp", net.JoinHostPort(address, cmp.Or(c.Port, "443")))
	if err != nil {
		return answer{&dnsgate.Served{Error: short(err.Error())}, false}
	}
	defer plain.Close()
	// It is judged later, and may be self-signed.
	conn := tls.Client(plain, &tls.Config{ServerName: host, InsecureSkipVerify: true})
	if err := conn.HandshakeContext(ctx); err != nil {
		return answer{&dnsgate.Served{Error: short(err.Error())}, true}
	}
	leaf := conn.ConnectionState().PeerCertificates[0]
	s := &dnsgate.Served{
		Issuer: short(leaf.Issuer.String()), Subject: short(leaf.Subject.String()),
		NotBefore: leaf.NotBefore.UTC().Format(time.RFC3339), NotAfter: leaf.NotAfter.UTC().Format(time.RFC3339),
	}
	for _, name := range leaf.DNSNames[:min(len(leaf.DNSNames), dnsgate.MaxNames)] {
		s.Names = append(s.Names, short(name))
	}
	if c.HSTS {
		s.HSTS = hstsOf(ctx, conn, host)
	}
	return answer{s, true}
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
	return short(response.Header.Get("Strict-Transport-Security"))
}

// maxText is how much of a text is kept.
const maxText = 300

// short returns a node's text as a JSON document can hold it, and not too long.
func short(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return text
}
