// Package closure is Nix for a deploy: it evaluates the profiles of a plan,
// builds them, signs them, copies them to nodes, and reports what they change
// there.
//
// It drives the system's nix and nix-store, from 2.8 on, and ssh. It addresses a
// node by its name: the ssh_config has the address, the port and the options. They
// are not on a command line or in NIX_SSHOPTS, which Nix up to 2.26
// splits at spaces.
//
// It asks the store for the result of a build or a copy. It reads the output of Nix
// only for the cause, because the words differ between versions: the tests have the
// messages of 2.8, 2.26 and 2.34.
package closure

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A Store is Nix on this machine, and its way to the nodes' stores.
type Store struct {
	Nix       *nix.Runner   // in the provider's root
	SSHConfig string        // an ssh_config(5) with a section for every node's name; no spaces in its path
	Roots     string        // a folder for links that keep what is built from the garbage collector; Build makes it
	KeyFile   string        // the secret key to sign with, see [Key]
	BuildTime time.Duration // how long one derivation may take to build, 0 for two hours
	// Stall is how long a copy may move no byte, and how long a node may take to answer a
	// question. 0 is ten minutes: a node may collect its garbage meanwhile.
	Stall time.Duration
}

var _ deploy.Store = (*Store)(nil)

// nix runs a nix command.
func (s *Store) nix(ctx context.Context, c nix.Command, args ...string) ([]byte, error) {
	c.Args = append(args[:len(args):len(args)], nix.Features...)
	return s.Nix.Run(ctx, c)
}

// stall returns Stall, or its default.
func (s *Store) stall() time.Duration { return cmp.Or(s.Stall, 10*time.Minute) }

// stalled reports a node that takes or gives nothing any more, though its ssh answers. A
// connection that is dead ends by itself after a minute (ServerAliveInterval).
func (s *Store) stalled(node string, err error) error {
	return problem.New("node "+node, "was given up: "+err.Error(),
		"find out what Nix's daemon waits for on the node (`journalctl --unit=nix-daemon`, its disk, a garbage collection), and run it again with -resume: it does not copy again what has arrived")
}

// uri returns the address of a node's store, over the protocol by which the
// node's Nix checks signatures.
func uri(n deploy.Node) string { return "ssh-ng://" + n.Name }

// ssh returns the environment by which Nix reaches nodes.
func (s *Store) ssh() ([]string, error) {
	if s.SSHConfig == "" || strings.ContainsAny(s.SSHConfig, " \t\n") {
		return nil, problem.New("", fmt.Sprintf("Nix cannot read the ssh_config %q: it splits ssh's options at spaces", s.SSHConfig), "move the provider's folder to a path without spaces")
	}
	return []string{"NIX_SSHOPTS=-F " + s.SSHConfig}, nil
}

// checkPaths refuses what is not a store path, before any command runs.
func checkPaths(paths ...string) error {
	for _, path := range paths {
		if _, err := names.ParseStorePath(path); err != nil {
			return fmt.Errorf("%q is not a store path", path)
		}
	}
	return nil
}
