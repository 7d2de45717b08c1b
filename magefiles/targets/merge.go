package targets

import (
	"context"
	"fmt"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/generated"
)

// Merge merges two versions of state.json or plan.json, as a merge driver of git.
//
// Git calls it with %O %A %B %P. Run this once in each clone, beside the template's
// .gitattributes: git config merge.hostenv.driver 'go tool mage merge %O %A %B %P'
//
// If both branches gave one UID to new environments, one gets a new UID. Two deployed
// environments with one UID are refused: then the file has conflict markers. After
// the merge run `mage plan`, which makes the plan anew.
func Merge(ctx context.Context, base, ours, theirs, path string) error {
	f := openFolder(nil, false)
	return f.run(nil, func() error { return generated.MergeFiles(ctx, base, ours, theirs, path) })
}

// Merge merges state.json and plan.json after a merge of git that left a conflict.
//
// It does what the merge driver does (`mage -h merge`), and stages both files. Then
// finish the merge and run `mage plan`.
func (State) Merge(ctx context.Context,
	out *string, // the generated folder, default generated
) error {
	f := openFolder(out, true)
	return f.run(nil, func() error {
		if err := f.Here(); err != nil {
			return err
		}
		if len(f.Unmerged(ctx)) == 0 {
			fmt.Fprintln(stdout(), "git knows no conflict in", f.File(stateFile), "or", f.File(planFile))
			return nil
		}
		return f.Locked(ctx, func() error {
			names, err := f.Merge(ctx)
			if err != nil {
				return err
			}
			for i, name := range names {
				names[i] = f.File(name)
			}
			fmt.Fprintf(stdout(), "merged and staged %s; run `mage plan` now, and commit\n", strings.Join(names, " and "))
			return nil
		})
	})
}
