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
)

// tokensOption is the option by which a provider names its access tokens.
const tokensOption = "accessTokensSecret"

// withTokens gives Nix the access tokens of the sops file, if the provider has
// any, and returns the runner. A file that cannot be decrypted here is warned
// of: it may be that nothing private has to be fetched, or that Nix has tokens of
// its own.
func withTokens(ctx context.Context, runner *nix.Runner) (*nix.Runner, error) {
	// Asking Nix takes a second, and few have private repositories on GitHub.
	if !mentioned(runner.Dir, tokensOption) {
		return runner, nil
	}
	key, err := runner.AccessTokens(ctx)
	if err != nil || key == nil {
		return runner, err
	}
	// What decrypts the file is kept from all other programs.
	err = runner.ReadTokens(ctx, *key, slices.Concat(os.Environ(), withheld))
	if undecrypted := (*nix.UndecryptedError)(nil); errors.As(err, &undecrypted) {
		fmt.Fprintf(os.Stderr, "warning: Nix has no access tokens of provider.%s: %s\n", tokensOption, undecrypted.Problem)
		fmt.Fprintf(os.Stderr, "hint: %s; without it Nix fetches by the tokens of its own configuration alone\n", undecrypted.Remedy)
		return runner, nil
	}
	if err != nil && ctx.Err() == nil {
		err = hinted(err, "run `sops "+key.File+"` and write the key on one line, as nix.conf has it after access-tokens =, such as github.com=ghp_...")
	}
	return runner, err
}

// mentioned tells whether a Nix file in a folder has the text.
func mentioned(dir, text string) bool {
	found := errors.New("found")
	return errors.Is(filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil //nolint:nilerr // what cannot be read, Nix will complain of
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
