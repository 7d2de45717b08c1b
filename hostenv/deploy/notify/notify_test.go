package notify_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/notify"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A log collects warnings.
type log struct {
	mu  sync.Mutex
	all []string
}

func (l *log) warn(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, text)
}

// events are those of a run in which two profiles fail.
func events() []deploy.Event {
	profile := func(name string, state deploy.State, err string) deploy.Event {
		return deploy.Event{Type: deploy.TypeProfile, Run: "r1", Node: "n1", Profile: name, State: state, Error: err}
	}
	return []deploy.Event{
		{Type: deploy.TypeVersion, Events: deploy.EventsVersion},
		{Type: deploy.TypeRun, Run: "r1", Start: &deploy.Start{Plan: "4f", Serial: 7, By: "alice@ci", Commit: "abc1234"}},
		{Type: deploy.TypeNode, Run: "r1", Node: "n1", State: deploy.StateReached},
		profile("system", deploy.StateActive, ""),
		profile("site", deploy.StateFailed, "it fails\nTo: everyone@victim.example\n\nhello"),
		profile("shop", deploy.StateFailed, "so does this"),
		{Type: deploy.TypeEnd, Run: "r1", End: &deploy.End{Code: 3, Counts: map[string]int{"active": 1, "failed": 2}}},
	}
}

// stream returns the lines of events.
func stream(events []deploy.Event) string {
	var b strings.Builder
	for _, e := range events {
		b.Write(e.Encode())
	}
	return b.String()
}

// script writes a program and returns its folder.
func script(t *testing.T, text string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "notify"), []byte("#!/bin/sh\n"+text), 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// all runs a command for all events, and returns the warnings.
func all(t *testing.T, o notify.Options, events []deploy.Event) []string {
	t.Helper()
	var l log
	o.Warn = l.warn
	n := notify.New(t.Context(), o)
	for _, e := range events {
		n.Event(e)
	}
	n.Close(t.Context())
	n.Event(events[len(events)-1]) // it is over
	return l.all
}

// The command runs three times, in order, with the events until then, in the provider's
// folder, and with its arguments as they are.
func TestMoments(t *testing.T) {
	dir := script(t, `cat >"$HOSTENV_NOTIFY" && printf '%s\n' "$HOSTENV_NOTIFY $HOSTENV_RUN $PWD $# $1" >>order`+"\n")
	if got := all(t, notify.Options{Command: []string{"./notify", "a b; $(id)"}, Dir: dir}, events()); len(got) > 0 {
		t.Fatalf("it warns of %q", got)
	}
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	want := fmt.Sprintf("start r1 %[1]s 1 a b; $(id)\nfailure r1 %[1]s 1 a b; $(id)\nend r1 %[1]s 1 a b; $(id)\n", dir)
	if got := read("order"); got != want {
		t.Errorf("it ran\n%s\nwant\n%s", got, want)
	}
	for moment, until := range map[string]int{"start": 2, "failure": 5, "end": 7} {
		if got, want := read(moment), stream(events()[:until]); got != want {
			t.Errorf("at the %s it got\n%s\nwant\n%s", moment, got, want)
		}
	}
}

