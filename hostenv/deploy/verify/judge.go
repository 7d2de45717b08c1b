package verify

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan/checks"
)

// An answer is the result of a request: the last response, or the failure, or both
// if the response broke off.
type answer struct {
	status  int
	body    []byte
	failure string
	// unreached is true if there was no connection to the node's front door, and
	// untrusted if its certificate is not valid.
	unreached, untrusted bool
	// elsewhere is the target of the last response's redirect, if that leaves the
	// environment.
	elsewhere *url.URL
}

// judge returns the constraints that an answer violates, "" if it passes. It never
// shows a body, which may hold secrets. It ends soon after ctx.
func judge(ctx context.Context, c checks.Constraints, a answer) string {
	var problems []string
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if a.failure != "" && !c.AllowFailure {
		say("%s", a.failure)
	}
	for _, expression := range c.Error {
		if a.failure != "" && expression.MatchString(a.failure) {
			say("the failure %q matches %s", a.failure, shown(expression.String()))
		}
	}
	// Without a response the failure is the only problem worth showing.
	if a.status == 0 && len(problems) > 0 {
		return strings.Join(problems, "; ")
	}
	if a.status < c.MinStatus || c.MaxStatus != 0 && a.status > c.MaxStatus {
		say("%s, and should be %s", statusText(a), statusWanted(c))
	}
	if !isRedirect(a.status) || !c.SkipBodyOnRedirect {
		for _, expression := range c.Body {
			switch matches, inTime := match(ctx, expression, a.body); {
			case !inTime:
				say("the time ran out while the body (%d bytes) was compared with %s", len(a.body), shown(expression.String()))
			case !matches:
				say("the body (%d bytes) does not match %s", len(a.body), shown(expression.String()))
			}
		}
	}
	return strings.Join(problems, "; ")
}

// match reports whether an expression matches a body, and whether ctx lasted so long.
// A customer writes both, and the time grows with the product of their sizes.
func match(ctx context.Context, expression *regexp.Regexp, body []byte) (matches, inTime bool) {
	r := &untilDone{ctx: ctx, body: bytes.NewReader(body)}
	matches = expression.MatchReader(r)
	return matches, !r.done
}

// untilDone reads a body until ctx ends.
type untilDone struct {
	ctx  context.Context
	body *bytes.Reader
	read int
	done bool
}

func (r *untilDone) ReadRune() (rune, int, error) {
	if r.read++; r.read%64 == 0 && r.ctx.Err() != nil {
		r.done = true
		return 0, 0, io.EOF
	}
	return r.body.ReadRune()
}

func statusText(a answer) string {
	if a.status == 0 {
		return "there is no response, which counts as status 0"
	}
	text := fmt.Sprintf("the status is %d", a.status)
	switch name := http.StatusText(a.status); {
	case a.elsewhere != nil:
		// The rest of the URL may hold a secret.
		return text + " to " + a.elsewhere.Scheme + "://" + a.elsewhere.Host + ", outside of the environment, which was not followed"
	case a.status == http.StatusUnauthorized:
		return text + " (a password is required)"
	case name != "":
		return text + " (" + name + ")"
	}
	return text
}

func statusWanted(c checks.Constraints) string {
	switch {
	case c.MaxStatus == 0:
		return fmt.Sprintf("at least %d", c.MinStatus)
	case c.MinStatus == 0:
		return fmt.Sprintf("at most %d", c.MaxStatus)
	case c.MinStatus == c.MaxStatus:
		return fmt.Sprint(c.MinStatus)
	}
	return fmt.Sprintf("from %d to %d", c.MinStatus, c.MaxStatus)
}

// shown returns an expression as the plan has it.
func shown(expression string) string {
	return fmt.Sprintf("%q", strings.TrimPrefix(expression, "(?m)"))
}
