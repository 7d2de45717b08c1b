package nix

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Inventory evaluates the provider's inventory and returns its JSON. It reports
// one event for each project. The error holds one for every project that cannot be
// evaluated. flake.lock must exist and be up to date: only the provider decides to
// change it. Inventory refuses what CheckLock refuses, before it evaluates anything.
func (r *Runner) Inventory(ctx context.Context) ([]byte, error) {
	// A customer's code may trace as well, but does not know the mark.
	events := &counter{runner: r, phase: Evaluate, mark: rand.Text()}
	// Evaluate the options first: projects take minutes.
	document, err := r.apply(ctx, events, "p: let i = p.inventoryWith { progress = "+Quote(events.mark)+"; }; in builtins.seq i.provider i")
	if failed := (*CommandError)(nil); errors.As(err, &failed) {
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
	written, _, err := r.command(ctx, events, "eval", "--no-update-lock-file", provider, "--apply", function)
	return written, err
}

// read evaluates a function of lib.hostenvProvider that gives part of the
// provider's options, and decodes the value.
func (r *Runner) read(ctx context.Context, function string, into any) error {
	written, err := r.apply(ctx, nil, function)
	if failed := (*CommandError)(nil); errors.As(err, &failed) {
		return inventoryProblem("", reasonOf("", failed, true))
	}
	if err != nil {
		return err
	}
	return decodeJSON(written, into)
}

// TrustedPublicKeys evaluates provider.nixSigning.trustedPublicKeys of the
// provider's flake. The plan may be older and lack some of them. It evaluates no
// project.
func (r *Runner) TrustedPublicKeys(ctx context.Context) (keys []string, err error) {
	err = r.read(ctx, "p: (p.inventoryWith { only = [ ]; }).provider.nixSigning.trustedPublicKeys or [ ]", &keys)
	return keys, err
}

// findFailures evaluates the provider's options and every project separately,
// after the evaluation of all together failed.
func (r *Runner) findFailures(ctx context.Context, together *CommandError) error {
	var projects []string
	if err := r.read(ctx, "p: p.projectNames", &projects); err != nil {
		return err
	}
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(r.Parallel())
	reasons := map[string]*problem.Problem{}
	for _, project := range append(projects, "") {
		// builtins.toJSON forces the whole value, to find errors deep inside.
		function := "p: builtins.seq (builtins.toJSON (p.inventoryWith { only = [ ]; })) true"
		if project != "" {
			function = "p: builtins.seq (builtins.toJSON (p.inventoryWith { only = [ " + Quote(project) + " ]; }).projects) true"
		}
		group.Go(func() error {
			_, err := r.apply(ctx, nil, function)
			failed := (*CommandError)(nil)
			if !errors.As(err, &failed) {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			reasons[project] = reasonOf(project, failed, project == "")
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if len(reasons) == 0 {
		reasons[""] = reasonOf("", together, false)
	}
	var all problem.List
	own := reasons[""]
	for _, project := range slices.Sorted(maps.Keys(reasons)) {
		// An error in the provider's options also fails every project.
		if reason := reasons[project]; project == "" || own == nil || reason.Text != own.Text && reason.Text != Inline(own.Text+"\nhint: "+own.Fix) {
			all.Add(inventoryProblem(project, reason))
		}
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

// reasonOf returns Nix's innermost message about a project, or about the
// provider's options for "", with a hint.
//
// own means that the evaluation ran no code of a customer. Otherwise no line of the
// message is taken for a hint.
func reasonOf(project string, failed *CommandError, own bool) *problem.Problem {
	text, hint := Inline(failed.Message()), ""
	if own {
		text, hint = SplitHint(failed.Message())
	}
	text = cmp.Or(text, failed.Err.Error())
	hint = cmp.Or(hint, Advice(text))
	if project == "" {
		return &problem.Problem{Text: text, Fix: cmp.Or(hint, "nix eval --show-trace .#lib.hostenvProvider.inventory shows how nix got there")}
	}
	return &problem.Problem{
		Text: strings.TrimPrefix(text, "project "+project+": "),
		Fix:  cmp.Or(hint, "nix eval --show-trace .#lib.hostenvProvider --apply 'p: p.inventoryWith { only = [ "+Quote(project)+" ]; }' shows how nix got there"),
	}
}

func inventoryProblem(project string, reason error) error {
	if project != "" {
		reason = problem.In("project "+project, reason)
	}
	return problem.In("evaluate the inventory", reason)
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
func Quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `${`, `\${`).Replace(text) + `"`
}
