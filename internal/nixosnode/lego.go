package nixosnode

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// Debian's lego is built without a provider for Cloudflare. So the nodes have the release
// of lego that NixOS 25.05 has, built from the Go module proxy, or Debian's if the proxy
// cannot be reached.
var (
	// legoModule is that release, and the sum of its files. CI reads it too.
	//
	//go:embed lego/module.txt
	legoModule string

	// legoProviders replaces the list of lego's DNS providers, of which each brings the
	// modules of another company.
	//
	//go:embed lego/providers.go.txt
	legoProviders []byte
)

// errNoLego means that the modules that lego is built from cannot be had.
var errNoLego = errors.New("the Go module proxy does not give lego")

// HasLego reports whether the nodes have the lego of NixOS, and not Debian's.
func HasLego() bool {
	m := inside()
	return m != nil && m.hasLego()
}

// NeedLego skips a test that needs nodes whose lego has a provider for Cloudflare, if it
// could not be built. See [testenv.Need].
func NeedLego(t testing.TB) {
	t.Helper()
	// Start skips tests on a machine that can have no nodes.
	if inside() != nil && !HasLego() {
		testenv.LeaveOut(t, "lego", "%v, and Debian's has no provider for Cloudflare", errNoLego)
	}
}

// hasLego reports whether lego was built.
func (m *made) hasLego() bool {
	_, err := os.Stat(filepath.Join(m.programs, "lego"))
	return err == nil
}

// buildLego puts lego into a folder: its own program with one DNS provider. The cache keeps
// it. If its modules cannot be had, it says so, and puts nothing there.
func buildLego(dir string) error {
	module, sum, ok := strings.Cut(strings.TrimSpace(legoModule), " ")
	if !ok {
		return errors.New("lego/module.txt has no sum")
	}
	built, err := cached("lego", keyOf([]byte(runtime.Version()), []byte(legoModule), legoProviders), func(dir string) error {
		cmd := exec.Command("go", "mod", "download", "-json", module)
		cmd.Dir = dir // no module of ours
		out, err := output(cmd)
		if err != nil {
			return errors.Join(errNoLego, err)
		}
		var downloaded struct {
			Dir string `json:"Dir"`
			Sum string `json:"Sum"`
		}
		if err := json.Unmarshal([]byte(out), &downloaded); err != nil {
			return fmt.Errorf("download lego: %w", err)
		}
		if downloaded.Sum != sum {
			return fmt.Errorf("the sum of %s is %s, want %s", module, downloaded.Sum, sum)
		}
		source := filepath.Join(dir, "source")
		if err := os.CopyFS(source, os.DirFS(downloaded.Dir)); err != nil {
			return err
		}
		list := filepath.Join(source, "providers", "dns", "zz_gen_dns_providers.go")
		if err := os.WriteFile(list, legoProviders, 0o600); err != nil {
			return err
		}
		needed := exec.Command("go", "list", "-deps", "./cmd/lego") // downloads the modules of these packages
		needed.Dir = source
		if _, err := output(needed); err != nil {
			return errors.Join(errNoLego, err)
		}
		if err := goBuild(source, dir, "./cmd/lego"); err != nil {
			return err
		}
		return removeAll(source)
	})
	if errors.Is(err, errNoLego) {
		fmt.Fprintf(os.Stderr, "nixosnode: left out: wildcard certificates by Cloudflare: %v\n", err)
		return nil
	}
	if err != nil {
		return err
	}
	return copyFile(filepath.Join(built, "lego"), filepath.Join(dir, "lego"))
}
