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

// Parse reads data, which must be one document, and returns it in compact
// canonical form. Its error is a *SyntaxError.
func Parse(data []byte) (jsontext.Value, error) {
	if err := refuseMarkers(data); err != nil {
		return nil, err
	}
	p := parser{data: data, dec: jsontext.NewDecoder(bytes.NewBuffer(data)), out: make([]byte, 0, len(data)*3/4+16)}
	err := p.value(0)
	if err == nil {
		_, err = p.dec.ReadToken()
		if errors.Is(err, io.EOF) {
			return p.out, nil
		}
		if err == nil {
			err = p.problem("there is more text after the end of the document", "remove what follows the last closing brace")
		}
	}
	return nil, p.located(err)
}

// A parser appends the values that it reads to out.
type parser struct {
	data []byte
	dec  *jsontext.Decoder
	out  []byte
}

func (p *parser) value(depth int) error {
	if depth > maxDepth {
		return p.problem(fmt.Sprintf("nested deeper than %d levels", maxDepth), "this is no document that hostenv made")
	}
	switch p.dec.PeekKind() {
	case jsontext.KindBeginObject:
		return p.object(depth)
	case jsontext.KindBeginArray:
		return p.list(depth)
	case jsontext.KindString:
		return p.text()
	case jsontext.KindNumber:
		v, err := p.dec.ReadValue()
		if err != nil {
			return err
		}
		return p.number(string(v))
	default: // null, true, false, or no JSON
		v, err := p.dec.ReadValue()
		p.out = append(p.out, v...)
		return err
	}
}

func (p *parser) list(depth int) error {
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	p.out = append(p.out, '[')
	for first := true; p.dec.PeekKind() != jsontext.KindEndArray; first = false {
		if !first {
			p.out = append(p.out, ',')
		}
		if err := p.value(depth + 1); err != nil {
			return err
		}
	}
	p.out = append(p.out, ']')
	_, err := p.dec.ReadToken()
	return err
}

func (p *parser) object(depth int) error {
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	start := len(p.out)
	p.out = append(p.out, '{')
	sorted := true
	last, end := 0, 0 // where the name before stands
	for p.dec.PeekKind() != jsontext.KindEndObject {
		if end > 0 {
			p.out = append(p.out, ',')
		}
		at := len(p.out)
		if err := p.text(); err != nil {
			return err
		}
		if sorted && end > 0 {
			sorted = compareNames(p.out[last:end], p.out[at:]) < 0
		}
		last, end = at, len(p.out)
		p.out = append(p.out, ':')
		if err := p.value(depth + 1); err != nil {
			return err
		}
	}
	p.out = append(p.out, '}')
	if !sorted {
		p.sort(start)
	}
	_, err := p.dec.ReadToken()
	return err
}

// sort puts the members of the object that begins at start into their order.
func (p *parser) sort(start int) {
	members, _ := ObjectOf(slices.Clone(p.out[start:]))
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	p.out = members.append(p.out[:start], compact)
}

// compareNames compares two quoted names by their unquoted text.
func compareNames(a, b []byte) int {
	if bytes.IndexByte(a, '\\') < 0 && bytes.IndexByte(b, '\\') < 0 {
		return bytes.Compare(a[1:len(a)-1], b[1:len(b)-1])
	}
	return strings.Compare(unquote(a), unquote(b))
}

func (p *parser) text() error {
	v, err := p.dec.ReadValue()
	if err != nil {
		return err
	}
	if bytes.IndexByte(v, '\\') < 0 {
		p.out = append(p.out, v...)
		return nil
	}
	s := unquote(v)
	if strings.IndexByte(s, 0) >= 0 {
		return p.problem("a string holds a NUL character", "remove the \\u0000: Nix cannot hold it")
	}
	p.out = appendString(p.out, s)
	return nil
}

func (p *parser) number(literal string) error {
	if !strings.ContainsAny(literal, ".eE") {
		n, err := strconv.ParseInt(literal, 10, 64)
		if err != nil {
			return p.problem("the integer "+literal+" does not fit 64 bits", "write a smaller number, or a string")
		}
		p.out = strconv.AppendInt(p.out, n, 10)
		return nil
	}
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil || math.IsInf(f, 0) {
		return p.problem("the number "+literal+" is too large", "write a smaller number, or a string")
	}
	p.out = appendFloat(p.out, f)
	return nil
}
