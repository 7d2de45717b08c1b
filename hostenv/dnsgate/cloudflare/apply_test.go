package cloudflare_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/cloudflare"
	"github.com/woolwichweb/hostenv-provider/internal/fakecloudflare"
)

var config = cloudflare.Config{Owner: "hosting.example"}

const (
	mine   = "hostenv-provider:hosting.example"
	node   = "n1.hosting.example"
	other  = "n2.hosting.example"
	zoneA  = "zone-a"
	theirs = "made by hand"
)

func want(hosts ...string) (wanted []cloudflare.Want) {
	for _, h := range hosts {
		wanted = append(wanted, cloudflare.Want{Host: h, Target: node})
	}
	return wanted
}

// atOnce replaces the waits of a run.
func atOnce(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// apply runs against the fake and returns the outcomes by host.
func apply(t testing.TB, f *fake, cfg cloudflare.Config, wanted []cloudflare.Want, options ...func(*cloudflare.Options)) map[string]cloudflare.Outcome {
	t.Helper()
	return outcomes(t, run(t, f.Client(), cfg, wanted, options...))
}

func run(t testing.TB, api cloudflare.API, cfg cloudflare.Config, wanted []cloudflare.Want, options ...func(*cloudflare.Options)) *cloudflare.Report {
	t.Helper()
	opts := cloudflare.Options{Sleep: atOnce}
	for _, o := range options {
		o(&opts)
	}
	report, err := cloudflare.Apply(t.Context(), api, wanted, cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func outcomes(t testing.TB, report *cloudflare.Report) map[string]cloudflare.Outcome {
	t.Helper()
	byHost := map[string]cloudflare.Outcome{}
	for _, o := range report.Outcomes {
		if _, twice := byHost[o.Host]; twice {
			t.Errorf("%s has two outcomes", o.Host)
		}
		byHost[o.Host] = o
	}
	return byHost
}

// wantOutcomes compares "kind" or "kind reason" by host.
func wantOutcomes(t testing.TB, got map[string]cloudflare.Outcome, want map[string]string) {
	t.Helper()
	short := map[string]string{}
	for host, o := range got {
		short[host] = strings.TrimSpace(string(o.Kind) + " " + o.Reason)
		if !o.Kind.Settled() && o.Hint() == "" {
			t.Errorf("there is no hint for %v", o)
		}
	}
	if d := cmp.Diff(want, short); d != "" {
		t.Errorf("outcomes (-want +got):\n%s", d)
	}
}

func TestUpserts(t *testing.T) {
	f := newFake(t, zone(zoneA, "shop.example"), zone("zone-b", "eu.shop.example"))
	f.Guard(config)
	f.Add(zoneA,
		cloudflare.Record{Name: "right.shop.example", Type: "CNAME", Content: node, Comment: mine, TTL: 1},
		cloudflare.Record{Name: "moved.shop.example", Type: "CNAME", Content: other, Comment: mine, TTL: 300, Proxied: true, Tags: []string{"team:web"}},
		cloudflare.Record{Name: "typed.shop.example", Type: "A", Content: "192.0.2.1", Comment: mine, TTL: 600, Proxied: true, Tags: []string{"team:web"}},
		cloudflare.Record{Name: "typed.shop.example", Type: "AAAA", Content: "2001:db8::1", Comment: mine, TTL: 600},
		cloudflare.Record{Name: "taken.shop.example", Type: "A", Content: "192.0.2.9", TTL: 1},
		cloudflare.Record{Name: "mail.shop.example", Type: "MX", Content: "mx.example", TTL: 1},
		cloudflare.Record{Name: "alike.shop.example", Type: "CNAME", Content: node, Comment: theirs, TTL: 1},
		cloudflare.Record{Name: "shop.example", Type: "TXT", Content: "v=spf1 -all", TTL: 1},
	)
	wanted := want("new.shop.example", "right.shop.example", "moved.shop.example", "typed.shop.example", "taken.shop.example",
		"mail.shop.example", "alike.shop.example", "shop.example", "www.eu.shop.example", "elsewhere.example", "*.shop.example", "a_b.shop.example")
	wantOutcomes(t, apply(t, f, config, wanted), map[string]string{
		"new.shop.example":    "upserted",
		"right.shop.example":  "unchanged",
		"moved.shop.example":  "upserted",
		"typed.shop.example":  "upserted",
		"taken.shop.example":  "foreign",
		"mail.shop.example":   "foreign",
		"alike.shop.example":  "foreign already-right",
		"shop.example":        "apex-conflict",
		"www.eu.shop.example": "upserted",
		"elsewhere.example":   "not-ours",
		"*.shop.example":      "refused wildcard",
		"a_b.shop.example":    "refused name-invalid",
	})
	if d := cmp.Diff([]cloudflare.Record{
		{Name: "alike.shop.example", Type: "CNAME", Content: node, Comment: theirs, TTL: 1},
		{Name: "mail.shop.example", Type: "MX", Content: "mx.example", TTL: 1},
		{Name: "moved.shop.example", Type: "CNAME", Content: node, Comment: mine, TTL: 300, Proxied: true, Tags: []string{"team:web"}},
		{Name: "new.shop.example", Type: "CNAME", Content: node, Comment: mine, TTL: 1},
		{Name: "right.shop.example", Type: "CNAME", Content: node, Comment: mine, TTL: 1},
		{Name: "shop.example", Type: "TXT", Content: "v=spf1 -all", TTL: 1},
		{Name: "taken.shop.example", Type: "A", Content: "192.0.2.9", TTL: 1},
		{Name: "typed.shop.example", Type: "CNAME", Content: node, Comment: mine, TTL: 600, Proxied: true, Tags: []string{"team:web"}},
	}, f.All(zoneA)); d != "" {
		t.Errorf("zone (-want +got):\n%s", d)
	}
	if got := len(f.All("zone-b")); got != 1 {
		t.Errorf("the deeper zone has %d records, want 1", got)
	}

	writes := f.Writes
	apply(t, f, config, wanted)
	if f.Writes != writes {
		t.Error("the second run writes")
	}
}

func TestAdopt(t *testing.T) {
	f := newFake(t, zone(zoneA, "shop.example"))
	cfg := config
	cfg.Adopt = true
	f.Guard(cfg)
	f.Add(zoneA,
		cloudflare.Record{Name: "alike.shop.example", Type: "CNAME", Content: strings.ToUpper(node) + ".", Comment: theirs, TTL: 60, Proxied: true},
		cloudflare.Record{Name: "differs.shop.example", Type: "CNAME", Content: other, TTL: 1},
		cloudflare.Record{Name: "rival.shop.example", Type: "CNAME", Content: node, Comment: "hostenv-provider:rival.example", TTL: 1},
	)
	wantOutcomes(t, apply(t, f, cfg, want("alike.shop.example", "differs.shop.example", "rival.shop.example")), map[string]string{
		"alike.shop.example":   "adopted",
		"differs.shop.example": "foreign",
		"rival.shop.example":   "foreign other-provider",
	})
	wantOutcomes(t, apply(t, f, cfg, want("alike.shop.example")), map[string]string{"alike.shop.example": "unchanged"})
}

// A thousand new names of one zone need few of the 1,200 requests that Cloudflare
// allows in five minutes.
func TestThousandUpserts(t *testing.T) {
	for _, size := range []int{5000, 1000} {
		f := newFake(t, zone(zoneA, "shop.example"))
		f.Guard(config)
		f.PageSize = size
		var wanted []cloudflare.Want
		for i := range 1000 {
			wanted = append(wanted, cloudflare.Want{Host: fmt.Sprintf("h%03d.shop.example", i), Target: node})
		}
		start := time.Now()
		for host, o := range apply(t, f, config, wanted) {
			if o.Kind != cloudflare.Upserted {
				t.Errorf("%s: %v", host, o)
			}
		}
		if len(f.Requests) > 15 || f.Writes != 5 {
			t.Errorf("%d requests, %d of them writes:\n%s", len(f.Requests), f.Writes, strings.Join(f.Requests, "\n"))
		}
		t.Logf("1,000 upserts, pages of %d: %d requests in %v", size, len(f.Requests), time.Since(start).Round(time.Millisecond))

		// All names move to another node: the run lists before every batch.
		for i := range wanted {
			wanted[i].Target = other
		}
		f.Requests = nil
		apply(t, f, config, wanted)
		if len(f.Requests) > 15 {
			t.Errorf("%d requests to move 1,000 names", len(f.Requests))
		}
		t.Logf("1,000 patches: %d requests", len(f.Requests))
	}
}

func TestPages(t *testing.T) {
	f := newFake(t)
	for i := range 120 {
		f.AddZone(zone(fmt.Sprint("z", i), fmt.Sprintf("c%d.example", i)))
	}
	f.PageSize = 3
	for i := range 10 {
		f.Add("z119", cloudflare.Record{Name: fmt.Sprintf("n%d.c119.example", i), Type: "A", Content: "192.0.2.1", TTL: 1})
	}
	wantOutcomes(t, apply(t, f, config, want("n9.c119.example", "n10.c119.example")), map[string]string{
		"n9.c119.example": "foreign", "n10.c119.example": "upserted",
	})
}

// The delete and the post of a name are in one batch, and no batch is too long.
func TestBatchesAreFull(t *testing.T) {
	f := newFake(t, zone(zoneA, "shop.example"))
	f.Guard(config)
	wanted := want("a.shop.example")
	for i := range 150 {
		name := fmt.Sprintf("h%03d.shop.example", i)
		f.Add(zoneA, cloudflare.Record{Name: name, Type: "A", Content: "192.0.2.1", Comment: mine, TTL: 1})
		wanted = append(wanted, cloudflare.Want{Host: name, Target: node})
	}
	for _, o := range apply(t, f, config, wanted) {
		if o.Kind != cloudflare.Upserted {
			t.Error(o)
		}
	}
	if f.Writes != 2 {
		t.Errorf("%d batches for 301 operations", f.Writes)
	}
}

// A record may move to another page during a list.
func TestListChangesWhileRead(t *testing.T) {
	f := newFake(t, zone(zoneA, "shop.example"))
	f.PageSize = 2
	var ids []string
	for i := range 6 {
		ids = append(ids, f.Add(zoneA, cloudflare.Record{Name: fmt.Sprintf("n%d.shop.example", i), Type: "A", Content: "192.0.2.1", TTL: 1})...)
	}
	f.Fault = func(r *http.Request) fault {
		if strings.Contains(r.URL.Path, "dns_records") && r.URL.Query().Get("page") == "2" {
			delete(f.Records[zoneA], ids[0]) // n2 moves to page 1, which the client has read
		}
		return fault{}
	}
	records, err := f.Client().Records(t.Context(), zoneA)
	if err != nil || len(records) != 5 || len(f.Requests) != 5 {
		t.Errorf("%d records after %d requests, want all 5 after 2 + 3: %v", len(records), len(f.Requests), err)
	}

	f.Fault = func(r *http.Request) fault {
		f.NextID++
		id := fmt.Sprintf("rec%06d", f.NextID)
		f.Records[zoneA][id] = cloudflare.Record{ID: id, Name: "busy.shop.example", Type: "TXT", Content: id, TTL: 1}
		return fault{}
	}
	if records, err = f.Client().Records(t.Context(), zoneA); err == nil {
		t.Errorf("the client accepted a list that always changed: %v", records)
	}
}

func TestZoneID(t *testing.T) {
	f := newFake(t, zone(zoneA, "shop.example"), zone("zone-b", "eu.shop.example"))
	cfg := config
	cfg.ZoneID = zoneA
	wantOutcomes(t, apply(t, f, cfg, want("www.eu.shop.example", "elsewhere.example")), map[string]string{
		"www.eu.shop.example": "upserted", "elsewhere.example": "not-ours",
	})
	if len(f.All(zoneA)) != 1 || len(f.All("zone-b")) != 0 {
		t.Error("the run used another zone than the configured one")
	}
	if f.Requests[0] != "GET /client/v4/zones/zone-a" {
		t.Errorf("the first request is %s", f.Requests[0])
	}
	cfg.ZoneID = "zone-a/../other"
	_, err := cloudflare.Apply(t.Context(), f.Client(), want("a.shop.example"), cfg, cloudflare.Options{})
	if err == nil || !strings.Contains(err.Error(), "zoneId is") {
		t.Errorf("a path instead of an id: %v", err)
	}
}

// isWrite reports whether a request changes records.
func isWrite(r *http.Request) bool { return r.Method == http.MethodPost }

func TestFaults(t *testing.T) {
	first := true
	once := func(faults fault) func(*http.Request) fault {
		return func(r *http.Request) fault {
			if !isWrite(r) || !first {
				return fault{}
			}
			first = false
			return faults
		}
	}
	always := func(faults fault) func(*http.Request) fault {
		return func(r *http.Request) fault {
			if !isWrite(r) {
				return fault{}
			}
			return faults
		}
	}
	for name, test := range map[string]struct {
		fault    func(*http.Request) fault
		want     string
		maybe    bool
		writes   int // writes that were carried out
		requests int // writes that were sent
	}{
		"502 after the commit":           {once(fault{Status: 502, CarryOut: true}), "upserted", false, 1, 1},
		"502 before the commit":          {once(fault{Status: 502}), "upserted", false, 1, 2},
		"connection lost after commit":   {once(fault{Drop: true, CarryOut: true}), "upserted", false, 1, 1},
		"connection lost before commit":  {once(fault{Drop: true}), "upserted", false, 1, 2},
		"200 without JSON after commit":  {once(fault{Status: 200, CarryOut: true}), "upserted", false, 1, 1},
		"success is false":               {once(fault{Status: 200, Body: fakecloudflare.Refusal(1000, "later")}), "upserted", false, 1, 2},
		"always 500":                     {always(fault{Status: 500}), "failed unreachable", true, 0, 4},
		"429 within the deadline":        {once(fault{Status: 429, RetryAfter: "7"}), "upserted", false, 1, 2},
		"429 beyond the deadline":        {once(fault{Status: 429, RetryAfter: "86400"}), "failed rate-limited", false, 0, 1},
		"redirected":                     {always(fault{Status: 307}), "failed unreachable", true, 0, 4},
		"81053 once":                     {once(fault{Status: 400, Body: fakecloudflare.Refusal(81053, "exists")}), "upserted", false, 1, 2},
		"81057 once":                     {once(fault{Status: 400, Body: fakecloudflare.Refusal(81057, "exists")}), "upserted", false, 1, 2},
		"81057 always":                   {always(fault{Status: 400, Body: fakecloudflare.Refusal(81057, "exists")}), "refused conflict", false, 0, 3},
		"81058 and not listed":           {always(fault{Status: 400, Body: fakecloudflare.Refusal(81058, "identical")}), "unchanged", false, 0, 3},
		"81058 because of our own write": {once(fault{Status: 400, Body: fakecloudflare.Refusal(81058, "identical"), CarryOut: true}), "unchanged", false, 1, 1},
		"always refused":                 {always(fault{Status: 400, Body: fakecloudflare.Refusal(9005, "invalid")}), "refused rejected", false, 0, 1},
		"no rights to write":             {always(fault{Status: 403, Body: fakecloudflare.Refusal(10000, "Authentication error")}), "refused no-rights", false, 0, 1},
		"an invalid Authorization":       {always(fault{Status: 400, Body: fakecloudflare.Refusal(6003, "Invalid request headers")}), "refused no-rights", false, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, zone(zoneA, "shop.example"))
			f.Guard(config)
			first = true
			sent := 0
			f.Fault = func(r *http.Request) fault {
				if isWrite(r) {
					sent++
				}
				return test.fault(r)
			}
			got := apply(t, f, config, want("www.shop.example"))
			wantOutcomes(t, got, map[string]string{"www.shop.example": test.want})
			if got["www.shop.example"].Maybe != test.maybe {
				t.Errorf("maybe = %v, want %v", !test.maybe, test.maybe)
			}
			if f.Writes != test.writes || sent != test.requests {
				t.Errorf("%d writes of %d sent, want %d of %d", f.Writes, sent, test.writes, test.requests)
			}
			f.Fault = nil
			apply(t, f, config, want("www.shop.example"))
			if all := f.All(zoneA); len(all) != 1 || all[0].Content != node {
				t.Errorf("after another run: %v", all)
			}
		})
	}
}

// One bad name does not prevent the writes of the others.
func TestIsolate(t *testing.T) {
	f := newFake(t, zone(zoneA, "shop.example"))
	f.Guard(config)
	f.Hidden["h042.shop.example"] = true
	wanted := want("poison.shop.example")
	expected := map[string]string{"poison.shop.example": "refused rejected"}
	for i := range 150 {
		host := fmt.Sprintf("h%03d.shop.example", i)
		wanted = append(wanted, cloudflare.Want{Host: host, Target: node})
		expected[host] = "upserted"
	}
	expected["h042.shop.example"] = "refused conflict"
	wantOutcomes(t, apply(t, f, config, wanted), expected)
	t.Logf("%d requests", len(f.Requests))
	if len(f.Requests) > 60 {
		t.Errorf("%d requests", len(f.Requests))
	}
}

func TestRights(t *testing.T) {
	f := newFake(t, zone(zoneA, "shop.example"), zone("zone-b", "other.example"))
	f.ReadOnly[zoneA] = true
	wantOutcomes(t, apply(t, f, config, want("www.shop.example", "www.other.example")), map[string]string{
		"www.shop.example": "refused no-rights", "www.other.example": "upserted",
	})

	_, err := cloudflare.Apply(t.Context(), f.ClientWith("another-token"), want("www.shop.example"), config, cloudflare.Options{Sleep: atOnce})
	if denied := (*cloudflare.APIError)(nil); !errors.As(err, &denied) || !denied.Unauthorized() || denied.Hint() == "" {
		t.Errorf("a token without permissions lists the zones: %v", err)
	}
}

// Cloudflare's limit counts requests for all zones.
func TestRateLimitEndsTheRun(t *testing.T) {
	f := newFake(t, zone(zoneA, "a.example"), zone("zone-b", "b.example"))
	f.Fault = func(r *http.Request) fault {
		if isWrite(r) {
			return fault{Status: 429, RetryAfter: "300"}
		}
		return fault{}
	}
	wantOutcomes(t, apply(t, f, config, want("www.a.example", "www.b.example")), map[string]string{
		"www.a.example": "failed rate-limited", "www.b.example": "failed rate-limited",
	})
	if len(f.Requests) != 3 {
		t.Errorf("requests: %v", f.Requests)
	}
}

// Another tool may write to the same zone.
func TestChangedMeanwhile(t *testing.T) {
	t.Run("taken", func(t *testing.T) {
		f := newFake(t, zone(zoneA, "shop.example"))
		f.Guard(config)
		f.Fault = func(r *http.Request) fault {
			if isWrite(r) && len(f.Records[zoneA]) == 0 {
				f.Records[zoneA]["theirs"] = cloudflare.Record{ID: "theirs", Name: "www.shop.example", Type: "A", Content: "192.0.2.1", TTL: 1}
			}
			return fault{}
		}
		wantOutcomes(t, apply(t, f, config, want("www.shop.example", "b.shop.example")), map[string]string{
			"www.shop.example": "foreign", "b.shop.example": "upserted",
		})
	})
	t.Run("taken over between two batches", func(t *testing.T) {
		f := newFake(t, zone(zoneA, "shop.example"))
		f.Guard(config)
		var wanted []cloudflare.Want
		var last string
		for i := range 250 {
			name := fmt.Sprintf("h%03d.shop.example", i)
			last = f.Add(zoneA, cloudflare.Record{Name: name, Type: "CNAME", Content: other, Comment: mine, TTL: 1})[0]
			wanted = append(wanted, cloudflare.Want{Host: name, Target: node})
		}
		f.Fault = func(r *http.Request) fault {
			if f.Writes == 1 {
				record := f.Records[zoneA][last]
				record.Comment = theirs
				f.Records[zoneA][last] = record
			}
			return fault{}
		}
		got := apply(t, f, config, wanted)
		if o := got["h249.shop.example"]; o.Kind != cloudflare.Foreign || f.Writes != 2 {
			t.Errorf("%v after %d writes", o, f.Writes)
		}
	})
	t.Run("changed back", func(t *testing.T) {
		f := newFake(t, zone(zoneA, "shop.example"))
		f.Add(zoneA, cloudflare.Record{Name: "www.shop.example", Type: "CNAME", Content: other, Comment: mine, TTL: 1})
		f.Fault = func(r *http.Request) fault {
			for id, record := range f.Records[zoneA] {
				record.Content = other
				f.Records[zoneA][id] = record
			}
			return fault{}
		}
		wantOutcomes(t, apply(t, f, config, want("www.shop.example")), map[string]string{"www.shop.example": "failed not-kept"})
		if f.Writes != 3 {
			t.Errorf("%d writes", f.Writes)
		}
	})
}

func TestLog(t *testing.T) {
	f := newFake(t, zone(zoneA, "shop.example"))
	f.Add(zoneA,
		cloudflare.Record{Name: "a.shop.example", Type: "A", Content: "192.0.2.1", Comment: mine, TTL: 600, Proxied: true},
		cloudflare.Record{Name: "b.shop.example", Type: "CNAME", Content: other, Comment: mine, TTL: 300},
	)
	before := f.All(zoneA)
	var log []cloudflare.Entry
	apply(t, f, config, want("a.shop.example", "b.shop.example", "c.shop.example"), func(o *cloudflare.Options) {
		o.Log = func(e cloudflare.Entry) error {
			if written := f.Writes > 0; written != (e.Stage == "after") {
				t.Errorf("the entry has the stage %q, but written is %v", e.Stage, written)
			}
			log = append(log, e)
			return nil
		}
	})
	if len(log) != 2 {
		t.Fatalf("%d entries", len(log))
	}
	// The logged inverse reverts the batch.
	if _, err := f.Client().Write(t.Context(), log[1].Inverse); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, f.All(zoneA)); d != "" {
		t.Errorf("reverted (-want +got):\n%s", d)
	}

	full := errors.New("no space left")
	writes := f.Writes
	got := apply(t, f, config, want("c.shop.example"), func(o *cloudflare.Options) {
		o.Log = func(cloudflare.Entry) error { return full }
	})
	wantOutcomes(t, got, map[string]string{"c.shop.example": "refused log-failed"})
	if f.Writes != writes {
		t.Error("the run sent a batch that it could not log")
	}
}

