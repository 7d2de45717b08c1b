package conformance

import (
	"fmt"
	"os"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// lab is the one laboratory of this process; see [laboratory].
var lab *Lab

func TestMain(m *testing.M) {
	if !Inside() {
		if code, err := Reexec(); err == nil {
			os.Exit(code)
		}
		os.Exit(m.Run()) // every test reports why it is skipped
	}
	os.Exit(func() int {
		code := m.Run()
		if lab != nil {
			if err := lab.Close(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
		return code
	}())
}

// laboratory starts the laboratory, or skips the test if it cannot start.
func laboratory(t testing.TB) *Lab {
	t.Helper()
	for _, tool := range []string{"unshare", "ip", "unbound"} {
		testenv.Need(t, tool)
	}
	if lab == nil {
		started, err := Start()
		if err != nil {
			t.Fatal(err)
		}
		lab = started
	}
	if lab.Oracle == nil {
		t.Fatal("the laboratory did not start again")
	}
	return lab
}
