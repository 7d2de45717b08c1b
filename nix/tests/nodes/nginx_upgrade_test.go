package nodes_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A frontDoor is a real nginx in its own folder that hostenv-nginx.sh starts and
// reloads.
type frontDoor struct {
	t        *testing.T
	dir      string
	script   string
	real     string // Debian's nginx
	address  string // the address of its listening socket
	upstream string
}

func newFrontDoor(t *testing.T, upstream string) *frontDoor {
	t.Helper()
	binary, err := filepath.EvalSymlinks(testenv.Need(t, "nginx"))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "door-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	f := &frontDoor{t: t, dir: dir, real: binary, address: free.Addr().String(), upstream: strings.TrimPrefix(upstream, "http://")}
	t.Cleanup(func() {
		f.end()
		if t.Failed() {
			log, _ := os.ReadFile(f.path("log"))
			t.Logf("nginx:\n%s", log)
		}
		os.RemoveAll(dir)
	})
	text, err := os.ReadFile("../../modules/hostenv-nginx.sh")
	if err != nil {
		t.Fatal(err)
	}
	script := strings.NewReplacer("@nginx@", f.path("nginx"), "@config@", f.path("nginx.conf"), "@pidfile@", f.path("pid"),
		"@settings@", f.path("settings"), "@started@", f.path("started")).Replace(string(text))
	f.script = f.write("hostenv-nginx", "#!/usr/bin/env bash\n"+script)
	f.configure()
	return f
}

func (f *frontDoor) path(name string) string { return filepath.Join(f.dir, name) }

func (f *frontDoor) write(name, text string) string {
	f.t.Helper()
	if err := os.WriteFile(f.path(name), []byte(text), 0o755); err != nil {
		f.t.Fatal(err)
	}
	return f.path(name)
}

// configure writes nginx.conf, with more directives in its http block.
func (f *frontDoor) configure(more ...string) {
	f.t.Helper()
	config := nginxConfig(f.dir, f.address, f.upstream, append(more, "proxy_request_buffering off", "proxy_http_version 1.1"))
	f.write("nginx.conf", strings.Replace(config, "error_log stderr", "error_log "+f.path("log")+" notice", 1))
}

// build makes a copy of nginx whose program differs from all others.
func (f *frontDoor) build(name string) string {
	f.t.Helper()
	data, err := os.ReadFile(f.real)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.write(name, string(append(data, name...)))
}

// install makes a program the system's nginx.
func (f *frontDoor) install(program string) {
	f.t.Helper()
	_ = os.Remove(f.path("nginx"))
	if err := os.Symlink(program, f.path("nginx")); err != nil {
		f.t.Fatal(err)
	}
}

// run runs hostenv-nginx, and returns its output.
func (f *frontDoor) run(args ...string) (string, error) {
	f.t.Helper()
	// nginx keeps its output open while it runs: a pipe would never end.
	output, err := os.CreateTemp(f.dir, "output")
	if err != nil {
		f.t.Fatal(err)
	}
	defer output.Close()
	cmd := exec.CommandContext(f.t.Context(), f.script, args...)
	cmd.Stdout, cmd.Stderr = output, output
	err = cmd.Run()
	text, readErr := os.ReadFile(output.Name())
	if readErr != nil {
		f.t.Fatal(readErr)
	}
	return string(text), err
}

