package nix

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

const (
	// unreserved are the characters that need no escape in a URL, and the slash
	// between folders.
	unreserved = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/"
	// literal are all characters that need no escape in the path of a URL. Every
	// Nix reads a path of these characters unchanged.
	literal = unreserved + "+@,=:"
)

// escaped percent-encodes all of text but the characters of keep.
func escaped(text, keep string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// A checkout is the folder of a flake and its git repository. In a repository Nix
// sees only the files that git tracks.
type checkout struct {
	folder string // absolute, without symlinks
	root   string // of the git repository, "" if it is in none
}

func checkoutOf(folder string) (c checkout, err error) {
	if c.folder, err = filepath.Abs(folder); err != nil {
		return c, err
	}
	if c.folder, err = filepath.EvalSymlinks(c.folder); err != nil {
		return c, err
	}
	for root := c.folder; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, ".git")); err == nil {
			c.root = root
			return c, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return c, err
		}
		if root == filepath.Dir(root) {
			return c, nil
		}
	}
}

// url is the flake reference of a checkout.
func (c checkout) url() string {
	if c.root == "" {
		return "path:" + escaped(c.folder, literal)
	}
	var parameters []string
	if dir, err := filepath.Rel(c.root, c.folder); err == nil && dir != "." {
		parameters = append(parameters, "dir="+escaped(dir, unreserved))
	}
	// Nix refuses a shallow clone without it.
	if _, err := os.Stat(filepath.Join(c.root, ".git", "shallow")); err == nil {
		parameters = append(parameters, "shallow=1")
	}
	reference := "git+file://" + escaped(c.root, literal)
	if parameters != nil {
		reference += "?" + strings.Join(parameters, "&")
	}
	return reference
}

// special returns the characters for which a path must be escaped in a URL.
func (c checkout) special() string {
	path := c.folder
	if c.root != "" {
		path = c.root // every Nix decodes the parameter dir
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(literal, r) {
			return -1
		}
		return r
	}, path)
}

// Flake returns the reference of the provider's flake as builtins.getFlake and
// the nix command take it, from any folder. In a git repository it names the
// repository's root, and the flake's folder in it.
//
// Nix before 2.26 does not decode the path of a URL: it would read another folder,
// or only committed files. With such a Nix, Flake refuses a folder whose path
// needs escapes. Flake and Installable refuse what CheckLock refuses, and a flake with a
// secret that Nix would copy to the store.
func (r *Runner) Flake(ctx context.Context) (string, error) {
	if _, err := r.CheckLock(ctx); err != nil {
		return "", err
	}
	c, err := checkoutOf(r.Dir)
	if err != nil {
		return "", fmt.Errorf("find the provider's flake: %w", err)
	}
	if err := c.refuseExposed(ctx); err != nil {
		return "", err
	}
	return r.urlOf(ctx, c)
}

func (r *Runner) urlOf(ctx context.Context, c checkout) (string, error) {
	if c.special() != "" {
		version, err := r.Version(ctx)
		if err != nil {
			return "", err
		}
		if !AtLeast(version, 2, 26) {
			return "", problem.New("the folder "+c.folder,
				fmt.Sprintf("cannot be read by Nix %s: it takes %q in a path for part of a URL, and would read another folder", version, c.special()),
				"use Nix 2.26 or newer, or move the folder to a path of letters, digits and any of ._~+@,=:-")
		}
	}
	return c.url(), nil
}

// Installable names an attribute of the provider's flake to a nix that runs in
// the provider's folder.
func (r *Runner) Installable(ctx context.Context, attribute string) (string, error) {
	if _, err := r.CheckLock(ctx); err != nil {
		return "", err
	}
	c, err := checkoutOf(r.Dir)
	if err != nil {
		return "", fmt.Errorf("find the provider's flake: %w", err)
	}
	if err := c.refuseExposed(ctx); err != nil {
		return "", err
	}
	if c.root == "" {
		return ".#" + attribute, nil // needs no escapes with any Nix
	}
	url, err := r.urlOf(ctx, c)
	return url + "#" + attribute, err
}

// BuildInput builds a package of an input of the provider's flake, with the
// `follows` of the provider, and returns its path. It builds the package with the
// input's name, or else the default package.
func (r *Runner) BuildInput(ctx context.Context, input string) (string, error) {
	flake, err := r.Flake(ctx)
	if err != nil {
		return "", err
	}
	expression := fmt.Sprintf(`let packages = (builtins.getFlake %s).inputs.${%s}.packages.${builtins.currentSystem};
in packages.${%[2]s} or packages.default`, Quote(flake), Quote(input))
	written, _, err := r.command(ctx, nil, "build", "--no-link", "--impure", "--expr", expression)
	path := ""
	if err == nil {
		path, err = outputOf(written)
	}
	if err != nil {
		return "", fmt.Errorf("build the input %s of %s: %w", input, flake, err)
	}
	return path, nil
}

// outputOf reads the path of one package that `nix build --json` built.
func outputOf(written []byte) (string, error) {
	var results []struct {
		Outputs map[string]string `json:"outputs"`
	}
	if err := decodeJSON(written, &results); err != nil {
		return "", err
	}
	if len(results) != 1 || results[0].Outputs["out"] == "" {
		return "", fmt.Errorf("nix built no output named out: %.200q", written)
	}
	return results[0].Outputs["out"], nil
}
