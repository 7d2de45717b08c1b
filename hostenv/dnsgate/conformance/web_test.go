package conformance

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"
)

// hosts has the hosts of the laboratory, by their name in situations. Nodes answer their
// own challenges; r4 and r6 refuse connections; h4 and h6 drop them.
var hosts = map[string]string{
	"n4": "11.0.0.10", "n6": "2e00:db8::10", // the node n1
	"m4": "11.0.0.20", "m4b": "11.0.0.21", "m6": "2e00:db8::20", "m6b": "2e00:db8::21", // the node m1, of two addresses a kind
	"o4": "11.0.0.30",                                                                // the node old, without IPv6
	"s6": "2e00:db8::40",                                                             // the node six, without IPv4
	"e4": "11.0.1.1", "e4b": "11.0.1.2", "e6": "2e00:db8::e1", "e6b": "2e00:db8::e2", // another machine
	"r4": "11.0.4.1", "r6": "2e00:db8::d1",
	"h4": "11.9.0.1", "h6": "2e00:db8:dead::1",
	// Machines that forward: redirects by their status, and a proxy.
	"f301": "11.0.2.1", "f302": "11.0.2.2", "f307": "11.0.2.7", "f308": "11.0.2.8", "f303": "11.0.2.3",
	"floop": "11.0.2.20", "fport": "11.0.2.21", "faway": "11.0.2.22", "fhttps": "11.0.2.23", "ftwice": "11.0.2.24",
	"fsame": "11.0.2.25", "fbare": "11.0.2.26", "f6": "2e00:db8::f1", "fip": "11.0.2.27",
	"fown": "11.0.2.28",
	"c4":   "11.0.2.29", "c6": "2e00:db8::c6", // redirects as the situation says; c6 has no port 443
	"twin":  "11.0.3.2",                           // a foreign host, with the same program as the nodes
	"older": "11.0.3.3",                           // a foreign host, with another version of it
	"proxy": "11.0.3.1", "proxy6": "2e00:db8::f3", // forwards the request to the node
	"slowhost": "11.0.3.9",  // accepts connections and does not answer
	"reset":    "11.0.3.10", // accepts and closes connections
}

// nodes are the nodes' names below hosting.net and their addresses.
var nodes = map[string][]string{
	"n1":   {"n4", "n6"},
	"m1":   {"m4", "m4b", "m6", "m6b"},
	"old":  {"o4"},
	"six":  {"s6"},
	"gone": nil, // has no name in DNS
	"sick": nil, // its name gives SERVFAIL
	"void": nil, // its name has no address
}

const hostingDomain = "hosting.net."

func address(host string) netip.Addr { return netip.MustParseAddr(hosts[host]) }

// hostingZone is the provider's own zone.
func hostingZone() Zone {
	var text strings.Builder
	for node, at := range nodes {
		for _, host := range at {
			kind := "A"
			if address(host).Is6() {
				kind = "AAAA"
			}
			fmt.Fprintf(&text, "%s 0 IN %s %s\n", node, kind, hosts[host])
		}
	}
	text.WriteString("void 0 IN TXT nothing\nsick 0 IN TXT nothing\n")
	return Zone{Origin: hostingDomain, Servers: []string{"p1", "p2"}, Records: text.String(), Faults: []Fault{{Name: "sick", Kind: FaultServFail}}}
}

// Web is every web server.
type Web struct {
	mu         sync.RWMutex
	challenges map[string]challenge // by token
	sites      map[string]Instance  // by domain
	servers    []*http.Server
	listeners  []net.Listener
}

type challenge struct {
	node string
	key  string
}

const challengePath = "/.well-known/acme-challenge/"

// StartWeb starts the web servers on ports 80 and 443.
func StartWeb(cert, key string) (*Web, error) {
	w := &Web{challenges: map[string]challenge{}, sites: map[string]Instance{}}
	for name, addr := range hosts {
		switch name {
		case "r4", "r6", "h4":
			continue
		case "h6":
			if err := blackHole(addr); err != nil {
				return nil, errors.Join(fmt.Errorf("make a black hole: %w", err), w.Close())
			}
			continue
		}
		listener, err := net.Listen("tcp", netip.AddrPortFrom(netip.MustParseAddr(addr), 80).String())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("start web server %s: %w", name, err), w.Close())
		}
		w.listeners = append(w.listeners, listener)
		if name == "slowhost" || name == "reset" {
			go ignoreRequests(listener, name == "reset")
			continue
		}
		server := &http.Server{Handler: w.handler(name), ReadHeaderTimeout: 10 * time.Second}
		w.servers = append(w.servers, server)
		go func() { _ = server.Serve(listener) }()
		if name == "c6" {
			continue
		}
		secure, err := net.Listen("tcp", netip.AddrPortFrom(netip.MustParseAddr(addr), 443).String())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("start web server %s: %w", name, err), w.Close())
		}
		go func() { _ = server.ServeTLS(secure, cert, key) }()
	}
	return w, nil
}

// Close stops the servers.
func (w *Web) Close() error {
	var errs []error
	for _, server := range w.servers {
		errs = append(errs, server.Close())
	}
	for _, listener := range w.listeners {
		if err := listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Hold makes the node answer the token with the key authorization, until done is
// called.
func (w *Web) Hold(node, token, key string) (done func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.challenges[token] = challenge{node, key}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.challenges, token)
	}
}

// Serve makes the hosts answer for a situation's names as it says, until done is called.
func (w *Web) Serve(i Instance) (done func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sites[i.domain] = i
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.sites, i.domain)
	}
}

// site returns the situation that a host name belongs to.
func (w *Web) site(host string) (Instance, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for at := strings.ToLower(host); at != ""; _, at, _ = strings.Cut(at, ".") {
		if i, ok := w.sites[at]; ok {
			return i, true
		}
	}
	return Instance{}, false
}

func (w *Web) get(token string) (challenge, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	c, ok := w.challenges[token]
	return c, ok
}

// ignoreRequests accepts connections and does not answer.
func ignoreRequests(listener net.Listener, hangUp bool) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			if !hangUp {
				_, _ = io.Copy(io.Discard, conn)
			}
		}()
	}
}

// blackHole makes port 80 of an address swallow connections until the process ends:
// it is a socket with a full queue from which no code accepts.
func blackHole(addr string) error {
	fd, err := syscall.Socket(syscall.AF_INET6, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet6{Port: 80, Addr: netip.MustParseAddr(addr).As16()}); err != nil {
		return err
	}
	if err := syscall.Listen(fd, 0); err != nil {
		return err
	}
	full := 0 // one connection alone may fail because the machine is slow
	for range 20 {
		conn, err := net.DialTimeout("tcp", netip.AddrPortFrom(netip.MustParseAddr(addr), 80).String(), 300*time.Millisecond)
		if err == nil {
			full, fillers = 0, append(fillers, conn)
			continue
		}
		if full++; full == 3 {
			return nil
		}
	}
	return errors.New("the queue does not fill")
}

var fillers []net.Conn
