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
	"strconv"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Build implements [deploy.Store]. A node that builds for itself receives the
// derivations, which need no signature, and only it has the closures then.
//
// One process is enough if all builds succeed. If one fails, Nix may not do others
// that do not need it: Nix 2.8 does so at a derivation for another
// platform, and so does any Nix that builds on a node with 2.8. Build starts these
// again without the one that failed.
//
// While the process runs, Build asks the store which profiles are there, and reports
// those. It does not read that from Nix's output: a builder can write what Nix writes,
// also about a derivation of another customer. So it reports a failure when the process
// has ended.
func (s *Store) Build(ctx context.Context, on *deploy.Node, profiles []deploy.Profile, log io.Writer, known func(map[string]error)) error {
	for _, p := range profiles {
		if err := checkPaths(p.Path, maker(p)); err != nil {
			return fmt.Errorf("build %s: %w", p.Key(), err)
		}
		if on != nil && p.Derivation == "" {
			return fmt.Errorf("build %s: node %s cannot build %s without its derivation", p.Key(), on.Name, p.Path)
		}
	}
	b := &building{store: s, on: on, log: log, known: known, failed: map[string]error{}}
	b.setFlags(ctx)
	var err error
	for pending := profiles; len(pending) > 0; {
		if pending, err = b.round(ctx, pending); err != nil {
			return err
		}
	}
	if len(b.failed) == 0 {
		return nil
	}
	return b.keep(ctx, profiles)
}

// maker returns what a profile is built from: its derivation, or else its path,
// which the store has or can fetch.
func maker(p deploy.Profile) string { return cmp.Or(p.Derivation, p.Path) }

// A building is one call of Build.
type building struct {
	store     *Store
	on        *deploy.Node // nil for this machine
	log       io.Writer
	known     func(map[string]error)
	flags     []string
	delivered bool             // whether the node has the derivations
	failed    map[string]error // by the key of the profile
}

// The first time at which Build asks what is built, and the longest time between two
// questions. A question is one process, and what is found is signed and copied at once,
// with some processes for each node. If all is built soon, there is no question.
const firstLook, lookAgain = 5 * time.Second, 20 * time.Second

// round builds profiles with one process, reports those that it built, notes those that
// failed, and returns those to build again without them.
func (b *building) round(ctx context.Context, profiles []deploy.Profile) (again []deploy.Profile, err error) {
	pending, err := b.watch(ctx, profiles)
	failure := (*nix.CommandError)(nil)
	if err != nil && !errors.As(err, &failure) {
		return nil, fmt.Errorf("build on %s: %w", b.where(), err)
	}
	// The store shows what is built, not the output or the exit status of nix.
	missing, err := b.missing(ctx, pending)
	if err != nil {
		return nil, fmt.Errorf("ask what was built on %s: %w", b.where(), err)
	}
	if len(missing) == 0 && failure != nil && len(b.failed) == 0 {
		return nil, fmt.Errorf("build on %s: %w", b.where(), failure)
	}
	b.report(pending, missing)
	for _, p := range missing {
		if causes := b.causes(ctx, p, failure); len(causes) > 0 {
			b.fail(p, buildFailed(p, causes))
		} else {
			again = append(again, p)
		}
	}
	if len(again) < len(missing) {
		return again, nil
	}
	for _, p := range again { // without a known cause, they would fail again
		b.fail(p, unexplained(p, failure))
	}
	return nil, nil
}

// watch builds profiles with one process, and reports those that are built while it
// runs. It returns the others, and the error of the process.
func (b *building) watch(ctx context.Context, profiles []deploy.Profile) (pending []deploy.Profile, err error) {
	ended := make(chan error, 1)
	go func() { ended <- b.build(ctx, profiles) }()
	pending = profiles
	for wait := firstLook; ; wait = min(2*wait, lookAgain) {
		select {
		case err := <-ended:
			return pending, err
		case <-time.After(wait):
		}
		// An error here is met again when the process has ended.
		if missing, err := b.missing(ctx, pending); err == nil {
			b.report(pending, missing)
			pending = missing
		}
	}
}

