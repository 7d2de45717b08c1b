package nix

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/sops"
)

// A SecretKey is a key of a sops file.
type SecretKey struct {
	Secret string `json:"secret"` // with "/" between the levels
	File   string `json:"file"`   // in the provider's root, or absolute
}

// AccessTokens returns provider.accessTokensSecret: the place of the tokens with
// which Nix reads private repositories. It returns nil if the option is not set.
func (r *Runner) AccessTokens(ctx context.Context) (key *SecretKey, err error) {
	err = r.read(ctx, "p: p.accessTokens or null", &key)
	return key, err
}

// An UndecryptedError reports that this machine cannot read the tokens.
type UndecryptedError struct{ Problem, Remedy string }

func (e *UndecryptedError) Error() string { return "read the access tokens: " + e.Problem }

// Hint returns the fix.
func (e *UndecryptedError) Hint() string { return e.Remedy }

// ReadTokens gives Nix the access tokens of a key, see UseTokens. It runs sops
// with env, or with the process's own environment if env is nil. If sops cannot
// read the key, the error is an *[UndecryptedError].
func (r *Runner) ReadTokens(ctx context.Context, key SecretKey, env []string) error {
	file := key.File
	if !filepath.IsAbs(file) {
		file = filepath.Join(r.Dir, file)
	}
	text, err := sops.Key{Name: key.Secret, File: file, Env: env}.Read(ctx)
	if failed := (*sops.Error)(nil); errors.As(err, &failed) {
		return &UndecryptedError{failed.Problem, failed.Remedy}
	}
	if err != nil {
		return err
	}
	if err := r.UseTokens(text); err != nil {
		return fmt.Errorf("the access tokens, %q of %s: %w", key.Secret, key.File, err)
	}
	return nil
}

var (
	tokenSetting = regexp.MustCompile(`^(?:extra-)?access-tokens[ \t]+=[ \t](.*)$`)
	oneToken     = regexp.MustCompile(`^[^\s=]+=\S+$`)
	noHost       = regexp.MustCompile(`^(?:extra-)?access-tokens=`)
)

// UseTokens gives Nix access tokens, in addition to those of its own
// configuration. It passes them in the environment, because every user of the
// machine can see arguments. The text is HOST=TOKEN, several separated by spaces,
// with or without `access-tokens =` before them. Errors contain no part of it.
//
// UseTokens refuses a text that a node could not read: there it is the end of a
// line of nix.conf (nix/modules/access-tokens.nix). With a second line Nix on the
// node would not start, and would print that line.
func (r *Runner) UseTokens(text string) error {
	var tokens []string
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if i > 0 && line != "" {
			return fmt.Errorf("line %d is not empty, and all tokens must be on the first: in a node's nix.conf they are one line", i+1)
		}
		if setting := tokenSetting.FindStringSubmatch(line); setting != nil {
			line = setting[1]
		}
		for _, word := range strings.Fields(line) {
			if !oneToken.MatchString(word) || noHost.MatchString(word) {
				return fmt.Errorf("line %d has a word that is not HOST=TOKEN", i+1)
			}
			tokens = append(tokens, word)
		}
	}
	if len(tokens) == 0 {
		return errors.New("there is no HOST=TOKEN in it")
	}
	config := ""
	env := slices.DeleteFunc(slices.Clone(r.environment()), func(variable string) bool {
		value, found := strings.CutPrefix(variable, "NIX_CONFIG=")
		if found { // of two, the last counts
			config = value + "\n"
		}
		return found
	})
	r.Env = append(env, "NIX_CONFIG="+config+"extra-access-tokens = "+strings.Join(tokens, " "))
	return nil
}
