package serve

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

func TestHandler(t *testing.T) {
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}
	handler := Handler(at, func(context.Context) ([]byte, error) { return []byte("the page"), nil })
	for _, test := range []struct {
		reason, method, host, path string
		status                     int
	}{
		{"our address", "GET", "127.0.0.1:4711", "/", 200},
		{"our name", "GET", "localhost:4711", "/", 200},
		{"only the head", "HEAD", "127.0.0.1:4711", "/", 200},
		{"a name that leads here", "GET", "rebound.example:4711", "/", 421},
		{"a name that ends in ours", "GET", "x.localhost:4711", "/", 421},
		{"another port", "GET", "127.0.0.1:80", "/", 421},
		{"no port", "GET", "localhost", "/", 421},
		{"no host", "GET", "", "/", 421},
		{"another file", "GET", "127.0.0.1:4711", "/plan.json", 404},
		{"a change", "POST", "127.0.0.1:4711", "/", 405},
	} {
		r := httptest.NewRequest(test.method, "/", nil)
		r.Host, r.URL.Path = test.host, test.path
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != test.status {
			t.Errorf("%s: status %d, not %d", test.reason, w.Code, test.status)
		}
		if shown := strings.Contains(w.Body.String(), "the page"); shown && w.Code != 200 {
			t.Errorf("%s: the answer has the page", test.reason)
		}
		for name, part := range map[string]string{
			"Content-Security-Policy": "frame-ancestors 'none'", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if !strings.Contains(w.Header().Get(name), part) {
				t.Errorf("%s: %s is %q", test.reason, name, w.Header().Get(name))
			}
		}
	}
}

// What a plan's error quotes is text, never a page.
func TestError(t *testing.T) {
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}
	handler := Handler(at, func(context.Context) ([]byte, error) {
		return nil, problem.New("", "the plan has <b>\u202e", "run `mage plan`")
	})
	r := httptest.NewRequest("GET", "/", nil)
	r.Host = "localhost:4711"
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if got, want := w.Body.String(), "the plan has <b>\\u202e\nhint: run `mage plan`\n"; got != want || w.Code != 500 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("%d %s %q, not %q", w.Code, w.Header().Get("Content-Type"), got, want)
	}
}

func TestUntil(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	listener, err := Listen(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	if ip := listener.Addr().(*net.TCPAddr).IP; !ip.IsLoopback() {
		t.Fatalf("it listens on %s", ip)
	}
	ended := make(chan error, 1)
	made := 0
	go func() {
		ended <- Until(ctx, listener, func(context.Context) ([]byte, error) { made++; return []byte("the page"), nil })
	}()
	for range 2 {
		answer, err := http.Get("http://" + listener.Addr().String() + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil || string(body) != "the page" {
			t.Fatalf("%q, %v", body, err)
		}
	}
	cancel()
	if err := <-ended; err != nil || made != 2 {
		t.Errorf("it ended with %v after %d pages", err, made)
	}
	if _, err := Listen(t.Context(), 70000); problem.Hint(err) == "" {
		t.Errorf("the port 70000: %v", err)
	}
	taken, err := Listen(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := Listen(t.Context(), taken.Addr().(*net.TCPAddr).Port); problem.Hint(err) == "" {
		t.Errorf("a port that is taken: %v", err)
	}
}
