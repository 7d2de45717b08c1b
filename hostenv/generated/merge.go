package generated

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// versions are those of one file in a merge.
type versions struct {
	base, ours, theirs []byte
	// theirsFirst says that the other branch was published before ours.
	theirsFirst bool
}

// merge merges a state or a plan by meaning, see [state.Merge] and [plan.Merge].
func (v versions) merge(name string) ([]byte, error) {
	earlier, later := v.ours, v.theirs
	if v.theirsFirst {
		earlier, later = later, earlier
	}
	switch name {
	case StateFile:
		return mergeStates(v.base, earlier, later)
	case PlanFile:
		return plan.Merge(v.base, earlier, later)
	}
	return nil, problem.New(name, "is neither a state.json nor a plan.json", "correct .gitattributes: the driver hostenv is for these two files")
}

func mergeStates(base, earlier, later []byte) ([]byte, error) {
	var errs problem.List
	read := func(text []byte) state.State {
		s, err := state.Decode(text)
		errs.Add(err)
		return s
	}
	var origin state.State
	if len(bytes.TrimSpace(base)) > 0 {
		origin = read(base)
	}
	a, b := read(earlier), read(later)
	if err := errs.Err(); err != nil {
		return nil, err
	}
	merged, err := state.Merge(origin, a, b)
	if err != nil {
		return nil, err
	}
	return merged.Encode(), nil
}

// MergeFiles is a merge driver of git (see gitattributes(5)). It merges the state or
// plan called path of two branches, and writes the result to the file ours. If it
// refuses, ours has both versions between conflict markers, and git reports a conflict.
//
// The branch that is in the upstream branch of HEAD is the earlier one, and else the
// branch that is checked out.
func MergeFiles(ctx context.Context, base, ours, theirs, path string) error {
	var v versions
	for name, text := range map[string]*[]byte{base: &v.base, ours: &v.ours, theirs: &v.theirs} {
		var err error
		if *text, err = os.ReadFile(name); err != nil {
			return problem.WithHint(err, "let git run this, by the driver in its configuration: "+Driver)
		}
	}
	v.theirsFirst = theirsPublished(ctx, ".", headsOfMerge())
	merged, err := v.merge(filepath.Base(path))
	if err == nil {
		return os.WriteFile(ours, merged, 0o666)
	}
	return errors.Join(problem.In(path, err), os.WriteFile(ours, v.marked(ctx, base, ours, theirs), 0o666))
}

// Driver makes git use [MergeFiles], in a clone of a provider with a magefile.
const Driver = "git config merge.hostenv.driver 'go tool mage merge %O %A %B %P'"

// marked returns ours with conflict markers. A merge by lines may find none: then
// they are around the whole text.
func (v versions) marked(ctx context.Context, base, ours, theirs string) []byte {
	if g, _ := gitIn(ctx, "."); g != nil {
		out, err := g.command(ctx, "merge-file", "-p", "-L", "ours", "-L", "base", "-L", "theirs", ours, base, theirs).Output()
		if err != nil && bytes.Contains(out, []byte("\n>>>>>>> theirs")) {
			return out
		}
	}
	return slices.Concat([]byte("<<<<<<< ours\n"), v.ours, []byte("=======\n"), v.theirs, []byte(">>>>>>> theirs\n"))
}

// headsOfMerge returns the commits that a running `git merge` merges.
func headsOfMerge() (commits []string) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "GITHEAD_") {
			commits = append(commits, strings.TrimPrefix(name, "GITHEAD_"))
		}
	}
	return commits
}

func theirsPublished(ctx context.Context, dir string, heads []string) bool {
	g, _ := gitIn(ctx, dir)
	return g != nil && slices.ContainsFunc(heads, func(commit string) bool { return g.published(ctx, commit) })
}

