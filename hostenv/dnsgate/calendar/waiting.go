package calendar

import (
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// addWaiting adds the first orders of certificates that the gate holds back, at the run
// that turns them on. One that no run of the calendar turns on is lost.
func (b *builder) addWaiting(waiting map[string]Subject) {
	if len(waiting) == 0 {
		return
	}
	for _, r := range dnsgate.Releases(b.document, b.From, b.Until) {
		s, known := waiting[r.Host]
		switch {
		case !known:
		case r.At.IsZero():
			b.lost(s, b.document.DNSGate[r.Host])
		default:
			b.order(First, s, window{r.At, r.At.Add(day)}, r.Reason)
		}
	}
}
