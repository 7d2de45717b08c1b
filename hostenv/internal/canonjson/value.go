package canonjson

import (
	"bytes"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// An Object holds the members of a JSON object, sorted by name, each value in
// compact canonical form. nil is no object at all.
type Object []Member

// A Member is one name and its value.
type Member struct {
	Name  string
	Value jsontext.Value
}

// Get returns a member's value, nil where there is none.
func (o Object) Get(name string) jsontext.Value {
	if i, found := o.find(name); found {
		return o[i].Value
	}
	return nil
}

func (o Object) find(name string) (int, bool) {
	return slices.BinarySearchFunc(o, name, func(m Member, name string) int { return strings.Compare(m.Name, name) })
}

// With returns o with a member added or replaced; o stays as it is.
func (o Object) With(name string, value jsontext.Value) Object {
	i, found := o.find(name)
	next := make(Object, 0, len(o)+1)
	next = append(append(next, o[:i]...), Member{name, value})
	if found {
		i++
	}
	return append(next, o[i:]...)
}

// Without returns o without the named members; o stays as it is.
func (o Object) Without(names ...string) Object {
	return o.Only(func(name string) bool { return !slices.Contains(names, name) })
}

// Only returns the members of o whose names are wanted; o stays as it is.
func (o Object) Only(wanted func(name string) bool) Object {
	kept := make(Object, 0, len(o))
	for _, m := range o {
		if wanted(m.Name) {
			kept = append(kept, m)
		}
	}
	return kept
}

// Value returns the object as one value.
func (o Object) Value() jsontext.Value {
	size := len("{}")
	for _, m := range o {
		size += len(m.Name) + len(m.Value) + len(`"":,`)
	}
	return o.append(make([]byte, 0, size), compact)
}

func (o Object) append(dst []byte, depth int) []byte {
	dst = append(dst, '{')
	for i, m := range o {
		dst = appendName(dst, m.Name, i > 0, depth)
		dst = appendRaw(dst, m.Value, below(depth))
	}
	return appendEnd(dst, '}', len(o) > 0, depth)
}

// ObjectOf returns the members of v, and whether it is an object.
func ObjectOf(v jsontext.Value) (Object, bool) {
	if v.Kind() != jsontext.KindBeginObject {
		return nil, false
	}
	c := cursor{data: v}
	return c.members(), true
}

// Members yields the members of v, none if it is no object. It allocates less
// than ObjectOf.
func Members(v jsontext.Value) iter.Seq2[string, jsontext.Value] {
	return func(yield func(string, jsontext.Value) bool) {
		if v.Kind() != jsontext.KindBeginObject {
			return
		}
		c := cursor{data: v}
		for c.next('}') {
			if !yield(c.name(), c.skip()) {
				return
			}
		}
	}
}

// ListOf returns the elements of v, and whether it is a list.
func ListOf(v jsontext.Value) ([]jsontext.Value, bool) {
	if v.Kind() != jsontext.KindBeginArray {
		return nil, false
	}
	list := []jsontext.Value{}
	c := cursor{data: v}
	for c.next(']') {
		list = append(list, c.skip())
	}
	return list, true
}

// Text returns the string in v, and whether v is a string.
func Text(v jsontext.Value) (string, bool) {
	if v.Kind() != jsontext.KindString {
		return "", false
	}
	return unquote(v), true
}

// Bool returns the boolean in v, and whether v is a boolean.
func Bool(v jsontext.Value) (value, ok bool) {
	return v.Kind() == jsontext.KindTrue, v.Kind() == jsontext.KindTrue || v.Kind() == jsontext.KindFalse
}

// Integer returns the integer in v, and whether v is an integer.
func Integer(v jsontext.Value) (int64, bool) {
	n, err := strconv.ParseInt(string(v), 10, 64)
	return n, err == nil
}

// IsNull reports whether v is null or empty.
func IsNull(v jsontext.Value) bool { return len(v) == 0 || v.Kind() == jsontext.KindNull }

// KindOf returns the name of v's type, with its article, for errors.
func KindOf(v jsontext.Value) string {
	switch v.Kind() {
	case jsontext.KindTrue, jsontext.KindFalse:
		return "a boolean"
	case jsontext.KindString:
		return "a string"
	case jsontext.KindBeginArray:
		return "a list"
	case jsontext.KindBeginObject:
		return "an object"
	case jsontext.KindNumber:
		if _, ok := Integer(v); ok {
			return "an integer"
		}
		return "a number with a fraction or an exponent"
	default:
		return "null"
	}
}

// Kind is KindOf for a value of a tree.
func Kind(v any) string { return KindOf(Marshal(v)) }

// Tree returns v as a tree.
func Tree(v jsontext.Value) any {
	switch v.Kind() {
	case jsontext.KindTrue, jsontext.KindFalse:
		return v.Kind() == jsontext.KindTrue
	case jsontext.KindString:
		return unquote(v)
	case jsontext.KindNumber:
		if n, ok := Integer(v); ok {
			return n
		}
		f, _ := strconv.ParseFloat(string(v), 64)
		return f
	case jsontext.KindBeginArray:
		elements, _ := ListOf(v)
		list := make([]any, len(elements))
		for i, element := range elements {
			list[i] = Tree(element)
		}
		return list
	case jsontext.KindBeginObject:
		members, _ := ObjectOf(v)
		object := make(map[string]any, len(members))
		for _, m := range members {
			object[m.Name] = Tree(m.Value)
		}
		return object
	default:
		return nil
	}
}

// unquote reads a quoted string that is valid.
func unquote(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	text, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		panic(fmt.Sprintf("canonjson: %q is no string", quoted))
	}
	return string(text)
}

// A cursor reads values in compact canonical form, which are valid, one after
// another.
type cursor struct {
	data []byte
	at   int
}

// next steps over the opening bracket or comma before the next element. If there is
// no next element, it steps over the closing bracket and returns false.
func (c *cursor) next(closing byte) bool {
	c.at++
	switch {
	case c.data[c.at-1] == closing:
		return false
	case c.data[c.at] == closing: // an empty list or object
		c.at++
		return false
	}
	return true
}

// name reads the name of a member.
func (c *cursor) name() string {
	quoted := c.skip()
	c.at++ // the colon
	return words.get(quoted)
}

func (c *cursor) members() Object {
	var few [24]Member // on the stack, until their number is known
	members := few[:0]
	for c.next('}') {
		members = append(members, Member{c.name(), c.skip()})
	}
	return append(make(Object, 0, len(members)), members...)
}

// skip returns the next value.
func (c *cursor) skip() jsontext.Value {
	start, depth := c.at, 0
	for c.at < len(c.data) {
		switch c.data[c.at] {
		case '"':
			c.at = stringEnd(c.data, c.at)
		case '{', '[':
			depth++
			c.at++
			continue
		case '}', ']':
			if depth > 0 {
				depth--
				c.at++
			}
			if depth > 0 {
				continue
			}
			return c.data[start:c.at:c.at]
		case ',', ':':
			if depth == 0 {
				return c.data[start:c.at:c.at]
			}
			c.at++
			continue
		default:
			c.at++
			continue
		}
		if depth == 0 {
			return c.data[start:c.at:c.at]
		}
	}
	return c.data[start:c.at:c.at]
}

// stringEnd returns the end of the string that begins at start.
func stringEnd(data []byte, start int) int {
	for i := start + 1; ; i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}