func TestDryRun(t *testing.T) {
	f := newFake(t, zone(zoneA, "shop.example"))
	f.Add(zoneA,
		cloudflare.Record{Name: "a.shop.example", Type: "A", Content: "192.0.2.1", Comment: mine, TTL: 600},
		cloudflare.Record{Name: "b.shop.example", Type: "CNAME", Content: other, Comment: mine, TTL: 300},
	)
	wanted := want("a.shop.example", "b.shop.example", "c.shop.example", "d.example")
	dry := cloudflare.NewDryRun(f.Client())
	planned := outcomes(t, run(t, dry, config, wanted))
	if f.Writes != 0 {
		t.Fatal("a dry run has written")
	}
	const calls = `POST /zones/zone-a/dns_records/batch (shop.example, 4 operations)
  delete a.shop.example A 192.0.2.1
  patch  b.shop.example content "n2.hosting.example" -> "n1.hosting.example"
  post   a.shop.example CNAME n1.hosting.example
  post   c.shop.example CNAME n1.hosting.example`
	var got []string
	for _, b := range dry.Batches() {
		got = append(got, b.String())
	}
	if d := cmp.Diff(calls, strings.Join(got, "\n")); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
	if d := cmp.Diff(planned, apply(t, f, config, wanted)); d != "" {
		t.Errorf("the real run has other outcomes (-dry +real):\n%s", d)
	}
}

func TestInterrupted(t *testing.T) {
	f := newFake(t, zone(zoneA, "shop.example"))
	ctx, cancel := context.WithCancel(t.Context())
	f.Fault = func(r *http.Request) fault {
		if isWrite(r) {
			cancel()
		}
		return fault{}
	}
	report, err := cloudflare.Apply(ctx, f.Client(), want("www.shop.example"), config, cloudflare.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := outcomes(t, report)
	wantOutcomes(t, got, map[string]string{"www.shop.example": "failed interrupted"})
	if !got["www.shop.example"].Maybe {
		t.Error("the outcome is reported as not written, but it is unknown")
	}
}