// What it does, or does not do, never stops a deploy.
func TestFailing(t *testing.T) {
	long := slices.Repeat(events()[2:3], 20000) // more than a pipe holds
	long = slices.Concat(events()[:2], long, events()[6:])
	for name, test := range map[string]struct {
		script string
		events []deploy.Event
		want   []string
	}{
		"it fails": {"echo one; printf 'two \\033[31m\\342\\200\\256\\n' >&2; exit 3\n", events(),
			[]string{`provider.notify (./notify) failed at the start: exit status 3: two \u001b[31m\u202e`, `failed at the failure: exit status 3`, `failed at the end: exit status 3`}},
		"it reads nothing":         {"exit 0\n", long, nil},
		"it prints for ever":       {"exec cat /dev/zero\n", events()[:2], []string{"failed at the start: it did not end within 2s", "failed at the end: it did not end within 2s"}},
		"it hangs":                 {"trap '' TERM INT; while :; do sleep 1; done\n", events()[:2], []string{"did not end", "did not end"}},
		"a child hangs":            {"sleep 1000 & wait\n", events()[:2], []string{"did not end", "did not end"}},
		"it leaves a child":        {"sleep 5 &\n", events()[:2], nil},
		"a run without a journal":  {"exit 3\n", events()[2:6], nil},
		"a run that dies":          {"[ $HOSTENV_NOTIFY != end ] || exit 3\n", events()[:4], []string{"failed at the end"}},
		"a run that was refused":   {"exit 3\n", events()[:1], nil},
		"a run that was resumed":   {`[ "$(head -n 1)" = '{"type":"version","events":"` + deploy.EventsVersion + `"}' ]` + "\n", []deploy.Event{{Type: deploy.TypeResume, Run: "r1"}, events()[6]}, nil},
		"a run without a failure":  {"[ $HOSTENV_NOTIFY != failure ]\n", slices.Concat(events()[:4], events()[6:]), nil},
		"it has its own session":   {"[ \"$(cut -d ' ' -f 6 /proc/$$/stat)\" = $$ ]\n", events(), nil},
		"a command that is absent": {"", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := notify.Options{Command: []string{"./notify"}, Dir: script(t, test.script), Limit: 2 * time.Second}
			if test.events == nil {
				o.Command, test.events = []string{"./absent"}, events()[:2]
				test.want = []string{"provider.notify (./absent) failed at the start: ", "failed at the end"}
			}
			if test.want == nil {
				o.Limit = testenv.Patience
			}
			got := all(t, o, test.events)
			if len(got) != len(test.want) {
				t.Fatalf("it warns of %q", got)
			}
			for i := range got {
				if !strings.Contains(got[i], test.want[i]) {
					t.Errorf("it warns of %q, want %q", got[i], test.want[i])
				}
			}
		})
	}
	if got := all(t, notify.Options{}, events()); len(got) > 0 {
		t.Errorf("without a command it warns of %q", got)
	}
}

