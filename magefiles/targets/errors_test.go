package targets

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A full disk of this machine has a hint, wherever it shows.
func TestFullDisk(t *testing.T) {
	full := os.WriteFile("/dev/full", []byte("plan"), 0)
	if full == nil {
		t.Skip("there is no /dev/full")
	}
	all := leaves(errors.Join(fmt.Errorf("write the journal: %w", full), errors.New("another")))
	if len(all) != 2 || !strings.Contains(problem.Hint(all[0]), "make room on this machine") || problem.Hint(all[1]) != "" {
		t.Errorf("%v, with the hint %q", all, problem.Hint(all[0]))
	}
}
