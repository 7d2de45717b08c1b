package cloudflare_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/cloudflare"
	"github.com/woolwichweb/hostenv-provider/internal/fakecloudflare"
)

func TestPlan(t *testing.T) {
	const host = "www.shop.example"
	record := func(name, recordType, content, comment string) cloudflare.Record {
		return cloudflare.Record{ID: name + "/" + recordType + "/" + content, Name: name, Type: recordType, Content: content, Comment: comment, TTL: 1}
	}
	pending, partial := zone(zoneA, "shop.example"), zone(zoneA, "shop.example")
	pending.Status, partial.Type = "pending", "partial"
	adoptOnly := []cloudflare.Want{{Host: host, Target: node, AdoptOnly: true}}
	apex := []cloudflare.Want{{Host: "shop.example", Target: node}}
	tests := []struct {
		reason  string
		zone    cloudflare.Zone
		records []cloudflare.Record
		want    []cloudflare.Want
		adopt   bool
		outcome string
		ops     string // deletes, patches, posts
	}{
		{reason: "nothing there", outcome: "upserted", ops: "0 0 1"},
		{reason: "ours and right", records: []cloudflare.Record{record(host, "CNAME", node, mine)}, outcome: "unchanged"},
		{reason: "names are compared without case and final dot", records: []cloudflare.Record{record("WWW.shop.example", "CNAME", "N1.hosting.example.", mine)}, outcome: "unchanged"},
		{reason: "ours and wrong", records: []cloudflare.Record{record(host, "CNAME", other, mine)}, outcome: "upserted", ops: "0 1 0"},
		{reason: "ours, of another type", records: []cloudflare.Record{record(host, "AAAA", "2001:db8::1", mine)}, outcome: "upserted", ops: "1 0 1"},
		{reason: "ours twice, one is right", records: []cloudflare.Record{record(host, "CNAME", other, mine), record(host, "CNAME", node, mine)}, outcome: "upserted", ops: "1 0 0"},
		{reason: "a TXT record beside ours stays where it is", records: []cloudflare.Record{record(host, "CNAME", other, mine), record(host, "TXT", "x", "")}, outcome: "upserted", ops: "0 1 0"},
		{reason: "our comment copied onto a type that we never make", records: []cloudflare.Record{record(host, "MX", "mx.example", mine)}, outcome: "foreign"},
		{reason: "a comment that only begins like ours", records: []cloudflare.Record{record(host, "CNAME", other, mine+".org")}, outcome: "foreign other-provider"},
		{reason: "an A record of ours and a foreign one", records: []cloudflare.Record{record(host, "A", "192.0.2.1", mine), record(host, "A", "192.0.2.2", "")}, outcome: "foreign"},
		{reason: "foreign, and right", records: []cloudflare.Record{record(host, "CNAME", node, "")}, outcome: "foreign already-right"},
		{reason: "adopted", adopt: true, records: []cloudflare.Record{record(host, "CNAME", node, "")}, outcome: "adopted", ops: "0 1 0"},
		{reason: "adopted beside a TXT record", adopt: true, records: []cloudflare.Record{record(host, "CNAME", node, ""), record(host, "TXT", "x", "")}, outcome: "adopted", ops: "0 1 0"},
		{reason: "not adopted: another target", adopt: true, records: []cloudflare.Record{record(host, "CNAME", other, "")}, outcome: "foreign"},
		{reason: "not adopted: another provider's", adopt: true, records: []cloudflare.Record{record(host, "CNAME", node, "hostenv-provider:x.example")}, outcome: "foreign other-provider"},
		{reason: "adopted only", adopt: true, want: adoptOnly, records: []cloudflare.Record{record(host, "CNAME", node, "")}, outcome: "adopted", ops: "0 1 0"},
		{reason: "adopted only: nothing is there, but a wildcard", adopt: true, want: adoptOnly, records: []cloudflare.Record{record("*.shop.example", "CNAME", node, "")}, outcome: "unchanged"},
		{reason: "adopted only: ours, and wrong", adopt: true, want: adoptOnly, records: []cloudflare.Record{record(host, "CNAME", other, mine)}, outcome: "unchanged"},
		{reason: "adopted only: another target", adopt: true, want: adoptOnly, records: []cloudflare.Record{record(host, "CNAME", other, "")}, outcome: "unchanged"},
		{reason: "adopted only: not asked", want: adoptOnly, records: []cloudflare.Record{record(host, "CNAME", node, "")}, outcome: "unchanged"},
		{reason: "adopted only: in no zone", adopt: true, want: []cloudflare.Want{{Host: "a.example", Target: node, AdoptOnly: true}}, outcome: "unchanged"},
		{reason: "adopted only, and wanted", adopt: true, want: slices.Concat(adoptOnly, want(host)), outcome: "upserted", ops: "0 0 1"},
		{reason: "delegated", records: []cloudflare.Record{record(host, "NS", "ns.example", "")}, outcome: "refused delegated"},
		{reason: "delegated above", records: []cloudflare.Record{record("b.shop.example", "NS", "ns.example", "")}, want: want("a.b.shop.example"), outcome: "refused delegated"},
		{reason: "the zone's own NS records delegate nothing", records: []cloudflare.Record{record("shop.example", "NS", "ns.example", "")}, outcome: "upserted", ops: "0 0 1"},
		{reason: "an international name, in a zone that Cloudflare names in Unicode", zone: zone(zoneA, "Bücher.example"), want: want("www.xn--bcher-kva.example"), outcome: "upserted", ops: "0 0 1"},
		{reason: "an international name, foreign", zone: zone(zoneA, "bücher.example"), want: want("www.xn--bcher-kva.example"), records: []cloudflare.Record{record("www.bücher.example", "A", "192.0.2.1", "")}, outcome: "foreign"},
		{reason: "an international name, ours and right", zone: zone(zoneA, "bücher.example"), want: want("www.xn--bcher-kva.example"), records: []cloudflare.Record{record("www.xn--bcher-kva.example", "CNAME", node, mine)}, outcome: "unchanged"},
		{reason: "an international apex with mail", zone: zone(zoneA, "bücher.example"), want: want("xn--bcher-kva.example"), records: []cloudflare.Record{record("xn--bcher-kva.example", "MX", "mx.example", "")}, outcome: "apex-conflict"},
		{reason: "an empty apex", want: apex, outcome: "upserted", ops: "0 0 1"},
		{reason: "an apex with mail", want: apex, records: []cloudflare.Record{record("shop.example", "MX", "mx.example", "")}, outcome: "apex-conflict"},
		{reason: "an apex with an address", want: apex, records: []cloudflare.Record{record("shop.example", "A", "192.0.2.1", ""), record("shop.example", "MX", "mx.example", "")}, outcome: "foreign"},
		{reason: "an apex of ours, and mail", want: apex, records: []cloudflare.Record{record("shop.example", "CNAME", other, mine), record("shop.example", "MX", "mx.example", "")}, outcome: "upserted", ops: "0 1 0"},
		{reason: "a wildcard gives way to a name", records: []cloudflare.Record{record("*.shop.example", "A", "192.0.2.1", "")}, outcome: "upserted", ops: "0 0 1"},
		{reason: "b.shop.example lives by the wildcard", records: []cloudflare.Record{record("*.shop.example", "A", "192.0.2.1", "")}, want: want("a.b.shop.example"), outcome: "refused below-wildcard"},
		{reason: "b.shop.example exists by a name below it", records: []cloudflare.Record{record("*.shop.example", "A", "192.0.2.1", ""), record("c.b.shop.example", "TXT", "x", "")}, want: want("a.b.shop.example"), outcome: "upserted", ops: "0 0 1"},
		{reason: "pending", zone: pending, outcome: "refused zone-inactive"},
		{reason: "partial", zone: partial, outcome: "refused zone-not-editable"},
		{reason: "in no zone: a suffix, but no label", want: want("myshop.example"), outcome: "not-ours"},
		{reason: "a wildcard", want: want("*.shop.example"), outcome: "refused wildcard"},
		{reason: "twice, the same", want: want(host, "WWW.shop.example."), outcome: "upserted", ops: "0 0 1"},
		{reason: "twice, otherwise", want: []cloudflare.Want{{Host: host, Target: other}, {Host: host, Target: node}}, outcome: "refused two-targets"},
		{reason: "itself", want: []cloudflare.Want{{Host: host, Target: host}}, outcome: "refused own-target"},
		{reason: "no target", want: []cloudflare.Want{{Host: host, Target: "no target"}}, outcome: "refused target-invalid"},
		{reason: "a wildcard for a target", want: []cloudflare.Want{{Host: host, Target: "*.hosting.example"}}, outcome: "refused target-invalid"},
	}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			if test.zone.ID == "" {
				test.zone = zone(zoneA, "shop.example")
			}
			if test.want == nil {
				test.want = want(host)
			}
			cfg := config
			cfg.Adopt = test.adopt
			batches, outcomes := cloudflare.Plan([]cloudflare.ZoneRecords{{Zone: test.zone, Records: test.records}}, test.want, cfg)
			if len(outcomes) != 1 {
				t.Fatalf("%d outcomes", len(outcomes))
			}
			wantOutcomes(t, map[string]cloudflare.Outcome{"": outcomes[0]}, map[string]string{"": test.outcome})
			ops := ""
			for _, b := range batches {
				ops += fmt.Sprint(len(b.Deletes), len(b.Patches), len(b.Posts))
			}
			if ops != test.ops {
				t.Errorf("operations %q, want %q: %v", ops, test.ops, batches)
			}
		})
	}
}

