package resolver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/miekg/dns"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

const tcpTimeout = 5 * time.Second

// overTCP asks a flight's question again over TCP, after a truncated reply or one
// that did not keep the upper and lower case of the name; a reply over TCP cannot be
// forged as easily. It is called with the lock held, and releases it.
func (x *exchange) overTCP(f *flight) {
	f.overTCP = true
	f.try++
	x.stats.TCP++
	x.stats.Retries++
	q, to := f.query, f.server().addr
	x.wg.Go(func() {
		msg, err := x.dialTCP(q, to)
		if err != nil {
			a := failed(networkError(err))
			x.mu.Lock()
			a.Truncated = f.cut
			x.fail(f, a)
			return
		}
		x.settle(f, msg)
	})
	x.mu.Unlock()
}

func (x *exchange) dialTCP(q query, to netip.AddrPort) (*dns.Msg, error) {
	select {
	case x.tcp <- struct{}{}:
		defer func() { <-x.tcp }()
	case <-x.ctx.Done():
		return nil, context.Canceled
	}
	ctx, cancel := context.WithTimeout(x.ctx, tcpTimeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	conn := dns.Conn{Conn: raw}
	if _, err := conn.Write(q.wire); err != nil {
		return nil, err
	}
	buf := make([]byte, dns.MaxMsgSize)
	n, err := conn.Read(buf)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	reply := buf[:n]
	if q.match(reply) == matchNone || truncated(reply) {
		return nil, errMismatch
	}
	return unpack(reply)
}

var errMismatch = errors.New("the reply does not answer the question")

func networkError(err error) dnsgate.LookupError {
	var timeout net.Error
	switch {
	case errors.Is(err, errMismatch):
		return dnsgate.ErrorMalformed
	case errors.Is(err, context.Canceled):
		return dnsgate.ErrorCancelled
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return dnsgate.ErrorTimeout
	}
	return dnsgate.ErrorNetwork
}
