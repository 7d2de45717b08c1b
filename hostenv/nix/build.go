package nix

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// A Buildable is something of a plan that Nix builds: the system of a node, or
// the package of an environment.
type Buildable struct {
	Kind   BuildKind
	Name   string // of the node, or the environment's user
	System string // the platform, as in "x86_64-linux"; this machine's if empty
}

// A BuildKind is also the output of a provider's flake that holds its kind,
// below legacyPackages.<system>.
type BuildKind string

// What there is to build.
const (
	NodeSystem  BuildKind = "nodes"
	Environment BuildKind = "environments"
)

func (b Buildable) String() string {
	if b.Kind == NodeSystem {
		return "node " + b.Name
	}
	return "environment " + b.Name
}

// reference is the provider's flake and the attribute in it. It names the
// platform, for a node may have another one than this machine, and a plain
// `.#nodes.<name>` is looked up for this machine's alone.
func (b Buildable) reference() string {
	attribute := string(b.Kind) + "." + quoteUnlessPlain(b.Name)
	if b.System != "" {
		attribute = "legacyPackages." + quoteUnlessPlain(b.System) + "." + attribute
	}
	return ".#" + attribute
}

func quoteUnlessPlain(name string) string {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == "" {
		return name
	}
	return quote(name)
}

// Built is what became of a Buildable.
type Built struct {
	Buildable
	Path        string // in the store
	ClosureSize int64  // of the path and all that it refers to, in bytes
}

// Build builds all of them and returns what was built, in their order. No links
// to the results are made: nothing keeps them from Nix's garbage collector.
//
// Each is a nix process of its own, so that one which fails neither hides nor
// stops another; Jobs of them run at once. If any fails, the error is a
// *[BuildError] with all that do.
func (r *Runner) Build(ctx context.Context, wanted []Buildable) ([]Built, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	events := &counter{runner: r, phase: Building, total: len(wanted)}
	built := make([]Built, len(wanted))
	var mu sync.Mutex
	var failures []BuildFailure
	err := inParallel(r.jobs(), numbered(wanted), func(i int, b Buildable) error {
		events.tell(b.String())
		path, err := r.build(ctx, b)
		failed := (*nixError)(nil)
		if !errors.As(err, &failed) {
			built[i] = Built{Buildable: b, Path: path}
			return err
		}
		said, hint := splitHint(message(withoutDependents(failed.log)))
		mu.Lock()
		defer mu.Unlock()
		failures = append(failures, BuildFailure{Index: i, Buildable: b, Message: said, Advice: cmp.Or(hint, buildAdvice(b, said))})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(failures) > 0 {
		slices.SortFunc(failures, func(a, b BuildFailure) int { return a.Index - b.Index })
		return nil, &BuildError{Failures: failures}
	}
	return built, r.measure(ctx, built)
}

func (r *Runner) build(ctx context.Context, b Buildable) (path string, err error) {
	written, _, err := r.command(ctx, nil, "build", "--no-link", "--no-update-lock-file", b.reference())
	if err != nil {
		return "", err
	}
	var results []struct {
		Outputs map[string]string `json:"outputs"`
	}
	if err := json.Unmarshal(written, &results); err != nil {
		return "", fmt.Errorf("build %s: read what nix wrote: %w", b, err)
	}
	if len(results) != 1 {
		return "", fmt.Errorf("build %s: nix built %d results, not one", b, len(results))
	}
	outputs := results[0].Outputs
	for _, name := range []string{"out", "bin"} {
		if outputs[name] != "" {
			return outputs[name], nil
		}
	}
	for _, path := range outputs {
		if len(outputs) == 1 {
			return path, nil
		}
	}
	return "", fmt.Errorf("build %s: it has %d outputs, and none is called out", b, len(outputs))
}

// dependent is what nix says of a derivation that cannot be built for another
// one that failed, up to 2.29 and since.
var dependent = regexp.MustCompile(`(?m)^error: (\d+ dependenc(y|ies) of derivation .*|Cannot build .*\n\s*Reason: \d+ dependenc(y|ies) failed\.?)$`)

// withoutDependents keeps of a log what was said of the derivation that failed
// itself, where nix says that.
func withoutDependents(log string) string {
	if at := dependent.FindStringIndex(log); at != nil && strings.Contains(log[:at[0]], "error:") {
		return log[:at[0]]
	}
	return log
}

// measure asks for the size of every closure.
func (r *Runner) measure(ctx context.Context, built []Built) error {
	args := []string{"--closure-size"}
	for _, b := range built {
		args = append(args, b.Path)
	}
	written, _, err := r.command(ctx, nil, "path-info", args...)
	if err != nil {
		return fmt.Errorf("measure what was built: %w", err)
	}
	sizes, err := closureSizes(written)
	if err != nil {
		return fmt.Errorf("measure what was built: %w", err)
	}
	for i, b := range built {
		built[i].ClosureSize = sizes[b.Path]
	}
	return nil
}

// closureSizes reads what path-info writes: a list up to Nix 2.18, since then an
// object by path.
func closureSizes(written []byte) (map[string]int64, error) {
	type info struct {
		Path        string `json:"path"`
		ClosureSize int64  `json:"closureSize"`
	}
	sizes := map[string]int64{}
	var list []info
	if err := json.Unmarshal(written, &list); err == nil {
		for _, i := range list {
			sizes[i.Path] = i.ClosureSize
		}
		return sizes, nil
	}
	var byPath map[string]info
	if err := json.Unmarshal(written, &byPath); err != nil {
		return nil, fmt.Errorf("nix path-info writes neither a list nor an object: %w", err)
	}
	for path, i := range byPath {
		sizes[path] = i.ClosureSize
	}
	return sizes, nil
}

// buildAdvice is for what nix itself says.
func buildAdvice(b Buildable, said string) string {
	for _, a := range advice {
		if strings.Contains(said, a.message) && a.message != missingAttribute {
			return a.hint
		}
	}
	switch {
	case strings.Contains(said, missingAttribute):
		return "the flake has no such output: run `mage plan`, and `git add generated`; a flake sees only files that git knows"
	case strings.Contains(said, "is required to build"), strings.Contains(said, "Reason: platform mismatch"), strings.Contains(said, "Reason: required system"):
		return "this machine cannot build for that platform: set up a remote builder (nix.buildMachines), or build there"
	default:
		return "nix build --no-link --show-trace '" + b.reference() + "' shows how nix got there"
	}
}

// A BuildError says which builds failed, all of them.
type BuildError struct {
	Failures []BuildFailure // in the order in which they were asked for
}

// A BuildFailure is one build's.
type BuildFailure struct {
	Buildable
	Index   int // in the list of what was asked for
	Message string
	Advice  string
}

func (f BuildFailure) Error() string { return "build " + f.String() + ": " + f.Message }

// Hint says what mends it, or how to see more.
func (f BuildFailure) Hint() string { return f.Advice }

func (e *BuildError) Error() string {
	if len(e.Failures) == 1 {
		return e.Failures[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d builds failed:", len(e.Failures))
	for _, f := range e.Failures {
		b.WriteString("\n- " + strings.ReplaceAll(f.Error(), "\n", "\n  "))
	}
	return b.String()
}

// Unwrap returns the failures, an error each.
func (e *BuildError) Unwrap() []error {
	errs := make([]error, len(e.Failures))
	for i, f := range e.Failures {
		errs[i] = f
	}
	return errs
}
