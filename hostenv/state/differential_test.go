package state_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// differential reads pairs of documents with builtins.fromJSON: one as it stands
// in the file, the other as our encoder writes it. `same` compares the two with
// Nix's ==, which is exact for floats; old versions of Nix print only six digits of
// them. `kinds` has the types, because 1 == 1.0. `value` is for our comparison.
const differential = `
let
  kinds = v:
    if builtins.isAttrs v then builtins.mapAttrs (_: kinds) v
    else if builtins.isList v then map kinds v
    else builtins.typeOf v;
  read = { document, encoded }:
    let a = builtins.fromJSON document; b = builtins.fromJSON encoded; in
    { same = a == b; kinds = kinds a; value = builtins.toJSON a; };
in map read (builtins.fromJSON (builtins.readFile ./documents.json))
`

// TestDifferential checks that Go and Nix read state.json alike: each document
// that Decode accepts, what Encode writes for it, and the canonical bytes of both.
func TestDifferential(t *testing.T) {
	binaries := testenv.NixBinaries(t)
	documents := append(oddDocuments(), generatedDocuments(rand.New(rand.NewSource(1)), 400)...)
	for _, document := range documents {
		s, err := state.Decode([]byte(document))
		if err != nil {
			t.Fatalf("refused: %v\n%s", err, document)
		}
		documents = append(documents, string(s.Encode()))
	}
	type pair struct {
		Document string `json:"document"`
		Encoded  string `json:"encoded"`
	}
	pairs := make([]pair, len(documents))
	for i, document := range documents {
		v, err := canonjson.Decode([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		pairs[i] = pair{document, string(canonjson.Encode(v))}
	}
	list, err := json.Marshal(pairs)
	if err != nil {
		t.Fatal(err)
	}
	for _, nix := range binaries {
		t.Run(nix, func(t *testing.T) {
			var read []struct {
				Same  bool
				Kinds any
				Value string
			}
			evalNix(t, nix, list, &read)
			for i, r := range read {
				if !r.Same {
					t.Errorf("Nix reads two values:\n%s\n%s", documents[i], pairs[i].Encoded)
				}
				ours, err := canonjson.Decode([]byte(documents[i]))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(kinds(ours), r.Kinds); diff != "" {
					t.Errorf("kinds of values of %s:\n%s", documents[i], diff)
				}
				theirs, err := canonjson.Decode([]byte(r.Value))
				if err != nil {
					t.Fatalf("builtins.toJSON gave %q: %v", r.Value, err)
				}
				if diff := cmp.Diff(floats(ours), floats(theirs), cmpopts.EquateApprox(1e-5, 0)); diff != "" {
					t.Errorf("values of %s:\n%s", documents[i], diff)
				}
			}
			t.Logf("%s reads %d documents alike", nix, len(read))
		})
	}
}

func evalNix(t *testing.T, nix string, documents []byte, into any) {
	dir := testenv.NixDir(t)
	for name, text := range map[string][]byte{"documents.json": documents, "differential.nix": []byte(differential)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(nix, "eval", "--json", "--file", "differential.nix")
	cmd.Dir, cmd.Env = dir, testenv.NixEnv(dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatal(err)
	}
}

// kinds returns the types of values, by Nix's names.
func kinds(v any) any {
	switch v := v.(type) {
	case map[string]any:
		of := make(map[string]any, len(v))
		for key, v := range v {
			of[key] = kinds(v)
		}
		return of
	case []any:
		of := make([]any, len(v))
		for i, v := range v {
			of[i] = kinds(v)
		}
		return of
	case string:
		return "string"
	case bool:
		return "bool"
	case int64:
		return "int"
	case float64:
		return "float"
	default:
		return "null"
	}
}

// floats converts small integers to floats, because old versions of Nix print 1.0
// as 1. The test compares the types separately.
func floats(v any) any {
	switch v := v.(type) {
	case map[string]any:
		of := make(map[string]any, len(v))
		for key, v := range v {
			of[key] = floats(v)
		}
		return of
	case []any:
		of := make([]any, len(v))
		for i, v := range v {
			of[i] = floats(v)
		}
		return of
	case int64:
		if v > -1<<31 && v < 1<<31 {
			return float64(v)
		}
		return v
	default:
		return v
	}
}

// oddDocuments returns states with an unknown field "odd", whose values some
// readers of JSON read differently.
func oddDocuments() []string {
	documents := []string{legacy, canonical, `{"_description": "\u0009\u2028\u007f\ud83d\ude00"}`}
	for _, odd := range []string{
		`0`, `-0`, `1`, `-1`, `1002`, `9223372036854775807`, `-9223372036854775808`, `2147483648`, `9007199254740993`,
		`0.0`, `-0.0`, `1.0`, `0.1`, `1e0`, `1E+2`, `1e-7`, `1.7976931348623157e308`, `2.2250738585072014e-308`, `5e-324`,
		`123456789.125`, `1e15`, `1e16`, `1e17`, `1e21`, `1e22`, `3.141592653589793`, `100000000000000000000.0`,
		`""`, `" "`, `"a\"b\\c\/d"`, `"\b\f\n\r\t"`, `"\u0001\u001f"`, `"\u007f"`, "\"\x7f\"", `"\u0080"`, `"\u2028\u2029"`, "\"\u2028\u2029\"",
		`"\ud83d\ude00"`, `"😀"`, `"\uffff\ufffe"`, `"\ufeff"`, `"\ufffd"`, `"${x} ''"`, `"<&>"`, `"<<<<<<< HEAD"`, `"\u00e9e\u0301"`,
		`null`, `true`, `false`, `[]`, `{}`, `[[[[]]]]`, `[null, {"": ""}]`, `{"a.b": {"\"": 1}, "x y": 1, "-": {}}`,
		`{"ä": 1, "Z": 2, "z": 3, "😀": 4, "\uffee": 5}`,
	} {
		documents = append(documents, fmt.Sprintf(`{"a": {"odd": {"is": %s}, "userName": "a", "uid": 1002, "virtualHosts": []}}`, odd))
	}
	return documents
}

// generatedDocuments returns random states with random unknown fields, with random
// blanks, escapes and order of keys.
func generatedDocuments(r *rand.Rand, n int) []string {
	documents := make([]string, n)
	for i := range documents {
		var members []string
		for j := range r.Intn(4) {
			user := fmt.Sprintf("u%d", j)
			fields := []string{
				fmt.Sprintf(`"userName":%s"%s"`, blank(r), user),
				fmt.Sprintf(`"uid":%s%d`, blank(r), 1002+j+4*r.Intn(5000)),
				fmt.Sprintf(`"node": "n%d"`, r.Intn(3)),
				fmt.Sprintf(`"virtualHosts": [%s"%s.test", "WWW.%s.TEST"]`, blank(r), user, user),
			}
			for k := range r.Intn(4) {
				fields = append(fields, fmt.Sprintf(`"odd%d"%s:%s`, k, blank(r), value(r, 0)))
			}
			r.Shuffle(len(fields), func(a, b int) { fields[a], fields[b] = fields[b], fields[a] })
			members = append(members, fmt.Sprintf(`"%s":%s{%s}`, user, blank(r), strings.Join(fields, ","+blank(r))))
		}
		members = append(members, `"_description": "-`+text(r)[1:])
		documents[i] = blank(r) + "{" + strings.Join(members, blank(r)+",") + "}" + blank(r)
	}
	return documents
}

func blank(r *rand.Rand) string { return []string{"", "", " ", "\n", "\r\n\t"}[r.Intn(5)] }

func value(r *rand.Rand, depth int) string {
	kind := r.Intn(8)
	if depth > 3 {
		kind = r.Intn(6)
	}
	switch kind {
	case 0:
		return []string{"null", "true", "false"}[r.Intn(3)]
	case 1:
		return fmt.Sprint(r.Int63() >> r.Intn(63))
	case 2:
		return fmt.Sprint(-(r.Int63() >> r.Intn(63)))
	case 3:
		f := r.NormFloat64() * math.Pow(10, float64(r.Intn(40)-20))
		return fmt.Sprintf([]string{"%e", "%.3f", "%.17e"}[r.Intn(3)], f)
	case 4, 5:
		return text(r)
	case 6:
		items := make([]string, r.Intn(4))
		for i := range items {
			items[i] = value(r, depth+1)
		}
		return "[" + strings.Join(items, ","+blank(r)) + "]"
	default:
		items := make([]string, r.Intn(4))
		for i := range items {
			items[i] = fmt.Sprintf(`"%d%s:%s`, i, text(r)[1:], value(r, depth+1))
		}
		return "{" + strings.Join(items, ","+blank(r)) + "}"
	}
}

// text returns a random string of JSON. It escapes random characters.
func text(r *rand.Rand) string {
	runes := []rune{'a', 'Z', ' ', '"', '\\', '/', '\n', '\t', 1, 0x1f, 0x7f, 0x80, 'é', 'ß', 0x301, 0x2028, 0xfffd, 0xffff, '😀', 0x10ffff, '$', '{', '<'}
	var b strings.Builder
	b.WriteByte('"')
	for range r.Intn(8) {
		c := runes[r.Intn(len(runes))]
		switch {
		case c > 0xffff && r.Intn(2) == 0:
			fmt.Fprintf(&b, `\u%04x\u%04X`, 0xd800+(c-0x10000)>>10, 0xdc00+(c-0x10000)&0x3ff)
		case c <= 0xffff && (c < ' ' || c == '"' || c == '\\' || r.Intn(3) == 0):
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
