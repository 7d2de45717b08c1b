package nix

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// In the provider's root: the public key, and a secret key that an older version
// made. A secret there can reach git, and without git Nix copies it to the store.
const (
	publicKey   = "secrets/signing/public.key"
	keyInFolder = "secrets/signing/secret.key"
)

// secretKey returns the default place of the secret key: in the provider's root if
// there is one, else in the user's configuration.
func secretKey(root, domain string) (string, error) {
	old := filepath.Join(root, filepath.FromSlash(keyInFolder))
	if _, err := os.Lstat(old); !errors.Is(err, fs.ErrNotExist) {
		return old, err
	}
	config, err := os.UserConfigDir()
	if err != nil {
		return "", problem.New("the signing key", "has no place: "+err.Error(), "name its file with -signingKey= or "+KeyVariable)
	}
	return filepath.Join(config, "hostenv-provider", domain, "secret.key"), nil
}

// KeyVariable names a file with the secret key.
const KeyVariable = "HOSTENV_SIGNING_KEY_FILE"

// A Key is the key that signs closures. It does not contain the secret.
type Key struct {
	File   string // of the secret key
	Public string // "hosting.example-1:VpyN..."
	Made   bool   // by this call
}

// OpenKey finds the key of the provider at root: the file that is named (by
// -signingKey), else the one of [KeyVariable], else secrets/signing/secret.key in
// root, else hostenv-provider/<domain>/secret.key in the user's configuration
// (XDG Base Directory Specification). If the last does not exist, and root has no
// secrets/signing/public.key, OpenKey makes both, under the name of the domain. It
// does not make a key that the flag or the variable names: a misspelt name would
// give a new key that no node trusts.
//
// It refuses a file that other users can read, that is in git, or that is not a
// secret key of Nix. Errors do not quote the file.
func OpenKey(ctx context.Context, root, named, domain string) (Key, error) {
	file := cmp.Or(named, os.Getenv(KeyVariable))
	ours := file == ""
	if _, err := names.ParseKeyName(domain + "-1"); err != nil {
		return Key{}, fmt.Errorf("%q cannot be the name of a key: %w", domain+"-1", err)
	}
	if ours {
		var err error
		if file, err = secretKey(root, domain); err != nil {
			return Key{}, err
		}
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return Key{}, err
	}
	k := Key{File: file}
	public := filepath.Join(root, filepath.FromSlash(publicKey))
	_, alone := os.Lstat(public) // looked up first: a run that makes a key now writes this file last
	if _, err := os.Stat(file); ours && errors.Is(err, fs.ErrNotExist) {
		if alone == nil {
			return Key{}, keyProblem(file, "is missing, and its public key exists: a new key would have the same name, and Nix knows only one key of a name",
				"restore it from a copy, or name the copy with -signingKey=; to replace it, make a key of another name, mode 0600: `nix key generate-secret --key-name "+domain+"-2 >"+problem.Word(file)+"`")
		}
		if k.Made, err = makeKey(file, domain); err != nil {
			return Key{}, fmt.Errorf("make a signing key: %w", err)
		}
	}
	if k.Public, err = PublicKey(file); err != nil {
		return Key{}, err
	}
	if inGit(ctx, file) {
		return Key{}, keyProblem(file, "is in git: every reader of the repository can sign for every node",
			"run `git rm --cached "+problem.Word(file)+"`, make a new key, and replace the old one in provider.nixSigning.trustedPublicKeys")
	}
	if ours {
		err := os.MkdirAll(filepath.Dir(public), 0o777)
		if err == nil {
			err = replace(public, k.Public+"\n")
		}
		if err != nil {
			return Key{}, fmt.Errorf("write the public key: %w", err)
		}
	}
	return k, nil
}

func keyProblem(file, text, fix string) error {
	return problem.New("the signing key "+file, text, fix)
}

// PublicKey reads a secret key of Nix, NAME:BASE64 of an ed25519 key in
// libsodium's format, and returns the public key. It does not run nix, whose
// messages quote a broken key.
func PublicKey(file string) (string, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", keyProblem(file, "does not exist", "correct the path, or omit -signingKey and "+KeyVariable+": then the first run makes a key")
	}
	if err != nil {
		return "", fmt.Errorf("read the signing key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", keyProblem(file, "is not a file", "name the file with a secret key of Nix")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", keyProblem(file, fmt.Sprintf("can be read by others (mode %04o)", info.Mode().Perm()), "chmod 600 "+problem.Word(file))
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the signing key: %w", err)
	}
	if len(data) > 1<<12 || bytes.Contains(data, []byte("ENC[")) {
		return "", keyProblem(file, "is not a secret key of Nix, and looks like a file of sops", "decrypt it to a file that is not in git, mode 0600, and name that file")
	}
	name, encoded, _ := strings.Cut(strings.TrimSpace(string(data)), ":")
	secret, err := base64.StdEncoding.DecodeString(encoded)
	if _, unnamed := names.ParseKeyName(name); err != nil || unnamed != nil || len(secret) != ed25519.PrivateKeySize {
		remedy := "make one with `nix key generate-secret --key-name NAME-1`"
		if err == nil && len(secret) == ed25519.PublicKeySize {
			remedy = "this is the public key: name the file of the secret key"
		}
		return "", keyProblem(file, "is not a secret key of Nix", remedy)
	}
	// The second half is the public key. If it does not belong to the first, the
	// signatures fail to verify.
	key := ed25519.NewKeyFromSeed(secret[:ed25519.SeedSize])
	if !bytes.Equal(key, secret) {
		return "", keyProblem(file, "is damaged: its two halves do not match", "restore it from a backup")
	}
	return name + ":" + base64.StdEncoding.EncodeToString(secret[ed25519.SeedSize:]), nil
}

// makeKey makes a key. It keeps a key that another process makes at the same time.
func makeKey(file, domain string) (made bool, err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return false, err
	}
	_, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return false, err
	}
	return writeOnce(file, domain+"-1:"+base64.StdEncoding.EncodeToString(secret)+"\n", 0o600)
}

// writeOnce writes a file that does not exist yet, whole or not at all, and
// reports whether it did.
func writeOnce(path, text string, mode fs.FileMode) (written bool, err error) {
	if _, err := os.Stat(path); err == nil {
		return false, nil
	}
	tmp, err := writeTemp(path, text, mode)
	if err != nil {
		return false, err
	}
	defer func() {
		if removing := os.Remove(tmp); err == nil {
			err = removing
		}
	}()
	if err := os.Link(tmp, path); errors.Is(err, fs.ErrExist) {
		return false, nil // another process was faster
	} else if err != nil {
		return false, err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return false, err
	}
	return true, errors.Join(folder.Sync(), folder.Close())
}

// replace writes the public key, or replaces that of an older key. It replaces the
// file as a whole, because another run may be reading it.
func replace(path, text string) error {
	if _, err := writeOnce(path, text, 0o644); err != nil {
		return err
	}
	if before, err := os.ReadFile(path); err != nil || string(before) == text {
		return err
	}
	tmp, err := writeTemp(path, text, 0o644)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return nil
}

// writeTemp writes a temporary file beside path, for a rename to path.
func writeTemp(path, text string, mode fs.FileMode) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// inGit reports whether git tracks a file. It returns false without git or without
// a repository.
func inGit(ctx context.Context, file string) bool {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "--error-unmatch", "--", filepath.Base(file))
	cmd.Dir = filepath.Dir(file)
	return cmd.Run() == nil
}
