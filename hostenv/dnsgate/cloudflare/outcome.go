package cloudflare

import (
	"fmt"
	"strings"
)

// A Kind is the result for a wanted name. The set is open.
type Kind string

// Kinds of outcomes.
const (
	Upserted     Kind = "upserted"      // written, and found so afterwards
	Unchanged    Kind = "unchanged"     // was right already, and ours
	Adopted      Kind = "adopted"       // was right already, and is ours now
	Foreign      Kind = "foreign"       // a record that is not the provider's is there; not written
	ApexConflict Kind = "apex-conflict" // the zone's own name holds records that a CNAME must not join; not written
	NotOurs      Kind = "not-ours"      // in no zone that the token can see
	Refused      Kind = "refused"       // not written, for Reason
	Failed       Kind = "failed"        // may or may not be written, for Reason
)

// Settled reports whether the name now is as it was wanted.
func (k Kind) Settled() bool { return k == Upserted || k == Unchanged || k == Adopted }

// Reasons of outcomes, where the Kind alone does not say. The set is open.
const (
	ReasonAlreadyRight    = "already-right"     // Foreign: it points at the node all the same
	ReasonOtherProvider   = "other-provider"    // Foreign: another hostenv-provider owns it
	ReasonNameInvalid     = "name-invalid"      // Refused
	ReasonTargetInvalid   = "target-invalid"    // Refused
	ReasonOwnerInvalid    = "owner-invalid"     // Refused: Config.Owner is no host name
	ReasonWildcard        = "wildcard"          // Refused: HTTP-01 cannot prove one
	ReasonTwoTargets      = "two-targets"       // Refused: wanted twice, differently
	ReasonOwnTarget       = "own-target"        // Refused: it would point at itself
	ReasonDelegated       = "delegated"         // Refused: below NS records, where the zone does not speak
	ReasonBelowWildcard   = "below-wildcard"    // Refused: names between would lose what a wildcard gives them
	ReasonZoneInactive    = "zone-inactive"     // Refused: the zone is not delegated to Cloudflare
	ReasonZoneNotEditable = "zone-not-editable" // Refused: the zone's records are kept elsewhere
	ReasonTooManyRecords  = "too-many-records"  // Refused: one name's records do not fit a batch
	ReasonConflict        = "conflict"          // Refused: by Cloudflare, which sees a record that it does not list
	ReasonRejected        = "rejected"          // Refused: by Cloudflare, see Detail
	ReasonNoRights        = "no-rights"         // Refused: the token may not
	ReasonRateLimited     = "rate-limited"      // Failed: the wait would be too long
	ReasonUnreachable     = "unreachable"       // Failed: no answer, or errors of the server
	ReasonNotKept         = "not-kept"          // Failed: written, and changed back every time
	ReasonInterrupted     = "interrupted"       // Failed
	ReasonLogFailed       = "log-failed"        // Refused: a batch is logged with its inverse before it is sent
)

// An Outcome is the result for a wanted name.
type Outcome struct {
	Host   string `json:"host"`
	Target string `json:"target"`
	Zone   string `json:"zone,omitempty"`
	Kind   Kind   `json:"kind"`
	Reason string `json:"reason,omitempty"`
	// Detail is what Cloudflare said, or which name it is about.
	Detail string `json:"detail,omitempty"`
	// Maybe is set if a write was sent and its outcome is not known.
	Maybe bool `json:"maybe,omitempty"`
	// Records are those that prevent the write.
	Records []Record `json:"records,omitempty"`
}

// String returns the outcome in one line.
func (o Outcome) String() string {
	s := o.Host + ": " + string(o.Kind)
	if o.Reason != "" {
		s += " (" + o.Reason + ")"
	}
	if o.Detail != "" {
		s += ": " + o.Detail
	}
	var records []string
	for _, r := range o.Records {
		records = append(records, r.Type+" "+r.Content)
	}
	if records != nil {
		s += ": " + strings.Join(records, ", ")
	}
	if o.Maybe {
		s += "; a write was sent, and its outcome is not known"
	}
	return s
}

// Hint returns what to do, "" if there is nothing to do.
func (o Outcome) Hint() string {
	create := fmt.Sprintf("create %s CNAME %s by hand", o.Host, o.Target)
	switch o.Kind {
	case Foreign:
		switch o.Reason {
		case ReasonAlreadyRight:
			return "it points at the node already; -adopt lets the provider keep it"
		case ReasonOtherProvider:
			return "another hostenv-provider owns it, by its comment, and has to give it up first"
		}
		return fmt.Sprintf("ask its owner to change it to %s CNAME %s, or to delete it", o.Host, o.Target)
	case ApexConflict:
		return "give the zone's own name the node's A and AAAA records by hand: a CNAME there would be served in place of its other records wherever Cloudflare does not flatten it"
	case NotOurs:
		return create + " where its zone is kept, or let the token see its zone"
	default: // the reason says
	}
	switch o.Reason {
	case ReasonNoRights:
		return rightsHint
	case ReasonRateLimited, ReasonUnreachable, ReasonInterrupted:
		return "run it again; what was written is found and not written twice"
	case ReasonNotKept:
		return "find out what changes the record back, such as another tool with the same zone"
	case ReasonNameInvalid:
		return "correct the name in virtualHosts"
	case ReasonTargetInvalid, ReasonOwnTarget:
		return "the target is <node>.<hostenvHostname>: correct the node's name or provider.hostenvHostname, and let no environment have it"
	case ReasonWildcard:
		return "list the names in place of the wildcard: Let's Encrypt asks for DNS-01 there"
	case ReasonDelegated:
		return create + " in the zone that the NS records name"
	case ReasonBelowWildcard:
		return "give " + o.Detail + " a record of its own first, then run it again"
	case ReasonZoneInactive:
		return "set Cloudflare's servers for the zone at the registrar, or " + create + " where it is kept"
	case ReasonZoneNotEditable:
		return create + " where the zone's records are kept"
	case ReasonTwoTargets:
		return "remove it from all environments but one"
	case ReasonOwnerInvalid:
		return "set provider.hostenvHostname to the domain that nodes have their names below"
	case ReasonConflict, ReasonRejected, ReasonTooManyRecords:
		return "look at the name in Cloudflare's dashboard, or " + create
	case ReasonLogFailed:
		return "make the log's folder writable"
	}
	return ""
}
