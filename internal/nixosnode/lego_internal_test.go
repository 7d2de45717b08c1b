package nixosnode

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Without a proxy nodes have Debian's lego, and nothing fails.
func TestNoProxyNoLego(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("go is missing")
	}
	t.Setenv("HOSTENV_TEST_CACHE", t.TempDir())
	t.Setenv("GOMODCACHE", t.TempDir())
	t.Setenv("GOPROXY", "off")
	m := &made{programs: t.TempDir()}
	if err := buildLego(m.programs); err != nil {
		t.Fatal(err)
	}
	if m.hasLego() || len(m.packages()) != 4 {
		t.Errorf("the packages are %q", m.packages())
	}
	left, err := filepath.Glob(filepath.Join(m.programs, "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}
