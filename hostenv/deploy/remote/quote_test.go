package remote_test

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// hostile are arguments that shells change if they are not quoted.
var hostile = []string{
	"", " ", "a b", "'", "''", "'\\''", `"`, `\`, `\\`, "$HOME", "${HOME}", "$(id)", "`id`", "~", "~root", "*", "?", "[a-z]*",
	"!", "!!", "#", ";", "&", "|", "<", ">", "(", ")", "{a,b}", "\n", "\n\n", "a\nb\n", "\t", "\r", "\r\n", "\x01\x7f\xff\xfe",
	"-n", "--", "-", "if", "FOO=bar", "=ls", "%s\\n", "\\n", "ä\u2028", "$'\\x41'", "a'b\"c`d$e", "'; rm -rf /; '",
}

// FuzzQuote checks that a shell reads quoted arguments unchanged.
func FuzzQuote(f *testing.F) {
	for i := range hostile {
		f.Add(hostile[i], hostile[(i+7)%len(hostile)])
	}
	shells := []string{"sh"}
	if bash := testenv.Find("bash"); bash != "" || testenv.Required("bash") {
		shells = append(shells, "bash")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		words, err := remote.Quote("printf", `%s\0`, a, b)
		if strings.Contains(a+b, "\x00") {
			if err == nil {
				t.Fatalf("a NUL byte is not refused: %q", words)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, shell := range shells {
			out, err := exec.Command(shell, "-c", words).Output()
			if err != nil {
				t.Fatalf("%s: %v: %q", shell, err, words)
			}
			if want := a + "\x00" + b + "\x00"; string(out) != want {
				t.Errorf("%s makes %q of %q", shell, out, want)
			}
		}
	})
}

// TestQuoteOverSSH has the login shell of a remote user take them apart, with
// no agent in between.
func TestQuoteOverSSH(t *testing.T) {
	m := newMachine(t, "", "")
	words, err := remote.Quote(append([]string{"printf", `%s\0`}, hostile...)...)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := run(t, "ssh", "-F", config(t, m.Node).Path, "n1", words), strings.Join(hostile, "\x00")+"\x00"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestRunArguments sends them by a session, as another user and as one's own.
func TestRunArguments(t *testing.T) { eachShell(t, testRunArguments) }

func testRunArguments(t *testing.T, shell string) {
	m := newMachine(t, shell, "")
	s := m.open(t, deploy.OpenOptions{})
	want := strings.Join(hostile, "\x00") + "\x00"
	for _, user := range []string{"site", "deploy"} {
		out, err := s.Run(t.Context(), user, nil, append([]string{"printf", `%s\0`}, hostile...)...)
		if err != nil {
			t.Fatal(err)
		}
		if string(out) != want {
			t.Errorf("as %s:\ngot  %q\nwant %q", user, out, want)
		}
	}
	// Input and output of any bytes, and more than any pipe holds.
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, input := range [][]byte{[]byte("\n"), all, bytes.Repeat(all, 4096)} {
		out, err := s.Run(t.Context(), "site", input, "cat")
		if err != nil || !bytes.Equal(out, input) {
			t.Errorf("%d bytes come back as %d: %v", len(input), len(out), err)
		}
	}
	if _, err := s.Run(t.Context(), "site", nil, "printf", "a\x00b"); err == nil {
		t.Error("a NUL byte is not refused")
	}
	for _, user := range []string{"", "-h", "#0", "root; id", "a b"} {
		if _, err := s.Run(t.Context(), user, nil, "id"); err == nil {
			t.Errorf("the user %q is not refused", user)
		}
	}
}
