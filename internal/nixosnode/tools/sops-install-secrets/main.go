// Command sops-install-secrets takes the place of the program of that name of sops-nix,
// which the Go module proxy does not have: it takes the manifests that sops-nix's
// NixOS modules write, decrypts by the host's ssh keys, and puts each secret in
// place with its owner and mode.
//
// It does without what no node of the tests has: templates, formats other than
// YAML, GnuPG, age keys in a file.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	agessh "github.com/Mic92/ssh-to-age"
	"github.com/getsops/sops/v3/decrypt"
	"golang.org/x/sys/unix"
	"gopkg.in/yaml.v3"
)

type manifest struct {
	Secrets           []secret          `json:"secrets"`
	Templates         []json.RawMessage `json:"templates"`
	SecretsMountPoint string            `json:"secretsMountPoint"`
	SymlinkPath       string            `json:"symlinkPath"`
	KeepGenerations   int               `json:"keepGenerations"`
	AgeSSHKeyPaths    []string          `json:"ageSshKeyPaths"`
}

type secret struct {
	Name         string   `json:"name"`
	Key          string   `json:"key"`
	Path         string   `json:"path"`
	SopsFile     string   `json:"sopsFile"`
	Format       string   `json:"format"`
	Mode         string   `json:"mode"`
	Owner        *string  `json:"owner"`
	UID          int      `json:"uid"`
	Group        *string  `json:"group"`
	GID          int      `json:"gid"`
	RestartUnits []string `json:"restartUnits"`
	ReloadUnits  []string `json:"reloadUnits"`
}

func main() {
	check := flag.String("check-mode", "off", "off, manifest or sopsfile: check in place of installing")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: sops-install-secrets [-check-mode=MODE] MANIFEST")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *check); err != nil {
		fmt.Fprintf(os.Stderr, "sops-install-secrets: %v\n", err)
		os.Exit(1)
	}
}

func run(path, check string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("manifest %s: %w", path, err)
	}
	if len(m.Templates) > 0 {
		return fmt.Errorf("manifest %s: there are templates, which this program does not know", path)
	}
	for _, s := range m.Secrets {
		if s.Format != "yaml" {
			return fmt.Errorf("secret %s: its format is %q, and this program supports only yaml", s.Name, s.Format)
		}
		if !filepath.IsLocal(s.Name) {
			return fmt.Errorf("secret %s: the name leaves the folder of secrets", s.Name)
		}
	}
	switch check {
	case "manifest":
		return nil
	case "sopsfile":
		return m.checkFiles()
	}
	if err := importKeys(m.AgeSSHKeyPaths); err != nil {
		return err
	}
	return m.install()
}

// checkFiles holds that every secret is in its file, whose keys are in the clear.
func (m *manifest) checkFiles() error {
	for _, s := range m.Secrets {
		data, err := os.ReadFile(s.SopsFile)
		if err != nil {
			return err
		}
		if _, err := lookup(data, s); err != nil {
			return err
		}
	}
	return nil
}

// importKeys lets sops decrypt by ssh keys of the host.
func importKeys(paths []string) error {
	var keys []string
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(os.Stderr, "there is no ssh key %s\n", path)
			continue
		}
		if err != nil {
			return err
		}
		key, _, err := agessh.SSHPrivateKeyToAge(text, nil)
		if err != nil {
			return fmt.Errorf("ssh key %s: %w", path, err)
		}
		keys = append(keys, *key)
	}
	return os.Setenv("SOPS_AGE_KEY", strings.Join(keys, "\n"))
}

// lookup finds the value of a secret in a file, whose keys are joined by slashes.
func lookup(data []byte, s secret) (string, error) {
	var value any
	if err := yaml.Unmarshal(data, &value); err != nil {
		return "", fmt.Errorf("%s: %w", s.SopsFile, err)
	}
	if s.Key == "" {
		return string(data), nil
	}
	for _, key := range strings.Split(s.Key, "/") {
		set, ok := value.(map[string]any)
		if value, ok = set[key], ok && set[key] != nil; !ok {
			return "", fmt.Errorf("secret %s: %s has no key %s", s.Name, s.SopsFile, s.Key)
		}
	}
	text, ok := value.(string)
	if !ok {
		return "", fmt.Errorf("secret %s: the key %s of %s is not a text", s.Name, s.Key, s.SopsFile)
	}
	return text, nil
}

