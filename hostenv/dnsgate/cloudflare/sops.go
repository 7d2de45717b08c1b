package cloudflare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"
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

// A TokenError says that there is no token to be had. It holds no part of one.
type TokenError struct {
	Problem, Remedy string
}

func (e *TokenError) Error() string { return "read the Cloudflare token: " + e.Problem }

// Hint says what mends it.
func (e *TokenError) Hint() string { return e.Remedy }

// Token returns the token of [TokenVariable], or else of the sops file. The
// variable is taken out of the process's environment, so that no program
// started later gets it: ask once. From sops the value comes through a pipe and
// stays in memory. Its error is a *[TokenError], or the context's.
func (s TokenSource) Token(ctx context.Context) (Token, error) {
	text, ok := os.LookupEnv(TokenVariable)
	if err := os.Unsetenv(TokenVariable); err != nil {
		return Token{}, fmt.Errorf("take %s out of the environment: %w", TokenVariable, err)
	}
	if ok && text != "" {
		token, err := NewToken(text)
		if err != nil {
			return Token{}, &TokenError{TokenVariable + ": " + err.Error(), "set " + TokenVariable + " to the token alone, without \"Bearer\" or quotes"}
		}
		return token, nil
	}
	const remedy = "set " + TokenVariable + ", or provider.cloudflare.apiTokenSecret to the token's key in the sops file, such as \"cloudflare/token\""
	if s.Secret == "" {
		return Token{}, &TokenError{TokenVariable + " is not set, and provider.cloudflare.apiTokenSecret names no key", remedy}
	}
	if s.File == "" {
		return Token{}, &TokenError{fmt.Sprintf("there is no sops file to take %q from", s.Secret), remedy}
	}
	path, err := extractPath(s.Secret)
	if err != nil {
		return Token{}, &TokenError{fmt.Sprintf("provider.cloudflare.apiTokenSecret is %q: %v", s.Secret, err), remedy}
	}
	text, err = s.extract(ctx, path)
	if err != nil {
		return Token{}, err
	}
	token, err := NewToken(text)
	if err != nil {
		return Token{}, &TokenError{fmt.Sprintf("%q of %s: %v", s.Secret, s.File, err), "run `sops " + s.File + "` and let the key hold the token alone"}
	}
	return token, nil
}

// extractPath writes a key's name as sops --extract wants it.
func extractPath(secret string) (string, error) {
	var path strings.Builder
	for part := range strings.SplitSeq(secret, "/") {
		if part == "" || strings.ContainsFunc(part, func(c rune) bool { return c < ' ' || strings.ContainsRune(`"'\[]`, c) }) {
			return "", errors.New("it must be names of keys with \"/\" between them")
		}
		fmt.Fprintf(&path, `["%s"]`, part)
	}
	return path.String(), nil
}

// grace is how long sops may take to end once it was asked to.
const grace = 2 * time.Second

// extract runs sops. Neither its arguments nor its environment hold the token.
func (s TokenSource) extract(ctx context.Context, path string) (string, error) {
	name := s.Sops
	if name == "" {
		name = "sops"
	}
	program, err := exec.LookPath(name)
	if err != nil {
		return "", &TokenError{"there is no " + name + " to run", "install sops, or set " + TokenVariable}
	}
	file := s.File
	if strings.HasPrefix(file, "-") {
		file = "./" + file
	}
	cmd := exec.CommandContext(ctx, program, "--decrypt", "--extract", path, file)
	// sops needs the environment to find its keys. The variable is gone from
	// ours; it may be there in another spelling only by a race.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, TokenVariable+"=") })
	cmd.WaitDelay = grace
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	defer clear(stdout.Bytes())
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "", &TokenError{
			fmt.Sprintf("sops cannot take %s out of %s: %v: %s", path, s.File, err, withoutSecrets(stderr.String(), stdout.String())),
			"see that `sops --decrypt` can read the file here, and that it has the key",
		}
	}
	return stdout.String(), nil
}

// longWord is what may be a token, or a key.
var longWord = regexp.MustCompile(`[A-Za-z0-9_+=-]{30,}`)

// withoutSecrets is what a failed sops said, short and without anything that
// may be a secret: the value itself, if it came so far, and words as long as one.
func withoutSecrets(said, value string) string {
	if value = strings.TrimSpace(value); value != "" {
		said = strings.ReplaceAll(said, value, redacted)
	}
	said = longWord.ReplaceAllString(strings.TrimSpace(said), redacted)
	if lines := strings.Split(said, "\n"); len(lines) > 8 {
		said = strings.Join(append(lines[:8], "..."), "\n")
	}
	return said
}
