package checks

import (
	"fmt"
	"regexp"
	"time"
)

// A Spec is what an environment is asked.
type Spec struct {
	Enforce  bool
	Requests []Request
	// Hosts are the names that the environment answers to, and those that its
	// checks ask for: a redirect to another is not followed.
	Hosts map[string]bool
	// Problems are what cannot be read: checks that cannot be asked, and so do not
	// pass.
	Problems []Problem
}

// A Problem is a part of a verification that cannot be read.
type Problem struct {
	Check   string // the name of the check, "" where it has none or it is none
	Where   string // such as deploymentVerification.checks[0]
	Message string
}

// Remedy is what to do about a Problem.
const Remedy = "correct it in the project, and run `mage plan`"

func (p Problem) String() string {
	if p.Check == "" {
		return p.Where + ": " + p.Message
	}
	return fmt.Sprintf("%s (%q): %s", p.Where, p.Check, p.Message)
}

// A Request is one check.
type Request struct {
	Name        string // the check's, "" where it has none
	VirtualHost string
	// Scheme is https where the node serves the virtual host over TLS by the
	// plan, which after the DNS gate may be otherwise than the project asked.
	Scheme          string
	Path            string // with a query, if any
	Method          string
	FollowRedirects bool
	MaxRedirects    int
	Timeout         time.Duration // of the check as a whole, with all its tries
	Insecure        bool          // whether any certificate will do

	Constraints Constraints
}

// URL is what is asked first.
func (r Request) URL() string { return r.Scheme + "://" + r.VirtualHost + r.Path }

// Constraints are what an answer is held to. An answer passes if it keeps all of
// them; without any, a complete response of any status does.
type Constraints struct {
	// MinStatus and MaxStatus are the least and the greatest status allowed, 0
	// for no limit. They are about the last response; without a response the
	// status is 0, as curl has it.
	MinStatus, MaxStatus int
	// Body are expressions that must match the body of the last response, or
	// what came of it, up to [MaxBody]. Without a response it is empty.
	Body []*regexp.Regexp
	// SkipBodyOnRedirect leaves Body out where the last response is a redirect
	// (3xx), for it was not followed.
	SkipBodyOnRedirect bool
	// AllowFailure says that a request without a complete response does not fail
	// by that alone: the other constraints decide.
	AllowFailure bool
	// Error are expressions that must not match the failure of a request: the name could not be resolved, the connection was refused, TLS,
	// time, too many redirects. Where a response came in full there is no such
	// text, as with curl.
	Error []*regexp.Regexp
}

// MaxBody is how much of a body is read: what comes after is not looked at.
const MaxBody = 4 << 20
