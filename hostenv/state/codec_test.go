package state_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// legacy is what the legacy generator wrote, with a note added by hand, and
// host names as the projects spelled them.
const legacy = `{
  "_description": "Persistent state to retain across deployments. Should be committed to version control.\n",
  "site-main-b7ea262": {
    "node": "node-a",
    "uid": 1002,
    "userName": "site-main-b7ea262",
    "virtualHosts": ["WWW.Acme.test", "acme.test.", "bücher.test", "www.acme.test"]
  },
  "site-staging-d6e4934": {"note": {"kept": [1, 2.50, null, "<&>"]}, "node": "node-b", "uid": 1003, "userName": "site-staging-d6e4934", "virtualHosts": []}
}
`

// canonical is the state after a plan on legacy in which main has another node,
// staging is no longer in the inputs, and a shop is new.
const canonical = `{
  "_description": "UIDs and host names of every environment that was ever planned. Written by ` + "`mage plan` and `mage state:prune`" + `; commit it, and never delete an entry: a UID that is used twice gives one customer the files of another.",
  "_lastAllocated": {
    "uid": 1004,
    "userName": "shop-main-4f7240c",
    "virtualHosts": []
  },
  "shop-main-4f7240c": {
    "environment": "main",
    "node": "node-a",
    "organisation": "acme",
    "project": "shop",
    "uid": 1004,
    "userName": "shop-main-4f7240c",
    "virtualHosts": [
      "shop.acme.test"
    ]
  },
  "site-main-b7ea262": {
    "deployedNode": "node-a",
    "environment": "main",
    "node": "node-b",
    "organisation": "acme",
    "project": "site",
    "uid": 1002,
    "userName": "site-main-b7ea262",
    "virtualHosts": [
      "acme.test",
      "www.acme.test",
      "xn--bcher-kva.test"
    ]
  },
  "site-staging-d6e4934": {
    "deployedNode": "node-b",
    "environment": "staging",
    "node": "node-b",
    "note": {
      "kept": [
        1,
        2.5,
        null,
        "<&>"
      ]
    },
    "organisation": "acme",
    "project": "site",
    "retired": true,
    "uid": 1003,
    "userName": "site-staging-d6e4934",
    "virtualHosts": []
  }
}
`

func acme(project, environment, node string, hosts ...string) state.Claim {
	return state.Claim{
		UserName:     hostenvName("acme", project, environment),
		Organisation: "acme", Project: project, Environment: environment, Node: node, VirtualHosts: hosts,
	}
}

func TestCanonicalBytes(t *testing.T) {
	before := decode(t, legacy)
	step := next(t, before, request(
		acme("site", "main", "node-b", "xn--bcher-kva.test", "www.acme.test", "acme.test"),
		acme("shop", "main", "node-a", "shop.acme.test"),
	))
	if diff := cmp.Diff(canonical, string(step.State.Encode())); diff != "" {
		t.Fatal(diff)
	}
	same(t, "Decode reads another state than Encode wrote", step.State, decode(t, canonical))
	if got, want := decode(t, canonical).Digest(), step.State.Digest(); got != want {
		t.Errorf("one state, two digests: %s and %s", got, want)
	}
	if before.Digest() == step.State.Digest() {
		t.Error("two states, one digest")
	}
	if diff := cmp.Diff(legacyNormal, string(before.Encode())); diff != "" {
		t.Errorf("a legacy state before its first plan:\n%s", diff)
	}
}

const legacyNormal = `{
  "_description": "Persistent state to retain across deployments. Should be committed to version control.\n",
  "site-main-b7ea262": {
    "node": "node-a",
    "uid": 1002,
    "userName": "site-main-b7ea262",
    "virtualHosts": [
      "acme.test",
      "www.acme.test",
      "xn--bcher-kva.test"
    ]
  },
  "site-staging-d6e4934": {
    "node": "node-b",
    "note": {
      "kept": [
        1,
        2.5,
        null,
        "<&>"
      ]
    },
    "uid": 1003,
    "userName": "site-staging-d6e4934",
    "virtualHosts": []
  }
}
`

