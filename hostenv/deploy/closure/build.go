package closure

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
)

// Build implements [deploy.Store]. A node with RemoteBuild builds for itself:
// it is given the derivations, which need no signature, and the closures are
// there and nowhere else.
//
// It takes one process where all goes well. Where something fails, others may
// have been left undone for it, though they do not need it: Nix 2.8 does so at a
// derivation for another platform, and any Nix that builds on a node of 2.8.
// They are built again without it.
func (s *Store) Build(ctx context.Context, n deploy.Node, profiles []deploy.Profile, log io.Writer) (map[string]error, error) {
	for _, p := range profiles {
		if err := checkPaths(p.Path, maker(p)); err != nil {
			return nil, fmt.Errorf("build %s: %w", p.Key(), err)
		}
		if n.RemoteBuild && p.Derivation == "" {
			return nil, fmt.Errorf("build %s: node %s cannot build %s, of which no derivation is known", p.Key(), n.Name, p.Path)
		}
	}
	if len(profiles) == 0 {
		return nil, nil
	}
	b := &building{store: s, node: n, log: log}
	failed := map[string]error{}
	for pending := profiles; len(pending) > 0; {
		err := b.build(ctx, pending)
		why := (*nix.CommandError)(nil)
		if err != nil && !errors.As(err, &why) {
			return nil, fmt.Errorf("build for node %s: %w", n.Name, err)
		}
		// What is built is what the store has, whatever was said.
		missing, err := b.missing(ctx, pending)
		if err != nil {
			return nil, fmt.Errorf("ask what was built for node %s: %w", n.Name, err)
		}
		if len(missing) == 0 && why != nil && len(failed) == 0 {
			return nil, fmt.Errorf("build for node %s: %w", n.Name, why)
		}
		var rest []deploy.Profile
		for _, p := range missing {
			if own := b.own(ctx, p, why); len(own) > 0 {
				failed[p.Name] = newBuildError(p, own)
			} else {
				rest = append(rest, p)
			}
		}
		if len(rest) == len(missing) { // none can be left out
			for _, p := range rest {
				failed[p.Name] = unexplainedBuild(p, why)
			}
			break
		}
		pending = rest
	}
	if len(failed) == 0 {
		return nil, nil
	}
	// Nix keeps nothing of a build that failed in part.
	built := slices.DeleteFunc(slices.Clone(profiles), func(p deploy.Profile) bool { return failed[p.Name] != nil })
	if len(built) > 0 && !n.RemoteBuild {
		for i := range built {
			built[i].Derivation = ""
		}
		if err := b.build(ctx, built); err != nil {
			return failed, fmt.Errorf("keep what was built for node %s: %w", n.Name, err)
		}
	}
	return failed, nil
}

// maker is what a profile is built from: what no derivation makes is in the
// store, or can be fetched.
func maker(p deploy.Profile) string { return cmp.Or(p.Derivation, p.Path) }

// A building is the building for one node.
type building struct {
	store     *Store
	node      deploy.Node
	log       io.Writer
	delivered bool // whether the node has the derivations
}

// build builds profiles with one process.
func (b *building) build(ctx context.Context, profiles []deploy.Profile) error {
	var derivations []string
	for _, p := range profiles {
		derivations = append(derivations, maker(p))
	}
	if !b.node.RemoteBuild {
		return b.store.realise(ctx, b.node, derivations, b.log)
	}
	if !b.delivered {
		err := b.store.copy(ctx, b.node, derivations, b.log, "--derivation")
		if failed := (*nix.CommandError)(nil); errors.As(err, &failed) {
			// No matter of one profile, so no CommandError to the caller.
			return fmt.Errorf("give it the derivations: %s", failed.Message())
		}
		if err != nil {
			return err
		}
		b.delivered = true
	}
	_, err := b.store.remotely(ctx, b.node, b.log, append(append([]string{"--realise"}, buildFlags...), derivations...))
	return err
}

// realise builds or fetches, and keeps what it made for as long as the links are
// there.
func (s *Store) realise(ctx context.Context, n deploy.Node, what []string, log io.Writer) error {
	if err := os.MkdirAll(s.Roots, 0o777); err != nil {
		return err
	}
	// Of names that are there already nix would change the links.
	sum := sha256.Sum256([]byte(strings.Join(what, "\n")))
	roots, err := filepath.Abs(filepath.Join(s.Roots, fmt.Sprintf("%s.%x", n.Name, sum[:6])))
	if err != nil {
		return err
	}
	args := append([]string{"--realise", "--add-root", roots, "--indirect"}, buildFlags...)
	_, err = s.Nix.Run(ctx, nix.Command{Program: "nix-store", Args: append(args, what...), Log: log})
	return err
}

