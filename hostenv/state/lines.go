package state

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// lines finds the line of an entry, or of a field of one, in the text of a
// state.json. It reads the text once, at the first call of [lines.of], so that a
// valid file is not read twice.
type lines struct {
	data []byte
	at   map[[2]string]int // entry and field, or entry and "": the line
}

// of returns the line of a field, counted from 1. It is the line of the entry if
// field is "" or the entry does not have it, and 0 without a text.
func (l *lines) of(entry, field string) int {
	if l == nil {
		return 0
	}
	if l.at == nil {
		l.read()
	}
	if line, ok := l.at[[2]string{entry, field}]; ok {
		return line
	}
	return l.at[[2]string{entry}]
}

func (l *lines) read() {
	l.at = map[[2]string]int{}
	dec := jsontext.NewDecoder(bytes.NewBuffer(l.data))
	line, done, entry := 1, int64(0), ""
	for {
		tok, err := dec.ReadToken()
		if err != nil {
			return
		}
		depth := dec.StackDepth()
		if depth != 1 && depth != 2 {
			continue
		}
		if kind, n := dec.StackIndex(depth); kind != jsontext.KindBeginObject || n%2 == 0 {
			continue // not a key
		}
		line += bytes.Count(l.data[done:dec.InputOffset()], []byte("\n"))
		done = dec.InputOffset()
		if depth == 1 {
			entry = tok.String()
			l.at[[2]string{entry}] = line
		} else {
			l.at[[2]string{entry, tok.String()}] = line
		}
	}
}