func TestNewIsValid(t *testing.T) {
	s := decode(t, `{"_description": "nothing yet"}`)
	if len(s.Entries) != 0 || s.HighestUID() != 0 {
		t.Errorf("not empty: %v", s)
	}
	same(t, "New does not survive a save", state.New(), decode(t, string(state.New().Encode())))
}

// Decode refuses a truncated file, whichever byte is its last.
func TestEveryPrefixIsRefused(t *testing.T) {
	for n := range len(canonical) - 1 { // without the final newline it is whole
		_, err := state.Decode([]byte(canonical[:n]))
		var syntax *canonjson.SyntaxError
		if !errors.As(err, &syntax) {
			t.Fatalf("the first %d bytes: %v", n, err)
		}
		hint(t, err)
	}
	decode(t, strings.TrimSuffix(canonical, "\n"))
}

// entry returns an entry as one line of JSON.
func entry(user string, uid int, hosts string) string {
	return fmt.Sprintf("%q: {\"userName\": %q, \"uid\": %d, \"node\": \"n1\", \"virtualHosts\": [%s]}", user, user, uid, hosts)
}

func document(lines ...string) string { return "{\n" + strings.Join(lines, ",\n") + "\n}\n" }

func TestDecodeRefuses(t *testing.T) {
	last := func(user string, uid int) string {
		return fmt.Sprintf(`"_lastAllocated": {"userName": %q, "uid": %d, "virtualHosts": []}`, user, uid)
	}
	a := entry("a", 1002, "")
	tests := []struct {
		reason, in string
		want       []string
	}{
		{"an empty state", `{}`, []string{"the state is empty, so new environments would get UIDs that others had before"}},
		{"an empty state with an empty description", `{"_description": ""}`, []string{"the state is empty, so new environments would get UIDs that others had before"}},
		{"a list", `[]`, []string{"the document is a list, not an object"}},
		{"null", `null`, []string{"the document is null, not an object"}},
		{"an entry that is a string", document(a, `"b": "1003"`), []string{`line 3: entry "b": is a string, not an object like {"userName", "uid", "node", "virtualHosts"}`}},
		{"an entry that is null", document(`"b": null`), []string{`line 2: entry "b": is null, not an object like {"userName", "uid", "node", "virtualHosts"}`}},
		{"an entry that is empty", document(`"b": {}`), []string{
			`line 2: entry "b": userName is missing`, `line 2: entry "b": uid is missing`, `line 2: entry "b": virtualHosts is missing`,
		}},
		{"a missing uid, which gjson reads as 0", document(a, `"b": {"userName": "b", "virtualHosts": []}`), []string{`line 3: entry "b": uid is missing`}},
		{"a uid of null, which the legacy generator passes on", document("\"b\": {\"userName\": \"b\",\n\"uid\": null, \"virtualHosts\": []}"), []string{`line 3: entry "b": uid is null, not an integer`}},
		{"a uid in quotes", document(`"b": {"userName": "b", "uid": "1003", "virtualHosts": []}`), []string{`line 2: entry "b": uid is a string, not an integer`}},
		{"a uid with a fraction", document(`"b": {"userName": "b", "uid": 1002.0, "virtualHosts": []}`), []string{`line 2: entry "b": uid is a number with a fraction or an exponent, not an integer`}},
		{"a uid with an exponent", document(`"b": {"userName": "b", "uid": 1e3, "virtualHosts": []}`), []string{`line 2: entry "b": uid is a number with a fraction or an exponent, not an integer`}},
		{"root", document(entry("b", 0, "")), []string{`line 2: entry "b": uid is 0, and UIDs below 1000 belong to the system`}},
		{"a uid of the system", document(entry("b", 999, "")), []string{`line 2: entry "b": uid is 999, and UIDs below 1000 belong to the system`}},
		{"a uid below zero", document(entry("b", -1002, "")), []string{`line 2: entry "b": uid is -1002, and UIDs below 1000 belong to the system`}},
		{"the kernel's overflow user", document(entry("b", 65534, "")), []string{`line 2: entry "b": uid is 65534, which the system reserves`}},
		{"no user, in 16 bits", document(entry("b", 65535, "")), []string{`line 2: entry "b": uid is 65535, which the system reserves`}},
		{"no user, in 32 bits", document(entry("b", 4294967295, "")), []string{`line 2: entry "b": uid is 4294967295, and the highest UID is 2147483647`}},
		{"a key that is not the user name", document("\"b\": {\n\"userName\": \"a\", \"uid\": 1002, \"virtualHosts\": []}"), []string{`line 3: entry "b": userName is "a", and the key of an entry is its user name`}},
		{"a user name that is a number", document(`"b": {"userName": 1002, "uid": 1002, "virtualHosts": []}`), []string{`line 2: entry "b": userName is an integer, not a string`}},
		{"a key that is not a user name", document(entry("B c", 1002, "")), []string{`line 2: entry "B c": is not a user name: it must be 1 to 31 of a-z, 0-9, - and _, with a letter or digit first`}},
		{"a note in the wrong place", document(a, `"_note": "hello"`), []string{`line 3: entry "_note": is a string, not an object like {"userName", "uid", "node", "virtualHosts"}`}},
		{"a description that is not a string", document(`"_description": 1`, a), []string{`line 2: entry "_description": is an integer, not a string`}},
		{"a node that is not a string", document(`"b": {"userName": "b", "uid": 1003, "node": null, "virtualHosts": []}`), []string{`line 2: entry "b": node is null, not a string`}},
		{"known fields of other types", document(`"b": {"userName": "b", "uid": 1003, "deployedNode": 1, "organisation": 1, "project": [], "environment": {}, "retired": "yes", "formerNames": ["../b", 1], "virtualHosts": []}`), []string{
			`line 2: entry "b": deployedNode is an integer, not a string`,
			`line 2: entry "b": environment is an object, not a string`,
			`line 2: entry "b": formerNames holds "../b": it must be 1 to 31 of a-z, 0-9, - and _, with a letter or digit first`,
			`line 2: entry "b": formerNames holds an integer, not a user name`,
			`line 2: entry "b": organisation is an integer, not a string`,
			`line 2: entry "b": project is a list, not a string`,
			`line 2: entry "b": retired is a string, not true or false`,
		}},
		{"host names that are not a list", document(`"b": {"userName": "b", "uid": 1003, "virtualHosts": {"a.test": {}}}`), []string{`line 2: entry "b": virtualHosts is an object, not a list of host names`}},
		{"a host name that is not a string", document(entry("b", 1003, `false`)), []string{`line 2: entry "b": virtualHosts holds a boolean, not a host name`}},
		{"invalid host names", document(entry("b", 1003, `"a..test", "192.0.2.1"`)), []string{
			`line 2: entry "b": virtualHosts holds "a..test": it has an empty label`,
			`line 2: entry "b": virtualHosts holds "192.0.2.1": its last label is a number, so programs read it as an IP address`,
		}},
		{"a merge of two branches that both allocated", document(a, entry("b", 1003, ""), entry("c", 1003, "")), []string{`the UID 1003 belongs to b and c (lines 3 and 4)`}},
		{"three entries, one UID", document(entry("x", 1003, ""), entry("b", 1003, ""), entry("c", 1003, "")), []string{`the UID 1003 belongs to b, c and x (lines 3, 4 and 2)`}},
		{"two owners of a name", document(entry("b", 1002, `"a.test"`), entry("c", 1003, `"b.test", "a.test"`)), []string{`the host name "a.test" belongs to b and c (lines 2 and 3)`}},
		{"two owners of a name in two spellings", document(entry("b", 1002, `"straße.test"`), entry("c", 1003, `"XN--STRAE-OQA.test."`)), []string{`the host name "xn--strae-oqa.test" belongs to b and c (lines 2 and 3)`}},
		{"the newest allocation is older than an entry", document(a, entry("b", 1003, ""), entry("c", 1004, ""), last("a", 1002)), []string{`line 5: entry "_lastAllocated": uid is 1002, but c has 1004`}},
		{"the newest allocation has another UID than its entry", document(a, last("a", 1003)), []string{`line 3: entry "_lastAllocated": uid is 1003, but its user a has 1002`}},
		{"the newest allocation is not an object", document(a, `"_lastAllocated": 1002`), []string{`line 3: entry "_lastAllocated": is an integer, not an object like {"userName", "uid", "node", "virtualHosts"}`}},
		{"the newest allocation without a uid", document(a, `"_lastAllocated": {"userName": "a", "virtualHosts": []}`), []string{`line 3: entry "_lastAllocated": uid is missing`}},
		{"the newest allocation has no user and no UID", document(a, last("", 0)), []string{`line 3: entry "_lastAllocated": is not an allocation: userName is "" and uid is 0`}},
		{"the newest allocation has no user", document(a, last("", 1002)), []string{`line 3: entry "_lastAllocated": is not an allocation: userName is "" and uid is 1002`}},
		{"the newest allocation has a UID of the system", document(`"_description": "x"`, last("a", 7)), []string{`line 3: entry "_lastAllocated": uid is 7, and UIDs below 1000 belong to the system`}},
		{"the newest allocation has an invalid user name", document(a, last("A B", 1002)), []string{`line 3: entry "_lastAllocated": userName is "A B": it must be 1 to 31 of a-z, 0-9, - and _, with a letter or digit first`}},
		{"the newest allocation has host names", document(a, `"_lastAllocated": {"userName": "a", "uid": 1002, "virtualHosts": ["a.test"]}`), []string{`line 3: entry "_lastAllocated": virtualHosts holds a.test, but only an environment can own host names`}},
		{"errors of every kind together", document(
			`"_description": []`,
			entry("a", 1002, `"a.test"`),
			entry("b", 1002, `"a.test"`),
			`"c": {"userName": "x", "uid": "1004", "virtualHosts": ["b_.test", "a.test"]}`,
			`"d": 7`,
			entry("e", 65534, ""),
			last("a", 1001),
		), []string{
			`line 2: entry "_description": is a list, not a string`,
			`line 5: entry "c": uid is a string, not an integer`,
			`line 5: entry "c": virtualHosts holds "b_.test": it is not a host name: idna: disallowed rune U+005F`,
			`line 6: entry "d": is an integer, not an object like {"userName", "uid", "node", "virtualHosts"}`,
			`line 5: entry "c": userName is "x", and the key of an entry is its user name`,
			`line 7: entry "e": uid is 65534, which the system reserves`,
			`the UID 1002 belongs to a and b (lines 3 and 4)`,
			`the host name "a.test" belongs to a, b and c (lines 3, 4 and 5)`,
			`line 8: entry "_lastAllocated": uid is 1001, but e has 65534`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			s, err := state.Decode([]byte(tt.in))
			if diff := cmp.Diff(tt.want, problems(t, err)); diff != "" {
				t.Errorf("%s\n%s", tt.in, diff)
			}
			if s.Entries != nil {
				t.Errorf("a refused file gave %v", s)
			}
		})
	}
}

