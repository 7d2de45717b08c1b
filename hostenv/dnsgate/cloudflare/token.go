package cloudflare

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const redacted = "[redacted]"

// A Token is Cloudflare's API token. However it is printed, logged or encoded,
// also as a part of something else, it shows as [redacted]; only
// [Token.Reveal] returns it.
type Token struct {
	// A function, for fmt prints unexported fields of any other kind without
	// asking their methods.
	reveal func() string
}

// NewToken returns the token of a text, around which there may be white space.
func NewToken(text string) (Token, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Token{}, errors.New("the token is empty")
	}
	if strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return Token{}, errors.New("the token holds characters that no token has")
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

// Format is what every verb of fmt prints.
func (Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalJSON and MarshalText are what encoders write.
func (Token) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
func (Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue is what log/slog writes.
func (Token) LogValue() slog.Value { return slog.StringValue(redacted) }
