package store

import (
	"strings"
	"testing"
)

// A lock file must not contain a flag or its value.
func TestCommand(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"", ""},
		{"/usr/bin/mage", "mage"},
		{"mage plan dnsGate deploy", "mage plan dnsGate deploy"},
		{"mage -v plan", "mage plan"},
		{"hostenv-provider state list", "hostenv-provider state list"},
		{"mage state:list", "mage state:list"},
		{"mage deploy -token=hunter2 plan", "mage deploy"},
		{"provider deploy --token hunter2", "provider deploy"},
		{"provider --token hunter2 deploy", "provider"},
		{"provider deploy -v hunter2", "provider deploy"},
		{"provider deploy TOKEN=hunter2 plan", "provider deploy"},
		{"provider deploy https://me:hunter2@example.org/ plan", "provider deploy"},
	} {
		if got := command(strings.Fields(tt.args)); got != tt.want {
			t.Errorf("command(%q) = %q, want %q", tt.args, got, tt.want)
		}
	}
}

func FuzzCommandHidesFlags(f *testing.F) {
	f.Add("mage\nplan\n-token\nhunter2")
	f.Add("mage\n-v\nplan\n--x=y")
	f.Fuzz(func(t *testing.T, text string) {
		args := append(strings.Split(text, "\n"), "-flag", "hunter2hunter2", "--flag=hunter2hunter2")
		if strings.Contains(text, "hunter2hunter2") {
			return // the text may contain it as a target
		}
		if got := command(args); strings.Contains(got, "hunter2hunter2") {
			t.Errorf("command(%q) = %q", args, got)
		}
	})
}