// Decode refuses text that is not JSON. The tests of canonjson have the details.
func TestDecodeRefusesText(t *testing.T) {
	tests := []struct {
		reason, in string
		line       int
		want       string
	}{
		{"an empty file", "", 1, "the file is empty"},
		{"a file of blanks", "\n\n", 3, "the file is empty"},
		{"a file of NULs, as some file systems leave it", "\x00\x00\x00", 1, ""},
		{"two entries of one key: JSON decoders take the last", document(entry("a", 1002, ""), entry("a", 1003, "")), 3, "the key stands twice"},
		{"two UIDs in one entry", document("\"a\": {\"userName\": \"a\",\n\"uid\": 1002,\n\"uid\": 1003, \"virtualHosts\": []}"), 4, "the key stands twice"},
		{"an unfinished merge", document("<<<<<<< HEAD\n"+entry("a", 1002, ""), "=======\n"+entry("b", 1002, ""), ">>>>>>> branch\n"+entry("c", 1003, "")), 2, "a git conflict marker (<<<<<<<) stands in the file"},
		{"two states", canonical + canonical, 53, "there is more text after the end of the document"},
		{"one comma too many", document(entry("a", 1002, "") + ","), 2, ""},
		{"a uid of more than 64 bits", document(`"a": {"userName": "a", "uid": 18446744073709552618, "virtualHosts": []}`), 2, "the integer 18446744073709552618 does not fit 64 bits"},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			_, err := state.Decode([]byte(tt.in))
			var syntax *canonjson.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("got %v", err)
			}
			if hint(t, err); syntax.Line != tt.line || tt.want != "" && syntax.Problem != tt.want {
				t.Errorf("got %v; want line %d, %s", err, tt.line, tt.want)
			}
		})
	}
}

