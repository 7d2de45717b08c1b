package cloudflare_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/cloudflare"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

func TestBaseURL(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "",
		"http://127.0.0.1:8080/client/v4/":     "http://127.0.0.1:8080/client/v4/",
		"https://127.1.2.3/client/v4":          "https://127.1.2.3/client/v4/",
		"http://[::1]:80":                      "http://[::1]:80/",
		"http://[::ffff:127.0.0.1]/":           "http://[::ffff:127.0.0.1]/",
		"http://localhost:8080/":               "refused",
		"https://api.cloudflare.com/":          "refused",
		"http://127.0.0.1.example.com/":        "refused",
		"http://127.0.0.1@example.com/":        "refused",
		"http://example.com@127.0.0.1/":        "refused",
		"http://127.0.0.1:80@example.com/":     "refused",
		"http://192.0.2.1/":                    "refused",
		"http://0.0.0.0/":                      "refused",
		"http://[::]/":                         "refused",
		"http://[::ffff:192.0.2.1]/":           "refused",
		"http://2130706433/":                   "refused",
		"http://127.1/":                        "refused",
		"http://0177.0.0.1/":                   "refused",
		`http://127.0.0.1\.example.com/`:       "refused",
		"http://127.0.0.1/?a=b":                "refused",
		"http://127.0.0.1/#example.com":        "refused",
		"ftp://127.0.0.1/":                     "refused",
		"127.0.0.1:8080":                       "refused",
		"//127.0.0.1/":                         "refused",
		"http:127.0.0.1":                       "refused",
		"unix:///run/cloudflare.sock":          "refused",
		"http://127.0.0.1:8080\r\nHost: a.com": "refused",
	} {
		t.Setenv(cloudflare.URLVariable, text)
		got, err := cloudflare.BaseURL()
		if problem.Hint(err) != "" {
			got = "refused"
		} else if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// The variables that change the library's server or key have no effect on the client.
func TestLibraryVariablesHaveNoEffect(t *testing.T) {
	t.Setenv("CLOUDFLARE_BASE_URL", "http://127.0.0.1:1/")
	t.Setenv("CLOUDFLARE_API_KEY", "key")
	t.Setenv("CLOUDFLARE_EMAIL", "a@example.com")
	token, err := cloudflare.NewToken(fakeToken)
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	client := cloudflare.NewClient(token, "", transport(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.Scheme+"://"+r.URL.Host, r.Header.Get("Authorization"), r.Header.Get("X-Auth-Key"))
		return nil, errors.New("no network")
	}))
	if _, err := client.Zones(t.Context()); err == nil {
		t.Error("there is an answer without a network")
	}
	if want := []string{"https://api.cloudflare.com", "Bearer " + fakeToken, ""}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }
