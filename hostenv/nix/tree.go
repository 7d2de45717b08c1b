package nix

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/woolwichweb/hostenv-provider/hostenv/nix/flakelock"
)

// A Tree is what Nix copies of the provider's repository: the files that git tracks, as
// they are in the working tree. Without a repository it is the whole folder. It has no
// commit and no dates.
type Tree struct {
	root  string // of the repository, or the folder
	flake string // the flake's folder below root, "" for root itself
	files map[string]treeFile
}

// A treeFile is a file of a Tree, by its path below root with slashes.
type treeFile struct {
	kind byte // 'f' a file, 'x' an executable, 'l' a link, 'd' a folder without files
	text []byte
	from string // the file that has the content; "" if text has it, or the target of the link
	sum  [sha256.Size]byte
}

// Tree reads the provider's repository. Like [Runner.Flake] it refuses what CheckLock
// refuses, and a secret. It returns nil if Nix cannot evaluate a copy of it: Nix before
// 2.26 takes no path with a folder of a flake in it.
func (r *Runner) Tree(ctx context.Context) (*Tree, error) {
	if _, err := r.CheckLock(ctx); err != nil {
		return nil, err
	}
	c, err := checkoutOf(r.Dir)
	if err != nil {
		return nil, fmt.Errorf("find the provider's flake: %w", err)
	}
	if err := c.refuseExposed(ctx); err != nil {
		return nil, err
	}
	t := &Tree{root: c.folder, files: map[string]treeFile{}}
	var names []string
	if c.root == "" {
		names, err = c.files(ctx)
	} else {
		t.root = c.root
		var out []byte
		if out, err = exec.CommandContext(ctx, "git", "-C", c.root, "ls-files", "-z", "--cached").Output(); err != nil && ctx.Err() == nil {
			return nil, nil // Nix reports what git refuses
		}
		names = strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	}
	if err != nil {
		return nil, fmt.Errorf("list the files of the provider's flake: %w", err)
	}
	if t.flake, err = filepath.Rel(t.root, c.folder); err != nil {
		return nil, fmt.Errorf("find the provider's flake: %w", err)
	}
	if t.flake == "." {
		t.flake = ""
	} else if version, err := r.Version(ctx); err != nil || !AtLeast(version, 2, 26) {
		return nil, err
	}
	for _, name := range slices.Compact(names) {
		if err := t.read(name); err != nil {
			return nil, fmt.Errorf("read the provider's flake: %w", err)
		}
	}
	return t, nil
}

// read reads a file. One that git tracks and that was deleted is not part of the tree.
func (t *Tree) read(name string) error {
	from := filepath.Join(t.root, filepath.FromSlash(name))
	info, err := os.Lstat(from)
	switch {
	case name == "" || errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir(): // a submodule, of which Nix has the empty folder
		t.files[name] = treeFile{kind: 'd'}
		return nil
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(from)
		t.files[name] = made('l', []byte(target))
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no file, which Nix does not copy", name)
	}
	kind := byte('f')
	if info.Mode()&0o100 != 0 {
		kind = 'x'
	}
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return err
	}
	t.files[name] = treeFile{kind: kind, from: from, sum: [sha256.Size]byte(hash.Sum(nil))}
	return nil
}

func made(kind byte, text []byte) treeFile {
	return treeFile{kind: kind, text: text, sum: sha256.Sum256(text)}
}

// Cut returns the tree without some files, and with others. All paths are relative to
// the tree, see At.
func (t *Tree) Cut(leave func(name string) bool, add map[string][]byte) *Tree {
	cut := &Tree{root: t.root, flake: t.flake, files: map[string]treeFile{}}
	for name, file := range t.files {
		if !leave(name) {
			cut.files[name] = file
		}
	}
	for name, text := range add {
		cut.files[name] = made('f', text)
	}
	return cut
}

// Has reports whether the tree has a file.
func (t *Tree) Has(name string) bool {
	_, ok := t.files[name]
	return ok
}

