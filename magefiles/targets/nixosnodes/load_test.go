package nixosnodes_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
)

// perSecond is the number of requests that a load sends to a site in a second. It
// does not wait for earlier ones.
const perSecond = 50

// A load sends requests to sites of a node, and counts those that fail. It sends no
// request again. But if nginx closes an idle connection just as the client begins
// to send, Go's client opens another one, as every client does (RFC 9112, 9.3.1).
// The load counts those, too.
type load struct {
	t    testing.TB
	node *nixosnode.Node
	tls  *tls.Config

	ctx    context.Context // when it is done, no request begins
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu       sync.Mutex
	phase    string
	begun    time.Time
	sent     map[string]int // by site and kind
	failed   int
	failures []string // the first of them
	reopened atomic.Int64
}

// load begins to send requests to these sites: "https://shop.example.com". They
// must always answer to GET / as they do now.
func (s *labTest) load(n *nixosnode.Node, sites ...string) *load {
	s.t.Helper()
	l := &load{t: s.t, node: n, tls: s.Client().Transport.(*http.Transport).TLSClientConfig, sent: map[string]int{}, phase: "the beginning", begun: time.Now()}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	s.t.Cleanup(l.cancel)
	for _, site := range sites {
		_, name, _ := strings.Cut(site, "://")
		urls := []string{"http://" + name + "/"}
		if strings.HasPrefix(site, "https:") {
			urls = append(urls, "https://"+name+"/")
		}
		for _, url := range urls {
			want, err := l.get(l.client(false), url)
			if err != nil {
				s.t.Fatalf("before the load begins: %s: %v", url, err)
			}
			l.short(url, want, perSecond/len(urls))
		}
		l.repeat(site, "slow request", 4*time.Second, l.slow)
		l.repeat(site, "upload", 3*time.Second, l.upload)
		l.all.Go(func() { l.count(site, "WebSocket", l.webSocket(site)) })
	}
	return l
}

// during runs a function, and fails the test if requests are lost meanwhile.
func (l *load) during(phase string, do func()) {
	l.t.Helper()
	l.mu.Lock()
	l.phase = phase
	before := l.failed
	l.mu.Unlock()
	do()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed > before {
		l.t.Errorf("%d requests were lost during %s", l.failed-before, phase)
	}
	l.phase = "what comes after " + phase
}

// end waits for the requests that are under way, and reports the lost ones.
func (l *load) end() {
	l.t.Helper()
	l.cancel()
	l.all.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, kind := range slices.Sorted(maps.Keys(l.sent)) {
		l.t.Logf("%6d times %s", l.sent[kind], kind)
	}
	l.t.Logf("%d times nginx closed an idle connection as a request began", l.reopened.Load())
	if l.failed > 0 {
		l.t.Errorf("%d requests were lost:\n%s", l.failed, strings.Join(l.failures, "\n"))
	}
}

func (l *load) count(site, kind string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[kind+" "+site]++
	if err == nil {
		return
	}
	l.failed++
	if len(l.failures) < 20 {
		l.failures = append(l.failures, fmt.Sprintf("after %s, during %s: %s of %s: %v", time.Since(l.begun).Round(time.Millisecond), l.phase, kind, site, err))
	}
}

// client returns a client whose connections all go to the node.
func (l *load) client(keep bool) *http.Client {
	return &http.Client{
		// On a busy machine, a request that is not lost takes less.
		Timeout: 2 * time.Minute,
		Transport: &http.Transport{
			DialContext:         func(ctx context.Context, _, address string) (net.Conn, error) { return l.dial(ctx, address) },
			TLSClientConfig:     l.tls,
			DisableKeepAlives:   !keep,
			MaxIdleConnsPerHost: 4,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (l *load) dial(ctx context.Context, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(l.node.Address, port))
}

// An answer is the part of a response that must stay the same.
type answer struct {
	code           int
	location, body string
}

func (l *load) do(client *http.Client, request *http.Request) (answer, error) {
	connections := 0
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connections++ }}
	response, err := client.Do(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	l.reopened.Add(int64(connections - 1))
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header.Get("Location"), string(body)}, err
}

func (l *load) get(client *http.Client, url string) (answer, error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return answer{}, err
	}
	return l.do(client, request)
}

