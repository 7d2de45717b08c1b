package nixosnode

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"testing"
)

// The addresses of a lab's network from firstOther on are for machines that are no nodes.
const firstOther = 200

// Elsewhere adds a machine to the network that is no node, and that answers HTTP on
// port 80 by a handler, until the end of the test. It returns the machine's address.
func (l *Lab) Elsewhere(t testing.TB, handler http.Handler) string {
	t.Helper()
	return l.other(t, 80, &http.Server{Handler: handler})
}

// other adds a machine with a server on one port, which speaks TLS if it has a
// configuration for it.
func (l *Lab) other(t testing.TB, port int, server *http.Server) string {
	t.Helper()
	address := l.address(firstOther + l.others)
	l.others++
	must(t, ip("addr add %s/24 dev %s", address, l.bridge()))
	listener, err := net.Listen("tcp4", net.JoinHostPort(address, strconv.Itoa(port)))
	must(t, err)
	ended := make(chan error, 1)
	go func() {
		if server.TLSConfig != nil {
			ended <- server.ServeTLS(listener, "", "")
			return
		}
		ended <- server.Serve(listener)
	}()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != http.ErrServerClosed { //nolint:errorlint // Serve returns it unwrapped
			t.Error(fmt.Errorf("the server at %s: %w", address, err))
		}
	})
	return address
}

// Forward returns a reverse proxy to a node's port 80, which keeps the name that was
// asked for, as one in front of a web server does.
func (n *Node) Forward() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: n.Address})
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{DisableKeepAlives: true},
		ErrorLog:  log.New(io.Discard, "", 0), // the answer is 502
	}
}
