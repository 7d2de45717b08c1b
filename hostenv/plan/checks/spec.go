package checks

import (
	"fmt"
	"regexp"
	"time"
)

// A Spec holds the checks of an environment.
type Spec struct {
	Enforce  bool
	Requests []Request
	// Hosts are the names that the environment answers to, and those that its
	// checks request. A redirect to another host is not followed.
	Hosts map[string]bool
	// Problems are the checks that cannot be read, and so do not pass.
	Problems []Problem
}

// A Problem is a part of a verification that cannot be read.
type Problem struct {
	Check   string // the name of the check, "" if it has none or is not a check
	Where   string // such as deploymentVerification.checks[0]
	Message string
}

// Remedy is the hint for a Problem.
const Remedy = "correct it in the project, and run `mage plan`"

func (p Problem) String() string {
	if p.Check == "" {
		return p.Where + ": " + p.Message
	}
	return fmt.Sprintf("%s (%q): %s", p.Where, p.Check, p.Message)
}

// A Request is one check.
type Request struct {
	Name        string // of the check, "" if it has none
	VirtualHost string
	// Scheme is https if the node serves the virtual host over TLS by the plan. The
	// DNS gate may change this from what the project asks for.
	Scheme          string
	Path            string // with a query, if any
	Method          string
	FollowRedirects bool
	MaxRedirects    int
	Timeout         time.Duration // of the check as a whole, with all its tries
	Insecure        bool          // accept any certificate

	Constraints Constraints
}

// URL returns the URL of the first request, before redirects.
func (r Request) URL() string { return r.Scheme + "://" + r.VirtualHost + r.Path }

// Constraints are the rules for an answer. An answer passes if it meets all of
// them. Without rules a complete response of any status passes.
type Constraints struct {
	// MinStatus and MaxStatus are the limits of the last response's status, 0 for no
	// limit. Without a response the status is 0, as in curl.
	MinStatus, MaxStatus int
	// Body are expressions that must match the body of the last response, or the
	// part that was received, up to [MaxBody]. Without a response the body is empty.
	Body []*regexp.Regexp
	// SkipBodyOnRedirect ignores Body if the last response is a redirect (3xx) that
	// was not followed.
	SkipBodyOnRedirect bool
	// AllowFailure lets a request pass without a complete response, if it meets the
	// other constraints.
	AllowFailure bool
	// Error are expressions that must not match the error text of a request, such
	// as a failed lookup, a refused connection, TLS, a timeout or too many
	// redirects. A complete response has no error text, as in curl.
	Error []*regexp.Regexp
}

// MaxBody is the number of bytes that are read of a body. The rest is ignored.
const MaxBody = 4 << 20