// buildFlags have a build go on after a failure, and name whose line is whose.
var buildFlags = []string{"--keep-going", "--no-build-output", "--log-format", "bar-with-logs"}

// remotely runs nix-store with the store of a node.
func (s *Store) remotely(ctx context.Context, n deploy.Node, log io.Writer, args []string) (written []byte, err error) {
	ssh, err := s.ssh()
	if err != nil {
		return nil, err
	}
	err = s.persistently(ctx, n, log, func() error {
		written, err = s.Nix.Run(ctx, nix.Command{Program: "nix-store", Args: append([]string{"--store", uri(n)}, args...), Env: ssh, Log: log})
		return err
	})
	return written, err
}

// missing returns the profiles that the store does not have that they are built
// in.
func (b *building) missing(ctx context.Context, profiles []deploy.Profile) (missing []deploy.Profile, err error) {
	args := []string{"--check-validity", "--print-invalid"}
	for _, p := range profiles {
		args = append(args, p.Path)
	}
	var written []byte
	if b.node.RemoteBuild {
		written, err = b.store.remotely(ctx, b.node, io.Discard, args)
	} else {
		written, err = b.store.Nix.Run(ctx, nix.Command{Program: "nix-store", Args: args})
	}
	invalid := strings.Fields(string(written))
	for _, p := range profiles {
		if slices.Contains(invalid, p.Path) {
			missing = append(missing, p)
		}
	}
	return missing, err
}

// own returns the complaints about what a profile is made from.
func (b *building) own(ctx context.Context, p deploy.Profile, said *nix.CommandError) []nix.FailedBuild {
	if said == nil || p.Derivation == "" {
		return nil
	}
	complaints := said.FailedBuilds()
	if len(complaints) == 0 {
		return nil
	}
	written, err := b.store.Nix.Run(ctx, nix.Command{Program: "nix-store", Args: []string{"--query", "--requisites", p.Derivation}})
	if err != nil {
		return nil
	}
	needs := strings.Fields(string(written))
	return slices.DeleteFunc(complaints, func(c nix.FailedBuild) bool { return !slices.Contains(needs, c.Derivation) })
}

// A BuildError says why a profile is not built.
type BuildError struct {
	Profile     string   // node/profile
	Derivations []string // that failed themselves, where that is known
	Message     string
	Advice      string
}

func (e *BuildError) Error() string { return "build " + e.Profile + ": " + e.Message }

// Hint says what mends it, or where more is said.
func (e *BuildError) Hint() string { return e.Advice }

func newBuildError(p deploy.Profile, complaints []nix.FailedBuild) *BuildError {
	e := &BuildError{Profile: p.Key()}
	var messages []string
	for _, c := range complaints {
		messages = append(messages, c.Message)
		e.Derivations = append(e.Derivations, c.Derivation)
	}
	e.Message = strings.Join(messages, "\n")
	e.Advice = buildAdvice(e, maker(p))
	return e
}

// unexplainedBuild is for what is missing though nix said of nothing that it is
// made from that it failed.
func unexplainedBuild(p deploy.Profile, said *nix.CommandError) *BuildError {
	e := &BuildError{Profile: p.Key()}
	if said == nil {
		e.Message = "nix built " + maker(p) + ", and the path of the profile is not among what it made"
		e.Advice = "let the profile's path be that of a derivation's first output"
		return e
	}
	e.Message = said.Message()
	e.Advice = buildAdvice(e, maker(p))
	return e
}

func buildAdvice(e *BuildError, maker string) string {
	for _, a := range []struct{ message, hint string }{
		{"is required to build", "this machine cannot build for that platform: set up a remote builder (nix.buildMachines), or let the node build: -remoteBuild"},
		{"platform mismatch", "this machine cannot build for that platform: set up a remote builder (nix.buildMachines), or let the node build: -remoteBuild"},
		{"required system or feature", "this machine cannot build for that platform: set up a remote builder (nix.buildMachines), or let the node build: -remoteBuild"},
		{"No space left on device", "make room: nix-collect-garbage"},
		{"database or disk is full", "make room: nix-collect-garbage"},
	} {
		if strings.Contains(e.Message, a.message) {
			return a.hint
		}
	}
	if len(e.Derivations) > 0 {
		return "nix log " + e.Derivations[0] + " shows all that it said"
	}
	return "nix-store --realise " + maker + " shows all that nix writes"
}
