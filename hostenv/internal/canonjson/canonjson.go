// Package canonjson reads JSON strictly and writes it canonically.
//
// The documents of hostenv-provider (inventory.json, state.json, plan.json) are
// reviewed and merged by people and decide about users and certificates, so
// nothing about them may be guessed. [Decode] refuses what other decoders let
// pass: duplicate keys, anything after the document, invalid UTF-8, lone
// surrogates, NUL characters, integers beyond 64 bits, numbers that are not
// finite. What it accepts, Nix's builtins.fromJSON reads alike. [Encode] gives
// the same value the same bytes: keys sorted by byte, two spaces, no HTML
// escapes, a final newline.
//
// A value is one of map[string]any, []any, string, bool, nil, int64 and
// float64. A number without fraction and exponent is an int64, as Nix has it;
// the two kinds are kept apart in both directions.
package canonjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth bounds nesting. hostenv's documents are some ten levels deep; a
// bound well below the decoder's own keeps hostile input off the stack.
const maxDepth = 200

// A SyntaxError tells where and why text is no document of ours.
type SyntaxError struct {
	Line, Column int    // counted from 1; the column in bytes
	Pointer      string // RFC 6901 pointer of the value at fault, "" for the whole
	Problem      string // what is wrong
	Remedy       string // what mends it
}

func (e *SyntaxError) Error() string {
	at := fmt.Sprintf("line %d, column %d", e.Line, e.Column)
	if p := e.Pointer; len(p) > 200 {
		at += ", at " + p[:100] + " ... " + p[len(p)-20:]
	} else if p != "" {
		at += ", at " + p
	}
	return at + ": " + e.Problem
}

// Hint says what mends the text.
func (e *SyntaxError) Hint() string { return e.Remedy }

// Decode reads the one document that data is. Its error is a *SyntaxError.
func Decode(data []byte) (any, error) {
	if err := refuseMarkers(data); err != nil {
		return nil, err
	}
	d := decoder{data: data, dec: jsontext.NewDecoder(bytes.NewBuffer(data))}
	v, err := d.value(0)
	if err == nil {
		_, err = d.dec.ReadToken()
		if errors.Is(err, io.EOF) {
			return v, nil
		}
		if err == nil {
			err = d.problem("there is more text after the end of the document", "remove what follows the last closing brace")
		}
	}
	return nil, d.located(err)
}

type decoder struct {
	data []byte
	dec  *jsontext.Decoder
}

func (d *decoder) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, d.problem(fmt.Sprintf("nested deeper than %d levels", maxDepth), "this is no document that hostenv made")
	}
	tok, err := d.dec.ReadToken()
	if err != nil {
		return nil, err
	}
	switch tok.Kind() {
	case jsontext.KindNull:
		return nil, nil
	case jsontext.KindTrue, jsontext.KindFalse:
		return tok.Bool(), nil
	case jsontext.KindString:
		return d.text(tok)
	case jsontext.KindNumber:
		return d.number(tok.String())
	case jsontext.KindBeginArray:
		list := []any{}
		for d.dec.PeekKind() != jsontext.KindEndArray {
			v, err := d.value(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.dec.ReadToken()
		return list, err
	default: // the decoder gives no other token where a value is due than '{'
		object := map[string]any{}
		for d.dec.PeekKind() != jsontext.KindEndObject {
			tok, err := d.dec.ReadToken()
			if err != nil {
				return nil, err
			}
			key, err := d.text(tok)
			if err != nil {
				return nil, err
			}
			if object[key], err = d.value(depth + 1); err != nil {
				return nil, err
			}
		}
		_, err := d.dec.ReadToken()
		return object, err
	}
}

func (d *decoder) text(tok jsontext.Token) (string, error) {
	s := tok.String()
	if strings.IndexByte(s, 0) >= 0 {
		return "", d.problem("a string holds a NUL character", "remove the \\u0000: Nix cannot hold it")
	}
	return s, nil
}

func (d *decoder) number(literal string) (any, error) {
	if !strings.ContainsAny(literal, ".eE") {
		n, err := strconv.ParseInt(literal, 10, 64)
		if err != nil {
			return nil, d.problem("the integer "+literal+" does not fit 64 bits", "write a smaller number, or a string")
		}
		return n, nil
	}
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil || math.IsInf(f, 0) {
		return nil, d.problem("the number "+literal+" is too large", "write a smaller number, or a string")
	}
	return f, nil
}

// problem is an error at the token that was read last.
func (d *decoder) problem(problem, remedy string) error {
	e := &SyntaxError{Pointer: string(d.dec.StackPointer()), Problem: problem, Remedy: remedy}
	e.Line, e.Column = position(d.data, d.dec.InputOffset())
	return e
}

// located turns the decoder's own errors into ours.
func (d *decoder) located(err error) error {
	var ours *SyntaxError
	if errors.As(err, &ours) {
		return ours
	}
	e := &SyntaxError{Problem: err.Error(), Remedy: "restore the file from git, or mend it by hand"}
	offset := d.dec.InputOffset()
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		offset = syntactic.ByteOffset
		e.Pointer = string(syntactic.JSONPointer)
		if syntactic.Err != nil {
			e.Problem = syntactic.Err.Error()
		}
	}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		e.Problem = "the key stands twice"
		e.Remedy = "keep one of the two; a merge may have left both"
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		offset = int64(len(d.data))
		e.Problem = "the text ends in the middle of the document"
		if len(bytes.TrimSpace(d.data)) == 0 {
			e.Problem = "the file is empty"
		}
		e.Remedy = "restore the file from git: a part of it is lost"
	case bytes.HasPrefix(d.data, []byte("\xef\xbb\xbf")):
		e.Remedy = "remove the byte order mark at the start of the file"
	}
	e.Line, e.Column = position(d.data, offset)
	return e
}

