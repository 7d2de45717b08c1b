package state_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// label and long make names of exact lengths.
func label(n int) string { return strings.Repeat("a", n) }

func long(n int) string {
	name := strings.Repeat(label(63)+".", 3)
	return name + label(n-len(name))
}

func TestNormalizeHostname(t *testing.T) {
	tests := []struct{ reason, in, want string }{
		{"a plain name stays", "www.acme.test", "www.acme.test"},
		{"one label is a host name", "localhost", "localhost"},
		{"DNS does not know upper case", "WWW.Acme.TEST", "www.acme.test"},
		{"the final dot means the root, which is not written", "www.acme.test.", "www.acme.test"},
		{"a full-width dot is a dot", "www。acme．test", "www.acme.test"},
		{"so it is at the end", "www.acme.test。", "www.acme.test"},
		{"full-width letters are letters", "ＡＣＭＥ.test", "acme.test"},
		{"an IDN becomes an A-label", "bücher.test", "xn--bcher-kva.test"},
		{"upper-case IDN too", "BÜCHER.test", "xn--bcher-kva.test"},
		{"a decomposed umlaut is the same umlaut", "bu\u0308cher.test", "xn--bcher-kva.test"},
		{"ß is itself, not ss: registries sell both", "straße.test", "xn--strae-oqa.test"},
		{"the final sigma is itself", "πλης.test", "xn--sxahok.test"},
		{"an A-label stays", "xn--bcher-kva.test", "xn--bcher-kva.test"},
		{"an A-label in upper case", "XN--BCHER-KVA.test", "xn--bcher-kva.test"},
		{"an emoji is a symbol, which UTS 46 lets pass", "☃.test", "xn--n3h.test"},
		{"a right-to-left label", "אב.test", "xn--4dbc.test"},
		{"digits may come first", "1.acme.test", "1.acme.test"},
		{"a label of digits that is not the last", "acme.123.test", "acme.123.test"},
		{"hyphens within", "a-b--c.test", "a-b--c.test"},
		{"hostenv makes hyphens in third and fourth place", "ab--a7bcf0a.hostenv.sh", "ab--a7bcf0a.hostenv.sh"},
		{"a label of 63", label(63) + ".test", label(63) + ".test"},
		{"a name of 253", long(253), long(253)},
		{"a name of 253 with its final dot", long(253) + ".", long(253)},
		{"a wildcard", "*.acme.test", "*.acme.test"},
		{"a wildcard is normalised below the star", "*.BÜCHER.test.", "*.xn--bcher-kva.test"},
		{"a wildcard over a label is only as odd as its owner", "*.test", "*.test"},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			got, err := state.NormalizeHostname(tt.in)
			if err != nil || got != tt.want {
				t.Errorf("%q: got %q, %v; want %q", tt.in, got, err, tt.want)
			}
		})
	}
}

