package calendar_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/calendar"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// FuzzCalendar makes calendars of plans that the input chooses, four bytes a virtual host.
// Each event lies in its window and in the calendar, an order is safe if no limit may refuse
// it, and of each certificate that is held back there is either its first order or a
// trouble.
func FuzzCalendar(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2}, byte(30), byte(30), byte(3))
	f.Add([]byte("held back, kept, moved and renamed virtual hosts"), byte(200), byte(0), byte(20))
	f.Fuzz(func(t *testing.T, input []byte, days, validMinDays, quota byte) {
		var hosts []host
		held := map[string]bool{}
		for i := 0; i+4 <= len(input) && i < 4*300; i += 4 {
			what, when, where, names := input[i], input[i+1], input[i+2], input[i+3]
			h := host{
				name: fmt.Sprintf("h%d.%s", i, []string{"acme.com", "beta.org", "own.net"}[where%3]),
				node: fmt.Sprintf("n%d", where/3%3), organisation: []string{"acme", "beta"}[where/9%2],
			}
			for n := range names % 30 {
				h.aliases = append(h.aliases, fmt.Sprintf("a%d.%s", n, h.name))
			}
			at := now.Add(-time.Duration(when) * 12 * time.Hour)
			off := func(reason dnsgate.Reason) *plan.GateEntry {
				return &plan.GateEntry{Decision: plan.GateOff, Node: h.node, Verdict: "fail", Reason: string(reason), Name: h.name}
			}
			switch what % 9 {
			case 0, 1:
				h.entry = ordered(at, append([]string{h.name}, h.aliases...)...)
			case 2:
				h.entry = ordered(at, h.name) // on n1, with one name
			case 3:
				h.entry, held[h.name] = off(dnsgate.ReasonQuota), true
			case 4:
				h.entry, held[h.name] = off(dnsgate.ReasonRateLimit), true
			case 5:
				h.entry = off(dnsgate.ReasonNXDomain)
			case 6:
				h.entry = &plan.GateEntry{Decision: plan.GateOn, Node: h.node, Verdict: "unknown", Ordered: stamp(at)}
			case 7:
				h.entry = &plan.GateEntry{Decision: plan.GateOn, Node: h.node, Verdict: "fail", KeepUntil: stamp(at.AddDate(0, 0, 90))}
			}
			hosts = append(hosts, h)
		}
		d := document(hosts...)
		d.Certificates = map[string]int{"acme__site": int(quota), "beta__site": 2}
		o := calendar.Options{Now: now, Days: int(days), Profile: plan.CertificateProfiles()[int(quota)%3], ValidMinDays: int(validMinDays)}
		c := calendar.Of(d, o)
		first := map[string]int{}
		for _, e := range c.Events {
			if e.Latest.Before(e.Earliest) || e.At.Before(c.From) || !e.At.Before(c.Until) || e.At.After(e.Latest) && e.Kind != calendar.Expiry {
				t.Errorf("%+v lies outside of its window or of the calendar", e)
			}
			if e.Safe != (len(e.Limits) == 0) {
				t.Errorf("%+v is safe, and limits may refuse it", e)
			}
			if e.Kind == calendar.First {
				first[e.Host]++
			}
		}
		for _, trouble := range c.Troubles {
			if trouble.Kind == calendar.Off && held[trouble.Certificates[0].Host] {
				first[trouble.Certificates[0].Host]++
			}
			if trouble.String() == "" {
				t.Errorf("%+v has no text", trouble)
			}
		}
		for name := range held {
			if first[name] != 1 {
				t.Errorf("%s is held back, and has %d first orders and troubles", name, first[name])
			}
		}
	})
}
