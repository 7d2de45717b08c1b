package nodes_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

const (
	victim     = "portal-main-2d5b67c" // beta__portal
	victimHost = "www.beta.test"
)

// customers returns an inventory with two customers on one node: acme__site with the
// given virtual hosts, and beta__portal with one that has a certificate and headers.
func customers(hosts map[string]any, raw ...string) []byte {
	project := func(organisation, name, user string, hosts map[string]any) map[string]any {
		return map[string]any{
			"source": map[string]any{"original": map[string]any{"type": "git", "url": "ssh://git@git.test/x.git"}},
			"environments": map[string]any{"main": map[string]any{
				"virtualHosts": hosts,
				"hostenv": map[string]any{
					"organisation": organisation, "project": name, "environmentName": "main", "userName": user,
					"hostname": user + ".hosting.test", "hostenvHostname": "hosting.test",
				},
			}},
		}
	}
	inventory := map[string]any{
		"formatVersion": 1,
		"provider": map[string]any{
			"hostenvHostname": "hosting.test", "letsEncrypt": map[string]any{"acceptTerms": true, "adminEmail": "ops@hosting.test"},
			"nodeFor": map[string]any{"default": nodeName}, "frontDoor": map[string]any{"raw": raw},
		},
		"projects": map[string]any{
			"acme__site": project("acme", "site", user, hosts),
			"beta__portal": project("beta", "portal", victim, map[string]any{victimHost: map[string]any{
				"hsts": true, "security": map[string]any{"xFrameOptions": "DENY", "hsts": true},
			}}),
		},
	}
	data, err := json.Marshal(inventory)
	if err != nil {
		panic(err)
	}
	return data
}

func planned(t testing.TB, inventory []byte) (*plan.Result, error) {
	t.Helper()
	inv, err := plan.DecodeInventory(inventory)
	if err != nil {
		return nil, err
	}
	result, err := plan.Compute(plan.Input{Inventory: inv, State: state.New()})
	if err == nil && len(result.Held) > 0 {
		return nil, result.Held[0].Reason
	}
	return result, err
}

