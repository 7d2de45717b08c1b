package dnsgate

import "context"

// FormatVersion is the version of the documents that hold [Facts].
const FormatVersion = 1

// Facts are what DNS says, at one time, of the names that a run asks about.
// They are plain data: a run can be recorded and judged again, and a test can
// be written by hand. All names in them are A-labels in lower case without a
// final dot, all addresses the text of [netip.Addr.String].
type Facts struct {
	FormatVersion int `json:"formatVersion"`

	// Taken is when collection began, in RFC 3339.
	Taken string `json:"taken,omitempty"`
	// Resolver is the validating resolver that was asked, as host:port. No rule
	// depends on it.
	Resolver string `json:"resolver,omitempty"`

	// Nodes are the nodes' own names, by the name in DNS.
	Nodes map[string]*NodeFacts `json:"nodes,omitempty"`
	// Names are the hosts of the certificates, by the name in DNS.
	Names map[string]*NameFacts `json:"names,omitempty"`
}

// Outcome is how a lookup ended.
type Outcome string

const (
	// OutcomeAnswer is an answer with at least one record of the type.
	OutcomeAnswer Outcome = "answer"
	// OutcomeNoData is a name that is there and has no such record.
	OutcomeNoData Outcome = "nodata"
	// OutcomeNXDomain is a name that is not there, or a CNAME to such a name.
	OutcomeNXDomain Outcome = "nxdomain"
	// OutcomeError is everything else. It is no evidence about the zone.
	OutcomeError Outcome = "error"
)

// LookupError says why a lookup has no answer. The list is open: a reader
// treats an error that it does not know like [ErrorNetwork].
type LookupError string

const (
	ErrorServFail  LookupError = "servfail"
	ErrorRefused   LookupError = "refused"
	ErrorNotImp    LookupError = "notimp"
	ErrorTimeout   LookupError = "timeout"
	ErrorNetwork   LookupError = "network"   // could not be sent or was reset
	ErrorPrivate   LookupError = "private"   // the server is at an address that is not public, and was not asked
	ErrorMalformed LookupError = "malformed" // does not parse, or not an answer to the question
	ErrorLame      LookupError = "lame"      // a server that does not have the zone it is named for
	ErrorLoop      LookupError = "loop"      // CNAMEs that come back to themselves
	ErrorChain     LookupError = "chain"     // more CNAMEs than are followed
	ErrorCancelled LookupError = "cancelled" // the run ended first
)

// Lookup is one question and its result. The zero Lookup is a question
// that was not asked.
type Lookup struct {
	Outcome Outcome     `json:"outcome,omitempty"`
	Error   LookupError `json:"error,omitempty"`
	// Truncated says of a lookup that failed that the server had answered over
	// UDP, with too much for a packet, and it is TCP that failed.
	Truncated bool `json:"truncated,omitempty"`
	// EDE are the extended DNS errors (RFC 8914) that came with it.
	EDE []int `json:"ede,omitempty"`

	Addresses []string    `json:"addresses,omitempty"` // of A and AAAA
	Targets   []string    `json:"targets,omitempty"`   // of CNAME and NS
	CAA       []CAARecord `json:"caa,omitempty"`       // of CAA

	// Chain are the names that CNAMEs led to, in their order, without the name
	// asked for.
	Chain []string `json:"chain,omitempty"`
	// Server is the server that answered, as an address with port, where the place
	// of the lookup does not say it.
	Server string `json:"server,omitempty"`
}

// Asked reports whether the question was put.
func (l Lookup) Asked() bool { return l.Outcome != "" }

// Failed reports whether the question was put and got no usable answer.
func (l Lookup) Failed() bool { return l.Outcome == OutcomeError }

// CAARecord is a CAA record as it stands in the zone (RFC 8659): nothing is
// lowered or trimmed.
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

// ServerFacts is what one address of one authoritative server says, asked
// directly and without recursion. A CNAME that it holds is in CNAME.Targets,
// and A and AAAA then have the outcome nodata or, where the server itself
// has the target too, what it says of it. A server name without an address has
// an empty Address and lookups with [ErrorNetwork].
type ServerFacts struct {
	Name    string `json:"name"`
	Address string `json:"address,omitempty"`
	A       Lookup `json:"a"`
	AAAA    Lookup `json:"aaaa"`
	CNAME   Lookup `json:"cname"`
	// CAA are the server's own CAA sets, of the name and of the labels above it
	// up to the top of the zone; it may be left out.
	CAA []CAALookup `json:"caa,omitempty"`
	// Undelegated says that the zone names the server and its parent does not:
	// resolvers that begin at the parent need never meet it.
	Undelegated bool `json:"undelegated,omitempty"`
}