func TestNormalizeHostnameRefuses(t *testing.T) {
	tests := []struct{ reason, in, want string }{
		{"nothing", "", "empty"},
		{"the root", ".", "empty"},
		{"a wildcard over nothing", "*.", "empty"},
		{"a star alone", "*", "wildcard"},
		{"a star within a label", "a*.acme.test", "wildcard"},
		{"a star in second place", "www.*.test", "wildcard"},
		{"two stars", "*.*.test", "wildcard"},
		{"a star behind a full-width dot", "*。acme.test", "wildcard"},
		{"nginx would read a regular expression", "~^www\\.acme\\.test$", "no host name"},
		{"nginx would read a suffix", ".acme.test", "empty label"},
		{"an empty label", "www..test", "empty label"},
		{"two final dots", "acme.test..", "empty label"},
		{"a hyphen first", "-a.test", "hyphen"},
		{"a hyphen last", "a-.test", "hyphen"},
		{"an underscore is for services, not hosts", "_acme-challenge.acme.test", "no host name"},
		{"a space", "acme .test", "no host name"},
		{"a newline would end a directive", "acme.test\n", "no host name"},
		{"a semicolon would too", "acme.test;", "no host name"},
		{"a slash", "acme.test/path", "no host name"},
		{"a port", "acme.test:443", "no host name"},
		{"a full-width slash is a slash", "acme／x.test", "no host name"},
		{"NUL", "acme\x00.test", "no host name"},
		{"invalid UTF-8", "acme\xff.test", "UTF-8"},
		{"an A-label that decodes to nothing valid", "xn--a-.test", "no host name"},
		{"an A-label of plain ASCII has two spellings", "xn--abc-.test", "no host name"},
		{"an A-label of an upper-case letter", "xn--Bcher-Kva0.test", "no host name"},
		{"xn-- alone", "xn--.test", "empty label"},
		{"a label of 64", label(64) + ".test", "63"},
		{"an IDN whose A-label is over 63", strings.Repeat("ü", 60) + ".test", "63"},
		{"a name of 254", long(254), "253"},
		{"a wildcard counts as its two characters", "*." + long(252), "253"},
		{"a megabyte of nonsense, at once", strings.Repeat("ü", 1<<20), "253"},
		{"an IPv4 address", "192.0.2.1", "IP address"},
		{"a number", "1", "IP address"},
		{"browsers read a last label in hexadecimal as an address too", "192.0.2.0x1", "IP address"},
		{"an IPv6 address", "2001:db8::1", "no host name"},
		{"an IPv6 address in brackets", "[2001:db8::1]", "no host name"},
		{"left-to-right and right-to-left in one label", "aא.test", "no host name"},
		{"a zero-width joiner without reason", "a\u200db.test", "no host name"},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			got, err := state.NormalizeHostname(tt.in)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q: got %q, %v; want an error with %q", tt.in, got, err, tt.want)
			}
		})
	}
}

func TestCheckUserName(t *testing.T) {
	tests := []struct {
		reason, in string
		ok         bool
	}{
		{"what hostenv makes", "site-staging-d6e4934", true},
		{"an environment name that was shortened", "site-d-j--vu-0621096", true},
		{"underscores within", "a_b", true},
		{"digits first", "1a", true},
		{"one character", "a", true},
		{"31 characters, what Linux allows", label(31), true},
		{"32 characters", label(32), false},
		{"nothing", "", false},
		{"an option of ssh", "-oProxyCommand", false},
		{"a key of the file itself", "_description", false},
		{"another key of the file itself", "_lastAllocated", false},
		{"a number is a UID to ssh and systemd", "1002", false},
		{"upper case", "Site", false},
		{"a dot, which systemd and chown read", "a.b", false},
		{"a slash", "a/b", false},
		{"a space", "a b", false},
		{"a dollar", "$a", false},
		{"a newline at the end", "a\n", false},
		{"a letter outside of ASCII", "säite", false},
	}
	for _, tt := range tests {
		if err := state.CheckUserName(tt.in); (err == nil) != tt.ok {
			t.Errorf("%s: %q: %v", tt.reason, tt.in, err)
		}
	}
}

// ldh is RFC 1123, section 2.1, and the wildcard.
var ldh = regexp.MustCompile(`^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// FuzzNormalizeHostname holds that a name has one spelling: what was
// normalised once is normal, is of the letters-digits-hyphen form, and no
// other case or final dot makes another name of it.
func FuzzNormalizeHostname(f *testing.F) {
	for _, seed := range []string{
		"www.acme.test", "WWW.Acme.TEST.", "*.bücher.test", "straße。test", "xn--bcher-kva.test", "xn--a-.test", "XN--0.pt",
		long(253), "192.0.2.1", "0x1", "a\u200db", "ab--cd", "*.xn--4dbc.test", "☃.net.", "ﬀ.test", "⒈com", "İ.test", "K.test",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, err := state.NormalizeHostname(name)
		if err != nil {
			return
		}
		if len(got) > 253 || !ldh.MatchString(got) {
			t.Errorf("%q became %q, which is no host name", name, got)
		}
		for _, spelling := range []string{got, strings.ToUpper(got), got + "."} {
			again, err := state.NormalizeHostname(spelling)
			if err != nil || again != got {
				t.Errorf("%q became %q, but %q became %q, %v", name, got, spelling, again, err)
			}
		}
	})
}