// report reports the profiles that are built: all but those that are missing.
func (b *building) report(profiles, missing []deploy.Profile) {
	lacks := map[string]bool{}
	for _, p := range missing {
		lacks[p.Key()] = true
	}
	built := map[string]error{}
	for _, p := range profiles {
		if !lacks[p.Key()] {
			built[p.Key()] = nil
		}
	}
	if len(built) > 0 {
		b.known(built)
	}
}

func (b *building) fail(p deploy.Profile, err error) {
	b.failed[p.Key()] = err
	b.known(map[string]error{p.Key(): err})
}

// where names the machine that builds.
func (b *building) where() string {
	if b.on == nil {
		return "this machine"
	}
	return "node " + b.on.Name
}

// keep makes the links for the profiles that were built: Nix makes none if a part of
// a build fails.
func (b *building) keep(ctx context.Context, profiles []deploy.Profile) error {
	built := slices.DeleteFunc(slices.Clone(profiles), func(p deploy.Profile) bool { return b.failed[p.Key()] != nil })
	if len(built) == 0 || b.on != nil {
		return nil
	}
	for i := range built {
		built[i].Derivation = ""
	}
	if err := b.build(ctx, built); err != nil {
		return fmt.Errorf("keep what was built: %w", err)
	}
	return nil
}

// build builds profiles with one process.
func (b *building) build(ctx context.Context, profiles []deploy.Profile) error {
	var derivations []string
	for _, p := range profiles {
		derivations = append(derivations, maker(p))
	}
	if b.on == nil {
		return b.store.realise(ctx, derivations, b.flags, b.log)
	}
	if !b.delivered {
		err := b.store.copy(ctx, *b.on, derivations, b.log, "--derivation")
		if failed := (*nix.CommandError)(nil); errors.As(err, &failed) {
			// This error is not a CommandError, so that the caller blames no single profile.
			return fmt.Errorf("copy the derivations to it: %s", failed.Message())
		}
		if err != nil {
			return err
		}
		b.delivered = true
	}
	// A build may print nothing as long as it may take.
	_, err := b.store.remotely(ctx, *b.on, b.log, b.store.buildTime()+b.store.stall(), slices.Concat([]string{"--realise"}, b.flags, derivations))
	return err
}

// realise builds or fetches paths, and keeps them from the garbage collector as
// long as their links in s.Roots exist.
func (s *Store) realise(ctx context.Context, what, flags []string, log io.Writer) error {
	if err := os.MkdirAll(s.Roots, 0o777); err != nil {
		return err
	}
	// Each set of paths has names of its own, for nix changes links that exist.
	sum := sha256.Sum256([]byte(strings.Join(what, "\n")))
	roots, err := filepath.Abs(filepath.Join(s.Roots, fmt.Sprintf("%x", sum[:6])))
	if err != nil {
		return err
	}
	args := append([]string{"--realise", "--add-root", roots, "--indirect"}, flags...)
	_, err = s.Nix.Run(ctx, nix.Command{Program: "nix-store", Args: append(args, what...), Log: log})
	return err
}

// leastJobs is how many derivations are built at once at least. Nix's default is one, and
// then a build that does not end holds all others.
const leastJobs = 4

// setFlags sets flags by which a build goes on after a failure, has each line of a log
// begin with its derivation, and is bounded in time for each derivation: a customer writes
// some, and all profiles are built together. A machine that builds nothing itself
// (max-jobs = 0) stays so, and so does one that does not say how many it builds.
func (b *building) setFlags(ctx context.Context) {
	b.flags = []string{"--keep-going", "--no-build-output", "--log-format", "bar-with-logs", "--timeout", strconv.Itoa(int(b.store.buildTime().Seconds()))}
	if jobs, err := b.store.Nix.MaxJobs(ctx); err == nil && jobs > 0 && jobs < leastJobs {
		b.flags = append(b.flags, "--max-jobs", strconv.Itoa(leastJobs))
	}
}

