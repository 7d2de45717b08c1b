package nixosnode

import (
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

//go:embed tree.sh
var treeScript []byte

// inputs are the flakes that replace the inputs of a provider's flake.
//
//go:embed nixpkgs deploy-rs sops-nix
var inputs embed.FS

// made holds what must be made outside the tests' namespaces, because it needs a
// network or the machine's cgroups.
type made struct {
	tree     string // of tree.sh, in the cache
	treeKey  string
	programs string // a folder of the run
	cgroup   string
}

// String and parse carry made through an environment variable.
func (m *made) String() string {
	return strings.Join([]string{m.tree, m.treeKey, m.programs, m.cgroup}, ":")
}

func (m *made) parse(text string) {
	words := append(strings.Split(text, ":"), "", "", "", "")
	m.tree, m.treeKey, m.programs, m.cgroup = words[0], words[1], words[2], words[3]
}

// cacheDir returns the folder that is kept between runs.
func cacheDir() (string, error) {
	dir := os.Getenv("HOSTENV_TEST_CACHE")
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("%w: set HOSTENV_TEST_CACHE to a folder for what tests keep between runs", err)
		}
		dir = filepath.Join(user, "hostenv-provider-tests")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if strings.ContainsAny(dir, ":,\\") {
		return "", fmt.Errorf("HOSTENV_TEST_CACHE is %q, and overlay mounts take no path with a colon, a comma or a backslash: name another folder", dir)
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// unusedFor is how long the cache keeps unused folders.
const unusedFor = 14 * 24 * time.Hour

// cached returns the folder kind-key of the cache. If it is missing, fill makes
// it, under a lock, in a folder that gets its name when it is complete.
func cached(kind, key string, fill func(dir string) error) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(cache, kind+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return "", fmt.Errorf("lock the cache %s: %w", cache, err)
	}
	dir := filepath.Join(cache, kind+"-"+key)
	if _, err := os.Stat(dir); err == nil {
		now := time.Now()
		return dir, os.Chtimes(dir, now, now)
	}
	if err := sweep(cache, kind); err != nil {
		return "", err
	}
	begin := time.Now()
	fmt.Fprintf(os.Stderr, "nixosnode: making %s, which is kept\n", dir)
	unfinished := dir + ".unfinished"
	if err := os.Mkdir(unfinished, 0o755); err != nil {
		return "", err
	}
	if err := fill(unfinished); err != nil {
		return "", errors.Join(fmt.Errorf("make %s: %w", dir, err), removeAll(unfinished))
	}
	fmt.Fprintf(os.Stderr, "nixosnode: made %s in %s\n", dir, time.Since(begin).Round(time.Second))
	return dir, os.Rename(unfinished, dir)
}

// sweep removes what killed runs left in the cache, and folders that were not
// used for unusedFor.
func sweep(cache, kind string) error {
	entries, err := filepath.Glob(filepath.Join(cache, kind+"-*"))
	if err != nil {
		return err
	}
	for _, path := range entries {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".unfinished") || time.Since(info.ModTime()) > unusedFor {
			if err := removeAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeAll is os.RemoveAll that also removes read-only folders if the process
// is not root. It does not enter other file systems mounted below.
func removeAll(dir string) error {
	out, err := exec.Command("rm", "-rf", "--one-file-system", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("remove %s: %w: %s", dir, err, out)
	}
	return nil
}

// makeOutside makes what needs a network: the Debian tree and the programs.
func makeOutside(r *run) (*made, error) {
	m := &made{treeKey: keyOf(treeScript), cgroup: r.cgroup, programs: filepath.Join(r.dir, "programs")}
	var err error
	m.tree, err = cached("tree", m.treeKey, func(dir string) error {
		script := filepath.Join(dir, "tree.sh")
		if err := os.WriteFile(script, treeScript, 0o755); err != nil {
			return err
		}
		_, err := output(exec.Command("bash", script, dir))
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(m.programs, 0o755); err != nil {
		return nil, err
	}
	return m, buildPrograms(m.programs)
}

// repository returns the path of this repository, from the path of this source file.
func repository() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(file), "..", "..")
	if _, err := os.Stat(filepath.Join(dir, "nix", "lib", "compose.nix")); !ok || err != nil {
		return "", errors.Join(errors.New("the repository is not where it was built"), err)
	}
	return dir, nil
}

// operatorPrograms are those that are built for the operator's PATH.
var operatorPrograms = []string{"hostenv-provider", "sops", "ssh-to-age"}

// packages are the programs, built or given, that become packages.
func (m *made) packages() []string {
	all := []string{"activate", "deploy", "site", "sops-install-secrets"}
	if m.hasLego() {
		all = append(all, "lego")
	}
	return all
}

// buildPrograms puts all programs into a folder. Go programs are static, so they
// run in any tree.
func buildPrograms(dir string) error {
	root, err := repository()
	if err != nil {
		return err
	}
	if err := os.Setenv("CGO_ENABLED", "0"); err != nil {
		return err
	}
	defer os.Unsetenv("CGO_ENABLED")
	if err := testenv.Compile(root, filepath.Join(dir, "hostenv-provider")); err != nil {
		return err
	}
	if err := errors.Join(buildTools(root, dir), buildLego(dir)); err != nil {
		return err
	}
	build := func(packages ...string) error { return goBuild(root, dir, packages...) }
	if err := build("./internal/nixosnode/site"); err != nil {
		return err
	}
	if deployRS := testenv.Find("deploy-rs"); deployRS != "" {
		return errors.Join(copyFile(filepath.Join(deployRS, "deploy"), filepath.Join(dir, "deploy")),
			copyFile(filepath.Join(deployRS, "activate"), filepath.Join(dir, "activate")))
	}
	return build("./internal/deployrs/cmd/...")
}

func goBuild(in, to string, packages ...string) error {
	cmd := exec.Command("go", append([]string{"build", "-trimpath", "-buildvcs=false", "-o", to + "/"}, packages...)...)
	cmd.Dir = in
	_, err := output(cmd)
	return err
}

// buildTools puts sops and its companions into a folder. They are a module of
// their own, so that programs that embed the library do not fetch it. They take
// minutes to build, so the cache keeps them.
func buildTools(root, dir string) error {
	module := filepath.Join(root, "internal", "nixosnode", "tools")
	sum := sha256.New()
	fmt.Fprintln(sum, runtime.Version())
	if err := hashTree(sum, os.DirFS(module), "."); err != nil {
		return err
	}
	tools, err := cached("tools", short(sum), func(dir string) error {
		return goBuild(module, dir, "github.com/getsops/sops/v3/cmd/sops", "github.com/Mic92/ssh-to-age/cmd/ssh-to-age", "./sops-install-secrets")
	})
	if err != nil {
		return err
	}
	for _, name := range []string{"sops", "ssh-to-age", "sops-install-secrets"} {
		from := filepath.Join(tools, name)
		// The original is part of sops-nix, which publishes no Go module of it.
		if given := os.Getenv("HOSTENV_TEST_SOPS_INSTALL_SECRETS"); given != "" && name == "sops-install-secrets" {
			from = given
		}
		if err := copyFile(from, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}

// keyOf returns the cache key of these inputs.
func keyOf(parts ...[]byte) string {
	sum := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(sum, "%d\n", len(part))
		sum.Write(part)
	}
	return short(sum)
}

func short(sum hash.Hash) string { return hex.EncodeToString(sum.Sum(nil))[:16] }

// hashTree adds the names and the content of all files to a sum.
func hashTree(sum io.Writer, fsys fs.FS, root string) error {
	return fs.WalkDir(fsys, root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := fs.ReadFile(fsys, path)
		fmt.Fprintf(sum, "%s %d\n", path, len(data))
		_, _ = sum.Write(data)
		return err
	})
}

// A base is the part of the cache that labs start from.
type base struct {
	srv  string // the flakes that are inputs, the operator's /srv
	nix  string // the operator's /nix
	seed string // the /nix of a new node
	keys string // the keys of every operator and CA, so that all labs share systems
}

// baseOf returns the base. If it is missing, fill makes it, from a base whose
// folder srv is complete.
func baseOf(ctx context.Context, m *made, fill func(context.Context, base) error) (base, error) {
	nixos := testenv.Find("nixos-nodes")
	sum := sha256.New()
	fmt.Fprintln(sum, m.treeKey)
	for _, name := range []string{"nixpkgs", "deploy-rs", "sops-nix"} {
		if err := hashTree(sum, inputs, name); err != nil {
			return base{}, err
		}
	}
	given := os.DirFS(nixos)
	for _, name := range []string{"nixpkgs/lib", "nixpkgs/nixos", "sops-nix", "pkgs-names.json"} {
		if err := hashTree(sum, given, name); err != nil {
			return base{}, err
		}
	}
	for _, name := range m.packages() {
		if err := hashTree(sum, os.DirFS(m.programs), name); err != nil {
			return base{}, err
		}
	}
	of := func(dir string) base {
		return base{srv: filepath.Join(dir, "srv"), nix: filepath.Join(dir, "nix"), seed: filepath.Join(dir, "seed", "nix"), keys: filepath.Join(dir, "keys")}
	}
	dir, err := cached("base", short(sum), func(dir string) error {
		b := of(dir)
		for _, d := range []string{b.srv, b.nix, b.seed, b.keys} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				return err
			}
		}
		if err := assembleInputs(b.srv, m, nixos); err != nil {
			return err
		}
		if err := makeKeys(b.keys); err != nil {
			return err
		}
		return fill(ctx, b)
	})
	return of(dir), err
}

// assembleInputs assembles the flakes from files of this repository and from
// NixOS's own files, which are elsewhere.
func assembleInputs(srv string, m *made, nixos string) error {
	if err := os.CopyFS(srv, inputs); err != nil {
		return err
	}
	nixpkgs := filepath.Join(srv, "nixpkgs")
	for from, to := range map[string]string{
		"nixpkgs/lib": "nixpkgs/nixpkgs/lib", "nixpkgs/nixos": "nixpkgs/nixpkgs/nixos",
		"sops-nix/modules": "sops-nix/modules", "sops-nix/pkgs": "sops-nix/pkgs",
	} {
		if err := os.CopyFS(filepath.Join(srv, to), os.DirFS(filepath.Join(nixos, from))); err != nil {
			return err
		}
	}
	files := map[string]string{
		filepath.Join(nixos, "pkgs-names.json"):         filepath.Join(nixpkgs, "names.json"),
		filepath.Join(m.tree, "versions.json"):          filepath.Join(nixpkgs, "versions.json"),
		filepath.Join(nixos, "sops-nix", "default.nix"): filepath.Join(srv, "sops-nix", "default.nix"),
	}
	for _, name := range m.packages() {
		files[filepath.Join(m.programs, name)] = filepath.Join(nixpkgs, "programs", name)
	}
	for from, to := range files {
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := copyFile(from, to); err != nil {
			return err
		}
	}
	return nil
}

// nixString returns a text as a Nix string literal.
func nixString(text string) string {
	data, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string
	}
	return strings.ReplaceAll(string(data), "${", "\\${")
}

// or returns a value, or the replacement if the value is zero.
func or[T comparable](value, fallback T) T { return cmp.Or(value, fallback) }
