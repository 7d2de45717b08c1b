package nix

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Inventory evaluates the provider's inventory and returns its JSON. It reports
// one event for each project. The error holds an *[EvalError] for every project
// that cannot be evaluated. flake.lock must exist and be up to date: only the
// provider decides to change it. Inventory refuses what CheckLock refuses, before it
// evaluates anything.
func (r *Runner) Inventory(ctx context.Context) ([]byte, error) {
	// A customer's code may trace as well, but does not know the mark.
	events := &counter{runner: r, phase: Evaluate, mark: rand.Text()}
	// Evaluate the options first: projects take minutes.
	document, err := r.apply(ctx, events, "p: let i = p.inventoryWith { progress = "+quote(events.mark)+"; }; in builtins.seq i.provider i")
	if failed := (*nixError)(nil); errors.As(err, &failed) {
		return nil, r.findFailures(ctx, failed)
	}
	if err != nil {
		return nil, err
	}
	if !json.Valid(document) {
		return nil, fmt.Errorf("evaluate the inventory: nix wrote %d bytes that are not JSON", len(document))
	}
	return document, nil
}

// apply evaluates a function of lib.hostenvProvider.
func (r *Runner) apply(ctx context.Context, events *counter, function string) ([]byte, error) {
	provider, err := r.Installable(ctx, "lib.hostenvProvider")
	if err != nil {
		return nil, err
	}
	written, _, err := r.eval(ctx, events, "--no-update-lock-file", provider, "--apply", function)
	return written, err
}

// findFailures evaluates the provider's options and every project separately,
// after the evaluation of all together failed.
func (r *Runner) findFailures(ctx context.Context, together *nixError) error {
	out, err := r.apply(ctx, nil, "p: p.projectNames")
	if failed := (*nixError)(nil); errors.As(err, &failed) {
		return failureOf("", failed, true)
	}
	if err != nil {
		return err
	}
	var projects []string
	if err := json.Unmarshal(out, &projects); err != nil {
		return fmt.Errorf("read the names of the projects: %w", err)
	}

	// builtins.toJSON forces the whole value, to find errors deep inside.
	functions := map[string]string{"": "p: builtins.seq (builtins.toJSON (p.inventoryWith { only = [ ]; })) true"}
	for _, project := range projects {
		functions[project] = "p: builtins.seq (builtins.toJSON (p.inventoryWith { only = [ " + quote(project) + " ]; }).projects) true"
	}
	var (
		mu       sync.Mutex
		failures []*EvalError
	)
	err = inParallel(r.jobs(), functions, func(project, function string) error {
		_, err := r.apply(ctx, nil, function)
		failed := (*nixError)(nil)
		if !errors.As(err, &failed) {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		failures = append(failures, failureOf(project, failed, project == ""))
		return nil
	})
	if err != nil {
		return err
	}
	if len(failures) == 0 {
		failures = []*EvalError{failureOf("", together, false)}
	}
	slices.SortFunc(failures, func(a, b *EvalError) int { return cmp.Compare(a.Project, b.Project) })
	if own := failures[0]; own.Project == "" {
		// An error in the provider's options also fails every project.
		failures = append(failures[:1], slices.DeleteFunc(failures[1:], func(f *EvalError) bool {
			return f.Message == own.Message || f.Message == inline(own.Message+"\nhint: "+own.Advice)
		})...)
	}
	var all problem.List
	for _, f := range failures {
		all.Add(f)
	}
	return all.Err()
}

const missingAttribute = "does not provide attribute"

// advice holds the hints for Nix's own messages.
var advice = []struct {
	message *regexp.Regexp
	hint    string
}{
	{regexp.MustCompile("requires lock file changes"), "run `nix flake lock` in the provider's folder"},
	{regexp.MustCompile(missingAttribute), "let the provider's flake.nix return hostenv-provider.lib.mkProvider { inherit inputs; provider = { ... }; }"},
	{regexp.MustCompile(`could not find a flake\.nix`), "run this in the provider's folder, where its flake.nix is"},
	{regexp.MustCompile("does not contain a"), "run this in the provider's folder, and `git add` its flake.nix"},
	{regexp.MustCompile(`/nix/store/[^/]+/.*(No such file or directory|does not exist)`), "if that file exists, `git add` it: a flake sees only the files that git knows"},
	{regexp.MustCompile("(?i)the option `provider\\.[^']*' does not exist|definition for option `provider\\."), "correct the option in flake.nix; docs/options.md of hostenv-provider lists all"},
	{regexp.MustCompile("Could(n't| not) resolve host"), "run the command again once this machine finds the host in DNS"},
}

// failureOf reports a failed evaluation. own means that it ran no customer's code.
func failureOf(project string, failed *nixError, own bool) *EvalError {
	text, hint := inline(message(failed.log)), ""
	if own {
		text, hint = splitHint(message(failed.log))
	}
	if text == "" {
		text = failed.err.Error()
	}
	hint = cmp.Or(hint, Advice(text))
	if project != "" {
		text = strings.TrimPrefix(text, "project "+project+": ")
	}
	return &EvalError{Project: project, Message: text, Advice: hint}
}

// Advice returns the hint for a message of Nix itself, "" if there is none.
func Advice(text string) string {
	for _, a := range advice {
		if a.message.MatchString(text) {
			return a.hint
		}
	}
	return ""
}

// Quote writes any text as a string of Nix.
func Quote(text string) string { return quote(text) }

// SplitHint splits a message of our own Nix code into its text and its hint.
func SplitHint(message string) (text, hint string) { return splitHint(message) }

// Inline returns a message of an evaluation that runs a customer's code, in which
// nothing is a hint.
func Inline(message string) string { return inline(message) }

func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `${`, `\${`).Replace(text) + `"`
}

// inParallel calls do for each entry, at most n at once, and returns the first
// error after all calls have returned.
func inParallel[K comparable, V any](n int, entries map[K]V, do func(K, V) error) error {
	var (
		wait  sync.WaitGroup
		mu    sync.Mutex
		first error
		slots = make(chan struct{}, n)
	)
	for key, value := range entries {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			if err := do(key, value); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if first == nil {
					first = err
				}
			}
		})
	}
	wait.Wait()
	return first
}

// TrustedPublicKeys evaluates provider.nixSigning.trustedPublicKeys of the
// provider's flake. The plan may be older and lack some of them. It evaluates no
// project.
func (r *Runner) TrustedPublicKeys(ctx context.Context) ([]string, error) {
	written, err := r.apply(ctx, nil, "p: (p.inventoryWith { only = [ ]; }).provider.nixSigning.trustedPublicKeys or [ ]")
	if err != nil {
		return nil, err
	}
	var keys []string
	if err := json.Unmarshal(written, &keys); err != nil {
		return nil, fmt.Errorf("read the keys that the flake trusts: %w", err)
	}
	return keys, nil
}
