package deployrs

import (
	"os/exec"
	"testing"
)

// Build builds `deploy` and `activate` and returns the folder that has them.
func Build(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	const pkg = "github.com/woolwichweb/hostenv-provider/internal/deployrs/cmd/..."
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", dir+"/", pkg).CombinedOutput(); err != nil {
		t.Fatalf("build the stand-in for deploy-rs: %v\n%s", err, out)
	}
	return dir
}
