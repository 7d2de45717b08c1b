package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/sops"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// TokenVariable is the environment variable that may hold the token.
const TokenVariable = "CF_API_TOKEN"

// A TokenSource is the place of the token outside of the environment.
type TokenSource struct {
	// Secret is provider.cloudflare.apiTokenSecret: the name of a key in the sops file,
	// with "/" between the levels.
	Secret string
	// File is the sops file.
	File string
	// Sops is the program; "" means the sops of PATH.
	Sops string
}

// noToken returns the error for a token that cannot be read. No caller passes a part of
// the token.
func noToken(text, fix string) (Token, error) {
	return Token{}, problem.New("", "read the Cloudflare token: "+text, fix)
}

// Token returns the token of [TokenVariable], or of the sops file if the variable is
// not set. It removes the variable from the process's environment, so that no program
// started later gets it: call Token once. The value from sops comes through a pipe and
// stays in memory.
func (s TokenSource) Token(ctx context.Context) (Token, error) {
	text, ok := os.LookupEnv(TokenVariable)
	if err := os.Unsetenv(TokenVariable); err != nil {
		return Token{}, fmt.Errorf("remove %s from the environment: %w", TokenVariable, err)
	}
	if ok && text != "" {
		token, err := NewToken(text)
		if err != nil {
			return noToken(TokenVariable+": "+err.Error(), "set "+TokenVariable+" to only the token, without \"Bearer\" or quotes")
		}
		return token, nil
	}
	const remedy = "set " + TokenVariable + ", or provider.cloudflare.apiTokenSecret to the token's key in the sops file, such as \"cloudflare/token\""
	if s.Secret == "" {
		return noToken(TokenVariable+" is not set, and provider.cloudflare.apiTokenSecret names no key", remedy)
	}
	if s.File == "" {
		return noToken(fmt.Sprintf("no sops file is named for the key %q", s.Secret), remedy)
	}
	text, err := sops.Key{Name: s.Secret, File: s.File, Program: s.Sops}.Read(ctx)
	if failed := (*sops.Error)(nil); errors.As(err, &failed) {
		remedy := failed.Remedy
		if errors.Is(err, sops.ErrNotInstalled) {
			remedy += ", or set " + TokenVariable
		}
		return noToken(failed.Problem, remedy)
	}
	if err != nil {
		return Token{}, err
	}
	token, err := NewToken(text)
	if err != nil {
		return noToken(fmt.Sprintf("%q of %s: %v", s.Secret, s.File, err), "run `sops "+s.File+"` and set the key to only the token")
	}
	return token, nil
}
