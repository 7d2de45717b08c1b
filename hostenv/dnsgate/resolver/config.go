package resolver

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/public"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Config says which servers a [Resolver] asks, and how long it waits for them.
// The zero Config asks the system's resolver and is right for the Internet.
type Config struct {
	// Resolver is the address of the validating resolver, with a port if it is not 53.
	// Separate several by commas: if one fails, the next one is asked. "" means the
	// resolvers of ResolvConf.
	Resolver string
	// ResolvConf is read if Resolver is empty; "" is /etc/resolv.conf.
	ResolvConf string

	// Port is the port of authoritative servers, 0 for 53.
	Port int
	// DialAddr maps the address and port of an authoritative server, or of a host of a
	// live check, to the address and port to use. A test puts the servers of a whole
	// Internet on loopback with it. Facts have the address before the mapping.
	DialAddr func(addr string) string
	// Private are networks that are not public and yet may be dialled, after
	// DialAddr: provider.privateNetworks, or those of a laboratory. Without it, name
	// servers and hosts at such addresses are not asked. The resolver itself may be
	// at any address.
	Private []netip.Prefix

	// Concurrency limits the names that are looked up at once, 0 for 1024.
	Concurrency int
	// PerServer limits the questions to one authoritative server at once, 0 for 64;
	// PerResolver those to the resolver, 0 for 256.
	PerServer, PerResolver int

	// Timeouts are the waits of each try for an authoritative server: by default five
	// tries in 4 s. ResolverTimeouts are the waits for the resolver, which itself waits
	// for servers: six tries in 13 s.
	Timeouts, ResolverTimeouts []time.Duration

	// Live does the live checks if a question asks for them; nil connects to the hosts
	// over the network.
	Live Live

	// Progress, if set, is called twice a second and at the end of a run, by one
	// goroutine.
	Progress func(Progress)
	// Now is the clock that dates facts, nil for time.Now.
	Now func() time.Time
}

// Progress is the progress of a run.
type Progress struct {
	Done, Total int // names
	Stats
}

// Stats count what went over the network.
type Stats struct {
	Questions int // different questions
	Retries   int // repeated questions: after a timeout, over TCP or without EDNS
	TCP       int // questions over TCP
	Timeouts  int // questions without an answer
	Ignored   int // replies to no question, or with other upper and lower case
	Servers   int // addresses that were asked
	Silent    int // addresses that were given up
}

func (s Stats) String() string {
	return fmt.Sprintf("%d questions to %d servers, %d retries, %d over TCP, %d without answer, %d replies ignored, %d servers silent",
		s.Questions, s.Servers, s.Retries, s.TCP, s.Timeouts, s.Ignored, s.Silent)
}

func (c Config) withDefaults() Config {
	c.ResolvConf = cmp.Or(c.ResolvConf, "/etc/resolv.conf")
	c.Port = cmp.Or(c.Port, 53)
	c.Concurrency = cmp.Or(max(c.Concurrency, 0), 1024)
	c.PerServer = cmp.Or(max(c.PerServer, 0), 64)
	c.PerResolver = cmp.Or(max(c.PerResolver, 0), 256)
	const ms = time.Millisecond
	if len(c.Timeouts) == 0 {
		c.Timeouts = []time.Duration{400 * ms, 600 * ms, 800 * ms, 1000 * ms, 1200 * ms}
	}
	if len(c.ResolverTimeouts) == 0 {
		c.ResolverTimeouts = []time.Duration{1000 * ms, 1500 * ms, 2000 * ms, 2500 * ms, 3000 * ms, 3000 * ms}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// noResolver returns the error of a run that has no resolver to ask.
func noResolver(format string, args ...any) error {
	return problem.WithHint(fmt.Errorf(format, args...), "name a validating resolver by its address, such as -resolver=127.0.0.1 or -resolver=[2001:db8::53]:5353")
}

// resolvers returns the addresses of the resolvers to ask.
func (c Config) resolvers() ([]netip.AddrPort, error) {
	if c.Resolver == "" {
		return systemResolvers(c.ResolvConf)
	}
	var addrs []netip.AddrPort
	for spelling := range strings.SplitSeq(c.Resolver, ",") {
		addr, err := parseServer(strings.TrimSpace(spelling), 53)
		if err != nil {
			return nil, noResolver("the resolver %q is not an address: %w", spelling, err)
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

func systemResolvers(path string) ([]netip.AddrPort, error) {
	conf, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil, noResolver("the system names no resolver: %w", err)
	}
	port, err := strconv.Atoi(conf.Port)
	if err != nil {
		port = 53
	}
	var addrs []netip.AddrPort
	for _, server := range conf.Servers {
		if addr, err := parseServer(server, port); err == nil {
			addrs = append(addrs, addr)
		}
	}
	if len(addrs) == 0 {
		return nil, noResolver("the system names no resolver: there is no nameserver in %s", path)
	}
	return addrs, nil
}

// parseServer reads an address with or without port.
func parseServer(spelling string, port int) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddr(strings.Trim(spelling, "[]")); err == nil {
		return netip.AddrPortFrom(addr.Unmap(), uint16(port)), nil
	}
	addr, err := netip.ParseAddrPort(spelling)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), nil
}

// mapped returns the address and port to use for a server, after DialAddr. It refuses
// an address that must not be dialled: the owner of the zone chooses it.
func (c Config) mapped(addr netip.Addr, port int) (netip.AddrPort, error) {
	plain := netip.AddrPortFrom(addr, uint16(port))
	if c.DialAddr != nil {
		to, err := parseServer(c.DialAddr(net.JoinHostPort(addr.String(), strconv.Itoa(port))), port)
		if err != nil {
			return netip.AddrPort{}, err
		}
		plain = to
	}
	return plain, public.Networks(c.Private).Check(plain.Addr())
}
