package cloudflare

import (
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// URLVariable is the environment variable that may name another server than
// Cloudflare's, at a loopback address.
const URLVariable = "HOSTENV_CLOUDFLARE_URL"

// A URLError says that [URLVariable] names a server that gets no token.
type URLError struct{ Problem string }

func (e *URLError) Error() string { return URLVariable + ": " + e.Problem }

// Hint says what it is for.
func (e *URLError) Hint() string {
	return "unset it to ask Cloudflare; it is for a server on this machine, such as http://127.0.0.1:8080/client/v4/"
}

// BaseURL returns what [URLVariable] says, for [WithBaseURL], "" where it is
// not set. The server gets the token: a person who can set a variable in a shell or a
// CI job must not be able to send it elsewhere. So it is taken only if its host
// is written as a loopback address; a name, even localhost, may be given any
// address. The error is a *[URLError], which does not repeat the URL.
func BaseURL() (string, error) {
	text := os.Getenv(URLVariable)
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "":
		return "", &URLError{"it is no http or https URL"}
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", &URLError{"it holds more than a host, a port and a path"}
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if err != nil || !addr.Unmap().IsLoopback() || addr.Zone() != "" {
		return "", &URLError{fmt.Sprintf("its host %q is no loopback address, and no other gets the token", u.Hostname())}
	}
	return strings.TrimSuffix(u.String(), "/") + "/", nil
}
