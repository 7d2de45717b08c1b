package resolver

import (
	"errors"
	"net"
	"net/netip"
	"syscall"

	"github.com/miekg/dns"
)

// A socket carries queries to any number of servers. The exchange's lock guards its
// flights.
type socket struct {
	conn    *net.UDPConn
	flights map[uint16]*flight
}

// openSockets opens the sockets of both families, each on a random port. A family
// that this machine does not have gets none, and its servers cannot be reached.
func (x *exchange) openSockets() {
	for family, network := range []string{"udp4", "udp6"} {
		for range socketsPerFamily {
			conn, err := net.ListenUDP(network, nil)
			if err != nil {
				break
			}
			// Replies come in bursts. If the system grants less, that is enough.
			_ = conn.SetReadBuffer(4 << 20)
			s := &socket{conn: conn, flights: map[uint16]*flight{}}
			x.sockets[family] = append(x.sockets[family], s)
			x.wg.Go(func() { x.listen(s) })
		}
	}
}

func (x *exchange) listen(s *socket) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // for example an ICMP message about an earlier query
			continue
		}
		x.receive(s, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), buf[:n])
	}
}

// socketFor picks a random socket, so that a forger also has to guess the port.
func (x *exchange) socketFor(addr netip.Addr) *socket {
	family := x.sockets[0]
	if !addr.Is4() {
		family = x.sockets[1]
	}
	if len(family) == 0 {
		return nil
	}
	return family[int(dns.Id())%len(family)]
}

// register gives the flight an id that no other flight of the socket has.
func (s *socket) register(f *flight) bool {
	if len(s.flights) > 1<<15 {
		return false
	}
	id := f.query.id()
	for s.flights[id] != nil {
		id = dns.Id()
	}
	f.query.setID(id)
	s.flights[id] = f
	f.sock = s
	return true
}

func (s *socket) unregister(f *flight) {
	if id := f.query.id(); s.flights[id] == f {
		delete(s.flights, id)
	}
	f.sock = nil
}

// transient reports whether a failed send counts as a lost packet, which is sent
// again.
func transient(err error) bool {
	return errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ECONNREFUSED)
}
