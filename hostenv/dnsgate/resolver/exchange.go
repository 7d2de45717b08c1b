package resolver

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

const (
	// A server that has never answered is given up after so many questions,
	// each put with all its tries; one that has answered, after giveUpLater in
	// a row. Questions to it then fail as timeouts at once.
	giveUp, giveUpLater = 3, 32

	// sockets a family. Replies to all servers come in on them; which query one
	// answers are matched by id, address and question.
	socketsPerFamily = 4

	tick = 5 * time.Millisecond
)

// A server is an address that is asked, with the questions that wait for it.
type server struct {
	addr      netip.AddrPort
	limit     int
	busy      int
	waiting   []*flight
	exhausted int // questions (where there are several servers: tries) without answer since the last answer
	answered  bool
	dead      bool
	rtt       roundTrip
}

// A flight is a question on its way: sent, repeated, over TCP, answered.
// Everything but the constants is guarded by the exchange's lock.
type flight struct {
	q         question
	servers   []*server // constant; the first is asked, on failure the next
	recursive bool      // constant
	timeouts  []time.Duration
	done      func(*answer)

	query    query
	sock     *socket // where query is registered, nil before
	at       int     // of servers
	try      int     // of timeouts
	noEDNS   bool
	caseLost bool // a reply came in other letters
	overTCP  bool
	cut      bool // a truncated reply came in
	finished bool
	sent     time.Time // the first try; zero once there is a second
	kept     *answer   // the failure that stands if no other server knows better
}

func (f *flight) server() *server { return f.servers[f.at%len(f.servers)] }

// An alarm is the end of one try of a flight.
type alarm struct {
	at     time.Time
	flight *flight
	try    int
}

// An exchange carries many questions over a few sockets. It is used for one
// run.
type exchange struct {
	ctx     context.Context
	end     context.CancelFunc
	sockets [2][]*socket // IPv4, IPv6
	tcp     chan struct{}
	patient bool // never gives a server up; set before the first question
	wg      sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	servers map[netip.AddrPort]*server
	alarms  map[time.Duration][]alarm // of one duration they ring in order
	stats   Stats
}

func newExchange(ctx context.Context) *exchange {
	ctx, end := context.WithCancel(ctx)
	x := &exchange{
		ctx:     ctx,
		end:     end,
		tcp:     make(chan struct{}, 64),
		servers: map[netip.AddrPort]*server{},
		alarms:  map[time.Duration][]alarm{},
	}
	x.openSockets() //nolint:contextcheck // the exchange has the context
	x.wg.Go(x.watch)
	return x
}

// close ends the exchange: what is still on its way fails as cancelled.
func (x *exchange) close() {
	x.end()
	x.cancel()
	for _, family := range x.sockets {
		for _, s := range family {
			s.conn.Close()
		}
	}
	x.wg.Wait()
}

func (x *exchange) statistics() Stats {
	x.mu.Lock()
	defer x.mu.Unlock()
	stats := x.stats
	stats.Servers = len(x.servers)
	return stats
}

// at returns the server of an address, one for the whole run.
func (x *exchange) at(addr netip.AddrPort, limit int) *server {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.servers[addr]
	if s == nil {
		s = &server{addr: addr, limit: limit}
		x.servers[addr] = s
	}
	return s
}

// ask sends a question; done is called once, maybe before ask returns, and
// must not block.
func (x *exchange) ask(f *flight) {
	query, err := newQuery(f.q, f.recursive, true)
	if err != nil {
		f.done(failed(dnsgate.ErrorMalformed))
		return
	}
	f.query = query
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		f.done(failed(dnsgate.ErrorCancelled))
		return
	}
	x.stats.Questions++
	s := f.servers[0]
	if s.busy >= s.limit {
		s.waiting = append(s.waiting, f)
		x.mu.Unlock()
		return
	}
	s.busy++
	x.launch(f)
}

// launch registers a flight at a socket and sends it. It is called with the
// lock and lets go of it.
func (x *exchange) launch(f *flight) {
	for f.server().dead {
		if f.at++; f.at >= len(f.servers) {
			x.land(f, failed(dnsgate.ErrorTimeout))
			return
		}
	}
	to := f.server().addr
	sock := x.socketFor(to.Addr())
	if sock == nil || !sock.register(f) {
		x.land(f, failed(dnsgate.ErrorNetwork))
		return
	}
	x.arm(f)
	wire := f.query.wire
	x.mu.Unlock()
	x.send(f, sock, wire, to)
}

func (x *exchange) send(f *flight, sock *socket, wire []byte, to netip.AddrPort) {
	if _, err := sock.conn.WriteToUDPAddrPort(wire, to); err != nil && !transient(err) {
		x.mu.Lock()
		x.fail(f, failed(dnsgate.ErrorNetwork))
	}
}

func (x *exchange) arm(f *flight) {
	now := time.Now()
	d := f.timeouts[min(f.try, len(f.timeouts)-1)]
	f.sent = time.Time{}
	if f.try == 0 {
		f.sent = now
		d = min(d, f.server().rtt.timeout())
	}
	x.alarms[d] = append(x.alarms[d], alarm{now.Add(d), f, f.try})
}

// fail is for an outcome that another server may better: it is asked, if there
// is one left. It is called with the lock and lets go of it.
func (x *exchange) fail(f *flight, a *answer) {
	if f.finished {
		x.mu.Unlock()
		return
	}
	if f.kept == nil || f.kept.Error == dnsgate.ErrorTimeout || f.kept.Error == dnsgate.ErrorNetwork {
		f.kept = a
	}
	if f.at+1 >= len(f.servers) || x.closed {
		x.land(f, f.kept)
		return
	}
	f.at++
	f.try++
	x.stats.Retries++
	x.again(f)
}

// again sends the question anew, as to another server or without EDNS: with
// an id and letters of its own. It is called with the lock and lets go of it.
func (x *exchange) again(f *flight) {
	query, err := newQuery(f.q, f.recursive, !f.noEDNS)
	if err != nil {
		x.land(f, failed(dnsgate.ErrorMalformed))
		return
	}
	if f.sock != nil {
		f.sock.unregister(f)
	}
	f.query, f.caseLost, f.overTCP, f.cut = query, false, false, false
	x.launch(f)
}

// land ends a flight, sends the next one that waits for its server, and answers
// the caller. It is called with the lock held, and releases it.
func (x *exchange) land(f *flight, a *answer) {
	if f.finished {
		x.mu.Unlock()
		return
	}
	f.finished = true
	if f.sock != nil {
		f.sock.unregister(f)
	}
	if a.Error == dnsgate.ErrorTimeout {
		x.stats.Timeouts++
	}
	s := f.servers[0]
	s.busy--
	var next *flight
	if len(s.waiting) > 0 {
		next = s.waiting[0]
		s.waiting[0] = nil
		s.waiting = s.waiting[1:]
		s.busy++
	}
	if next != nil && (x.closed || s.dead && len(next.servers) == 1) {
		// A stack frame a flight would be too deep for a dead server's queue.
		x.mu.Unlock()
		why := dnsgate.ErrorTimeout
		if x.ctx.Err() != nil {
			why = dnsgate.ErrorCancelled
		}
		f.done(a)
		go func() {
			x.mu.Lock()
			x.land(next, failed(why))
		}()
		return
	}
	if next == nil {
		x.mu.Unlock()
	} else {
		x.launch(next)
	}
	f.done(a)
}

func randomID() uint16 {
	var b [2]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint16(b[:])
}