func (f *frontDoor) must(args ...string) string {
	f.t.Helper()
	output, err := f.run(args...)
	if err != nil {
		f.t.Fatalf("hostenv-nginx %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return output
}

func (f *frontDoor) pid() int {
	text, _ := os.ReadFile(f.path("pid"))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// program returns the program that the master runs.
func (f *frontDoor) program() string {
	f.t.Helper()
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", f.pid()))
	if err != nil {
		f.t.Fatal(err)
	}
	return program
}

// processes returns the processes that run a program of the folder.
func (f *frontDoor) processes() (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, exe := range all {
		if to, err := os.Readlink(exe); err == nil && strings.HasPrefix(to, f.dir+"/") {
			pid, _ := strconv.Atoi(strings.Split(exe, "/")[2])
			pids = append(pids, pid)
		}
	}
	return pids
}

func (f *frontDoor) end() {
	for _, pid := range f.processes() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// ask sends a request on its own connection.
func (f *frontDoor) ask(path string, body io.Reader) (string, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(f.t.Context(), method, "http://"+f.address+path, body)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return string(text), err
}

// TestNginxUpgrade starts, reloads and replaces a real nginx by hostenv-nginx.sh,
// and loses no request.
func TestNginxUpgrade(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		_, err := io.Copy(sum, r.Body)
		if r.URL.Path == "/slow" {
			<-release
		}
		fmt.Fprintf(w, "%x %v", sum.Sum(nil)[:4], err)
	}))
	defer upstream.Close()
	f := newFrontDoor(t, upstream.URL)
	first, second := f.build("first"), f.build("second")
	f.install(first)
	f.must("start")
	answers := func() {
		t.Helper()
		if text, err := f.ask("/", strings.NewReader("a")); err != nil || text != "ca978112 <nil>" {
			t.Errorf("nginx answers %q, %v", text, err)
		}
	}
	answers()
	equal(t, "the program", f.program(), first)

	// This request begins now and ends last.
	type answer struct {
		text string
		err  error
	}
	long := make(chan answer)
	uploading, upload := io.Pipe()
	for path, body := range map[string]io.Reader{"/slow": nil, "/upload": uploading} {
		go func() {
			text, err := f.ask(path, body)
			long <- answer{text, err}
		}()
	}
	sent := ""
	send := func() {
		t.Helper()
		if _, err := upload.Write([]byte("a")); err != nil {
			t.Fatal(err)
		}
		sent += "a"
	}
	send()

	// The new configuration works when the reload ends.
	master := f.pid()
	f.configure("add_header X-New yes")
	f.must("reload")
	equal(t, "the master after a reload", f.pid(), master)
	answers()
	// A configuration that nginx refuses does not change the running one.
	f.configure("nonsense yes")
	output, err := f.run("reload")
	refusedWith(t, output, err, first+" cannot load "+f.path("nginx.conf")+": nginx continues unchanged", "nonsense")
	equal(t, "the master after a refused reload", f.pid(), master)
	f.configure()

	// A new program replaces the first, and a third replaces the second, while the
	// first still serves its requests.
	masters := []int{master}
	for i := range 9 {
		program := []string{second, first}[i%2]
		f.install(program)
		output := f.must("reload")
		if !strings.Contains(output, program+" has taken over from ") {
			t.Errorf("a replacement prints %q", output)
		}
		equal(t, "the program", f.program(), program)
		if old := masters[len(masters)-1]; f.pid() == old || syscall.Kill(old, 0) == nil && !ended(old) {
			t.Errorf("the old master %d is still there, the new one is %d", old, f.pid())
		}
		if _, err := os.Stat(f.path("pid.oldbin")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a file is left of the old master: %v", err)
		}
		masters = append(masters, f.pid())
		answers()
		send()
	}

	// Without another program, a reload does not replace the master.
	f.must("reload")
	equal(t, "the master after a reload", f.pid(), masters[len(masters)-1])

	// If the new program does not start, the running one continues.
	bad := f.write("bad", "#!/bin/sh\nfor arg; do [ \"$arg\" != -t ] || exit 0; done\nexit 1\n")
	for program, want := range map[string]string{
		bad:                bad + " did not start: " + second + " continues",
		f.path("missing"):  f.path("missing") + " cannot load",
		f.write("no", "?"): f.path("no") + " cannot load",
	} {
		f.install(program)
		output, err := f.run("reload")
		refusedWith(t, output, err, want)
		equal(t, "the master", f.pid(), masters[len(masters)-1])
		answers()
	}
	// After that, a program that starts replaces it.
	f.install(first)
	f.must("reload")
	equal(t, "the program", f.program(), first)
	answers()

	close(release)
	send()
	upload.Close()
	got := map[string]bool{}
	for range 2 {
		a := <-long
		if a.err != nil {
			t.Errorf("a long request was lost: %v", a.err)
		}
		got[a.text] = true
	}
	for _, body := range []string{"", sent} {
		if want := fmt.Sprintf("%x <nil>", sha256.Sum256([]byte(body)))[:8] + " <nil>"; !got[want] {
			t.Errorf("the long requests were answered %v, want %q", got, want)
		}
	}
	// All old processes end.
	if !testenv.Poll(func() bool {
		for _, pid := range f.processes() {
			if program, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); program != first {
				return false
			}
		}
		return true
	}) {
		t.Errorf("old processes are left")
	}
}

