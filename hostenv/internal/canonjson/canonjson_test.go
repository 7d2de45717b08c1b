package canonjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecode(t *testing.T) {
	tests := []struct {
		reason string
		in     string
		want   any
	}{
		{"an integer stays an integer", `1002`, int64(1002)},
		{"an integer written as a float is a float, as in Nix", `1002.0`, 1002.0},
		{"the largest integer", `9223372036854775807`, int64(math.MaxInt64)},
		{"minus zero is the integer zero", `-0`, int64(0)},
		{"a surrogate pair is one character", `"\ud83d\ude00"`, "😀"},
		{"empty collections are not nil", `{"a":[],"b":{}}`, map[string]any{"a": []any{}, "b": map[string]any{}}},
		{"space around the document has no effect", " \n[null, true]\t", []any{nil, true}},
		{"the empty key is a key", `{"":""}`, map[string]any{"": ""}},
		{"seven angle brackets in a string within a line are not a conflict", `{"a": "<<<<<<< HEAD"}`, map[string]any{"a": "<<<<<<< HEAD"}},
	}
	for _, tt := range tests {
		got, err := Decode([]byte(tt.in))
		if err != nil {
			t.Errorf("%s: %v", tt.reason, err)
		} else if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s:\n%s", tt.reason, diff)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	tests := []struct {
		reason, in, want string
	}{
		{"a duplicate key at the top", "{\n\"a\":1,\n\"a\":2}", "line 3, column 1, at /a: the key stands twice"},
		{"a duplicate key written with an escape", `{"a":1,"\u0061":2}`, "line 1, column 8, at /a: the key stands twice"},
		{"a duplicate key within", `{"u":{"uid":1,"uid":2}}`, "line 1, column 15, at /u/uid: the key stands twice"},
		{"a second document", `{} {}`, "line 1, column 5: there is more text after the end of the document"},
		{"text after the document", `{}x`, "line 1, column 3: "},
		{"an empty document", ``, "line 1, column 1: the file is empty"},
		{"only space", " \n", "line 2, column 1: the file is empty"},
		{"half a document", `{"a": [1, 2`, "line 1, column 12, at /a: the text ends in the middle of the document"},
		{"half a string", `{"a": "b`, "line 1, column 9, at /a: the text ends in the middle of the document"},
		{"a conflict", "{\n<<<<<<< HEAD\n\"a\": 1\n=======\n\"a\": 2\n>>>>>>> b\n}", "line 2, column 1: a git conflict marker (<<<<<<<) stands in the file"},
		{"the end of a conflict, its start removed", "{\n\"a\": 1\n=======\n\"a\": 2\n>>>>>>> b\n}", "line 3, column 1: a git conflict marker (=======) stands in the file"},
		{"an integer that Nix would turn into a float", `9223372036854775808`, "does not fit 64 bits"},
		{"a float that is infinite", `1e999`, "too large"},
		{"a lone surrogate", `"\ud800"`, "surrogate"},
		{"invalid UTF-8", "\"\xff\"", "UTF-8"},
		{"a NUL, which ends a string in Nix", `"a\u0000b"`, "NUL"},
		{"a byte order mark", "\xef\xbb\xbf{}", "line 1, column 1: "},
		{"a trailing comma", `{"a":1,}`, "line 1, column 7: "},
		{"a comment", "{} // x", "line 1, column 4: "},
		{"a leading zero", `01`, "more text after the end"},
		{"too deep", strings.Repeat("[", 300) + strings.Repeat("]", 300), "nested deeper than 200 levels"},
	}
	for _, tt := range tests {
		_, err := Decode([]byte(tt.in))
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%s: got %v, want a *SyntaxError", tt.reason, err)
			continue
		}
		if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %q, want %q in it", tt.reason, err, tt.want)
		}
		if syntax.Hint() == "" {
			t.Errorf("%s: %q has no hint", tt.reason, err)
		}
	}
}

func TestEncode(t *testing.T) {
	got := string(Encode(map[string]any{
		"b":    []any{"x<>&\u2028", int64(-1), 1.0, 0.5, 1e21, nil, true},
		"a":    map[string]any{},
		"A":    []string{"q\"\\\n\x01"},
		"name": map[string]string{"k": "v"},
		"zero": []any{},
		"int":  7,
	}))
	want := `{
  "A": [
    "q\"\\\n\u0001"
  ],
  "a": {},
  "b": [
    "x<>&\u2028",
    -1,
    1.0,
    0.5,
    1e+21,
    null,
    true
  ],
  "int": 7,
  "name": {
    "k": "v"
  },
  "zero": []
}
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzDecode checks that encoding/json accepts what Decode accepts, that Encode and
// Decode keep the value, and that the bytes of Encode depend only on the value.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"a":{"uid":1002,"x":[1.5,null]}}`, `[-0, 0.0, 1e2]`, `"\ud83d\ude00"`, `{"a":1,"a":2}`, "{\n<<<<<<< a\n}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Decode(data)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Line < 1 || syntax.Column < 1 || syntax.Remedy == "" {
				t.Fatalf("an error without place or remedy: %#v", err)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("Decode accepts %q, which is not JSON", data)
		}
		canonical := Encode(v)
		again, err := Decode(canonical)
		if err != nil {
			t.Fatalf("Encode gave %q: %v", canonical, err)
		}
		if diff := cmp.Diff(v, again); diff != "" {
			t.Fatal(diff)
		}
		if !bytes.Equal(canonical, Encode(again)) {
			t.Fatal("the same value has two encodings")
		}
	})
}
