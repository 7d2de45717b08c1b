// Package canonjson reads JSON strictly and writes it canonically.
//
// The documents of hostenv-provider (inventory.json, state.json, plan.json) are
// reviewed and merged by people and decide about users and certificates, so
// nothing about them may be guessed. [Parse] refuses what other decoders let
// pass: duplicate keys, text after the document, invalid UTF-8, lone
// surrogates, NUL characters, integers beyond 64 bits, numbers that are not
// finite. What it accepts, Nix's builtins.fromJSON reads alike. [Encode] gives
// the same value the same bytes: keys sorted by byte, two spaces, no HTML
// escapes, a final newline.
//
// A value in memory is one of three:
//   - a jsontext.Value in compact canonical form, as Parse returns it and
//     [Marshal] makes it: what is only carried, read by [Object], [Text] and
//     their like
//   - a struct that [Unmarshal] fills, with an Object for the members that it
//     does not name
//   - a tree of map[string]any, []any, string, bool, nil, int64 and float64,
//     which [Decode] makes
//
// A number without fraction and exponent is an integer, as in Nix; the two kinds
// are kept apart in both directions.
package canonjson

// Decode reads the one document that data is into a tree. Its error is a
// *SyntaxError.
func Decode(data []byte) (any, error) {
	v, err := Parse(data)
	if err != nil {
		return nil, err
	}
	return Tree(v), nil
}