// TestNginxUnit checks nginx's unit on nodes.
func TestNginxUnit(t *testing.T) {
	t.Parallel()
	dir := scenario(t, "001")
	plan, err := filepath.Abs(filepath.Join(dir, "plan.json"))
	if err != nil {
		t.Fatal(err)
	}
	const newer = `{ pkgs, ... }: let nginx = pkgs.nginx // { name = "nginx-1.28.0"; pname = "nginx"; version = "1.28.0"; override = _: nginx; }; in { services.nginx.package = nginx; }`
	modules := map[string]string{
		"default": `{ }`,
		"own":     newer[:len(newer)-2] + ` hostenv.frontDoor.drainTimeout = "10m"; systemd.services.nginx = { environment.MALLOC_ARENA_MAX = "2"; serviceConfig.LimitNOFILE = 9; serviceConfig.MemoryMax = "1G"; }; }`,
		"NixOS's": `{ services.nginx.enableReload = false; }`,
	}
	nodes := map[string]node{}
	for name, module := range modules {
		nodes[name] = node{
			Plan: plan, Node: nodeName, Provider: provider(t, dir), Sops: true, SecretsPath: secrets(t, read(t, plan)),
			Modules: []string{write(t, "own.nix", module)},
		}
	}
	got, err := evaluate[values](t, "values", nodes)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		restarts bool
		config   string // parts of nginx.conf
		kept     []string
	}{
		"default": {false, "worker_shutdown_timeout 1h;", []string{"User=nginx\n", "ProtectHome=true\n"}},
		"own":     {false, "worker_shutdown_timeout 10m; keepalive_min_timeout 10s;", []string{"LimitNOFILE=9\n", "Environment MALLOC_ARENA_MAX=2\n"}},
		"NixOS's": {true, "", nil},
	} {
		v := got[name]
		equal(t, name+": assertions", v.Assertions, []string{})
		equal(t, name+": restarts", v.Nginx.RestartIfChanged, want.restarts)
		if ours := strings.HasSuffix(v.Nginx.ExecStart, "-hostenv-nginx start"); ours == want.restarts {
			t.Errorf("%s: nginx is started by %s", name, v.Nginx.ExecStart)
		}
		for _, directive := range []string{"worker_shutdown_timeout 1h;", "worker_shutdown_timeout 10m;", "keepalive_min_timeout 10s;"} {
			if has := strings.Contains(v.Etc["nginx/nginx.conf"], directive); has != strings.Contains(want.config, directive) {
				t.Errorf("%s: nginx.conf has %q: %t", name, directive, has)
			}
		}
		kept := v.Etc["hostenv/nginx-unit"]
		for _, line := range want.kept {
			if !strings.Contains(kept, line) {
				t.Errorf("%s: there is no %q among what nginx is started with:\n%s", name, line, kept)
			}
		}
		for _, other := range []string{"ExecStart", "MemoryMax", "PATH", "/nix/store"} {
			if strings.Contains(kept, other) {
				t.Errorf("%s: %s does not need a restart:\n%s", name, other, kept)
			}
		}
	}
}

// A new master takes a configuration that the running one cannot take by a reload.
func TestNginxThatCannotReload(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer upstream.Close()
	f := newFrontDoor(t, upstream.URL)
	text, err := os.ReadFile(f.script)
	if err != nil {
		t.Fatal(err)
	}
	f.write("hostenv-nginx", strings.Replace(string(text), "stepTimeout=20\n", "stepTimeout=5\n", 1))
	f.install(f.build("first"))
	const zone = "limit_req_zone %s zone=z:1m rate=9r/s"
	f.configure(fmt.Sprintf(zone, "$binary_remote_addr"))
	f.must("start")
	// nginx -t does not notice that the zone has another key.
	f.configure(fmt.Sprintf(zone, "$remote_addr"), "add_header X-New yes")
	master := f.pid()
	output := f.must("reload")
	if f.pid() == master || !strings.Contains(output, "nginx cannot load "+f.path("nginx.conf")+" by a reload: replacing nginx") {
		t.Errorf("the master is %d, and was %d; the reload prints %q", f.pid(), master, output)
	}
	response, err := http.Get("http://" + f.address)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	equal(t, "X-New", response.Header.Get("X-New"), "yes")
}

// An nginx that an older system started cannot be replaced: the reload works, and
// its output says that nginx was not replaced.
func TestNginxOfAnOlderSystem(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer upstream.Close()
	f := newFrontDoor(t, upstream.URL)
	first, second := f.build("first"), f.build("second")
	old := exec.CommandContext(t.Context(), first, "-c", f.path("nginx.conf"))
	if err := old.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = old.Process.Kill()
		_ = old.Wait()
	}()
	if !testenv.Poll(func() bool { _, err := f.ask("/", nil); return err == nil && f.pid() == old.Process.Pid }) {
		t.Fatal("nginx does not start")
	}
	f.install(second)
	output := f.must("reload")
	if !strings.Contains(output, "warning: nginx was started by an older system") {
		t.Errorf("the reload prints %q", output)
	}
	equal(t, "the program", f.program(), first)
	// It also lacks the settings of the system's unit.
	if output := f.must("check"); !strings.Contains(output, "systemctl restart nginx") {
		t.Errorf("the check prints %q", output)
	}
	for file, text := range map[string]string{"started": "User=nginx\nProtectHome=true\n", "settings": "User=nginx\nProtectHome=false\nLimitNOFILE=9\n"} {
		f.write(file, text)
	}
	if output := f.must("check"); !strings.Contains(output, "since nginx was started: LimitNOFILE ProtectHome: run systemctl restart nginx") {
		t.Errorf("the check prints %q", output)
	}
	f.write("started", "User=nginx\nProtectHome=false\nLimitNOFILE=9\n")
	equal(t, "the check", f.must("check"), "")
}

// refusedWith expects a run to fail with a message.
func refusedWith(t *testing.T, output string, err error, parts ...string) {
	t.Helper()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("hostenv-nginx ended with %v, want exit status 1\n%s", err, output)
	}
	for _, part := range parts {
		if !strings.Contains(output, part) {
			t.Errorf("the output is %q, want %q in it", output, part)
		}
	}
}

// ended reports whether a process is a zombie.
func ended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}
