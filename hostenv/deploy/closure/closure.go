// Package closure is Nix for a deploy: what the profiles of a plan evaluate to,
// building them, signing them, copying them to nodes, and saying what they
// change there.
//
// It drives the nix and the nix-store of the system, from 2.8 on, and ssh. A
// node is addressed by its name alone: how it is reached is in the ssh_config
// that is given, so that no address, port or option is on a command line or in
// NIX_SSHOPTS, which Nix up to 2.26 splits at spaces.
//
// What became of a build or a copy is asked of the store where it can be. What
// Nix says is read for its cause alone, and its wording differs between
// versions: the tests hold what was seen of 2.8, 2.26 and 2.34.
package closure

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
)

// A Store is Nix on this machine, and its way to the nodes' stores.
type Store struct {
	Nix       *nix.Runner   // in the provider's root
	SSHConfig string        // an ssh_config(5) with a section for every node's name; no spaces in its path
	Roots     string        // a folder for links that keep what is built from the garbage collector, made when needed
	KeyFile   string        // the secret key to sign with, see [Key]
	Pause     time.Duration // before what broke off is tried once more
}

var _ deploy.Store = (*Store)(nil)

// nix runs a nix command.
func (s *Store) nix(ctx context.Context, c nix.Command, args ...string) ([]byte, error) {
	c.Args = append(args[:len(args):len(args)], nix.Features...)
	return s.Nix.Run(ctx, c)
}

// uri is the store of a node, over the protocol by which the node's Nix checks
// signatures.
func uri(n deploy.Node) string { return "ssh-ng://" + n.Name }

// ssh is the environment by which Nix reaches nodes.
func (s *Store) ssh() ([]string, error) {
	if s.SSHConfig == "" || strings.ContainsAny(s.SSHConfig, " \t\n") {
		return nil, &SpaceError{Path: s.SSHConfig}
	}
	return []string{"NIX_SSHOPTS=-F " + s.SSHConfig}, nil
}

// A SpaceError says that Nix cannot be given an ssh_config of this path.
type SpaceError struct{ Path string }

func (e *SpaceError) Error() string {
	return fmt.Sprintf("Nix cannot be told of the ssh_config %q, for it splits ssh's options at spaces", e.Path)
}

// Hint says what to do.
func (e *SpaceError) Hint() string { return "move the provider's folder to a path without spaces" }

// checkPaths refuses what is no store path, before any command runs.
func checkPaths(paths ...string) error {
	for _, path := range paths {
		if _, err := names.ParseStorePath(path); err != nil {
			return fmt.Errorf("%q is no store path", path)
		}
	}
	return nil
}
