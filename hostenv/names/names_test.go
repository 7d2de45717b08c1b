package names_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
)

// parsers holds the parser for each table of testdata/.
var parsers = map[string]func(string) (string, error){
	"address":   text(names.ParseAddress),
	"host":      text(names.ParseHost),
	"keyName":   text(names.ParseKeyName),
	"node":      text(names.ParseNode),
	"plainPath": text(names.ParsePlainPath),
	"publicKey": func(s string) (string, error) {
		k, err := names.ParsePublicKey(s)
		if err != nil {
			return "", err
		}
		return k.String(), nil
	},
	"ref":       text(names.ParseRef),
	"storePath": text(names.ParseStorePath),
	"system":    text(names.ParseSystem),
	"user":      text(names.ParseUser),
}

func text[T ~string](parse func(string) (T, error)) func(string) (string, error) {
	return func(s string) (string, error) {
		v, err := parse(s)
		return string(v), err
	}
}

// A table is a file of testdata/: examples by the reason for each.
// nix/tests/is.nix reads the same files.
type table struct {
	Accepted map[string]string    // parsed to themselves
	Refused  map[string]string    // by Go and by Nix
	Spelled  map[string][2]string // the first is parsed to the second; Nix, which reads only parsed names, refuses it
	// Nix accepts these, because it cannot decode Punycode or IPv6.
	GoOnly    map[string]string    // refused by Go
	GoSpelled map[string][2]string // the first is parsed to the second
}

func tables(t testing.TB) map[string]table {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	files = slices.DeleteFunc(files, func(file string) bool { return slices.Contains([]string{addressForms, userNames, reservedNames}, file) })
	if err != nil || len(files) != len(parsers) {
		t.Fatalf("%d files in testdata, %d parsers: %v", len(files), len(parsers), err)
	}
	all := map[string]table{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var of table
		decoder := json.NewDecoder(strings.NewReader(string(data)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&of); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".json")] = of
	}
	return all
}

func TestTables(t *testing.T) {
	for kind, of := range tables(t) {
		parse := parsers[kind]
		accept := func(reason, in, want string) {
			if got, err := parse(in); err != nil || got != want {
				t.Errorf("%s: %s: %q: got %q, %v; want %q", kind, reason, in, got, err, want)
			}
		}
		refuse := func(reason, in string) {
			if got, err := parse(in); err == nil || !strings.HasPrefix(err.Error(), "it") || got != "" {
				t.Errorf("%s: %s: %q: got %q, %v; want an error that begins with it", kind, reason, in, got, err)
			}
		}
		for reason, in := range of.Accepted {
			accept(reason, in, in)
		}
		for _, spelled := range []map[string][2]string{of.Spelled, of.GoSpelled} {
			for reason, in := range spelled {
				accept(reason, in[0], in[1])
			}
		}
		for reason, in := range of.Refused {
			refuse(reason, in)
		}
		for reason, in := range of.GoOnly {
			refuse(reason, in)
		}
		// Names that JSON cannot hold, or that are too long for the files.
		refuse("NUL", "a\x00b")
		refuse("invalid UTF-8", "/a\xff.test")
		refuse("a megabyte", strings.Repeat("ü", 1<<20))
	}
}

// TestHostErrors checks the reason that each refusal of a host name gives.
func TestHostErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "it is empty",
		"a*.test":                       "its wildcard",
		"www..test":                     "it has an empty label",
		"-a.test":                       "a hyphen",
		"acme.test:443":                 "it is not a host name",
		"a\xff.test":                    "it is not UTF-8",
		"xn--a-.test":                   "it is not a host name",
		"xn--Bcher-Kva0.test":           "it is not a host name",
		strings.Repeat("a", 64):         "63",
		strings.Repeat("a.", 127) + "a": "253",
		strings.Repeat("ü", 1<<20):      "253",
		"192.0.2.1":                     "an IP address",
	} {
		if got, err := names.ParseHost(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %q, %v; want an error with %q", in, got, err, want)
		}
	}
}

func TestPublicKeyCheck(t *testing.T) {
	const key = "AAAAC3NzaC1lZDI1NTE5AAAAIBVyBGxy9P2Rdkf0u7mPTJ2wZQy9aJ7fX0JwZp0o0qXk"
	for line, ok := range map[string]bool{
		"ssh-ed25519 " + key: true, "ssh-ed25519 " + key + " root@n1": true,
		"ssh-rsa " + key: false, "ssh-ed25519 AAAAHOST": false, "ssh-ed25519 AAAA": false, "ssh-ed25519 A": false,
	} {
		k, err := names.ParsePublicKey(line)
		if err != nil {
			t.Errorf("%q: %v", line, err)
		} else if err := k.Check(); (err == nil) != ok {
			t.Errorf("%q: got %v", line, err)
		}
	}
}

func TestCutStorePath(t *testing.T) {
	const path = "/nix/store/7rjj86a15146cq3d3qy068lml7n8y2dg-source"
	for in, below := range map[string]string{path: "", path + "/": "/", path + "/.hostenv/a": "/.hostenv/a"} {
		if got, rest, ok := names.CutStorePath(in); !ok || string(got) != path || rest != below {
			t.Errorf("%q: got %q, %q, %v", in, got, rest, ok)
		}
	}
	for _, in := range []string{"", "/", "/nix/store", "source/a", "/nix/store/x" + path[11:]} {
		if got, rest, ok := names.CutStorePath(in); ok {
			t.Errorf("%q: got %q, %q", in, got, rest)
		}
	}
	if p := names.StorePath(path); p.Dir() != names.Store || p.IsDerivation() || !names.StorePath(path+".drv").IsDerivation() {
		t.Errorf("%q is in %q", p, p.Dir())
	}
}

