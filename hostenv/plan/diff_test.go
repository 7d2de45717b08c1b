package plan_test

import "github.com/rogpeppe/go-internal/diff"

func unified(path string, want, got []byte) string {
	return string(diff.Diff(path, want, "now", got))
}
