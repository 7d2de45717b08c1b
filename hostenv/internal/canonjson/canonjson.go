// Package canonjson reads JSON strictly and writes it canonically.
//
// People review and merge the documents of hostenv-provider (inventory.json,
// state.json, plan.json), which decide about users and certificates. So each
// document must have exactly one meaning. [Parse] refuses text that other decoders
// accept: duplicate keys, text after the document, invalid UTF-8, lone surrogates,
// NUL characters, integers beyond 64 bits, numbers that are not finite. Nix's
// builtins.fromJSON gives every accepted text the same meaning. [Encode] writes
// equal values as equal bytes: keys sorted by byte, two spaces, no HTML escapes, a
// final newline.
//
// A value in memory is one of three:
//   - a jsontext.Value in compact canonical form, from Parse or [Marshal], for
//     values that we only copy; [Object], [Text] and similar functions read it
//   - a struct that [Read] fills, with an Object for the members that it does not
//     name
//   - a tree of map[string]any, []any, string, bool, nil, int64 and float64,
//     which [Decode] makes
//
// A number without fraction and exponent is an integer, as in Nix. Reading and
// writing keep integers and floats apart.
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