// word has, by kind, the characters that a value may have. A shell, a Nix string,
// a line of ssh_config and a file system take nearly all of them without quotes.
// Only addresses have colons and percent signs, only store paths question marks,
// and only paths slashes.
var word = map[string]*regexp.Regexp{
	"address":   regexp.MustCompile(`^[A-Za-z0-9:][A-Za-z0-9._:%-]*$`),
	"host":      regexp.MustCompile(`^(\*\.)?[a-z0-9][a-z0-9.-]*$`),
	"keyName":   regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+@-]*$`),
	"node":      regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`),
	"plainPath": regexp.MustCompile(`^/[A-Za-z0-9._/-]+$`),
	"publicKey": regexp.MustCompile(`^[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^[:cntrl:]]*)?$`),
	"storePath": regexp.MustCompile(`^/[A-Za-z0-9._/+?=-]+$`),
	"system":    regexp.MustCompile(`^[a-z0-9_]+-[a-z0-9]+$`),
	"user":      regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`),
	"ref":       regexp.MustCompile(`^[A-Za-z0-9_@+][A-Za-z0-9_./#@+%=,-]*$`),
}

// FuzzParse checks that a parsed name needs no quotes anywhere, and is parsed to
// itself: a name has one spelling.
func FuzzParse(f *testing.F) {
	for _, of := range tables(f) {
		for _, examples := range []map[string]string{of.Accepted, of.Refused, of.GoOnly} {
			for _, in := range examples {
				f.Add(in)
			}
		}
		for _, in := range of.Spelled {
			f.Add(in[0])
		}
	}
	for _, seed := range []string{"XN--0.pt", "0x1", "☃.net.", "ﬀ.test", "⒈com", "İ.test", "K.test", "fe80::1%1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for kind, parse := range parsers {
			got, err := parse(in)
			if err != nil {
				continue
			}
			if again, err := parse(got); err != nil || again != got {
				t.Errorf("%s: %q became %q, which became %q, %v", kind, in, got, again, err)
			}
			if !word[kind].MatchString(got) {
				t.Errorf("%s: %q became %q, which is not one plain word", kind, in, got)
			}
			checkFileName(t, kind, got)
			// Names of the other kinds have one spelling.
			if got != in && !slices.Contains([]string{"address", "host", "publicKey"}, kind) {
				t.Errorf("%s: %q became %q", kind, in, got)
			}
			if kind == "host" {
				for _, spelling := range []string{strings.ToUpper(got), got + "."} {
					if again, err := parse(spelling); err != nil || again != got {
						t.Errorf("%q became %q, but %q became %q, %v", in, got, spelling, again, err)
					}
				}
			}
		}
	})
}

// checkFileName checks that a file can have this name; of a path, each part.
func checkFileName(t *testing.T, kind, name string) {
	parts := []string{name}
	switch kind {
	case "plainPath", "storePath":
		parts = strings.Split(name, "/")[1:]
	case "publicKey":
		return
	case "ref":
		parts = strings.Split(name, "/")
	}
	for _, part := range parts {
		if part == "" || part == "." || part == ".." || kind != "plainPath" && len(part) > 255 || strings.ContainsAny(part, "/\x00") {
			t.Errorf("%s: %q cannot be the name of a file", kind, part)
		}
	}
}

const (
	addressForms = "testdata/addressForms.json"
	userNames    = "testdata/userName.json"

	reservedNames = "testdata/reserved.json"
)

// TestIsReserved reads the table that nix/tests/json.nix holds nix/lib/json.nix
// against.
func TestIsReserved(t *testing.T) {
	data, err := os.ReadFile(reservedNames)
	if err != nil {
		t.Fatal(err)
	}
	var table struct{ Free, Reserved map[string]string }
	if err := json.Unmarshal(data, &table); err != nil || len(table.Free) == 0 || len(table.Reserved) == 0 {
		t.Fatal(table, err)
	}
	for want, examples := range map[bool]map[string]string{false: table.Free, true: table.Reserved} {
		for reason, name := range examples {
			if got := names.IsReserved(name); got != want {
				t.Errorf("%s: %q is reserved: %v", reason, name, got)
			}
		}
	}
}

// TestUserName holds UserName against the table that nix/tests/names.nix holds
// nix/lib/names.nix against.
func TestUserName(t *testing.T) {
	data, err := os.ReadFile(userNames)
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ Organisation, Project, Environment, UserName string }
	if err := json.Unmarshal(data, &cases); err != nil || len(cases) == 0 {
		t.Fatal(len(cases), err)
	}
	for _, c := range cases {
		if got := names.UserName(c.Organisation, c.Project, c.Environment); got != c.UserName {
			t.Errorf("%s/%s/%s is %q, not %q", c.Organisation, c.Project, c.Environment, got, c.UserName)
		}
	}
}

// TestAddressForms holds what programs are given for an address against the table
// that nix/tests/address.nix holds nix/lib/address.nix against.
func TestAddressForms(t *testing.T) {
	data, err := os.ReadFile(addressForms)
	if err != nil {
		t.Fatal(err)
	}
	var forms map[string]struct{ Address, Node, SSH, Deploy string }
	if err := json.Unmarshal(data, &forms); err != nil || len(forms) == 0 {
		t.Fatalf("%d forms: %v", len(forms), err)
	}
	for reason, want := range forms {
		a, err := names.ParseAddress(want.Address)
		if err != nil || a.SSH() != want.SSH || a.Deploy(want.Node) != want.Deploy {
			t.Errorf("%s: got %q, %q, %v; want %q, %q", reason, a.SSH(), a.Deploy(want.Node), err, want.SSH, want.Deploy)
		}
	}
}
