package cloudflare

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const redacted = "[redacted]"

// A Token is Cloudflare's API token. Printed, logged or encoded, alone or as a part of
// another value, it is "[redacted]"; only [Token.Reveal] returns it.
type Token struct {
	// A function, because fmt prints unexported fields of other kinds without a call of
	// their methods.
	reveal func() string
}

// NewToken returns the token in a text. It removes white space around the token.
func NewToken(text string) (Token, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Token{}, errors.New("the token is empty")
	}
	if strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return Token{}, errors.New("the token has a character that no token can have")
	}
	return Token{reveal: func() string { return text }}, nil
}

// Reveal returns the token itself, "" for the zero Token.
func (t Token) Reveal() string {
	if t.reveal == nil {
		return ""
	}
	return t.reveal()
}

// Redact returns text without the token.
func (t Token) Redact(text string) string {
	if t.Reveal() == "" {
		return text
	}
	return strings.ReplaceAll(text, t.Reveal(), redacted)
}

func (Token) String() string   { return redacted }
func (Token) GoString() string { return redacted }

// Format writes the text for every verb of fmt.
func (Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalJSON and MarshalText return the text for encoders.
func (Token) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
func (Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns the text for log/slog.
func (Token) LogValue() slog.Value { return slog.StringValue(redacted) }
