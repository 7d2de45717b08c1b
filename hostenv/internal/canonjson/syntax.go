package canonjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// A SyntaxError reports where and why a text is not a valid document.
type SyntaxError struct {
	Line, Column int    // counted from 1; the column in bytes
	Pointer      string // RFC 6901 pointer of the value at fault, "" for the whole
	Problem      string
	Remedy       string // the fix
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

// Hint returns the fix.
func (e *SyntaxError) Hint() string { return e.Remedy }

// problem returns an error at the token that was read last.
func (p *parser) problem(problem, remedy string) error {
	e := &SyntaxError{Pointer: string(p.dec.StackPointer()), Problem: problem, Remedy: remedy}
	e.Line, e.Column = position(p.data, p.dec.InputOffset())
	return e
}

// located turns the decoder's own errors into ours.
func (p *parser) located(err error) error {
	var ours *SyntaxError
	if errors.As(err, &ours) {
		return ours
	}
	e := &SyntaxError{Problem: err.Error(), Remedy: "restore the file from git, or mend it by hand"}
	offset := p.dec.InputOffset()
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
		offset = int64(len(p.data))
		e.Problem = "the text ends in the middle of the document"
		if len(bytes.TrimSpace(p.data)) == 0 {
			e.Problem = "the file is empty"
		}
		e.Remedy = "restore the file from git: a part of it is lost"
	case bytes.HasPrefix(p.data, []byte("\xef\xbb\xbf")):
		e.Remedy = "remove the byte order mark at the start of the file"
	}
	e.Line, e.Column = position(p.data, offset)
	return e
}

// refuseMarkers looks for the markers of an unfinished git merge, because the
// decoder's error about a '<' does not say what to do.
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
					Remedy:  "restore the file from a commit without it; of a state.json and a plan.json in a merge that is not finished, `mage state:merge` merges both sides",
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
