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

// BaseURL returns the value of [URLVariable] for [NewClient], "" if it is not set. The
// server gets the token, and a variable in a shell or a CI job must not send it to
// another machine. So the host has to be a loopback address: a name, even localhost,
// can have any address. The error does not repeat the URL.
func BaseURL() (string, error) {
	text := os.Getenv(URLVariable)
	if text == "" {
		return "", nil
	}
	refuse := func(format string, args ...any) (string, error) {
		return "", problem.New(URLVariable, fmt.Sprintf(format, args...), "unset it to use Cloudflare; it is for a server on this machine, such as http://127.0.0.1:8080/client/v4/")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "":
		return refuse("is not an http or https URL")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return refuse("has more than a host, a port and a path")
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if err != nil || !addr.Unmap().IsLoopback() || addr.Zone() != "" {
		return refuse("has the host %q, but only a loopback address may get the token", u.Hostname())
	}
	return strings.TrimSuffix(u.String(), "/") + "/", nil
}
