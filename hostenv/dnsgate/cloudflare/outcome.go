package cloudflare

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A Kind is the result for a wanted name. The set is open.
type Kind string

// Kinds of outcomes.
const (
	Upserted     Kind = "upserted"      // written, and listed afterwards
	Unchanged    Kind = "unchanged"     // the provider's record was right
	Adopted      Kind = "adopted"       // a foreign record was right, and is the provider's now
	Foreign      Kind = "foreign"       // not written, because the name has a foreign record
	ApexConflict Kind = "apex-conflict" // not written, because the zone's own name has records that forbid a CNAME
	NotOurs      Kind = "not-ours"      // in no zone that the token can see
	Refused      Kind = "refused"       // not written, for Reason
	Failed       Kind = "failed"        // perhaps written, for Reason
)

// Settled reports whether the name now has its wanted target.
func (k Kind) Settled() bool { return k == Upserted || k == Unchanged || k == Adopted }

// Reasons of outcomes, for kinds that have several. The set is open.
const (
	ReasonAlreadyRight    = "already-right"     // Foreign: the record points at the node
	ReasonOtherProvider   = "other-provider"    // Foreign: another hostenv-provider owns it
	ReasonNameInvalid     = "name-invalid"      // Refused
	ReasonTargetInvalid   = "target-invalid"    // Refused
	ReasonOwnerInvalid    = "owner-invalid"     // Refused: Config.Owner is no host name
	ReasonDomain          = "domain-not-proved" // Refused: the domain is not known to be the organisation's
	ReasonWildcard        = "wildcard"          // Refused: HTTP-01 cannot prove one
	ReasonTwoTargets      = "two-targets"       // Refused: wanted with two targets
	ReasonOwnTarget       = "own-target"        // Refused: it would point at itself
	ReasonDelegated       = "delegated"         // Refused: NS records move the name into another zone
	ReasonBelowWildcard   = "below-wildcard"    // Refused: names in between would lose the records of a wildcard
	ReasonZoneInactive    = "zone-inactive"     // Refused: the zone is not delegated to Cloudflare
	ReasonZoneNotEditable = "zone-not-editable" // Refused: Cloudflare does not keep the zone's records
	ReasonTooManyRecords  = "too-many-records"  // Refused: the records of the name do not fit into a batch
	ReasonConflict        = "conflict"          // Refused: by Cloudflare, because of a record that it does not list
	ReasonRejected        = "rejected"          // Refused: by Cloudflare, see Detail
	ReasonNoRights        = "no-rights"         // Refused: the token lacks a permission
	ReasonRateLimited     = "rate-limited"      // Failed: the wait would be too long
	ReasonUnreachable     = "unreachable"       // Failed: no answer, or an error of the server
	ReasonNotKept         = "not-kept"          // Failed: written, but another tool changes it back
	ReasonInterrupted     = "interrupted"       // Failed
	ReasonLogFailed       = "log-failed"        // Refused: the batch and its inverse cannot be logged
)

// An Outcome is the result for a wanted name.
type Outcome struct {
	Host   string `json:"host"`
	Target string `json:"target"`
	Zone   string `json:"zone,omitempty"`
	Kind   Kind   `json:"kind"`
	Reason string `json:"reason,omitempty"`
	// Detail is Cloudflare's error, or the name at fault.
	Detail string `json:"detail,omitempty"`
	// Maybe is set if a write was sent and its result is unknown.
	Maybe bool `json:"maybe,omitempty"`
	// Records are the records that prevent the write.
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
		s += "; a write was sent, and its result is unknown"
	}
	return s
}

// hints has the fixes by reason, and by kind for outcomes without a reason. {create}
// stands for the record to create by hand.
var hints = map[string]string{
	string(Foreign):      "ask its owner to change it to {host} CNAME {target}, or to delete it",
	string(ApexConflict): "give the zone's own name the node's A and AAAA records by hand: unless Cloudflare flattens it, a CNAME there hides its other records",
	string(NotOurs):      "{create} at the provider of its zone, or let the token see its zone",

	ReasonAlreadyRight:    "it already points at the node; -adopt makes it the provider's",
	ReasonOtherProvider:   "its comment names another hostenv-provider, which has to delete it first",
	ReasonNameInvalid:     "correct the name in virtualHosts",
	ReasonTargetInvalid:   targetHint,
	ReasonOwnTarget:       targetHint,
	ReasonOwnerInvalid:    "set provider.hostenvHostname to the domain of the nodes' names",
	ReasonDomain:          "set provider.domains.\"DOMAIN\" to the organisation whose domain it is, and run `mage plan`; `mage domains` lists them",
	ReasonWildcard:        "list the names instead of the wildcard, for which Let's Encrypt needs DNS-01",
	ReasonTwoTargets:      "remove it from all environments except one",
	ReasonDelegated:       "{create} in the zone that the NS records name",
	ReasonBelowWildcard:   "give {detail} its own record first, then run it again",
	ReasonZoneInactive:    "set Cloudflare's servers for the zone at the registrar, or {create} at the provider of the zone",
	ReasonZoneNotEditable: "{create} at the provider of the zone",
	ReasonTooManyRecords:  dashboardHint,
	ReasonConflict:        dashboardHint,
	ReasonRejected:        dashboardHint,
	ReasonNoRights:        rightsHint,
	ReasonRateLimited:     againHint,
	ReasonUnreachable:     againHint,
	ReasonInterrupted:     againHint,
	ReasonNotKept:         "find the tool that changes the record back",
	ReasonLogFailed:       "make the log's folder writable",
}

const (
	targetHint    = "the target is <node>.<hostenvHostname>: correct the node's name or provider.hostenvHostname, and use it as a host name in no environment"
	dashboardHint = "check the name in Cloudflare's dashboard, or {create}"
	againHint     = "run it again; it writes no record twice"
)

// Hint returns the fix, "" if none is needed.
func (o Outcome) Hint() string {
	create := fmt.Sprintf("create %s CNAME %s by hand", o.Host, o.Target)
	return strings.NewReplacer("{create}", create, "{host}", o.Host, "{target}", o.Target, "{detail}", problem.Line(o.Detail)).
		Replace(hints[cmp.Or(o.Reason, string(o.Kind))])
}