func (s *Store) buildTime() time.Duration { return cmp.Or(s.BuildTime, 2*time.Hour) }

// remotely runs nix-store on the store of a node, which may answer nothing for a time.
func (s *Store) remotely(ctx context.Context, n deploy.Node, log io.Writer, quiet time.Duration, args []string) (written []byte, err error) {
	ssh, err := s.ssh()
	if err != nil {
		return nil, err
	}
	written, err = s.Nix.Run(ctx, nix.Command{Program: "nix-store", Args: append([]string{"--store", uri(n)}, args...), Env: ssh, Log: log, Stall: quiet})
	return written, s.ofNode(n.Name, err)
}

// missing returns the profiles that the store in which they are built lacks.
func (b *building) missing(ctx context.Context, profiles []deploy.Profile) (missing []deploy.Profile, err error) {
	var paths []string
	for _, p := range profiles {
		paths = append(paths, p.Path)
	}
	invalid := map[string]bool{}
	if b.on == nil {
		invalid, err = b.store.Nix.Invalid(ctx, paths)
	} else {
		var written []byte
		written, err = b.store.remotely(ctx, *b.on, io.Discard, b.store.stall(), append([]string{"--check-validity", "--print-invalid"}, paths...))
		for _, path := range strings.Fields(string(written)) {
			invalid[path] = true
		}
	}
	for _, p := range profiles {
		if invalid[p.Path] {
			missing = append(missing, p)
		}
	}
	return missing, err
}

// causes returns the builds that failed among those that a profile needs.
func (b *building) causes(ctx context.Context, p deploy.Profile, failure *nix.CommandError) []nix.FailedBuild {
	if failure == nil || p.Derivation == "" {
		return nil
	}
	builds := failure.FailedBuilds()
	if len(builds) == 0 {
		return nil
	}
	written, err := b.store.Nix.Run(ctx, nix.Command{Program: "nix-store", Args: []string{"--query", "--requisites", p.Derivation}})
	if err != nil {
		return nil
	}
	needs := strings.Fields(string(written))
	return slices.DeleteFunc(builds, func(f nix.FailedBuild) bool { return !slices.Contains(needs, f.Derivation) })
}

// buildFailed reports that a profile is not built, because of the builds given.
func buildFailed(p deploy.Profile, causes []nix.FailedBuild) error {
	var messages []string
	for _, cause := range causes {
		messages = append(messages, cause.Message)
	}
	return buildProblem(p, strings.Join(messages, "\n"), "run `nix log "+causes[0].Derivation+"` to see the whole log")
}

// unexplained reports that a profile is not built, though nix reports no failed
// build that it needs.
func unexplained(p deploy.Profile, failure *nix.CommandError) error {
	if failure == nil {
		return buildProblem(p, "nix built "+maker(p)+", which does not produce the profile's path "+p.Path, "set the profile's path to its derivation's first output")
	}
	return buildProblem(p, failure.Message(), "run `nix-store --realise "+maker(p)+"` to see all that nix writes")
}

// buildProblem has a fix for what Nix reports of this machine, and otherwise the
// one given.
func buildProblem(p deploy.Profile, text, fix string) error {
	const (
		platform = "this machine cannot build for that platform: set up a remote builder (nix.buildMachines), or let the node build: -remoteBuild"
		room     = "make room: nix-collect-garbage"
	)
	for _, known := range []struct{ message, fix string }{
		{"is required to build", platform},
		{"platform mismatch", platform},
		{"required system or feature", platform},
		{"No space left on device", room},
		{"database or disk is full", room},
	} {
		if strings.Contains(text, known.message) {
			fix = known.fix
			break
		}
	}
	return problem.New("", "build "+p.Key()+": "+text, fix)
}
