package nix

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/nix/flakelock"
)

// A customer's code can feign that it needs a source. It gets no more processes, and no
// more time, by that.
func TestFeignedNeed(t *testing.T) {
	const hash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	dir := t.TempDir()
	program := filepath.Join(dir, "nix")
	script := `#!/bin/sh
case "$*" in
--version) echo "nix (Nix) 2.34.8" ;;
*held-project.nix*) echo run >>` + dir + `/runs; echo "error: evaluation aborted with the following error message: 'hostenv-provider: needs ` + hash + `'" >&2; exit 1 ;;
*) echo '[{"rev":"1","narHash":"` + hash + `","lastModified":1}]' ;;
esac
`
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	r := &Runner{Dir: dir, Nix: program, Env: append(os.Environ(), "HOME="+home)}
	own := &own{lock: flakelock.None()}
	own.Held.Library = &tree{}
	s := &sources{
		runner: r, own: own, missing: map[string]bool{hash: true},
		holder: &holder{runner: r, limits: Limits{Time: time.Minute, Memory: 2 << 30, Output: 1 << 20}, home: home},
	}
	p := &subject{
		name: "acme__site", file: "held-project.nix", refused: map[string]string{}, about: func(err error) error { return err },
		needed: []flakelock.Needed{{Named: true, Locked: map[string]any{"type": "git", "url": "https://git.example/a", "narHash": hash}}},
	}
	_, err := s.evaluateAnew(t.Context(), p)
	if err == nil || !strings.Contains(err.Error(), "needs "+hash) {
		t.Errorf("got %v", err)
	}
	runs, err := os.ReadFile(filepath.Join(dir, "runs"))
	if err != nil || strings.Count(string(runs), "run") != 2 {
		t.Errorf("it ran %q, %v", runs, err)
	}
}