// Digest is that of all paths, kinds and contents.
func (t *Tree) Digest() string {
	hash := sha256.New()
	fmt.Fprintf(hash, "%q\n", t.flake)
	for _, name := range slices.Sorted(maps.Keys(t.files)) {
		fmt.Fprintf(hash, "%q %c %x\n", name, t.files[name].kind, t.files[name].sum)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// IsLocked reports whether flake.lock has the hash of every input, so that what is
// evaluated follows from the tree.
func (t *Tree) IsLocked() bool {
	file, ok := t.files[path.Join(t.flake, "flake.lock")]
	if !ok {
		return true // Nix then evaluates a flake without inputs, and no other
	}
	text, err := file.content()
	if err != nil {
		return false
	}
	lock, err := flakelock.Parse(text)
	if err != nil {
		return false
	}
	for _, locked := range lock.Locked() {
		if hash, _ := locked["narHash"].(string); hash == "" && !flakelock.IsRelative(locked) {
			return false
		}
	}
	return true
}

func (f treeFile) content() ([]byte, error) {
	if f.from == "" {
		return f.text, nil
	}
	return os.ReadFile(f.from)
}

// past is the date of all files that Nix copies.
var past = time.Unix(1, 0)

// write writes the tree into a folder that does not exist.
func (t *Tree) write(to string) error {
	folders := map[string]bool{to: true}
	for name, file := range t.files {
		at := filepath.Join(to, filepath.FromSlash(name))
		folder := filepath.Dir(at)
		if file.kind == 'd' {
			folder = at
		}
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
		for ; folder != to; folder = filepath.Dir(folder) {
			folders[folder] = true
		}
		if err := file.write(at); err != nil {
			return err
		}
	}
	// Writing into a folder changes its date.
	for folder := range folders {
		if err := os.Chtimes(folder, past, past); err != nil {
			return err
		}
	}
	return nil
}

func (f treeFile) write(at string) error {
	switch f.kind {
	case 'd':
		return nil
	case 'l':
		date := unix.NsecToTimeval(past.UnixNano())
		return errors.Join(os.Symlink(string(f.text), at), unix.Lutimes(at, []unix.Timeval{date, date}))
	}
	text, err := f.content()
	if err != nil {
		return err
	}
	if f.from != "" && sha256.Sum256(text) != f.sum {
		return fmt.Errorf("%s has changed while the run read it", f.from)
	}
	mode := fs.FileMode(0o600)
	if f.kind == 'x' {
		mode = 0o700
	}
	if err := os.WriteFile(at, text, mode); err != nil {
		return err
	}
	return os.Chtimes(at, past, past)
}

// EvalIn evaluates a function of an output of the flake of a tree, and returns its JSON.
// The error is that of Run.
func (r *Runner) EvalIn(ctx context.Context, t *Tree, output, function string, c Command) (written []byte, err error) {
	folder, err := os.MkdirTemp("", "hostenv-cut-")
	if err != nil {
		return nil, fmt.Errorf("copy the provider's flake: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if folder, err = filepath.EvalSymlinks(folder); err != nil {
		return nil, fmt.Errorf("copy the provider's flake: %w", err)
	}
	if err := os.Mkdir(filepath.Join(folder, "source"), 0o700); err != nil {
		return nil, fmt.Errorf("copy the provider's flake: %w", err)
	}
	copied := filepath.Join(folder, "source")
	if err := t.write(copied); err != nil {
		return nil, fmt.Errorf("copy the provider's flake: %w", err)
	}
	url := "path:" + escaped(copied, literal)
	if t.flake != "" {
		url += "?dir=" + escaped(filepath.ToSlash(t.flake), unreserved)
	}
	c.Args = slices.Concat([]string{"eval", "--json", "--show-trace", "--option", "eval-cache", "false", "--no-update-lock-file",
		url + "#" + output, "--apply", function}, c.Args, Features)
	written, err = r.Run(ctx, c)
	return bytes.TrimSpace(written), err
}
