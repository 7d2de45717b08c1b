package generated

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Here refuses a working folder that has no flake and is below a provider's root: a
// state there would begin a second record of UIDs.
func (f *Folder) Here() error {
	const flake = "flake.nix"
	if f.Path() != Default || exists(flake) {
		return nil
	}
	here, err := os.Getwd()
	if err != nil {
		return nil //nolint:nilerr // reading the folder reports it with more detail
	}
	for root := filepath.Dir(here); ; root = filepath.Dir(root) {
		if exists(filepath.Join(root, flake)) && exists(filepath.Join(root, Default)) {
			return problem.New("", fmt.Sprintf("the folder %s is not the provider's: it has no %s", here, flake), fmt.Sprintf("run the command in %s", root))
		}
		if root == filepath.Dir(root) {
			return nil
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
