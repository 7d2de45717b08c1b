package resolver

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

const (
	// A server that has never answered is dead after giveUp questions without an answer
	// in all tries; one that has answered, after giveUpLater in a row. Questions to a
	// dead server time out at once.
	giveUp, giveUpLater = 3, 32

	// socketsPerFamily is the number of sockets for each of IPv4 and IPv6. They
	// receive the replies of all servers; id, address and question identify the query
	// that a reply answers.
	socketsPerFamily = 4

	tick = 5 * time.Millisecond
)

// A server is an address that we ask, with the questions that wait for it.
type server struct {
	addr      netip.AddrPort
	limit     int
	busy      int
	waiting   []*flight
	exhausted int // questions (with several servers: tries) without an answer since the last answer
	answered  bool
	dead      bool
	rtt       roundTrip
}

// A flight is a question on its way, over all its tries and over TCP, until it is
// answered. The exchange's lock guards all fields that are not constant.
type flight struct {
	q         question
	servers   []*server // constant; asked in order until one answers
	recursive bool      // constant
	timeouts  []time.Duration
	done      func(*answer)

	query    query
	sock     *socket // where query is registered, nil before that
	at       int     // index in servers
	try      int     // index in timeouts
	noEDNS   bool
	lower    bool // the name is in lower case, because some servers know only that
	caseLost bool // a reply had the name in other upper and lower case
	overTCP  bool
	cut      bool // a truncated reply arrived
	finished bool
	sent     time.Time // time of the first try; zero after a second try
	kept     *answer   // the failure to report if no other server answers
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
	patient bool // no server is ever dead; set before the first question
	// timeouts are the waits of each try for an authoritative server.
	timeouts []time.Duration
	wg       sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	servers map[netip.AddrPort]*server
	alarms  map[time.Duration][]alarm // alarms of one duration ring in order
	stats   Stats
}

func newExchange(ctx context.Context, timeouts []time.Duration) *exchange {
	ctx, end := context.WithCancel(ctx)
	x := &exchange{
		ctx: ctx, end: end, timeouts: timeouts,
		tcp:     make(chan struct{}, 64),
		servers: map[netip.AddrPort]*server{},
		alarms:  map[time.Duration][]alarm{},
	}
	x.openSockets() //nolint:contextcheck // the exchange has the context
	x.wg.Go(x.watch)
	return x
}

// close ends the exchange. Questions without an answer fail as cancelled.
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

// at returns the server of an address: the same one for the whole run.
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

// ask sends a question. It calls done once, maybe before it returns; done must
// not block.
func (x *exchange) ask(f *flight) {
	query, err := newQuery(f.q, f.recursive, true, f.recursive)
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

// launch registers a flight at a socket and sends it. It is called with the lock
// held, and releases it.
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

// fail takes a failure and asks the next server; without one, the flight ends with
// the failure that says most. It is called with the lock held, and releases it.
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

// again sends the question once more, to another server or without EDNS, with a
// new id and new letters. It is called with the lock held, and releases it.
func (x *exchange) again(f *flight) {
	query, err := newQuery(f.q, f.recursive, !f.noEDNS, f.lower || f.recursive)
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
		// A goroutine, because a dead server's queue is too long for a recursion
		// that adds stack frames for each flight.
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
