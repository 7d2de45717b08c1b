package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/sops"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// TokenVariable is the environment variable that may hold the token.
const TokenVariable = "CF_API_TOKEN"

// A TokenSource says where the token is, if it is not in the environment.
type TokenSource struct {
	// Secret is provider.cloudflare.apiTokenSecret: the key's name in the sops
	// file, with "/" between the levels.
	Secret string
	// File is the sops file.
	File string
	// Sops is the program; "" means the sops of PATH.
	Sops string
}

// noToken returns the error of a token that cannot be read. It holds no part of
// one.
func noToken(text, fix string) (Token, error) {
	return Token{}, problem.New("", "read the Cloudflare token: "+text, fix)
}

// Token returns the token of [TokenVariable], or else of the sops file. The
// variable is taken out of the process's environment, so that no program
// started later gets it: ask once. From sops the value comes through a pipe and
// stays in memory.
func (s TokenSource) Token(ctx context.Context) (Token, error) {
	text, ok := os.LookupEnv(TokenVariable)
	if err := os.Unsetenv(TokenVariable); err != nil {
		return Token{}, fmt.Errorf("take %s out of the environment: %w", TokenVariable, err)
	}
	if ok && text != "" {
		token, err := NewToken(text)
		if err != nil {
			return noToken(TokenVariable+": "+err.Error(), "set "+TokenVariable+" to the token alone, without \"Bearer\" or quotes")
		}
		return token, nil
	}
	const remedy = "set " + TokenVariable + ", or provider.cloudflare.apiTokenSecret to the token's key in the sops file, such as \"cloudflare/token\""
	if s.Secret == "" {
		return noToken(TokenVariable+" is not set, and provider.cloudflare.apiTokenSecret names no key", remedy)
	}
	if s.File == "" {
		return noToken(fmt.Sprintf("there is no sops file to take %q from", s.Secret), remedy)
	}
	if _, err := sops.Path(s.Secret); err != nil {
		return noToken(fmt.Sprintf("provider.cloudflare.apiTokenSecret is %q: %v", s.Secret, err), remedy)
	}
	// sops needs the environment to find its keys. The variable is gone from
	// ours; it may be there in another spelling only by a race.
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, TokenVariable+"=") })
	text, err := sops.Key{Name: s.Secret, File: s.File, Program: s.Sops, Env: env}.Read(ctx)
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
		return noToken(fmt.Sprintf("%q of %s: %v", s.Secret, s.File, err), "run `sops "+s.File+"` and let the key hold the token alone")
	}
	return token, nil
}
