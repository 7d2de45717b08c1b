package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Compile has Mage compile the program of a provider's targets from the
// repository at root, with its magefile in a module of its own: while Mage
// compiles there is a file of its own beside that, by which two of them are at
// odds, and tests of several packages run at once.
func Compile(root, program string, flags ...string) error {
	dir, err := os.MkdirTemp("", "hostenv-mage-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	const module = "github.com/woolwichweb/hostenv-provider"
	for from, to := range map[string]string{"magefiles/provider/magefile.go": "magefile.go", "go.sum": "go.sum", "go.mod": "go.mod"} {
		text, err := os.ReadFile(filepath.Join(root, from))
		if err != nil {
			return err
		}
		if to == "go.mod" {
			text = []byte(strings.Replace(string(text), "module "+module+"\n", "module provider.example\n", 1) +
				fmt.Sprintf("\nrequire %s v0.0.0\n\nreplace %[1]s => %q\n", module, root))
		}
		if err := os.WriteFile(filepath.Join(dir, to), text, 0o666); err != nil {
			return err
		}
	}
	mage := exec.Command("go", append([]string{"tool", "mage", "-d", dir, "-compile", program}, flags...)...)
	mage.Dir, mage.Env = dir, append(os.Environ(), "GOWORK=off")
	if out, err := mage.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", mage, err, out)
	}
	return nil
}
