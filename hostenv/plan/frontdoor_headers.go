package plan

import (
	"regexp"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
)

// security checks the security headers of a virtual host. The modules of a node
// send them (nix/lib/security-headers.nix), and take at least these values.
func (r *reader) security(from canonjson.Object, at string) {
	r.headerValue(from, at, "csp")
	r.headerValue(from, at, "reportTo")
	r.word(from, at, "cspMode", "enforce", "report-only")
	r.word(from, at, "referrerPolicy", "no-referrer", "no-referrer-when-downgrade", "same-origin", "origin",
		"strict-origin", "origin-when-cross-origin", "strict-origin-when-cross-origin", "unsafe-url")
	r.word(from, at, "xFrameOptions", "SAMEORIGIN", "DENY")
	if group := r.text(from, at, "cspReportTo", "x"); !reportGroup.MatchString(group) {
		r.wrong(at, "cspReportTo", "is %q, which is no name of a group: 1 to 100 letters, digits and . _ -", group)
	}
	r.boolean(from, at, "xContentTypeOptions", false)
	r.boolean(from, at, "hsts", false)
}

var reportGroup = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// word checks an option that is one of some words.
func (r *reader) word(from canonjson.Object, at, option string, words ...string) {
	if word := r.text(from, at, option, words[0]); !slices.Contains(words, word) {
		r.remedied(at, option, "write one of "+strings.Join(words, ", "), "is %q", word)
	}
}

// maxHeader is the longest value of a header, in bytes as quoted: nginx refuses a
// longer word, and with it the configuration of the whole node.
const maxHeader = 3800

// quoted are the characters that nginx reads as its own, and how nix/lib/nginx.nix
// writes them.
var quoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `${hostenv_dollar}`)

// headerValue checks the value of a header: visible characters of ASCII, and blanks.
func (r *reader) headerValue(from canonjson.Object, at, option string) {
	value := r.text(from, at, option, "")
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' }) {
		r.wrong(at, option, "has another character than the visible ones of ASCII, which alone a header has")
	}
	if n := len(quoted.Replace(value)) + len(`""`); n > maxHeader {
		r.remedied(at, option, toOwnNginx, "has %d characters as nginx quotes it, and the front door takes %d", n, maxHeader)
	}
}
