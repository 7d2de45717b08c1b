package verify_test

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/verify"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// A check connects to a node whose name leads to an address that is not public
// only if the provider names that address, as the node's or as a network's.
func TestPrivateNodes(t *testing.T) {
	var connections atomic.Int32
	if listener, err := net.Listen("tcp4", "127.0.0.1:80"); err == nil { // without it, a connection is refused
		defer listener.Close()
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				connections.Add(1)
				conn.Close()
			}
		}()
	}
	const notPublic = "is not public (loopback, RFC 1122), and provider.privateNetworks does not have it"
	for _, tt := range []struct {
		reason  string
		change  func(*plan.Document)
		allowed bool
	}{
		{"no allowance", func(*plan.Document) {}, false},
		{"a network of the provider", func(d *plan.Document) { d.PrivateNetworks = []string{"127.0.0.0/8", "::1/128"} }, true},
		{"the node's address", func(d *plan.Document) {
			d.NodeConnections = map[string]plan.Connection{"node-a": {Hostname: "127.0.0.1"}, "node-b": {Hostname: "::1"}}
		}, true},
		{"another network", func(d *plan.Document) { d.PrivateNetworks = []string{"10.0.0.0/8", "::ffff:127.0.0.0/104", "nonsense"} }, false},
	} {
		d := document(t, verification(`{"virtualHost": "plain.shop.test", "path": "/"}`, `{}`))
		tt.change(&d)
		connections.Store(0)
		v := verify.New(d, verify.Options{Tries: 1, Pause: time.Nanosecond})
		got := v.Verify(t.Context(), deploy.Node{Name: "node-a", PublicName: "localhost"}, "shop", deploy.Asking{}).Checks
		if len(got) != 1 || got[0].OK {
			t.Errorf("%s: %+v", tt.reason, got)
			continue
		}
		if refused := strings.Contains(got[0].Problem, notPublic); refused == tt.allowed {
			t.Errorf("%s: %s", tt.reason, got[0].Problem)
		}
		if n := connections.Load(); !tt.allowed && n > 0 {
			t.Errorf("%s: %d connections", tt.reason, n)
		}
	}
}
