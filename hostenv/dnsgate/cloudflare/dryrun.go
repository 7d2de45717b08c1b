package cloudflare

import (
	"context"
	"fmt"
	"slices"
)

// A DryRun is an [API] that reads from another one, and records batches without sending
// them. Its records include those of the batches, so that a run has the outcomes of a
// real one.
type DryRun struct {
	api     API
	batches []Batch
	records map[string][]Record // by zone, with the batches
}

// NewDryRun returns a dry run that reads from api.
func NewDryRun(api API) *DryRun { return &DryRun{api: api, records: map[string][]Record{}} }

// Batches returns the batches of the run, in their order.
func (d *DryRun) Batches() []Batch { return d.batches }

// Zones reads the zones.
func (d *DryRun) Zones(ctx context.Context) ([]Zone, error) { return d.api.Zones(ctx) }

// Zone reads a zone.
func (d *DryRun) Zone(ctx context.Context, id string) (Zone, error) { return d.api.Zone(ctx, id) }

// Records reads the records of a zone, and applies the batches to them.
func (d *DryRun) Records(ctx context.Context, zoneID string) ([]Record, error) {
	if records, ok := d.records[zoneID]; ok {
		return slices.Clone(records), nil
	}
	records, err := d.api.Records(ctx, zoneID)
	if err == nil {
		d.records[zoneID] = slices.Clone(records)
	}
	return records, err
}

// Write records the batch.
func (d *DryRun) Write(_ context.Context, b Batch) ([]Record, error) {
	d.batches = append(d.batches, b.clone())
	posted := slices.Clone(b.Posts)
	for i := range posted {
		posted[i].ID = fmt.Sprintf("dry-run-%d-%d", len(d.batches), i)
	}
	d.records[b.ZoneID] = b.WithPosted(posted).apply(d.records[b.ZoneID])
	return posted, nil
}

// apply returns the records after the batch.
func (b Batch) apply(records []Record) []Record {
	after := slices.DeleteFunc(slices.Clone(records), func(r Record) bool {
		return slices.ContainsFunc(b.Deletes, func(d Record) bool { return d.ID == r.ID })
	})
	for _, p := range b.Patches {
		for i := range after {
			if after[i].ID == p.ID && p.Set.Content != nil {
				after[i].Content = *p.Set.Content
			}
			if after[i].ID == p.ID && p.Set.Comment != nil {
				after[i].Comment = *p.Set.Comment
			}
		}
	}
	return append(after, b.Posts...)
}
