package dnsgate

import "context"

// FormatVersion is the version of the documents that hold [Facts].
const FormatVersion = 1

// Facts are the answers of DNS, at one time, about the names of a run. They are plain
// data: a caller can record them and judge them again. All names are A-labels in lower
// case without a final dot, all addresses the text of [netip.Addr.String].
type Facts struct {
	FormatVersion int `json:"formatVersion"`

	// Taken is when collection began, in RFC 3339.
	Taken string `json:"taken,omitempty"`
	// Resolver is the validating resolver, as host:port. No rule depends on it.
	Resolver string `json:"resolver,omitempty"`

	// Nodes are the nodes' own names, by the name in DNS.
	Nodes map[string]*NodeFacts `json:"nodes,omitempty"`
	// Names are the hosts of the certificates, by the name in DNS.
	Names map[string]*NameFacts `json:"names,omitempty"`
	// Served is what nodes serve over TLS, by virtual host, of the certificates of
	// [Losing].
	Served map[string]*Served `json:"served,omitempty"`
}

// Outcome is the result of a lookup.
type Outcome string

const (
	// OutcomeAnswer is an answer with at least one record of the type.
	OutcomeAnswer Outcome = "answer"
	// OutcomeNoData is a name that exists and has no such record.
	OutcomeNoData Outcome = "nodata"
	// OutcomeNXDomain is a name that does not exist, or a CNAME to such a name.
	OutcomeNXDomain Outcome = "nxdomain"
	// OutcomeError is everything else. It is no evidence about the zone.
	OutcomeError Outcome = "error"
)

// LookupError is the reason why a lookup has no answer. The list is open: a reader
// treats an unknown error like [ErrorNetwork].
type LookupError string

const (
	ErrorServFail  LookupError = "servfail"
	ErrorRefused   LookupError = "refused"
	ErrorNotImp    LookupError = "notimp"
	ErrorTimeout   LookupError = "timeout"
	ErrorNetwork   LookupError = "network"   // not sent, or reset
	ErrorPrivate   LookupError = "private"   // the server is at an address that is not public, and was not asked
	ErrorMalformed LookupError = "malformed" // the reply does not parse, or answers another question
	ErrorLame      LookupError = "lame"      // the server does not have the zone
	ErrorLoop      LookupError = "loop"      // the CNAMEs lead back to themselves
	ErrorChain     LookupError = "chain"     // more CNAMEs than a resolver follows
	ErrorCancelled LookupError = "cancelled" // the run ended first
)

// Lookup is the result of one question. The zero Lookup is a question that the run did
// not ask.
type Lookup struct {
	Outcome Outcome     `json:"outcome,omitempty"`
	Error   LookupError `json:"error,omitempty"`
	// Truncated is set in a failed lookup if the server answered over UDP, with more
	// than a packet holds, and then failed over TCP.
	Truncated bool `json:"truncated,omitempty"`
	// EDE are the extended DNS errors (RFC 8914) that came with it.
	EDE []int `json:"ede,omitempty"`

	Addresses []string    `json:"addresses,omitempty"` // of A and AAAA
	Targets   []string    `json:"targets,omitempty"`   // of CNAME and NS
	CAA       []CAARecord `json:"caa,omitempty"`       // of CAA

	// Chain are the targets of the CNAMEs, in their order.
	Chain []string `json:"chain,omitempty"`
	// Server is the server that answered, as an address with port, if it does not
	// follow from the lookup's place in the facts.
	Server string `json:"server,omitempty"`
}

// Asked reports whether the run asked the question.
func (l Lookup) Asked() bool { return l.Outcome != "" }

// Failed reports whether the question got no usable answer.
func (l Lookup) Failed() bool { return l.Outcome == OutcomeError }

// CAARecord is a CAA record as it is in the zone (RFC 8659), with its case and blanks.
type CAARecord struct {
	Flag  uint8  `json:"flag"`
	Tag   string `json:"tag"`
	Value string `json:"value"`
}

// CAALookup is the CAA lookup of one label on the way from a name to its
// top-level domain.
type CAALookup struct {
	Name   string `json:"name"`
	Lookup Lookup `json:"lookup"`
}

// ServerFacts are the answers of one address of an authoritative server, without
// recursion. If the name is a CNAME, CNAME.Targets has it, and A and AAAA have the
// answer for the target if the server has that too, and otherwise the outcome nodata.
// A server without an address has an empty Address and lookups with [ErrorNetwork].
type ServerFacts struct {
	Name    string `json:"name"`
	Address string `json:"address,omitempty"`
	A       Lookup `json:"a"`
	AAAA    Lookup `json:"aaaa"`
	CNAME   Lookup `json:"cname"`
	// CAA are the server's CAA sets, from the name up to the top of the zone. It is
	// optional.
	CAA []CAALookup `json:"caa,omitempty"`
	// Undelegated is set if the zone names the server and the parent zone does not, so
	// that a resolver which begins at the parent may never ask it.
	Undelegated bool `json:"undelegated,omitempty"`
	// Unglued is set if the parent zone has other addresses for the server's name (glue),
	// so that a resolver which begins at the parent need not ask this one.
	Unglued bool `json:"unglued,omitempty"`
}

