package nix

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// maxSecret is the most bytes of a file with a secret. Larger files are not read.
const maxSecret = 64 << 10

var (
	// pem is a private key in the textual form of RFC 7468, or of OpenSSH.
	pem = regexp.MustCompile(`(?m)^[ \t]*-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----\r?\n[ \t]*[A-Za-z0-9+/=:-]{16}`)
	// age is an identity of age (C2SP, age.md).
	age = regexp.MustCompile(`(?m)^[ \t]*(.*[=: "'])?AGE-SECRET-KEY-1[A-Z0-9]{58}`)
	// nixKey is a secret key of Nix: a name, and 64 bytes in Base64.
	nixKey = regexp.MustCompile(`^\s*[A-Za-z0-9][A-Za-z0-9._+@-]*:([A-Za-z0-9+/]{86}==)\s*$`)
)

// secretForms are the extensions of files that sops encrypts value by value.
var secretForms = []string{".env", ".ini", ".json", ".yaml", ".yml"}

// refuseExposed refuses a flake with a secret in a file that Nix copies to the
// store, or that the next `git add` would: every user of the machine, and every
// customer's evaluation, can read the store. These are the files of the git
// repository that git does not ignore; without a repository, all files.
//
// A secret is a private key (PEM, OpenSSH, age, Nix), or a file in the flake's
// secrets/ that is in a form of sops and not encrypted.
func (c checkout) refuseExposed(ctx context.Context) error {
	files, err := c.files(ctx)
	if err != nil {
		return fmt.Errorf("look for secrets in the provider's flake: %w", err)
	}
	var errs problem.List
	for _, file := range files {
		kind, err := c.secretIn(file)
		if err != nil {
			return fmt.Errorf("look for secrets in the provider's flake: %w", err)
		}
		if kind != "" {
			errs.Addf(file, c.hide(file, kind), "is %s, and Nix would copy it to the store, where every user can read it", kind)
		}
	}
	return errs.Err()
}

const plainText = "not encrypted by sops"

func (c checkout) hide(file, kind string) string {
	if kind == plainText {
		return "encrypt it (`sops --encrypt --in-place " + problem.Word(file) + "`), or keep what is no secret elsewhere than in secrets/"
	}
	move := "move it out of the flake, as in `mv " + problem.Word(file) + " ~/.config/hostenv-provider/`, and name it there"
	if c.root != "" {
		move += "; if git has it, run `git rm --cached " + problem.Word(file) + "` and replace the key, which stays in git's history"
	}
	return move
}

// files lists the files that Nix copies or could copy, relative to the folder that
// it copies.
func (c checkout) files(ctx context.Context) ([]string, error) {
	if c.root != "" {
		cmd := exec.CommandContext(ctx, "git", "-C", c.root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
		out, err := cmd.Output()
		if err != nil {
			return nil, nil //nolint:nilerr // Nix reports what git refuses
		}
		files := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
		slices.Sort(files)
		return slices.Compact(files), nil
	}
	var files []string
	err := filepath.WalkDir(c.folder, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil && path == c.folder:
			return err
		case err != nil:
			return nil //nolint:nilerr // Nix reports what it cannot read
		case entry.Type().IsRegular():
			name, err := filepath.Rel(c.folder, path)
			files = append(files, name)
			return err
		}
		return nil
	})
	return files, err
}

// secretIn returns the kind of secret that a file is, "" for none.
func (c checkout) secretIn(name string) (string, error) {
	top := c.root
	if top == "" {
		top = c.folder
	}
	path := filepath.Join(top, name)
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (!info.Mode().IsRegular() || info.Size() > maxSecret) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrPermission) {
		return "", nil // nor can Nix read it
	}
	if err != nil {
		return "", err
	}
	switch found := nixKey.FindSubmatch(text); {
	case pem.Match(text):
		return "a private key", nil
	case age.Match(text):
		return "a private key of age", nil
	case found != nil:
		if secret, err := base64.StdEncoding.DecodeString(string(found[1])); err == nil && len(secret) == 64 {
			return "a secret key of Nix", nil
		}
	}
	below, err := filepath.Rel(c.folder, path)
	isExample := strings.HasPrefix(filepath.Base(name), "example.") // of the keys, see the template
	if err == nil && !isExample && strings.HasPrefix(below, "secrets"+string(filepath.Separator)) && slices.Contains(secretForms, filepath.Ext(name)) &&
		len(bytes.TrimSpace(text)) > 0 && !bytes.Contains(text, []byte("sops")) && !bytes.Contains(text, []byte("ENC[")) {
		return plainText, nil
	}
	return "", nil
}
