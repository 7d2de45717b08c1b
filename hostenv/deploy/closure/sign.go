package closure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Sign implements [deploy.Store]. It checks the key's file before nix reads it, so
// that no part of the key gets into a message; nix receives only the path.
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
		fix := ""
		if strings.Contains(failed.Log, "not privileged") || strings.Contains(failed.Log, "not trusted") {
			fix = "add the user that signs to nix.settings.trusted-users of this machine, whose Nix daemon owns the store"
		}
		return problem.New("", "sign the closures: "+failed.Message(), fix)
	}
	return err
}
