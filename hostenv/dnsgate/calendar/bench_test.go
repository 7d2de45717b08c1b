package calendar_test

import (
	"fmt"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/calendar"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// BenchmarkOf makes the year of 10,000 virtual hosts: most are renewed, a thousand are
// new at once, and a hundred fail.
func BenchmarkOf(b *testing.B) {
	var hosts []host
	for i := range 10000 {
		h := host{name: fmt.Sprintf("www.h%d.com", i), node: fmt.Sprintf("n%d", i%10)}
		switch {
		case i < 1000:
			h.name = fmt.Sprintf("h%d.hosting.net", i)
		case i < 1100:
			h.entry = &plan.GateEntry{Decision: plan.GateOn, Node: h.node, Verdict: "unknown", Ordered: stamp(now.AddDate(0, 0, -9))}
		default:
			h.entry = &plan.GateEntry{Decision: plan.GateOn, Node: h.node, Verdict: "pass", Ordered: stamp(now.AddDate(0, 0, -i%80))}
		}
		hosts = append(hosts, h)
	}
	d := document(hosts...)
	b.ResetTimer()
	for b.Loop() {
		calendar.Of(d, calendar.Options{Now: now, ValidMinDays: 30})
	}
}
