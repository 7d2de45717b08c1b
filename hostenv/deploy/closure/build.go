package closure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan/nix"
)

// Build implements [deploy.Store]. A node with RemoteBuild builds for itself:
// it is given the derivations, which need no signature, and the closures are
// there and nowhere else.
func (s *Store) Build(ctx context.Context, n deploy.Node, profiles []deploy.Profile, log io.Writer) (map[string]error, error) {
	if len(profiles) == 0 {
		return nil, nil
	}
	var derivations, paths []string
	for _, p := range profiles {
		if err := checkPaths(p.Path); err != nil {
			return nil, fmt.Errorf("build %s: %w", p.Key(), err)
		}
		makes := p.Path // what no derivation makes is in the store, or can be fetched
		if p.Derivation != "" {
			makes = p.Derivation
		}
		if err := checkPaths(makes); err != nil {
			return nil, fmt.Errorf("build %s: %w", p.Key(), err)
		}
		derivations, paths = append(derivations, makes), append(paths, p.Path)
	}
	var err error
	if n.RemoteBuild {
		err = s.buildThere(ctx, n, derivations, log)
	} else {
		err = s.buildHere(ctx, n, derivations, log)
	}
	why := (*nix.CommandError)(nil)
	if err != nil && !errors.As(err, &why) {
		return nil, fmt.Errorf("build for node %s: %w", n.Name, err)
	}
	// What is built is what the store has, whatever was said.
	invalid, err := s.invalid(ctx, n, paths)
	if err != nil {
		return nil, fmt.Errorf("ask what was built for node %s: %w", n.Name, err)
	}
	if len(invalid) == 0 {
		if why != nil {
			return nil, fmt.Errorf("build for node %s: %w", n.Name, why)
		}
		return nil, nil
	}
	failed := map[string]error{}
	var built []string
	for _, p := range profiles {
		if !slices.Contains(invalid, p.Path) {
			built = append(built, p.Path)
			continue
		}
		failed[p.Name] = s.buildError(ctx, p, why)
	}
	if len(built) > 0 && !n.RemoteBuild {
		// Nix keeps nothing of a build that failed in part.
		if err := s.realise(ctx, n, built, log); err != nil {
			return failed, fmt.Errorf("keep what was built for node %s: %w", n.Name, err)
		}
	}
	return failed, nil
}

func (s *Store) buildHere(ctx context.Context, n deploy.Node, derivations []string, log io.Writer) error {
	return s.realise(ctx, n, derivations, log)
}

// realise builds or fetches, and keeps what it made for as long as the links are
// there: <node>, <node>-2 and so on.
func (s *Store) realise(ctx context.Context, n deploy.Node, what []string, log io.Writer) error {
	if err := os.MkdirAll(s.Roots, 0o777); err != nil {
		return err
	}
	roots, err := filepath.Abs(filepath.Join(s.Roots, n.Name))
	if err != nil {
		return err
	}
	args := append([]string{"--realise", "--add-root", roots, "--indirect"}, building...)
	_, err = s.Nix.Run(ctx, nix.Command{Program: "nix-store", Args: append(args, what...), Log: log})
	return err
}

// building has a build go on after a failure, and name whose line is whose.
var building = []string{"--keep-going", "--no-build-output", "--log-format", "bar-with-logs"}

func (s *Store) buildThere(ctx context.Context, n deploy.Node, derivations []string, log io.Writer) error {
	for _, derivation := range derivations {
		if !strings.HasSuffix(derivation, ".drv") {
			return fmt.Errorf("node %s cannot build %s, of which no derivation is known", n.Name, derivation)
		}
	}
	if err := s.copy(ctx, n, derivations, log, "--derivation"); err != nil {
		return err
	}
	ssh, err := s.ssh()
	if err != nil {
		return err
	}
	return s.persistently(ctx, n, log, func() error {
		args := append([]string{"--store", uri(n), "--realise"}, building...)
		_, err := s.Nix.Run(ctx, nix.Command{Program: "nix-store", Args: append(args, derivations...), Env: ssh, Log: log})
		return err
	})
}

