// Package serve shows a page to the browsers of this machine, and to no other.
package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/fleetpage"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Listen listens on a port of the loopback address 127.0.0.1, on any free one for 0.
func Listen(ctx context.Context, port int) (net.Listener, error) {
	if port < 0 || port > 65535 {
		return nil, problem.New("-port", fmt.Sprintf("is %d, which is not a port", port), "write a number from 1 to 65535, or omit it for any free port")
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, problem.WithHint(err, "omit -port for any free port")
	}
	return listener, nil
}

// Until shows the page until ctx ends, which is no error. It makes the page anew for
// each request, one at a time.
func Until(ctx context.Context, listener net.Listener, page func(context.Context) ([]byte, error)) error {
	server := &http.Server{
		Handler:           Handler(listener.Addr(), page),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		if err := errors.Join(server.Close(), <-ended); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}

// Handler answers GET and HEAD for / at a loopback address. It refuses every other host
// name: a page of a foreign site whose name leads to this machine (DNS rebinding) would
// be of one origin with ours, and could read it.
func Handler(at net.Addr, page func(context.Context) ([]byte, error)) http.Handler {
	_, port, _ := net.SplitHostPort(at.String())
	own := map[string]bool{net.JoinHostPort("127.0.0.1", port): true, net.JoinHostPort("localhost", port): true}
	if port == "80" { // browsers leave it out
		own["127.0.0.1"], own["localhost"] = true, true
	}
	var one sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", fleetpage.Policy+"; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch {
		case !own[r.Host]:
			http.Error(w, "this page is for 127.0.0.1 and localhost", http.StatusMisdirectedRequest)
			return
		case r.URL.Path != "/":
			http.NotFound(w, r)
			return
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD are answered", http.StatusMethodNotAllowed)
			return
		}
		one.Lock()
		defer one.Unlock()
		text, err := page(r.Context())
		if err != nil {
			message := problem.Visible(err.Error())
			if hint := problem.Hint(err); hint != "" {
				message += "\nhint: " + problem.Indented(hint)
			}
			http.Error(w, message, http.StatusInternalServerError)
			return
		}
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = w.Write(text) // the browser may be gone
	})
}