// The time to report errors is proportional to their number.
func TestDecodeManyErrors(t *testing.T) {
	const n = 5000
	lines := make([]string, n)
	for i := range lines {
		lines[i] = entry(fmt.Sprintf("u%d", i), 1002, `"a.test", "b_"`)
	}
	_, err := state.Decode([]byte(document(lines...)))
	all := problem.Leaves(err)
	if len(all) != n+2 {
		t.Errorf("%d errors of %d", len(all), n+2)
	}
	// Users are sorted: "u0" on line 2, "u1" on line 3, "u10" on line 12.
	duplicate := slices.IndexFunc(all, func(err error) bool { return strings.HasPrefix(err.Error(), "the UID 1002 belongs to u0, u1, ") })
	if duplicate < 0 || !strings.Contains(all[duplicate].Error(), " (lines 2, 3, 12, 102, 1002,") {
		t.Error("the error does not have the lines of the file")
	}
}

// FuzzDecode checks that an accepted state is valid, that writing and reading it
// gives the same state and the same bytes, and that every error has a hint.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		legacy, canonical, `{"_description":"x"}`, `{}`, document(entry("a", 1002, `"*.a.test"`), entry("b", 1003, "")),
		document(`"a": {"userName":"a","uid":1002,"virtualHosts":[],"retired":false,"organisation":"","x":{"y":[-0.0,1e400,5e-324,"\ud83d\ude00"]}}`),
		document(entry("a", 1002, ""), `"_lastAllocated": {"userName":"b","uid":2000,"virtualHosts":[],"x":1}`),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := state.Decode(data)
		if err != nil {
			hint(t, err)
			return
		}
		if err := s.Validate(); err != nil {
			t.Fatalf("decoded, but not valid: %v", err)
		}
		encoded := s.Encode()
		again, err := state.Decode(encoded)
		if err != nil {
			t.Fatalf("Decode refuses what Encode wrote: %v\n%s", err, encoded)
		}
		if diff := cmp.Diff(s, again, cmp.AllowUnexported(state.Entry{})); diff != "" {
			t.Errorf("another state after a save:\n%s", diff)
		}
		if diff := cmp.Diff(string(encoded), string(again.Encode())); diff != "" {
			t.Errorf("two spellings of one state:\n%s", diff)
		}
		v, err := canonjson.Decode(encoded)
		if err != nil || string(canonjson.Encode(v)) != string(encoded) {
			t.Errorf("not canonical: %v\n%s", err, encoded)
		}
	})
}
