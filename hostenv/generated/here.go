package generated

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// flake is the file by which Nix and we find a provider's root.
const flake = "flake.nix"

// Root returns the folder of the provider's flake.nix, relative to the working folder:
// the working folder, or the nearest above it, as Nix and git look for theirs. Like
// Nix it does not leave the git repository. ok is false, and the folder ".", if there
// is none.
func Root() (root string, ok bool) {
	here, err := os.Getwd()
	if err != nil {
		return ".", exists(flake)
	}
	for root := "."; ; root = filepath.Join(root, "..") {
		switch {
		case exists(filepath.Join(root, flake)):
			return root, true
		case exists(filepath.Join(root, ".git")), here == filepath.Dir(here):
			return ".", false
		}
		here = filepath.Dir(here)
	}
}

// Find returns the generated folder of the provider in whose folder, or below it, the
// command runs.
func Find() *Folder {
	root, _ := Root()
	f := Open(filepath.Join(root, Default))
	f.found = true
	return f
}

// Here refuses to begin a record of UIDs where no provider's flake is: it would be a
// second one, if the command was to run elsewhere.
func (f *Folder) Here() error {
	if _, ok := Root(); ok || !f.found {
		return nil
	}
	here, err := os.Getwd()
	if err != nil {
		return nil //nolint:nilerr // reading the folder reports it with more detail
	}
	return problem.New("", fmt.Sprintf("there is no %s in %s, nor in a folder above it", flake, here),
		"run the command in the provider's folder; without a flake, name the folder of the state: -out="+Default)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