// refuseMarkers looks for what an unfinished git merge leaves, because the
// decoder's own words about a '<' would not help anybody.
func refuseMarkers(data []byte) error {
	if !bytes.Contains(data, []byte("<<<<<<<")) && !bytes.Contains(data, []byte(">>>>>>>")) {
		return nil
	}
	line := 0
	for text := range bytes.Lines(data) {
		line++
		for _, marker := range []string{"<<<<<<<", "|||||||", "=======", ">>>>>>>"} {
			if bytes.HasPrefix(text, []byte(marker)) {
				return &SyntaxError{
					Line: line, Column: 1,
					Problem: "a git conflict marker (" + marker + ") stands in the file",
					Remedy:  "take one side whole (git checkout --ours or --theirs), then run `mage plan` again to redo the other side's changes",
				}
			}
		}
	}
	return nil
}

func position(data []byte, offset int64) (line, column int) {
	before := data[:max(0, min(int64(len(data)), offset))]
	return bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n')
}

// Kind names the type of a decoded value, with its article, for errors.
func Kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a number with a fraction or an exponent"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	default:
		return fmt.Sprintf("a %T", v)
	}
}

// Encode writes v, which must be made of the types of the package comment or
// of int, []string and map[string]string, canonically. It panics at any other
// type, for that is a mistake in the program, not in its input.
func Encode(v any) []byte {
	return append(appendValue(nil, v, 0), '\n')
}

func appendValue(dst []byte, v any, depth int) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case float64:
		return appendFloat(dst, v)
	case string:
		return appendString(dst, v)
	case []string:
		return appendList(dst, v, depth)
	case []any:
		return appendList(dst, v, depth)
	case map[string]string:
		return appendObject(dst, v, depth)
	case map[string]any:
		return appendObject(dst, v, depth)
	default:
		panic(fmt.Sprintf("canonjson: a %T is no JSON value", v))
	}
}

func appendList[E any](dst []byte, list []E, depth int) []byte {
	if len(list) == 0 {
		return append(dst, "[]"...)
	}
	dst = append(dst, '[')
	for i, v := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendNewline(dst, depth+1)
		dst = appendValue(dst, v, depth+1)
	}
	dst = appendNewline(dst, depth)
	return append(dst, ']')
}

func appendObject[E any](dst []byte, object map[string]E, depth int) []byte {
	if len(object) == 0 {
		return append(dst, "{}"...)
	}
	keys := make([]string, 0, len(object))
	for key := range object {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	dst = append(dst, '{')
	for i, key := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendNewline(dst, depth+1)
		dst = appendString(dst, key)
		dst = append(dst, ": "...)
		dst = appendValue(dst, object[key], depth+1)
	}
	dst = appendNewline(dst, depth)
	return append(dst, '}')
}

func appendNewline(dst []byte, depth int) []byte {
	dst = append(dst, '\n')
	for range depth {
		dst = append(dst, ' ', ' ')
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	quoted, err := jsontext.AppendQuote(dst, s)
	if err != nil {
		panic(fmt.Sprintf("canonjson: %q is not UTF-8", s))
	}
	return quoted
}

// appendFloat keeps a float a float: Nix tells 1 and 1.0 apart.
func appendFloat(dst []byte, f float64) []byte {
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'g', -1, 64)
	if !bytes.ContainsAny(dst[start:], ".e") {
		dst = append(dst, ".0"...)
	}
	return dst
}
