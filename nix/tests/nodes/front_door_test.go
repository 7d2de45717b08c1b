package nodes_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// limit finds the front door's limits in a configuration of nginx.
var limit = regexp.MustCompile(`(?m)^\s*(client_max_body_size|proxy_(?:buffer_size|buffers|busy_buffers_size|\w+_timeout))\s+([^;]*);`)

// TestFrontDoor checks the limits of the front door: the directives in the node's
// nginx.conf, and their effect in a real nginx.
func TestFrontDoor(t *testing.T) {
	dir := scenario(t, "001")
	plan, err := filepath.Abs(filepath.Join(dir, "plan.json"))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		module  string
		limits  string // the directives in nginx.conf
		refused bool
	}{
		"default": {`{ }`, "proxy_connect_timeout 600s, proxy_send_timeout 600s, proxy_read_timeout 600s, client_max_body_size 2G, proxy_buffer_size 128k, proxy_buffers 4 256k", false},
		"options": {
			`{ hostenv.frontDoor = { clientMaxBodySize = "0"; proxyTimeout = "5m"; proxyBufferSize = "8k"; proxyBuffers = { number = 16; size = "8k"; }; }; }`,
			"proxy_connect_timeout 5m, proxy_send_timeout 5m, proxy_read_timeout 5m, client_max_body_size 0, proxy_buffer_size 8k, proxy_buffers 16 8k", false,
		},
		"overridden": {
			`{ services.nginx = { clientMaxBodySize = "5g"; proxyTimeout = "30s"; }; }`,
			"proxy_connect_timeout 30s, proxy_send_timeout 30s, proxy_read_timeout 30s, client_max_body_size 5g, proxy_buffer_size 128k, proxy_buffers 4 256k", false,
		},
		"without recommended settings": {
			`{ services.nginx.recommendedProxySettings = false; }`,
			"client_max_body_size 2G, proxy_buffer_size 128k, proxy_buffers 4 256k, proxy_connect_timeout 600s, proxy_send_timeout 600s, proxy_read_timeout 600s", false,
		},
		"as many buffers as it takes": {`{ hostenv.frontDoor.proxyBuffers.number = 3; }`, "", false},
		"too few buffers":             {`{ hostenv.frontDoor.proxyBuffers.number = 2; }`, "", true},
		"a header as long as it may":  {`{ hostenv.frontDoor.proxyBufferSize = "384k"; }`, "", false},
		"a header that is too long":   {`{ hostenv.frontDoor.proxyBufferSize = "385k"; }`, "", true},
	}
	nodes := map[string]node{}
	for name, test := range tests {
		nodes[name] = node{
			Plan: plan, Node: nodeName, Provider: provider(t, dir), Sops: true, SecretsPath: secrets(t, read(t, plan)),
			Modules: []string{write(t, "own.nix", test.module)},
		}
	}
	got, err := evaluate[values](t, "values", nodes)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			refused := strings.Contains(strings.Join(got[name].Assertions, "\n"), "hostenv.frontDoor: nginx needs proxyBuffers of")
			equal(t, "refused", refused, test.refused)
			var limits []string
			for _, directive := range limit.FindAllStringSubmatch(got[name].Etc["nginx/nginx.conf"], -1) {
				limits = append(limits, directive[1]+" "+directive[2])
			}
			if test.limits != "" {
				if diff := cmp.Diff(strings.Split(test.limits, ", "), limits); diff != "" {
					t.Errorf("limits (-want +got):\n%s", diff)
				}
			}
			// The evaluation refuses exactly the values that nginx refuses.
			binary := testenv.Need(t, "nginx")
			folder := t.TempDir()
			config := nginxConfig(folder, "unix:"+filepath.Join(folder, "in.sock"), "127.0.0.1:1", limits)
			out, err := exec.CommandContext(t.Context(), binary, "-t", "-c", write(t, "nginx.conf", config), "-p", folder).CombinedOutput()
			if (err != nil) != test.refused || test.refused && !strings.Contains(string(out), "proxy_busy_buffers_size") {
				t.Errorf("nginx -t: %v\n%s", err, out)
			}
		})
	}

	var limits []string
	for _, directive := range limit.FindAllStringSubmatch(got["default"].Etc["nginx/nginx.conf"], -1) {
		limits = append(limits, directive[1]+" "+directive[2])
	}
	passes(t, limits)
}

// nginxConfig returns the configuration of a front door on a unix socket with these
// directives.
func nginxConfig(dir, listen, upstream string, directives []string) string {
	config := "daemon off;\nerror_log stderr;\npid " + dir + "/pid;\nevents { }\nhttp {\n  access_log off;\n"
	for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		config += fmt.Sprintf("  %s_temp_path %s/%s;\n", what, dir, what)
	}
	for _, directive := range directives {
		config += "  " + directive + ";\n"
	}
	return config + fmt.Sprintf("  server { listen %s; location / { proxy_pass http://%s; } }\n}\n", listen, upstream)
}

// passes sends the requests that hostenv's front door accepts through an nginx with
// these limits.
func passes(t *testing.T, limits []string) {
	binary := testenv.Need(t, "nginx")
	cookies := strings.Repeat("c", 100<<10)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Cookies", cookies)
		fmt.Fprintln(w, n, err)
	}))
	defer upstream.Close()

	// The folder has a short name, because the length of a socket's path is limited.
	dir, err := os.MkdirTemp("", "door-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "in.sock")
	config := nginxConfig(dir, "unix:"+socket, strings.TrimPrefix(upstream.URL, "http://"), limits)
	var log strings.Builder
	server := exec.CommandContext(t.Context(), binary, "-c", write(t, "nginx.conf", config), "-p", dir)
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGTERM) }
	server.WaitDelay = 5 * time.Second
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
	client := &http.Client{Transport: &http.Transport{
		MaxResponseHeaderBytes: 1 << 20,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			for {
				conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
				if err == nil || ctx.Err() != nil {
					return conn, err
				}
				time.Sleep(10 * time.Millisecond)
			}
		},
	}}
	const size = 101 << 20
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://front.example/", io.LimitReader(zeros{}, size))
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = size
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "what came through", []any{response.StatusCode, string(body), len(response.Header.Get("X-Cookies"))}, []any{200, fmt.Sprintln(size, nil), len(cookies)})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