// Unmerged returns those of state.json and plan.json that a merge of git has left
// with a conflict.
func (f *Folder) Unmerged(ctx context.Context) []string {
	g, _ := gitIn(ctx, f.Path())
	if g == nil {
		return nil
	}
	var names []string
	for name := range g.stages(ctx) {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// stages returns the blobs of each file with a conflict: base, ours and theirs, "" for
// one that does not exist.
func (g *git) stages(ctx context.Context) map[string][3]string {
	stages := map[string][3]string{}
	for _, line := range g.listed(ctx, "ls-files", "-u", "-z", "--", StateFile, PlanFile) {
		about, name, _ := strings.Cut(line, "\t")
		if fields := strings.Fields(about); len(fields) == 3 && strings.Contains("123", fields[2]) {
			blobs := stages[name]
			blobs[fields[2][0]-'1'] = fields[1]
			stages[name] = blobs
		}
	}
	return stages
}

// refuseUnmerged refuses files that a merge has left with a conflict. Their text may
// be one side alone, and a plan of it would retire the environments of the other.
func (f *Folder) refuseUnmerged(ctx context.Context) error {
	if !exists(f.Path()) {
		return nil
	}
	var errs problem.List
	names := f.Unmerged(ctx)
	if err := ctx.Err(); err != nil {
		return err // git did not say which have a conflict
	}
	for _, name := range names {
		errs.Addf(f.File(name), fmt.Sprintf("run `mage state:merge`, which merges both branches by meaning; or, if the file is as you want it, `git add %s`", problem.Word(f.File(name))),
			"has a conflict of a merge that is not finished")
	}
	return errs.Err()
}

// Merge merges the files that a merge of git has left with a conflict, by meaning, and
// stages them. It returns their names. The caller holds the lock.
func (f *Folder) Merge(ctx context.Context) ([]string, error) {
	g, out := gitIn(ctx, f.Path())
	if g == nil {
		return nil, problem.New(f.Path(), "is in no work tree of git"+colon(out), "run it in the provider's repository")
	}
	stages := g.stages(ctx)
	var errs problem.List
	var files []File
	for _, name := range []string{StateFile, PlanFile} {
		blobs, ok := stages[name]
		if !ok {
			continue
		}
		file, err := f.mergeStages(ctx, g, name, blobs)
		if err != nil {
			errs.Add(problem.In(f.File(name), err))
			continue
		}
		files = append(files, file)
	}
	if err := errs.Err(); err != nil || len(files) == 0 {
		return nil, err
	}
	if err := f.Save(ctx, files...); err != nil {
		return nil, err
	}
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = file.Name
	}
	if out, err := g.run(context.WithoutCancel(ctx), append([]string{"add", "--"}, names...)...); err != nil {
		return nil, problem.New("", "stage the merged files: "+out, "run `git add "+problem.Word(f.Path())+"`")
	}
	return names, nil
}

func (f *Folder) mergeStages(ctx context.Context, g *git, name string, blobs [3]string) (File, error) {
	var texts [3][]byte
	for i, blob := range blobs {
		if blob == "" {
			if i == 0 {
				continue // both branches made the file
			}
			return File{}, problem.New("", "one branch deleted the file", "keep the other's: git checkout --ours -- "+problem.Word(f.File(name))+", or --theirs, and git add it")
		}
		var err error
		if texts[i], err = g.command(ctx, "cat-file", "blob", blob).Output(); err != nil {
			return File{}, problem.New("", "git cannot read it: "+err.Error(), "run `git fsck`")
		}
	}
	v := versions{base: texts[0], ours: texts[1], theirs: texts[2]}
	if head, err := g.run(ctx, "rev-parse", "--quiet", "--verify", "MERGE_HEAD"); err == nil {
		v.theirsFirst = g.published(ctx, head)
	}
	merged, err := v.merge(name)
	if err != nil {
		return File{}, err
	}
	before, err := f.ReadIfThere(name)
	return File{name, before, merged}, err
}

func colon(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}
