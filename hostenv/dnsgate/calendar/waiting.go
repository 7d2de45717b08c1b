package calendar

import (
	"slices"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// addWaiting adds the first orders of certificates that their project's quota holds
// back: the gate turns them on as soon as the project had fewer within a week.
func (b *builder) addWaiting(waiting []Subject) {
	if len(waiting) == 0 {
		return
	}
	taken := map[string][]time.Time{} // by project
	for _, o := range b.orders {
		if o.Kind == First || o.Kind == Changed {
			taken[o.project()] = append(taken[o.project()], o.Earliest)
		}
	}
	for _, s := range waiting {
		quota := b.document.CertificateQuota(s.project())
		if quota <= 0 {
			continue
		}
		times := taken[s.project()]
		slices.SortFunc(times, time.Time.Compare)
		at := b.From
		if len(times) >= quota {
			at = later(at, times[len(times)-quota].Add(dnsgate.PerDomain.Window))
		}
		taken[s.project()] = append(times, at)
		if at.Before(b.Until) {
			b.order(First, s, window{at, at.Add(day)}, dnsgate.ReasonQuota)
		}
	}
}

// project returns the project's flake input.
func (s Subject) project() string { return s.Organisation + "__" + s.Project }
