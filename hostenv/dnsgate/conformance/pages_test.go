package conformance

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// A page is a host's answer to a request. Redirects lead to the node that holds the
// token. A probe's token is held by no node, and its redirects lead to n1. The
// node's address is node.
type page func(rw http.ResponseWriter, r *http.Request, node string)

// moved makes the page that redirects to a URL and the path of the request.
func moved(status int, to func(r *http.Request, node string) string) page {
	return func(rw http.ResponseWriter, r *http.Request, node string) {
		rw.Header().Set("Location", to(r, node)+r.URL.Path)
		rw.WriteHeader(status)
	}
}

func toNode(_ *http.Request, node string) string { return "http://" + node }
func toSelf(r *http.Request, _ string) string    { return "http://" + r.Host }

// missing makes the page of a program that does not have the token.
func missing(program string) page {
	return func(rw http.ResponseWriter, r *http.Request, _ string) { notFound(rw, r, program) }
}

const nginx, apache = "nginx", "Apache/2.4.62 (Debian)"

// pages holds the hosts that answer every request in the same way.
var pages = map[string]page{
	"f301":   moved(301, toNode),
	"f302":   moved(302, toNode),
	"f303":   moved(303, toNode),
	"f307":   moved(307, toNode),
	"f308":   moved(308, toNode),
	"f6":     moved(301, toNode),
	"fhttps": moved(301, func(_ *http.Request, node string) string { return "https://" + node }),
	"fip":    moved(301, func(*http.Request, string) string { return "http://" + hosts["n4"] }),
	"fport":  moved(301, func(_ *http.Request, node string) string { return "http://" + node + ":8080" }),
	"faway": moved(301, func(*http.Request, string) string {
		return "http://elsewhere." + strings.TrimSuffix(hostingDomain, ".")
	}),
	"fsame": moved(301, toSelf),
	"fbare": moved(301, func(*http.Request, string) string { return "/elsewhere" }),
	"floop": func(rw http.ResponseWriter, r *http.Request, _ string) {
		rw.Header().Set("Location", "http://"+r.Host+r.URL.Path+"?again")
		rw.WriteHeader(http.StatusMovedPermanently)
	},
	"ftwice": func(rw http.ResponseWriter, r *http.Request, node string) {
		if r.URL.RawQuery != "" {
			moved(307, toNode)(rw, r, node)
			return
		}
		rw.Header().Set("Location", "http://"+r.Host+r.URL.Path+"?on")
		rw.WriteHeader(http.StatusFound)
	},
	"fown": func(rw http.ResponseWriter, r *http.Request, node string) { // to HTTPS on itself, which does not have the token
		if r.TLS == nil {
			moved(301, func(r *http.Request, _ string) string { return "https://" + r.Host })(rw, r, node)
			return
		}
		notFound(rw, r, apache)
	},
	"twin":  missing(nginx),
	"older": missing("nginx/1.22.1"),
}

// handler returns the web server of a host: one of pages; a proxy, which has
// every node's tokens; an address of a node, which has its own; or another host,
// which has none.
func (w *Web) handler(host string) http.Handler {
	program, has := apache, func(challenge) bool { return false }
	for name, at := range nodes {
		if slices.Contains(at, host) {
			program, has = nginx, func(c challenge) bool { return c.node == name }
		}
	}
	if host == "proxy" || host == "proxy6" {
		program, has = nginx, func(challenge) bool { return true }
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		token, found := strings.CutPrefix(merged(r.URL.Path), challengePath)
		held, known := w.get(token)
		node := "n1"
		if known {
			node = held.node
		}
		if site, ok := w.site(r.Host); ok && !known {
			node = site.Node
		}
		if host == "c4" || host == "c6" {
			w.redirect(rw, r)
			return
		}
		if token == dnsgate.Token && pages[host] == nil {
			w.serveToken(rw, r, host, program)
			return
		}
		if page := pages[host]; page != nil {
			page(rw, r, node+"."+strings.TrimSuffix(hostingDomain, "."))
			return
		}
		if found && known && has(held) {
			fmt.Fprint(rw, held.key)
			return
		}
		notFound(rw, r, program)
	})
}

// serveToken answers with the node's own token. The node old serves none. The proxy asks the
// node of the request's host.
func (w *Web) serveToken(rw http.ResponseWriter, r *http.Request, host, program string) {
	site, _ := w.site(r.Host)
	for name, at := range nodes {
		if name != "old" && (slices.Contains(at, host) || strings.HasPrefix(host, "proxy") && site.Node == name) {
			fmt.Fprintln(rw, name+"."+strings.TrimSuffix(hostingDomain, "."))
			return
		}
	}
	notFound(rw, r, program)
}

// redirect answers as the situation of the request's host says.
func (w *Web) redirect(rw http.ResponseWriter, r *http.Request) {
	site, _ := w.site(r.Host)
	n := 0
	_, _ = fmt.Sscanf(r.URL.RawQuery, "hop=%d", &n)
	if n >= len(site.Redirects) {
		notFound(rw, r, apache)
		return
	}
	to := strings.NewReplacer("{path}", r.URL.Path, "{host}", r.Host, "{hop}", fmt.Sprintf("hop=%d", n+1)).Replace(site.Redirects[n])
	rw.Header().Set("Location", to)
	rw.WriteHeader(http.StatusFound)
}

// merged returns a path as nginx does: it merges slashes and resolves dots, and keeps a
// slash at the end.
func merged(asked string) string {
	clean := path.Clean(asked)
	if strings.HasSuffix(asked, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

// notFound writes a program's default page for a missing file: Apache names itself
// and the host, nginx names itself. The nodes' nginx hides its version, as NixOS's
// recommended settings do.
func notFound(rw http.ResponseWriter, r *http.Request, program string) {
	rw.Header().Set("Server", program)
	if strings.HasPrefix(program, "Apache") {
		rw.Header().Set("Content-Type", "text/html; charset=iso-8859-1")
		rw.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(rw, "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html><head>\n<title>404 Not Found</title>\n</head><body>\n<h1>Not Found</h1>\n"+
			"<p>The requested URL was not found on this server.</p>\n<hr>\n<address>%s Server at %s Port 80</address>\n</body></html>\n", program, r.Host)
		return
	}
	rw.Header().Set("Content-Type", "text/html")
	rw.WriteHeader(http.StatusNotFound)
	fmt.Fprintf(rw, "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n<hr><center>%s</center>\r\n</body>\r\n</html>\r\n", program)
}
