package closure

import (
	"strings"
	"testing"
)

// AlterKeys calls a function for the parts of all keys, until the test ends.
func AlterKeys(t *testing.T, alter func(parts map[string]any)) {
	before := alterKey
	alterKey = alter
	t.Cleanup(func() { alterKey = before })
}

// ChangeExpressions replaces text that each of the expressions has once, until the test
// ends, as another version of this package would have them.
func ChangeExpressions(t *testing.T, from, to string) {
	system, environments := ofSystem, ofEnvironments
	t.Cleanup(func() { ofSystem, ofEnvironments = system, environments })
	for _, expression := range []*string{&ofSystem, &ofEnvironments} {
		if strings.Count(*expression, from) != 1 {
			t.Fatalf("there is not one %q in\n%s", from, *expression)
		}
		*expression = strings.Replace(*expression, from, to, 1)
	}
}
