package nix

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Inventory evaluates the provider's inventory and returns its JSON. It reports
// one event for each project. If projects cannot be evaluated, it returns the
// inventory of all others, and a *[FailedProjects]; any other error comes without an
// inventory, and holds those of projects as well. flake.lock must exist and be up to date: only the
// provider decides to change it. Inventory refuses what CheckLock refuses, before it
// evaluates anything.
//
// The provider's own options are evaluated first, without the code of any customer,
// and each project that is wanted in a process of its own (see [holder]), as many at a time as
// there are processors, or as Jobs says.
func (r *Runner) Inventory(ctx context.Context) ([]byte, error) {
	own, err := r.ownPart(ctx)
	if err != nil && own == nil {
		return nil, err
	}
	projects, failed, projectsErr := r.projects(ctx, own)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var failures problem.List
	failures.Add(err, projectsErr)
	if len(failures) > 0 {
		failures.Add(failed.errorOrNil())
		return nil, failures.Err()
	}
	document, err := own.document(projects)
	if err != nil {
		return nil, err
	}
	return document, failed.errorOrNil()
}

// FailedProjects holds the projects that could not be evaluated, and why, by name.
type FailedProjects map[string]error

func (f FailedProjects) errorOrNil() error {
	if len(f) == 0 {
		return nil
	}
	return &f
}

func (f *FailedProjects) Error() string { return problem.List(f.Unwrap()).Err().Error() }

// Unwrap returns the errors with the names of their projects, sorted by name.
func (f *FailedProjects) Unwrap() []error {
	var all problem.List
	for _, name := range slices.Sorted(maps.Keys(*f)) {
		all.Add(inventoryProblem(name, (*f)[name]))
	}
	return all
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
	{regexp.MustCompile("access to (URI|absolute path) .* is forbidden in restricted mode"), "let the customer name it as an input of their flake, and lock it"},
	{regexp.MustCompile("its evaluation (took longer|needs more)|its inventory is longer|what it prints is longer"), "let the customer mend it, or set provider.evaluation.time, memory or output in flake.nix"},
	{regexp.MustCompile("Could(n't| not) resolve host"), "run the command again once this machine finds the host in DNS"},
}

// local holds the hints for messages about this machine, which any command may print.
var local = []struct {
	message *regexp.Regexp
	hint    string
}{
	// The last is Nix 2.8's, whose git then takes the folder for no repository.
	{regexp.MustCompile(`is not owned by current user|detected dubious ownership in repository|unsafe repository \(|program 'git' failed with exit code 129`),
		"run the command as the user that owns the repository; or, if you trust that user, `git config --global --add safe.directory FOLDER`"},
	{regexp.MustCompile(`unknown object format 'sha256'|unknown repository extension found:\s+objectformat|hash '[0-9a-f]{64}' has wrong length`),
		"Nix reads no git repository with SHA-256: make one with SHA-1 (`git init --object-format=sha1`), and bring the history over with `git fast-export --all` and `git fast-import`"},
	{diskFull, "make room on this machine: `df -h` shows which disk is full, `nix-collect-garbage` removes what Nix no longer needs"},
}

var diskFull = regexp.MustCompile(`(?i)No space left on device|database or disk is full|Disk quota exceeded`)

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
	return localAdvice(text)
}

// localAdvice returns the hint for a message about this machine, "" if there is none.
func localAdvice(text string) string {
	for _, a := range local {
		if a.message.MatchString(text) {
			return a.hint
		}
	}
	return ""
}

// Quote writes any text as a string of Nix.
func Quote(text string) string { return problem.Nix(text) }
