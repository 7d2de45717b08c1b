package console

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const text = "Words.\n```console\n$ one\nfirst\n\nlast\n$ two\n```\n```sh\n$ not this\n```\n```console\n# nor this\n```\n"

func TestParse(t *testing.T) {
	d := Parse(text)
	if len(d.Commands) != 2 || d.Commands[0].Line != "one" || !slices.Equal(d.Commands[0].Output, []string{"first", "", "last"}) || d.Commands[1].Output != nil {
		t.Fatalf("%+v", d.Commands)
	}
	if b := d.Blocks; len(b) != 3 || b[1] != (Block{"sh", "$ not this\n", 9}) {
		t.Errorf("the blocks %+v", b)
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

func TestRenew(t *testing.T) {
	for _, test := range []struct {
		reason, shown, output, want string
	}{
		{"all of it", "a|b", "c", "c"},
		{"the end", "...|UID a: 1|x", "p|UID a: 2|y|z", "...|UID a: 2|y|z"},
		{"the beginning", "a|b|...", "c|d|e", "c|d|..."},
		{"the middle", "...|  fix: it|b|...", "p|fix: no|  fix: that|c|d", "...|  fix: that|c|..."},
		{"both sides", "a|...|last", "b|c|last one|d", "b|...|last one|d"},
		{"what is gone", "...|UID 1", "a", ""},
	} {
		got, ok := Renew(strings.Split(test.shown, "|"), strings.Split(test.output, "|"))
		if strings.Join(got, "|") != test.want || ok != (test.want != "") {
			t.Errorf("%s: %q, %v", test.reason, got, ok)
		}
	}
}

func TestCheck(t *testing.T) {
	file := filepath.Join(t.TempDir(), "guide.md")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write(text)
	Check(t, file, false, "one", "first\n\nlast  \n")
	Check(t, file, true, "two", "more\n")
	got, err := os.ReadFile(file)
	if want := strings.Replace(text, "$ two\n", "$ two\nmore\n", 1); err != nil || string(got) != want {
		t.Errorf("after -update %q, %v", got, err)
	}
	for _, refused := range [][2]string{{"one", "other"}, {"three", ""}} {
		r := &recorder{TB: t}
		Check(r, file, false, refused[0], refused[1])
		if !r.failed {
			t.Errorf("the command %q with the output %q is accepted", refused[0], refused[1])
		}
	}
}

// A recorder is a test that only notes that it failed.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Errorf(string, ...any) { r.failed = true }
