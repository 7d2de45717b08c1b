// Package examples makes example providers: the repositories of a provider and its
// customers in one folder, which work without a network.
//
// It makes them from provider/, projects/ and inputs/ beside this package. The files
// refer to each other as git+file:///srv/example/..., which [Make] replaces.
package examples

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

//go:embed all:provider all:projects all:inputs
var files embed.FS

// Placeholder is the URL of the example's folder in the embedded files.
const Placeholder = "file:///srv/example"

// Inventory returns the recorded inventory of the example provider, as Nix
// evaluates it, with [Placeholder] in its URLs.
func Inventory() []byte {
	recorded, err := files.ReadFile("provider/inventory.json")
	if err != nil {
		panic(err) // it is embedded
	}
	return recorded
}

// Options are the options of [Make] and [MakeLarge].
type Options struct {
	Library string   // a checkout of hostenv-provider; the one around the working directory if empty
	Nix     string   // the nix program, "nix" if empty; where there is none, nothing is locked
	Env     []string // the environment of nix, the process's own if nil

	// FlakeParts makes the provider's flake that of provider/flake-parts.nix.
	// It names flakes that are not part of the example: Inputs says what to put
	// in place of their references, such as github:hercules-ci/flake-parts.
	FlakeParts bool
	Inputs     map[string]string

	// Files are in place of embedded files or beside them, by their path, such as
	// inputs/deploy-rs/flake.nix. Rename then replaces text in all files, such as
	// domains and addresses.
	Files  map[string]string
	Rename *strings.Replacer
}

// branches of the customers' projects; the first is the one that the provider's
// flake names. Each holds another web/index.html.
var branches = map[string][]string{
	"acme-site":   {"main", "staging", "feature/search"},
	"beta-portal": {"production", "release"},
}

// Make makes the example in a folder, which must be empty or not exist:
// dest/provider, the customers' dest/acme-site and dest/beta-portal, and
// dest/hostenv-provider with what the provider's flake uses of this repository.
// dest/nixpkgs and dest/deploy-rs stand for those. All are git repositories, the
// customers' with the same commits wherever and whenever they are made. Where
// there is a nix, the provider's flake is locked.
func Make(ctx context.Context, dest string, opts Options) error {
	provider, err := opts.contentOf("provider")
	if err != nil {
		return fmt.Errorf("make the example: %w", err)
	}
	if opts.FlakeParts {
		provider["flake.nix"] = provider["flake-parts.nix"]
	}
	// These are beside it, and not the provider's.
	delete(provider, "flake-parts.nix")
	delete(provider, "inventory.json")
	repositories := map[string][]branch{}
	for project, names := range branches {
		content, err := opts.contentOf(path.Join("projects", project))
		if err != nil {
			return fmt.Errorf("make the example: %w", err)
		}
		repositories[project] = withBranches(content, names)
	}
	if err := build(ctx, dest, provider, repositories, opts); err != nil {
		return fmt.Errorf("make the example in %s: %w", dest, err)
	}
	return nil
}

// contentOf reads a folder of the embedded files, as the options change it.
func (opts Options) contentOf(dir string) (map[string]string, error) {
	content := map[string]string{}
	err := fs.WalkDir(files, dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := files.ReadFile(name)
		content[strings.TrimPrefix(name, dir+"/")] = string(text)
		return err
	})
	for name, text := range opts.Files {
		if within, ok := strings.CutPrefix(name, dir+"/"); ok {
			content[within] = text
		}
	}
	if opts.Rename != nil {
		for name, text := range content {
			content[name] = opts.Rename.Replace(text)
		}
	}
	return content, err
}

// withBranches returns branches with the same content, except for the page.
func withBranches(content map[string]string, names []string) []branch {
	all := []branch{{name: names[0], files: content}}
	for _, name := range names[1:] {
		own := maps.Clone(content)
		own["web/index.html"] = fmt.Sprintf("<!doctype html><title>%s</title>\n", name)
		all = append(all, branch{name: name, files: own})
	}
	return all
}

// build writes the repositories of customers, the library, and the provider's
// files with a flake.nix that names them.
func build(ctx context.Context, dest string, own map[string]string, customers map[string][]branch, opts Options) error {
	dest, err := filepath.Abs(dest)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dest, 0o777); err != nil {
		return err
	}
	// Nix compares paths as text.
	if dest, err = filepath.EvalSymlinks(dest); err != nil {
		return err
	}
	if entries, err := os.ReadDir(dest); err != nil || len(entries) > 0 {
		return cmp.Or(err, errors.New("the folder is not empty"))
	}
	repositories := maps.Clone(customers)
	for _, name := range []string{"nixpkgs", "deploy-rs"} {
		content, err := opts.contentOf("inputs/" + name)
		if err != nil {
			return err
		}
		repositories[name] = []branch{{name: "main", files: content}}
	}
	library, err := libraryFiles(opts.Library)
	if err != nil {
		return err
	}
	repositories["hostenv-provider"] = []branch{{name: "main", files: library}}
	for name, branches := range repositories {
		if err := makeRepository(ctx, filepath.Join(dest, name), branches); err != nil {
			return err
		}
	}

	flake := strings.ReplaceAll(own["flake.nix"], Placeholder, (&url.URL{Scheme: "file", Path: dest}).String())
	for reference, input := range opts.Inputs {
		flake = strings.ReplaceAll(flake, `"`+reference+`"`, `"`+input+`"`)
	}
	provider := filepath.Join(dest, "provider")
	own["flake.nix"] = flake
	if err := makeRepository(ctx, provider, []branch{{name: "main", files: own}}); err != nil {
		return err
	}
	return lock(ctx, provider, opts)
}

// lock writes and commits the provider's flake.lock.
func lock(ctx context.Context, provider string, opts Options) error {
	program, err := exec.LookPath(cmp.Or(opts.Nix, "nix"))
	if err != nil {
		return nil //nolint:nilerr // without nix, the flake stays unlocked
	}
	nix := exec.CommandContext(ctx, program, "--extra-experimental-features", "nix-command flakes", "flake", "lock")
	nix.Dir = provider
	nix.Env = opts.Env
	if out, err := nix.CombinedOutput(); err != nil {
		return fmt.Errorf("nix flake lock: %w\n%s", err, out)
	}
	if err := git(ctx, provider, nil, "add", "flake.lock"); err != nil {
		return err
	}
	return git(ctx, provider, nil, "commit", "--quiet", "--message", "lock the inputs")
}

// libraryFiles reads what a provider's flake uses of a checkout of this
// repository.
func libraryFiles(checkout string) (map[string]string, error) {
	if checkout == "" {
		var err error
		if checkout, err = findCheckout(); err != nil {
			return nil, err
		}
	}
	content := map[string]string{}
	for _, part := range []string{"flake.nix", "flake.lock", "nix"} {
		err := filepath.WalkDir(filepath.Join(checkout, part), func(name string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) && part == "flake.lock" {
				return nil
			}
			relative, _ := filepath.Rel(checkout, name)
			switch {
			case err != nil:
				return err
			case relative == filepath.Join("nix", "tests"):
				return fs.SkipDir
			case entry.IsDir():
				return nil
			}
			text, err := os.ReadFile(name)
			content[filepath.ToSlash(relative)] = string(text)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read hostenv-provider's own flake: %w", err)
		}
	}
	return content, nil
}

// findCheckout returns the checkout of this repository around the working
// directory.
func findCheckout() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.Contains(string(mod), "module github.com/woolwichweb/hostenv-provider\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not in a checkout of hostenv-provider: set Options.Library", start)
		}
	}
}