// invalid returns which paths the store does not have that they are built in.
func (s *Store) invalid(ctx context.Context, n deploy.Node, paths []string) ([]string, error) {
	c := nix.Command{Program: "nix-store", Args: append([]string{"--check-validity", "--print-invalid"}, paths...)}
	if !n.RemoteBuild {
		written, err := s.Nix.Run(ctx, c)
		return strings.Fields(string(written)), err
	}
	var err error
	if c.Env, err = s.ssh(); err != nil {
		return nil, err
	}
	c.Args = append([]string{"--store", uri(n)}, c.Args...)
	var written []byte
	err = s.persistently(ctx, n, io.Discard, func() error {
		written, err = s.Nix.Run(ctx, c)
		return err
	})
	return strings.Fields(string(written)), err
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

// buildError finds in what nix said why it did not build a profile.
func (s *Store) buildError(ctx context.Context, p deploy.Profile, said *nix.CommandError) error {
	e := &BuildError{Profile: p.Key()}
	if said == nil {
		e.Message = "nix built " + p.Derivation + ", and the path of the profile is not among what it made"
		e.Advice = "the derivation has other outputs than its path says: let the profile's path be that of a derivation"
		return e
	}
	complaints := parseComplaints(said.Log)
	if len(complaints) > 1 && p.Derivation != "" {
		// Of several, those about what it is made from. Where that cannot be
		// asked, all of them are told.
		written, err := s.Nix.Run(ctx, nix.Command{Program: "nix-store", Args: []string{"--query", "--requisites", p.Derivation}})
		if needs := strings.Fields(string(written)); err == nil {
			own := slices.DeleteFunc(slices.Clone(complaints), func(c complaint) bool { return !slices.Contains(needs, c.derivation) })
			if len(own) > 0 {
				complaints = own
			}
		}
	}
	var messages []string
	for _, c := range complaints {
		messages = append(messages, c.message)
		e.Derivations = append(e.Derivations, c.derivation)
	}
	e.Message = strings.Join(messages, "\n")
	if e.Message == "" {
		e.Message = said.Message()
	}
	e.Advice = buildAdvice(e)
	return e
}

func buildAdvice(e *BuildError) string {
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
	return "the log of the node's build shows all that nix said"
}

// A complaint is what nix said of a derivation that failed itself.
type complaint struct{ derivation, message string }

var (
	blamed = regexp.MustCompile(`'(/[^']+\.drv)'`)
	// Of what merely needs something that failed, up to 2.29 and since; and of
	// the whole.
	dependent = regexp.MustCompile(`^error: (\d+ dependenc(y|ies) of derivation|build of '|some builds failed|build of resolved)`)
	reason    = regexp.MustCompile(`(?m)^\s*Reason: \d+ dependenc(y|ies) failed`)
	// Where else to look, and paths that nobody asked about.
	aside = regexp.MustCompile(`^\s*(For full logs, run|nix log |Output paths:|/\S+$)`)
)

// parseComplaints finds what was said of each derivation that failed itself,
// with the last lines of its own log.
func parseComplaints(log string) []complaint {
	lines := strings.Split(log, "\n")
	var found []complaint
	for i := 0; i < len(lines); i++ {
		drv := blamed.FindStringSubmatch(lines[i])
		if !strings.HasPrefix(lines[i], "error:") || drv == nil || dependent.MatchString(lines[i]) {
			continue
		}
		end := i + 1
		for end < len(lines) && (strings.HasPrefix(lines[end], " ") && !isLogLine.MatchString(lines[end])) {
			end++
		}
		block := lines[i:end]
		if reason.MatchString(strings.Join(block, "\n")) ||
			slices.ContainsFunc(found, func(c complaint) bool { return c.derivation == drv[1] }) {
			continue
		}
		message := []string{strings.TrimSpace(strings.TrimPrefix(block[0], "error:"))}
		logged := false
		for _, line := range block[1:] {
			if !aside.MatchString(line) && strings.TrimSpace(line) != "" {
				message = append(message, strings.TrimSpace(line))
				logged = logged || strings.Contains(line, "log lines:")
			}
		}
		if !logged {
			message = append(message, lastLines(lines[:i], drv[1])...)
		}
		found = append(found, complaint{drv[1], strings.Join(message, "\n")})
	}
	return found
}

var isLogLine = regexp.MustCompile(`^[^\s>]+> `)

// lastLines returns the last ten lines that a derivation's builder wrote, which
// `bar-with-logs` has the name of the package before.
func lastLines(lines []string, derivation string) []string {
	name, _ := splitName(strings.TrimSuffix(filepath.Base(derivation)[hashLength+1:], ".drv"))
	var last []string
	for _, line := range lines {
		if own, ok := strings.CutPrefix(line, name+"> "); ok {
			last = append(last, "> "+own)
		}
	}
	return last[max(0, len(last)-10):]
}
