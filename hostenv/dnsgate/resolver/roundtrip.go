package resolver

import "time"

// A roundTrip is how long a server takes to answer, as TCP reckons it
// (RFC 6298): a packet that was lost is sent again soon, to a server that is
// known to be quick. Only the first try is shortened; the later ones are as
// patient as configured.
type roundTrip struct {
	samples         int
	mean, deviation time.Duration
}

const (
	// rttSamples are needed before the reckoning is trusted.
	rttSamples = 8
	// rttLeast is the shortest first try, and rttStep what it is rounded up to.
	rttLeast, rttStep = 100 * time.Millisecond, 25 * time.Millisecond
)

// add takes the time of a question that was sent once: of one that was sent
// twice it is not known which try was answered.
func (r *roundTrip) add(took time.Duration) {
	if r.samples++; r.samples == 1 {
		r.mean, r.deviation = took, took/2
		return
	}
	off := took - r.mean
	r.mean += off / 8
	r.deviation += (max(off, -off) - r.deviation) / 4
}

// timeout is how long to wait before a second try.
func (r *roundTrip) timeout() time.Duration {
	if r.samples < rttSamples {
		return time.Hour
	}
	d := max(rttLeast, r.mean+4*r.deviation)
	return (d + rttStep - 1) / rttStep * rttStep
}
