package nodes_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// TestNginx checks that a real nginx sends each header byte for byte and exactly once,
// on responses of every kind.
func TestNginx(t *testing.T) {
	binary := testenv.Need(t, "nginx")
	nix := testenv.Need(t, "nix")
	// Headers of an environment's own server, which the front door removes.
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"X-Frame-Options", "Content-Security-Policy", "X-Own"} {
			w.Header().Set(name, "upstream")
		}
		if r.URL.Path == "/plain/missing" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer upstream.Close()

	policy := `default-src 'self' "x" \ \n $uri ${uri} $unknown ; { } # %`
	report := `{"group":"csp","max_age":10886400,"endpoints":[{"url":"https://r.example/a?b=$c"}]}`
	// The longest value in a plan: hostenv.environments allows 3800 bytes in quoted
	// form, and a policy also has the group's name.
	long := strings.Repeat(`\`, (3800+112-2)/2)
	// The folder has a short name, because the length of a socket's path is limited.
	dir, err := os.MkdirTemp("", "nginx-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "in.sock")
	arguments := write(t, "arguments.json", encode(t, map[string]any{
		"headers": []map[string]string{
			{"name": "Content-Security-Policy", "value": policy},
			{"name": "Report-To", "value": report},
			{"name": "X-Frame-Options", "value": "DENY"},
			{"name": "X-Long", "value": long},
		},
		"locations": map[string]string{
			"/plain": "",
			"/adds":  "add_header X-Frame-Options SAMEORIGIN always; add_header X-More more;",
			"/hides": "proxy_hide_header X-Own;",
		},
		"listen": socket, "upstream": strings.TrimPrefix(upstream.URL, "http://"), "dir": dir,
	}))
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	eval := exec.CommandContext(t.Context(), nix, "eval", "--raw", "--impure", "--expr",
		fmt.Sprintf("import %s/nginx.nix (builtins.fromJSON (builtins.readFile %s))", here, arguments))
	eval.Env = testenv.NixEnv(testenv.NixDir(t))
	config, err := eval.Output()
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, "nginx.conf", string(config))

	var log strings.Builder
	server := exec.CommandContext(t.Context(), binary, "-c", file, "-p", dir)
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGTERM) }
	server.WaitDelay = testenv.Patience
	server.Stderr = &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
		if t.Failed() {
			t.Logf("nginx:\n%s\n%s", log.String(), config)
		}
	}()

	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	get := func(path string) http.Header {
		t.Helper()
		var header http.Header
		if !testenv.Poll(func() bool {
			response, err := client.Get("http://front.example" + path)
			if err == nil {
				response.Body.Close()
				header = response.Header
			}
			return err == nil
		}) {
			t.Fatalf("nginx does not answer: %s", log.String())
		}
		return header
	}
	for path, want := range map[string]map[string][]string{
		"/plain":         {"X-Frame-Options": {"DENY"}, "X-Own": {"upstream"}},
		"/plain/missing": {"X-Frame-Options": {"DENY"}, "X-Own": {"upstream"}},
		"/adds":          {"X-Frame-Options": {"SAMEORIGIN"}, "X-Own": {"upstream"}, "X-More": {"more"}},
		"/hides":         {"X-Frame-Options": {"DENY"}, "X-Own": nil},
	} {
		want["Content-Security-Policy"] = []string{policy}
		want["Report-To"] = []string{report}
		want["X-Long"] = []string{long}
		want["X-Robots-Tag"] = []string{"noindex"}
		header := get(path)
		for name, values := range want {
			equal(t, path+" "+name, header.Values(name), values)
		}
	}
}
