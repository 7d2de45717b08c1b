package targets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// tokensOption is the option with the place of a provider's access tokens.
const tokensOption = "accessTokensSecret"

// withTokens gives Nix the access tokens of the sops file, if the provider has
// any, and returns the runner. It only warns of a file that sops cannot decrypt:
// perhaps no source is private, or Nix has its own tokens.
func withTokens(ctx context.Context, runner *nix.Runner) (*nix.Runner, error) {
	// Nix takes a second to answer, and few providers have private repositories.
	if !mentioned(runner.Dir, tokensOption) {
		return runner, nil
	}
	key, err := runner.AccessTokens(ctx)
	if err != nil || key == nil {
		return runner, err
	}
	// Only sops may see the variables that decrypt the file.
	err = runner.ReadTokens(ctx, *key, slices.Concat(os.Environ(), withheld))
	if undecrypted := (*nix.UndecryptedError)(nil); errors.As(err, &undecrypted) {
		fmt.Fprintf(stderr(), "warning: Nix has no access tokens of provider.%s: %s\n", tokensOption, undecrypted.Problem)
		fmt.Fprintf(stderr(), "hint: %s; without it Nix uses only the tokens of its own configuration\n", undecrypted.Remedy)
		return runner, nil
	}
	if err != nil && ctx.Err() == nil {
		err = problem.WithHint(err, "run `sops "+problem.Word(key.File)+"` and write the key on one line, as nix.conf has it after access-tokens =, such as github.com=ghp_...")
	}
	return runner, err
}

// mentioned reports whether a Nix file in a folder contains the text.
func mentioned(dir, text string) bool {
	found := errors.New("found")
	return errors.Is(filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil //nolint:nilerr // Nix reports what cannot be read
		case entry.IsDir() && path != dir && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".nix":
			return nil
		}
		if data, err := os.ReadFile(path); err == nil && bytes.Contains(data, []byte(text)) {
			return found
		}
		return nil
	}), found)
}
