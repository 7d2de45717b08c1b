package plan

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
)

// An answer is what the front door answers by itself: a status, or a redirect.
type answer struct {
	status int
	target string // of a redirect, "" for a status alone
}

// redirects are the statuses of a redirect, statuses those of an answer without a
// body of its own. nginx has statuses of its own between 494 and 499; 444 closes
// the connection.
var (
	redirects = []int{301, 302, 303, 307, 308}
	statuses  = []int{200, 204, 400, 401, 403, 404, 405, 406, 409, 410, 418, 421, 423, 425, 428, 429, 444, 451, 500, 501, 502, 503, 504}
)

// parseAnswer parses the option `return` of a location: a status; a status and a
// target; or a URL alone, which is a redirect with 302, as nginx has it.
func parseAnswer(v jsontext.Value) (answer, error) {
	if status, ok := canonjson.Integer(v); ok {
		return statusAlone(int(status))
	}
	text, ok := canonjson.Text(v)
	if !ok {
		return answer{}, fmt.Errorf("is %s, not a status or a redirect", canonjson.KindOf(v))
	}
	words := strings.Fields(text)
	if len(words) == 1 && strings.Contains(words[0], "://") {
		words = []string{"302", words[0]}
	}
	if len(words) == 0 || len(words) > 2 {
		return answer{}, fmt.Errorf("is %q, not a status or a redirect", text)
	}
	status, err := strconv.Atoi(words[0])
	if err != nil || len(words[0]) != 3 {
		return answer{}, fmt.Errorf("is %q, which does not begin with a status", text)
	}
	if len(words) == 1 {
		return statusAlone(status)
	}
	if !slices.Contains(redirects, status) {
		return answer{}, fmt.Errorf("is %q, whose status is none of %s", text, oneOf(redirects))
	}
	target, err := parseTarget(words[1])
	if err != nil {
		return answer{}, fmt.Errorf("is %q: %w", text, err)
	}
	return answer{status, target}, nil
}

func statusAlone(status int) (answer, error) {
	if !slices.Contains(statuses, status) {
		return answer{}, fmt.Errorf("is %d, which is none of %s", status, oneOf(statuses))
	}
	return answer{status: status}, nil
}

// value is the option `return` of NixOS.
func (a answer) value() jsontext.Value {
	if a.target == "" {
		return canonjson.Marshal(a.status)
	}
	return canonjson.Marshal(fmt.Sprintf("%d %s", a.status, a.target))
}

// afterHost matches what may follow the host of a target: characters of a URL that
// nginx takes literally, and three variables. The value of $uri may hold a line
// break; that of $request_uri is as the client sent it.
var afterHost = regexp.MustCompile(`^([A-Za-z0-9._~:/?#@!&()*+,=%\[\]-]|\$(request_uri|host|scheme)\b)*$`)

// parseTarget parses the target of a redirect, a path or a URL, and normalises its
// host.
func parseTarget(s string) (string, error) {
	if len(s) > maxTarget {
		return "", fmt.Errorf("its target has %d characters, and the front door takes %d", len(s), maxTarget)
	}
	base, rest := "", s
	switch scheme, after, isURL := strings.Cut(s, "://"); {
	case strings.HasPrefix(s, "//"):
		return "", errors.New("its target has no scheme")
	case strings.HasPrefix(s, "/"):
	case isURL && (scheme == "http" || scheme == "https" || scheme == "$scheme"):
		host, further, err := cutHost(after)
		if err != nil {
			return "", err
		}
		base, rest = scheme+"://"+host, further
	default:
		return "", errors.New("its target is neither a path nor a URL with http, https or $scheme")
	}
	if !afterHost.MatchString(rest) {
		return "", errors.New("its target has another character than those of a URL, or another variable than $request_uri, $host and $scheme")
	}
	return base + rest, nil
}

// cutHost cuts the host, with a port if there is one, off the rest of a URL.
func cutHost(s string) (host, rest string, err error) {
	const own = "$host"
	if rest, isOwn := strings.CutPrefix(s, own); isOwn {
		host, s = own, rest
	} else {
		end := strings.IndexAny(s, ":/?#$")
		if end < 0 {
			end = len(s)
		}
		parsed, err := names.ParseHost(s[:end])
		if err != nil {
			return "", "", fmt.Errorf("the host of its target is %q: %w", s[:end], err)
		}
		if parsed.Wildcard() {
			return "", "", errors.New("the host of its target is a wildcard")
		}
		host, s = string(parsed), s[end:]
	}
	if after, ok := strings.CutPrefix(s, ":"); ok {
		digits := len(after) - len(strings.TrimLeft(after, "0123456789"))
		port, err := strconv.Atoi(after[:digits])
		if err != nil || port < 1 || port > 65535 {
			return "", "", errors.New("the port of its target is no port")
		}
		host, s = fmt.Sprintf("%s:%d", host, port), after[digits:]
	}
	if s != "" && !strings.ContainsRune("/?#", rune(s[0])) && !strings.HasPrefix(s, "$request_uri") {
		return "", "", errors.New("the host of its target is followed by neither a path nor $request_uri")
	}
	return host, s, nil
}
