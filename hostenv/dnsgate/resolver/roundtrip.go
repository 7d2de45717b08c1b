package resolver

import "time"

// A roundTrip estimates how long a server takes to answer, as TCP does (RFC 6298),
// so that a lost packet is soon sent again to a fast server. Only the first try gets
// a shorter timeout; the later ones wait as long as configured.
type roundTrip struct {
	samples         int
	mean, deviation time.Duration
}

const (
	// rttSamples is the number of samples before the estimate counts.
	rttSamples = 8
	// rttLeast is the shortest first timeout; it is rounded up to a multiple of
	// rttStep.
	rttLeast, rttStep = 100 * time.Millisecond, 25 * time.Millisecond
)

// add takes the time of a question that was sent once. For one that was sent twice
// it is not known which try the server answered.
func (r *roundTrip) add(took time.Duration) {
	if r.samples++; r.samples == 1 {
		r.mean, r.deviation = took, took/2
		return
	}
	off := took - r.mean
	r.mean += off / 8
	r.deviation += (max(off, -off) - r.deviation) / 4
}

// timeout returns how long to wait before a second try.
func (r *roundTrip) timeout() time.Duration {
	if r.samples < rttSamples {
		return time.Hour
	}
	d := max(rttLeast, r.mean+4*r.deviation)
	return (d + rttStep - 1) / rttStep * rttStep
}
