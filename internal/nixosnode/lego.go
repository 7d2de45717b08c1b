package nixosnode

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// legoProviders replaces the list of lego's DNS providers, of which each brings the
// modules of another company. Debian's lego is built without Cloudflare.
//
//go:embed lego/providers.go.txt
var legoProviders []byte

// The release of lego that NixOS 25.05 has, and the sum of its files.
const (
	legoModule = "github.com/go-acme/lego/v4@v4.23.1"
	legoSum    = "h1:lZ5fGtGESA2L9FB8dNTvrQUq3/X4QOb8ExkKyY7LSV4="
)

// buildLego puts lego into a folder: its own program, from the module proxy, with one DNS
// provider. The cache keeps it.
func buildLego(dir string) error {
	made, err := cached("lego", keyOf([]byte(runtime.Version()), []byte(legoModule), legoProviders), func(dir string) error {
		cmd := exec.Command("go", "mod", "download", "-json", legoModule)
		cmd.Dir = dir // no module of ours
		out, err := output(cmd)
		if err != nil {
			return err
		}
		var module struct{ Dir, Sum string }
		if err := json.Unmarshal([]byte(out), &module); err != nil {
			return fmt.Errorf("download lego: %w", err)
		}
		if module.Sum != legoSum {
			return fmt.Errorf("the sum of %s is %s, want %s", legoModule, module.Sum, legoSum)
		}
		source := filepath.Join(dir, "source")
		if err := os.CopyFS(source, os.DirFS(module.Dir)); err != nil {
			return err
		}
		list := filepath.Join(source, "providers", "dns", "zz_gen_dns_providers.go")
		if err := os.WriteFile(list, legoProviders, 0o600); err != nil {
			return err
		}
		if err := goBuild(source, dir, "./cmd/lego"); err != nil {
			return err
		}
		return removeAll(source)
	})
	if err != nil {
		return err
	}
	return copyFile(filepath.Join(made, "lego"), filepath.Join(dir, "lego"))
}
