package deployrs

import (
	"fmt"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Check refuses names and paths that deploy-rs would misread: it puts them into
// the Nix language and into a remote shell without escaping them. Check reads only
// its arguments, no files.
func Check(n deploy.Node, p deploy.Profile) error {
	for _, field := range []struct {
		what, value string
		parse       func(string) error
	}{
		{"the name of a node", n.Name, parses(names.ParseNode)},
		{"the deploy user of node " + n.Name, n.User, parses(names.ParseUser)},
		{"the name of a profile on node " + n.Name, p.Name, parses(names.ParseUser)},
		{"the user of " + p.Key(), p.User, parses(names.ParseUser)},
		{"the store path of " + p.Key(), p.Path, parses(names.ParseStorePath)},
		{"the profile's link of " + p.Key(), p.Link, parses(names.ParsePlainPath)},
		{"the folder for temporary files of " + p.Key(), p.Temp, parses(names.ParsePlainPath)},
	} {
		if err := field.parse(field.value); err != nil {
			return problem.New(field.what, fmt.Sprintf("is %q, which deploy-rs would misread", field.value),
				"run `mage plan`: generated/plan.json has no such name, unless it was written by hand")
		}
	}
	return nil
}

func parses[T any](parse func(string) (T, error)) func(string) error {
	return func(s string) error {
		_, err := parse(s)
		return err
	}
}
