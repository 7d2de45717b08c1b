package canonjson

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

var (
	valueType  = reflect.TypeFor[jsontext.Value]()
	objectType = reflect.TypeFor[Object]()
)

// A layout is the form of a struct in JSON. Its fields have a tag `json:"name"`; a
// field of type Object without a name holds the members that the struct does not
// name.
//
// Encode after Read keeps every member: the Object also holds a member whose value
// is null, or the zero value of its field. Encode writes a field with the zero
// value as the Object has it. If the Object does not have it, Encode leaves out a
// field whose tag has the option "omitzero".
//
// We bind fields ourselves, because json.Unmarshal of go-json-experiment stops at
// the first wrong value, and loses a member of a field that is null, 0 or "".
type layout struct {
	fields []field // sorted by name
	rest   int     // the index of the Object, -1 for none
}

type field struct {
	name     string
	index    int
	omitzero bool
}

var layouts sync.Map // reflect.Type: *layout

func layoutOf(t reflect.Type) *layout {
	if known, ok := layouts.Load(t); ok {
		return known.(*layout)
	}
	l := &layout{rest: -1}
	for i := range t.NumField() {
		name, option, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		switch {
		case name != "":
			l.fields = append(l.fields, field{name, i, option == "omitzero"})
		case t.Field(i).Type == objectType:
			l.rest = i
		default:
			panic(fmt.Sprintf("canonjson: the field %s of %s has no name", t.Field(i).Name, t))
		}
	}
	slices.SortFunc(l.fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	layouts.Store(t, l)
	return l
}

// appendStruct merges the fields of a struct and the members of its Object, both
// of which are sorted.
func appendStruct(dst []byte, v reflect.Value, depth int) []byte {
	l := layoutOf(v.Type())
	var rest Object
	if l.rest >= 0 {
		rest = objectIn(v.Field(l.rest))
	}
	dst = append(dst, '{')
	filled := false
	member := func(m Member) {
		dst = appendRaw(appendName(dst, m.Name, filled, depth), m.Value, below(depth))
		filled = true
	}
	for _, f := range l.fields {
		for len(rest) > 0 && rest[0].Name < f.name {
			member(rest[0])
			rest = rest[1:]
		}
		stands := len(rest) > 0 && rest[0].Name == f.name
		switch value := v.Field(f.index); {
		case !f.omitzero || !value.IsZero():
			dst = appendReflected(appendName(dst, f.name, filled, depth), value, below(depth))
			filled = true
		case stands:
			member(rest[0])
		}
		if stands {
			rest = rest[1:]
		}
	}
	for _, m := range rest {
		member(m)
	}
	return appendEnd(dst, '}', filled, depth)
}

// objectIn returns the Object in v. It makes no copy if v has an address.
func objectIn(v reflect.Value) Object {
	if v.CanAddr() {
		return *v.Addr().Interface().(*Object)
	}
	return v.Interface().(Object)
}

// Read reads data, which must be one document, into the value that into points to.
// The fields of structs are of type bool, int, int64, string, jsontext.Value or
// Object, or structs, pointers, slices and maps by string of these.
//
// Read returns a *SyntaxError with the given remedy for each value of a wrong
// type, or the one error of [Parse].
func Read(data []byte, into any, remedy string) []error {
	v, err := Parse(data)
	if err != nil {
		return []error{err}
	}
	b := binder{cursor: cursor{data: v}}
	b.value(reflect.ValueOf(into).Elem())
	var errs []error
	for _, mismatch := range b.mismatches {
		e := &SyntaxError{Pointer: string(mismatch.at), Problem: mismatch.problem, Remedy: remedy}
		e.Line, e.Column = locate(data, mismatch.at)
		errs = append(errs, e)
	}
	return errs
}

// Fill sets the fields of the struct that into points to from the members with
// their names. It ignores values of a wrong type and the members that are named in
// without. Members that no field names go to the struct's Object.
func Fill(members Object, into any, without ...string) {
	v := reflect.ValueOf(into).Elem()
	l := layoutOf(v.Type())
	rest := make(Object, 0, len(members))
	var b binder
	for _, m := range members {
		if slices.Contains(without, m.Name) {
			continue
		}
		i, found := slices.BinarySearchFunc(l.fields, m.Name, func(f field, name string) int { return strings.Compare(f.name, name) })
		if !found || IsNull(m.Value) {
			rest = append(rest, m)
			continue
		}
		b.cursor = cursor{data: m.Value}
		value := v.Field(l.fields[i].index)
		if b.value(value); value.IsZero() {
			rest = append(rest, m)
		}
	}
	*v.Field(l.rest).Addr().Interface().(*Object) = rest
}

type binder struct {
	cursor
	path       []string // names and indices
	rest       Object   // of the structs that are being read, the innermost last
	mismatches []mismatch
}

// A mismatch is a value that is of another type than its field.
type mismatch struct {
	at      jsontext.Pointer
	problem string
}

// value reads the next value into v.
func (b *binder) value(v reflect.Value) {
	kind := jsontext.Value(b.data[b.at:]).Kind()
	switch t := v.Type(); {
	case t == valueType:
		v.SetBytes(b.skip())
	case t.Kind() == reflect.Pointer:
		before := len(b.mismatches)
		element := reflect.New(t.Elem())
		if b.value(element.Elem()); len(b.mismatches) == before {
			v.Set(element)
		}
	case !slices.Contains(kindsOf(t).json, kind):
		b.mismatch(b.skip(), t)
	case t == objectType:
		*v.Addr().Interface().(*Object) = b.members()
	default:
		b.typed(v, kind)
	}
}

// typed reads the next value into v, whose type takes its kind.
func (b *binder) typed(v reflect.Value, kind jsontext.Kind) {
	switch v.Kind() { //nolint:exhaustive // no other kind takes a JSON value
	case reflect.Bool:
		v.SetBool(kind == jsontext.KindTrue)
		b.skip()
	case reflect.String:
		v.SetString(unquote(b.skip()))
	case reflect.Int, reflect.Int64:
		raw := b.skip()
		n, ok := Integer(raw)
		if !ok {
			b.mismatch(raw, v.Type())
		}
		v.SetInt(n)
	case reflect.Slice:
		b.list(v)
	case reflect.Map:
		b.mapping(v)
	case reflect.Struct:
		b.structure(v)
	}
}

// below reads the next value, which has a name or an index, into v.
func (b *binder) below(name string, v reflect.Value) {
	b.path = append(b.path, name)
	b.value(v)
	b.path = b.path[:len(b.path)-1]
}

func (b *binder) list(v reflect.Value) {
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	for i := 0; b.next(']'); i++ {
		v.Grow(1)
		v.SetLen(i + 1)
		b.below(strconv.Itoa(i), v.Index(i))
	}
}

func (b *binder) mapping(v reflect.Value) {
	m := reflect.MakeMap(v.Type())
	key, element := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
	for b.next('}') {
		key.SetString(b.name())
		element.SetZero()
		b.below(key.String(), element)
		m.SetMapIndex(key, element)
	}
	v.Set(m)
}

func (b *binder) structure(v reflect.Value) {
	l := layoutOf(v.Type())
	fields := l.fields
	outer := len(b.rest)
	for b.next('}') {
		name := b.name()
		for len(fields) > 0 && fields[0].name < name {
			fields = fields[1:]
		}
		if len(fields) == 0 || fields[0].name != name || b.data[b.at] == 'n' { // null
			b.rest = append(b.rest, Member{name, b.skip()})
			continue
		}
		start, value := b.at, v.Field(fields[0].index)
		if b.below(name, value); value.IsZero() {
			b.rest = append(b.rest, Member{name, b.data[start:b.at:b.at]})
		}
	}
	if l.rest >= 0 && len(b.rest) > outer {
		*v.Field(l.rest).Addr().Interface().(*Object) = slices.Clone(b.rest[outer:])
	}
	b.rest = b.rest[:outer]
}

// A jsonKind is the kind of JSON value for a Go type.
type jsonKind struct {
	name string
	json []jsontext.Kind
}

var kinds = [reflect.UnsafePointer + 1]jsonKind{
	reflect.Bool:   {"true or false", []jsontext.Kind{jsontext.KindTrue, jsontext.KindFalse}},
	reflect.String: {"a string", []jsontext.Kind{jsontext.KindString}},
	reflect.Int:    {"an integer", []jsontext.Kind{jsontext.KindNumber}},
	reflect.Int64:  {"an integer", []jsontext.Kind{jsontext.KindNumber}},
	reflect.Slice:  {"a list", []jsontext.Kind{jsontext.KindBeginArray}},
	reflect.Map:    {"an object", []jsontext.Kind{jsontext.KindBeginObject}},
	reflect.Struct: {"an object", []jsontext.Kind{jsontext.KindBeginObject}},
}

func kindsOf(t reflect.Type) *jsonKind {
	if t == objectType { // a slice in Go, an object in JSON
		return &kinds[reflect.Map]
	}
	return &kinds[t.Kind()]
}

func (b *binder) mismatch(v jsontext.Value, t reflect.Type) {
	var at jsontext.Pointer
	for _, name := range b.path {
		at = at.AppendToken(name)
	}
	b.mismatches = append(b.mismatches, mismatch{at, "is " + KindOf(v) + ", not " + kindsOf(t).name})
}

// locate returns where in data, which Parse accepts, a value begins: at its name,
// or at the value itself within a list.
func locate(data []byte, at jsontext.Pointer) (line, column int) {
	dec := jsontext.NewDecoder(bytes.NewReader(data))
	for {
		before := dec.InputOffset()
		if _, err := dec.ReadToken(); err != nil {
			return 1, 1
		}
		if dec.StackPointer() == at {
			for before < int64(len(data)) && strings.IndexByte(" \t\r\n,:", data[before]) >= 0 {
				before++
			}
			return position(data, before)
		}
	}
}
