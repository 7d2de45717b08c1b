package console

import (
	"slices"
	"strings"
	"testing"
)

const text = "Words.\n```console\n$ one\nfirst\n\nlast\n$ two\n```\n```sh\n$ not this\n```\n"

func TestParse(t *testing.T) {
	d := Parse(text)
	if len(d.Commands) != 2 || d.Commands[0].Line != "one" || !slices.Equal(d.Commands[0].Output, []string{"first", "", "last"}) || d.Commands[1].Output != nil {
		t.Fatalf("%+v", d.Commands)
	}
	if got := d.With([][]string{{"first", "", "last"}, nil}); got != text {
		t.Errorf("the same outputs change the text:\n%s", got)
	}
	if got := d.With([][]string{{"other"}, {"more"}}); !strings.Contains(got, "$ one\nother\n$ two\nmore\n```") {
		t.Errorf("other outputs:\n%s", got)
	}
}

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		shown, output string
		want          bool
	}{
		{"a|b", "a|b", true},
		{"a", "a|b", false},
		{"a|...", "a|b|c", true},
		{"...|c", "a|b|c", true},
		{"a|...|c", "a|c", true},
		{"a|...|b", "a|c", false},
		{"+ /nix/store/ps6j7p4x3xw5i39chvawbcvd27700rdh-x, 14.6 KiB", "+ /nix/store/rga1h9s0zjab67afhp6vgkya5kkv6xgc-x, 2 KiB", true},
		{"since 2026-03-01T12:00:00Z", "since 2027-01-01T00:00:00Z", true},
		{"uid 40000", "uid 40001", false},
	} {
		if got := Match(strings.Split(test.shown, "|"), strings.Split(test.output, "|")); got != test.want {
			t.Errorf("Match(%q, %q) = %v", test.shown, test.output, got)
		}
	}
}