func TestPlanRefusesWithoutOwner(t *testing.T) {
	for _, owner := range []string{"", "a b"} {
		batches, outcomes := cloudflare.Plan([]cloudflare.ZoneRecords{{Zone: zone(zoneA, "shop.example")}}, want("www.shop.example"), cloudflare.Config{Owner: owner})
		if len(batches) != 0 || outcomes[0].Reason != cloudflare.ReasonOwnerInvalid {
			t.Errorf("owner %q: %v", owner, outcomes)
		}
	}
}

// A parent and a child may come in one batch: the parent no longer lives by the
// wildcard then.
func TestPlanParentFirst(t *testing.T) {
	batches, outcomes := cloudflare.Plan([]cloudflare.ZoneRecords{{
		Zone:    zone(zoneA, "shop.example"),
		Records: []cloudflare.Record{{ID: "1", Name: "*.shop.example", Type: "A", Content: "192.0.2.1"}},
	}}, want("a.b.shop.example", "b.shop.example"), config)
	if len(batches) != 1 || len(batches[0].Posts) != 2 || batches[0].Posts[0].Name != "b.shop.example" {
		t.Errorf("%v: %v", batches, outcomes)
	}
}

func TestComment(t *testing.T) {
	for _, test := range []struct{ owner, want string }{
		{"hosting.example", "hostenv-provider:hosting.example"},
		{strings.Repeat("a.", 41) + "x", "hostenv-provider:" + strings.Repeat("a.", 41) + "x"}, // 100 characters
	} {
		if got := (cloudflare.Config{Owner: test.owner}).Comment(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
	long := (cloudflare.Config{Owner: strings.Repeat("a.", 60) + "x"}).Comment()
	longer := (cloudflare.Config{Owner: strings.Repeat("a.", 60) + "y"}).Comment()
	if len(long) > 100 || long == longer || !strings.HasPrefix(long, "hostenv-provider:sha256-") {
		t.Errorf("%q and %q", long, longer)
	}
}

// FuzzPlan draws a zone and wishes from its input, and holds every plan to the
// invariant: carried out batch by batch, it changes no foreign record, takes
// from no name its last address record, keeps what is not the content of our
// own records; its inverse restores the zone; and planned again, there is
// nothing left to write and every settled name has its target.
func FuzzPlan(f *testing.F) {
	for seed := range uint64(64) {
		f.Add(seed, seed%3 == 0, uint8(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, adopt bool, size uint8) {
		r := rand.New(rand.NewPCG(seed, uint64(size)))
		cfg := config
		cfg.Adopt = adopt
		zones := []cloudflare.ZoneRecords{{Zone: zone(zoneA, "shop.example")}, {Zone: zone("zone-b", "eu.shop.example")}}
		for i := range int(size) {
			w := &zones[r.IntN(2)]
			w.Records = append(w.Records, randomRecord(r, w.Name, fmt.Sprintf("id%04d", i)))
		}
		if r.IntN(4) == 0 { // one name with records beyond what a batch may hold
			for i := range 150 + r.IntN(100) {
				zones[0].Records = append(zones[0].Records, cloudflare.Record{ID: fmt.Sprint("many", i), Name: "b.shop.example", Type: "A", Content: fmt.Sprint("192.0.2.", i), Comment: mine, TTL: 1})
			}
		}
		var wanted []cloudflare.Want
		for range 1 + r.IntN(20) {
			wanted = append(wanted, randomWant(r, "shop.example"))
		}
		batches, outcomes := cloudflare.Plan(zones, wanted, cfg)
		shuffled := slices.Clone(wanted)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		again, _ := cloudflare.Plan(zones, shuffled, cfg)
		if d := cmp.Diff(batches, again); d != "" {
			t.Errorf("the order of the input matters:\n%s", d)
		}

		now := map[string]map[string]cloudflare.Record{}
		for _, z := range zones {
			now[z.ID] = map[string]cloudflare.Record{}
			for _, record := range z.Records {
				now[z.ID][record.ID] = record
			}
		}
		for n, b := range batches {
			if b.Operations() == 0 || b.Operations() > cloudflare.MaxOperations {
				t.Errorf("a batch has %d operations", b.Operations())
			}
			now[b.ZoneID] = carryOutAndBack(t, cfg, now[b.ZoneID], b, n)
		}
		for i := range zones {
			zones[i].Records = slices.Collect(maps.Values(now[zones[i].ID]))
		}
		batches, second := cloudflare.Plan(zones, wanted, cfg)
		if len(batches) > 0 {
			t.Errorf("the second plan writes %v", batches)
		}
		for i, o := range second {
			if outcomes[i].Kind.Settled() != o.Kind.Settled() || outcomes[i].Kind.Settled() && o.Kind != cloudflare.Unchanged {
				t.Errorf("planned %v, found %v", outcomes[i], o)
			}
		}
	})
}

// carryOutAndBack returns the records after the n-th batch. It holds the batch
// to the invariant, and its inverse to taking it back.
func carryOutAndBack(t testing.TB, cfg cloudflare.Config, before map[string]cloudflare.Record, b cloudflare.Batch, n int) map[string]cloudflare.Record {
	var posted []cloudflare.Record
	for i, record := range b.Posts {
		record.ID = fmt.Sprintf("new%d-%d", n, i)
		posted = append(posted, record)
	}
	done := b.WithPosted(posted)
	after := carryOut(t, before, done)
	for _, violation := range fakecloudflare.Violations(cfg, before, after) {
		t.Error(violation)
	}
	back := done.Inverse()
	for i := range back.Posts {
		back.Posts[i].ID = fmt.Sprint("back", i)
	}
	if d := cmp.Diff(fakecloudflare.Sorted(before), fakecloudflare.Sorted(carryOut(t, after, back))); d != "" {
		t.Errorf("the inverse does not take a batch back:\n%s", d)
	}
	return after
}

// carryOut does to records what Cloudflare does.
func carryOut(t testing.TB, records map[string]cloudflare.Record, b cloudflare.Batch) map[string]cloudflare.Record {
	after := maps.Clone(records)
	for _, d := range b.Deletes {
		if _, ok := after[d.ID]; !ok {
			t.Errorf("%v is deleted and not there", d)
		}
		delete(after, d.ID)
	}
	for _, p := range b.Patches {
		record, ok := after[p.ID]
		if !ok {
			t.Errorf("%v is patched and not there", p)
		}
		if p.Set.Content != nil {
			record.Content = *p.Set.Content
		}
		if p.Set.Comment != nil {
			record.Comment = *p.Set.Comment
		}
		after[p.ID] = record
	}
	for _, r := range b.Posts {
		after[r.ID] = r
	}
	return after
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// randomRecord is any of those that a zone may hold, ours or not.
func randomRecord(r *rand.Rand, zoneName, id string) cloudflare.Record {
	record := cloudflare.Record{
		ID:      id,
		Name:    randomName(r, zoneName),
		Type:    pick(r, "A", "AAAA", "CNAME", "CNAME", "CNAME", "TXT", "MX", "NS"),
		Comment: pick(r, mine, mine, mine, "", theirs, "hostenv-provider:rival.example", mine+" "),
		TTL:     pick(r, 1, 60, 300),
		Proxied: r.IntN(2) == 0,
	}
	if r.IntN(4) == 0 {
		record.Tags = []string{"team:web"}
	}
	switch record.Type {
	case "A":
		record.Content = fmt.Sprint("192.0.2.", r.IntN(9))
	case "CNAME":
		record.Content = pick(r, node, other, "elsewhere.example")
	default:
		record.Content = fmt.Sprint("x", r.IntN(9), ".example")
	}
	return record
}

func randomName(r *rand.Rand, zoneName string) string {
	return pick(r, "", "a.", "b.", "c.", "d.", "a.b.", "c.a.b.", "*.", "*.b.", "d.c.", "e.", "f.") + zoneName
}

func randomWant(r *rand.Rand, zoneName string) cloudflare.Want {
	name := pick(r, zoneName, "eu."+zoneName, "elsewhere.example")
	return cloudflare.Want{Host: pick(r, "", "a.", "b.", "c.", "d.", "a.b.", "c.a.b.", "*.", "d.c.", "e.", "f.", "g.") + name, Target: pick(r, node, node, node, other)}
}