// install writes a generation of all secrets, and makes it the current one.
func (m *manifest) install() error {
	files := map[string][]byte{}
	for _, s := range m.Secrets {
		if files[s.SopsFile] != nil {
			continue
		}
		data, err := decrypt.File(s.SopsFile, s.Format)
		if err != nil {
			return fmt.Errorf("decrypt %s: %w", s.SopsFile, err)
		}
		files[s.SopsFile] = data
	}
	if os.Getenv("NIXOS_ACTION") == "dry-activate" {
		return nil
	}
	if err := mountRAM(m.SecretsMountPoint); err != nil {
		return err
	}
	last, err := generations(m.SecretsMountPoint)
	if err != nil {
		return err
	}
	number := 1
	if len(last) > 0 {
		number = last[len(last)-1] + 1
	}
	dir := filepath.Join(m.SecretsMountPoint, strconv.Itoa(number))
	if err := os.Mkdir(dir, 0o751); err != nil {
		return err
	}
	var restart, reload []string
	for _, s := range m.Secrets {
		text, err := lookup(files[s.SopsFile], s)
		if err != nil {
			return err
		}
		if err := s.write(filepath.Join(dir, s.Name), text); err != nil {
			return fmt.Errorf("secret %s: %w", s.Name, err)
		}
		old, err := os.ReadFile(filepath.Join(m.SymlinkPath, s.Name))
		if err != nil || string(old) != text {
			restart, reload = append(restart, s.RestartUnits...), append(reload, s.ReloadUnits...)
		}
	}
	next := m.SymlinkPath + ".next"
	_ = os.Remove(next)
	if err := os.Symlink(dir, next); err != nil {
		return err
	}
	if err := os.Rename(next, m.SymlinkPath); err != nil {
		return err
	}
	if err := m.links(); err != nil {
		return err
	}
	if m.KeepGenerations > 0 {
		for _, n := range last {
			if n <= number-m.KeepGenerations {
				if err := os.RemoveAll(filepath.Join(m.SecretsMountPoint, strconv.Itoa(n))); err != nil {
					return err
				}
			}
		}
	}
	prefix := "/run/nixos/"
	if os.Getenv("NIXOS_ACTION") == "" {
		return nil // at boot units start with the secrets that there are
	}
	return errors.Join(list(prefix+"activation-restart-list", restart), list(prefix+"activation-reload-list", reload))
}

// mountRAM keeps secrets in memory that is never written to a disk.
func mountRAM(dir string) error {
	if err := os.MkdirAll(dir, 0o751); err != nil {
		return err
	}
	var s unix.Statfs_t
	const ramfs = 0x858458f6
	if err := unix.Statfs(dir, &s); err != nil || s.Type == ramfs {
		return err
	}
	if err := unix.Mount("none", dir, "ramfs", unix.MS_NODEV|unix.MS_NOSUID, "mode=0751"); err != nil {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	return nil
}

func generations(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	var numbers []int
	for _, entry := range entries {
		if n, err := strconv.Atoi(entry.Name()); err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, err
}

func (s secret) write(path, text string) error {
	mode, err := strconv.ParseUint(s.Mode, 8, 32)
	if err != nil {
		return err
	}
	uid, gid := s.UID, s.GID
	if s.Owner != nil {
		u, err := user.Lookup(*s.Owner)
		if err != nil {
			return err
		}
		uid, _ = strconv.Atoi(u.Uid)
	}
	if s.Group != nil {
		g, err := user.LookupGroup(*s.Group)
		if err != nil {
			return err
		}
		gid, _ = strconv.Atoi(g.Gid)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o751); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if err := os.Chown(path, uid, gid); err != nil {
		return err
	}
	return os.Chmod(path, fs.FileMode(mode))
}

// links leads from where a secret is wanted to where it is.
func (m *manifest) links() error {
	for _, s := range m.Secrets {
		at := filepath.Join(m.SymlinkPath, s.Name)
		if s.Path == at {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(s.Path), 0o755); err != nil {
			return err
		}
		if err := os.Remove(s.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Symlink(at, s.Path); err != nil {
			return err
		}
	}
	return nil
}

// list adds units to a list that switch-to-configuration reads.
func list(path string, units []string) error {
	if len(units) == 0 {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.Join(units, "\n") + "\n")
	return errors.Join(err, f.Close())
}
