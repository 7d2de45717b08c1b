package cloudflare_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/cloudflare"
	"github.com/woolwichweb/hostenv-provider/internal/fakecloudflare"
)

var histories = flag.Int("histories", 300, "how many random histories TestHistories plays")

// TestHistories plays random histories with the real client: runs with changing names.
// Between two requests another tool may create, change and delete records, and the
// server may fail before or after it carries out a request. No batch may ever break a
// rule of [fakecloudflare.Violations]. After the last fault, one run makes every outcome
// true, and the next run writes nothing.
func TestHistories(t *testing.T) {
	var runs, requests, writes, faults int
	kinds := map[string]int{}
	for seed := range *histories {
		h := &history{r: rand.New(rand.NewPCG(uint64(seed), 7)), t: t}
		h.play(kinds)
		runs, requests, writes, faults = runs+h.runs, requests+h.requests, writes+h.f.Writes, faults+h.faults
		if t.Failed() {
			t.Fatalf("history %d; see it alone with -histories=%d", seed, seed+1)
		}
	}
	t.Logf("%d histories: %d runs, %d requests, %d batches carried out, %d faults; outcomes %v", *histories, runs, requests, writes, faults, kinds)
	for _, kind := range []string{"upserted", "unchanged", "adopted", "foreign", "foreign already-right", "foreign other-provider", "apex-conflict", "not-ours",
		"refused wildcard", "refused delegated", "refused below-wildcard", "failed unreachable", "failed rate-limited"} {
		if kinds[kind] == 0 {
			t.Errorf("no history has the outcome %q", kind)
		}
	}
}

type history struct {
	t    *testing.T
	r    *rand.Rand
	f    *fake
	cfg  cloudflare.Config
	calm bool // no more faults, no other tool

	runs, requests, faults int
}

func (h *history) play(kinds map[string]int) {
	h.cfg = config
	h.f = newFake(h.t, zone(zoneA, "shop.example"), zone("zone-b", "eu.shop.example"))
	h.f.PageSize = pick(h.r, 2, 5, 50, 5000)
	h.f.Fault = h.interfere
	for range h.r.IntN(12) {
		h.others()
	}
	for range 1 + h.r.IntN(4) {
		h.run(kinds, h.wishes())
	}
	h.calm = true
	wanted := h.wishes()
	found := h.run(kinds, wanted)
	writes := h.f.Writes
	again := h.run(kinds, wanted)
	if h.f.Writes != writes {
		h.t.Error("the second run writes")
	}
	for host, o := range found {
		if o.Kind == cloudflare.Failed || o.Maybe {
			h.t.Errorf("in calm, %v", o)
		}
		if o.Kind.Settled() != again[host].Kind.Settled() {
			h.t.Errorf("first %v, then %v", o, again[host])
		}
		h.checkOutcome(o)
	}
	h.f.HTTP.Close()
}

func (h *history) wishes() (wanted []cloudflare.Want) {
	for range 1 + h.r.IntN(10) {
		wanted = append(wanted, randomWant(h.r, "shop.example"))
	}
	return wanted
}

func (h *history) run(kinds map[string]int, wanted []cloudflare.Want) map[string]cloudflare.Outcome {
	h.cfg.Adopt = h.r.IntN(3) == 0
	if h.calm {
		h.cfg.Adopt = false // otherwise the second run might adopt a record that the first reported
	}
	h.f.Guard(h.cfg)
	h.runs++
	report, err := cloudflare.Apply(h.t.Context(), h.f.Client(), wanted, h.cfg, cloudflare.Options{Sleep: atOnce})
	if err != nil {
		if failed := (*cloudflare.APIError)(nil); !errors.As(err, &failed) || h.calm {
			h.t.Errorf("in calm %v: %v", h.calm, err)
		}
		kinds["no zones"]++
		return nil
	}
	got := outcomes(h.t, report)
	for _, o := range got {
		kinds[strings.TrimSpace(string(o.Kind)+" "+o.Reason)]++
	}
	return got
}

// checkOutcome compares an outcome with the records of the zone.
func (h *history) checkOutcome(o cloudflare.Outcome) {
	records := slices.Concat(h.f.All(zoneA), h.f.All("zone-b"))
	points := slices.ContainsFunc(records, func(r cloudflare.Record) bool {
		return strings.EqualFold(r.Name, o.Host) && r.Type == "CNAME" && r.Content == o.Target && r.Comment == h.cfg.Comment()
	})
	if o.Kind.Settled() != points && o.Kind != cloudflare.Refused { // the record of a refused name may be right
		h.t.Errorf("the outcome is %v, but a record with the target exists: %v", o, points)
	}
}

// interfere may change the zone before a request, and returns the fault of the request.
func (h *history) interfere(r *http.Request) fault {
	h.requests++
	if h.calm {
		return fault{}
	}
	if h.r.IntN(3) == 0 {
		h.othersLocked()
	}
	if h.r.IntN(6) > 0 {
		return fault{}
	}
	h.faults++
	return pick(h.r,
		fault{Status: 500},
		fault{Status: 502},
		fault{Status: 502, CarryOut: true},
		fault{Status: 504, CarryOut: true},
		fault{Drop: true},
		fault{Drop: true, CarryOut: true},
		fault{Status: 200, CarryOut: true},
		fault{Status: 429, RetryAfter: pick(h.r, "1", "30", "3600", "soon")},
		fault{Status: 400, Body: fakecloudflare.Refusal(pick(h.r, 81053, 81057, 81058, 9005), "as it happens")},
	)
}

func (h *history) others() {
	h.f.Mu.Lock()
	defer h.f.Mu.Unlock()
	h.othersLocked()
}

// othersLocked changes the zone as another tool would, within Cloudflare's rules. It
// never gives one of our records another comment, because a run cannot always notice
// that in time.
func (h *history) othersLocked() {
	z := h.f.Zones[h.r.IntN(2)]
	records := h.f.Records[z.ID]
	switch ids := keys(records); h.r.IntN(4) {
	case 0: // delete any record
		if len(ids) > 0 {
			delete(records, pick(h.r, ids...))
		}
	case 1: // change its target
		if len(ids) > 0 {
			record := records[pick(h.r, ids...)]
			if record.Type == "CNAME" {
				record.Content = pick(h.r, other, "elsewhere.example")
				records[record.ID] = record
			}
		}
	default:
		h.f.NextID++
		record := randomRecord(h.r, z.Name, fmt.Sprintf("rec%06d", h.f.NextID))
		if record.Type == "NS" && h.r.IntN(4) > 0 || h.f.StandsBeside(records, record) != 0 {
			return
		}
		records[record.ID] = record
	}
}

func keys(records map[string]cloudflare.Record) []string {
	var ids []string
	for id := range records {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
