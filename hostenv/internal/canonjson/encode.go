package canonjson

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Encode returns v in canonical form. v consists of the types of the package
// comment, of other integers, and of structs, pointers, slices, and maps by string
// of these. Encode panics at any other type: that is a mistake in the program, not
// in its input.
func Encode(v any) []byte { return append(appendValue(nil, v, 0), '\n') }

// Marshal returns v, of the types that Encode takes, in compact canonical form.
func Marshal(v any) jsontext.Value {
	if text, ok := v.(string); ok {
		return appendString(make([]byte, 0, len(text)+2), text)
	}
	return appendValue(nil, v, compact)
}

// roomy doubles a buffer that is nearly full: append makes a large one longer by
// only a quarter, and copies it each time.
func roomy(dst []byte) []byte {
	if cap(dst)-len(dst) < 512 && len(dst) > 128 {
		return slices.Grow(dst, len(dst)+512)
	}
	return dst
}

// compact, in place of a depth, leaves out line breaks and indentation.
const compact = -1

func below(depth int) int {
	if depth == compact {
		return compact
	}
	return depth + 1
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
		return appendMap(dst, v, depth)
	case map[string]any:
		return appendMap(dst, v, depth)
	case jsontext.Value:
		return appendRaw(dst, v, depth)
	case Object:
		return v.append(dst, depth)
	default:
		return appendReflected(dst, reflect.ValueOf(v), depth)
	}
}

func appendReflected(dst []byte, v reflect.Value, depth int) []byte {
	switch v.Kind() {
	case reflect.Bool:
		return strconv.AppendBool(dst, v.Bool())
	case reflect.Int, reflect.Int64:
		return strconv.AppendInt(dst, v.Int(), 10)
	case reflect.String:
		return appendString(dst, v.String())
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return append(dst, "null"...)
		}
		return appendReflected(dst, v.Elem(), depth)
	case reflect.Slice:
		switch v.Type() {
		case valueType:
			return appendRaw(dst, v.Bytes(), depth)
		case objectType:
			return v.Interface().(Object).append(dst, depth)
		}
		dst = append(dst, '[')
		for i := range v.Len() {
			dst = appendReflected(appendSeparator(dst, i > 0, depth), v.Index(i), below(depth))
		}
		return appendEnd(dst, ']', v.Len() > 0, depth)
	case reflect.Map:
		if v.Type().Key().Kind() == reflect.String {
			return appendReflectedMap(dst, v, depth)
		}
	case reflect.Struct:
		return appendStruct(dst, v, depth)
	default:
	}
	panic(fmt.Sprintf("canonjson: a %s is no JSON value", v.Type()))
}

func appendReflectedMap(dst []byte, v reflect.Value, depth int) []byte {
	type entry struct {
		key string
		at  int // in values
	}
	entries := make([]entry, v.Len())
	values := reflect.MakeSlice(reflect.SliceOf(v.Type().Elem()), v.Len(), v.Len())
	key := reflect.New(v.Type().Key()).Elem()
	for i, all := 0, v.MapRange(); all.Next(); i++ {
		key.SetIterKey(all)
		values.Index(i).SetIterValue(all)
		entries[i] = entry{key.String(), i}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	dst = append(dst, '{')
	for i, e := range entries {
		dst = appendName(dst, e.key, i > 0, depth)
		dst = appendReflected(dst, values.Index(e.at), below(depth))
	}
	return appendEnd(dst, '}', len(entries) > 0, depth)
}

func appendList[E any](dst []byte, list []E, depth int) []byte {
	dst = append(dst, '[')
	for i, v := range list {
		dst = appendValue(appendSeparator(dst, i > 0, depth), v, below(depth))
	}
	return appendEnd(dst, ']', len(list) > 0, depth)
}

func appendMap[E any](dst []byte, object map[string]E, depth int) []byte {
	keys := make([]string, 0, len(object))
	for key := range object {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	dst = append(dst, '{')
	for i, key := range keys {
		dst = appendName(dst, key, i > 0, depth)
		dst = appendValue(dst, object[key], below(depth))
	}
	return appendEnd(dst, '}', len(keys) > 0, depth)
}

// appendRaw writes a value that is in compact canonical form.
func appendRaw(dst []byte, v jsontext.Value, depth int) []byte {
	if depth == compact {
		return append(dst, v...)
	}
	for i := 0; i < len(v); i++ {
		switch c := v[i]; c {
		case '"':
			end := stringEnd(v, i)
			dst = append(dst, v[i:end]...)
			i = end - 1
		case '{', '[':
			dst = append(dst, c)
			if v[i+1] == c+2 { // the closing bracket
				i++
				dst = append(dst, c+2)
				continue
			}
			depth++
			dst = appendNewline(dst, depth)
		case '}', ']':
			depth--
			dst = append(appendNewline(dst, depth), c)
		case ',':
			dst = appendNewline(append(dst, c), depth)
		case ':':
			dst = append(dst, ": "...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendSeparator begins an element of a list or object at depth.
func appendSeparator(dst []byte, further bool, depth int) []byte {
	if further {
		dst = append(dst, ',')
	}
	if depth == compact {
		return dst
	}
	return appendNewline(dst, depth+1)
}

func appendName(dst []byte, name string, further bool, depth int) []byte {
	dst = appendString(appendSeparator(roomy(dst), further, depth), name)
	if depth == compact {
		return append(dst, ':')
	}
	return append(dst, ": "...)
}

// appendEnd ends a list or object at depth, which is filled or empty.
func appendEnd(dst []byte, closing byte, filled bool, depth int) []byte {
	if filled && depth != compact {
		dst = appendNewline(dst, depth)
	}
	return append(dst, closing)
}

// spaces are the indentation of the depths that documents have.
const spaces = "                                        "

func appendNewline(dst []byte, depth int) []byte {
	dst = append(dst, '\n')
	for ; 2*depth > len(spaces); depth -= len(spaces) / 2 {
		dst = append(dst, spaces...)
	}
	return append(dst, spaces[:2*depth]...)
}

func appendString(dst []byte, s string) []byte {
	quoted, err := jsontext.AppendQuote(dst, s)
	if err != nil {
		panic(fmt.Sprintf("canonjson: %q is not UTF-8", s))
	}
	if end := len(dst); !ascii(quoted[end:]) {
		return append(quoted[:end], problem.JSON(quoted[end:])...)
	}
	return quoted
}

func ascii(text []byte) bool {
	for _, c := range text {
		if c >= 0x7f {
			return false
		}
	}
	return true
}

// appendFloat writes a float so that it stays a float: in Nix 1 and 1.0 differ.
func appendFloat(dst []byte, f float64) []byte {
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'g', -1, 64)
	if !bytes.ContainsAny(dst[start:], ".e") {
		dst = append(dst, ".0"...)
	}
	return dst
}
