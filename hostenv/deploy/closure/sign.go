package closure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
)

// Sign implements [deploy.Store]. The key's file is looked at before nix is, so
// that nothing of it gets into a message; nix is told of its path alone.
func (s *Store) Sign(ctx context.Context, paths []string, log io.Writer) error {
	if len(paths) == 0 {
		return nil
	}
	if err := checkPaths(paths...); err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	if _, err := nix.PublicKey(s.KeyFile); err != nil {
		return err
	}
	args := append([]string{"store", "sign", "--key-file", s.KeyFile, "--recursive"}, paths...)
	_, err := s.nix(ctx, nix.Command{Log: log}, args...)
	if failed := (*nix.CommandError)(nil); errors.As(err, &failed) {
		e := &SignError{Message: failed.Message()}
		if strings.Contains(failed.Log, "not privileged") || strings.Contains(failed.Log, "not trusted") {
			e.Advice = "who signs must be one of this machine's nix.settings.trusted-users, for the store is the daemon's"
		}
		return e
	}
	return err
}

// A SignError says why closures could not be signed.
type SignError struct{ Message, Advice string }

func (e *SignError) Error() string { return "sign the closures: " + e.Message }

// Hint says what mends it, where that is known.
func (e *SignError) Hint() string { return e.Advice }