// AliasFacts is what the authoritative servers of another zone say of a name
// that a CNAME leads to.
type AliasFacts struct {
	Name    string        `json:"name"`
	Zone    string        `json:"zone,omitempty"`
	Servers []ServerFacts `json:"servers,omitempty"`
}

// NameFacts is all that is known of one name.
type NameFacts struct {
	Name string `json:"name"`

	// A and AAAA are through the validating resolver.
	A    Lookup `json:"a"`
	AAAA Lookup `json:"aaaa"`

	// Zone is the zone that holds the name, and Servers every address of every
	// authoritative server of it.
	Zone    string        `json:"zone,omitempty"`
	Servers []ServerFacts `json:"servers,omitempty"`

	// Aliases are the names of A.Chain and AAAA.Chain that lie in other zones.
	Aliases []AliasFacts `json:"aliases,omitempty"`

	// CAA are the lookups from the name up to its top-level domain, through the
	// validating resolver. The walk may stop at the first set that is not empty
	// and at the first error.
	CAA []CAALookup `json:"caa,omitempty"`

	// Live is set if live checks were asked for.
	Live *LiveFacts `json:"live,omitempty"`
}

// NodeFacts is what is known of a node's own name. The node's addresses are
// the union over all servers that answer, or where Servers is empty what the
// resolver says.
type NodeFacts struct {
	Name    string        `json:"name"`
	A       Lookup        `json:"a"`
	AAAA    Lookup        `json:"aaaa"`
	Zone    string        `json:"zone,omitempty"`
	Servers []ServerFacts `json:"servers,omitempty"`
}

// Dial is how a TCP connection to port 80 ended.
type Dial string

const (
	DialOpen        Dial = "open"
	DialRefused     Dial = "refused"
	DialTimeout     Dial = "timeout"
	DialUnreachable Dial = "unreachable" // no route from here: no proof of anything about the host
	DialError       Dial = "error"
)

// LiveFacts are what was found by connecting to the hosts themselves.
type LiveFacts struct {
	// Dials are the connections to port 80, by address.
	Dials map[string]Dial `json:"dials,omitempty"`
	// Probes are the requests for a token, by the address that was asked first.
	Probes map[string]*ProbeFacts `json:"probes,omitempty"`
	// Own is the same request, put to the node itself.
	Own *ProbeFacts `json:"own,omitempty"`
}

// ProbeFacts is a request for a token below /.well-known/acme-challenge/,
// followed as Let's Encrypt follows it: redirects 301, 302, 307 and 308, to
// ports 80 and 443, at most 10.
type ProbeFacts struct {
	// Hops are the redirects in their order, beginning with the first Location.
	Hops []Hop `json:"hops,omitempty"`
	// Node is the address that answered the last request.
	Node string `json:"node,omitempty"`
	// Status is that of the last answer, or 0.
	Status int `json:"status,omitempty"`
	// ContentType and Server are headers of the last answer, and Body the SHA-256
	// of the beginning of its body.
	ContentType string `json:"contentType,omitempty"`
	Server      string `json:"server,omitempty"`
	Body        string `json:"body,omitempty"`
	// Error is why there is no last answer, in words.
	Error string `json:"error,omitempty"`
	// Reached says that the last request was answered by one of the node's
	// addresses, within the rules above.
	Reached bool `json:"reached"`
}

// Hop is one redirect.
type Hop struct {
	Status  int    `json:"status"`
	URL     string `json:"url"`
	Address string `json:"address,omitempty"` // the host that sent it
}

// Question is what a run wants to know. All names are A-labels in lower case
// without a final dot, each once.
type Question struct {
	// Names are the hosts of certificates.
	Names []string
	// Nodes are the names in DNS of the nodes (<node>.<hostenvHostname>).
	Nodes []string
	// NodesOf says for a name which of Nodes ought to serve it: live checks
	// measure against these.
	NodesOf map[string][]string
	// Live asks for the live checks.
	Live bool
}

// Collector gathers facts. It answers with facts for every name of the
// question, failed lookups included; its error is for a run that could not be
// made at all (no resolver configured, context done). It reads the network and
// changes nothing.
type Collector interface {
	Collect(ctx context.Context, question Question) (*Facts, error)
}
