// Package cloudflare points host names at their nodes, in zones that a
// Cloudflare token can see, and never touches a DNS record that is not the
// provider's.
//
// [Plan] is pure: from the records of the zones and the names that are wanted
// it makes batches of operations and an outcome for every name. [Apply] lists,
// plans, writes and lists again, until no write is left; the real
// [Client], and the [DryRun] that only notes what would be sent, stand behind
// the same small interface.
//
// What a run holds to:
//
//   - A record is the provider's if its comment is exactly [Config.Comment].
//     Every other record is foreign: it is reported and never changed, deleted,
//     or put out of work by a record beside it. The one exception is asked for:
//     with Config.Adopt, a CNAME that already says what is wanted gets the
//     comment, and the rest of it stays.
//   - Of the provider's own records only what must change is sent; proxied, TTL
//     and tags stay.
//   - All operations on a name are in one batch, which Cloudflare carries out in
//     one transaction: no name that has an address record is ever without one
//     in its database. (Its servers take the records over one by one.)
//   - No write is repeated before the records were listed, and planned from,
//     again. An error does not say what was carried out; the list does.
//   - A second run makes no write.
//
// Limit: Cloudflare has no conditional writes. A record of the
// provider's that another tool takes over (gives another comment) after it was
// listed, and before the batch arrives, is still taken for the provider's.
// Records are listed anew before every batch that patches or deletes, so that
// this is the time of one request.
package cloudflare

import "context"

// MaxOperations is how many operations a batch may hold in zones of every plan
// (of the free one, that is; others allow 3,500).
const MaxOperations = 200

// A Want is a host name that has to be a CNAME for a node's name.
type Want struct {
	Host   string `json:"host"`
	Target string `json:"target"`
	// AdoptOnly is for a name that leads to its target already: a record that
	// does so may be adopted, and no other write is made.
	AdoptOnly bool `json:"adoptOnly,omitempty"`
}

// Config holds the provider's options.
type Config struct {
	// Owner is provider.hostenvHostname; it says whose a record is.
	Owner string
	// ZoneID is provider.cloudflare.zoneId: if not empty, no other zone is
	// looked at.
	ZoneID string
	// Adopt lets a foreign CNAME that already has the wanted target become the
	// provider's.
	Adopt bool
}

// A Zone is one that the token can see.
type Zone struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status"` // such as active, pending, moved
	Type   string `json:"type"`   // such as full, partial, secondary
}

// A Record is a DNS record as Cloudflare keeps it. Of foreign records no more
// is known than this, and nothing of it is ever sent back.
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

// API is what [Apply] needs of Cloudflare. Its errors are of type *[APIError],
// or the context's.
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
