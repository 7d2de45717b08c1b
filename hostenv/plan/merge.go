package plan

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// mergedDigest is the stateDigest of a plan that [Merge] made, and the digest of its
// serial if both branches had one of their own. It is the digest of no state, so the gate and the deploy refuse the plan until `mage plan` has made it anew.
const mergedDigest = "merged"

// Merge returns the plans of two branches together. base is the plan where they part,
// empty if there is none.
//
// The result is for `mage plan` to begin with: it has the locked sources and the
// decisions of the DNS gate of both branches, member by member. If both changed a
// member, each to another value, it is that of the branch earlier; but the serial is
// one that the next plan raises above those of both. No other target takes the result:
// [CheckFresh] refuses it.
//
// The error holds the mistakes of each text that is not a plan of this format.
func Merge(base, earlier, later []byte) ([]byte, error) {
	var errs problem.List
	read := func(text []byte) (jsontext.Value, Serial) {
		document, err := DecodeDocument(text)
		if err != nil {
			errs.Add(err)
			return nil, Serial{}
		}
		v, err := canonjson.Parse(text)
		errs.Add(err)
		return v, document.Serial
	}
	var origin jsontext.Value
	var first Serial
	if len(bytes.TrimSpace(base)) > 0 {
		origin, first = read(base)
	}
	a, one := read(earlier)
	b, another := read(later)
	if err := errs.Err(); err != nil {
		return nil, err
	}
	if bytes.Equal(a, b) {
		return canonjson.Encode(a), nil
	}
	merged, _ := canonjson.ObjectOf(mergeValues(origin, a, b))
	if !one.is(another) && !one.is(first) && !another.is(first) {
		// Nodes may have either plan: the next one is above both.
		serial := Serial{Digest: mergedDigest, Number: max(one.Number, another.Number)}
		merged = merged.With("serial", canonjson.Marshal(serial))
	}
	return canonjson.Encode(merged.With("stateDigest", canonjson.Marshal(mergedDigest)).Value()), nil
}

// mergeValues merges canonical values. A value without bytes is no member.
func mergeValues(base, a, b jsontext.Value) jsontext.Value {
	switch {
	case bytes.Equal(a, b), bytes.Equal(b, base):
		return a
	case bytes.Equal(a, base):
		return b
	}
	inA, isA := canonjson.ObjectOf(a)
	inB, isB := canonjson.ObjectOf(b)
	switch {
	case len(a) == 0: // one branch removed what the other changed
		return b
	case !isA || !isB:
		return a
	}
	inBase, _ := canonjson.ObjectOf(base)
	merged := canonjson.Object{}
	for len(inA) > 0 || len(inB) > 0 {
		name := ""
		if len(inB) == 0 || len(inA) > 0 && inA[0].Name <= inB[0].Name {
			name = inA[0].Name
		} else {
			name = inB[0].Name
		}
		var one, other jsontext.Value
		if len(inA) > 0 && inA[0].Name == name {
			one, inA = inA[0].Value, inA[1:]
		}
		if len(inB) > 0 && inB[0].Name == name {
			other, inB = inB[0].Value, inB[1:]
		}
		if v := mergeValues(inBase.Get(name), one, other); len(v) > 0 {
			merged = append(merged, canonjson.Member{Name: name, Value: v})
		}
	}
	return merged.Value()
}