// short sends requests at regular times, half of them on new connections.
func (l *load) short(url string, want answer, rate int) {
	kinds := []struct {
		name   string
		client *http.Client
	}{{"request on a new connection", l.client(false)}, {"request on a kept connection", l.client(true)}}
	l.all.Go(func() {
		begun := time.Now()
		for i := 0; l.wait(time.Until(begun.Add(time.Duration(i) * time.Second / time.Duration(rate)))); i++ {
			kind := kinds[i%len(kinds)]
			l.all.Go(func() {
				got, err := l.get(kind.client, url)
				if err == nil && got != want {
					err = fmt.Errorf("the site answers %d %s %.200q, want %d %s %.200q as before", got.code, got.location, got.body, want.code, want.location, want.body)
				}
				l.count(url, kind.name, err)
			})
		}
	})
}

// repeat starts a function at regular times, without waiting for earlier calls.
func (l *load) repeat(site, kind string, every time.Duration, do func(site string) error) {
	l.all.Go(func() {
		for l.wait(every) {
			l.all.Go(func() { l.count(site, kind, do(site)) })
		}
	})
}

// wait waits, and reports whether the load still runs.
func (l *load) wait(d time.Duration) bool {
	select {
	case <-l.ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// slow requests an answer that begins at once and ends after 8 seconds.
func (l *load) slow(site string) error {
	got, err := l.get(l.client(false), site+"/slow?s=8")
	if err == nil && (got.code != http.StatusOK || got.body == "") {
		err = fmt.Errorf("the site answers %d %.200q", got.code, got.body)
	}
	return err
}

// upload sends 2 MiB within 6 seconds.
func (l *load) upload(site string) error {
	const parts, size = 60, 35 << 10
	data := make([]byte, parts*size)
	_, _ = rand.Read(data)
	reader, writer := io.Pipe()
	go func() {
		for i := range parts {
			if _, err := writer.Write(data[i*size : (i+1)*size]); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		writer.Close()
	}()
	request, err := http.NewRequest(http.MethodPost, site+"/upload", reader)
	if err != nil {
		return err
	}
	request.ContentLength = int64(len(data))
	got, err := l.do(l.client(false), request)
	if want := fmt.Sprintf("%d %x\n", len(data), sha256.Sum256(data)); err == nil && got.body != want {
		err = fmt.Errorf("the site answers %d %.200q, want %q", got.code, got.body, want)
	}
	return err
}

// webSocket opens a WebSocket, and sends messages that the site echoes until the
// load ends.
func (l *load) webSocket(site string) (err error) {
	messages := 0
	defer func() {
		if err != nil {
			err = fmt.Errorf("after %d messages: %w", messages, err)
		}
	}()
	scheme, name, _ := strings.Cut(site, "://")
	port := map[string]string{"http": "80", "https": "443"}[scheme]
	conn, err := l.dial(context.Background(), net.JoinHostPort(name, port))
	if err != nil {
		return err
	}
	defer conn.Close()
	if scheme == "https" {
		config := l.tls.Clone()
		config.ServerName = name
		conn = tls.Client(conn, config)
	}
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", name)
	stream := bufio.NewReader(conn)
	response, err := http.ReadResponse(stream, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("the site answers %s", response.Status)
	}
	for ; l.wait(200 * time.Millisecond); messages++ {
		if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
			return err
		}
		message := fmt.Appendf(nil, "message %d", messages)
		if _, err := conn.Write(frame(message)); err != nil {
			return err
		}
		echo := make([]byte, 2+len(message)) // a server does not mask
		if _, err := io.ReadFull(stream, echo); err != nil {
			return err
		}
		if !bytes.Equal(echo[2:], message) {
			return fmt.Errorf("%q comes back as %q", message, echo[2:])
		}
	}
	return nil
}

// frame returns a short text as a client's frame: see RFC 6455, 5.2.
func frame(text []byte) []byte {
	const final, isText, masked = 0x80, 1, 0x80
	f := []byte{final | isText, masked | byte(len(text))}
	mask := binary.BigEndian.AppendUint32(nil, 0x1badcafe)
	f = append(f, mask...)
	for i, b := range text {
		f = append(f, b^mask[i%4])
	}
	return f
}
