// Package cloudflare points host names at their nodes, in the zones that a Cloudflare
// token can see. It never changes a DNS record that is not the provider's.
//
// [Plan] is pure: it turns the records of zones and the wanted names into batches of
// operations and an outcome for every name. [Apply] lists, plans, writes and lists
// again until no write is left. It works with an [API]: the real [Client], or a
// [DryRun] that only records the batches.
//
// Guarantees of a run:
//
//   - A record is the provider's if its comment is exactly [Config.Comment]. Every
//     other record is foreign: a run reports it, and never changes or deletes it, nor
//     disables it by a record beside it. The exception is Config.Adopt: a foreign
//     CNAME with the wanted target gets the comment, and nothing else changes.
//   - A run changes only the necessary fields of the provider's records; proxied, TTL
//     and tags stay.
//   - One batch has all operations on a name, and Cloudflare carries it out in one
//     transaction. So Cloudflare's database always has an address record for a name
//     that had one before. (Its servers take over the records one by one.)
//   - A run repeats a write only after it has listed the records and planned again,
//     because an error does not show whether Cloudflare carried the write out.
//   - A second run writes nothing.
//
// Limit: Cloudflare has no conditional writes. If another tool takes over a record of
// the provider's (gives it another comment) after the list and before the batch, the
// batch still changes it. A run lists before every batch that patches or deletes, so
// this time is as short as one request.
package cloudflare

import "context"

// MaxOperations limits the operations of a batch. It is the limit of zones on
// Cloudflare's free plan; other plans allow 3,500.
const MaxOperations = 200

// A Want is a host name that should be a CNAME for a node's name.
type Want struct {
	Host   string `json:"host"`
	Target string `json:"target"`
	// AdoptOnly is for a name that already leads to its target: the only allowed write
	// is to adopt its record.
	AdoptOnly bool `json:"adoptOnly,omitempty"`
}

// Config holds the provider's options.
type Config struct {
	// Owner is provider.hostenvHostname, which identifies the provider's records.
	Owner string
	// ZoneID is provider.cloudflare.zoneId: if it is not empty, a run uses no other
	// zone.
	ZoneID string
	// Adopt lets a foreign CNAME that already has the wanted target become the
	// provider's.
	Adopt bool
}

// A Zone is a zone that the token can see.
type Zone struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status"` // such as active, pending, moved
	Type   string `json:"type"`   // such as full, partial, secondary
}

// A Record is a DNS record of Cloudflare. A run never sends a foreign record back.
type Record struct {
	ID      string   `json:"id,omitempty"`
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Content string   `json:"content"`
	Comment string   `json:"comment,omitempty"`
	TTL     int      `json:"ttl,omitempty"` // seconds; 1 is automatic
	Proxied bool     `json:"proxied"`
	Tags    []string `json:"tags,omitempty"`
}

// ZoneRecords are all the records of a zone.
type ZoneRecords struct {
	Zone
	Records []Record
}

// API is the part of Cloudflare's API that [Apply] uses. Its errors are of type
// *[APIError], or the context's.
type API interface {
	// Zones returns the zones that the token can see.
	Zones(ctx context.Context) ([]Zone, error)
	// Zone returns one of them, by its id.
	Zone(ctx context.Context, id string) (Zone, error)
	// Records returns all the records of a zone.
	Records(ctx context.Context, zoneID string) ([]Record, error)
	// Write sends a batch, once, and returns the records that Posts became, in
	// their order.
	Write(ctx context.Context, b Batch) (posted []Record, err error)
}