// AliasFacts are the answers of another zone's authoritative servers about the target
// of a CNAME.
type AliasFacts struct {
	Name    string        `json:"name"`
	Zone    string        `json:"zone,omitempty"`
	Servers []ServerFacts `json:"servers,omitempty"`
}

// NameFacts are all answers about one name.
type NameFacts struct {
	Name string `json:"name"`

	// A and AAAA are the validating resolver's answers.
	A    Lookup `json:"a"`
	AAAA Lookup `json:"aaaa"`

	// Zone is the zone that holds the name, and Servers has every address of each of
	// its authoritative servers.
	Zone    string        `json:"zone,omitempty"`
	Servers []ServerFacts `json:"servers,omitempty"`
	// ZoneError is why the zone, or its servers, were not found.
	ZoneError LookupError `json:"zoneError,omitempty"`

	// Aliases are the names of A.Chain and AAAA.Chain that are in other zones.
	Aliases []AliasFacts `json:"aliases,omitempty"`

	// CAA are the validating resolver's answers, from the name up to its top-level
	// domain. They may end at the first error.
	CAA []CAALookup `json:"caa,omitempty"`

	// Live is set if the question asks for live checks.
	Live *LiveFacts `json:"live,omitempty"`
}

// NodeFacts are the answers about a node's own name; see [Facts.NodeAddresses].
type NodeFacts struct {
	Name    string        `json:"name"`
	A       Lookup        `json:"a"`
	AAAA    Lookup        `json:"aaaa"`
	Zone    string        `json:"zone,omitempty"`
	Servers []ServerFacts `json:"servers,omitempty"`
}

// Dial is the result of a TCP connection to port 80.
type Dial string

const (
	DialOpen        Dial = "open"
	DialRefused     Dial = "refused"
	DialTimeout     Dial = "timeout"
	DialUnreachable Dial = "unreachable" // no route from this machine, so no evidence about the host
	DialError       Dial = "error"
)

// LiveFacts are the results of connections to the hosts themselves.
type LiveFacts struct {
	// Dials are the connections to port 80, by address.
	Dials map[string]Dial `json:"dials,omitempty"`
	// Probes are the requests for a token, by the address of the first request.
	Probes map[string]*ProbeFacts `json:"probes,omitempty"`
	// Own is the same request to the node itself, for the same host.
	Own *ProbeFacts `json:"own,omitempty"`
}

// ChallengePath is where Let's Encrypt asks for the token of a challenge, and the live
// checks for that of a node.
const ChallengePath = "/.well-known/acme-challenge/"

// Token is the last part of the path at which a node serves, for each of its virtual
// hosts, its own name in DNS: nix/modules/challenge.nix. Where a virtual host has no
// certificate, and so no challenge, a blank and the name of the host follow.
const Token = "hostenv-provider"

// LiveChecks says which names get live checks.
type LiveChecks int

const (
	LiveNever  LiveChecks = iota
	LiveServed            // names for which the node serves its token, so that the checks prove something
	LiveAlways
)

// ProbeFacts are the answers to a request for a token below
// /.well-known/acme-challenge/, on the worst of the ways that Let's Encrypt may take from
// one address: it follows redirects of status 301, 302, 307 and 308 to the ports 80 and
// 443, with at most 10 requests.
type ProbeFacts struct {
	// Hops are the redirects in their order.
	Hops []Hop `json:"hops,omitempty"`
	// Node is the address that answered the last request.
	Node string `json:"node,omitempty"`
	// Status is the status of the last answer, or 0.
	Status int `json:"status,omitempty"`
	// ContentType and Server are headers of the last answer, and Body the SHA-256
	// of the beginning of its body.
	ContentType string `json:"contentType,omitempty"`
	Server      string `json:"server,omitempty"`
	Body        string `json:"body,omitempty"`
	// Error is the reason why there is no last answer.
	Error string `json:"error,omitempty"`
	// Proof is the name in DNS of the node that served its token (see [Token]).
	Proof string `json:"proof,omitempty"`
	// NoRoute is set if the way ends at an IPv6 address that this machine has no route
	// to, so that it proves nothing.
	NoRoute bool `json:"noRoute,omitempty"`
	// Reached is set if on every way one of the node's addresses answered the last
	// request, and that was for the same path.
	Reached bool `json:"reached"`
}

// Hop is one redirect.
type Hop struct {
	Status  int    `json:"status"`
	URL     string `json:"url"`
	Address string `json:"address,omitempty"` // the host that sent it
}

// Question lists the names that a run asks about. All names are A-labels in lower case
// without a final dot, each once.
type Question struct {
	// Names are the hosts of certificates.
	Names []string
	// Nodes are the names in DNS of the nodes (<node>.<hostenvHostname>).
	Nodes []string
	// NodesOf has the nodes that should serve a name. Live checks compare with these.
	NodesOf map[string][]string
	// Live says for which names the live checks are done.
	Live LiveChecks
}

// Collector gathers facts, without any change to the network. It returns facts for
// every name of the question, with failed lookups. It returns an error only if no run
// is possible, because no resolver is configured or the context is done.
type Collector interface {
	Collect(ctx context.Context, question Question) (*Facts, error)
}
