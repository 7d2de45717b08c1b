package closure

import (
	"cmp"
	"maps"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
)

// compare computes the differences. The node lacks the paths in lacking; one that
// several profiles need counts for the first of them, so that the sum is what a
// push copies.
func compare(pairs []deploy.Pair, before, after nix.Paths, lacking map[string]bool) []deploy.Diff {
	counted := map[string]bool{}
	diffs := make([]deploy.Diff, len(pairs))
	for i, pair := range pairs {
		was, will := before.Closure(pair.Old), after.Closure(pair.New)
		d := &diffs[i]
		*d = deploy.Diff{Profile: pair.Profile, Size: after.Size(will)}
		d.Delta = d.Size - before.Size(was)
		d.Added, d.Removed, d.Changed = comparePackages(versions(was), versions(will))
		for path := range will {
			if lacking[path] && !counted[path] {
				counted[path] = true
				d.Paths++
				d.Copy += after[path].Size
			}
		}
	}
	return diffs
}

// versions returns the versions of each package of a closure, by its name.
func versions(closure map[string]bool) map[string]map[string]bool {
	packages := map[string]map[string]bool{}
	for path := range closure {
		name, version := nix.PackageOf(path)
		if packages[name] == nil {
			packages[name] = map[string]bool{}
		}
		if version != "" {
			packages[name][version] = true
		}
	}
	return packages
}

// comparePackages sorts packages into three lists by name. A package that is
// rebuilt in the same versions is in none of them: a new compiler would list
// every package otherwise.
func comparePackages(was, will map[string]map[string]bool) (added, removed, changed []deploy.PackageChange) {
	for name, old := range was {
		now, stays := will[name]
		change := deploy.PackageChange{Name: name, Old: sorted(old), New: sorted(now)}
		if !stays {
			removed = append(removed, change)
		} else if !maps.Equal(old, now) {
			changed = append(changed, change)
		}
	}
	for name, now := range will {
		if _, there := was[name]; !there {
			added = append(added, deploy.PackageChange{Name: name, New: sorted(now)})
		}
	}
	for _, list := range [][]deploy.PackageChange{added, removed, changed} {
		slices.SortFunc(list, func(a, b deploy.PackageChange) int { return cmp.Compare(a.Name, b.Name) })
	}
	return added, removed, changed
}

func sorted(versions map[string]bool) []string { return slices.Sorted(maps.Keys(versions)) }
