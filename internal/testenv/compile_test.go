package testenv_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// Tests of several packages compile at the same time.
func TestCompile(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			if err := testenv.Compile(root, filepath.Join(dir, fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
