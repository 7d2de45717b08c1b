package cloudflare_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/cloudflare"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/internal/fakecloudflare"
)

func newToken(t testing.TB) cloudflare.Token {
	token, err := cloudflare.NewToken(" " + fakeToken + "\n")
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// A token is redacted in every form of output, alone and inside of other values.
func TestTokenIsRedacted(t *testing.T) {
	token := newToken(t)
	if token.Reveal() != fakeToken {
		t.Fatal("the token has changed")
	}
	type exported struct{ Token cloudflare.Token }
	type hidden struct{ token cloudflare.Token }
	client := cloudflare.NewClient(token, "", nil)
	for name, v := range map[string]any{
		"token": token, "pointer": &token, "exported": exported{token}, "hidden": hidden{token}, "hidden pointer": &hidden{token},
		"slice": []cloudflare.Token{token}, "map": map[string]any{"t": token}, "client": client, "client's value": *client, "error": fmt.Errorf("with %v", token),
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p"} {
			wantNoToken(t, name+" "+verb, fmt.Appendf(nil, verb, v))
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		wantNoToken(t, name+" by slog", log.Bytes())
		if data, err := json.Marshal(v); err == nil {
			wantNoToken(t, name+" as JSON", data)
		}
	}
	if got := fmt.Sprintf("%v %s %#v %q %d", token, token, token, token, token); got != strings.TrimSpace(strings.Repeat("[redacted] ", 5)) {
		t.Errorf("shown as %s", got)
	}
}

// forms returns the forms of a token that leaks.
func forms() [][]byte {
	half := len(fakeToken) / 2
	return [][]byte{[]byte(fakeToken), []byte(fakeToken[:half]), []byte(fakeToken[half:]), fmt.Appendf(nil, "%x", fakeToken), fmt.Appendf(nil, "%X", fakeToken)}
}

func wantNoToken(t testing.TB, where string, data []byte) {
	t.Helper()
	for _, form := range forms() {
		if bytes.Contains(data, form) {
			t.Errorf("the token is in %s", where)
		}
	}
}

func TestNewToken(t *testing.T) {
	for _, text := range []string{"", " \n", "two words", "line\nbreak", "naïve", "nul\x00"} {
		if _, err := cloudflare.NewToken(text); err == nil {
			t.Errorf("%q is accepted as a token", text)
		} else if text = strings.TrimSpace(text); text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("the error has the text: %v", err)
		}
	}
}

// script writes a program that replaces sops.
func script(t testing.TB, body string) string {
	path := filepath.Join(t.TempDir(), "sops")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTokenSource(t *testing.T) {
	args := filepath.Join(t.TempDir(), "args")
	for _, test := range []struct {
		name   string
		env    string
		source cloudflare.TokenSource
		sops   string // the body of the program
		want   string // a part of the error, "" for the token
	}{
		{name: "environment first", env: fakeToken + "\n", source: cloudflare.TokenSource{Secret: "a", File: "f"}, sops: "exit 9"},
		{name: "environment, malformed", env: "Bearer " + fakeToken, want: "CF_API_TOKEN: the token has a character"},
		{name: "sops", source: cloudflare.TokenSource{Secret: "cloudflare/token", File: "-secrets.yaml"}, sops: `printf '%s\n' "$@" > ` + args + `; printf '%s' ` + fakeToken},
		{name: "no source", want: "CF_API_TOKEN is not set, and provider.cloudflare.apiTokenSecret names no key"},
		{name: "no file", source: cloudflare.TokenSource{Secret: "a"}, want: `no sops file is named for the key "a"`},
		{name: "bad key", source: cloudflare.TokenSource{Secret: `a"]["b`, File: "f"}, want: "it must be names of keys"},
		{name: "empty key", source: cloudflare.TokenSource{Secret: `a//b`, File: "f"}, want: "it must be names of keys"},
		{name: "no sops", source: cloudflare.TokenSource{Secret: "a", File: "f", Sops: "no-such-sops"}, want: "the program no-such-sops is not installed"},
		{name: "empty value", source: cloudflare.TokenSource{Secret: "a", File: "f"}, sops: "echo", want: `"a" of f: the token is empty`},
		{name: "fails", source: cloudflare.TokenSource{Secret: "a", File: "f"}, sops: "echo 'no key could decrypt the data' >&2; exit 128", want: "no key could decrypt the data"},
		{name: "fails, and prints the token", source: cloudflare.TokenSource{Secret: "a", File: "f"}, sops: "echo " + fakeToken + "; echo 'value: " + fakeToken + "' >&2; exit 1", want: "value: [redacted]"},
		{name: "fails, and prints the token only to stderr", source: cloudflare.TokenSource{Secret: "a", File: "f"}, sops: "echo 'value: " + fakeToken + "' >&2; exit 1", want: "value: [redacted]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv(cloudflare.TokenVariable, test.env)
			if test.sops != "" {
				test.source.Sops = script(t, test.sops)
			}
			token, err := test.source.Token(t.Context())
			if _, still := os.LookupEnv(cloudflare.TokenVariable); still {
				t.Error("the variable is still set for the next program")
			}
			if test.want == "" {
				if err != nil || token.Reveal() != fakeToken {
					t.Errorf("no token: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || problem.Hint(err) == "" {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if err != nil {
				wantNoToken(t, "the error", []byte(err.Error()+problem.Hint(err)))
			}
		})
	}
	got, err := os.ReadFile(args)
	if want := "--decrypt\n--extract\n[\"cloudflare\"][\"token\"]\n./-secrets.yaml\n"; err != nil || string(got) != want {
		t.Errorf("sops was run with %q (%v), want %q", got, err, want)
	}
}

// Errors have no part of the request, even if the server sends the token back.
func TestErrorsAreRedacted(t *testing.T) {
	f := newFake(t, zone(zoneA, "shop.example"))
	for name, answer := range map[string]fault{
		"JSON": {Status: 400, Body: fakecloudflare.Refusal(6111, "Invalid format for Authorization header: Bearer "+fakeToken)},
		"HTML": {Status: 502, Body: "<html>" + fakeToken},
		"200":  {Status: 200, Body: "Bearer " + fakeToken},
		"drop": {Drop: true},
	} {
		f.Fault = func(*http.Request) fault { return answer }
		var progress []byte
		report, err := cloudflare.Apply(t.Context(), f.Client(), want("www.shop.example"), config, cloudflare.Options{
			Sleep:    atOnce,
			Progress: func(line string) { progress = append(progress, line...) },
		})
		if err == nil {
			t.Errorf("%s: no error: %v", name, report)
		}
		wantNoToken(t, name+": error", fmt.Appendf(nil, "%v %+v %#v", err, err, err))
		wantNoToken(t, name+": progress", progress)
	}
}

// Errors of the transport are redacted too.
func TestTransportErrorsAreRedacted(t *testing.T) {
	client := cloudflare.NewClient(newToken(t), "", leakingTransport{})
	_, err := client.Zones(t.Context())
	if err == nil || !strings.Contains(err.Error(), "[redacted]") {
		t.Errorf("error %v", err)
	}
	wantNoToken(t, "the error", fmt.Appendf(nil, "%v %+v %#v", err, err, err))
}

// A leakingTransport fails with the headers in its error.
type leakingTransport struct{}

func (leakingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("no connection for %v", r.Header)
}
