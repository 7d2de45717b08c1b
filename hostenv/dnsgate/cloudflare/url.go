package cloudflare

import (
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// URLVariable is the environment variable that may name another server than
// Cloudflare's, at a loopback address.
const URLVariable = "HOSTENV_CLOUDFLARE_URL"

// BaseURL returns what [URLVariable] says, for [WithBaseURL], "" if it is not
// set. The server gets the token, and setting a variable in a shell or a CI job
// must not be enough to send it elsewhere. So the host has to be written as a
// loopback address; a name, even localhost, may be given any address. The error
// does not repeat the URL.
func BaseURL() (string, error) {
	text := os.Getenv(URLVariable)
	if text == "" {
		return "", nil
	}
	refuse := func(format string, args ...any) (string, error) {
		return "", problem.New(URLVariable, fmt.Sprintf(format, args...), "unset it to ask Cloudflare; it is for a server on this machine, such as http://127.0.0.1:8080/client/v4/")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "":
		return refuse("is not an http or https URL")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return refuse("holds more than a host, a port and a path")
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if err != nil || !addr.Unmap().IsLoopback() || addr.Zone() != "" {
		return refuse("has the host %q, which is not a loopback address, and the token goes to no other", u.Hostname())
	}
	return strings.TrimSuffix(u.String(), "/") + "/", nil
}
