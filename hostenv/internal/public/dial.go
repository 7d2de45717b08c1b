package public

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// Control is a Control of [net.Dialer]. It returns an [*Error] for a socket that is
// about to connect to an address which n does not allow.
func (n Networks) Control(network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("connect to %s %q: %w", network, address, err)
	}
	return n.Check(to.Addr())
}

// Dialer returns a dialer that connects only to public addresses and to those of n.
func (n Networks) Dialer() *net.Dialer { return &net.Dialer{Control: n.Control} }
