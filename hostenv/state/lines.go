package state

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// lines finds an entry, or a field of one, in the text of a state.json. The
// text is read at the first question, and only once, so that a file in which
// every entry is wrong costs no more than two readings.
type lines struct {
	data []byte
	at   map[[2]string]int // entry and field, or entry and "": the line
}

// of returns the line, counted from 1, of a field of an entry; that of the
// entry if it has no such field, or field is ""; and 0 if there is no text.
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
			continue // no key
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
