// Package browser drives a headless Chromium for tests, by the DevTools protocol over
// a pipe.
package browser

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A Browser is one Chromium, which ends with the test.
type Browser struct {
	to *os.File

	mu      sync.Mutex
	last    int
	waiting map[int]chan answer
	pages   map[string]*Page // by session
	ended   error
}

type answer struct {
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// Start starts Chromium, or skips the test if there is none.
func Start(t testing.TB) *Browser {
	t.Helper()
	toBrowser, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, fromBrowser, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage",
		// Chromium's own services are not asked: no name leads anywhere.
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-pings", "--host-resolver-rules=MAP * ~NOTFOUND",
		"--force-color-profile=srgb", "--user-data-dir=" + t.TempDir()}
	if os.Geteuid() == 0 { // as root Chromium refuses to run in its sandbox
		args = append(args, "--no-sandbox")
	}
	cmd := exec.Command(testenv.Need(t, "chromium"), append(args, "about:blank")...)
	cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser} // 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	toBrowser.Close()
	fromBrowser.Close()
	b := &Browser{to: to, waiting: map[int]chan answer{}, pages: map[string]*Page{}}
	go b.read(from)
	t.Cleanup(func() {
		_ = b.send("", "Browser.close", nil, nil) // so that it no longer writes to its folder
		_ = cmd.Wait()
		to.Close()
		from.Close()
	})
	return b
}

// read gives each answer to the call that waits for it, and events to their page.
func (b *Browser) read(from *os.File) {
	lines := bufio.NewReaderSize(from, 1<<20)
	for {
		text, err := lines.ReadBytes(0)
		var message struct {
			ID        int             `json:"id"`
			SessionID string          `json:"sessionId"`
			Method    string          `json:"method"`
			Params    json.RawMessage `json:"params"`
			answer
		}
		if err == nil {
			err = json.Unmarshal(text[:len(text)-1], &message)
		}
		b.mu.Lock()
		if err != nil {
			b.ended = fmt.Errorf("chromium ended: %w", err)
			for _, waiting := range b.waiting {
				close(waiting)
			}
			b.waiting = map[int]chan answer{}
			b.mu.Unlock()
			return
		}
		if waiting := b.waiting[message.ID]; message.ID > 0 && waiting != nil {
			delete(b.waiting, message.ID)
			waiting <- message.answer
		} else if page := b.pages[message.SessionID]; page != nil {
			page.event(message.Method, message.Params)
		}
		b.mu.Unlock()
	}
}

// send calls a method and waits for its result.
func (b *Browser) send(session, method string, params, result any) error {
	b.mu.Lock()
	if b.ended != nil {
		b.mu.Unlock()
		return b.ended
	}
	b.last++
	id, waiting := b.last, make(chan answer, 1)
	b.waiting[id] = waiting
	b.mu.Unlock()
	message := map[string]any{"id": id, "method": method}
	if params != nil {
		message["params"] = params
	}
	if session != "" {
		message["sessionId"] = session
	}
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		return err
	}
	a, ok := <-waiting
	switch {
	case !ok:
		return errors.New("chromium ended")
	case a.Error != nil:
		return fmt.Errorf("%s: %s", method, a.Error.Message)
	case result == nil:
		return nil
	}
	return json.Unmarshal(a.Result, result)
}

// A Page is one tab.
type Page struct {
	t       testing.TB
	browser *Browser
	session string
	loaded  chan string // ids of documents that were loaded

	requests []string
	problems []string
}

