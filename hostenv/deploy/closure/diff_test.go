package closure_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

const versions = `
  old = profile "old" "${sh "site-1.0" "echo ${library} ${sh "php-8.2.0" "echo php > $out"} > $out"}";
  new = profile "new" "${sh "site-1.1" "echo ${library} ${sh "php-8.3.0" "echo php83 > $out"} ${sh "redis-7" "echo > $out"} > $out"}";
  fresh = profile "fresh" "${sh "blog-1.0" "echo ${library} > $out"}";
`

func TestDiff(t *testing.T) {
	each(t, flake(versions), func(t *testing.T, l *lab) {
		n := l.built("old", "new", "fresh")
		old, new, fresh := n.Profiles[0].Path, n.Profiles[1].Path, n.Profiles[2].Path
		l.trust()
		var log bytes.Buffer
		if err := l.store.Sign(t.Context(), []string{old}, &log); err != nil {
			t.Fatal(err)
		}
		if err := l.store.Push(t.Context(), n, []string{old}, &log); err != nil {
			t.Fatal(err)
		}
		before, err := l.there("ls -R", l.dir+"/node"+l.dir+"/store", "; nix-store --dump-db | wc -l")
		if err != nil {
			t.Fatal(err, before)
		}
		diffs, err := l.store.Diff(t.Context(), n, []deploy.Pair{{Profile: "site", Old: old, New: new}, {Profile: "blog", New: fresh}, {Profile: "same", Old: old, New: old}})
		if err != nil {
			t.Fatal(err)
		}
		type change = deploy.PackageChange
		want := []deploy.Diff{
			{Profile: "site", Added: []change{{Name: "redis", New: []string{"7"}}},
				Changed: []change{{Name: "php", Old: []string{"8.2.0"}, New: []string{"8.3.0"}}, {Name: "site", Old: []string{"1.0"}, New: []string{"1.1"}}}, Paths: 3},
			{Profile: "blog", Added: []change{{Name: "blog", New: []string{"1.0"}}, {Name: "library", New: []string{"1.0"}}}, Paths: 1},
			{Profile: "same"},
		}
		for i := range diffs {
			d := &diffs[i]
			if d.Size <= 0 || (d.Copy == 0) != (d.Paths == 0) || d.Copy > d.Size {
				t.Errorf("sizes of %+v", *d)
			}
			if d.Profile == "blog" && d.Delta != d.Size || d.Profile == "same" && d.Delta != 0 || d.Profile == "site" && d.Delta <= 0 {
				t.Errorf("%s has a difference in size of %d", d.Profile, d.Delta)
			}
			d.Size, d.Delta, d.Copy = 0, 0, 0
		}
		if diff := cmp.Diff(want, diffs); diff != "" {
			t.Errorf("differs (-want +got):\n%s", diff)
		}
		if after, _ := l.there("ls -R", l.dir+"/node"+l.dir+"/store", "; nix-store --dump-db | wc -l"); after != before {
			t.Errorf("the diff changed the node's store:\n%s\n%s", before, after)
		}
		// Diff names a path that the node lacks.
		gone := strings.Replace(old, "site-1.0", "site-0.9", 1)
		if _, err := l.store.Diff(t.Context(), n, []deploy.Pair{{Profile: "site", Old: gone, New: new}}); err == nil || !strings.Contains(err.Error(), "site-0.9") {
			t.Errorf("got %v", err)
		}
	})
}
