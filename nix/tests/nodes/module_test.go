package nodes_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// The flake's nixosModules work on a machine that is not in a plan.
func TestNixosModules(t *testing.T) {
	root := testenv.Need(t, "nixos-eval")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, binary := range testenv.NixBinaries(t) {
		for _, name := range []string{"default", "common"} {
			cmd := exec.CommandContext(t.Context(), binary, "eval", "--json", "--impure", "--offline", "--expr",
				fmt.Sprintf("import %s/module.nix { root = %s; name = %q; }", here, root, name))
			cmd.Env = testenv.NixEnv(testenv.NixDir(t))
			var out, log bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &log
			if err := cmd.Run(); err != nil {
				t.Fatalf("%s: %v\n%s", binary, err, log.String())
			}
			var got struct {
				Assertions, Warnings, DeployKeys []string
				HostName, Toplevel               string
				Nginx                            bool
			}
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if len(got.Assertions) > 0 || len(got.Warnings) > 0 || got.Toplevel == "" || got.HostName != "lab" || !got.Nginx || len(got.DeployKeys) != 1 {
				t.Errorf("%s: nixosModules.%s makes %+v", binary, name, got)
			}
		}
	}
}