// Open opens a page of a size, and returns when it is loaded.
func (b *Browser) Open(t testing.TB, url string, width, height int) *Page {
	t.Helper()
	p := &Page{t: t, browser: b, loaded: make(chan string, 64)}
	var target struct{ TargetID string }
	var session struct{ SessionID string }
	p.must(b.send("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target))
	t.Cleanup(func() { _ = b.send("", "Target.closeTarget", map[string]any{"targetId": target.TargetID}, nil) })
	p.must(b.send("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session))
	p.session = session.SessionID
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log", "Network", "Audits"} {
		p.Call(domain+".enable", nil, nil)
	}
	p.Call("Page.setLifecycleEventsEnabled", map[string]any{"enabled": true}, nil)
	p.Call("Page.bringToFront", nil, nil) // a page in the background draws no frames
	p.Size(width, height)
	p.Navigate(url)
	return p
}

// Navigate goes to a page, and returns when it is loaded.
func (p *Page) Navigate(url string) {
	p.t.Helper()
	var document struct{ LoaderID, ErrorText string }
	p.Call("Page.navigate", map[string]any{"url": url}, &document)
	if document.ErrorText != "" {
		p.t.Fatalf("%s: %s", url, document.ErrorText)
	}
	deadline := time.After(testenv.Patience)
	for {
		select {
		case loaded := <-p.loaded:
			if loaded == document.LoaderID {
				return
			}
		case <-deadline:
			p.t.Fatalf("%s was not loaded", url)
		}
	}
}

// Busy returns for how many milliseconds the page's main thread has worked so far.
// Before, call Performance.enable, with the time domain threadTicks for time of the
// processor.
func (p *Page) Busy() float64 {
	p.t.Helper()
	var result struct {
		Metrics []struct {
			Name  string
			Value float64
		}
	}
	p.Call("Performance.getMetrics", nil, &result)
	for _, m := range result.Metrics {
		if m.Name == "TaskDuration" {
			return 1000 * m.Value
		}
	}
	p.t.Fatal("the browser has no TaskDuration")
	return 0
}

// event is called with the browser's lock.
func (p *Page) event(method string, params json.RawMessage) {
	switch method {
	case "Page.lifecycleEvent":
		var e struct {
			LoaderID string `json:"loaderId"`
			Name     string `json:"name"`
		}
		_ = json.Unmarshal(params, &e)
		if e.Name == "load" {
			select {
			case p.loaded <- e.LoaderID:
			default: // no call waits for so many
			}
		}
	case "Network.requestWillBeSent":
		var e struct {
			Request struct {
				URL string `json:"url"`
			} `json:"request"`
		}
		_ = json.Unmarshal(params, &e)
		p.requests = append(p.requests, e.Request.URL)
	case "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Audits.issueAdded":
		p.problems = append(p.problems, method+" "+string(params))
	}
}

// Requests returns the URLs of all requests so far, and what the browser complained of:
// exceptions, violations of the policy, issues of its audits.
func (p *Page) Requests() (requests, problems []string) {
	p.browser.mu.Lock()
	defer p.browser.mu.Unlock()
	return append(requests, p.requests...), append(problems, p.problems...)
}

func (p *Page) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// Call calls a method of the protocol.
func (p *Page) Call(method string, params, result any) {
	p.t.Helper()
	p.must(p.browser.send(p.session, method, params, result))
}

// Size sets the size of the window.
func (p *Page) Size(width, height int) {
	p.t.Helper()
	p.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
}

// Scheme sets the colours that the user prefers, light or dark.
func (p *Page) Scheme(scheme string) {
	p.t.Helper()
	p.Call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Eval evaluates an expression, waits for a promise, and reads its JSON.
func (p *Page) Eval(expression string, into any) {
	p.t.Helper()
	var result struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	p.Call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true}, &result)
	if e := result.ExceptionDetails; e != nil {
		p.t.Fatalf("%s: %s %s", expression[:min(len(expression), 200)], e.Text, e.Exception.Description)
	}
	if into != nil {
		p.must(json.Unmarshal(result.Result.Value, into))
	}
}

// Press presses a key, by its name in DOM: Tab, Enter, Escape.
func (p *Page) Press(key string) {
	p.t.Helper()
	codes := map[string]int{"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}
	text := map[string]string{"Enter": "\r", " ": " "}[key]
	down := map[string]any{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
	if text != "" {
		down["text"] = text
	}
	p.Call("Input.dispatchKeyEvent", down, nil)
	p.Call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": codes[key]}, nil)
}

// Type types a text into what has the focus, a key at a time.
func (p *Page) Type(text string) {
	p.t.Helper()
	for _, r := range text {
		p.Call("Input.dispatchKeyEvent", map[string]any{"type": "char", "text": string(r)}, nil)
	}
}

// Screenshot writes a picture of the window as PNG.
func (p *Page) Screenshot(file string) {
	p.t.Helper()
	var shot struct{ Data string }
	p.Call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	p.must(err)
	p.must(os.WriteFile(file, data, 0o666))
}