// TestEveryOption tries every option of NixOS's virtual hosts and locations, with a
// value of each type: a project that is not trusted has none of them, and one that is
// trusted none of those of the whole node.
func TestEveryOption(t *testing.T) {
	file, err := filepath.Abs(filepath.Join(scenario(t, "001"), "plan.json"))
	if err != nil {
		t.Fatal(err)
	}
	type options struct{ VirtualHost, Location []string }
	all, err := evaluate[options](t, "doors", map[string]node{"": {Plan: file, Node: nodeName, Provider: map[string]any{}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(all[""].VirtualHost) < 25 || len(all[""].Location) < 12 {
		t.Fatalf("these options were found: %v", all)
	}
	values := []any{"x", "/etc/passwd", 1, true, []any{"x"}, map[string]any{"x": "y"}}
	never := regexp.MustCompile(`^(listen.*|ssl.*|acme.*|useACMEHost|.*File|default|reuseport|quic)$`)
	refused := func(t *testing.T, option string, host map[string]any, raw ...string) {
		t.Helper()
		_, err := planned(t, customers(map[string]any{"www.acme.test": host}, raw...))
		if err == nil {
			t.Errorf("%v is planned, with raw = %q", host, raw)
		} else if !slices.ContainsFunc(problem.Leaves(err), func(err error) bool {
			return strings.HasPrefix(err.Error(), "acme__site") && strings.Contains(err.Error(), "."+option)
		}) {
			t.Errorf("%v: the error does not name the project and the option: %v", host, err)
		}
	}
	for _, value := range values {
		for _, option := range all[""].VirtualHost {
			if !slices.Contains([]string{"globalRedirect", "redirectCode", "locations"}, option) {
				refused(t, option, map[string]any{option: value})
			}
			if never.MatchString(option) {
				refused(t, option, map[string]any{option: value}, "acme")
			}
		}
		for _, option := range all[""].Location {
			host := map[string]any{"locations": map[string]any{"/x": map[string]any{option: value}}}
			if option != "return" {
				refused(t, option, host)
			}
			if never.MatchString(option) {
				refused(t, option, host, "acme")
			}
		}
	}
}

// pieces are what the values of attackers are made of.
var pieces = []string{
	"/", "/", "a", "b", "Z9", ".", "..", "-", "_", "~", "=", "= ", "^~ ", "~ ", "@", "%41", "%2e", "%", "+", "*", "(", ")", "[", "]", "!", "&", ",", ":", "?", "|", "^",
	";", "{", "}", "{ }", "\"", "'", "\\", "#", " ", "\t", "\n", "\r", "\x00", "\x7f", "ü", "\u2028",
	"$", "$uri", "$host", "$request_uri", "$scheme", "${host}", "$hostname", "$hostenv_dollar", "$document_root", "://", "http://", "https://", "$scheme://", "acme.test", victimHost,
	"/.well-known/acme-challenge/", "/etc/passwd", "unix:", victim + "_upstream", "return", "301", "410", "444", "alias /;",
}

// An attacker makes values of a virtual host, most of them almost right.
type attacker struct{ *rand.Rand }

func (a attacker) text(begin string, most int) string {
	var b strings.Builder
	b.WriteString(begin)
	for range a.IntN(most) {
		b.WriteString(pieces[a.IntN(len(pieces))])
	}
	return b.String()
}

// safe is a text of what the front door may take, in any order.
func (a attacker) safe(begin string, most int) string {
	const letters = "abcXYZ019._~%+@:,=&!*()/-"
	b := []byte(begin)
	for range a.IntN(most) {
		b = append(b, letters[a.IntN(len(letters))])
	}
	return string(b)
}

func (a attacker) either(values ...func() any) any { return values[a.IntN(len(values))]() }

func (a attacker) answer() any {
	code := []string{"301", "302", "303", "307", "308", "300", "200", "9999", "0301"}[a.IntN(9)]
	rests := []string{"", "$request_uri", "/$host", "?a=$scheme&b=$request_uri", "#$host", "/[x]?;"}
	return a.either(
		func() any { return 190 + a.IntN(330) },
		func() any { return code + " " + a.text("/", 6) },
		func() any { return code + " " + a.safe("/", 30) + rests[a.IntN(len(rests))] },
		func() any {
			return code + " " + []string{"http://", "https://", "$scheme://"}[a.IntN(3)] + []string{"$host", "acme.test", "Bücher.test", "x.test:81", "x.test:"}[a.IntN(5)] + rests[a.IntN(len(rests))]
		},
		func() any { return a.text("", 8) },
		func() any { return nil },
	)
}

func (a attacker) host() map[string]any {
	host := map[string]any{"enableLetsEncrypt": a.IntN(12) == 0}
	maybe := func(option string, value any) {
		if a.IntN(3) == 0 {
			host[option] = value
		}
	}
	locations := map[string]any{}
	for range a.IntN(5) {
		path := a.either(
			func() any { return a.safe("/", 40) },
			func() any { return a.safe("= /", 40) },
			func() any { return a.text("/", 5) },
			func() any { return a.text("", 4) },
			func() any { return "/" },
		).(string)
		if strings.ToValidUTF8(path, "") == path {
			location := map[string]any{"return": a.answer()}
			if a.IntN(4) == 0 {
				location["proxyWebsockets"] = a.either(func() any { return true }, func() any { return false }, func() any { return a.text("", 4) })
			}
			locations[path] = location
		}
	}
	host["locations"] = locations
	maybe("allowIndexing", a.IntN(2) == 0)
	maybe("globalRedirect", a.either(func() any { return "acme.test" }, func() any { return "BÜCHER.test." }, func() any { return a.text("x.test", 3) }, func() any { return nil }))
	maybe("redirectCode", a.either(func() any { return 301 + a.IntN(10) }, func() any { return 308 }, func() any { return 307 }))
	maybe("hsts", a.IntN(2) == 0)
	maybe("security", map[string]any{
		"csp":      a.either(func() any { return a.text("default-src 'self'", 20) }, func() any { return strings.Repeat("$\\\"", a.IntN(200)) }, func() any { return nil }),
		"reportTo": a.either(func() any { return `{"a":"$b` + a.text("", 5) + `"}` }, func() any { return nil }),
		"cspMode":  a.either(func() any { return "enforce" }, func() any { return "report-only" }),
		"hsts":     a.IntN(2) == 0, "xContentTypeOptions": a.IntN(2) == 0,
	})
	return host
}

func (a attacker) name(i int) string {
	switch a.IntN(8) {
	case 0:
		return fmt.Sprintf("*.h%d.acme.test", i)
	case 1:
		name := fmt.Sprintf("h%d.acme.test", i)
		return strings.Repeat("a", 60) + "." + strings.Repeat("b", 110-61-1-len(name)) + "." + name
	case 2:
		return fmt.Sprintf("H%d.bücher.test.", i)
	}
	return fmt.Sprintf("h%d.acme.test", i)
}

// hosts returns virtual hosts of which each is planned, and how many were tried.
func (a attacker) hosts(t *testing.T, want int) (hosts map[string]any, tried int) {
	t.Helper()
	hosts = map[string]any{}
	for ; len(hosts) < want; tried++ {
		if tried > 100*want {
			t.Fatalf("of %d virtual hosts only %d are planned", tried, len(hosts))
		}
		name, host := a.name(tried), a.host()
		if _, err := planned(t, customers(map[string]any{name: host})); err == nil {
			hosts[name] = host
		}
	}
	return hosts, tried
}

// Go's own fuzzing ends a test after 10 seconds, and nginx and NixOS take longer.
var (
	seeds    = flag.Int("seeds", 1, "how many nodes TestTwoCustomers tries")
	perNode  = flag.Int("hosts", 60, "how many virtual hosts the attacker has on each")
	fromSeed = flag.Uint64("seed", 1, "the first seed")
)

// TestTwoCustomers renders a node with two customers of which one chooses all values,
// and runs nginx with it: nginx starts, and serves of the other customer neither page,
// file, socket, certificate nor name.
func TestTwoCustomers(t *testing.T) {
	for i := range *seeds {
		t.Run(fmt.Sprint("seed ", *fromSeed+uint64(i)), func(t *testing.T) { tryCustomers(t, *fromSeed+uint64(i)) })
	}
}

func tryCustomers(t *testing.T, seed uint64) {
	a := attacker{rand.New(rand.NewPCG(seed, 0))}
	hosts, tried := a.hosts(t, *perNode)
	result, err := planned(t, customers(hosts))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d virtual hosts are planned", len(hosts), tried)
	config := rendered(t, result)
	if said := checkNginx(t, config, "/nowhere"); said != "" {
		t.Fatalf("seed %d: the build fails:\n%s", seed, said)
	}
	d := openDoor(t, config, result)
	d.servesVictim()
	for name, host := range result.Plan.Nodes[nodeName].Services.Nginx.VirtualHosts {
		if name == "default" || name == victimHost {
			continue
		}
		for _, seen := range d.attack(strings.Replace(name, "*.", "any.", 1), host) {
			t.Error(seen)
		}
	}
	d.servesVictim()
}

// TestAttacksAreSeen opens the front door for the attacker, and checks that the requests
// of TestTwoCustomers then find what is not the attacker's.
func TestAttacksAreSeen(t *testing.T) {
	hosts := map[string]any{}
	attacks := map[string]map[string]any{
		"socket.acme.test": {"proxyPass": "http://" + victim + "_upstream"},
		"file.acme.test":   {"alias": "/etc/passwd"},
		"header.acme.test": {"return": "200", "extraConfig": "add_header X-Hidden 1;"},
	}
	for name, location := range attacks {
		hosts[name] = map[string]any{"enableLetsEncrypt": false, "locations": map[string]any{"/x": location}}
	}
	result, err := planned(t, customers(hosts, "acme"))
	if err != nil {
		t.Fatal(err)
	}
	d := openDoor(t, rendered(t, result), result)
	for name := range attacks {
		if found := d.attack(name, result.Plan.Nodes[nodeName].Services.Nginx.VirtualHosts[name]); len(found) == 0 {
			t.Errorf("nothing is seen of %s", name)
		}
	}
}

// TestWebSockets sends upgrades through a node's nginx. They get to the environment's
// own socket where the virtual host has proxyWebsockets; what else nginx sends there
// is as before.
func TestWebSockets(t *testing.T) {
	plain := func(options string) map[string]any {
		return map[string]any{"enableLetsEncrypt": false, "locations": membersOf([]byte(options))}
	}
	result, err := planned(t, customers(map[string]any{
		"ws.acme.test":    plain(`{"/":{"proxyWebsockets":true},"/gone":{"return":410}}`),
		"plain.acme.test": plain(`{"/":{"proxyWebsockets":false}}`),
	}))
	if err != nil {
		t.Fatal(err)
	}
	d := openDoor(t, rendered(t, result), result)
	os.Remove(filepath.Join(d.dir, "run", user, "in.sock"))
	d.handle("run/"+user+"/in.sock", func(w http.ResponseWriter, r *http.Request) {
		seen := fmt.Sprintf("%s %s %s upgrade=%q connection=%q", r.Method, r.Host, r.URL, r.Header["Upgrade"], r.Header["Connection"])
		if r.Header.Get("Upgrade") == "" {
			fmt.Fprint(w, seen)
			return
		}
		conn, stream, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n%s\n", seen)
		_, _ = io.Copy(conn, stream)
	})

	const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
	for _, test := range []struct {
		host, path, headers string
		code                int
		line                string
	}{
		{"ws.acme.test", "/chat?room=1", upgrade, 101, `GET ws.acme.test /chat?room=1 upgrade=["websocket"] connection=["upgrade"]`},
		{"ws.acme.test", "/", "Connection: close\r\n", 200, `GET ws.acme.test / upgrade=[] connection=["close"]`},
		{"ws.acme.test", "/gone", upgrade, 410, "<html>"},
		{"plain.acme.test", "/chat", upgrade, 200, `GET plain.acme.test /chat upgrade=[] connection=["close"]`},
		{"plain.acme.test", "/", "Connection: close\r\n", 200, `GET plain.acme.test / upgrade=[] connection=["close"]`},
	} {
		t.Run(test.host+test.path, func(t *testing.T) {
			conn, err := net.Dial("unix", filepath.Join(d.dir, "80.sock"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(testenv.Patience))
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", test.path, test.host, test.headers)
			stream := bufio.NewReader(conn)
			answer, err := http.ReadResponse(stream, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body := stream // of a connection that was upgraded
			if answer.StatusCode != http.StatusSwitchingProtocols {
				body = bufio.NewReader(answer.Body)
			}
			line, err := body.ReadString('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			equal(t, "the answer", []any{answer.StatusCode, strings.TrimRight(line, "\r\n")}, []any{test.code, test.line})
			if answer.StatusCode != http.StatusSwitchingProtocols {
				return
			}
			fmt.Fprint(conn, "there and back\n")
			if line, err := body.ReadString('\n'); err != nil || line != "there and back\n" {
				t.Errorf("the environment sends back %q, %v", line, err)
			}
		})
	}
	d.servesVictim()
}

// rendered returns the nginx.conf of the plan's node, for Debian's nginx: with what a
// package of nixpkgs includes left out.
func rendered(t *testing.T, result *plan.Result) string {
	t.Helper()
	file := write(t, "plan.json", string(result.Plan.Encode()))
	got, err := evaluate[values](t, "values", map[string]node{"": {Plan: file, Node: nodeName, Provider: map[string]any{}}})
	if err != nil {
		t.Fatal(err)
	}
	text := got[""].Etc["nginx/nginx.conf"]
	text = regexp.MustCompile(`(?m)^\s*include \S*recommended-proxy-headers\.conf;`).ReplaceAllString(text, "proxy_set_header Host $$host;")
	// What Debian's nginx is too old for, and the files of a package.
	return regexp.MustCompile(`(?m)^\s*(include /nix/store/\S+|http2 on|keepalive_min_timeout \S+);`).ReplaceAllString(text, "")
}

// A runningDoor is a node's front door that runs in a folder.
type runningDoor struct {
	*testing.T
	dir string
}

// openDoor runs nginx with a node's configuration: on unix sockets, with a certificate
// for each name, and both customers' servers behind it.
func openDoor(t *testing.T, config string, result *plan.Result) *runningDoor {
	t.Helper()
	dir, err := os.MkdirTemp("", "door-") // a short name, because the length of a socket's path is limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &runningDoor{t, dir}
	for name, host := range result.Plan.Nodes[nodeName].Services.Nginx.VirtualHosts {
		if host.TLS().EnableACME {
			d.certificate(name)
		}
	}
	for _, user := range []string{user, victim} {
		d.listen("run/"+user+"/in.sock", "page of "+user)
	}
	for _, change := range [][2]string{
		{`(?m)^\s*listen \[::0\]:\S+[^;]*;`, ""},
		{`(?m)^(\s*listen) 0\.0\.0\.0:(80|443)`, "$1 unix:" + dir + "/$2.sock"},
		{`/var/lib/acme/`, dir + "/acme/"},
		{`/run/hostenv/nginx/`, dir + "/run/"},
		{`(?m)^pid .*$`, "pid " + dir + "/pid; user root root;"},
		{`(?m)^http \{`, "http { access_log off; client_body_temp_path " + dir + "/t1; proxy_temp_path " + dir + "/t2; fastcgi_temp_path " + dir + "/t3; uwsgi_temp_path " + dir + "/t4; scgi_temp_path " + dir + "/t5;"},
	} {
		config = regexp.MustCompile(change[0]).ReplaceAllString(config, change[1])
	}
	config = regexp.MustCompile(`(?m)^\s*http \{`).ReplaceAllString(config, "http {")
	var log strings.Builder
	server := exec.CommandContext(t.Context(), testenv.Need(t, "nginx"), "-c", write(t, "nginx.conf", config), "-p", dir)
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGTERM) }
	server.WaitDelay = testenv.Patience
	server.Stderr = &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
		if t.Failed() {
			t.Logf("nginx:\n%.4000s", log.String())
		}
	})
	if !testenv.Poll(func() bool {
		c, err := net.Dial("unix", filepath.Join(dir, "443.sock"))
		if err == nil {
			c.Close()
		}
		return err == nil
	}) {
		t.Fatalf("nginx does not start: %s", log.String())
	}
	return d
}

// certificate makes the files of a certificate whose only name is the given one.
func (d *runningDoor) certificate(name string) {
	d.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		d.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(crand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		d.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		d.Fatal(err)
	}
	folder := filepath.Join(d.dir, "acme", name)
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := errors.Join(
		os.MkdirAll(folder, 0o755),
		os.WriteFile(filepath.Join(folder, "fullchain.pem"), public, 0o644),
		os.WriteFile(filepath.Join(folder, "chain.pem"), public, 0o644),
		os.WriteFile(filepath.Join(folder, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
	); err != nil {
		d.Fatal(err)
	}
}

// listen answers every request to a socket with a text.
func (d *runningDoor) listen(socket, text string) {
	d.Helper()
	d.handle(socket, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) })
}

// handle serves a socket.
func (d *runningDoor) handle(socket string, handler http.HandlerFunc) {
	d.Helper()
	path := filepath.Join(d.dir, socket)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		d.Fatal(err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		d.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(listener) }()
	d.Cleanup(func() { server.Close() })
}

// An answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends one request, as it is written, and returns the answer and the names of the
// certificate.
func (d *runningDoor) ask(encrypted bool, host, path string) (got answer, names []string, err error) {
	socket := "80.sock"
	if encrypted {
		socket = "443.sock"
	}
	ctx, cancel := context.WithTimeout(d.Context(), 10*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(d.dir, socket))
	if err != nil {
		return answer{}, nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if encrypted {
		secured := tls.Client(conn, &tls.Config{ServerName: host, InsecureSkipVerify: true}) //nolint:gosec // we look at the certificate ourselves
		if err := secured.HandshakeContext(ctx); err != nil {
			return answer{}, nil, err
		}
		names = secured.ConnectionState().PeerCertificates[0].DNSNames
		conn = secured
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host)
	raw, err := io.ReadAll(conn)
	if err != nil {
		return answer{}, names, err
	}
	got, err = parseAnswer(raw)
	return got, names, err
}

// servesVictim checks that the other customer's site is as without the attacker.
func (d *runningDoor) servesVictim() {
	d.Helper()
	page, names, err := d.ask(true, victimHost, "/")
	if err != nil {
		d.Fatalf("%s: %v", victimHost, err)
	}
	got := []any{page.status, page.body, names, page.header.Values("X-Frame-Options"), page.header.Values("Strict-Transport-Security")}
	equal(d.T, victimHost, got, []any{200, "page of " + victim, []string{victimHost}, []string{"DENY"}, []string{"max-age=31536000"}})
	moved, _, err := d.ask(false, victimHost, "/x?y")
	if err != nil {
		d.Fatalf("%s over HTTP: %v", victimHost, err)
	}
	equal(d.T, victimHost+" over HTTP", []any{moved.status, moved.header.Get("Location")}, []any{301, "https://" + victimHost + "/x?y"})
	if got, names, err := d.ask(true, "unknown.test", "/"); err == nil {
		d.Errorf("a name of no customer is answered with %q and the certificate of %v", got.body, names)
	}
}

// attack sends requests to one host of the attacker, and returns what is served that is
// not the attacker's.
func (d *runningDoor) attack(name string, host plan.VirtualHost) (found []string) {
	saw := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	paths := []string{"/", "/index.html", "/../../etc/passwd", "//etc/passwd", "/.well-known/acme-challenge/../../" + victimHost + "/key.pem", "/acme/" + victimHost + "/key.pem"}
	for path := range membersOf(host.Carried.Get("locations")) {
		paths = append(paths, strings.TrimPrefix(path, "= "), strings.TrimPrefix(path, "= ")+"/../x")
	}
	for _, path := range paths {
		for _, encrypted := range []bool{false, true} {
			got, names, err := d.ask(encrypted, name, path)
			if len(names) > 0 && (!host.TLS().ForceSSL || !slices.Equal(names, []string{name})) {
				saw("%s is served with the certificate of %v", name, names)
			}
			if err != nil {
				continue // without a certificate there is no TLS, and 444 closes the connection
			}
			if strings.Contains(got.body, victim) || strings.Contains(got.body, "PRIVATE KEY") || strings.Contains(got.body, "root:") || strings.Contains(got.body, "Welcome to nginx") {
				saw("%s%s is %d %q", name, path, got.status, got.body)
			}
			if got.status == http.StatusOK && got.body != "" && got.body != "page of "+user {
				saw("%s%s is %q", name, path, got.body)
			}
			for header, values := range got.header {
				if !slices.Contains(known, header) {
					saw("%s%s has the header %s: %q", name, path, header, values)
				}
			}
		}
	}
	return found
}

// known are the headers that nginx, the attacker's server and the form send.
var known = []string{
	"Server", "Date", "Content-Type", "Content-Length", "Connection", "Location", "Vary", "Content-Encoding", "Last-Modified", "Etag", "Accept-Ranges", "X-Robots-Tag",
	"Content-Security-Policy", "Content-Security-Policy-Report-Only", "Report-To", "Referrer-Policy", "X-Frame-Options", "X-Content-Type-Options", "Strict-Transport-Security",
}

func parseAnswer(raw []byte) (answer, error) {
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(body)}, err
}

// membersOf decodes an object of the plan.
func membersOf(text []byte) map[string]any {
	members := map[string]any{}
	_ = json.Unmarshal(text, &members)
	return members
}
