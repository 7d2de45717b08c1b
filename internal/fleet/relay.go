package fleet

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"golang.org/x/sys/unix"
)

// A relay passes connections to a node's sshd, and can disturb them.
type relay struct {
	listen, backend string

	mu       sync.Mutex
	listener net.Listener
	hole     *hole
	pairs    map[*pair]bool
	made     int
	cut      int64         // bytes to the node after which a new connection ends; 0 is none
	stall    int64         // bytes to the node after which a new connection freezes; 0 is none
	resume   chan struct{} // closed when bytes flow again; nil while they do
}

// A pair is one connection through the relay.
type pair struct {
	client, server *net.TCPConn
}

// breakOff ends both connections by a reset, as when a link is lost.
func (p *pair) breakOff() {
	for _, c := range []*net.TCPConn{p.client, p.server} {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
}

// open starts to listen, if the relay does not.
func (r *relay) open() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listener != nil {
		return nil
	}
	r.hole.close()
	r.hole = nil
	listener, err := net.Listen("tcp", r.listen)
	if err != nil {
		return err
	}
	r.listener = listener
	go r.serve(listener)
	return nil
}

// refuse stops listening, and breaks off every connection.
func (r *relay) refuse() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopListening()
	r.breakOff()
}

func (r *relay) stopListening() {
	if r.listener != nil {
		_ = r.listener.Close()
		r.listener = nil
	}
	r.hole.close()
	r.hole = nil
}

func (r *relay) breakOff() {
	for p := range r.pairs {
		p.breakOff()
	}
}

func (r *relay) close() {
	r.refuse()
	r.flow()
}

// freeze lets no byte pass until flow.
func (r *relay) freeze() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.resume == nil {
		r.resume = make(chan struct{})
	}
}

func (r *relay) flow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.resume != nil {
		close(r.resume)
		r.resume = nil
	}
}

// swallow ignores new connections, without refusing them, and freezes open ones.
func (r *relay) swallow() error {
	r.freeze()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopListening()
	var err error
	r.hole, err = newHole(r.listen)
	return err
}

func (r *relay) cutAfter(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = bytes
}

func (r *relay) freezeAfter(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stall = bytes
}

func (r *relay) cutNow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.breakOff()
}

func (r *relay) count() (made, now int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.made, len(r.pairs)
}

func (r *relay) serve(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		go r.pass(client.(*net.TCPConn))
	}
}

// pass relays one connection until one side ends it.
func (r *relay) pass(client *net.TCPConn) {
	server, err := net.Dial("tcp", r.backend)
	if err != nil {
		_ = client.Close()
		return
	}
	p := &pair{client: client, server: server.(*net.TCPConn)}
	r.mu.Lock()
	if r.pairs == nil {
		r.pairs = map[*pair]bool{}
	}
	r.pairs[p] = true
	r.made++
	limit, stall := r.cut, r.stall
	r.mu.Unlock()

	var both sync.WaitGroup
	both.Go(func() { r.copy(p, p.server, p.client, limit, stall) })
	both.Go(func() { r.copy(p, p.client, p.server, 0, 0) })
	both.Wait()
	_ = p.client.Close()
	_ = p.server.Close()
	r.mu.Lock()
	delete(r.pairs, p)
	r.mu.Unlock()
}

// copy relays one direction, limit bytes of it if that is not 0. After stall bytes it
// freezes all, if that is not 0.
func (r *relay) copy(p *pair, to, from *net.TCPConn, limit, stall int64) {
	buffer := make([]byte, 32<<10)
	for passed := int64(0); ; {
		n, err := from.Read(buffer)
		acknowledge(from)
		r.mu.Lock()
		resume := r.resume
		r.mu.Unlock()
		if resume != nil {
			<-resume
		}
		if limit > 0 && passed+int64(n) >= limit {
			_, _ = to.Write(buffer[:limit-passed])
			p.breakOff()
			return
		}
		if _, writeErr := to.Write(buffer[:n]); writeErr != nil {
			p.breakOff()
			return
		}
		if passed += int64(n); stall > 0 && passed >= stall {
			r.freeze()
			stall = 0 // once, also if a later Thaw lets the rest pass
		}
		switch {
		case errors.Is(err, io.EOF):
			_ = to.CloseWrite()
			return
		case err != nil:
			p.breakOff()
			return
		}
	}
}

// acknowledge acknowledges received bytes at once. The kernel would wait up to 40 ms
// for an answer to combine with, and the sender would wait too, twice in each
// connection of ssh.
func acknowledge(c *net.TCPConn) {
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
	}
}

// A hole is an address that does not answer: a listening socket with a full queue,
// for which the kernel drops new connections.
type hole struct{ listener, filler int }

func newHole(address string) (*hole, error) {
	at, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return nil, err
	}
	to := &unix.SockaddrInet4{Port: at.Port, Addr: [4]byte(at.IP.To4())}
	h := &hole{listener: -1, filler: -1}
	for _, step := range []func() error{
		func() (err error) {
			h.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			return err
		},
		func() error { return unix.SetsockoptInt(h.listener, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) },
		func() error { return unix.Bind(h.listener, to) },
		func() error { return unix.Listen(h.listener, 0) },
		func() (err error) {
			h.filler, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			return err
		},
		func() error { return unix.Connect(h.filler, to) },
	} {
		if err := step(); err != nil {
			h.close()
			return nil, fmt.Errorf("make %s a black hole: %w", address, err)
		}
	}
	return h, nil
}

func (h *hole) close() {
	if h == nil {
		return
	}
	for _, fd := range []int{h.filler, h.listener} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}