// A deploy does not wait for the command before its end, and if it was interrupted twice,
// not long then.
func TestImpatience(t *testing.T) {
	dir := script(t, "exec sleep 1000\n")
	var l log
	n := notify.New(t.Context(), notify.Options{Command: []string{"./notify"}, Dir: dir, Limit: time.Hour, Warn: l.warn})
	for _, e := range events() {
		n.Event(e) // the test hangs if one of them waits
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n.Close(ctx)
	if len(l.all) != 3 || !strings.Contains(l.all[0], "it was stopped") {
		t.Errorf("it warns of %q", l.all)
	}
}

// example returns the folder of a program of examples/notify.
func example(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../../examples/notify")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// The example posts to a real HTTP server, whose URL no process shows.
func TestWebhook(t *testing.T) {
	testenv.Need(t, "curl")
	const secret = "/hooks/s3cr3t"
	var mu sync.Mutex
	var got []string
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.URL.Path != secret || r.Header.Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("it got %s %s %v, %v", r.Method, r.URL, r.Header, err)
		}
		arguments, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, file := range arguments {
			if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), secret) {
				t.Errorf("a process shows the URL: %q", text)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.Header.Get("X-Deploy")+"\n"+string(body))
		w.WriteHeader(status)
	}))
	defer server.Close()
	config := filepath.Join(t.TempDir(), "webhook")
	if err := os.WriteFile(config, []byte("url = \""+server.URL+secret+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := notify.Options{Command: []string{"./webhook", config}, Dir: example(t)}
	if warnings := all(t, o, events()); len(warnings) > 0 {
		t.Fatalf("it warns of %q", warnings)
	}
	want := []string{"start r1\n" + stream(events()[:2]), "failure r1\n" + stream(events()[:5]), "end r1\n" + stream(events())}
	if !slices.Equal(got, want) {
		t.Errorf("it got %q, want %q", got, want)
	}
	status = http.StatusForbidden
	if warnings := all(t, o, events()); len(warnings) != 3 || !strings.Contains(warnings[2], "provider.notify (./webhook) failed at the end: exit status 22: curl: (22) The requested URL returned error: 403") {
		t.Errorf("of a refusal it warns of %q", warnings)
	}
}

// The example mails the end of a run, by SMTP to a server on this machine. A customer's
// text adds no header and no recipient.
func TestMail(t *testing.T) {
	testenv.Need(t, "curl")
	testenv.Need(t, "jq")
	server := serveMail(t)
	// What stands for sendmail reads the recipients of the message, as -t says.
	bin := t.TempDir()
	sendmail := `#!/bin/sh
[ "$*" = "-i -t" ] || exit 64
cat >"$0.message"
set -- $(sed -n '1,/^$/s/^[Tt]o: //p' "$0.message" | tr , ' ')
for to do set -- "$@" --mail-rcpt "$to"; shift; done
exec curl --silent --show-error --url "smtp://` + server.address + `" --mail-from deploy@hosting.test "$@" --upload-file "$0.message"
`
	if err := os.WriteFile(filepath.Join(bin, "sendmail"), []byte(sendmail), 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	if warnings := all(t, notify.Options{Command: []string{"./mail", "ops@hosting.test"}, Dir: example(t)}, events()); len(warnings) > 0 {
		t.Fatalf("it warns of %q", warnings)
	}
	mails := server.all()
	if len(mails) != 1 {
		t.Fatalf("%d mails came: %q", len(mails), mails)
	}
	want := `RCPT TO:<ops@hosting.test>
To: ops@hosting.test
Subject: deploy r1: ended with 3
Content-Type: text/plain; charset=utf-8

plan 7 of commit "abc1234" by "alice@ci"
1 "active"
2 "failed"
"n1" "site": "failed" "it fails\nTo: everyone@victim.example\n\nhello"
"n1" "shop": "failed" "so does this"
`
	if mails[0] != want {
		t.Errorf("the mail is\n%s\nwant\n%s", mails[0], want)
	}
}

// A mailServer is an SMTP server (RFC 5321) on loopback.
type mailServer struct {
	address string
	mu      sync.Mutex
	mails   []string // recipients and message
}

func (s *mailServer) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

func serveMail(t *testing.T) *mailServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	s := &mailServer{address: listener.Addr().String()}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(connection)
		}
	}()
	return s
}

func (s *mailServer) serve(connection net.Conn) {
	defer connection.Close()
	say := func(line string) { _, _ = io.WriteString(connection, line+"\r\n") }
	say("220 mail.hosting.test ESMTP")
	var mail strings.Builder
	lines := bufio.NewScanner(connection)
	inData := false
	for lines.Scan() {
		line := lines.Text()
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		switch {
		case inData && line == ".":
			inData = false
			s.mu.Lock()
			s.mails = append(s.mails, strings.TrimRight(mail.String(), "\n")+"\n") // curl adds a line
			s.mu.Unlock()
			say("250 kept")
		case inData:
			mail.WriteString(strings.TrimPrefix(line, ".") + "\n")
		case verb == "DATA":
			inData = true
			say("354 go on")
		case verb == "QUIT":
			say("221 bye")
			return
		case verb == "RCPT":
			mail.WriteString(line + "\n")
			say("250 ok")
		default:
			say("250 ok")
		}
	}
}

// The stream is the one of -json, a line of JSON for each event.
func TestStream(t *testing.T) {
	for line := range strings.Lines(stream(events())) {
		if !json.Valid([]byte(line)) {
			t.Errorf("%q is no JSON", line)
		}
	}
}
