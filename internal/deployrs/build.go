package deployrs

import (
	"fmt"
	"os/exec"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// Programs are `deploy` and `activate`.
var Programs = testenv.Program{Name: "deploy-rs", Build: func(dir string) error {
	// By name, because Go needs every module to resolve a pattern.
	const cmd = "github.com/woolwichweb/hostenv-provider/internal/deployrs/cmd/"
	if out, err := exec.Command("go", "build", "-o", dir+"/", cmd+"deploy", cmd+"activate").CombinedOutput(); err != nil {
		return fmt.Errorf("build the stand-in for deploy-rs: %w\n%s", err, out)
	}
	return nil
}}

// Build returns the folder that has [Programs].
func Build(t testing.TB) string {
	t.Helper()
	return testenv.Built(t, Programs)
}
