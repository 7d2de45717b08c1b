package targets

import (
	"context"
	"fmt"

	"github.com/woolwichweb/hostenv-provider/hostenv/generated"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// The names of the files in the generated folder.
const stateFile, planFile = generated.StateFile, generated.PlanFile

// A folder is the generated folder of a target's run.
type folder struct {
	*generated.Folder
	root   string // the folder of the provider's flake.nix
	writes bool   // the run is to write files of the folder
}

// openFolder opens the folder that -out names, or that of the flake in the working
// folder or above it.
func openFolder(out *string, writes bool) *folder {
	root, _ := generated.Root()
	found := generated.Find()
	if path := value(out, ""); path != "" {
		found = generated.Open(path)
	}
	return &folder{found, root, writes}
}

// run runs a target without the secrets in its environment. The lists are flags
// that must not be empty.
func (f *folder) run(lists map[string]*string, do func() error) error {
	defer withhold()()
	if err := usage(lists); err != nil {
		return f.fail(err)
	}
	return f.fail(do())
}

// warnUntracked warns of files that git does not know: those of the generated folder
// with these names, and with sources those of the flake.
func (f *folder) warnUntracked(ctx context.Context, sources bool, names ...string) {
	var untracked problem.List
	if sources {
		untracked.Add(generated.UntrackedSources(ctx, f.root))
	}
	if len(names) > 0 {
		untracked.Add(f.Untracked(ctx, names...))
	}
	for _, err := range problem.Leaves(untracked.Err()) {
		fmt.Fprintf(stderr(), "warning: %s\nhint: %s\n", err, problem.Hint(err))
	}
}

// showFiles prints the differences of files, if they are wanted, then the result,
// and then the names of the changed files.
func (f *folder) showFiles(dryRun, diff bool, result func() error, files ...generated.File) error {
	verb := "wrote"
	if dryRun {
		verb = "would write"
	}
	if diff {
		for _, file := range files {
			if err := printDiff(f.File(file.Name), file.Before, file.After); err != nil {
				return err
			}
		}
	}
	if err := result(); err != nil {
		return err
	}
	for _, file := range files {
		if file.Changed() {
			fmt.Println(verb, f.File(file.Name))
		}
	}
	return nil
}
