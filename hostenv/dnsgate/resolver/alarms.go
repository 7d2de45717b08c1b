package resolver

import (
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// watch ends tries whose time is over, and everything with the context.
func (x *exchange) watch() {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-x.ctx.Done():
			x.cancel()
			return
		case now := <-ticker.C:
			for _, a := range x.due(now) {
				x.expire(a)
			}
		}
	}
}

func (x *exchange) due(now time.Time) (rung []alarm) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for d, queue := range x.alarms {
		i := 0
		for ; i < len(queue) && !queue[i].at.After(now); i++ {
			if a := queue[i]; !a.flight.finished && !a.flight.overTCP && a.flight.try == a.try {
				rung = append(rung, a)
			}
			queue[i] = alarm{}
		}
		x.alarms[d] = queue[i:]
	}
	return rung
}

// expire ends one try. If there are several servers, the next try goes to the
// next one in turn.
func (x *exchange) expire(a alarm) {
	f := a.flight
	x.mu.Lock()
	if f.finished || f.overTCP || f.try != a.try {
		x.mu.Unlock()
		return
	}
	if f.caseLost {
		x.overTCP(f)
		return
	}
	s := f.server()
	if several := len(f.servers) > 1; several || f.try+1 >= len(f.timeouts) {
		s.exhausted++
		if !x.patient && !s.dead && (s.exhausted >= giveUpLater || s.exhausted >= giveUp && !s.answered && !several) {
			s.dead = true
			x.stats.Silent++
		}
	}
	if f.try+1 >= len(f.timeouts) || s.dead && len(f.servers) == 1 {
		why := failed(dnsgate.ErrorTimeout)
		if f.kept != nil {
			why = f.kept
		}
		x.land(f, why)
		return
	}
	f.try++
	x.stats.Retries++
	if len(f.servers) > 1 {
		f.at = (f.at + 1) % len(f.servers)
		x.again(f)
		return
	}
	if !f.recursive && f.try+1 >= len(f.timeouts) {
		f.lower = true
		x.again(f)
		return
	}
	x.arm(f)
	sock, wire, to := f.sock, f.query.wire, s.addr
	x.mu.Unlock()
	// The same id and letters: a late reply to an earlier try counts.
	x.send(f, sock, wire, to)
}

// cancel fails all questions that are on their way or wait.
func (x *exchange) cancel() {
	x.mu.Lock()
	x.closed = true
	var all []*flight
	for _, family := range x.sockets {
		for _, s := range family {
			for _, f := range s.flights {
				all = append(all, f)
			}
		}
	}
	for _, s := range x.servers {
		all = append(all, s.waiting...)
		s.busy += len(s.waiting)
		s.waiting = nil
	}
	x.mu.Unlock()
	for _, f := range all {
		x.mu.Lock()
		x.land(f, failed(dnsgate.ErrorCancelled))
	}
}
